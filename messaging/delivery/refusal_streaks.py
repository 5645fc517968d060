"""The safety net under the reply table: the same unknown words to several messages in a row may be about us.

`note` is called within the transaction that writes the outcome of a refused message, so that what is counted is what
was written. What was accepted is looked up in the ledger, at a refusal: who is served pays nothing.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from messaging.company.options import options
from messaging.delivery import pauses
from messaging.delivery.outcomes.echoed_words import plain
from messaging.delivery.outcomes.masking import masked
from messaging.delivery.outcomes.verdict import Reply, Stage
from messaging.delivery.smtp.transaction import Result
from messaging.delivery.store import claims, ledger
from messaging.delivery.store.ledger import LONGEST_TRY, Decision
from messaging.lifecycle import limits
from messaging.lifecycle.transitions import lock
from messaging.models import (
    AccountPause,
    AttemptOutcome,
    Category,
    Message,
    Phrase,
    Reason,
    Recipient,
    RefusalStreak,
    SendAttempt,
)

from .decision import Judgement, was_served
from .pauses import MOST_LOOKED_AT

Answer = RefusalStreak.Answer
ANSWER_HOLDS = timedelta(days=1)
FORGOTTEN_AFTER = timedelta(days=30)
KEPT = timedelta(days=90)
MOST_DOMAINS = 1000
CHUNK = 1000
# What was answered at one of these came after an acceptance at the stage.
BEYOND: dict[str, tuple[str, ...]] = {
    Stage.MAIL: (Stage.RCPT, Stage.DATA, Stage.END),
    Stage.RCPT: (Stage.DATA, Stage.END),
    Stage.DATA: (Stage.END,),
}


@dataclass(frozen=True)
class Ruling:
    """What a refusal in unknown words means beyond its message.

    `others`: a person is asked, because that many others were refused in the same words; None: no one is. `is_ours`:
    they are being asked, or have said that it is us, so the message is not to blame.
    """

    others: int | None = None
    is_ours: bool = False

    def reason(self, reason: Phrase | None) -> Phrase:
        """Of the message that had `reason` by the reply's code alone."""
        return Phrase(Reason.REFUSED_ALIKE, others=self.others, reason=reason)

    def applied_to(self, decision: Decision) -> Decision:
        """The same, which blackens no address where a person is asked."""
        if self.others is None or decision.status != Message.Status.FAILED:
            return decision
        return replace(decision, category=Category.SETUP, reason=self.reason(decision.reason))


ALONE = Ruling()


@dataclass
class UnknownRefusal:
    """What one message met at a stage: a reply in words that no one knows, and whom it refused."""

    reply: Reply
    wording: str
    recipients: list[Recipient] = field(default_factory=list)

    @property
    def domains(self) -> list[str]:
        """Those of its recipients; one of them counts, as whom a message is for may be one person's choice."""
        return [pauses.domain_of(recipient.address) for recipient in self.recipients]


def unknown_refusals(
    message: Message, pending: Sequence[Recipient], judgement: Judgement, result: Result, now: datetime
) -> list[UnknownRefusal]:
    """The refusals for good in words that no one knows, by wording; none where the stage was passed by someone, be it
    in a transaction of this try before.
    """
    if judgement.leading.outcome == AttemptOutcome.ACCEPTED or was_served(message, now):
        return []
    replies = [result.reply_for(recipient.address) for recipient in pending]
    found: dict[str, UnknownRefusal] = {}
    for recipient, reply, verdict in zip(pending, replies, judgement.verdicts, strict=True):
        is_unknown = verdict.outcome == AttemptOutcome.PERMANENT and not verdict.by_words
        if is_unknown and not any(other.stage in BEYOND.get(reply.stage, ()) for other in replies):
            wording = _digest(reply, recipient)
            found.setdefault(wording, UnknownRefusal(reply, wording)).recipients.append(recipient)
    return [found[wording] for wording in sorted(found)]


def _digest(reply: Reply, recipient: Recipient) -> str:
    """The wording of a reply; at RCPT it may name the recipient without the domain."""
    names = {plain(recipient.address.rpartition("@")[0]).casefold()} if reply.stage == Stage.RCPT else set()
    words = f"{reply.code} {masked(reply.words, names)}"
    return hashlib.sha256(words.encode("utf-8", "replace")).hexdigest()


# --- What a refusal means -----------------------------------------------------------------------------


def note(message: Message, refusals: Sequence[UnknownRefusal], attempt: SendAttempt, now: datetime) -> Ruling:
    """Count the refusals of a message, and pause its account where they are too many; within a transaction."""
    most = options().same_refusals
    if not most:
        return ALONE
    found = [(refusal, _current(attempt.account_id, refusal, now)) for refusal in refusals]
    found = [(refusal, streak) for refusal, streak in found if streak.answer != Answer.GO_ON]
    if ledger.is_notice(message):  # it puts no question: that would be told by the next one
        found = [(refusal, streak) for refusal, streak in found if streak.is_asked]
    ours = [streak for _, streak in found if streak.is_asked or streak.answer == Answer.IT_WAS_US]
    if ours:
        if ledger.is_refused_alone(message):
            return ALONE
        for streak in ours:
            _ask(streak, now)
        if not message.is_immediate:
            return Ruling(max(streak.refusals for streak in ours), is_ours=True)
    for refusal, streak in found:
        _count(streak, refusal, attempt, now)
        if not streak.is_asked and len(streak.domains) >= most:
            _ask(streak, now)
            _tell_those_before(streak, message)
    asked = [streak.refusals for _, streak in found if streak.is_asked]
    return Ruling(max(asked) - 1) if asked else ALONE


def _current(account_id: int | None, refusal: UnknownRefusal, now: datetime) -> RefusalStreak:
    """The streak that a refusal continues, locked; a new one where that is over."""
    which = {"account_id": account_id, "stage": refusal.reply.stage, "wording": refusal.wording}
    rows = RefusalStreak.objects.filter(ended_at=None).select_for_update(of=("self",))
    streak, created = rows.get_or_create(**which, defaults={"last_at": now})
    if created or not _is_over(streak, now):
        return streak
    if streak.asked_at is None:
        streak.delete()
    else:
        streak.ended_at = now
        streak.save(update_fields=["ended_at"])
    return RefusalStreak.objects.create(**which, last_at=now)


def _is_over(streak: RefusalStreak, now: datetime) -> bool:
    if streak.answered_at is not None and streak.answer:
        return abs(now - streak.answered_at) >= ANSWER_HOLDS  # one that lies far ahead holds no longer
    if streak.asked_at is not None:
        return False
    is_there = now - FORGOTTEN_AFTER < streak.last_at <= now + LONGEST_TRY
    return not is_there or _has_accepted_since(streak, now)


def _has_accepted_since(streak: RefusalStreak, now: datetime) -> bool:
    """Whether the account's server let anyone past the stage after the last refusal."""
    begun = SendAttempt.objects.filter(account_id=streak.account_id, account_is_gone=False)
    begun = begun.filter(started_at__gt=streak.last_at - LONGEST_TRY)
    ended = begun.filter(finished_at__gt=streak.last_at, finished_at__lte=now + LONGEST_TRY).order_by("-started_at")
    if ended.filter(outcome=AttemptOutcome.ACCEPTED).exists():
        return True
    others = ended.exclude(outcome=AttemptOutcome.ACCEPTED).values_list("recipients", flat=True)[:MOST_LOOKED_AT]
    return any(_has_passed(reply, streak.stage) for replies in others for reply in replies)


def _has_passed(reply: dict[str, str], stage: str) -> bool:
    return reply.get("outcome") == AttemptOutcome.ACCEPTED or reply.get("stage") in BEYOND.get(stage, ())


def _count(streak: RefusalStreak, refusal: UnknownRefusal, attempt: SendAttempt, now: datetime) -> None:
    another = next((domain for domain in refusal.domains if domain not in streak.domains), None)
    if another is not None and len(streak.domains) < MOST_DOMAINS:
        streak.domains.append(another)
    streak.refusals += 1
    streak.last_at = max(now, streak.last_at)
    streak.server = attempt.server
    streak.reply_text = f"{refusal.reply.code} {refusal.reply.text}"
    streak.save(update_fields=["domains", "refusals", "last_at", "server", "reply_text"])
    Recipient.objects.filter(pk__in=[recipient.pk for recipient in refusal.recipients]).update(streak=streak)


def _ask(streak: RefusalStreak, now: datetime) -> None:
    """Pause the account until a person has answered."""
    if streak.is_asked and AccountPause.objects.filter(pk=streak.pause_id or 0).exists():
        return
    account_id = streak.account_id
    streak.asked_at, streak.answer = now, ""
    streak.pause = pauses.ask(account_id, question(streak), pauses.Heard(streak.server, streak.reply_text), now)
    streak.save(update_fields=["pause", "asked_at", "answer"])
    # Not before the pause is committed: a lane that asked for leave earlier may still claim. The sweep does it again.
    transaction.on_commit(lambda: claims.take_back(account_id), robust=True)


def question(streak: RefusalStreak) -> Phrase:
    """Why the account is paused, as the row keeps it; with the answer, once there is one."""
    facts = {"number": streak.refusals, "domains": len(streak.domains)}
    more = {"answer": streak.answer} if streak.answer else {"again": True} if streak.answered_at is not None else {}
    return Phrase(Reason.ASKED, **facts, **more)


def _tell_those_before(streak: RefusalStreak, last: Message) -> None:
    """The messages that were refused before the last one: no address is blackened by it, and each says why."""
    before = Ruling(streak.refusals - 1)
    rows = of_streak(streak, Message.Status.FAILED) | Message.objects.filter(pk=last.pk)
    locked = lock(rows).values_list("pk", "reason")
    by_reason: dict[Phrase | None, list[int]] = {}
    for pk, reason in locked:
        if pk != last.pk:
            by_reason.setdefault(reason, []).append(pk)
    for reason, ids in by_reason.items():
        change_each(ids, reason=before.reason(reason), reason_category=Category.SETUP)


def of_streak(streak: RefusalStreak, *statuses: str) -> QuerySet[Message]:
    """The messages that were refused in it, of some statuses."""
    refused = Recipient.objects.filter(streak=streak, status=Recipient.Status.FAILED)
    return Message.objects.filter(pk__in=refused.values("message_id"), status__in=statuses)


def change_each(ids: Sequence[int], **values: object) -> None:
    """Change messages, some at a time."""
    for start in range(0, len(ids), CHUNK):
        Message.objects.filter(pk__in=ids[start : start + CHUNK]).update(**values)


def put_back(
    message: Message, attempt: SendAttempt, pending: Sequence[Recipient], ruling: Ruling, now: datetime
) -> Decision:
    """The message waits for the answer, its try unspent, and then asks everyone anew; one that is urgent tries again,
    less and less often.
    """
    for recipient in pending:
        recipient.decided_at = None
    attempt.outcome, attempt.category = AttemptOutcome.SETUP, Category.SETUP
    attempt.reason = ruling.reason(attempt.reason)
    again = limits.next_probe(message.fence, now) if message.urgent else now
    return Decision(
        Message.Status.QUEUED,
        message.tries,
        again,
        Category.SETUP,
        attempt.reason,
        message.give_up_at,
        message.max_tries,
    )


def forget(now: datetime) -> None:
    """End what was answered long enough ago; drop what nothing came of, and what ended long ago."""
    answered = RefusalStreak.objects.filter(ended_at=None, answered_at__lte=now - ANSWER_HOLDS)
    answered.exclude(answer="").update(ended_at=now)
    RefusalStreak.objects.filter(asked_at=None, last_at__lte=now - FORGOTTEN_AFTER).delete()
    RefusalStreak.objects.filter(ended_at__lt=now - KEPT).delete()


# --- Where nothing is recorded ------------------------------------------------------------------------


def with_ends_streak(attempts: QuerySet[SendAttempt]) -> QuerySet[SendAttempt]:
    """Attempts annotated with `ends_streak`: whether refusals of their account are being counted."""
    counted = RefusalStreak.objects.annotate(key=Coalesce("account_id", 0)).filter(asked_at=None)
    counted = counted.filter(key=Coalesce(OuterRef("account_id"), 0))
    return attempts.annotate(ends_streak=Exists(counted))


def end_counting(account_id: int | None) -> None:
    """An acceptance that the ledger does not keep came between the refusals of an account."""
    RefusalStreak.objects.filter(account_id=account_id, asked_at=None).delete()
