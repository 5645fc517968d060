"""Batch Message Processing: choose, review, confirm (freeze), follow, cancel, retry the failed (S7).

A batch is prepared as a draft. Confirming is one transaction that releases those of its messages that still wait; the
others are skipped, and the item says why. So a second click, a second tab or a second person releases nothing twice.

The person who confirms a batch runs it: with their account (S9), and only what they may act on at that moment. Rights
change; what was chosen before is looked at again.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    Exists,
    F,
    Min,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from messaging import admission
from messaging.access import roles
from messaging.lifecycle import transitions
from messaging.lifecycle.many_keys import placeholders, with_keys
from messaging.lifecycle.transitions import carry_out, lock
from messaging.lifecycle.waiting import FREE, waiting
from messaging.models import Batch, BatchItem, Message, MessageVersion, Phrase, PhraseField
from messaging.queue import wake
from messaging.queue.actions import NotPossible, lock_account
from messaging.queue.chunks import in_chunks
from messaging.queue.snapshots import Snapshot
from messaging.setup.fields import SECRETS
from messaging.setup.layers import resolve
from messaging.wording import in_words, person

Status = Message.Status
State = BatchItem.State
CHUNK = 5000  # rows per statement, well below SQLite's limit of parameters
DRAFTS = (Batch.Status.DRAFT.value, Batch.INCOMPLETE)
PART = 2000  # items of a draft that are written in one transaction
DRAFTS_MOST = 20  # of one person, that wait to be confirmed
TOO_MANY_DRAFTS = (
    f"You have {DRAFTS_MOST} batches to review, and cannot have more. Confirm or discard some of them; the list of "
    "batches shows them as “To review”."
)

SKIPPED = {
    Status.QUEUED: "changed-meanwhile",
    Status.SENDING: "being-sent",
    Status.FAILED: "failed-before",
    Status.UNKNOWN: "unknown-before",
    Status.CANCELLED: "is-cancelled",
}
RESULTS = ("waiting", "sending", "retrying", "sent", "failed", "unknown", "held", "cancelled", "skipped")
UNFINISHED = ("waiting", "sending", "retrying")
NAMED = 20  # of what was edited, or is another one, since a review
EXPLAINED = ("failed", "unknown", "skipped", "retrying")


class ChangedSinceReview(NotPossible):
    """Nothing was confirmed: it would have been another batch than the review showed to the person."""

    def __init__(self) -> None:
        super().__init__("This batch has changed since its review was shown. Review it again.")


@dataclass(frozen=True)
class Review:
    """What a review shows to a person, as far as it may be another by now.

    Without values it is that of a form which does not say what it showed: then edits count, and nothing else.

    Attributes:
        mark: what there was before it was read.
        sees_all: whether it has the messages of everyone.
        settings: a digest of the account and of its settings, as they are shown.
    """

    mark: Snapshot = field(default_factory=Snapshot)
    sees_all: bool = True
    settings: str = ""


class NothingChosen(NotPossible):
    """No message was chosen, or none is left of those that were."""


def choose(
    messages: QuerySet[Message],
    *,
    by: User | None,
    account: User | None,
    source: Batch.Source = Batch.Source.CONSOLE,
    retry_of: Batch | None = None,
    at_most: int | None = None,
) -> Batch:
    """Make a draft of the chosen messages, in the order they came in; with `at_most`, of the oldest.

    Each PART is a transaction of its own: others write in between. Which messages are meant is asked once, before.

    Raises:
        NothingChosen
        NotPossible: the person has as many drafts as there may be.
    """
    ids = list(messages.order_by("id").values_list("pk", flat=True)[:at_most])
    if not ids:
        raise NothingChosen("No message was chosen. Tick the messages to process.")
    batch = _begin(by, created_by=by, account=account, source=source, retry_of=retry_of)
    try:
        for part in in_chunks(ids, PART):
            _add(batch, part)
        batch.status = Batch.Status.DRAFT
        batch.save(update_fields=["status"])
        _look_at_the_table(len(ids))
    except BaseException:
        with suppress(DatabaseError):  # then it is forgotten in time, and no one sees it until then
            _drop(batch)
        raise
    return batch


def _look_at_the_table(number: int) -> None:
    """The review that follows is planned by what PostgreSQL knows of the items, and that may be a minute old."""
    if number > PART and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {BatchItem._meta.db_table}")


def _begin(by: User | None, **columns: Any) -> Batch:
    """A batch that no one sees until it is a draft. Raises NotPossible where a person has as many as there may be."""
    with admission.ordered_by(by):
        if by is not None and columns["source"] == Batch.Source.CONSOLE:
            # One after the other, so that they are counted.
            User.objects.select_for_update(no_key=True).filter(pk=by.pk).first()
            if Batch.objects.filter(status__in=DRAFTS, created_by=by).count() >= DRAFTS_MOST:
                raise NotPossible(TOO_MANY_DRAFTS)
        return Batch.objects.create(status=Batch.INCOMPLETE, created_at=timezone.now(), **columns)


_ITEMS = f"""INSERT INTO {BatchItem._meta.db_table} (batch_id, message_id, state, outcome, reason)
    SELECT %s, id, %s, %s, NULL FROM {Message._meta.db_table} WHERE id IN ({{}}) ORDER BY id"""  # noqa: S608


def _add(batch: Batch, ids: Sequence[int]) -> None:
    """Make the items of a draft in one statement: thousands of them as objects take seconds."""
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS.format(placeholders(ids)), [batch.pk, State.CHOSEN, "", *ids])


def forget(before: datetime) -> None:
    """Drop the drafts that were made before that and not confirmed, or were discarded before it."""
    discarded = Q(status=Batch.Status.CANCELLED, confirmed_at=None, cancelled_at__lt=before)
    for batch in Batch.objects.filter(Q(status__in=DRAFTS, created_at__lt=before) | discarded):
        _drop(batch)


def _drop(batch: Batch) -> None:
    """Delete a draft, part by part: it is large where everything was chosen. What was confirmed meanwhile stays."""
    unconfirmed = Batch.objects.filter(pk=batch.pk, confirmed_at=None)
    if not unconfirmed.update(status=Batch.INCOMPLETE):
        return
    for part in in_chunks(list(batch.items.order_by("pk").values_list("pk", flat=True)), PART):
        with_keys(BatchItem.objects.all(), part).delete()
    unconfirmed.delete()


def sending_account(batch: Batch, by: User | None) -> User | None:
    """Whose settings a batch is sent with when that person runs it: their own (S9).

    What was made for another account than its maker’s stays with it: a command and a schedule name one.
    """
    is_personal = batch.account_id == batch.created_by_id
    return by if is_personal and by is not None else batch.account


def review(batch: Batch, by: User) -> Review:
    """To be asked for before a review is read: what is shown may be newer, never older."""
    return Review(Snapshot.now(), roles.sees_all(by), _settings_shown(sending_account(batch, by)))


def _settings_shown(account: User | None) -> str:
    setup = resolve(account)
    values = [
        (name, bool(each.value) if name in SECRETS else str(each.value), each.source)
        for name, each in setup.in_use.items()
    ]
    shown = (account and account.pk, values, setup.warnings())
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]


def _is_another(seen: Review, batch: Batch, by: User | None) -> bool:
    """Whether what a person sees, or is sent with, is not what a review showed, whatever became of the messages."""
    sees_more = by is not None and not seen.sees_all and roles.sees_all(by)
    return sees_more or has_other_settings(seen, batch, by)


def has_other_settings(seen: Review, batch: Batch, by: User | None) -> bool:
    """Whether the settings of a draft are others than a review showed."""
    return bool(seen.settings) and seen.settings != _settings_shown(sending_account(batch, by))


def edited_since(batch: Batch, seen: Review, among: QuerySet[Message] | None = None) -> list[MessageVersion]:
    """What was replaced in the messages of a draft after a review, the latest first; `among` as in items."""
    long = ("skeleton", "recipients", "fields", "attachments")
    found = MessageVersion.objects.filter(message__in=batch.items.values("message_id"), pk__gt=seen.mark.last[-1])
    found = found if among is None else found.filter(Exists(among.filter(pk=OuterRef("message_id"))))
    return list(found.select_related("message", "by").defer(*long).order_by("-pk")[:NAMED])


def changed_since(batch: Batch, seen: Review, among: QuerySet[Message] | None = None) -> list[Message]:
    """Messages of a draft that would be sent now, and are others than a review showed; `among` as in items."""
    free = _releasable(batch) if among is None else _releasable(batch).filter(pk__in=among.values("pk"))
    return list(free.filter(seen.mark.later).only("subject").order_by("pk")[:NAMED])


def confirm(batch: Batch, *, by: User | None, seen: Review | None = None) -> bool:
    """Release the chosen messages that still wait, and wake the lanes; the others are skipped and say why.

    Args:
        by: who runs it, with sending_account and for the messages they may act on now; None is a command or a clock.
        seen: the review that they were shown; None: no one reviews it.

    Returns:
        Whether this call did it; False when the batch was confirmed (or discarded) before.

    Raises:
        ChangedSinceReview: what would be sent now is not what it showed; the draft stays.
        NotPossible: the account may not send any more, or its email setup cannot send in bulk (S8); the draft
            stays.
    """
    account = sending_account(batch, by)
    problems = resolve(account).problems()
    if problems and batch.status == Batch.Status.DRAFT:
        raise NotPossible(phrases=problems)
    now = timezone.now()
    with lock_account(account, by=by):
        drafts = Batch.objects.filter(pk=batch.pk, status=Batch.Status.DRAFT)
        if not drafts.update(status=Batch.Status.CONFIRMED, confirmed_at=now, confirmed_by=by, account=account):
            batch.refresh_from_db()
            return False
        batch.refresh_from_db()
        _release(batch, _theirs(by), now, seen)
        wake.wake_after_commit(batch.account_id)
    return True


def _theirs(by: User | None) -> QuerySet[Message]:
    """The messages that a person may act on now; a command and a clock may act on all."""
    return Message.objects.all() if by is None else roles.visible_messages(by)


def _release(batch: Batch, theirs: QuerySet[Message], now: datetime, seen: Review | None) -> None:
    _leave_out(batch, theirs)
    transition = transitions.RETRY_IN_BATCH if batch.retry_of_id else transitions.IN_BATCH
    chosen = batch.items.filter(state=State.CHOSEN).values("message_id")
    # What is not free is with a faster one.
    ids = list(lock(Message.objects.filter(_free(batch), pk__in=chosen)).values_list("pk", flat=True))
    # Under their locks: a person who edits one from now on is told that it is being processed.
    if seen is not None and (seen.mark.changed(ids) or _is_another(seen, batch, batch.confirmed_by)):
        raise ChangedSinceReview
    source = {} if batch.source == Batch.Source.CONSOLE else {"source": batch.source}
    carry_out(
        transition, ids, by=batch.confirmed_by, at=now, params={"batch": batch.pk, **source},
        account=batch.account, not_before=now, batch=batch,
    )  # fmt: skip
    # By their keys: no statistics know yet what this transaction has written, and PostgreSQL would go through it by
    # the square.
    for part in in_chunks(ids, CHUNK):
        with_keys(batch.items.filter(state=State.CHOSEN), part, "message_id").update(state=State.RELEASED)
    _skip_the_rest(batch)


def _leave_out(batch: Batch, theirs: QuerySet[Message]) -> None:
    """Skip what the person who runs the batch may not act on (any more)."""
    others = batch.items.exclude(Exists(theirs.filter(pk=OuterRef("message_id"))))
    others.update(state=State.SKIPPED, reason=Phrase("not-theirs", by=person(batch.confirmed_by)))


def _skip_the_rest(batch: Batch) -> None:
    alike = _alike(batch.items.filter(state=State.CHOSEN))
    ids_of: dict[Phrase | None, list[int]] = {}
    firsts = list(alike)
    for start in range(0, len(firsts), CHUNK):
        for item, reason in skip_reasons(batch.items.filter(pk__in=firsts[start : start + CHUNK])):
            ids_of.setdefault(reason, []).extend(alike[item.pk])
    for reason, ids in ids_of.items():
        for start in range(0, len(ids), CHUNK):
            skipped = with_keys(BatchItem.objects.all(), ids[start : start + CHUNK])
            skipped.update(state=State.SKIPPED, reason=reason)


def _alike(items: QuerySet[BatchItem]) -> dict[int, list[int]]:
    """The keys of items by that of the first of them that is skipped for the same reason: the reason of each, by
    itself, takes seconds for thousands.
    """
    why_held = Case(When(message__status=Status.HELD, then=Cast("message__reason", TextField())))
    columns = ("message__batch_id", "message__status", "message__handed_to_id", "why_held", "message__sent_at")
    found: dict[tuple[Any, ...], list[int]] = {}
    for pk, *same, sent_at in items.annotate(why_held=why_held).order_by().values_list("pk", *columns):
        found.setdefault((*same, _minute(sent_at)), []).append(pk)
    return {ids[0]: ids for ids in found.values()}


def _free(batch: Batch) -> Q:
    """Messages a batch may take: queued and in no batch; a retry takes failed ones as well."""
    return FREE | Q(status=Status.FAILED, recipient_count__gt=0) if batch.retry_of_id else FREE


def _releasable(batch: Batch) -> QuerySet[Message]:
    return Message.objects.filter(batch_items__batch=batch).filter(_free(batch))


def to_skip(batch: Batch, among: QuerySet[Message] | None = None) -> QuerySet[BatchItem]:
    """The items of a draft that would be skipped if it were confirmed now; `among` as in items."""
    skipped = batch.items.exclude(message__in=_releasable(batch).values("pk"))
    return skipped if among is None else skipped.filter(message__in=among)


def skip_reasons(items: QuerySet[BatchItem]) -> list[tuple[BatchItem, Phrase | None]]:
    """Why each of some items of a draft cannot be released."""
    needed = ("subject", "status", "sent_at", "reason", "handed_to", "batch__source", "batch__account")
    people = ("batch__created_by", "batch__confirmed_by")
    names = [f"{who}__{name}" for who in people for name in ("username", "first_name", "last_name")]
    rows = items.select_related(*(f"message__{who}" for who in people)).only(
        "batch", *(f"message__{name}" for name in (*needed, *names))
    )
    return [(item, _why_not(item.message)) for item in rows]


def _why_not(message: Message) -> Phrase | None:
    """Why a message cannot be released."""
    other = message.batch
    if other is not None and message.status in (Status.QUEUED, Status.SENDING):
        return Phrase("in-other-batch", batch=other.pk, by=person(other.run_by))
    match Status(message.status):
        case Status.SENT:
            # By the minute: what is skipped for the same reason is written in one statement.
            at = _minute(message.sent_at)
            return Phrase("already-sent", at=at) if at else Phrase("already-sent")
        case Status.HELD if message.handed_to_id is not None:
            return message.reason
        case Status.HELD:
            return Phrase("is-held", reason=message.reason) if message.reason is not None else Phrase("is-held")
        case status:
            return Phrase(SKIPPED[status])


def _minute(at: datetime | None) -> datetime | None:
    return at and at.replace(second=0, microsecond=0)


_HERE = Q(message__batch=F("batch"))
RESULT = Case(
    When(state=State.SKIPPED, then=Value("skipped")),
    When(state=State.CHOSEN, then=Value("chosen")),
    When(~Q(outcome=""), then=F("outcome")),
    When(_HERE & Q(message__status=Status.QUEUED, message__tries__gt=0), then=Value("retrying")),
    When(_HERE & Q(message__status=Status.QUEUED), then=Value("waiting")),
    default=F("message__status"),
    output_field=CharField(),
)
# The same apart, for what asks of many: of items that were not released or whose message has left the batch, and of
# the messages that are in it. Each is counted by an index alone (batchitem_outcome, message_in_batch).
_SETTLED = Q(state__in=[State.SKIPPED, State.CHOSEN]) | Q(state=State.RELEASED, outcome__gt="")
_RESULT_OF_SETTLED = Case(When(state=State.RELEASED, then=F("outcome")), default=F("state"), output_field=CharField())
_RESULT_OF_MESSAGE = Case(
    When(status=Status.QUEUED, tries__gt=0, then=Value("retrying")),
    When(status=Status.QUEUED, then=Value("waiting")),
    default=F("status"),
    output_field=CharField(),
)
# Of a type, which PostgreSQL asks for where statements are put together.
_NO_REASON, _NO_TIME = Cast(Value(None), PhraseField()), Cast(Value(None), DateTimeField())
_EXPLAINED = Q(status__in=[Status.FAILED, Status.UNKNOWN]) | Q(status=Status.QUEUED, tries__gt=0)


def items(batch: Batch, outcome: str | None = None, *, among: QuerySet[Message] | None = None) -> QuerySet[Any]:
    """The batch's items in the order of its messages, with `.result`: one of RESULTS, or "chosen" for a draft.

    Args:
        outcome: keeps those of one result.
        among: keeps those of these messages, for a person who may not see the others.
    """
    rows = batch.items.select_related("message").annotate(result=RESULT).order_by("message_id")
    rows = rows if among is None else rows.filter(message__in=among)
    if outcome in (None, State.SKIPPED, State.CHOSEN):
        return rows.filter(state=outcome) if outcome else rows
    tried = {"retrying": Q(status=Status.QUEUED, tries__gt=0), "waiting": Q(status=Status.QUEUED, tries=0)}
    current = Message.objects.filter(tried.get(outcome, Q(status=outcome)), batch=batch)
    still_here = Q(outcome="", message__in=current.order_by().values("pk"))
    return rows.filter(Q(outcome=outcome) | still_here, state=State.RELEASED)


def _in_two(found: Iterable[int], among: QuerySet[Message] | None) -> tuple[QuerySet[Any], QuerySet[Any]]:
    """The settled items of some batches, and the messages that are in them, each with its `.result`."""
    settled = BatchItem.objects.filter(_SETTLED, batch__in=found).order_by()
    messages = (Message.objects.all() if among is None else among).filter(batch__in=found).order_by()
    settled = settled if among is None else settled.filter(message__in=among)
    return settled.annotate(result=_RESULT_OF_SETTLED), messages.annotate(result=_RESULT_OF_MESSAGE)


def counts_of(found: Iterable[Batch], among: QuerySet[Message] | None = None) -> dict[int, dict[str, int]]:
    """How many items of each batch have which result, by the batch's id; one statement. `among` as in items."""
    counts: dict[int, dict[str, int]] = {batch.pk: {} for batch in found}
    parts = [
        rows.values_list("batch_id", "result").annotate(number=Count("*")) for rows in _in_two(list(counts), among)
    ]
    for batch_id, result, number in parts[0].union(parts[1], all=True):
        counts[batch_id][result] = counts[batch_id].get(result, 0) + number
    return counts


@dataclass(frozen=True)
class Report:
    """How a batch stands at one moment: messages by result (see RESULTS), how many are done, when the next try is due.

    `reasons` are why messages failed, are unknown, were skipped or will be tried again: (result, in words, how many),
    the most frequent first; those that read alike are one.
    """

    counts: dict[str, int]
    next_try: datetime | None
    reasons: list[tuple[str, str, int]]

    @property
    def is_finished(self) -> bool:
        return not any(self.counts[name] for name in UNFINISHED)


def report(batch: Batch, among: QuerySet[Message] | None = None) -> Report:
    """Count the batch's items by result, in one statement, so that the numbers add up while lanes are at work.

    `among` as in items. It asks the database only, never Celery.
    """
    settled, messages = _in_two([batch.pk], among)
    # No one asks why most of them were sent, so these are counted without a look at their rows.
    counted, told = messages.exclude(_EXPLAINED), messages.filter(_EXPLAINED)
    parts = [
        rows.annotate(why=why).values_list("result", "why").annotate(number=Count("*"), next_try=next_try)
        for rows, why, next_try in (
            (settled, Coalesce("reason", "message__reason"), _NO_TIME),
            (counted, _NO_REASON, _NO_TIME),
            (told, F("reason"), Min("not_before")),
        )
    ]
    rows = parts[0].union(*parts[1:], all=True)
    found: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    tries = []
    for result, why, number, next_try in rows:
        found[result] += number
        if result in EXPLAINED:
            reasons[result, in_words(why)] += number
        if result == "retrying" and next_try is not None:
            tries.append(next_try)
    counts = {name: found[name] for name in RESULTS}
    total = sum(found.values())
    unfinished = sum(counts[name] for name in UNFINISHED)
    done = total - unfinished - found["chosen"]
    counts |= {"total": total, "done": done, "percent": 100 * done // total if total else 100}
    listed = [(result, words, number) for (result, words), number in reasons.items()]
    return Report(counts, min(tries, default=None), sorted(listed, key=lambda row: (-row[2], row)))


def cancel(batch: Batch, *, by: User | None) -> int:
    """Take what has not gone out back into the queue, where it waits for another batch; how many that were.

    What a lane has claimed but not begun to send is taken from it, too; the messages being sent at this moment are
    finished. A draft is discarded. A batch that is finished stays as it is. So does one with messages that the person
    may not act on (any more): these stay, and only the person's own are taken out.
    """
    with admission.ordered_by(by):
        number = _take_out(batch, by)
        left = Message.objects.filter(batch=batch, status__in=[Status.QUEUED, Status.SENDING])
        is_open = not _others(left, by).exists() and (bool(number) or left.exists())
        states = [Batch.Status.DRAFT, *([Batch.Status.CONFIRMED] if is_open else [])]
        _set_cancelled(batch, states, by)
        if batch.status == Batch.Status.CANCELLED:
            # Once more: what was being sent, and came back before anyone could see the batch as cancelled.
            wake.try_after_commit(lambda: _take_out(batch, by))
    return number


def discard(batch: Batch, *, by: User) -> bool:
    """Discard a draft; False when it was confirmed (or discarded) before, and stays as it is."""
    with admission.ordered_by(by):
        return _set_cancelled(batch, [Batch.Status.DRAFT], by)


def _set_cancelled(batch: Batch, states: Sequence[str], by: User | None) -> bool:
    """Only from one of these states; `batch` is as it is then."""
    values = {"status": Batch.Status.CANCELLED, "cancelled_at": timezone.now(), "cancelled_by": by}
    is_set = Batch.objects.filter(pk=batch.pk, status__in=states).update(**values)
    batch.refresh_from_db()
    return bool(is_set)


def _others(messages: QuerySet[Message], by: User | None) -> QuerySet[Message]:
    """Of some messages, those that a person may not act on."""
    return messages.exclude(Exists(_theirs(by).filter(pk=OuterRef("pk"))))


def _take_out(batch: Batch, by: User | None) -> int:
    claimed = Q(status=Status.SENDING, may_be_accepted=False)
    with transaction.atomic():
        # Locked first: what a lane begins meanwhile is not written down as taken out.
        rest = lock(_theirs(by).filter(Q(status=Status.QUEUED) | claimed, batch=batch))
        ids = list(rest.values_list("pk", flat=True))
        carry_out(transitions.OUT_OF_BATCH, ids, by=by, at=timezone.now(), params={"batch": batch.pk})
    return len(ids)


def retry_failed(batch: Batch, *, by: User | None, among: QuerySet[Message] | None = None) -> Batch:
    """A new draft of the messages that failed in this batch and have not been sent since; `among` as in items.

    Raises:
        NothingChosen: there are none.
        NotPossible: as in choose.
    """
    failed = items(batch, "failed", among=among).values("message_id")
    still_failed = Message.objects.filter(pk__in=failed, status=Status.FAILED)
    return choose(still_failed, by=by, account=by or batch.account, retry_of=batch)


def process_all(*, by: User | None, account: User | None, source: Batch.Source) -> Batch | None:
    """One run of Batch Message Processing over all that wait in the queue; None when nothing does.

    Raises:
        NotPossible: the account's email setup cannot send in bulk.
    """
    return process(Message.objects.filter(waiting(timezone.now())), by=by, account=account, source=source)


def process(
    messages: QuerySet[Message],
    *,
    by: User | None,
    account: User | None,
    source: Batch.Source,
    at_most: int | None = None,
) -> Batch | None:
    """Choose and confirm in one go; None when there is nothing (any more).

    Raises:
        NotPossible: the account's email setup cannot send in bulk; no batch is left.
    """
    if not messages.exists():
        return None
    try:
        batch = choose(messages, by=by, account=account, source=source, at_most=at_most)
    except NothingChosen:
        return None  # another run was faster
    try:
        confirm(batch, by=by)
    except NotPossible:
        _drop(batch)
        raise
    if not batch.items.filter(state=State.RELEASED).exists():
        batch.delete()  # another run at the same moment took them all
        return None
    return batch
