"""What a person may do to one message. Every change is conditional on the state it was offered in, and is recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, F, OuterRef, QuerySet, Subquery, Value, When
from django.utils import timezone

from messaging import wake
from messaging.models import BatchItem, Category, Message, MessageEvent, Recipient

Status = Message.Status


class NotPossible(Exception):
    """In plain words: why this cannot be done (any more)."""


def mark_as_sent(message: Message, *, by: User) -> None:
    """A person knows that an unknown message arrived."""
    with _change(message, [Status.UNKNOWN], by, "Marked as sent") as change:
        now = timezone.now()
        message.recipients.filter(status=Recipient.Status.UNKNOWN).update(
            status=Recipient.Status.ACCEPTED, decided_at=now, reply_text=f"Marked as sent by {by.get_username()}"
        )
        if message.recipients.filter(status=Recipient.Status.PENDING).exists():
            # Others were asked to come back later, and have not had it.
            change(status=Status.QUEUED, not_before=now, reason="", reason_category="")
            wake.wake_after_commit(message.account_id)
        elif message.recipients.filter(status=Recipient.Status.FAILED).exists():
            change(status=Status.FAILED, reason="A recipient was refused.", reason_category=Category.ADDRESS)
        else:
            change(status=Status.SENT, sent_at=now, reason="", reason_category="")


def send_again(message: Message, *, by: User) -> None:
    """A person takes the risk of a duplicate for an unknown message: same Message-ID, only to those not accepted."""
    _requeue(message, [Status.UNKNOWN], Recipient.Status.UNKNOWN, by, "Send again ordered; it may arrive twice")


def retry(message: Message, *, by: User) -> None:
    """Try a failed message again, only for those who have not accepted it."""
    _requeue(message, [Status.FAILED], Recipient.Status.FAILED, by, "Retry ordered")


def _requeue(message: Message, states: list[str], recipients: str, by: User, what: str) -> None:
    with _change(message, states, by, what) as change:
        if not message.recipients.exclude(status=Recipient.Status.ACCEPTED).exists():
            raise NotPossible("This message has no recipient left to send to. Have it written again with an address.")
        message.recipients.filter(status=recipients).update(status=Recipient.Status.PENDING)
        leave_batch(Message.objects.filter(pk=message.pk))
        change(status=Status.QUEUED, not_before=timezone.now(), tries=0, batch=None, account=by, reason="",
               reason_category="")  # fmt: skip
        wake.wake_after_commit(by.pk)


def try_now(message: Message, *, by: User) -> None:
    """Do not wait for the next try (or the time it was put off to)."""
    with _change(message, [Status.QUEUED], by, "Try now ordered") as change:
        if message.not_before is None:
            raise NotPossible("This message waits for Batch Message Processing. Choose it there.")
        change(not_before=timezone.now())
        wake.wake_after_commit(message.account_id)


def hold(message: Message, *, by: User, why: str, until: datetime | None = None) -> None:
    """Keep a queued message from every batch and schedule, until a time or until released."""
    with _change(message, [Status.QUEUED], by, f"Held: {why}") as change:
        leave_batch(Message.objects.filter(pk=message.pk), outcome=Status.HELD)
        # A time that a program asked for outlives the hold; the order of a batch does not.
        not_before = Case(When(batch=None, then=F("not_before")), default=None)
        change(
            status=Status.HELD,
            held_until=until,
            not_before=not_before,
            batch=None,
            reason=why[:500],
            reason_category="",
        )


def release(message: Message, *, by: User) -> None:
    """Put a held message back into the queue, where it waits for a batch or for the time it was given."""
    with _change(message, [Status.HELD], by, "Released") as change:
        change(status=Status.QUEUED, held_until=None, reason="")


def cancel(message: Message, *, by: User, why: str = "") -> None:
    """Take a message that has not gone out of the queue for good."""
    with _change(message, [Status.QUEUED, Status.HELD], by, f"Cancelled: {why}" if why else "Cancelled") as change:
        leave_batch(Message.objects.filter(pk=message.pk), outcome=Status.CANCELLED)
        change(status=Status.CANCELLED, held_until=None, not_before=None, batch=None, reason=why[:500],
               reason_category="")  # fmt: skip


def possible_actions(message: Message) -> list[str]:
    """Names of the functions above that make sense for the message now, the likeliest first."""
    waits_for_time = message.not_before is not None
    return {
        Status.QUEUED: [*(["try_now"] if waits_for_time else []), "hold", "cancel"],
        Status.HELD: ["release", "cancel"],
        Status.UNKNOWN: ["mark_as_sent", "send_again"],
        Status.FAILED: ["retry"] if message.recipient_count else [],
    }.get(Status(message.status), [])


def leave_batch(messages: QuerySet[Message], outcome: str = "") -> None:
    """Write down, for the report of the batch that messages are about to leave, what became of them there."""
    own = Message.objects.filter(pk=OuterRef("message_id"))
    BatchItem.objects.filter(message__in=messages, batch=F("message__batch"), outcome="").update(
        outcome=Value(outcome) if outcome else Subquery(own.values("status")[:1]),
        reason=Subquery(own.values("reason")[:1]),
    )


@contextmanager
def _change(message: Message, states: list[str], by: User, what: str) -> Iterator[Callable[..., None]]:
    """A transaction around one person's change: refused when the message left the states it was offered in."""

    def write(**values: Any) -> None:
        Message.objects.filter(pk=message.pk).update(**values)
        MessageEvent.objects.create(message=message, at=timezone.now(), by=by, what=what[:500])

    with transaction.atomic():
        row = Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        if row.status not in states:
            raise NotPossible(f"The message is “{row.get_status_display()}” by now. Look at it again.")
        yield write
    message.refresh_from_db()
