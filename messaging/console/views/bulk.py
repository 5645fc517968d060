"""Hold, release and cancel for many: what is ticked in the message list, or all that match its filter."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from django.contrib import messages as notes
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from messaging.console import searches
from messaging.console.filters import MessageFilter, ids_in
from messaging.console.forms.actions import CancelForm, HoldForm
from messaging.console.presentation.bulk import done_for_many, unseen_edits
from messaging.models import Message
from messaging.queue import actions
from messaging.queue.actions import NotPossible, Order

from .guard import back_to, operators_only, post_only, who


def _hold(data: QueryDict) -> Order:
    form = HoldForm(data, prefix="hold")
    if not form.is_valid():
        raise NotPossible(form.in_words())
    return actions.to_hold(form.cleaned_data["why"], form.cleaned_data["until"])


def _release(data: QueryDict) -> Order:
    return actions.to_release()


def _cancel(data: QueryDict) -> Order:
    form = CancelForm(data, prefix="cancel")
    if not form.is_valid():
        raise NotPossible(form.in_words())
    return actions.to_cancel(form.cleaned_data["why"])


ORDERS: dict[str, Callable[[QueryDict], Order]] = {"hold": _hold, "release": _release, "cancel": _cancel}
# What has changed since the list was loaded is not meant; ticked, it is held all the same.
AS_SHOWN = ("release", "cancel")
# What makes sense for the messages of a tab; of the others there is nothing to tick.
OFFERED = {"queued": ("hold", "cancel"), "held": ("release", "cancel"), "all": ("hold", "release", "cancel")}


@operators_only
@post_only
@searches.in_turn
def act(request: HttpRequest) -> HttpResponse:
    """One of ORDERS for many; back to the list, with one note of what came of it."""
    action = request.POST.get("action", "")
    if action not in ORDERS:
        raise Http404
    try:
        order, chosen = ORDERS[action](request.POST), _chosen(request)
        seen = _seen(request) if action in AS_SHOWN else None
        tally = actions.carry_out_for_all(order, chosen, by=who(request), seen=seen, since=_since(request, action))
        if not tally.done and not tally.refused:
            raise NotPossible("No message was chosen. Tick the messages first.")
    except NotPossible as error:
        notes.warning(request, str(error))
    else:
        note = notes.warning if tally.refused else notes.success
        words = done_for_many(action, tally.done, tally.refused)
        note(request, f"{words} {unseen_edits(tally.unseen, who(request))}".strip())
    return back_to(request, reverse("messages"))


def _chosen(request: HttpRequest) -> QuerySet[Message]:
    """The messages ticked, or all that match the filter: of those no more than were there when the list was read."""
    visible = actions.visible_to(who(request))
    if _is_for_all(request):
        filters = MessageFilter(QueryDict(request.POST.get("filter", "")), queryset=visible)
        return filters.all_that_match.filter(created_at__lte=_read_at(request.POST.get("read_at", "")))
    return visible.filter(pk__in=ids_in(request.POST.getlist("message")))


def _is_for_all(request: HttpRequest) -> bool:
    return request.POST.get("all_matching") == "1"


def _since(request: HttpRequest, action: str) -> datetime | None:
    """When the list was read: what has changed or come to match since is not meant; None where that does not matter."""
    is_as_shown = _is_for_all(request) or action in AS_SHOWN
    return _read_at(request.POST.get("read_at", "")) if is_as_shown else None


def _seen(request: HttpRequest) -> dict[int, int] | None:
    """Which version the list showed of each message that was edited; None where they were not chosen one by one."""
    if _is_for_all(request):
        return None
    found = [ids_in(text.split("-")) for text in request.POST.getlist("shown")]
    return {pair[0]: pair[1] for pair in found if len(pair) == 2}


def _read_at(text: str) -> datetime:
    with suppress(ValueError, OverflowError):  # the edges of the calendar have no time in UTC
        read_at = parse_datetime(text)
        if read_at is not None and timezone.is_aware(read_at):
            return read_at.astimezone(UTC)
    raise NotPossible("Nothing was changed: the list has to be loaded again first. Choose once more.")
