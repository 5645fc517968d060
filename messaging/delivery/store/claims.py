"""Take due messages of an account under a lease, renew it, give them back.

A claim is (owner, fence): every write of a lane names both (ledger.py), so a lane without its lease can write nothing.
PostgreSQL locks the rows (SKIP LOCKED); SQLite takes the write lock at BEGIN (IMMEDIATE). The same code serves both.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from messaging.delivery.store.ledger import MESSAGE_STAGES
from messaging.lifecycle import limits, transitions
from messaging.lifecycle.limits import lease_end
from messaging.lifecycle.many_keys import placeholders
from messaging.models import Attachment, AttemptOutcome, Batch, Message, MessageContent, Recipient

Status = Message.Status
Row = TypeVar("Row", Recipient, Attachment, MessageContent)
CONTENT_READ_AHEAD = 128 * 1024  # octets; larger texts are read when it is their turn


def take(
    account_id: int | None, owner: str, at_most: int, now: datetime, leave: limits.Leave = limits.NO_OBSTACLE
) -> list[Message]:
    """Claim due messages of an account, as many as it has leave for: urgent ones first, then oldest due first."""
    at_most = min(at_most, leave.number)
    if not at_most:
        return []
    with transaction.atomic(savepoint=False):
        due = _DUE.format(account="IS NULL" if account_id is None else f"= {int(account_id)}")
        messages: list[Message] = []
        for which, values in _kinds(leave):
            if len(messages) < at_most:
                messages += _claim(f"{due} AND {which}", [now, *values], owner, at_most - len(messages), now)
        read_recipients(messages)
    return messages


def _kinds(leave: limits.Leave) -> list[tuple[str, list[Any]]]:
    """Conditions on what to claim, one after another, each with its values.

    What was refused tells little as a probe: it may itself be what the server minds. So that comes last, and each in
    its turn. A probe that may cost its message a known outcome is an urgent one only where there is no other.
    """
    kinds = ["urgent"] if leave.urgent_only else ["urgent", "NOT urgent"]
    if not leave.is_probe:
        return [(kind, []) for kind in kinds]
    first = reversed(kinds) if leave.is_costly else kinds
    return [*((f"{kind} AND {_UNHEARD}", [leave.since]) for kind in first), (f"({' OR '.join(kinds)})", [])]


def claim_new(message: Message, owner: str, now: datetime) -> None:
    """Let a message that is not stored yet be stored as claimed: it is sent at once, and no one else sends it."""
    message.status, message.is_immediate = Status.SENDING, True
    message.lease_owner, message.lease_expires_at, message.fence = owner, lease_end(now), 1


# Written out because a claim is as frequent as ten or twenty deliveries, and Django takes milliseconds to build it.
_DUE = """due.account_id {account} AND due.not_before <= %s
    AND NOT EXISTS (SELECT 1 FROM messaging_batch WHERE id = due.batch_id AND status = 'cancelled')
    AND NOT EXISTS (SELECT 1 FROM messaging_recall WHERE message_id = due.id)"""
# Neither has a server refused it as it would any, nor was one asked for it since a moment.
_UNHEARD = f"""NOT EXISTS (SELECT 1 FROM messaging_sendattempt AS heard
    WHERE heard.message_id = due.id AND heard.stage IN ({", ".join(f"'{stage}'" for stage in MESSAGE_STAGES)})
    AND (heard.outcome = '{AttemptOutcome.SETUP}' OR heard.finished_at >= %s))"""  # noqa: S608
_COLUMNS = ", ".join(
    str(field.column)
    for field in Message._meta.concrete_fields
    if field.name not in ("recipients_text", "subject", "from_header", "message_id", "attempt_snapshot")
)


def _claim(which: str, values: list[Any], owner: str, limit: int, now: datetime) -> list[Message]:
    lock = "FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    # Materialized: PostgreSQL would run it again, with another LIMIT, for each row of a table that it takes for small.
    statement = f"""
        WITH chosen AS MATERIALIZED (
            SELECT due.id FROM messaging_message AS due WHERE due.status = 'queued' AND {which}
            ORDER BY due.not_before, due.id LIMIT %s {lock})
        UPDATE messaging_message
        SET status = 'sending', lease_owner = %s, lease_expires_at = %s, fence = fence + 1, may_be_accepted = FALSE,
            attempt_snapshot = NULL
        WHERE id IN (SELECT id FROM chosen)
        RETURNING {_COLUMNS}"""  # noqa: S608
    stored = [_adapted(value) for value in (*values, limit, owner, lease_end(now))]
    return sorted(Message.objects.raw(statement, stored), key=lambda message: (message.not_before or now, message.pk))


def _adapted(value: Any) -> Any:
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value


def read_recipients(messages: Sequence[Message]) -> None:
    """The rows of recipients and attachments, and the texts of small messages, in a tenth of a prefetch's time."""
    recipients = _rows_of(messages, Recipient)
    attachments = _rows_of([message for message in messages if message.attachment_count], Attachment)
    for message in messages:
        message.recipient_rows, message.attachment_rows = recipients[message.pk], attachments[message.pk]
    small = {message.pk: message for message in messages if _text_size(message) <= CONTENT_READ_AHEAD}
    for content in _read(MessageContent, list(small)):
        small[content.pk].content = content


def _rows_of(messages: Sequence[Message], model: type[Row]) -> dict[int, list[Row]]:
    found = defaultdict[int, list[Row]](list)
    for row in _read(model, [message.pk for message in messages]):
        found[row.message_id].append(row)
    return found


def _read(model: type[Row], ids: Sequence[int]) -> Iterable[Row]:
    if not ids:
        return ()
    order = model._meta.pk.column
    return model.objects.raw(
        f"SELECT * FROM {model._meta.db_table} WHERE message_id IN ({placeholders(ids)}) ORDER BY {order}",  # noqa: S608
        ids,
    )


def _text_size(message: Message) -> int:
    return message.size - sum(attachment.encoded_size for attachment in message.attachment_rows)


def renew(owner: str, now: datetime) -> int:
    """Put the end of an owner's leases off; how many messages that were."""
    limits.renew_places(now, owner)
    return put_off(Message.objects.filter(lease_owner=owner, status=Status.SENDING), now)


def renew_all(now: datetime) -> int:
    """Give every lease its full time from now on: the clock jumped, and what it says about their ends means nothing."""
    limits.renew_places(now)
    return put_off(Message.objects.filter(status=Status.SENDING), now)


def put_off(claimed: QuerySet[Message], now: datetime) -> int:
    """Give claimed messages their full lease from now on; how many those are."""
    with transaction.atomic():
        ids = list(transitions.lock(claimed).values_list("pk", flat=True))
        return Message.objects.filter(pk__in=ids).update(lease_expires_at=lease_end(now))


def give_back(owner: str, message: Message | None = None) -> int:
    """Return to the queue what an owner claimed and did not start, or one `message` of it; tries unspent."""
    which = Q(lease_owner=owner)
    return _give_back(which if message is None else which & Q(pk=message.pk))


def take_back(account_id: int | None, *, all_accounts: bool = False, urgent_too: bool = False) -> int:
    """Take from the lanes of an account (or of all) what they have claimed and not started; without `urgent_too`,
    urgent messages are still sent.
    """
    which = Q() if all_accounts else Q(account_id=account_id)
    return _give_back(which if urgent_too else which & Q(urgent=False))


def _give_back(which: Q) -> int:
    with transaction.atomic():
        claimed = Message.objects.filter(which, status=Status.SENDING, may_be_accepted=False, is_immediate=False)
        ids = list(transitions.lock(claimed).values_list("pk", flat=True))
        transitions.carry_out(transitions.GIVE_BACK, ids, by=None, at=timezone.now())
        return len(ids)


def _due(now: datetime) -> QuerySet[Message]:
    """Queued and due; what a cancelled batch still holds is not, nor what was decided about when its person left."""
    due = Message.objects.filter(status=Status.QUEUED, not_before__lte=now, recall=None)
    return due.exclude(batch__status=Batch.Status.CANCELLED)


def due_accounts(now: datetime) -> list[int | None]:
    """Accounts with messages that are due and may go out; where a person paused, only urgent ones may."""
    due = list(_due(now).order_by().values_list("account_id", "urgent").distinct())
    if not due:
        return []
    may_send = limits.may_send(now)
    return list(dict.fromkeys(account_id for account_id, urgent in due if may_send(account_id, urgent)))


def due_count(account_id: int | None, now: datetime) -> int:
    return _due(now).filter(account_id=account_id).count()


def has_come_in(account_id: int | None, since: datetime, now: datetime, *, beside: int) -> bool:
    """Whether another message of an account than the one named has become due since a moment."""
    return _due(now).filter(account_id=account_id, not_before__gt=since).exclude(pk=beside).exists()
