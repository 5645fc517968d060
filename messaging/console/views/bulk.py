"""Hold, release and cancel for many: what is ticked in the message list, or all that match its filter."""

from collections.abc import Callable
from typing import NamedTuple

from django.contrib import messages as notes
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.urls import reverse

from messaging.access import roles
from messaging.console import searches
from messaging.console.filters import MessageFilter, ids_in
from messaging.console.forms.actions import CancelForm, HoldForm
from messaging.console.presentation.bulk import done_for_many, had_matched, unseen_edits
from messaging.models import Message
from messaging.queue import actions
from messaging.queue.actions import NotPossible, Order
from messaging.queue.snapshots import Snapshot

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
NONE_CHOSEN = "No message was chosen. Tick the messages first."
NONE_MATCHES = "Nothing was changed: none of the messages that the list showed still matches the filter."
ANOTHER_MEANING = (
    "Nothing was changed: the filter no longer means the same messages as when the list was loaded. Look at the "
    "list and choose again."
)
# What makes sense for the messages of a tab; of the others there is nothing to tick.
OFFERED = {"queued": ("hold", "cancel"), "held": ("release", "cancel"), "all": ("hold", "release", "cancel")}


class AsOf(NamedTuple):
    """What there was before the list was read, and what its filter stood for (WaitingFilter.meaning)."""

    mark: Snapshot
    meaning: str


@operators_only
@post_only
@searches.in_turn
def act(request: HttpRequest) -> HttpResponse:
    """One of ORDERS for many; back to the list, with one note of what came of it."""
    action = request.POST.get("action", "")
    if action not in ORDERS:
        raise Http404
    try:
        is_as_shown = _is_for_all(request) or action in AS_SHOWN
        as_of = _as_of(request) if is_as_shown else None
        order, chosen = ORDERS[action](request.POST), _chosen(request, as_of)
        seen = _seen(request) if action in AS_SHOWN else None
        since = None if as_of is None else as_of.mark
        tally = actions.carry_out_for_all(order, chosen, by=who(request), seen=seen, since=since)
        if not tally.done and not tally.refused:
            raise NotPossible(NONE_MATCHES if _is_for_all(request) else NONE_CHOSEN)
    except NotPossible as error:
        notes.warning(request, str(error))
    else:
        note = notes.warning if tally.refused else notes.success
        words = done_for_many(action, tally.done, tally.refused)
        had = had_matched(_total(request), tally.done + tally.refused.total())
        note(request, " ".join(filter(None, (words, had, unseen_edits(tally.unseen, who(request))))))
    return back_to(request, reverse("messages"))


def _chosen(request: HttpRequest, as_of: AsOf | None) -> QuerySet[Message]:
    """The messages ticked, or all that match the filter: of those no more than were there when the list was read."""
    visible = roles.visible_messages(who(request))
    if as_of is None or not _is_for_all(request):
        return visible.filter(pk__in=ids_in(request.POST.getlist("message")))
    filters = MessageFilter(QueryDict(request.POST.get("filter", "")), queryset=visible)
    found = filters.all_that_match.filter(pk__lte=as_of.mark.last[0])
    if as_of.meaning != filters.meaning(sees_all=roles.sees_all(who(request))):
        raise NotPossible(ANOTHER_MEANING)
    return found


def _is_for_all(request: HttpRequest) -> bool:
    return request.POST.get("all_matching") == "1"


def _total(request: HttpRequest) -> int:
    """How many “All that match” were, where these were chosen; 0: unknown."""
    found = ids_in([request.POST.get("total", "")]) if _is_for_all(request) else []
    return found[0] if found else 0


def _seen(request: HttpRequest) -> dict[int, int] | None:
    """Which version the list showed of each message that was edited; None where they were not chosen one by one."""
    if _is_for_all(request):
        return None
    found = [ids_in(text.split("-")) for text in request.POST.getlist("shown")]
    return {pair[0]: pair[1] for pair in found if len(pair) == 2}


def _as_of(request: HttpRequest) -> AsOf:
    mark, _, meaning = request.POST.get("as_of", "").rpartition("_")
    found = Snapshot.of(mark)
    if found is None:
        raise NotPossible("Nothing was changed: the list has to be loaded again first. Choose once more.")
    return AsOf(found, meaning)


def named(as_of: AsOf) -> str:
    """As the list names it."""
    return f"{as_of.mark.named}_{as_of.meaning}"
