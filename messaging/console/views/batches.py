"""Batch Message Processing (S7): choose, review, confirm, follow, report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Left
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import HttpResponseStopPolling, push_url, trigger_client_event

from messaging.access import roles
from messaging.console import searches
from messaging.console.filters import WaitingFilter, ids_in, query_of, toolbar
from messaging.console.paging import Page, page_of
from messaging.console.preflight import preflight
from messaging.lifecycle.waiting import FREE, waiting
from messaging.models import Batch, BatchItem, Message
from messaging.queue import actions, batches, pausing
from messaging.queue.actions import NotPossible
from messaging.queue.snapshots import Snapshot
from messaging.setup.layers import resolve
from messaging.wording import changes_in_words, moment, person

from .guard import back_to, clean_url, is_part, operators_only, post_only, who
from .messages import RECIPIENTS_SHOWN, rows_for_a_list

PER_PAGE = 100
REASONS_SHOWN = 50
SKIPPED_SHOWN = 200  # of those that a draft would skip; the list below names them, too
BAR_ORDER = ("sent", "failed", "unknown", "held", "cancelled", "skipped", "retrying", "sending")


def free(user: User) -> QuerySet[Message]:
    """What a batch of this person may take, also before its time: in no other batch, and theirs to see."""
    return roles.visible_messages(user).filter(FREE)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
@searches.in_turn
def new(request: HttpRequest) -> HttpResponse:
    """Choose messages; POST makes a draft of them and leads to its review."""
    return _choose(request) if request.method == "POST" else _offer(request)


def _offer(request: HttpRequest) -> HttpResponse:
    filters = WaitingFilter(request.GET, queryset=free(who(request)))
    found = filters.qs
    now = timezone.now()
    counts = found.order_by().aggregate(total=Count("pk"), number=Count("pk", filter=waiting(now)))
    page = page_of(found, rows_for_a_list(), request.GET.get("page"), total=counts["total"], size=PER_PAGE)
    number = counts["number"]
    context = {
        "filters": filters,
        "helper": toolbar(filters.form, reverse("batch-new"), "#list"),
        "page": page,
        "number": number,
        "later": page.total - number,
        "now": now,
        "query": query_of(request.GET, "page"),
    }
    if not is_part(request):
        return render(request, "batches/new.html", context)
    return push_url(render(request, "batches/_choice.html", context), clean_url(request))


def _choose(request: HttpRequest) -> HttpResponse:
    try:
        batch = batches.choose(_chosen(request), by=who(request), account=who(request))
    except NotPossible as error:
        notes.warning(request, str(error))
        return back_to(request, reverse("batch-new"))
    return redirect(batch)


def _chosen(request: HttpRequest) -> QuerySet[Message]:
    """The messages ticked, or all that match the filter and wait. Raises NotPossible."""
    if request.POST.get("all_matching") == "1":
        filters = WaitingFilter(QueryDict(request.POST.get("filter", "")), queryset=free(who(request)))
        return filters.all_that_match.filter(waiting(timezone.now()))
    return roles.visible_messages(who(request)).filter(pk__in=ids_in(request.POST.getlist("message")))


@require_safe
def all_batches(request: HttpRequest) -> HttpResponse:
    """The batches so far, the newest first."""
    found, among = _seen_by(who(request))
    rows = found.select_related("created_by", "confirmed_by", "account")
    page = page_of(found, rows, request.GET.get("page"), total=found.count())
    counts = batches.counts_of(page.rows, among)
    listed = [(batch, sum(counts[batch.pk].values()), counts[batch.pk]) for batch in page.rows]
    return render(request, "batches/list.html", {"page": page, "batches": listed})


@require_safe
def batch_page(request: HttpRequest, pk: int) -> HttpResponse:
    """A draft's review, or the progress and report of a confirmed batch."""
    batch, among = _get(request, pk)
    seen, _ = _seen_by(who(request))
    context: dict[str, Any] = {
        "batch": batch,
        "sees_retried": batch.retry_of_id is not None and seen.filter(pk=batch.retry_of_id).exists(),
    }
    if batch.status == Batch.Status.DRAFT:
        context["reviewed"] = _named(batches.review(batch, who(request)))
        if since := _review_in(request.GET.get("since")):
            context |= _changes(batch, among, since, who(request))
        context |= _review(batch, among, who(request))
        context |= _items(request, batch, among, {"total": context["total"]})
        return render(request, "batches/review.html", context)
    if batch.source == "schedule":
        context["run"] = batch.schedule_runs.select_related("schedule", "by").first()
    context |= _standing(batch, among)
    context |= _items(request, batch, among, context["report"].counts)
    return render(request, "batches/report.html", context)


Among = QuerySet[Message] | None


def _seen_by(user: User) -> tuple[QuerySet[Batch], Among]:
    """The batches a person may see, and which of their messages (None: all), with one look at the options."""
    found = Batch.objects.exclude(status=Batch.INCOMPLETE)
    if roles.sees_all(user):
        return found, None
    return found.filter(Q(created_by=user) | Q(confirmed_by=user)), Message.objects.filter(author=user)


def _get(request: HttpRequest, pk: int) -> tuple[Batch, Among]:
    found, among = _seen_by(who(request))
    found = found.select_related("created_by", "confirmed_by", "account", "retry_of", "cancelled_by")
    return get_object_or_404(found, pk=pk), among


def _hidden(batch: Batch, among: Among) -> int:
    """How many of a batch's messages a person may not see (any more)."""
    return 0 if among is None else batch.items.exclude(message__in=among).count()


def _review(batch: Batch, among: Among, person: User) -> dict[str, Any]:
    """What would happen if this person confirmed it now: to which messages, and with whose settings if they may."""
    skipped = batches.to_skip(batch, among)
    number_skipped = skipped.count()
    total = batches.items(batch, among=among).count()
    chosen = {
        "left_out": _hidden(batch, among),
        "skipped": batches.skip_reasons(skipped[:SKIPPED_SHOWN]) if number_skipped else [],
        "number_skipped": number_skipped,
        "total": total,
        "number": total - number_skipped,
        "preflight": preflight(batch, among),
    }
    return chosen | _settings_of(batches.sending_account(batch, person)) if roles.may_operate(person) else chosen


def _changes(batch: Batch, among: Among, since: batches.Review, reader: User) -> dict[str, Any]:
    """What is another one since the review that this person was shown before: the messages that were edited, with by
    whom, when, and what; those that changed otherwise; whether the settings are others.
    """
    edited = [
        (edit.message, f"{actions.named(edit.by, reader)} {moment(edit.at)}: {changes_in_words(edit.changes)}.")
        for edit in batches.edited_since(batch, since, among)
    ]
    known = {message.pk for message, _ in edited}
    changed = [message for message in batches.changed_since(batch, since, among) if message.pk not in known]
    return {
        "edited": edited,
        "changed": changed,
        "has_other_settings": batches.has_other_settings(since, batch, reader),
        "sees_more": roles.sees_all(reader) and not since.sees_all,
    }


def _named(review: batches.Review) -> str:
    """As a form and a link name it."""
    return f"{review.mark.named}_{int(review.sees_all)}_{review.settings}"


def _review_in(text: str | None) -> batches.Review | None:
    """The reverse of _named; None for what is none."""
    mark, _, rest = (text or "").rpartition("_")
    mark, _, sees_all = mark.rpartition("_")
    found = Snapshot.of(mark)
    return None if found is None else batches.Review(found, sees_all == "1", rest)


def _settings_of(account: User | None) -> dict[str, Any]:
    setup = resolve(account)
    return {
        "account": account,
        "setup": setup,
        "problems": setup.problems(),
        "warnings": setup.warnings(),
        "pauses": pausing.holding_account(account, timezone.now()),
    }


def _items(request: HttpRequest, batch: Batch, among: Among, counts: Mapping[str, int]) -> dict[str, Any]:
    """The named messages of a batch, of one outcome if asked for, page by page; `counts` as in its report."""
    outcome = request.GET.get("outcome", "")
    outcome = outcome if outcome in batches.RESULTS else ""
    found = batches.items(batch, outcome or None, among=among)
    rows = batches.items(batch).select_related("message__author")
    rows = rows.annotate(to_shown=Left("message__recipients_text", RECIPIENTS_SHOWN))
    rows = rows.defer("message__recipients_text", "message__message_id")
    total = counts.get(outcome or "total", 0)
    page: Page[BatchItem] = page_of(found, rows, request.GET.get("page"), total=total, size=PER_PAGE)
    return {"items": page, "outcome": outcome}


@dataclass(frozen=True)
class Segment:
    """A piece of the progress bar, in percent of its width."""

    result: str
    start: float
    width: float


def _standing(batch: Batch, among: Among) -> dict[str, Any]:
    report, now = batches.report(batch, among), timezone.now()
    waits = bool(report.counts["waiting"] or report.counts["retrying"])
    return {
        "report": report,
        "reasons": report.reasons[:REASONS_SHOWN],
        "more_reasons": len(report.reasons[REASONS_SHOWN:]),
        "number_of_more": sum(number for _, _, number in report.reasons[REASONS_SHOWN:]),
        "bar": _bar(report.counts),
        "hidden": _hidden(batch, among),
        "pauses": pausing.holding_account(batch.account, now) if waits else [],
        "now": now,
        "can_cancel": waits,
    }


def _bar(counts: dict[str, int]) -> list[Segment]:
    segments, start = [], 0.0
    for result in BAR_ORDER:
        width = 100 * counts[result] / max(counts["total"], 1)
        if width:
            segments.append(Segment(result, round(start, 3), round(width, 3)))
            start += width
    return segments


@require_safe
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The numbers of a batch, asked for every second while it runs; 286 tells htmx that it is over."""
    batch, among = _get(request, pk)
    context = {"batch": batch} | _standing(batch, among)
    response = render(request, "batches/_progress.html", context)
    if not context["report"].is_finished:
        return response
    response.status_code = HttpResponseStopPolling.status_code
    return trigger_client_event(response, "batch-finished")


@require_safe
def item_list(request: HttpRequest, pk: int) -> HttpResponse:
    """The list of a batch's messages alone."""
    batch, among = _get(request, pk)
    report = batches.report(batch, among)
    context = {"batch": batch, "report": report} | _items(request, batch, among, report.counts)
    return render(request, "batches/_items.html", context)


@operators_only
@post_only
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Release the batch; pressed twice, the second press shows it."""
    batch, _ = _get(request, pk)
    seen = _review_in(request.POST.get("reviewed")) or batches.Review()
    try:
        if not batches.confirm(batch, by=who(request), seen=seen):
            words = "discarded" if batch.confirmed_at is None else "confirmed"
            notes.info(request, f"This batch was already {words}; nothing was sent twice.")
    except batches.ChangedSinceReview:
        return redirect(f"{batch.get_absolute_url()}?since={_named(seen)}")
    except NotPossible as error:
        notes.error(request, str(error))
    return redirect(batch)


@operators_only
@post_only
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Discard a draft, or take out what has not gone yet: whichever the page offered."""
    batch, _ = _get(request, pk)
    if request.POST.get("status") != Batch.Status.CONFIRMED:
        return _discard(request, batch)
    number = batches.cancel(batch, by=who(request))
    words = "1 message is" if number == 1 else f"{number} messages are"
    waits = "waits" if number == 1 else "wait"
    others = " Other people’s messages stay in the batch." if batch.status == Batch.Status.CONFIRMED and number else ""
    notes.info(request, f"{words} back in the queue and {waits} for another batch.{others}")
    return redirect(batch)


def _discard(request: HttpRequest, batch: Batch) -> HttpResponse:
    if batches.discard(batch, by=who(request)):
        notes.info(request, f"Batch {batch.pk} was discarded; its messages still wait in the queue.")
        return redirect("batch-new")
    if batch.confirmed_at is None:
        notes.info(request, "This batch was already discarded.")
    else:
        by = f" by {person(batch.run_by)}" if batch.run_by else ""
        words = f"This batch was confirmed{by} in the meantime, and not discarded. Look at it again."
        notes.warning(request, words)
    return redirect(batch)


@operators_only
@post_only
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """A new draft of what failed; its review comes next."""
    batch, among = _get(request, pk)
    try:
        return redirect(batches.retry_failed(batch, by=who(request), among=among))
    except batches.NothingChosen:
        notes.warning(
            request, "None of the failed messages is left to retry: they were retried or changed in the meantime."
        )
    except NotPossible as error:
        notes.warning(request, str(error))
    return redirect(batch)
