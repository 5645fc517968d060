"""Who is told about failures, and when (seed rows S2 and S15)."""

from django.utils import timezone

from messaging.models import Message, NoticeItem, NoticeKind


def note_unrecorded(message: Message, explanation: str) -> None:
    """Keep what is to be told of a message of which nothing else is kept."""
    kind = NoticeKind.FAILED if message.recipient_count else NoticeKind.NO_ADDRESS
    NoticeItem.objects.create(
        kind=kind,
        at=timezone.now(),
        author=message.author,
        subject=message.subject,
        recipients=message.recipients_text[:500],
        reason=explanation[:1000],
    )
