"""*Check connection* and *Send test message* of Email Setup: the very same delivery code, told step by step.

A test message keeps to the limits of its account as all mail does. A check of the connection sends nothing and counts
for none: where all connections are taken, it tells what the server says to one more.

The work is done in a thread of its own, so that the person who asked sees each step when it happens.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from messaging.access import policy, roles
from messaging.content import charsets
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes.meanings import BAD_SENDER, FROM_NOT_ALLOWED, NO_SETUP, NOT_OUR_SENDER
from messaging.delivery.outcomes.verdict import LocalError, Reply, judge
from messaging.delivery.smtp.diagnosis import Finding, diagnose
from messaging.delivery.smtp.dialogue import Patience, StageFailed
from messaging.delivery.smtp.steps import STEP_NAMES, Gone, Step, own_words
from messaging.delivery.smtp.transaction import Connection
from messaging.intake import own_mail
from messaging.intake.addresses import Mailbox
from messaging.intake.gate import Refused, Rows, Submission, prepare, store
from messaging.lifecycle import limits
from messaging.models import AttemptOutcome, Message, Phrase, Reason
from messaging.setup.layers import EmailSetup, resolve
from messaging.wording import advice, in_words

# Someone sits before the page: a server that takes longer than this is told as such.
PATIENCE = Patience(scale=0.05, final_reply=60.0)
CHECK_SECONDS = 60.0  # for all of it, but for the reply to a test message's final dot
# Each takes a thread of the web server while it lasts.
AT_ONCE = 3
_places = threading.BoundedSemaphore(AT_ONCE)

OF_THE_NAME = (LocalError.NAME_NOT_FOUND, LocalError.REFUSED_ADDRESS)


class Busy(Exception):
    """As many checks as may run at once do so already."""


@dataclass
class Conclusion:
    """What came of a check or a test message; `finding` is what diagnosis adds after a failure.

    `dialogue` rows: ("C", "S" or "*", line with secrets masked, ms since the start).
    """

    ok: bool = False
    explanation: str = ""
    advice: str = ""
    finding: Finding | None = None
    dialogue: list[tuple[str, str, int]] = field(default_factory=list)
    message: Message | None = None


class Progress:
    """What a check tells while it runs: each Step when it is done, and the Conclusion at last.

    Iterating gives None for each second in between, so that a browser that left is noticed; closing it says so.
    """

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Step | Conclusion | Exception] = queue.SimpleQueue()
        self._is_over = False

    def __iter__(self) -> Iterator[Step | Conclusion | None]:
        event: Step | Conclusion | Exception | None = None
        while not isinstance(event, Conclusion):
            try:
                event = self.events.get(timeout=1.0)
            except queue.Empty:
                event = None
            if isinstance(event, Exception):
                raise event
            yield event

    def report(self, step: Step) -> None:
        """Raises Gone."""
        if self._is_over:
            raise Gone
        self.events.put(step)

    def close(self) -> None:
        """No one watches any more."""
        self._is_over = True


@dataclass
class Transcript:
    """Takes down the steps and the dialogue of one connection, and passes the steps on with their times."""

    report: Callable[[Step], None]
    started: float = field(default_factory=time.monotonic)
    dialogue: list[tuple[str, str, int]] = field(default_factory=list)

    def on_step(self, step: Step) -> None:
        self.report(replace(step, at_ms=self._now()))

    def on_line(self, direction: str, line: str) -> None:
        self.dialogue.append((direction, line, self._now()))

    def fail(self, reply: Reply, explanation: str) -> None:
        """Tell the step that the dialogue ended with."""
        name = "Name" if reply.error in OF_THE_NAME else STEP_NAMES[reply.stage]
        self.on_step(Step(name, explanation, (own_words(reply),), "failed"))

    def _now(self) -> int:
        return round((time.monotonic() - self.started) * 1000)


# --- Check connection --------------------------------------------------------------------------------


def check_connection(account: User | None, *, may_try_ports: bool) -> Progress:
    """Connect, secure and sign in with the settings of an account; nothing is sent.

    Raises:
        Busy: too many do so at the moment.
    """
    return _watched(lambda report: _check(account, Transcript(report), may_try_ports))


def _check(account: User | None, transcript: Transcript, may_try_ports: bool) -> Conclusion:
    setup = resolve(account)
    if not _settings_fit(setup, transcript):
        return _not_set_up(setup)
    connection = Connection(setup, PATIENCE.within(CHECK_SECONDS), transcript.on_line, transcript.on_step)
    try:
        connection.open()
    except StageFailed as failure:
        reason = judge(failure.reply).reason
        transcript.fail(failure.reply, in_words(reason))
        finding = diagnose(connection, failure.reply, may_try_ports=may_try_ports)
        return Conclusion(False, in_words(reason), advice(reason, is_over=True), finding, transcript.dialogue)
    connection.close(politely=True)
    if setup.signs_in:
        return Conclusion(True, "The mail server can be reached and accepts the sign-in.", dialogue=transcript.dialogue)
    return Conclusion(
        True,
        "The mail server can be reached.",
        "Send type 2 does not sign in. Only Send test message shows whether the server takes mail that way.",
        dialogue=transcript.dialogue,
    )


def _settings_fit(setup: EmailSetup, transcript: Transcript) -> bool:
    """Tell which settings are used and from where, and what is the matter with them; False: nothing can be tried."""
    problems = setup.problems()
    if problems:
        transcript.on_step(Step("Settings", " ".join(map(in_words, problems)), state="failed"))
        return False
    names = {"host": "Server", "port": "Port", "auth_type": "Auth type", "send_type": "Send type"}
    if setup.signs_in:
        names["username"] = "User name"
    facts = tuple((word, f"{setup.values[name].value} ({setup.values[name].source})") for name, word in names.items())
    transcript.on_step(Step("Settings", f"{setup.server} with auth type {setup.auth_type}.", facts))
    for warning in setup.warnings():
        transcript.on_step(Step("Settings", warning, state="note"))
    return True


def _not_set_up(setup: EmailSetup) -> Conclusion:
    return Conclusion(False, NO_SETUP.explanation, " ".join(map(in_words, setup.problems())))


# --- Send test message -------------------------------------------------------------------------------


def send_test_message(account: User | None, recipient: str, by: User) -> Progress:
    """Send a test message with the settings of an account, at once; it is recorded like any other (S1).

    Raises:
        Refused: the recipient is not an address, or there is none to send from.
        Busy: too many do so at the moment.
    """
    setup = resolve(account)
    sender, source = _sender(account, setup, recipient, by)
    if charsets.one_line(recipient) != recipient:
        raise Refused("The recipient is not an address: it has more than one line.")
    raw = own_mail.text_mail(
        Mailbox("", sender),
        [recipient],
        "Test message from Outtray",
        f"This is a test message, sent by {by.get_username()} through {setup.server}.\n\n"
        "If you read it, Email Setup works.\n",
    )

    def send(report: Callable[[Step], None]) -> Conclusion:
        transcript = Transcript(report)
        if not _settings_fit(setup, transcript):
            return _not_set_up(setup)
        try:
            submission = Submission(
                raw, sender, [recipient], author=by, urgent=True, category="test-message", via="test message"
            )
            rows = prepare(submission, timezone.now())
        except Refused as error:
            return Conclusion(False, "The test message could not be made.", str(error))
        return _deliver(rows, account, transcript, source, may_try_ports=roles.is_admin(by))

    return _watched(send)


def _sender(account: User | None, setup: EmailSetup, recipient: str, by: User) -> tuple[str, str]:
    """The address that the test message goes from, and where it comes from. Raises Refused: there is none."""
    found = policy.sender_in_effect(account, setup)
    if found.value:
        return str(found.value), f"from address of {found.source}"
    if by.email:
        return by.email, "your own address, as Email Setup has no from address"
    if not policy.may_send_from(by, recipient):
        raise Refused("There is no address to send it from. Ask an administrator to enter yours on the Users page.")
    return recipient, "the recipient’s own address, as Email Setup has no from address"


def _deliver(
    rows: Rows, account: User | None, transcript: Transcript, source: str, *, may_try_ports: bool
) -> Conclusion:
    """From here on it is recorded, so it runs to its end whether someone watches or not."""
    report = transcript.report

    def report_to_viewer(step: Step) -> None:
        with suppress(Gone):
            report(step)

    transcript.report = report_to_viewer
    message = rows.message
    message.account = account
    message.notified_at = message.created_at  # its sender sees what comes of it
    lane = Lane(
        account.pk if account else None,
        on_line=transcript.on_line,
        on_step=transcript.on_step,
        patience=PATIENCE.within(CHECK_SECONDS),
    )
    try:
        with limits.seat(str(message.author_id or "")), lane.at_once():
            lane.take_on(message, lambda: store([rows]), is_test=True)
            lane.deliver_at_once(message)
    except limits.NotNow as obstacle:
        words = in_words(Phrase(Reason.NOT_SENT, why=obstacle.reason))
        transcript.on_step(Step("Limits", words, state="failed"))
        return Conclusion(False, words, "Send another test message in a while.", dialogue=transcript.dialogue)
    message.refresh_from_db()
    attempt = message.attempts.last()
    if attempt is None:
        return Conclusion(explanation="The test message was not sent.", dialogue=transcript.dialogue, message=message)
    reply = Reply.recorded(attempt.stage, attempt.reply_code, attempt.reply_text, attempt.said)
    conclusion = Conclusion(
        message.status == Message.Status.SENT,
        in_words(attempt.reason),
        advice(attempt.reason, is_over=True),
        dialogue=transcript.dialogue,
        message=message,
    )
    if conclusion.ok:
        facts = (("From", f"{message.reverse_path} ({source})"), ("To", message.recipients_text))
        transcript.on_step(Step("Message", conclusion.explanation, (*facts, own_words(reply))))
        conclusion.explanation = "The mail server accepted the test message."
        return conclusion
    if attempt.outcome == AttemptOutcome.TRANSIENT:
        conclusion.advice = "A test message is not tried again: send another one in a while."
    if lane.connection is not None and lane.connection.failure is not None:
        reply = lane.connection.failure
    transcript.fail(reply, conclusion.explanation)
    if lane.connection is not None:
        conclusion.finding = diagnose(lane.connection, reply, may_try_ports=may_try_ports)
    if judge(reply).meaning in (FROM_NOT_ALLOWED, NOT_OUR_SENDER, BAD_SENDER):
        conclusion.finding = Finding(
            f"The message was to go from {message.reverse_path}: {source}.",
            "Change “From address” in Email Setup to one that the account may use, or have this one allowed there "
            "(“Send as”, or a verified sender).",
        )
    return conclusion


# --- Someone watches --------------------------------------------------------------------------------


def _watched(work: Callable[[Callable[[Step], None]], Conclusion]) -> Progress:
    """Begin the work in a thread; an error of it is raised where it is watched. Raises Busy."""
    if not _places.acquire(blocking=False):
        raise Busy("No more checks can run at the moment.")
    progress = Progress()

    def run() -> None:
        end: Conclusion | Exception
        try:
            end = work(progress.report)
        except Exception as error:
            end = error
        finally:
            connections.close_all()
            _places.release()
        progress.events.put(end)

    try:
        threading.Thread(target=run, name="check of Email Setup", daemon=True).start()
    except RuntimeError as error:  # this machine has no thread left
        _places.release()
        raise Busy("This machine cannot start another thread at the moment.") from error
    return progress
