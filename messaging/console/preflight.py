"""What is known to be wrong with addresses before anything is sent (seed row S15); it keeps nobody from sending."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from messaging.delivery.meanings import NO_MAILBOX, UNKNOWN_MAILBOX
from messaging.delivery.outcomes import Reply, Stage, judge
from messaging.models import Batch, Category, Message, Recipient, RefusalStreak, SendAttempt
from messaging.wording import in_words, moment

Status = Message.Status
LOOKED_BACK = 1000  # failed messages: Recipient has no index on addresses, so the cost is bounded by what is looked at
NAMED = 20
RECENT = timedelta(days=7)
NO_SUCH = (NO_MAILBOX, UNKNOWN_MAILBOX)


@dataclass(frozen=True)
class Preflight:
    """Of a batch to review: how many messages have an address that cannot be right, some of them each with why; and
    how many came in of late that name nobody at all, which no batch can take."""

    number: int
    named: list[tuple[Message, str]]
    without_address: int


def refused_before(addresses: Iterable[str]) -> dict[str, str]:
    """Which of these addresses a mail server lately said to have no mailbox: the address, and that in words."""
    found: dict[str, datetime | None] = {}
    rows = list(_refused().filter(address__in=list(addresses)))
    stages = _stages({row.message_id for row in rows}) if rows else {}
    for row in rows:
        stage = stages.get((row.message_id, row.address), Stage.RCPT)
        if judge(Reply(stage, row.reply_code, f"{row.enhanced_code} {row.reply_text}".strip())).meaning in NO_SUCH:
            found[row.address] = row.decided_at
    return {
        address: f"“{address}” was refused before ({moment(at) or 'earlier'}): the mail server knows no such mailbox."
        for address, at in found.items()
    }


def _stages(messages: set[int]) -> dict[tuple[int, str], Stage]:
    """Where each recipient was answered last: after the content, the same words are not about a mailbox."""
    attempts = SendAttempt.objects.filter(message_id__in=messages).order_by("pk")
    heard = [(pk, row) for pk, rows in attempts.values_list("message_id", "recipients") for row in rows]
    return {(pk, row["address"]): Stage(row["stage"]) for pk, row in heard if row.get("stage")}


def _refused() -> QuerySet[Recipient]:
    failed = Message.objects.filter(status=Status.FAILED, reason_category=Category.ADDRESS).order_by("-pk")
    ids = list(failed.values_list("pk", flat=True)[:LOOKED_BACK])
    refused = Recipient.objects.filter(message_id__in=ids, status=Recipient.Status.FAILED, reply_code__gte=500)
    # Not on the word of a server that refused others in the same words, unless a person says that it was right.
    is_sure = Q(streak=None) | Q(streak__asked_at=None) | Q(streak__answer=RefusalStreak.Answer.GO_ON)
    return refused.filter(is_sure)


def doubts(message: Message, pending: Sequence[str]) -> list[str]:
    """What is wrong with the addresses of a message that has not been sent; `pending` are those it goes to."""
    if message.status not in (Status.QUEUED, Status.HELD):
        return []
    found = [in_words(message.doubt)] if message.doubt is not None else []
    return found + list(refused_before(pending[:NAMED]).values())


def preflight(batch: Batch, among: QuerySet[Message] | None = None) -> Preflight:
    """What to look at before a batch is confirmed; as many statements, whatever its size.

    `among` are the messages of a person who may not see the others.
    """
    seen = Message.objects.all() if among is None else among
    addresses = set(_refused().values_list("address", flat=True))
    chosen = seen.filter(batch_items__batch=batch)
    pending = Recipient.objects.filter(message__in=chosen, status=Recipient.Status.PENDING)
    met = list(pending.filter(address__in=addresses).values_list("message_id", "address")) if addresses else []
    known = refused_before({address for _, address in met}) if met else {}
    why = {pk: known[address] for pk, address in met if address in known}
    waiting = chosen.exclude(status__in=[Status.SENT, Status.CANCELLED])
    doubted = waiting.filter(Q(doubt__isnull=False) | Q(pk__in=list(why))).order_by("pk")
    named = [
        (message, in_words(message.doubt) or why[message.pk]) for message in doubted.only("subject", "doubt")[:NAMED]
    ]
    since = timezone.now() - RECENT
    nobody = seen.filter(status=Status.FAILED, recipient_count=0, created_at__gte=since)
    return Preflight(doubted.count(), named, nobody.count())
