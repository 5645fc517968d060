"""Whether what was noted is so by now: a message that failed may have been retried, cancelled or sent since."""

from django.db.models import F, Q, QuerySet

from messaging.models import Message, NoticeItem, NoticeKind

Status = Message.Status
OPEN = (Status.FAILED, Status.UNKNOWN)
FIELDS = ("status", "recipient_count", "notified_at")  # of the message, that is what is asked here
_ADDRESSED = Q(message__recipient_count__gt=0)
# The same as is_so, of items with a message, for the database.
_AS_NOTED = Q(message__notified_at=F("at")) & (
    (_ADDRESSED & Q(kind=NoticeKind.FAILED, message__status=Status.FAILED))
    | (_ADDRESSED & Q(kind=NoticeKind.UNKNOWN, message__status=Status.UNKNOWN))
    | (~_ADDRESSED & Q(kind=NoticeKind.NO_ADDRESS, message__status__in=OPEN))
)


def kind_of(message: Message) -> NoticeKind | None:
    """What is to be told of a message as it stands; None: nothing."""
    if message.status not in OPEN:
        return None
    if not message.recipient_count:
        return NoticeKind.NO_ADDRESS
    return NoticeKind.UNKNOWN if message.status == Status.UNKNOWN else NoticeKind.FAILED


def is_so(item: NoticeItem) -> bool:
    """Whether an item tells how its message, or its account, stands; of one of which nothing is kept, it does.

    A message that failed anew has been noted anew: that is for another item to tell.
    """
    if item.kind == NoticeKind.PAUSED:
        return item.pause is not None and item.pause.ended_at is None
    message = item.message
    return message is None or (kind_of(message) == item.kind and message.notified_at == item.at)


def moved_on() -> QuerySet[NoticeItem]:
    """The items that were not told yet, and whose message is not as it was noted."""
    return NoticeItem.objects.filter(told_at=None, message__isnull=False).exclude(_AS_NOTED)
