"""What is known to be wrong with addresses before anything is sent (S15); it keeps no one from sending."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from django.db.models import Q, QuerySet
from django.utils import timezone

from messaging.delivery.outcomes.meanings import NO_MAILBOX, UNKNOWN_MAILBOX
from messaging.delivery.outcomes.verdict import Reply, Stage, judge
from messaging.models import Batch, Category, Message, Recipient, RefusalStreak, SendAttempt
from messaging.wording import in_words, moment

Status = Message.Status
# Recipient has no index on addresses, so the cost is bounded by what is looked at: failed messages, the latest first,
# and recipients of these. A message goes to as many as it likes, and each of them may have been told something else.
LOOKED_BACK = 1000
MOST_RECIPIENTS = 2000
NAMED = 20
RECENT = timedelta(days=7)
NO_SUCH = (NO_MAILBOX, UNKNOWN_MAILBOX)


@dataclass(frozen=True)
class Preflight:
    """Of a batch to review: how many messages have an address that cannot be right, some of them each with why; and
    how many came in of late that name no one at all, which no batch can take."""

    number: int
    named: list[tuple[Message, str]]
    without_address: int


def refused_before(addresses: Iterable[str], among: QuerySet[Message] | None = None) -> dict[str, str]:
    """Which of these addresses a mail server lately said to have no mailbox: the address, and that in words.

    Args:
        among: the messages of a person who may not see the others: to whom these went, and when, they are not told.
    """
    found: dict[str, datetime | None] = {}
    rows = list(_refused(among).filter(address__in=list(addresses)))
    stages = _stages({row.message_id for row in rows}) if rows else {}
    for row in rows:
        stage = stages.get((row.message_id, row.address), Stage.RCPT)
        # Without the address, a server says the same of many, which is judged once.
        words = f"{row.enhanced_code} {row.reply_text.replace(row.address, '(address)')}".strip()
        if judge(Reply(stage, row.reply_code, words)).meaning in NO_SUCH:
            found[row.address] = row.decided_at
    knows_none = "the mail server said that there is no such mailbox."
    return {
        address: f"“{address}” was refused before ({moment(at) or 'earlier'}): {knows_none}"
        for address, at in found.items()
    }


def _stages(messages: set[int]) -> dict[tuple[int, str], Stage]:
    """Where each recipient was answered last: after the content, the same words are not about a mailbox."""
    attempts = SendAttempt.objects.filter(message_id__in=messages).order_by("pk")
    heard = [(pk, row) for pk, rows in attempts.values_list("message_id", "recipients") for row in rows]
    return {(pk, row["address"]): Stage(row["stage"]) for pk, row in heard if row.get("stage")}


def _refused(among: QuerySet[Message] | None = None) -> QuerySet[Recipient]:
    refused = Recipient.objects.filter(
        message_id__in=_looked_at(among), status=Recipient.Status.FAILED, reply_code__gte=500
    )
    # Not on the word of a server that refused others in the same words, unless a person says that it was right.
    is_sure = Q(streak=None) | Q(streak__asked_at=None) | Q(streak__answer=RefusalStreak.Answer.GO_ON)
    return refused.filter(is_sure)


def _looked_at(among: QuerySet[Message] | None = None) -> list[int]:
    """The failed messages whose recipients are looked at; the latest one in any case."""
    seen = Message.objects.all() if among is None else among
    failed = seen.filter(status=Status.FAILED, reason_category=Category.ADDRESS).order_by("-pk")
    rows = list(failed.values_list("pk", "recipient_count")[:LOOKED_BACK])
    totals = accumulate(count for _, count in rows)
    return [pk for (pk, count), total in zip(rows, totals, strict=True) if total <= MOST_RECIPIENTS or total == count]


def doubts(message: Message, pending: Sequence[str], among: QuerySet[Message] | None = None) -> list[str]:
    """What is wrong with the addresses of a message that has not been sent; `pending` are those it goes to, `among`
    as in refused_before.
    """
    if message.status not in (Status.QUEUED, Status.HELD):
        return []
    found = [in_words(message.doubt)] if message.doubt is not None else []
    return found + list(refused_before(pending[:NAMED], among).values())


def preflight(batch: Batch, among: QuerySet[Message] | None = None) -> Preflight:
    """What to look at before a batch is confirmed; as many statements, whatever its size.

    `among` are the messages of a person who may not see the others.
    """
    seen = Message.objects.all() if among is None else among
    chosen = seen.filter(batch_items__batch=batch)
    pending = Recipient.objects.filter(message__in=chosen, status=Recipient.Status.PENDING).order_by()
    addresses = set(_refused(among).values_list("address", flat=True))
    met = pending.filter(address__in=addresses).values_list("address", flat=True).distinct() if addresses else []
    known = refused_before(met, among) if met else {}
    dead = pending.filter(address__in=list(known))
    waiting = chosen.exclude(status__in=[Status.SENT, Status.CANCELLED])
    doubted = waiting.filter(Q(doubt__isnull=False) | Q(pk__in=dead.values("message_id"))).order_by("pk")
    rows = list(doubted.only("subject", "doubt")[:NAMED])
    why = dict(dead.filter(message__in=rows).values_list("message_id", "address")) if known else {}
    named = [(message, in_words(message.doubt) or known[why[message.pk]]) for message in rows]
    since = timezone.now() - RECENT
    nobody = seen.filter(status=Status.FAILED, recipient_count=0, created_at__gte=since)
    return Preflight(doubted.count(), named, nobody.count())
