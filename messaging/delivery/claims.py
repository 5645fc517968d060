"""Take a message under a lease, say how far it got, record its outcome, give it back.

All SQL of delivery is here. A claim is (owner, fence): every write names both, so whoever lost the lease can write
nothing. PostgreSQL locks the rows (SKIP LOCKED); SQLite takes the write lock at BEGIN (IMMEDIATE). The same code
serves both. What several lanes of a process write at one time is committed together (group_commit.py).
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.dateparse import parse_datetime

from messaging.models import (
    AccountPause,
    ActiveLane,
    Attachment,
    AttemptOutcome,
    Batch,
    BatchItem,
    Category,
    Message,
    MessageContent,
    MessageEvent,
    Recipient,
    SendAttempt,
)
from messaging.setup.layers import Rate

from .group_commit import GroupCommit
from .outcomes import UNKNOWN, Stage
from .sql import insert_each, lock_each, run_together, update_each

log = logging.getLogger(__name__)

Status = Message.Status
RELEASED: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None, "in_data": False, "handover": None}
ADVISORY_LOCK = 0x6F757472  # "outr": so that nobody else's advisory locks on this database are ours
# Seconds to wait with a known outcome for a database that is away: longer than any lease, because the fence tells
# whether it may still be written.
DATABASE_PATIENCE = 600.0
MESSAGE_STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END)
CONTENT_READ_AHEAD = 128 * 1024  # octets; larger texts are read when it is their turn


class LeaseLost(Exception):
    """Somebody else decides about this message by now; forget it."""


class LimitReached(Exception):
    """The account has sent what it may for now; `rate` is the limit, `until` when it may send again."""

    def __init__(self, rate: Rate, until: datetime) -> None:
        super().__init__(f"{rate.number} per {rate.unit} until {until}")
        self.rate = rate
        self.until = until


@dataclass(frozen=True)
class Decision:
    """What to write on the message row: its new state, and when again."""

    status: str
    tries: int
    not_before: datetime | None = None
    category: str = ""
    reason: str = ""
    give_up_at: datetime | None = None
    max_tries: int | None = None


@dataclass(frozen=True)
class Terms:
    """What an account's claims have to keep to."""

    rates: Sequence[Rate] = ()
    urgent_only: bool = False


# --- Claims ----------------------------------------------------------------------------------------


def take(account_id: int | None, owner: str, limit: int, now: datetime, terms: Terms = Terms()) -> list[Message]:
    """Claim up to `limit` due messages of an account: urgent ones first, then oldest due first.

    Raises:
        LimitReached: a rate is used up.
    """
    with transaction.atomic():
        if terms.rates:
            _one_at_a_time(account_id)
            limit = min(limit, _allowance(account_id, terms.rates, now))
        due = _DUE.format(account="IS NULL" if account_id is None else f"= {int(account_id)}")
        messages = _claim(f"{due} AND urgent", [now], owner, limit, now)
        if len(messages) < limit and not terms.urgent_only:
            paused = _PAUSED.format(account="IS NULL" if account_id is None else f"= {int(account_id)}")
            which = f"{due} AND NOT urgent AND NOT EXISTS ({paused})"
            messages += _claim(which, [now, now], owner, limit - len(messages), now)
        _read_recipients(messages)
    return messages


def take_one(message_id: int, owner: str, now: datetime) -> Message | None:
    """Claim one queued message whether due or not; None when it cannot be had."""
    with transaction.atomic():
        claimed = _claim("due.id = %s", [message_id], owner, 1, now)
        _read_recipients(claimed)
    return claimed[0] if claimed else None


# Written out because a claim is as frequent as ten or twenty deliveries, and Django takes milliseconds to build it.
_DUE = """due.account_id {account} AND due.not_before <= %s
    AND NOT EXISTS (SELECT 1 FROM messaging_batch WHERE id = due.batch_id AND status = 'cancelled')"""
# Asked again here: a person may have paused sending since the lane was given leave.
_PAUSED = """SELECT 1 FROM messaging_accountpause WHERE ended_at IS NULL AND (until IS NULL OR until > %s)
    AND (kind = 'all' OR kind = 'person' AND account_id {account})"""
_COLUMNS = ", ".join(
    str(field.column)
    for field in Message._meta.concrete_fields
    if field.name not in ("recipients_text", "subject", "from_header", "message_id", "handover")
)


def _claim(which: str, values: list[Any], owner: str, limit: int, now: datetime) -> list[Message]:
    lock = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    statement = f"""
        UPDATE messaging_message
        SET status = 'sending', lease_owner = %s, lease_expires_at = %s, fence = fence + 1, in_data = FALSE,
            handover = NULL
        WHERE id IN (SELECT due.id FROM messaging_message AS due WHERE due.status = 'queued' AND {which}
                     ORDER BY due.not_before, due.id LIMIT %s {lock})
        RETURNING {_COLUMNS}"""  # noqa: S608
    stored = [_adapted(value) for value in (owner, _lease_end(now), *values, limit)]
    return sorted(Message.objects.raw(statement, stored), key=lambda message: (message.not_before or now, message.pk))


def _adapted(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def _read_recipients(messages: Sequence[Message]) -> None:
    """What prefetch_related would do, and the texts of small messages, in a tenth of its time."""
    _read_rows(messages, Recipient, "recipients")
    _read_rows([message for message in messages if message.attachment_count], Attachment, "attachments")
    small = {message.pk: message for message in messages if _text_size(message) <= CONTENT_READ_AHEAD}
    for content in _of_messages(MessageContent, list(small)):
        small[content.pk].content = content


def _read_rows(messages: Sequence[Message], model: type[Recipient] | type[Attachment], name: str) -> None:
    found: dict[int, list[Any]] = {message.pk: [] for message in messages}
    for row in _of_messages(model, list(found)):
        found[row.message_id].append(row)
    for message in messages:
        rows: QuerySet[Any] = model.objects.all()
        rows._result_cache = found[message.pk]
        message.__dict__.setdefault("_prefetched_objects_cache", {})[name] = rows


def _of_messages(model: type[Any], ids: Sequence[int]) -> Iterable[Any]:
    if not ids:
        return ()
    marks = ", ".join(["%s"] * len(ids))
    order = model._meta.pk.column
    return model.objects.raw(
        f"SELECT * FROM {model._meta.db_table} WHERE message_id IN ({marks}) ORDER BY {order}",  # noqa: S608
        ids,
    )


def _text_size(message: Message) -> int:
    attachments = message.attachments.all() if message.attachment_count else ()
    return message.size - sum(attachment.encoded_size for attachment in attachments)


def enter(account_id: int | None, owner: str, at_most: int, now: datetime) -> bool:
    """Register a lane at work; False when `at_most` are already."""
    with transaction.atomic():
        _one_at_a_time(account_id)
        lanes = ActiveLane.objects.filter(account_id=account_id)
        lanes.filter(expires_at__lt=now).delete()
        if lanes.count() >= at_most:
            return False
        ActiveLane.objects.create(owner=owner, account_id=account_id, expires_at=_lease_end(now))
    return True


def leave(owner: str) -> None:
    """The lane has ended."""
    ActiveLane.objects.filter(owner=owner).delete()


def lanes_at_work(account_id: int | None, now: datetime, *, besides: str = "") -> int:
    """How many lanes, `besides` one, are at work for an account."""
    return ActiveLane.objects.filter(account_id=account_id, expires_at__gte=now).exclude(owner=besides).count()


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def _one_at_a_time(account_id: int | None) -> None:
    """Let the lanes of one account wait for each other, so that together they keep to its limits."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_LOCK, account_id or 0])


def _allowance(account_id: int | None, rates: Sequence[Rate], now: datetime) -> int:
    """How many messages the account may take on now: counted from its attempts, so that nothing can get out of step.

    Raises:
        LimitReached: none.
    """
    attempts = SendAttempt.objects.filter(account_id=account_id, started_at__lte=now)
    at_hand = Message.objects.filter(status=Status.SENDING, account_id=account_id).count()
    free = []
    for rate in rates:
        begun = attempts.filter(started_at__gt=now - rate.period)
        free.append(rate.number - begun.count() - at_hand)
        if free[-1] <= 0:
            times = begun.order_by("-started_at").values_list("started_at", flat=True)
            in_the_way = max(0, rate.number - at_hand - 1)
            oldest = times[in_the_way : in_the_way + 1].first() or now
            raise LimitReached(rate, max(oldest + rate.period, now + timedelta(seconds=1)))
    return min(free)


def renew(owner: str, now: datetime) -> int:
    """Put the end of an owner's leases off; how many messages that were."""
    ActiveLane.objects.filter(owner=owner).update(expires_at=_lease_end(now))
    return Message.objects.filter(lease_owner=owner, status=Status.SENDING).update(lease_expires_at=_lease_end(now))


def renew_all(now: datetime) -> int:
    """Give every lease its full time from now on: the clock jumped, and what it says about their ends means nothing."""
    ActiveLane.objects.update(expires_at=_lease_end(now))
    return Message.objects.filter(status=Status.SENDING).update(lease_expires_at=_lease_end(now))


def give_back(owner: str) -> int:
    """Return to the queue what an owner claimed and did not start; tries unspent."""
    return _give_back(Q(lease_owner=owner))


def take_back(account_id: int | None, *, everybody: bool = False) -> int:
    """Take from the lanes of an account (or of all) what they have claimed and not started; urgent messages go on."""
    return _give_back(Q(urgent=False) if everybody else Q(urgent=False, account_id=account_id))


def _give_back(which: Q) -> int:
    with transaction.atomic():
        claimed = Message.objects.filter(which, status=Status.SENDING, in_data=False)
        # In one order everywhere: whoever locks many of these rows must not wait for each other in a circle.
        ids = list(claimed.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        return Message.objects.filter(pk__in=ids).update(status=Status.QUEUED, **RELEASED)


# --- How far it got, and what came of it -------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """What a lane has to write about one message it holds; `attempt` when it is over."""

    message: Message
    values: dict[str, Any]
    attempt: SendAttempt | None = None
    recipients: Sequence[Recipient] = ()


def start_data(message: Message, attempt: SendAttempt, now: datetime) -> None:
    """Commit, before any content is sent, that the message may be accepted from now on.

    Raises:
        LeaseLost: the claim is not ours any more.
        DatabaseError: the database is away for longer than a lease, or at fault.
    """
    handover = {
        "account": attempt.account_id,
        "batch": attempt.batch_id,
        "started_at": attempt.started_at.isoformat(),
        "server": attempt.server,
        "tls": attempt.tls,
        "recipients": attempt.recipients,
    }
    change = _Change(message, {"in_data": True, "handover": handover})
    _settle(change, _commit(change), settings.LEASE_SECONDS)
    message.in_data = True


def record(message: Message, attempt: SendAttempt, recipients: Iterable[Recipient], decision: Decision) -> None:
    """Commit the outcome of an attempt: message, changed recipients and attempt, all or nothing.

    Raises:
        LeaseLost: the claim is not ours any more; nothing is written.
        IntegrityError: the account or the batch of the attempt is gone.
    """
    record_soon(message, attempt, recipients, decision)()


def record_soon(
    message: Message, attempt: SendAttempt, recipients: Iterable[Recipient], decision: Decision
) -> Callable[[], None]:
    """Like `record`, but returns at once; call what it returns to wait. What is started later is committed later."""
    assert attempt.finished_at is not None
    values = {
        "status": decision.status,
        "tries": decision.tries,
        "not_before": decision.not_before,
        "give_up_at": decision.give_up_at,
        "max_tries": decision.max_tries,
        "reason_category": decision.category,
        "reason": decision.reason[:500],
        "sent_at": attempt.finished_at if decision.status == Status.SENT else message.sent_at,
        **RELEASED,
    }
    change = _Change(message, values, attempt, list(recipients))
    future = _commit(change)
    return lambda: _settle(change, future)


def _commit(change: _Change) -> "Future[bool]":
    if not connection.in_atomic_block:
        return _together.submit(change)
    # Within a caller's transaction nobody else can write for us.
    future: Future[bool] = Future()
    future.set_result(_write([change])[0])
    return future


def _settle(change: _Change, future: "Future[bool]", seconds: float | None = None) -> None:
    try:
        was_held = future.result(seconds)
    except FutureTimeoutError as error:
        future.cancel()
        raise OperationalError("the database is away") from error
    if not was_held:
        raise LeaseLost(f"message {change.message.pk}, fence {change.message.fence}")


def _write(changes: Sequence[_Change]) -> list[bool]:
    """Write what several lanes have to say in one transaction; of each, whether its claim still held."""
    over = [change for change in changes if change.attempt is not None]
    started = [change for change in changes if change.attempt is None]
    heard = [(change, recipient) for change in over for recipient in change.recipients]
    statements = [
        lock_each(Message, [change.message.pk for change in changes], LEASE, Status.SENDING),
        *update_each(Recipient, HEARD, [(row.pk, *_of(row, HEARD), *_claim_of(change)) for change, row in heard],
                     _held(len(HEARD) + 1)),
        *insert_each(SendAttempt, ATTEMPT, [(*_of(change.attempt, ATTEMPT), *_claim_of(change)) for change in over],
                     _held(len(ATTEMPT))),
        *update_each(Message, DECIDED, [_decided(change) for change in over], _held(len(DECIDED) + 1)),
        *update_each(Message, STARTED, [_decided(change) for change in started], _held(len(STARTED) + 1)),
    ]  # fmt: skip
    owned = set(run_together(statements))
    held = [_claim_of(change) in owned for change in changes]
    for change, is_held in zip(changes, held, strict=True):
        if is_held and change.values.get("status") == Status.QUEUED and change.message.batch_id:
            _leave_cancelled_batch(change.message)
    return held


LEASE = ("lease_owner", "fence")
STARTED = ("in_data", "handover")
DECIDED = (
    "status",
    "tries",
    "not_before",
    "give_up_at",
    "max_tries",
    "reason_category",
    "reason",
    "sent_at",
    *RELEASED,
)
HEARD = ("status", "reply_code", "enhanced_code", "reply_text", "decided_at")
ATTEMPT = tuple(field.attname for field in SendAttempt._meta.concrete_fields if not field.primary_key)


def _of(row: Any, names: Sequence[str]) -> list[Any]:
    return [getattr(row, name) for name in names]


def _decided(change: _Change) -> tuple[Any, ...]:
    return (change.message.pk, *change.values.values(), *_claim_of(change))


def _claim_of(change: _Change) -> tuple[int, str, int]:
    return change.message.pk, change.message.lease_owner, change.message.fence


@cache
def _held(first: int) -> str:
    """The condition that the claim in the values from `first` (message, owner, fence) still holds."""
    # A value and not EXISTS: that would be planned as a join, over an index full of what was sent a moment ago.
    return (
        f"(SELECT claimed.lease_owner = {{{first + 1}:text}} AND claimed.fence = {{{first + 2}}} "  # noqa: S608
        f"AND claimed.status = '{Status.SENDING}' FROM messaging_message AS claimed WHERE claimed.id = {{{first}}})"
    )


_together: GroupCommit[_Change] = GroupCommit(_write, DATABASE_PATIENCE)


def _leave_cancelled_batch(message: Message) -> None:
    """What comes back after its batch was cancelled waits for another batch, not for its next try."""
    items = BatchItem.objects.filter(message=message, batch=message.batch_id or 0, batch__status=Batch.Status.CANCELLED)
    if items.update(outcome=Status.CANCELLED):
        Message.objects.filter(pk=message.pk).update(batch=None, not_before=None, account=None)


def others_served_since(message: Message) -> bool:
    """Whether the account's server took another message after it had last refused this one: then it minds this one."""
    refused = SendAttempt.objects.filter(message=message, stage__in=MESSAGE_STAGES)
    refused = refused.exclude(outcome=AttemptOutcome.ACCEPTED)
    last = refused.order_by("-id").values_list("started_at", flat=True).first()
    if last is None:
        return False
    taken = SendAttempt.objects.filter(account_id=message.account_id, outcome=AttemptOutcome.ACCEPTED)
    return taken.filter(started_at__gt=last).exists()


# --- What others decide ------------------------------------------------------------------------------


def rescue(now: datetime, was_away: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Decide about messages whose lease ended: their worker stopped or lost the database.

    One that may have been accepted gets a second lease's time, and all of it again if `was_away` says that nobody
    could renew or write until now: a worker that knows the outcome may still be waiting to write it.

    Returns:
        (back in the queue, unknown): never handed over; possibly accepted.
    """
    second_lease = now - timedelta(seconds=settings.LEASE_SECONDS)
    ended = Q(in_data=False, lease_expires_at__lt=now) | Q(in_data=True, lease_expires_at__lt=second_lease)
    expired = Message.objects.filter(ended, status=Status.SENDING)
    if not expired.exists():
        return 0, 0
    if was_away():
        expired.filter(in_data=True).update(lease_expires_at=_lease_end(now))
        expired = expired.filter(in_data=False)
    with transaction.atomic():
        messages = list(expired.select_for_update(skip_locked=True, of=("self",))[:1000])
        requeued = [message for message in messages if not message.in_data]
        Message.objects.filter(pk__in=[message.pk for message in requeued]).update(status=Status.QUEUED, **RELEASED)
        MessageEvent.objects.bulk_create(
            MessageEvent(
                message=message, at=now, what="Back in the queue: the worker that had it stopped before sending it"
            )
            for message in requeued
        )
        unknown = [message for message in messages if message.in_data]
        for message in unknown:
            _leave_unknown(message, now)
    if messages:
        log.warning("leases ended: %d back in the queue, %d unknown", len(requeued), len(unknown))
    return len(requeued), len(unknown)


def _leave_unknown(message: Message, now: datetime) -> None:
    attempt = _last_words(message)
    attempt.finished_at = now
    attempt.stage = Stage.END
    attempt.outcome = AttemptOutcome.UNKNOWN
    attempt.category = Category.NETWORK
    attempt.explanation = "The worker stopped after the message was handed over and before the reply was recorded."
    attempt.advice = UNKNOWN.advice
    attempt.save()
    refused = {reply["address"]: reply for reply in attempt.recipients if reply["outcome"] != AttemptOutcome.UNKNOWN}
    for recipient in message.recipients.filter(status=Recipient.Status.PENDING):
        reply = refused.get(recipient.address)
        if reply is None:
            recipient.status = Recipient.Status.UNKNOWN
        else:
            recipient.reply_code, recipient.enhanced_code = reply["reply_code"], reply["enhanced_code"]
            recipient.reply_text = reply["reply_text"]
            if reply["outcome"] == AttemptOutcome.PERMANENT:
                recipient.status = Recipient.Status.FAILED
        recipient.decided_at = now
        recipient.save()
    Message.objects.filter(pk=message.pk).update(
        status=Status.UNKNOWN,
        tries=message.tries + 1,
        reason_category=Category.NETWORK,
        reason=attempt.explanation,
        **RELEASED,
    )


def _last_words(message: Message) -> SendAttempt:
    """The attempt that its worker did not live to record."""
    said = message.handover or {}
    started_at = parse_datetime(said.get("started_at", "")) or message.lease_expires_at
    assert started_at is not None
    return SendAttempt(
        message=message,
        account=message.account,
        batch=message.batch,
        fence=message.fence,
        started_at=started_at,
        server=said.get("server", ""),
        tls=said.get("tls", ""),
        recipients=said.get("recipients", []),
    )


def _due(now: datetime) -> QuerySet[Message]:
    """Queued and due; what a cancelled batch still holds is not."""
    return Message.objects.filter(status=Status.QUEUED, not_before__lte=now).exclude(
        batch__status=Batch.Status.CANCELLED
    )


def due_accounts(now: datetime) -> Sequence[int | None]:
    """Accounts with messages that are due and may go out; where a person paused, only urgent ones may."""
    current = AccountPause.objects.annotate(key=Coalesce("account_id", 0)).filter(Q(until=None) | Q(until__gt=now))
    own = current.filter(key=Coalesce(OuterRef("account_id"), 0))
    everybody = current.filter(kind=AccountPause.Kind.ALL)
    stopped = Exists(own.filter(kind__in=AccountPause.STOP_URGENT))
    waiting = Exists(own.exclude(kind__in=AccountPause.STOP_URGENT)) | Exists(everybody)
    due = _due(now).exclude(stopped).exclude(Q(urgent=False) & waiting)
    return list(due.order_by().values_list("account_id", flat=True).distinct())


def due_count(account_id: int | None, now: datetime) -> int:
    return _due(now).filter(account_id=account_id).count()
