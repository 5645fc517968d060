"""The loop: claim, transact, record, next. Knows neither Celery nor HTTP."""

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connections
from django.utils import timezone

from messaging import content
from messaging.models import AttemptOutcome, Category, Message, Recipient, SendAttempt
from messaging.setup.layers import EmailSetup, resolve

from . import claims, pauses
from .claims import Decision, LeaseLost
from .dialogue import Patience, Say, StageFailed
from .outcomes import Reply, Stage, Verdict, judge
from .pauses import Leave
from .retry import max_tries, next_try
from .smtp import Abandoned, BareLineEnd, Connection, Envelope, Result

log = logging.getLogger(__name__)

# Seconds to wait with a known outcome for a database that is away: longer than any lease, because the fence tells
# whether it may still be written.
DATABASE_PATIENCE = 600.0

T = TypeVar("T")
Clock = Callable[[], datetime]


@dataclass
class Lane:
    """One worker's run over the due messages of one account, on one connection.

    Args:
        account_id: the sending account; None is the company's.
        stop: asked between messages; the message at hand is always finished.
        turn_seconds: after that long the lane ends between two messages, so that others get a turn.
        clock: what time it is.
        say: hears the dialogue, for the test message.
        patience: how long to wait for the server.
    """

    account_id: int | None
    stop: Callable[[], bool] = lambda: False
    turn_seconds: float = math.inf
    clock: Clock = timezone.now
    say: Say | None = None
    patience: Patience = field(
        default_factory=lambda: Patience(settings.SMTP_TIMEOUT_SCALE, settings.SMTP_FINAL_REPLY_TIMEOUT)
    )
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
    delivered: int = 0
    connection: Connection | None = None
    set_up_fault: Verdict | None = None
    turn_ends: float = math.inf
    is_probe: bool = False
    is_alone: bool = False

    def run(self) -> int:
        """Deliver whatever is due; how many transactions were recorded."""
        leave = pauses.leave_to_send(self.account_id, self.clock())
        if leave == Leave.NO:
            return 0
        self.is_probe = leave == Leave.PROBE
        self.turn_ends = time.monotonic() + self.turn_seconds
        with self._leases():
            while not self._must_end():
                claimed = claims.take(self.account_id, self.owner, settings.CLAIM_SIZE, self.clock())
                if not claimed:
                    break
                for message in claimed:
                    if self._must_end():
                        break
                    self.deliver(message)
        return self.delivered

    def run_one(self, message_id: int) -> bool:
        """Deliver one queued message now, due or not; False when it could not be claimed.

        Its failure pauses nobody; its success ends a pause.
        """
        self.is_alone = self.is_probe = True
        with self._leases():
            message = claims.take_one(message_id, self.owner, self.clock())
            if message is not None:
                self.deliver(message)
        return message is not None

    def _must_end(self) -> bool:
        return self.set_up_fault is not None or time.monotonic() > self.turn_ends or self.stop()

    @contextmanager
    def _leases(self) -> Iterator[None]:
        """Keep this lane's leases alive from another thread; at the end give back what was not started."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), name=f"leases {self.owner}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            if self.connection is not None:
                self.connection.close(politely=True)
            _persistently(lambda: claims.give_back(self.owner), settings.LEASE_SECONDS)
            keeper.join()

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(settings.LEASE_SECONDS / 3):
            try:
                claims.renew(self.owner, self.clock())
            except (OperationalError, InterfaceError):
                log.warning("leases of %s not renewed: the database is away", self.owner)
        connections.close_all()

    # --- One message -----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Hand one claimed message over and record what happened, whatever happens."""
        attempt = SendAttempt(
            message=message,
            batch_id=message.batch_id,
            account_id=self.account_id,
            fence=message.fence,
            started_at=self.clock(),
            stage=Stage.CONNECT,
        )
        pending = [recipient for recipient in message.recipients.all() if recipient.status == Recipient.Status.PENDING]
        try:
            result = self._transact(message, attempt, pending)
            self._record(message, attempt, pending, result)
        except Abandoned:
            log.info("message %d was taken back before it was sent", message.pk)
        except LeaseLost as lost:
            log.warning("lease lost: %s", lost)

    def _transact(self, message: Message, attempt: SendAttempt, pending: list[Recipient]) -> Result:
        """Open or reuse the connection and hand the message over; the Result says where it ended and how."""
        envelope = Envelope(
            message.reverse_path,
            [recipient.address for recipient in pending],
            message.size,
            message.is_8bit,
            message.needs_smtputf8,
        )

        def before_data(so_far: Result) -> bool:
            attempt.stage = Stage.DATA
            attempt.recipients = _replies(pending, so_far)
            try:
                _persistently(lambda: claims.start_data(message, attempt, self.clock()), settings.LEASE_SECONDS)
            except LeaseLost:
                return False
            return True

        try:
            pieces = content.assemble(message)
            connection = self._connected(attempt)
            was_used = connection.transactions > 0
            result = connection.transact(envelope, pieces, before_data)
            if was_used and not connection.is_open and _ended_between(result.final):
                # The server ended a used connection between two messages: that says nothing about this one.
                result = self._connected(attempt).transact(envelope, content.assemble(message), before_data)
        except StageFailed as failure:
            return Result(failure.reply)
        except (content.MissingContent, BareLineEnd) as error:
            return Result(Reply(Stage.PREPARE, None, str(error), "content missing"))
        except (DatabaseError, Abandoned):
            raise
        except Exception as error:
            # One bad message never stops the others.
            log.exception("message %d", message.pk)
            stage = Stage.END if message.in_data else Stage.PREPARE
            return Result(Reply(stage, None, f"{type(error).__name__}: {error}", "not prepared"))
        return result

    def _connected(self, attempt: SendAttempt) -> Connection:
        """A connection with the settings as they are now; a new one after enough messages (and for new settings)."""
        connection = self.connection
        if connection is not None and connection.is_open:
            if connection.transactions < settings.MESSAGES_PER_CONNECTION:
                attempt.server, attempt.tls = connection.server, connection.tls
                return connection
            connection.close(politely=True)
        setup = self._setup()
        self.connection = connection = Connection(setup, self.patience, self.say)
        attempt.server = setup.server
        connection.open()
        attempt.tls = connection.tls
        return connection

    def _setup(self) -> EmailSetup:
        account = None if self.account_id is None else User.objects.filter(pk=self.account_id).first()
        return resolve(account)

    def _record(self, message: Message, attempt: SendAttempt, pending: list[Recipient], result: Result) -> None:
        now = self.clock()
        attempt.finished_at = now
        attempt.recipients = _replies(pending, result)
        verdicts = _verdicts(pending, result)
        reply, verdict = _leading(pending, verdicts, result)
        attempt.stage = reply.stage
        attempt.outcome = verdict.outcome
        attempt.category, attempt.explanation, attempt.advice = verdict.category, verdict.explanation, verdict.advice
        attempt.reply_code, attempt.enhanced_code = reply.code, reply.enhanced
        attempt.reply_text = reply.text
        if verdict.outcome == AttemptOutcome.SETUP:
            self.set_up_fault = verdict
            if not self.is_alone and not self._others_are_served(verdict):
                _persistently(
                    lambda: pauses.pause(self.account_id, verdict, server=attempt.server, words=reply.text, now=now),
                    DATABASE_PATIENCE,
                )
            decision = Decision(Message.Status.QUEUED, message.tries, message.not_before, verdict.category,
                                verdict.explanation)  # fmt: skip
        else:
            decision = _decide(message, pending, verdicts, verdict, result, now)
            if self.is_probe:
                _persistently(lambda: pauses.clear(self.account_id), DATABASE_PATIENCE)
                self.is_probe = False
        try:
            _persistently(lambda: claims.record(message, attempt, pending, decision), DATABASE_PATIENCE)
        except IntegrityError:
            # The account (or the batch) was deleted meanwhile; what happened to the message is kept all the same.
            attempt.account_id = attempt.batch_id = None
            _persistently(lambda: claims.record(message, attempt, pending, decision), DATABASE_PATIENCE)
        self.delivered += 1

    def _others_are_served(self, verdict: Verdict) -> bool:
        """Too many connections at once is no reason to stop those that are open."""
        busy = verdict.category == Category.BUSY
        return busy and claims.lanes_at_work(self.account_id, self.clock(), besides=self.owner) > 0


def _ended_between(reply: Reply) -> bool:
    """Whether a server ended a connection before it looked at the next message."""
    return reply.stage == Stage.MAIL and (bool(reply.error) or reply.code == 421)


def _verdicts(pending: list[Recipient], result: Result) -> list[Verdict]:
    """A verdict per recipient. Set-up is at fault only where it kept everybody from being served."""
    verdicts = [judge(result.reply_for(recipient.address)) for recipient in pending]
    if all(verdict.outcome == AttemptOutcome.SETUP for verdict in verdicts):
        return verdicts
    return [
        replace(verdict, outcome=AttemptOutcome.PERMANENT) if verdict.outcome == AttemptOutcome.SETUP else verdict
        for verdict in verdicts
    ]


GRAVEST_FIRST = [
    AttemptOutcome.UNKNOWN,
    AttemptOutcome.SETUP,
    AttemptOutcome.PERMANENT,
    AttemptOutcome.TRANSIENT,
    AttemptOutcome.ACCEPTED,
]


def _leading(pending: list[Recipient], verdicts: list[Verdict], result: Result) -> tuple[Reply, Verdict]:
    """The reply and verdict that speak for the whole attempt: the gravest of the recipients'."""
    if not verdicts:
        return result.final, judge(result.final)
    place = min(range(len(verdicts)), key=lambda index: GRAVEST_FIRST.index(verdicts[index].outcome))
    return result.reply_for(pending[place].address), verdicts[place]


def _decide(
    message: Message, pending: list[Recipient], verdicts: list[Verdict], leading: Verdict, result: Result, now: datetime
) -> Decision:
    """Set each recipient's outcome and from them the message's; spends a try."""
    tries = message.tries + 1
    again = next_try(tries, now)
    for recipient, verdict in zip(pending, verdicts, strict=True):
        reply = result.reply_for(recipient.address)
        recipient.reply_code, recipient.enhanced_code = reply.code, reply.enhanced
        recipient.reply_text = reply.text
        recipient.decided_at = now
        recipient.status = _recipient_status(verdict.outcome, last_try=again is None)
    everyone = {recipient.status for recipient in message.recipients.all()}
    if Recipient.Status.UNKNOWN in everyone:
        return Decision(Message.Status.UNKNOWN, tries, None, leading.category, leading.explanation)
    if Recipient.Status.PENDING in everyone:
        waiting = next(verdict for verdict in verdicts if verdict.outcome == AttemptOutcome.TRANSIENT)
        return Decision(Message.Status.QUEUED, tries, again, waiting.category, waiting.explanation)
    if Recipient.Status.FAILED in everyone:
        return Decision(Message.Status.FAILED, tries, None, *_why_failed(message, leading))
    return Decision(Message.Status.SENT, tries)


def _why_failed(message: Message, leading: Verdict) -> tuple[str, str]:
    """Category and words of a failed message; the attempt that failed may be an earlier one."""
    if leading.outcome == AttemptOutcome.PERMANENT:
        return leading.category, leading.explanation
    if leading.outcome == AttemptOutcome.TRANSIENT:
        return leading.category, f"{leading.explanation} Given up after {max_tries()} tries."
    return message.reason_category or Category.ADDRESS, "A recipient was refused in an earlier try."


def _recipient_status(outcome: str, *, last_try: bool) -> str:
    if outcome == AttemptOutcome.TRANSIENT:
        return Recipient.Status.FAILED if last_try else Recipient.Status.PENDING
    return {
        AttemptOutcome.ACCEPTED: Recipient.Status.ACCEPTED,
        AttemptOutcome.PERMANENT: Recipient.Status.FAILED,
        AttemptOutcome.UNKNOWN: Recipient.Status.UNKNOWN,
    }[AttemptOutcome(outcome)]


def _replies(pending: list[Recipient], result: Result) -> list[dict[str, object]]:
    """The replies per recipient, for SendAttempt.recipients. Before the end of data, an accepted RCPT is unknown."""
    rows: list[dict[str, object]] = []
    for recipient in pending:
        reply = result.reply_for(recipient.address)
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
            }
        )
    return rows


def _persistently(write: Callable[[], T], seconds: float) -> T:
    """Call `write` again while the database is away, at most for so long."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError):
            if time.monotonic() > give_up:
                raise
            log.warning("the database is away; trying again")
            connections["default"].close()
            time.sleep(0.5)
