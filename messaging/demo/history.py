"""How messages of the past ended: the rows delivery would have left, made without sending anything."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from django.conf import settings

from messaging.delivery.decision import complete, judge_result
from messaging.delivery.outcomes.retry import max_tries
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage, judge
from messaging.delivery.smtp.transaction import Result
from messaging.intake.gate import Rows
from messaging.models import AttemptOutcome, Batch, Message, Phrase, Reason, Recipient, SendAttempt

SERVER = "smtp.brightwater.example:587"
TLS = "TLSv1.3 TLS_AES_256_GCM_SHA384"

ACCEPTED = Reply(Stage.END, 250, "2.0.0 Ok: queued as {id}")
GREYLISTED = Reply(Stage.RCPT, 451, "4.7.1 <{address}>: Recipient address rejected: Greylisted, please try again later")
NO_MAILBOX = Reply(
    Stage.RCPT, 550, "5.1.1 <{address}>: Recipient address rejected: User unknown in virtual mailbox table"
)
MAILBOX_FULL = Reply(Stage.RCPT, 452, "4.2.2 <{address}>: The recipient's mailbox is over quota")
SPAM = Reply(Stage.END, 550, "5.7.1 Message rejected as spam by content filtering (reference {id})")
TOO_BIG = Reply(Stage.MAIL, 552, "5.3.4 Message size exceeds fixed limit")
CUT_OFF = Reply(Stage.END, None, "Connection unexpectedly closed", LocalError.CONNECTION_LOST)

# What was heard in each try; the last one decided.
SENT = (ACCEPTED,)
SENT_LATER = (GREYLISTED, ACCEPTED)
REFUSED = (NO_MAILBOX,)
TAKEN_FOR_SPAM = (SPAM,)
REFUSED_FOR_SIZE = (TOO_BIG,)
UNKNOWN = (CUT_OFF,)

# The evening of the day that was so long ago leaves time for all tries before now.
LONGEST = timedelta(hours=36)

# Of a thousand messages of the past.
MIX = ((SENT, 951), (SENT_LATER, 12), (REFUSED, 21), (TAKEN_FOR_SPAM, 6), (REFUSED_FOR_SIZE, 2), (UNKNOWN, 2))


def given_up() -> tuple[Reply, ...]:
    """A mailbox that stayed full for as many tries as there are."""
    return (MAILBOX_FULL,) * max_tries()


def mixed(random: Random) -> tuple[Reply, ...]:
    """An ending for one message, as often as MIX has it; the rest gave up."""
    place = random.randrange(1000)
    for ending, per_thousand in MIX:
        place -= per_thousand
        if place < 0:
            return ending
    return given_up()


def end(
    rows: Rows,
    ending: tuple[Reply, ...],
    started: datetime,
    random: Random,
    batch: Batch | None = None,
    refused: Mapping[str, Reply] | None = None,
) -> list[SendAttempt]:
    """Let a message that is not stored yet end; the attempts, to be stored after it.

    Args:
        ending: what was heard in each try, the first of which began at `started`.
        refused: addresses that got another answer than the rest, in the only try.
    """
    message, recipients = rows.message, rows.recipients
    attempts = []
    for number, reply in enumerate(ending, start=1):
        finished = started + timedelta(milliseconds=random.randint(60, 420))
        identity = f"{random.getrandbits(40):010X}"
        heard = [_filled((refused or {}).get(row.address, reply), row.address, identity) for row in recipients]
        attempts.append(_attempt(rows, batch, number, started, finished, heard))
        for row, answer in zip(recipients, heard, strict=True):
            row.status = _status(answer, is_last=number == len(ending))
            row.reply_code, row.enhanced_code = answer.code, answer.enhanced
            row.reply_text, row.said, row.decided_at = answer.text, answer.detail, finished
        if number < len(ending):
            started = finished + timedelta(seconds=settings.RETRY_GAPS[number - 1])
    _close(message, recipients, attempts)
    message.batch = batch
    return attempts


def _filled(reply: Reply, address: str, identity: str) -> Reply:
    return replace(reply, text=reply.text.format(address=address, id=identity))


def _attempt(
    rows: Rows, batch: Batch | None, number: int, started: datetime, finished: datetime, heard: list[Reply]
) -> SendAttempt:
    attempt = SendAttempt(
        message=rows.message,
        batch=batch,
        fence=number,
        started_at=started,
        finished_at=finished,
        server=SERVER,
        tls=TLS,
    )
    each = {row.address: reply for row, reply in zip(rows.recipients, heard, strict=True)}
    result = Result(next((reply for reply in heard if reply.ok), heard[0]), each)
    complete(attempt, rows.recipients, result, judge_result(rows.recipients, result))
    return attempt


def _status(reply: Reply, *, is_last: bool) -> str:
    outcome = judge(reply).outcome
    if outcome == AttemptOutcome.TRANSIENT:
        return Recipient.Status.FAILED if is_last else Recipient.Status.PENDING
    return {
        AttemptOutcome.ACCEPTED: Recipient.Status.ACCEPTED,
        AttemptOutcome.PERMANENT: Recipient.Status.FAILED,
        AttemptOutcome.UNKNOWN: Recipient.Status.UNKNOWN,
    }[outcome]


def _close(message: Message, recipients: list[Recipient], attempts: list[SendAttempt]) -> None:
    """The message's own state, from those of its recipients."""
    last = attempts[-1]
    found = {row.status for row in recipients}
    message.tries = message.fence = len(attempts)
    message.reason_category, message.reason = last.category, last.reason
    if Recipient.Status.UNKNOWN in found:
        message.status = Message.Status.UNKNOWN
    elif Recipient.Status.FAILED in found:
        message.status = Message.Status.FAILED
        if last.outcome == AttemptOutcome.TRANSIENT:
            message.reason = Phrase(Reason.GIVEN_UP, reason=last.reason, tries=len(attempts))
    else:
        message.status = Message.Status.SENT
        message.sent_at = last.finished_at
        message.reason_category, message.reason = "", None
