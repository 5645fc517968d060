"""Note what failed, each failure once."""

from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from messaging.models import AccountPause, Message, Notice, NoticeItem, NoticeKind, Phrase
from messaging.wording import person

from . import relevance

CHUNK = 1000
# The very words of the partial index message_to_notify, which SQLite would not choose by itself.
_INDEXED = {"sqlite": "INDEXED BY message_to_notify"}
_UNNOTED = "messaging_message {indexed} WHERE status IN ('failed', 'unknown') AND notified_at IS NULL"
_FIELDS = ("status", "category", "author", "subject", "recipients_text", "recipient_count", "reason")


def note_unrecorded(message: Message, reason: Phrase | None) -> None:
    """Keep what is to be told of a message of which nothing else is kept."""
    item = _item(message, timezone.now())
    item.kind = NoticeKind.FAILED if message.recipient_count else NoticeKind.NO_ADDRESS
    item.message, item.reason = None, reason
    item.save()


def unnoted() -> str:
    """FROM and WHERE of the messages that no one has noted yet."""
    return _UNNOTED.format(indexed=_INDEXED.get(connection.vendor, ""))


def collect(now: datetime) -> None:
    """Make items of failed and unknown messages, and of accounts at fault or in doubt, that no one has noted yet."""
    while _collect_messages(now) == CHUNK:
        pass
    with transaction.atomic():
        faults = AccountPause.objects.filter(kind__in=AccountPause.TOLD, notified_at=None)
        rows = list(faults.select_related("account").select_for_update(of=("self",), skip_locked=True))
        NoticeItem.objects.bulk_create(
            NoticeItem(
                kind=NoticeKind.PAUSED,
                at=now,
                author=pause.account,
                pause=pause,
                subject=person(pause.account),
                reason=pause.reason,
            )
            for pause in rows
        )
        AccountPause.objects.filter(pk__in=[pause.pk for pause in rows]).update(notified_at=now)


def _collect_messages(now: datetime) -> int:
    """One chunk; another sweep at the same moment takes the next (PostgreSQL), or finds nothing left (SQLite)."""
    lock = " FOR UPDATE SKIP LOCKED" if connection.vendor == "postgresql" else ""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {unnoted()} ORDER BY id LIMIT %s{lock}", [CHUNK])  # noqa: S608
        ids = [pk for (pk,) in cursor.fetchall()]
        if not ids:
            return 0
        found = Message.objects.filter(pk__in=ids).only(*_FIELDS).order_by("pk")
        # A notice that failed is told about in the console alone. What a program calls a notice is not one of ours.
        own = set(
            Notice.objects.filter(mail__in=[each for each in found if each.category == "notice"]).values_list(
                "mail", flat=True
            )
        )
        NoticeItem.objects.bulk_create(_item(message, now) for message in found if message.pk not in own)
        Message.objects.filter(pk__in=ids).update(notified_at=now)
    return len(ids)


def _item(message: Message, now: datetime) -> NoticeItem:
    return NoticeItem(
        kind=relevance.kind_of(message) or NoticeKind.FAILED,
        at=now,
        author_id=message.author_id,
        message=message,
        subject=message.subject,
        recipients=message.recipients_text[:500],
        reason=message.reason,
    )
