"""Whether what was noted is so by now: a message that failed may have been retried, cancelled or sent since."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from messaging.models import Message, NoticeItem, NoticeKind

Status = Message.Status
OPEN = (Status.FAILED, Status.UNKNOWN)
FIELDS = ("status", "recipient_count", "notified_at")  # of the message, that is what is asked here
_ADDRESSED = Q(message__recipient_count__gt=0)
# The same as is_so, of items with a message, for the database.
_AS_NOTED = Q(message__notified_at__isnull=False) & (
    (_ADDRESSED & Q(kind=NoticeKind.FAILED, message__status=Status.FAILED))
    | (_ADDRESSED & Q(kind=NoticeKind.UNKNOWN, message__status=Status.UNKNOWN))
    | (~_ADDRESSED & Q(kind=NoticeKind.NO_ADDRESS, message__status__in=OPEN))
)
_NEWER = NoticeItem.objects.filter(message=OuterRef("message"), pk__gt=OuterRef("pk"))


def kind_of(message: Message) -> NoticeKind | None:
    """What is to be told of a message as it stands; None: nothing."""
    if message.status not in OPEN:
        return None
    if not message.recipient_count:
        return NoticeKind.NO_ADDRESS
    return NoticeKind.UNKNOWN if message.status == Status.UNKNOWN else NoticeKind.FAILED


def now(item: NoticeItem) -> NoticeKind | None:
    """What is to be told now of what an item is about; of a message of which nothing is kept, what was."""
    if item.kind == NoticeKind.PAUSED:
        return NoticeKind.PAUSED if item.pause is not None and item.pause.ended_at is None else None
    return kind_of(item.message) if item.message is not None else NoticeKind(item.kind)


def is_so(item: NoticeItem) -> bool:
    """Whether an item tells how its message, or its account, stands."""
    return now(item) == item.kind


def latest(items: QuerySet[NoticeItem]) -> QuerySet[NoticeItem]:
    """Without those whose message failed anew and was noted anew: that is for the later item to tell."""
    return items.exclude(Exists(_NEWER))


def moved_on() -> QuerySet[Any]:
    """The items that were not told yet, and whose message is not as it was noted; `is_renoted`: it was noted anew."""
    waiting = NoticeItem.objects.filter(told_at=None, message__isnull=False).annotate(is_renoted=Exists(_NEWER))
    return waiting.filter(~_AS_NOTED | Q(is_renoted=True))
