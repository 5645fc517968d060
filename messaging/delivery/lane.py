"""The loop: claim, transact, record, next. Knows neither Celery nor HTTP."""

import logging
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.utils import parseaddr
from typing import TypeVar

from django.conf import settings
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.utils import timezone

from messaging.company.options import RetryLimits, retry_limits
from messaging.content import assembly
from messaging.delivery import opt_file_block, pauses, refusal_streaks, unanswered
from messaging.delivery.outcomes import retry
from messaging.delivery.outcomes.verdict import LocalError, Reply, Scope, Stage, Verdict, judge
from messaging.delivery.smtp.dialogue import OnLine, Patience, StageFailed, is_out_of_files
from messaging.delivery.smtp.steps import OnStep
from messaging.delivery.smtp.transaction import Abandoned, BareLineEnd, Connection, Envelope, Result, was_asked
from messaging.delivery.store import claims, ledger, restore_detection, witness
from messaging.delivery.store.group_commit import is_away
from messaging.delivery.store.ledger import DATABASE_PATIENCE, LeaseLost
from messaging.lifecycle import limits
from messaging.models import AccountPause, AttemptOutcome, Message, MessageEvent, Phrase, Recipient, SendAttempt
from messaging.setup import opt_files
from messaging.setup.layers import EmailSetup, resolve
from messaging.setup.opt_files import OptError, OptFiles
from messaging.system_errors import words_of

from .decision import (
    Judgement,
    PutOff,
    complete,
    decide,
    fail_once,
    forget_words,
    go_on,
    judge_result,
    leave_for_later,
    limit_to_message,
    others_were_judged,
    put_back,
    put_off_alone,
    replies_of,
    rest_at_once,
    whom_to_ask,
    with_put_off,
)
from .openings import StillSilent, openings

log = logging.getLogger(__name__)

FIRST_CLAIM = 4

MOST_BROKEN_OFF = 1000

T = TypeVar("T")
Clock = Callable[[], datetime]


_asked_before: dict[int, int] = {}  # how many recipients at once, by the key of a message that was broken off
_asking = threading.Lock()


class OptFilesBlock(Exception):
    """Nothing is sent by this server until its `.opt` files are corrected: what was claimed goes back to the queue."""


@dataclass
class Lane:
    """One worker's run over the due messages of one account, on one connection.

    Args:
        account_id: the sending account; None is the company's.
        stop: asked between transactions; the one at hand is always finished.
        turn_seconds: after that long the lane ends between two transactions, so that others get a turn.
        clock: what time it is.
        on_line, on_step: are given the dialogue and the steps of opening, for the test message.
        patience: how long to wait for the server.
    """

    account_id: int | None
    stop: Callable[[], bool] = lambda: False
    turn_seconds: float = math.inf
    clock: Clock = lambda: timezone.now()
    on_line: OnLine | None = None
    on_step: OnStep | None = None
    patience: Patience = field(
        default_factory=lambda: Patience(settings.SMTP_TIMEOUT_SCALE, settings.SMTP_FINAL_REPLY_TIMEOUT)
    )
    owner: str = field(default_factory=lambda: f"{socket.gethostname()[:60]}:{os.getpid()}:{uuid.uuid4().hex[:8]}")
    delivered: int = 0
    connection: Connection | None = None
    halted_by: Verdict | None = None
    refused_by: list[OptError] = field(default_factory=list)
    is_put_off: bool = False
    turn_ends: float = math.inf
    is_probe: bool = False
    is_alone: bool = False
    tries_for_answer: bool = False
    claim_size: int = FIRST_CLAIM
    setup: EmailSetup | None = None
    retry_limits: RetryLimits = retry.NO_LIMITS
    database: str = ""
    journal: witness.Journal | None = None
    transaction: int = 0
    asked_at_once: int | None = None
    result: Result | None = None
    error: BaseException | None = None
    settle: Callable[[], None] = lambda: None

    def run(self) -> int:
        """Deliver whatever is due and allowed; how many transactions were recorded."""
        self.database = restore_detection.check(self.clock())
        self.turn_ends = time.monotonic() + self.turn_seconds
        setup = self._resolve()
        if self._is_kept_back(setup.files) or openings.is_silent(setup.server):
            return 0
        if not limits.take_place(self.account_id, self.owner, setup.max_connections, self.clock()):
            return 0
        with self._leases(), self._journal():
            while not self._must_end():
                claimed = self._claim()
                if not claimed:
                    break
                begun = time.monotonic()
                for message in claimed:
                    if self._must_end():
                        break
                    self.deliver(message)
                self._leave_probe()
                self._fit_claim_size(time.monotonic() - begun)
        return self.delivered

    @contextmanager
    def at_once(self, patience: float | None = None) -> Iterator[None]:
        """The lane is at work for a sender who waits for it; its connection stays open from message to message.

        Args:
            patience: seconds to wait for one of the account's connections, if not limits.PATIENCE.

        Raises:
            NotNow: none became free.
        """
        self.is_alone = True
        self.retry_limits = retry.ONCE
        self.database = restore_detection.check(self.clock())
        patience = limits.PATIENCE if patience is None else patience
        limits.wait_for_place(self.account_id, self.owner, self._resolve().max_connections, self.clock, patience)
        with self._leases():
            yield

    def take_on(self, message: Message, store: Callable[[], object], *, is_test: bool = False) -> None:
        """Let `store` store a message as claimed by this lane, if it may be sent now; within `at_once`.

        Asked and stored in one step, so that several who send at once keep to the rates together.

        Args:
            is_test: it asks whether the server answers, so that it did not is no reason to wait.

        Raises:
            NotNow: it may not; nothing is stored.
        """
        setup, now = self._resolve(), self.clock()
        with limits.turn(self.account_id, alone=bool(setup.rates)):
            standing = limits.standing(self.account_id, setup, now)
            if is_test:
                standing = standing.for_test()
            standing.let_through(urgent=message.urgent)
            self.tries_for_answer = standing.try_for_answer()
            claims.claim_new(message, self.owner, now)
            store()

    def deliver_at_once(self, message: Message) -> None:
        """Deliver a message that this lane has taken on, with one try; within `at_once`.

        Its outcome is committed then, and `result` and `error` say what was heard. Its failure pauses no one, unless
        it was one refusal in the same unknown words too many; a success ends a pause.

        Raises:
            DatabaseError: the outcome could not be written down; with `message.may_be_accepted` it may have arrived.
        """
        self.is_probe, self.result, self.error = True, None, None
        if not connection.in_atomic_block:  # of a caller: nothing of it is in a backup before they commit
            restore_detection.goes_on(self.database, self.clock())
        claims.read_recipients([message])
        self.deliver(message)
        self._settle()
        came_to_the_dot = self.result is not None and self.result.final.stage == Stage.END
        if self.tries_for_answer and not came_to_the_dot:
            _persistently(lambda: pauses.try_next(self.account_id, self.clock()))

    def _must_end(self) -> bool:
        return self.halted_by is not None or bool(self.refused_by) or self.is_put_off or self._is_turn_over()

    def _is_turn_over(self) -> bool:
        return time.monotonic() > self.turn_ends or self.stop()

    def _is_kept_back(self, files: OptFiles) -> bool:
        """Whether `.opt` files that cannot be understood keep this server from sending; other servers keep sending."""
        self.refused_by = files.errors
        return opt_file_block.keeps_back(files, self.clock())

    def _claim(self) -> list[Message]:
        """Claim what the account's limits and sending window leave to claim; note what they do not."""
        self._settle()
        if self._is_kept_back(opt_files.read()):
            return []
        now = self.clock()
        self.retry_limits = retry_limits()
        setup = self.setup or self._resolve()
        with limits.turn(self.account_id, alone=bool(setup.rates)):
            leave = limits.standing(self.account_id, setup, now).leave()
            self.is_probe = leave.is_probe
            size = 1 if leave.is_probe else min(self.claim_size, settings.CLAIM_SIZE)
            claimed = claims.take(self.account_id, self.owner, size, now, leave)
        for wait in leave.waits:
            if wait.until is not None:
                pauses.wait_until(self.account_id, wait, now)
        if claimed and not restore_detection.goes_on(self.database, now):
            return []  # it is given back when the lane ends
        return claimed

    def _fit_claim_size(self, seconds: float) -> None:
        """Claim about a second's work: a slow lane must not keep from the others what they could send."""
        if seconds < 0.5:
            self.claim_size = min(2 * self.claim_size, settings.CLAIM_SIZE)
        elif seconds > 2.0:
            self.claim_size = max(1, self.claim_size // 2)

    @contextmanager
    def _journal(self) -> Iterator[None]:
        """Note outside of the database what is handed over, until the mark tells the same."""
        self.journal = witness.Journal(self.database, self.owner)
        is_settled = False
        try:
            yield
            self._settle()
            is_settled = not self.delivered or _persistently(
                lambda: restore_detection.goes_on(self.database, self.clock())
            )
        finally:
            self.journal.close(is_settled=is_settled)

    @contextmanager
    def _leases(self) -> Iterator[None]:
        """Keep this lane's leases alive from another thread; at the end give back what was not started."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), name=f"leases {self.owner}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            try:
                self._settle()
            finally:
                done.set()
                if self.connection is not None:
                    self.connection.close(politely=True)
                _persistently(lambda: claims.give_back(self.owner))
                _persistently(lambda: limits.free_place(self.owner))
                keeper.join()

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(settings.LEASE_SECONDS / 3):
            try:
                claims.renew(self.owner, self.clock())
            except Exception as error:  # whatever it is: no one else keeps the leases
                log.warning("leases of %s not renewed: %s", self.owner, error)
                connections["default"].close()  # it may be the connection that is at fault
        connections.close_all()

    # --- One message -----------------------------------------------------------------------------

    def deliver(self, message: Message) -> None:
        """Hand one claimed message over and record what happened, whatever happens.

        Where the server takes only so many recipients at a time, that takes several transactions, each with its record.
        """
        pending, put_off = whom_to_ask(message, self.clock())
        self.result, self.transaction = None, 0
        with _asking:
            self.asked_at_once = _asked_before.pop(message.pk, None)
        try:
            has_leave = True
            while pending and has_leave:
                attempt = SendAttempt(
                    message=message,
                    batch_id=message.batch_id,
                    account_id=self.account_id,
                    fence=message.fence,
                    started_at=self.clock(),
                    stage=Stage.CONNECT,
                )
                self.transaction += 1
                result = self._transact(message, attempt, pending)
                self._note_result(result)
                pending = self._record(message, attempt, pending, result, put_off)
                has_leave = not pending or self._has_leave_to_go_on(message, result)
            if has_leave:
                self._tell_unsigned(message)
            elif self.asked_at_once is not None:
                _keep_asked(message, self.asked_at_once)
        except Abandoned:
            log.info("message %d was taken back before it was sent", message.pk)
        except OptFilesBlock:
            pass  # told already; it goes back with what was not started
        except StillSilent:
            self.is_put_off = True  # the same
        except LeaseLost as lost:
            log.warning("lease lost: %s", lost)
        except Exception as error:
            if self.is_alone or is_away(error):
                raise
            self._record_unexpected(message, attempt, pending, error, put_off)

    def _record_unexpected(
        self, message: Message, attempt: SendAttempt, pending: list[Recipient], error: Exception, put_off: PutOff
    ) -> None:
        """Record that what was heard could not be judged or recorded, and pause the account: else every lane to come
        would take the message up, and end here without a word."""
        log.exception("message %d", message.pk)
        stage = Stage.END if message.may_be_accepted else Stage.PREPARE
        result = Result(Reply(stage, None, "", LocalError.UNEXPECTED, {"error": type(error).__name__}))
        self._note_result(result)
        with suppress(LeaseLost):  # it was recorded before the error
            self._record(message, attempt, pending, result, put_off)

    def _has_leave_to_go_on(self, message: Message, result: Result) -> bool:
        """Whether the lane's turn and the account's rates leave another transaction to a message; where not, the rest
        of it goes back, and the next lane continues with it.

        What is sent at once has one try, which is not broken off.
        """
        setup, now = self.setup or self._resolve(), self.clock()
        if message.is_immediate:
            return True

        def ask() -> bool:
            with limits.turn(self.account_id):
                return limits.leave_another(self.account_id, setup.rates, now)

        has_leave = not self._is_turn_over() and (not setup.rates or _persistently(ask))
        if not has_leave:
            if judge(result.final).scope == Scope.MESSAGE:
                self._end_probe(result.final, now)
            _persistently(lambda: claims.give_back(self.owner, message))
        return has_leave

    def _note_result(self, result: Result) -> None:
        """Keep what was heard of a message in all its transactions."""
        before = self.result or Result(result.final)
        refused = {address: reply for address, reply in before.recipients.items() if not reply.ok}
        unsigned = result.unsigned if result.final.ok else before.unsigned
        self.result = Result(result.final, refused | result.recipients, unsigned)

    def _tell_unsigned(self, message: Message) -> None:
        """Write down, once for all its transactions, that a message went out without its DKIM signature."""
        if self.result is not None and self.result.unsigned:
            what = Phrase(MessageEvent.Kind.UNSIGNED, domains=self.result.unsigned, why="7bit")
            _persistently(MessageEvent.of(what, message=message, at=self.clock()).save)

    def _transact(self, message: Message, attempt: SendAttempt, pending: list[Recipient]) -> Result:
        """Open or reuse the connection and hand the message over; the Result says where it ended and how."""
        envelope = Envelope(
            message.reverse_path,
            [recipient.address for recipient in pending],
            message.size,
            message.is_8bit,
            message.needs_smtputf8,
        )

        def before_end(so_far: Result) -> bool:
            attempt.stage = Stage.DATA
            attempt.recipients = replies_of(pending, so_far)
            try:
                ledger.start_data(message, attempt, self.clock())
            except LeaseLost:
                return False
            self._settle()
            if self.journal is not None:
                self.journal.note(message.pk, message.fence, self.transaction)
            return True

        try:
            pieces = assembly.assemble(message, message.attachment_rows)
            connection = self._connected(attempt)
            was_used = connection.transactions > 0
            connection.asked_at_once = self.asked_at_once
            result = connection.transact(envelope, pieces, before_end)
            if was_used and not connection.is_open and _ended_between(result.final):
                # The server ended a used connection between two messages: that says nothing about this one.
                pieces = assembly.assemble(message, message.attachment_rows)
                connection = self._connected(attempt)
                connection.asked_at_once = self.asked_at_once
                result = connection.transact(envelope, pieces, before_end)
            self.asked_at_once = connection.asked_at_once
        except StageFailed as failure:
            self.error = failure.__cause__
            return Result(failure.reply)
        except assembly.MissingContent as error:
            lost = LocalError.STORE_AWAY if assembly.is_store_away(error.attachment) else LocalError.CONTENT_MISSING
            return Result(Reply(Stage.PREPARE, None, "", lost, {"attachment": str(error.attachment)}))
        except BareLineEnd:
            return Result(Reply(Stage.PREPARE, None, "", LocalError.BARE_LINE_END))
        except (Abandoned, OptFilesBlock, StillSilent):
            raise
        except Exception as error:
            if isinstance(error, DatabaseError) and (self.is_alone or is_away(error)):
                raise
            if is_out_of_files(error) or is_out_of_files(error.__cause__):
                return Result(Reply(Stage.PREPARE, None, words_of(error), LocalError.OUT_OF_FILES))
            # One bad message never stops the others.
            log.exception("message %d", message.pk)
            stage = Stage.END if message.may_be_accepted else Stage.PREPARE
            return Result(Reply(stage, None, f"{type(error).__name__}: {words_of(error)}", LocalError.NOT_PREPARED))
        if result.final.stage in (Stage.DATA, Stage.END) and not result.final.ok:
            names = _persistently(lambda: _names_in(message))
            result.final = replace(result.final, known_to_server=(*result.final.known_to_server, *names))
        return result

    def _connected(self, attempt: SendAttempt) -> Connection:
        """A connection with the settings as they are now; a new one after enough messages (and for new settings)."""
        connection = self.connection
        if connection is not None and connection.is_open:
            if connection.transactions < connection.setup.messages_per_connection:
                attempt.server, attempt.tls = connection.server, connection.tls
                return connection
            connection.close(politely=True)
        setup = self._resolve()
        if setup.files.errors and not self.is_alone:  # a test message fails, and says why
            self._is_kept_back(setup.files)
            raise OptFilesBlock
        self.connection = connection = Connection(setup, self.patience, self.on_line, self.on_step)
        attempt.server = setup.server
        with nullcontext() if self.is_alone else openings.one(setup.server):  # a sender who waits has a time limit
            connection.open()
        attempt.tls = connection.tls
        return connection

    def _resolve(self) -> EmailSetup:
        """The settings as they are now; they hold until the next connection."""
        account = None if self.account_id is None else User.objects.filter(pk=self.account_id).first()
        self.setup = resolve(account)
        return self.setup

    def _record(
        self,
        message: Message,
        attempt: SendAttempt,
        pending: list[Recipient],
        result: Result,
        put_off: PutOff,
    ) -> list[Recipient]:
        """Write down what came of a transaction; the recipients of the next one, if there is to be one.

        `put_off` are those who were put off in transactions of this try before, and how.
        """
        now = self.clock()
        attempt.finished_at = max(now, attempt.started_at)  # the clock may have been put back
        judgement, is_witness = self._judge(message, pending, result, put_off, now)
        complete(attempt, pending, result, judgement)
        rest = rest_at_once(pending, judgement, result, self.transaction)
        if rest:
            decision, put_off_now = go_on(message, pending, judgement, rest, result, now)
            put_off |= put_off_now
            follow = set(rest)
            self._write(message, attempt, [each for each in pending if each not in follow], decision)
            self._wait_for_commit()
            message.may_be_accepted = False
            return rest
        every_recipient, heard = with_put_off(pending, result, put_off)
        together = judgement
        if put_off and judgement.leading.scope == Scope.MESSAGE:
            together, is_witness = self._judge(message, every_recipient, heard, put_off, now)
        verdict, stage = together.leading, together.reply.stage
        is_message = verdict.scope == Scope.MESSAGE
        if not is_message and not message.is_immediate:
            leave_for_later(pending, judgement, result, put_off, now)
        if put_off and not is_message:
            together = limit_to_message(judge_result(every_recipient, heard), every_recipient, heard)
        pending, result, judgement = every_recipient, heard, together
        if is_message and (refusals := refusal_streaks.unknown_refusals(message, pending, judgement, result, now)):
            self._settle()
            self._end_probe(result.final, now)
            self._record_unknown(message, attempt, pending, judgement, result, refusals)
            return []
        if verdict.outcome == AttemptOutcome.UNKNOWN:
            self._settle()
            self._record_unanswered(message, attempt, pending, judgement, result)
            return []
        if not is_message:
            if result.final.stage == Stage.END and self.is_probe:
                _persistently(lambda: pauses.clear(self.account_id, now, (AccountPause.Kind.UNANSWERED,)))
            self._halt(attempt, verdict, now)
            if message.is_immediate:
                decision = fail_once(message, pending, judgement, result, now)
            else:
                decision = put_back(message, verdict, stage, now)
        else:
            decision = decide(message, pending, judgement, result, now, self.retry_limits)
            if is_witness:
                self._end_probe(result.final, now)
        self._write(message, attempt, pending, decision)
        return []

    def _judge(
        self, message: Message, pending: Sequence[Recipient], result: Result, put_off: PutOff, now: datetime
    ) -> tuple[Judgement, bool]:
        """What it means that was heard, and whether it tells anything about the account.

        Nothing of a notice does from MAIL on: it comes from no one, which the server may mind, and its pause would be
        told by the next notice.
        """
        judgement = judge_result(pending, result)
        if judgement.leading.scope == Scope.MESSAGE:
            return judgement, True
        if judgement.reply.stage in ledger.MESSAGE_STAGES and _persistently(lambda: ledger.is_notice(message)):
            return put_off_alone(judgement, pending, result), False
        if others_were_judged(message, judgement, put_off, now) or _persistently(
            lambda: ledger.is_refused_alone(message)
        ):
            return limit_to_message(judgement, pending, result), True
        return judgement, True

    def _write(
        self, message: Message, attempt: SendAttempt, pending: Sequence[Recipient], decision: ledger.Decision
    ) -> None:
        """Begin to commit an outcome; `_settle` waits for it."""
        self._settle()
        written = ledger.record_soon(message, attempt, pending, decision)

        def settle() -> None:
            try:
                written()
            except IntegrityError:
                # The account (or the batch) was deleted meanwhile; what happened to the message is kept all the same.
                _forget_account(attempt)
                ledger.record(message, attempt, pending, decision)
            except Exception as error:
                if isinstance(error, LeaseLost) or is_away(error):
                    raise
                log.exception("message %d is recorded without what was heard", message.pk)
                forget_words(attempt, pending)
                ledger.record(message, attempt, pending, decision)

        self.settle = settle
        self.delivered += 1

    def _record_unknown(
        self,
        message: Message,
        attempt: SendAttempt,
        pending: list[Recipient],
        judgement: Judgement,
        result: Result,
        refusals: list[refusal_streaks.UnknownRefusal],
    ) -> None:
        """Record a refusal in words that no one knows, in one transaction with what it means for the account."""
        now = self.clock()
        heard = attempt.outcome, attempt.category, attempt.reason

        def write(does_count: bool = True) -> refusal_streaks.Ruling:
            attempt.outcome, attempt.category, attempt.reason = heard
            with transaction.atomic():
                ruling = refusal_streaks.note(message, refusals, attempt, now) if does_count else refusal_streaks.ALONE
                if ruling.is_ours:
                    decision = refusal_streaks.put_back(message, attempt, pending, ruling, now)
                else:
                    decision = ruling.applied_to(decide(message, pending, judgement, result, now, self.retry_limits))
                ledger.record(message, attempt, pending, decision)
            return ruling

        try:
            ruling = _persistently(write)
        except IntegrityError:  # the account (or the batch) was deleted meanwhile: there is no one to ask about
            _forget_account(attempt)
            ruling = _persistently(lambda: write(does_count=False))
        self.delivered += 1
        if ruling.others is not None:
            self.halted_by = judgement.leading

    def _record_unanswered(
        self,
        message: Message,
        attempt: SendAttempt,
        pending: list[Recipient],
        judgement: Judgement,
        result: Result,
    ) -> None:
        """Record that the server did not answer, in one transaction with what it means for the account."""
        now = self.clock()
        self._end_probe(result.final, now, is_answered=False)
        decision = decide(message, pending, judgement, result, now, self.retry_limits)

        def write(does_count: bool = True) -> bool:
            with transaction.atomic():
                is_paused = does_count and unanswered.note(attempt, now)
                ledger.record(message, attempt, pending, decision)
            return is_paused

        try:
            is_paused = _persistently(write)
        except IntegrityError:  # the account (or the batch) was deleted meanwhile: there is nothing to pause
            _forget_account(attempt)
            is_paused = _persistently(lambda: write(does_count=False))
        self.delivered += 1
        if is_paused:
            self.halted_by = judgement.leading

    def _end_probe(self, final: Reply, now: datetime, *, is_answered: bool = True) -> None:
        """The account's server has dealt with a message; that it answers the final dot, only such an answer shows."""
        if not self.is_probe or not was_asked(final):
            return
        self.is_probe = False
        if is_answered and final.stage == Stage.END:
            _persistently(lambda: pauses.clear(self.account_id, now))
            return
        kinds = [kind for kind in AccountPause.PROBED if kind != AccountPause.Kind.UNANSWERED]
        _persistently(lambda: pauses.clear(self.account_id, now, kinds))
        if is_answered and not self.is_alone:
            _persistently(lambda: pauses.try_next(self.account_id, now))

    def _leave_probe(self) -> None:
        """Leave a probe that was taken and not made to the next message."""
        if self.is_probe and self.halted_by is None:
            self.is_probe = False
            _persistently(lambda: pauses.try_next(self.account_id, self.clock(), AccountPause.PROBED))

    def _settle(self) -> None:
        """Wait until the outcome of the message before is committed."""
        try:
            self._wait_for_commit()
        except LeaseLost as lost:
            log.warning("lease lost: %s", lost)

    def _wait_for_commit(self) -> None:
        """The same, for the message at hand. Raises LeaseLost: it is someone else's by now."""
        settle, self.settle = self.settle, lambda: None
        settle()

    def _halt(self, attempt: SendAttempt, verdict: Verdict, now: datetime) -> None:
        """End this lane, and pause the account: what was heard concerns every message."""
        self.halted_by = verdict
        if self.is_alone or self._others_are_served(verdict):
            return
        heard = pauses.Heard(attempt.server, attempt.reply_text, attempt.said)
        try:
            _persistently(lambda: pauses.pause(self.account_id, verdict, heard, now, attempt))
        except IntegrityError:
            log.warning("account %s was deleted: there is nothing to pause", self.account_id)

    def _others_are_served(self, verdict: Verdict) -> bool:
        """Too many connections at once is no reason to stop those that are open; the last one turned away pauses."""
        is_turned_away = verdict.scope == Scope.PACE and verdict.outcome == AttemptOutcome.SETUP
        if not is_turned_away:
            return False
        # Off the list first: of several turned away together, the last one finds no one and pauses.
        _persistently(lambda: limits.free_place(self.owner))
        return _persistently(lambda: limits.places_taken(self.account_id, self.clock())) > 0


def _forget_account(attempt: SendAttempt) -> None:
    """The account (or the batch) of a try was deleted while it was made."""
    attempt.account_is_gone = attempt.account_id is not None
    attempt.account_id = attempt.batch_id = None


def _names_in(message: Message) -> list[str]:
    """What a server may repeat of a message that it refuses: the subject, who wrote it, the names of its files."""
    files = message.attachments.values_list("filename", flat=True) if message.attachment_count else ()
    return [name for name in (message.subject, *parseaddr(message.from_header), *files) if name]


def _keep_asked(message: Message, number: int) -> None:
    """For the lane of this process that continues with a message: else each would ask for all who are left."""
    with _asking:
        while len(_asked_before) >= MOST_BROKEN_OFF:
            del _asked_before[next(iter(_asked_before))]
        _asked_before[message.pk] = number


def _ended_between(reply: Reply) -> bool:
    """Whether a server ended a connection before it looked at the next message."""
    return reply.stage == Stage.MAIL and (reply.error is not None or reply.code == 421)


def _persistently(write: Callable[[], T]) -> T:
    """Call `write` again while the database is away, at most for DATABASE_PATIENCE."""
    give_up = time.monotonic() + DATABASE_PATIENCE
    while True:
        try:
            return write()
        except DatabaseError as error:
            if not is_away(error) or time.monotonic() > give_up:
                raise
            log.warning("the database is away; trying again")
            connections["default"].close()
            time.sleep(0.5)
