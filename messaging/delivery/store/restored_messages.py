"""What was unsent when a backup was made becomes unknown, and is put back as it was if nothing was sent since.

A few statements, however many messages there are.
"""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F

from messaging.lifecycle.transitions import leave_cancelled_batch, lock
from messaging.models import Category, Message, MessageEvent, Phrase, Reason, Recipient, Restore, SetAside

UNSENT = (Message.Status.QUEUED, Message.Status.HELD, Message.Status.SENDING)
NOTED_AT_MOST = 10_000  # of more messages no notices are made; the banner tells of them
# The columns that are kept, and what they are while the message is unknown.
STOOD: dict[str, Any] = {
    "status": Message.Status.UNKNOWN, "reason_category": Category.SETUP, "reason": Phrase(Reason.SINCE_BACKUP),
    "not_before": None, "held_until": None, "hold_kind": "", "handed_to_id": None, "status_before": "",
    "reason_before": None, "lease_owner": "", "lease_expires_at": None, "may_be_accepted": False,
    "attempt_snapshot": None, "notified_at": None,
}  # fmt: skip
_COLUMNS = ", ".join(STOOD)
_KEEP = f"""INSERT INTO messaging_setaside (message_id, restore_id, fence, {_COLUMNS})
    SELECT id, %s, fence + 1, {_COLUMNS} FROM messaging_message AS message
    WHERE status IN ({", ".join(f"'{each}'" for each in UNSENT)}) AND EXISTS
        (SELECT 1 FROM messaging_recipient WHERE message_id = message.id AND status = 'pending')"""  # noqa: S608
_TELL = """INSERT INTO messaging_messageevent (message_id, at, by_id, kind, params)
    SELECT message_id, %s, %s, %s, '{}' FROM messaging_setaside WHERE restore_id = %s"""
_BACK = f"""UPDATE messaging_message SET {", ".join(f"{name} = stood.{name}" for name in STOOD)}
    FROM messaging_setaside AS stood WHERE stood.message_id = messaging_message.id AND stood.restore_id = %s"""  # noqa: S608


def make_unknown(restore: Restore, now: datetime) -> int:
    """Make all that is unsent unknown, in the transaction of the caller; how many messages that are.

    A message that no one is left to be sent to stays as it is.
    """
    if connection.vendor == "postgresql":
        # EXCLUSIVE, because others lock rows first and write them then: a weaker lock would let them in between.
        _run("LOCK TABLE messaging_message IN EXCLUSIVE MODE", [])
    SetAside.objects.filter(message__status__in=UNSENT).delete()  # of an earlier restore, and decided since
    number = _run(_KEEP, [restore.pk])
    kept = SetAside.objects.filter(restore=restore).values("message")
    pending = Recipient.objects.filter(status=Recipient.Status.PENDING, message__in=kept)
    pending.update(status=Recipient.Status.UNKNOWN)
    values = STOOD | ({"notified_at": now} if number > NOTED_AT_MOST else {})
    Message.objects.filter(pk__in=kept).update(**values, fence=F("fence") + 1)
    _tell(restore, MessageEvent.Kind.SINCE_BACKUP, None, now)
    return number


def put_back(restore: Restore, by: User, now: datetime) -> int:
    """Give all that no one has acted on since back what it was, in the transaction of the caller; how many."""
    kept = SetAside.objects.filter(restore=restore).values("message")
    list(lock(Message.objects.filter(pk__in=kept)).values_list("pk"))  # what is acted on from here on waits
    acted_on = SetAside.objects.filter(restore=restore).exclude(
        message__status=Message.Status.UNKNOWN, message__fence=F("fence")
    )
    acted_on.delete()
    unknown = Recipient.objects.filter(status=Recipient.Status.UNKNOWN, message__in=kept)
    unknown.update(status=Recipient.Status.PENDING)
    number = _run(_BACK, [restore.pk])
    _tell(restore, MessageEvent.Kind.NOT_SINCE_BACKUP, by, now)
    leave_cancelled_batch(kept.values_list("message_id", flat=True), now)  # cancelled for others of its messages
    forget(restore)
    return number


def forget(restore: Restore) -> None:
    """Keep no longer how messages stood: they stay what they are."""
    SetAside.objects.filter(restore=restore).delete()


def _tell(restore: Restore, kind: MessageEvent.Kind, by: User | None, now: datetime) -> None:
    _run(_TELL, [connection.ops.adapt_datetimefield_value(now), by.pk if by else None, kind, restore.pk])


def _run(statement: str, values: list[Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
