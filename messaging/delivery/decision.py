"""From what was heard in one attempt to what is written down: per recipient, and for the message."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from messaging.company.options import RetryLimits
from messaging.delivery.outcomes import retry
from messaging.delivery.outcomes.reply import OPENING_STAGES, LocalError
from messaging.delivery.outcomes.verdict import Kind, Reply, Scope, Stage, Verdict, judge
from messaging.delivery.smtp.transaction import Result
from messaging.delivery.store.ledger import Decision
from messaging.lifecycle.limits import SKEW
from messaging.models import AttemptOutcome, Category, Message, Phrase, Reason, Recipient, SendAttempt

Status = Message.Status
ASKED_BEFORE_ACCOUNT_IS_AT_FAULT = 3  # transactions of a message
PutOff = dict[Recipient, Reply]

GRAVEST_FIRST = [
    AttemptOutcome.UNKNOWN,
    AttemptOutcome.SETUP,
    AttemptOutcome.PERMANENT,
    AttemptOutcome.TRANSIENT,
    AttemptOutcome.ACCEPTED,
]


class Judgement(NamedTuple):
    """A verdict per recipient, and the reply and verdict that speak for the whole attempt: the gravest."""

    verdicts: list[Verdict]
    reply: Reply
    leading: Verdict


def judge_result(pending: Sequence[Recipient], result: Result) -> Judgement:
    """The account's set-up or pace is at fault only where it kept everyone from being served.

    Who was only told that there are too many recipients has not been looked at.
    """
    replies = [result.reply_for(recipient.address) for recipient in pending]
    if not replies:
        return Judgement([], result.final, judge(result.final))
    verdicts = [judge(reply) for reply in replies]
    if any(verdict.scope == Scope.MESSAGE and verdict.kind != Kind.REST_AT_ONCE for verdict in verdicts):
        verdicts = [verdict.confined() for verdict in verdicts]
    return _led(verdicts, replies)


def limit_to_message(judgement: Judgement, pending: Sequence[Recipient], result: Result) -> Judgement:
    """The same, told of this message only."""
    replies = [result.reply_for(recipient.address) for recipient in pending]
    return _led([verdict.confined() for verdict in judgement.verdicts], replies)


def put_off_alone(judgement: Judgement, pending: Sequence[Recipient], result: Result) -> Judgement:
    """The same, told of this message only, and as something that may pass."""
    replies = [result.reply_for(recipient.address) for recipient in pending]
    return _led([verdict.put_off() for verdict in judgement.verdicts], replies)


def _led(verdicts: list[Verdict], replies: list[Reply]) -> Judgement:
    def gravity(index: int) -> tuple[int, bool]:
        return GRAVEST_FIRST.index(verdicts[index].outcome), verdicts[index].kind == Kind.REST_AT_ONCE

    place = min(range(len(verdicts)), key=gravity)
    return Judgement(verdicts, replies[place], verdicts[place])


def complete(attempt: SendAttempt, pending: Sequence[Recipient], result: Result, judgement: Judgement) -> None:
    """Write down in the attempt what was heard and what it means."""
    reply, verdict = judgement.reply, judgement.leading
    attempt.stage = reply.stage
    attempt.outcome = verdict.outcome
    attempt.category, attempt.reason = verdict.category, verdict.reason
    attempt.reply_code, attempt.enhanced_code = reply.code, reply.enhanced
    attempt.reply_text, attempt.said = reply.text, reply.detail
    attempt.recipients = replies_of(pending, result)


def forget_words(attempt: SendAttempt, pending: Sequence[Recipient]) -> None:
    """Take what was said out of an outcome that is known, for a database that does not take the words."""
    rows: list[SendAttempt | Recipient] = [attempt, *pending]
    for row in rows:
        row.reply_text, row.said = "", None
    attempt.recipients = [heard | {"reply_text": "", "said": None} for heard in attempt.recipients]


def replies_of(pending: Sequence[Recipient], result: Result) -> list[dict[str, object]]:
    """The replies per recipient who was asked for, for SendAttempt.recipients. Before the end of data, an accepted RCPT
    is unknown.
    """
    rows: list[dict[str, object]] = []
    for recipient in pending:
        reply = result.reply_for(recipient.address)
        if reply.error == LocalError.MORE_RECIPIENTS:
            continue
        outcome = judge(reply).outcome
        if outcome == AttemptOutcome.ACCEPTED and reply.stage != Stage.END:
            outcome = AttemptOutcome.UNKNOWN
        rows.append(
            {
                "address": recipient.address,
                "outcome": outcome,
                "stage": reply.stage,
                "reply_code": reply.code,
                "enhanced_code": reply.enhanced,
                "reply_text": reply.text,
                "said": reply.detail.as_row() if reply.detail is not None else None,
            }
        )
    return rows


def whom_to_ask(message: Message, now: datetime) -> tuple[list[Recipient], PutOff]:
    """Whom a claim of a message is for, first those whom no server has looked at; and who was put off in the same try
    before, and how.

    A rate, a pause, a fault or the end of a worker may break a try off between two transactions. The next claim
    continues with it, so that each recipient is asked once in a try: else those put off would be asked again and again,
    and those behind them never. Put off since the message was due is in this try, because it is due again only after
    its end.
    """
    pending = [recipient for recipient in message.recipient_rows if recipient.status == Recipient.Status.PENDING]
    put_off = {
        recipient: _recorded_reply(recipient, message)
        for recipient in pending
        if _is_of_this_try(recipient, message, now)
    }
    rest = [recipient for recipient in pending if recipient not in put_off]
    if not rest:
        rest, put_off = pending, {}
    return sorted(rest, key=lambda recipient: _was_looked_at(recipient, message)), put_off


def others_were_judged(message: Message, judgement: Judgement, put_off: PutOff, now: datetime) -> bool:
    """Whether what was said of recipients, as of any, is about them, because the server has judged others of the same
    message by themselves, in a transaction of this try before.
    """
    if judgement.reply.stage != Stage.RCPT:
        return False
    is_settled = any(
        recipient.status in (Recipient.Status.ACCEPTED, Recipient.Status.FAILED)
        and _is_of_this_try(recipient, message, now)
        for recipient in message.recipient_rows
    )
    return is_settled or any(judge(reply).scope == Scope.MESSAGE for reply in put_off.values())


def was_served(message: Message, now: datetime) -> bool:
    """Whether a recipient of a message was accepted in a transaction of this try before."""
    accepted = (each for each in message.recipient_rows if each.status == Recipient.Status.ACCEPTED)
    return any(_is_of_this_try(recipient, message, now) for recipient in accepted)


def _is_of_this_try(recipient: Recipient, message: Message, now: datetime) -> bool:
    """Whether a recipient was heard of since the message was due; what is sent at once has one try."""
    heard_at, due_at = recipient.decided_at, message.not_before
    # What a clock that was ahead dated is not of this try.
    return heard_at is not None and (due_at is None or due_at <= heard_at) and heard_at <= now + SKEW


def _was_looked_at(recipient: Recipient, message: Message) -> bool:
    if recipient.reply_code is None:
        return False
    return recipient.said is not None or judge(_recorded_reply(recipient, message)).kind != Kind.REST_AT_ONCE


def _recorded_reply(recipient: Recipient, message: Message) -> Reply:
    """What was heard of a recipient last, as it would have been at RCPT: who is put off in a try was put off there."""
    text, said = recipient.reply_text, recipient.said
    return Reply.recorded(Stage.RCPT, recipient.reply_code, text, said, recipient.address, message.reverse_path)


def rest_at_once(
    pending: Sequence[Recipient], judgement: Judgement, result: Result, transaction: int
) -> list[Recipient]:
    """Who is served in a further transaction right away, because the server takes only so many at a time.

    No one where the content was not taken, or where no one else was answered: then there would be no end to it. Where
    recipients were refused as any would be, the account is at fault only if others are as well: a few more are asked.
    """
    is_beyond = any(verdict.scope != Scope.MESSAGE for verdict in judgement.verdicts)
    if is_beyond and (result.final.stage != Stage.RCPT or transaction >= ASKED_BEFORE_ACCOUNT_IS_AT_FAULT):
        return []
    was_heard = result.final.ok or result.final.stage == Stage.RCPT
    kinds = [verdict.kind for verdict in judgement.verdicts]
    rest = [recipient for recipient, kind in zip(pending, kinds, strict=True) if kind == Kind.REST_AT_ONCE]
    return rest if was_heard and len(rest) < len(pending) else []


def go_on(
    message: Message,
    pending: Sequence[Recipient],
    judgement: Judgement,
    rest: Sequence[Recipient],
    result: Result,
    now: datetime,
) -> tuple[Decision, PutOff]:
    """Part of it is done, and the rest follows: set the outcome of those who were answered; it is still being sent.

    Returns:
        What to write, and who of them was put off, and how: to be decided about when all is done. So is who was refused
        as any would be, or in words that no one knows: what becomes of the others tells what that means.
    """
    put_off, follow = {}, set(rest)
    for recipient, verdict in zip(pending, judgement.verdicts, strict=True):
        if recipient not in follow:
            reply = result.reply_for(recipient.address)
            _note_reply(recipient, reply, now)
            is_known = verdict.outcome == AttemptOutcome.PERMANENT and verdict.by_words
            if is_known or verdict.outcome == AttemptOutcome.ACCEPTED:
                recipient.status = _recipient_status(verdict.outcome, last_try=False)
            else:
                put_off[recipient] = reply
    reason = message.reason_category, message.reason
    standing = message.give_up_at, message.max_tries
    return Decision(Status.SENDING, message.tries, message.not_before, *reason, *standing), put_off


def with_put_off(pending: list[Recipient], result: Result, put_off: PutOff) -> tuple[list[Recipient], Result]:
    """The last transaction and those who were put off before it, as if all had been in one."""
    heard = {recipient.address: reply for recipient, reply in put_off.items()}
    return [*put_off, *pending], Result(result.final, result.recipients | heard)


def leave_for_later(
    pending: Sequence[Recipient], judgement: Judgement, result: Result, put_off: PutOff, now: datetime
) -> None:
    """A try breaks off because the account is at fault. Who was put off stays so in the try that continues; who was
    refused as any would be is asked anew, after those who were not asked yet: see `whom_to_ask`.
    """
    kinds = [verdict.kind for verdict in judgement.verdicts]
    for recipient, kind in zip(pending, kinds, strict=True):
        if Kind.REST_AT_ONCE in kinds and kind != Kind.REST_AT_ONCE:
            _note_reply(recipient, result.reply_for(recipient.address), now)
            recipient.decided_at = None
    for recipient, reply in put_off.items():
        recipient.decided_at = now if judge(reply).scope == Scope.MESSAGE else None


def put_back(message: Message, leading: Verdict, stage: Stage, now: datetime) -> Decision:
    """Nothing of it was the message's fault: it waits, its try unspent.

    One that got as far as MAIL goes behind the others, lest it alone is what the server minds.
    """
    not_before = message.not_before if stage in OPENING_STAGES else now
    return Decision(
        Status.QUEUED,
        message.tries,
        not_before,
        leading.category,
        leading.reason,
        message.give_up_at,
        message.max_tries,
    )


def fail_once(
    message: Message, pending: Sequence[Recipient], judgement: Judgement, result: Result, now: datetime
) -> Decision:
    """What is sent at once has one try, also where all messages are concerned: it has failed, and does not wait."""
    for recipient in pending:
        _note_reply(recipient, result.reply_for(recipient.address), now)
        recipient.status = Recipient.Status.FAILED
    leading = judgement.leading
    return Decision(Status.FAILED, message.tries + 1, None, leading.category, leading.reason)


def _note_reply(recipient: Recipient, reply: Reply, now: datetime) -> None:
    recipient.decided_at = now
    # That there was no room for it tells less than what was said of it before, see `whom_to_ask`.
    if recipient.reply_code is None or judge(reply).kind != Kind.REST_AT_ONCE:
        recipient.reply_code, recipient.enhanced_code = reply.code, reply.enhanced
        recipient.reply_text, recipient.said = reply.text, reply.detail


def decide(
    message: Message,
    pending: Sequence[Recipient],
    judgement: Judgement,
    result: Result,
    now: datetime,
    limits: RetryLimits = retry.NO_LIMITS,
) -> Decision:
    """Set each recipient's outcome and from them the message's; spends a try."""
    tries = message.tries + 1
    give_up_at = _give_up_at(message, now, limits)
    waiting = [verdict for verdict in judgement.verdicts if verdict.outcome == AttemptOutcome.TRANSIENT]
    again = max_tries = None
    if waiting:
        longest = max(waiting, key=lambda verdict: verdict.wait)
        again = retry.next_try(tries, longest, now, give_up_at, limits)
        max_tries = retry.max_tries(longest, limits)
    for recipient, verdict in zip(pending, judgement.verdicts, strict=True):
        _note_reply(recipient, result.reply_for(recipient.address), now)
        recipient.status = _recipient_status(verdict.outcome, last_try=again is None)
    leading = judgement.leading
    everyone = {recipient.status for recipient in message.recipient_rows}
    if not everyone:
        return Decision(Status.FAILED, tries, None, Category.ADDRESS, Phrase(Reason.NOBODY_NAMED), give_up_at)
    if Recipient.Status.UNKNOWN in everyone:
        return Decision(Status.UNKNOWN, tries, None, leading.category, leading.reason, give_up_at)
    if Recipient.Status.PENDING in everyone:
        first = waiting[0]
        return Decision(Status.QUEUED, tries, again, first.category, first.reason, give_up_at, max_tries)
    if Recipient.Status.FAILED in everyone:
        return Decision(Status.FAILED, tries, None, *_why_failed(message, leading, tries), give_up_at)
    return Decision(Status.SENT, tries, give_up_at=give_up_at)


def _give_up_at(message: Message, now: datetime, limits: RetryLimits) -> datetime:
    """As the first try set it, unless its clock was years ahead or behind."""
    latest, told = retry.give_up_at(now, limits), message.give_up_at
    is_told = bool(message.tries) and told is not None and message.created_at < told <= latest
    return told if is_told and told is not None else latest


def _why_failed(message: Message, leading: Verdict, tries: int) -> tuple[str, Phrase]:
    """Category and reason of a failed message; the attempt that failed may be an earlier one."""
    if leading.outcome == AttemptOutcome.PERMANENT:
        return leading.category, leading.reason
    if leading.outcome == AttemptOutcome.TRANSIENT:
        return leading.category, Phrase(Reason.GIVEN_UP, reason=leading.reason, tries=tries)
    return message.reason_category or Category.ADDRESS, Phrase(Reason.REFUSED_EARLIER)


def _recipient_status(outcome: str, *, last_try: bool) -> str:
    if outcome == AttemptOutcome.TRANSIENT:
        return Recipient.Status.FAILED if last_try else Recipient.Status.PENDING
    return {
        AttemptOutcome.ACCEPTED: Recipient.Status.ACCEPTED,
        AttemptOutcome.PERMANENT: Recipient.Status.FAILED,
        AttemptOutcome.UNKNOWN: Recipient.Status.UNKNOWN,
    }[AttemptOutcome(outcome)]
