"""What becomes of a message that comes in, as the company options say (S1 to S3).

Held: it waits in the queue for a batch; urgent categories do not. Not held: it is sent at once by the code that sends
everything, with the author's settings and one try, and its sender is told the outcome. Not recorded either:
the rows go once that is known; what no one can know (unknown) stays, because a person has to decide.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence, Set
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from messaging import notices
from messaging.company.options import last_read, may_claim, options, urgent_categories
from messaging.delivery import refusal_streaks, unanswered
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes.reply import OPENING_STAGES, Stage
from messaging.delivery.outcomes.verdict import Reply, judge
from messaging.delivery.smtp.dialogue import Patience
from messaging.delivery.smtp.transaction import Result
from messaging.delivery.store import restore_detection
from messaging.intake import gate
from messaging.lifecycle import limits
from messaging.models import Category, CompanyOptions, Message, MessageEvent, Phrase, Reason, Recipient
from messaging.queue import actions, promises, wake
from messaging.queue.promises import Promise
from messaging.setup.layers import resolve
from messaging.wording import advice, in_words, kept

log = logging.getLogger(__name__)

Status = Message.Status
LATER = "Put it in the queue, or send it later."
COMMIT_SECONDS = 5.0  # for which the database is asked whether it stored a message, after it went away over that
MAY_BE_STORED = "The database went away while the message was being stored. Look for it in the message queue first."


class MayBeStored(DatabaseError):
    """Whether a message was stored cannot be found out now; it was not sent, but it may be from the queue."""


class State(StrEnum):
    """What came of it, for its sender."""

    QUEUED = "queued"
    SENT = "sent"
    PARTLY = "partly"  # someone has it, and someone was refused
    FAILED = "failed"  # no one has it
    UNKNOWN = "unknown"  # someone may have it


@dataclass(frozen=True)
class RefusedRecipient:
    """A recipient who was refused: by which reply, and what that means."""

    address: str
    reply: Reply
    reason: Phrase

    @property
    def explanation(self) -> str:
        return in_words(self.reason)


@dataclass(frozen=True)
class Outcome:
    """What came of one message.

    `message` is deleted already where nothing is recorded (`is_recorded`). `reason` is why it stands so. `reply` is
    what ended the try, None when none was made, `result` all that was heard, `error` this machine's own error in
    opening the connection. `may_queue`: the queue could help where sending at once did not.
    """

    message: Message
    state: State
    is_recorded: bool = True
    reason: Phrase | None = None
    advice: str = ""
    accepted: tuple[str, ...] = ()
    refused: tuple[RefusedRecipient, ...] = ()
    reply: Reply | None = None
    may_queue: bool = False
    result: Result | None = None
    error: BaseException | None = None

    @property
    def explanation(self) -> str:
        """The reason in words."""
        return in_words(self.reason)


def submit(
    submissions: Sequence[gate.Submission],
    *,
    is_watched: bool = False,
    stays: Callable[[], bool] = lambda: True,
    queue_instead: bool = False,
    promised: Promise | None = None,
    patience: Patience | None = None,
    in_place_of: actions.Replaced | None = None,
    stored: Callable[[Message], None] | None = None,
    keep: Callable[[Outcome], None] = lambda outcome: None,
) -> Generator[Outcome]:
    """Queue or send messages, each when it is asked for: a caller that stops asking after a failure has sent no more.

    All are checked before the first goes. What is queued is queued together, or not at all. What is sent goes over one
    connection as long as the author stays the same. Where no connection comes about, the messages after the first are
    not tried.

    The limits of the account hold as they do for lanes: a connection is waited for, at most for limits.PATIENCE.

    Within a transaction of the caller's the record of what was sent is part of it, and goes if that is rolled back.
    Until it is committed, no one else on PostgreSQL sees what was sent in it, nor the connection: what several such
    transactions send at one time may together exceed the limits. SQLite has one writer, so there no one else sends
    meanwhile, and no connection is waited for.

    Args:
        is_watched: a person sees the outcome, so no one else need be told of it.
        stays: asked once an outcome is known; False: that person has left, so a failure is recorded, and told like any.
        queue_instead: to the queue, to be tried from there, whatever the options say.
        promised: what a page said becomes of them.
        in_place_of: a failed message that its author sends as the first of these: it is cancelled in the transaction
            that stores the other, which is recorded even where nothing else is. So one of them may be retried, always.
        stored: called with each message in the transaction that stores it.
        keep: called with each outcome, in the transaction that deletes what is not to be recorded.

    Raises:
        Refused: one of them is not fit to be sent; nothing was.
        NotReplaced: as actions.write_again, for `in_place_of`; nothing was sent.
        NotAsPromised: something else than was `promised` would become of the message at hand; it was not stored.
        MayBeStored: the database went away while it stored the message at hand.
        DatabaseError: the database is away; the message at hand was not handed over, and is not sent any more.
    """
    now = timezone.now()
    company = last_read()
    # What `_queue` asks of the options is compared where the rows are stored (rows.DECISIVE).
    if company is not None and company.hold_mail and promised is None and in_place_of is None:
        with suppress(gate.OptionsChanged):  # before the first was stored
            yield from _queue(_with_claims(submissions, company), now, stored, keep, as_of=company)
            return
    company = options()
    submissions = _with_claims(submissions, company)
    prepared = []
    if not (company.hold_mail or queue_instead):
        prepared = [(each, gate.prepare(each, now)) for each in submissions]
        company = options()  # what is large takes its time to be prepared, and may be held by now
    if company.hold_mail or queue_instead:
        is_due = queue_instead and not company.hold_mail
        yield from _queue(submissions, now, stored, keep, is_due=is_due, promised=promised, in_place_of=in_place_of)
        return
    restore_detection.check(now)
    with closing(_AtOnce(company, stays if is_watched else None, patience, in_place_of, stored, keep)) as at_once:
        for submission, rows in prepared:
            if submission.not_before is not None:
                earlier = at_once.takes_its_place()
                yield from _queue([submission], now, stored, keep, promised=promised, in_place_of=earlier)
            else:
                promises.compare(promised, Promise.AT_ONCE)
                rows = rows._replace(event=gate.came_in(MessageEvent.Kind.TAKEN, submission, rows.message))
                yield at_once.send(rows)


def _with_claims(submissions: Sequence[gate.Submission], company: CompanyOptions) -> list[gate.Submission]:
    urgent = urgent_categories(company)
    return [_with_its_claim(each, company, urgent) for each in submissions]


def _with_its_claim(submission: gate.Submission, company: CompanyOptions, urgent: Set[str]) -> gate.Submission:
    """Whether it is urgent for its category. One that it may not claim is no reason to refuse it."""
    if submission.urgent or submission.category not in urgent:
        return submission
    is_allowed = may_claim(company, submission.via, submission.category)
    return replace(submission, urgent=is_allowed, may_not_claim=not is_allowed)


# --- Into the queue ------------------------------------------------------------------------------------


def _queue(
    submissions: Sequence[gate.Submission],
    now: datetime,
    stored: Callable[[Message], None] | None,
    keep: Callable[[Outcome], None],
    *,
    is_due: bool = False,
    promised: Promise | None = None,
    in_place_of: actions.Replaced | None = None,
    as_of: CompanyOptions | None = None,
) -> Iterator[Outcome]:
    """Raises OptionsChanged, before the first outcome: the options are not those of `as_of` by now."""
    if not submissions:
        return
    prepared = []
    choose = _Accounts()
    for each in submissions:
        goes_by_itself = each.urgent or is_due or each.not_before is not None
        rows = gate.prepare(replace(each, not_before=each.not_before or now) if goes_by_itself else each, now)
        if goes_by_itself and rows.message.status == Status.QUEUED:
            choose(rows.message)
        promises.compare(promised, promises.of(rows.message))
        prepared.append(rows)
    messages = _store(prepared, in_place_of, stored, as_of)
    for account_id in {message.account_id for message in messages if message.not_before is not None}:
        wake.wake_after_commit(account_id)
    for message in messages:
        is_queued = message.status in (Status.QUEUED, Status.HELD)
        outcome = Outcome(message, State.QUEUED if is_queued else State.FAILED, reason=message.reason)
        keep(outcome)
        yield outcome


def _store(
    prepared: Sequence[gate.Rows],
    in_place_of: actions.Replaced | None,
    stored: Callable[[Message], None] | None,
    as_of: CompanyOptions | None = None,
) -> list[Message]:
    """Commit the rows, and that the first of them takes the place of a message that failed.

    Raises:
        MayBeStored
        OptionsChanged, DatabaseError: nothing was stored.
    """
    messages = [rows.message for rows in prepared]
    try:
        if in_place_of is None and stored is None:
            return gate.store(prepared, as_of)
        with transaction.atomic():
            if in_place_of is not None and (author := messages[0].author) is not None:
                to = [each.address for each in prepared[0].recipients]
                actions.write_again(in_place_of.message, by=author, seen=in_place_of.seen, to=to)
            gate.store(prepared, as_of)
            if stored is not None:
                for message in messages:
                    stored(message)
    except (OperationalError, InterfaceError) as error:
        is_in_doubt = isinstance(error, gate.CommitInDoubt) or messages[0].pk is not None
        if not is_in_doubt or connection.in_atomic_block or not _was_committed(messages[0], error):
            raise
        log.warning("the database went away while a message was stored, which it was")
    return messages


def _was_committed(message: Message, error: Exception) -> bool:
    """Whether the transaction of a message took place, of which the database did not say so. Raises MayBeStored."""
    rows = Message.objects.filter(message_id=message.message_id, created_at=message.created_at)
    if message.pk is not None:
        rows = rows.filter(pk=message.pk)
    give_up = time.monotonic() + COMMIT_SECONDS
    answers = 0
    while answers < 2:  # a COMMIT whose connection is gone may still be under way at the first
        connection.close()
        try:
            if (found := rows.values_list("pk", flat=True).first()) is not None:
                gate.give_key(message, found)
                return True
            answers += 1
        except (OperationalError, InterfaceError):
            if time.monotonic() > give_up:
                raise MayBeStored(MAY_BE_STORED) from error
        time.sleep(0.5)
    return False


class _Accounts:
    """The settings that messages go out with by themselves, looked up once per author."""

    def __init__(self) -> None:
        self._found: dict[User | None, actions.Sender] = {}

    def __call__(self, message: Message) -> None:
        """Set the account; where none can send, the message waits for a batch."""
        if message.author not in self._found:
            self._found[message.author] = actions.sender_for(message.author)
        message.account, problem = self._found[message.author]
        if problem is not None:
            message.not_before = None
            message.reason_category = Category.SETUP
            message.reason = Phrase(Reason.WAITS_FOR_BATCH, problem=problem)


# --- At once -------------------------------------------------------------------------------------------


class _AtOnce:
    """Sends the messages of one call, over one connection as long as their account stays the same."""

    def __init__(
        self,
        company: CompanyOptions,
        stays: Callable[[], bool] | None,
        patience: Patience | None,
        in_place_of: actions.Replaced | None,
        stored: Callable[[Message], None] | None,
        keep: Callable[[Outcome], None],
    ) -> None:
        self.is_recorded = company.record_mail or in_place_of is not None
        self.stays = stays
        self.patience = patience
        self.stored = stored
        self.keep = keep
        self._in_place_of = in_place_of
        self._lane: Lane | None = None
        self._ends = ExitStack()
        self._unopened: Outcome | None = None
        self._patience = limits.PATIENCE

    def close(self) -> None:
        """End the connection."""
        self._lane = self._unopened = None
        self._ends.close()

    def takes_its_place(self) -> actions.Replaced | None:
        """The message that the next one is sent in place of."""
        earlier, self._in_place_of = self._in_place_of, None
        return earlier

    def send(self, rows: gate.Rows) -> Outcome:
        """Send one message, unless something is in the way, and say what came of it."""
        message, account = rows.message, rows.message.author
        if message.status == Status.FAILED:  # it names no one
            return self._ended_before(rows, Outcome(message, State.FAILED, reason=message.reason))
        try:
            lane = self._lane_of(account, is_urgent=message.urgent)
            if self._unopened is not None:
                return self._ended_before(rows, _unopened_too(self._unopened, rows))
            lane.take_on(message, lambda: self._store(rows, account))
        except limits.NotNow as obstacle:
            why = kept(obstacle.pause) if obstacle.pause is not None else obstacle.reason
            reason = Phrase(Reason.NOT_SENT, why=why)
            outcome = Outcome(message, State.FAILED, reason=reason, advice=LATER, may_queue=True)
            return self._ended_before(rows, outcome)
        return self._delivered(message, lane)

    def _store(self, rows: gate.Rows, account: User | None) -> None:
        rows.message.account = account
        _store([rows], self.takes_its_place(), self.stored)

    def _delivered(self, message: Message, lane: Lane) -> Outcome:
        outcome: Outcome | None = None
        was_handed_over = False
        before = lane.delivered
        try:
            lane.deliver_at_once(message)
            was_handed_over = message.may_be_accepted
            outcome = _outcome(message, lane, self.is_recorded)
            if outcome.state == State.FAILED and outcome.reply is not None and outcome.reply.stage in OPENING_STAGES:
                self._unopened = outcome
            return self._conclude(outcome)
        except DatabaseError:
            # A sender who heard only of the database would send it once more.
            if not (was_handed_over or message.may_be_accepted or lane.delivered > before):
                raise
            log.exception("message %s was handed over, and what came of it could not be written down", message.pk)
            return outcome or Outcome(message, State.UNKNOWN, reason=Phrase(Reason.UNWRITTEN), result=lane.result)

    def _lane_of(self, account: User | None, *, is_urgent: bool) -> Lane:
        """Raises NotNow; for all messages together, connections are waited for no longer than for one."""
        key = account.pk if account else None
        if self._lane is None or self._lane.account_id != key:
            self.close()
            lane = Lane(key)
            lane.patience = self.patience or lane.patience
            limits.standing(key, resolve(account), lane.clock()).let_through(urgent=is_urgent)
            try:
                if self.stays is not None:
                    self._ends.enter_context(limits.seat(str(account.pk) if account else ""))
                self._ends.enter_context(lane.at_once(self._patience))
            except limits.NotNow:
                self._ends.close()
                self._patience = 0.0
                raise
            self._lane = lane
        return self._lane

    def _ended_before(self, rows: gate.Rows, outcome: Outcome) -> Outcome:
        """It failed before any server was asked for it."""
        message = rows.message
        if message.recipient_count:
            category = judge(outcome.reply).category if outcome.reply is not None else Category.SETUP
            message.status, message.is_immediate = Status.FAILED, True
            message.reason, message.reason_category = outcome.reason, category
            for recipient in rows.recipients:
                recipient.status = Recipient.Status.FAILED
        is_recorded = self.is_recorded or self._has_left()
        if is_recorded:
            with transaction.atomic():
                _store([rows], self.takes_its_place(), self.stored)
                what = Phrase(MessageEvent.Kind.ENDED_EARLY, reason=outcome.reason)
                MessageEvent.of(what, message=message, at=timezone.now()).save()
        return self._conclude(replace(outcome, is_recorded=is_recorded))

    def _has_left(self) -> bool:
        """Whether someone looked on, and does no more."""
        return self.stays is not None and not self.stays()

    def _conclude(self, outcome: Outcome) -> Outcome:
        """Forget what is not to be recorded; see to it that those who have to know are told, when no person sees it."""
        message = outcome.message
        has_failed = outcome.state not in (State.SENT, State.QUEUED)
        is_watched = self.stays is not None and self.stays()
        if has_failed and self._has_left():
            outcome = replace(outcome, is_recorded=True)
        with transaction.atomic():
            if has_failed and is_watched and message.pk:
                Message.objects.filter(pk=message.pk).update(notified_at=timezone.now())
            elif has_failed and not outcome.is_recorded and not is_watched:
                notices.note_unrecorded(message, outcome.reason)
            self.keep(outcome)
            if not outcome.is_recorded and message.pk:
                limits.delete(message, timezone.now())
        return outcome


def _unopened_too(first: Outcome, rows: gate.Rows) -> Outcome:
    """What came of a message that was not tried, because no connection came about for the one before."""
    reply = first.reply
    assert reply is not None
    refused = tuple(RefusedRecipient(each.address, reply, judge(reply).reason) for each in rows.recipients)
    return replace(first, message=rows.message, accepted=(), refused=refused, result=Result(reply))


def _outcome(message: Message, lane: Lane, is_recorded: bool) -> Outcome:
    message.refresh_from_db()
    recipients = list(Recipient.objects.filter(message=message))
    result = lane.result
    accepted = tuple(each.address for each in recipients if each.status == Recipient.Status.ACCEPTED)
    attempt = unanswered.with_ends_unanswered(refusal_streaks.with_ends_streak(message.attempts.all())).last()
    if accepted and not is_recorded and getattr(attempt, "ends_streak", False):
        refusal_streaks.end_counting(lane.account_id)
    is_answered = result is not None and result.final.stage == Stage.END and message.status != Status.UNKNOWN
    if attempt is not None and is_answered and not is_recorded and getattr(attempt, "ends_unanswered", False):
        unanswered.end_counting(lane.account_id, attempt.server)
    refused = tuple(
        RefusedRecipient(each.address, reply, judge(reply).reason)
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
        message.reason or (attempt.reason if attempt else None),
        advice(attempt.reason, is_over=True) if attempt else "",
        accepted,
        refused,
        result.final if result is not None else None,
        # Who is refused for good is refused from the queue as well.
        may_queue=state == State.FAILED and attempt is not None and attempt.outcome in ("transient", "setup"),
        result=result,
        error=lane.error,
    )
