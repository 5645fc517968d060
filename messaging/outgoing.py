"""What becomes of a message that comes in, as the company options say (seed rows S1 to S3).

Held: it waits in the queue for a batch; urgent categories do not. Not held: it is sent at once by the code that sends
everything, with the author's settings and one try, and whoever sent it is told what came of it. Not recorded either:
the rows go once that is known; what nobody can know (unknown) stays, because a person has to decide.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging import notices, sending, wake
from messaging.delivery import claims
from messaging.delivery.dialogue import Patience
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes import Reply, judge
from messaging.intake import gate
from messaging.models import AccountPause, Category, CompanyOptions, Message, MessageEvent, Recipient
from messaging.setup import windows
from messaging.setup.layers import resolve
from messaging.setup.options import options, urgent_categories
from messaging.wording import waits

Status = Message.Status
AT_ONCE_STOPS = (AccountPause.Kind.PERSON, AccountPause.Kind.ALL, AccountPause.Kind.LIMIT)


class State(StrEnum):
    """What came of it, for whoever handed it in."""

    QUEUED = "queued"
    SENT = "sent"
    PARTLY = "partly"  # somebody has it, and somebody was refused
    FAILED = "failed"  # nobody has it
    UNKNOWN = "unknown"  # somebody may have it


@dataclass(frozen=True)
class Refusal:
    """A recipient who was refused: by which reply, and what that means."""

    address: str
    reply: Reply
    explanation: str


@dataclass(frozen=True)
class Outcome:
    """What came of one message.

    `message` is deleted already where nothing is recorded (`is_recorded`). `reply` is what ended the try, None when
    none was made. `may_queue`: the queue could help where sending at once did not.
    """

    message: Message
    state: State
    is_recorded: bool = True
    explanation: str = ""
    advice: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()
    reply: Reply | None = None
    may_queue: bool = False


def hand_in(
    submissions: Sequence[gate.Submission],
    *,
    is_watched: bool = False,
    queue_instead: bool = False,
    patience: Patience | None = None,
) -> Iterator[Outcome]:
    """Queue or send messages, each when it is asked for: whoever stops asking after a failure has sent no more.

    All are checked before the first goes. What is queued is queued together, or not at all.

    Args:
        is_watched: a person sees the outcome, so nobody else need be told of it.
        queue_instead: to the queue, to be tried from there, whatever the options say.

    Raises:
        Refused: one of them is not fit to be sent; nothing was.
    """
    now = timezone.now()
    company = options()
    urgent = urgent_categories(company)
    submissions = [replace(each, urgent=each.urgent or each.category in urgent) for each in submissions]
    if company.hold_mail or queue_instead:
        yield from _queue(submissions, now, is_due=queue_instead and not company.hold_mail)
        return
    prepared = [(each, gate.prepare(each, now)) for each in submissions]
    for submission, rows in prepared:
        if submission.not_before is not None:
            yield from _queue([submission], now)
        else:
            yield _send(rows, company, is_watched, patience)


# --- Into the queue ------------------------------------------------------------------------------------


def _queue(submissions: Sequence[gate.Submission], now: datetime, *, is_due: bool = False) -> Iterator[Outcome]:
    prepared = []
    for each in submissions:
        goes_by_itself = each.urgent or is_due or each.not_before is not None
        rows = gate.prepare(replace(each, not_before=each.not_before or now) if goes_by_itself else each, now)
        if goes_by_itself and rows.message.status == Status.QUEUED:
            _choose_account(rows.message)
        prepared.append(rows)
    with transaction.atomic():
        messages = gate.store(prepared)
        for account_id in {message.account_id for message in messages if message.not_before is not None}:
            wake.wake_after_commit(account_id)
    for message in messages:
        is_queued = message.status in (Status.QUEUED, Status.HELD)
        yield Outcome(message, State.QUEUED if is_queued else State.FAILED, explanation=message.reason)


def _choose_account(message: Message) -> None:
    """The author's settings, or the company's where those cannot send; where neither can, it waits for a batch."""
    for account in dict.fromkeys((message.author, None)):
        problems = resolve(account).problems()
        if not problems:
            message.account = account
            return
    message.account = message.not_before = None
    message.reason_category = Category.SETUP
    message.reason = f"Waits for Batch Message Processing: {problems[0]}"[:500]


# --- At once -------------------------------------------------------------------------------------------


def _send(rows: gate.Rows, company: CompanyOptions, is_watched: bool, patience: Patience | None) -> Outcome:
    message, account = rows.message, rows.message.author
    is_recorded = company.record_mail
    if message.status == Status.FAILED:  # it names nobody
        return _ended_before(rows, Outcome(message, State.FAILED, is_recorded, message.reason), is_watched)
    obstacle = "" if message.urgent else _obstacle(account)
    if obstacle:
        outcome = Outcome(message, State.FAILED, is_recorded, obstacle, "Put it in the queue, or send it later.")
        return _ended_before(rows, replace(outcome, may_queue=True), is_watched)
    lane = Lane(account.pk if account else None)
    lane.patience = patience or lane.patience
    message.account = account
    claims.own(message, lane.owner, lane.clock())
    for _ in lane.run_each(gate.store([rows])):
        pass
    return _told(_outcome(message, lane, is_recorded), is_watched)


def _obstacle(account: User | None) -> str:
    """Why an account may not send now though it could: a person paused it, a limit, its hours."""
    now = timezone.now()
    for pause in sending.holding_account(account, now):
        if pause.kind in AT_ONCE_STOPS:
            words = waits(pause).removeprefix("Waits: ")
            return f"It was not sent: {words}"
    setup = resolve(account)
    if windows.next_opening(setup.sending_window, setup.time_zone, now) is not None:
        return f"It was not sent: outside the sending window ({setup.sending_window}, {setup.time_zone})."
    try:
        claims.check_rates(account.pk if account else None, setup.rates, now)
    except claims.LimitReached as reached:
        return f"It was not sent: the limit of {reached.rate.number} messages per {reached.rate.unit} is reached."
    return ""


def _ended_before(rows: gate.Rows, outcome: Outcome, is_watched: bool) -> Outcome:
    """It failed before any server was asked."""
    message = rows.message
    if message.recipient_count:
        message.status, message.once = Status.FAILED, True
        message.reason, message.reason_category = outcome.explanation[:500], Category.SETUP
        for recipient in rows.recipients:
            recipient.status = Recipient.Status.FAILED
    if outcome.is_recorded:
        gate.store([rows])
        MessageEvent.objects.create(message=message, at=timezone.now(), what=outcome.explanation[:500])
    return _told(outcome, is_watched)


def _outcome(message: Message, lane: Lane, is_recorded: bool) -> Outcome:
    message.refresh_from_db()
    recipients = list(message.recipients.all())
    result = lane.result
    accepted = tuple(each.address for each in recipients if each.status == Recipient.Status.ACCEPTED)
    attempt = message.attempts.last()
    refused = tuple(
        Refusal(each.address, reply, judge(reply).explanation)
        for each in recipients
        if each.status == Recipient.Status.FAILED and result is not None
        for reply in [result.reply_for(each.address)]
    )
    state = {Status.SENT: State.SENT, Status.FAILED: State.PARTLY if accepted else State.FAILED}.get(
        Status(message.status), State.UNKNOWN
    )
    return Outcome(
        message,
        state,
        is_recorded or state == State.UNKNOWN,
        message.reason or (attempt.explanation if attempt else ""),
        attempt.advice if attempt else "",
        accepted,
        refused,
        result.final if result is not None else None,
        # Who is refused for good is refused from the queue as well.
        may_queue=state == State.FAILED and attempt is not None and attempt.outcome in ("transient", "setup"),
    )


def _told(outcome: Outcome, is_watched: bool) -> Outcome:
    """Forget what is not to be recorded; see to it that whoever has to know is told, when no person sees it."""
    message = outcome.message
    has_failed = outcome.state not in (State.SENT, State.QUEUED)
    if has_failed and is_watched and message.pk:
        Message.objects.filter(pk=message.pk).update(notified_at=timezone.now())
    elif has_failed and not outcome.is_recorded and not is_watched:
        notices.note_unrecorded(message, outcome.explanation)
    if not outcome.is_recorded and message.pk:
        message.delete()
    return outcome
