"""The message queue (S5) and one message (S6)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_htmx.http import push_url

from messaging.access import roles
from messaging.compose import editing, versions
from messaging.console import html_reader, searches, shown
from messaging.console.company import company_of
from messaging.console.filters import MessageFilter, query_of, toolbar
from messaging.console.forms.actions import CancelForm, HoldForm
from messaging.console.history import NAMES as HISTORY
from messaging.console.history import gravest_first, history_of, pending_of
from messaging.console.html_body import Clean, NotShown
from messaging.console.paging import Page, page_of, page_of_list
from messaging.console.preflight import doubts
from messaging.console.presentation.message import (
    attempt_lines,
    counted_as_tries,
    never_tried,
    once_queued,
    released,
    rest_of,
    standing,
)
from messaging.console.presentation.options import waiting_in_queue
from messaging.content import assembly, skeletons
from messaging.lifecycle.waiting import stays
from messaging.models import AccountPause, Batch, Message
from messaging.queue import actions, pausing
from messaging.queue.actions import Shown
from messaging.queue.snapshots import Snapshot
from messaging.setup.layers import EmailSetup, resolve
from messaging.wording import event, waits

from .bulk import OFFERED, AsOf, named
from .guard import back_to, clean_url, is_part, operators_only, passed_on, post_only, who

RECIPIENTS_SHOWN = 120
REPLIES_PER_PAGE = 100
MOST_LAYOUTS = html_reader.OF_ONE  # frames of a page, which a browser opens at the same time
# Where someone would look for a way to edit; the others say by themselves that it is over.
EDITED_IN = (*actions.GIVES_AWAY, Message.Status.SENDING)


def rows_for_a_list() -> QuerySet[Message]:
    """Messages with what a row shows, without what may be long."""
    return (
        Message.objects.select_related("author")
        .defer("recipients_text", "message_id", "reverse_path")
        .annotate(
            to_shown=Left("recipients_text", RECIPIENTS_SHOWN),
            attempt_count=shown.attempt_count(),
            version=versions.number(),
        )
    )


@require_safe
@searches.in_turn
def queue_list(request: HttpRequest) -> HttpResponse:
    """The list under the toolbar; with htmx only the part below the toolbar."""
    mark = Snapshot.now()
    filters = MessageFilter(request.GET, queryset=roles.visible_messages(who(request)))
    found = filters.qs
    counts = filters.counts()
    page = page_of(found, rows_for_a_list(), request.GET.get("page"), total=counts[filters.shown])
    context = {
        "filters": filters,
        "helper": toolbar(filters.form, reverse("messages"), "#list"),
        "counts": [(status, label, counts[status]) for status, label in [*Message.Status.choices, ("all", "All")]],
        "page": page,
        "query": query_of(request.GET, "page"),
        "query_any_status": query_of(request.GET, "page", "status"),
        "place": query_of(request.GET),
        "offered": OFFERED.get(filters.shown, ()) if roles.may_operate(who(request)) else (),
        "hold_form": HoldForm(prefix="hold"),
        "cancel_form": CancelForm(prefix="cancel"),
        "as_of": named(AsOf(mark, filters.meaning(sees_all=roles.sees_all(who(request))))),
    }
    if not is_part(request):
        context["waiting_words"] = "" if company_of(request).hold_mail else _waiting(page, filters)
        return render(request, "messages/list.html", context)
    return push_url(render(request, "messages/_list.html", context), clean_url(request))


def _waiting(page: Page[Message], filters: MessageFilter) -> str:
    """What becomes of the listed messages that wait for a batch or a person; "" when there are none."""
    is_all = page.pages == 1 and not filters.is_narrowed
    number = sum(map(stays, page.rows))
    return waiting_in_queue(number if is_all else None) if number else ""


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One message: content, recipients, attachments, attempts, and what may be done."""
    return _page(request, pk, request.GET)


def _page(
    request: HttpRequest, pk: int, given: QueryDict, hold_form: HoldForm | None = None, status: int = 200
) -> HttpResponse:
    """The page of a message; `given` is its query, `hold_form` one that was refused."""
    found = roles.visible_messages(who(request)).select_related(
        "author", "account", "batch__created_by", "batch__confirmed_by", "handed_to"
    )
    # What it shows with it, and not later: what is read after that may be newer, never older.
    message = get_object_or_404(skeletons.beside(found.annotate(**shown.columns())), pk=pk)
    history = history_of(message, given)
    bodies = assembly.bodies(message)
    pauses = _pauses(message)
    setup = resolve(who(request))
    offered = _actions(message, pauses, setup)
    obstacle = editing.why_not(message, history.recipients.counts)
    readings = _read(bodies, str(request.user.pk))
    for each in readings:
        asked = {"body": each.number} if each.number > 1 else {}
        asked |= {"images": 1} if "images" in given else {}
        each.query = f"?{urlencode(asked)}" if asked else ""
    context = {
        "message": message,
        "standing": standing(message, history, pauses),
        "sees_batch": message.batch is not None and _sees_batch(who(request), message.batch),
        "actions": offered,
        "send_obstacle": "" if "hand_over" in offered else actions.why_not_sent(message, setup),
        "hold_form": hold_form or HoldForm(),
        "cancel_form": CancelForm(),
        "doubts": doubts(message, pending_of(message, history.recipients), roles.visible_messages(who(request))),
        "history": history,
        "bodies": bodies,
        "images_wanted": "images" in given,
        "readings": readings,
        "has_remote_images": any(each.layout and each.layout.has_remote_images for each in readings),
        "attempts": attempt_lines(message, history.attempts, history.failing),
        "counted": counted_as_tries(message, history.attempts.total),
        "never_tried": never_tried(message),
        "now": timezone.now(),
        "may_edit": not obstacle and roles.may_operate(who(request)),
        "edit_obstacle": obstacle if message.status in EDITED_IN else "",
        "events": [(row, event(row, history.edited)) for row in history.events.rows],
        "rest": rest_of(message, history.recipients.counts),
        "here": message.get_absolute_url() if request.method == "POST" else "",
        "given": given,
        "query": query_of(given, "images"),
        "kept": QueryDict(query_of(given, "outcome", "address", "recipients_page")).items(),
        "list_query": query_of(given, "images", *HISTORY),
    }
    return render(request, "messages/detail.html", context, status=status)


@require_safe
def attempt_page(request: HttpRequest, pk: int, attempt: int) -> HttpResponse:
    """What each recipient was told in one attempt, those first that it was not accepted for."""
    message = get_object_or_404(roles.visible_messages(who(request)), pk=pk)
    row = get_object_or_404(message.attempts, pk=attempt)
    page = page_of_list(gravest_first(row.recipients), request.GET.get("page"), size=REPLIES_PER_PAGE)
    context = {"message": message, "attempt": row, "page": page, "query": query_of(request.GET, "page")}
    return render(request, "messages/attempt.html", context)


@dataclass
class Reading:
    """What could be read of a body.

    Attributes:
        html: its document, "" for a text; `number` says which of the message's it is.
        layout: the document as its frame shows it; None where there is none that can be shown.
        text: the text, or in place of it that of the HTML.
        found_no_turn: whether a document was left unread: too many were being read.
        query: what its frame asks for.
    """

    html: str
    number: int
    layout: Clean | None
    text: str
    found_no_turn: bool = False
    query: str = ""


def _read(bodies: assembly.Bodies, reader: str) -> list[Reading]:
    found: list[Reading] = []
    number, found_no_turn = 0, False
    for body in bodies.parts:
        layout = None
        number += bool(body.html)
        if body.html and number <= MOST_LAYOUTS and not found_no_turn:
            try:
                layout = _layout(body.html, reader)
            except html_reader.Busy:
                found_no_turn = True
        found.append(Reading(body.html, number, layout, body.text, found_no_turn))
    unread = [each for each in found if each.html and not each.layout and not each.text.strip()]
    if unread and not found_no_turn:
        try:
            for each, text in zip(unread, html_reader.texts_of([each.html for each in unread], reader), strict=True):
                each.text = text
        except html_reader.Busy:
            for each in unread:
                each.found_no_turn = True
    return _joined(found)


def _joined(found: Iterable[Reading]) -> list[Reading]:
    """Documents that follow each other and have no layout as one, which says so once."""
    joined: list[Reading] = []
    for (is_text, found_no_turn), group in groupby(found, lambda each: (_is_unframed(each), each.found_no_turn)):
        each = list(group)
        if is_text:
            text = "\n".join(one.text for one in each if one.text.strip())
            each = [Reading(each[0].html, each[0].number, None, text, found_no_turn)]
        joined += each
    return joined


def _is_unframed(reading: Reading) -> bool:
    return bool(reading.html) and reading.layout is None


def _layout(html: str, reader: str) -> Clean | None:
    """Raises html_reader.Busy."""
    try:
        return html_reader.clean(html, reader)
    except NotShown:
        return None


def _sees_batch(person: User, batch: Batch) -> bool:
    """Whether the message's batch is a page that this person may open."""
    return person.pk in (batch.created_by_id, batch.confirmed_by_id) or roles.sees_all(person)


def _pauses(message: Message) -> list[AccountPause]:
    """What keeps a message from being sent now; no one asks before it has an account and a time."""
    if message.status != Message.Status.QUEUED or message.not_before is None:
        return []
    return pausing.holding_account(message.account, timezone.now(), urgent=message.urgent)


def _actions(message: Message, pauses: list[AccountPause], setup: EmailSetup) -> list[str]:
    """What may be done; Try now only where it would change something: what is due and paused waits all the same."""
    is_due = message.not_before is not None and message.not_before <= timezone.now()
    return [name for name in actions.possible_actions(message, setup) if not (name == "try_now" and is_due and pauses)]


@require_safe
@searches.in_turn
def neighbour(request: HttpRequest, pk: int, newer: bool) -> HttpResponse:
    """Redirect to the next message of the list as filtered, in its order (newest first)."""
    visible = roles.visible_messages(who(request))
    get_object_or_404(visible.only("pk"), pk=pk)
    found = MessageFilter(request.GET, queryset=visible).qs.order_by("pk" if newer else "-pk")
    other = found.filter(Q(pk__gt=pk) if newer else Q(pk__lt=pk)).values_list("pk", flat=True).first()
    if other is None:
        end = "first" if newer else "last"
        notes.info(request, f"That was the {end} message of the list.")
    url = reverse("message", args=[other or pk])
    query = query_of(request.GET)
    return redirect(f"{url}?{query}" if query else url)


def _promise(message: Message, words: str) -> str:
    """What will happen to a message that is due now: `words`, unless its account does not send."""
    pauses = _pauses(message)
    return f"It is due now, and goes out as soon as it can. {waits(pauses[0])}" if pauses else words


def _retry(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.retry(message, by=who(request), seen=seen)
    return _promise(message, "It is tried again now, for the recipients that have not accepted it.")


def _send_again(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.send_again(message, by=who(request), seen=seen)
    return _promise(message, "It is sent again now.")


def _mark_as_sent(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.mark_as_sent(message, by=who(request), seen=seen)
    rest = rest_of(message, dict(message.recipients.values_list("status").annotate(Count("pk"))))
    return f"Marked as sent. {rest}".strip()


def _try_now(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.try_now(message, by=who(request), seen=seen)
    return _promise(message, "It is tried now.")


def _release(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.release(message, by=who(request), seen=seen)
    message.refresh_from_db()
    return released(message)


class _NotHeld(actions.NotPossible):
    """What was typed is to be corrected."""

    def __init__(self, form: HoldForm) -> None:
        super().__init__(form.in_words())
        self.form = form


def _hold(request: HttpRequest, message: Message, seen: Shown) -> str:
    form = HoldForm(request.POST)
    if not form.is_valid():
        raise _NotHeld(form)
    actions.hold(message, by=who(request), why=form.cleaned_data["why"], until=form.cleaned_data["until"])
    return "Held: no batch and no schedule takes it."


def _cancel(request: HttpRequest, message: Message, seen: Shown) -> str:
    form = CancelForm(request.POST)
    if not form.is_valid():
        raise actions.NotPossible(form.in_words())
    actions.cancel(message, by=who(request), why=form.cleaned_data["why"], seen=seen)
    return "Cancelled: it will not be sent."


def _hand_over(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.open_in_mail_program(message, by=who(request), seen=seen)
    return "Handed over to your mail program. Nothing else sends it in the meantime."


def _sent_from_mail_program(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.sent_from_mail_program(message, by=who(request), seen=seen)
    return "Recorded as sent. It will not be sent again."


def _put_back(request: HttpRequest, message: Message, seen: Shown) -> str:
    actions.put_back(message, by=who(request), seen=seen)
    message.refresh_from_db()
    state = message.get_status_display()
    then = once_queued(message) if message.status == Message.Status.QUEUED else ""
    return f"Put back: the message is “{state}” again{then}. Delete the draft in the mail program."


ACTIONS: dict[str, Callable[[HttpRequest, Message, Shown], str]] = {
    "retry": _retry,
    "send-again": _send_again,
    "mark-as-sent": _mark_as_sent,
    "try-now": _try_now,
    "release": _release,
    "hold": _hold,
    "cancel": _cancel,
    "hand-over": _hand_over,
    "sent-from-mail-program": _sent_from_mail_program,
    "put-back": _put_back,
}


@operators_only
@post_only
def act(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """One of ACTIONS on a message; back to its page, which says what came of it."""
    if action not in ACTIONS:
        raise Http404
    message = get_object_or_404(roles.visible_messages(who(request)), pk=pk)
    try:
        notes.success(request, ACTIONS[action](request, message, shown.of(request)))
    except _NotHeld as error:
        notes.warning(request, str(error))
        return _page(request, pk, passed_on(request), error.form, status=422)
    except actions.NotPossible as error:
        notes.warning(request, str(error))
    return back_to(request, message.get_absolute_url())
