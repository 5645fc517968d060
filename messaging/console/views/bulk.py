"""Hold, release and cancel for many: what is ticked in the message list, or all that match its filter."""

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages as notes
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from messaging import queue
from messaging.console import searches
from messaging.console.filters import MessageFilter, ids_in
from messaging.console.forms.actions import CancelForm, HoldForm
from messaging.console.words import done_for_many
from messaging.models import Message
from messaging.queue import NotPossible, Order

from .guard import back_to, operators_only, post_only, who


def _hold(data: QueryDict) -> Order:
    form = HoldForm(data, prefix="hold")
    if not form.is_valid():
        raise NotPossible(form.in_words())
    return queue.to_hold(form.cleaned_data["why"], form.cleaned_data["until"])


def _release(data: QueryDict) -> Order:
    return queue.to_release()


def _cancel(data: QueryDict) -> Order:
    form = CancelForm(data, prefix="cancel")
    if not form.is_valid():
        raise NotPossible(form.in_words())
    return queue.to_cancel(form.cleaned_data["why"])


ORDERS: dict[str, Callable[[QueryDict], Order]] = {"hold": _hold, "release": _release, "cancel": _cancel}
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
        tally = queue.carry_out_for_all(order, chosen, by=who(request))
        if not tally.done and not tally.refused:
            raise NotPossible("No message was chosen. Tick the messages first.")
    except NotPossible as error:
        notes.warning(request, str(error))
    else:
        note = notes.warning if tally.refused else notes.success
        note(request, done_for_many(action, tally.done, tally.refused))
    return back_to(request, reverse("messages"))


def _chosen(request: HttpRequest) -> QuerySet[Message]:
    """The messages ticked, or all that match the filter: of those no more than were there when the list was read."""
    visible = queue.visible_to(who(request))
    if request.POST.get("all_matching") == "1":
        filters = MessageFilter(QueryDict(request.POST.get("filter", "")), queryset=visible)
        return filters.all_that_match.filter(created_at__lte=_read_at(request.POST.get("read_at", "")))
    return visible.filter(pk__in=ids_in(request.POST.getlist("message")))


def _read_at(text: str) -> datetime:
    try:
        read_at = parse_datetime(text)
    except ValueError:
        read_at = None
    if read_at is None or timezone.is_naive(read_at):
        raise NotPossible("Nothing was changed: the list has to be loaded again first. Choose once more.")
    return read_at
