"""Take a message under a lease, say how far it got, record its outcome, give it back.

All SQL of delivery is here. A claim is (owner, fence): every write names both, so whoever lost the lease can write
nothing. PostgreSQL locks the rows (SKIP LOCKED); SQLite takes the write lock at BEGIN (IMMEDIATE). The same code
serves both.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from messaging.models import (
    AccountPause,
    AttemptOutcome,
    Batch,
    BatchItem,
    Category,
    Message,
    MessageEvent,
    Recipient,
    SendAttempt,
)

from .outcomes import UNKNOWN, Stage

log = logging.getLogger(__name__)

Status = Message.Status
RELEASED: dict[str, Any] = {"lease_owner": "", "lease_expires_at": None, "in_data": False}


class LeaseLost(Exception):
    """Somebody else decides about this message by now; forget it."""


@dataclass(frozen=True)
class Decision:
    """What to write on the message row: its new state, and when again."""

    status: str
    tries: int
    not_before: datetime | None = None
    category: str = ""
    reason: str = ""


def take(account_id: int | None, owner: str, limit: int, now: datetime) -> list[Message]:
    """Claim up to `limit` due messages of an account, oldest due first."""
    return _claim(_due(now).filter(account_id=account_id).order_by("not_before", "id"), owner, limit, now)


def take_one(message_id: int, owner: str, now: datetime) -> Message | None:
    """Claim one queued message whether due or not; None when it cannot be had."""
    claimed = _claim(Message.objects.filter(pk=message_id, status=Status.QUEUED), owner, 1, now)
    return claimed[0] if claimed else None


def _claim(rows: QuerySet[Message], owner: str, limit: int, now: datetime) -> list[Message]:
    expires = now + timedelta(seconds=settings.LEASE_SECONDS)
    with transaction.atomic():
        locked = rows.select_for_update(skip_locked=True, of=("self",)).prefetch_related("recipients", "attachments")
        messages = list(locked[:limit])
        Message.objects.filter(pk__in=[message.pk for message in messages]).update(
            status=Status.SENDING, lease_owner=owner, lease_expires_at=expires, fence=F("fence") + 1, in_data=False
        )
    for message in messages:
        message.status, message.lease_owner, message.lease_expires_at = Status.SENDING, owner, expires
        message.fence += 1
    return messages


def renew(owner: str, now: datetime) -> int:
    """Put the end of an owner's leases off; how many messages that were."""
    return Message.objects.filter(lease_owner=owner, status=Status.SENDING).update(
        lease_expires_at=now + timedelta(seconds=settings.LEASE_SECONDS)
    )


def give_back(owner: str) -> int:
    """Return to the queue what an owner claimed and did not start; tries unspent."""
    return Message.objects.filter(lease_owner=owner, status=Status.SENDING, in_data=False).update(
        status=Status.QUEUED, **RELEASED
    )


def start_data(message: Message, attempt: SendAttempt, now: datetime) -> None:
    """Commit, before any content is sent, that the message may be accepted from now on.

    Raises:
        LeaseLost: the claim is not ours any more.
    """
    with transaction.atomic():
        _write(message, in_data=True, lease_expires_at=now + timedelta(seconds=settings.LEASE_SECONDS))
        _insert(attempt)
    message.in_data = True


def record(message: Message, attempt: SendAttempt, recipients: Iterable[Recipient], decision: Decision) -> None:
    """Commit the outcome of an attempt: message, changed recipients and attempt, all or nothing.

    Raises:
        LeaseLost: the claim is not ours any more; nothing is written.
    """
    assert attempt.finished_at is not None
    sent = {"sent_at": attempt.finished_at} if decision.status == Status.SENT else {}
    with transaction.atomic():
        _write(
            message,
            status=decision.status,
            tries=decision.tries,
            not_before=decision.not_before,
            reason_category=decision.category,
            reason=decision.reason[:500],
            **RELEASED,
            **sent,
        )
        Recipient.objects.bulk_update(
            recipients, ["status", "reply_code", "enhanced_code", "reply_text", "decided_at"], batch_size=200
        )
        if message.in_data:
            attempt.save(force_update=True)
        else:
            _insert(attempt)
        if decision.status == Status.QUEUED and message.batch_id:
            _leave_cancelled_batch(message)


def _insert(attempt: SendAttempt) -> None:
    if attempt.pk is not None:
        # An earlier try to write it: its commit failed, and its number may be another attempt's by now, or the
        # commit was made and only the answer lost.
        SendAttempt.objects.filter(message_id=attempt.message_id, fence=attempt.fence).delete()
        attempt.pk = None
    attempt.save(force_insert=True)


def _leave_cancelled_batch(message: Message) -> None:
    """What comes back after its batch was cancelled waits for another batch, not for its next try."""
    items = BatchItem.objects.filter(message=message, batch=message.batch_id or 0, batch__status=Batch.Status.CANCELLED)
    if items.update(outcome=Status.CANCELLED):
        Message.objects.filter(pk=message.pk).update(batch=None, not_before=None, account=None)


def _write(message: Message, **values: Any) -> None:
    held = Message.objects.filter(
        pk=message.pk, lease_owner=message.lease_owner, fence=message.fence, status=Status.SENDING
    )
    if not held.update(**values):
        raise LeaseLost(f"message {message.pk}, fence {message.fence}")


def rescue(now: datetime) -> tuple[int, int]:
    """Decide about messages whose lease ended: their worker stopped or lost the database.

    One that may have been accepted gets a second lease's time: a worker that knows the outcome may still be waiting to
    write it.

    Returns:
        (back in the queue, unknown): never handed over; possibly accepted.
    """
    second_lease = now - timedelta(seconds=settings.LEASE_SECONDS)
    ended = Q(in_data=False, lease_expires_at__lt=now) | Q(in_data=True, lease_expires_at__lt=second_lease)
    expired = Message.objects.filter(ended, status=Status.SENDING)
    if not expired.exists():
        return 0, 0
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
    attempt = SendAttempt.objects.filter(message=message, fence=message.fence).first()
    refused = {}
    if attempt is not None:
        attempt.finished_at = now
        attempt.stage = Stage.END
        attempt.outcome = AttemptOutcome.UNKNOWN
        attempt.category = Category.NETWORK
        attempt.explanation = "The worker stopped after the message was handed over and before the reply was recorded."
        attempt.advice = UNKNOWN.advice
        refused = {
            reply["address"]: reply for reply in attempt.recipients if reply["outcome"] != AttemptOutcome.UNKNOWN
        }
        attempt.save()
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
        reason=UNKNOWN.explanation if attempt is None else attempt.explanation,
        **RELEASED,
    )


def _due(now: datetime) -> QuerySet[Message]:
    """Queued and due; what a cancelled batch still holds is not."""
    return Message.objects.filter(status=Status.QUEUED, not_before__lte=now).exclude(
        batch__status=Batch.Status.CANCELLED
    )


def due_accounts(now: datetime) -> Sequence[int | None]:
    """Accounts with due messages, less those that are paused and not yet to be probed."""
    same_account = {"key": Coalesce(OuterRef("account_id"), 0)}
    paused = AccountPause.objects.annotate(key=Coalesce("account_id", 0)).filter(next_probe_at__gt=now, **same_account)
    return list(_due(now).exclude(Exists(paused)).order_by().values_list("account_id", flat=True).distinct())


def due_count(account_id: int | None, now: datetime) -> int:
    return _due(now).filter(account_id=account_id).count()


def lanes_at_work(account_id: int | None, now: datetime, *, besides: str = "") -> int:
    """How many lanes, `besides` one, hold live leases on messages of an account."""
    live = Message.objects.filter(status=Status.SENDING, account_id=account_id, lease_expires_at__gte=now)
    live = live.exclude(lease_owner=besides)
    return int(live.aggregate(lanes=Count("lease_owner", distinct=True, filter=~Q(lease_owner="")))["lanes"])
