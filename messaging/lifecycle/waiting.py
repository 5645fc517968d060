"""What waits in the queue: for Batch Message Processing, for a person, or for its own time."""

from datetime import datetime

from django.db.models import Q

from messaging.models import Message

# What a batch takes when a person ticks it, also before its time.
FREE = Q(status=Message.Status.QUEUED, batch=None)
# It leaves the queue by a batch or a person's order, and never by itself.
STAYS = FREE & Q(not_before=None)


def waiting(now: datetime) -> Q:
    """What waits for Batch Message Processing and for nothing else: no time that is still to come."""
    return FREE & (Q(not_before=None) | Q(not_before__lte=now))


def stays(message: Message) -> bool:
    """The same as STAYS, of a row at hand."""
    return message.status == Message.Status.QUEUED and message.batch_id is None and message.not_before is None
