"""Take due messages of an account under a lease, renew it, give them back; and who is at work.

A claim is (owner, fence): every write of a lane names both (ledger.py), so whoever lost the lease can write nothing.
PostgreSQL locks the rows (SKIP LOCKED); SQLite takes the write lock at BEGIN (IMMEDIATE). The same code serves both.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from messaging.lifecycle import transitions
from messaging.models import (
    AccountPause,
    ActiveLane,
    Attachment,
    Batch,
    Message,
    MessageContent,
    Phrase,
    Reason,
    Recipient,
    SendAttempt,
)
from messaging.setup.layers import Rate

Status = Message.Status
ADVISORY_LOCK = 0x6F757472  # "outr": so that nobody else's advisory locks on this database are ours
CONTENT_READ_AHEAD = 128 * 1024  # octets; larger texts are read when it is their turn


class LimitReached(Exception):
    """The account has sent what it may for now; `rate` is the limit, `until` when it may send again."""

    def __init__(self, rate: Rate, until: datetime) -> None:
        super().__init__(f"{rate.number} per {rate.unit} until {until}")
        self.rate = rate
        self.until = until

    @property
    def reason(self) -> Phrase:
        return Phrase(Reason.LIMIT_REACHED, number=self.rate.number, unit=self.rate.unit)


@dataclass(frozen=True)
class Terms:
    """What an account's claims have to keep to."""

    rates: Sequence[Rate] = ()
    urgent_only: bool = False


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
        read_recipients(messages)
    return messages


def own(message: Message, owner: str, now: datetime) -> None:
    """Let a message that is not stored yet be stored as claimed: it is sent at once, and nobody else sends it."""
    message.status, message.once = Status.SENDING, True
    message.lease_owner, message.lease_expires_at, message.fence = owner, lease_end(now), 1


# Written out because a claim is as frequent as ten or twenty deliveries, and Django takes milliseconds to build it.
_DUE = """due.account_id {account} AND due.not_before <= %s
    AND NOT EXISTS (SELECT 1 FROM messaging_batch WHERE id = due.batch_id AND status = 'cancelled')"""
# Asked again here: sending may have been paused since the lane was given leave.
_PAUSED = """SELECT 1 FROM messaging_accountpause WHERE ended_at IS NULL AND (until IS NULL OR until > %s)
    AND (kind IN ('all', 'restored') OR kind IN ('person', 'doubt') AND account_id {account})"""
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
    stored = [_adapted(value) for value in (owner, lease_end(now), *values, limit)]
    return sorted(Message.objects.raw(statement, stored), key=lambda message: (message.not_before or now, message.pk))


def _adapted(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def read_recipients(messages: Sequence[Message]) -> None:
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
        ActiveLane.objects.create(owner=owner, account_id=account_id, expires_at=lease_end(now))
    return True


def leave(owner: str) -> None:
    """The lane has ended."""
    ActiveLane.objects.filter(owner=owner).delete()


def lanes_at_work(account_id: int | None, now: datetime, *, besides: str = "") -> int:
    """How many lanes, `besides` one, are at work for an account."""
    return ActiveLane.objects.filter(account_id=account_id, expires_at__gte=now).exclude(owner=besides).count()


def lease_end(now: datetime) -> datetime:
    """When a lease that is given or renewed now ends."""
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def _one_at_a_time(account_id: int | None) -> None:
    """Let the lanes of one account wait for each other, so that together they keep to its limits."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_LOCK, account_id or 0])


def check_rates(account_id: int | None, rates: Sequence[Rate], now: datetime) -> None:
    """Raises LimitReached when the account has sent what it may for now."""
    if rates:
        _allowance(account_id, rates, now)


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
    ActiveLane.objects.filter(owner=owner).update(expires_at=lease_end(now))
    return Message.objects.filter(lease_owner=owner, status=Status.SENDING).update(lease_expires_at=lease_end(now))


def renew_all(now: datetime) -> int:
    """Give every lease its full time from now on: the clock jumped, and what it says about their ends means nothing."""
    ActiveLane.objects.update(expires_at=lease_end(now))
    return Message.objects.filter(status=Status.SENDING).update(lease_expires_at=lease_end(now))


def give_back(owner: str) -> int:
    """Return to the queue what an owner claimed and did not start; tries unspent."""
    return _give_back(Q(lease_owner=owner))


def take_back(account_id: int | None, *, everybody: bool = False) -> int:
    """Take from the lanes of an account (or of all) what they have claimed and not started; urgent messages go on."""
    return _give_back(Q(urgent=False) if everybody else Q(urgent=False, account_id=account_id))


def _give_back(which: Q) -> int:
    with transaction.atomic():
        claimed = Message.objects.filter(which, status=Status.SENDING, in_data=False, once=False)
        ids = list(transitions.lock(claimed).values_list("pk", flat=True))
        transitions.carry_out(transitions.GIVE_BACK, ids, by=None, at=timezone.now())
        return len(ids)


def _due(now: datetime) -> QuerySet[Message]:
    """Queued and due; what a cancelled batch still holds is not."""
    return Message.objects.filter(status=Status.QUEUED, not_before__lte=now).exclude(
        batch__status=Batch.Status.CANCELLED
    )


def due_accounts(now: datetime) -> Sequence[int | None]:
    """Accounts with messages that are due and may go out; where a person paused, only urgent ones may."""
    current = AccountPause.objects.annotate(key=Coalesce("account_id", 0)).filter(Q(until=None) | Q(until__gt=now))
    own = current.filter(key=Coalesce(OuterRef("account_id"), 0))
    everybody = current.filter(kind__in=AccountPause.OF_EVERYBODY)
    stopped = Exists(own.filter(kind__in=AccountPause.STOP_URGENT))
    waiting = Exists(own.exclude(kind__in=AccountPause.STOP_URGENT)) | Exists(everybody)
    due = _due(now).exclude(stopped).exclude(Q(urgent=False) & waiting)
    return list(due.order_by().values_list("account_id", flat=True).distinct())


def due_count(account_id: int | None, now: datetime) -> int:
    return _due(now).filter(account_id=account_id).count()
