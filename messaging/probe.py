"""The test message of Email Setup: a real message over the very same delivery code, its dialogue kept for the page."""

import time
from dataclasses import dataclass, field

from django.contrib.auth.models import User
from django.core.mail import BadHeaderError, EmailMessage
from django.utils import timezone

from messaging.delivery.dialogue import Patience
from messaging.delivery.lane import Lane
from messaging.intake.gate import Refused, Submission, accept
from messaging.models import Message, MessageEvent, SendAttempt
from messaging.setup.layers import resolve

# Somebody sits before the page: a server that takes longer than this is told as such.
PATIENCE = Patience(scale=0.05, final_reply=60.0)


@dataclass
class TestResult:
    """What came of a test message. `dialogue` rows: ("C", "S" or "*", line with secrets masked, ms since the start)."""

    ok: bool = False
    explanation: str = ""
    advice: str = ""
    dialogue: list[tuple[str, str, int]] = field(default_factory=list)
    message: Message | None = None
    attempt: SendAttempt | None = None


def send_test_message(account: User | None, recipient: str, by: User) -> TestResult:
    """Send a test message with the settings of an account, at once; it is recorded like any other (seed row S1).

    Raises:
        Refused: the recipient is not an address.
    """
    setup = resolve(account)
    sender = setup.from_address or by.email or recipient
    mail = EmailMessage(
        "Test message from Outtray",
        f"This is a test message, sent by {by.get_username()} through {setup.server}.\n\n"
        "If you read it, Email Setup works.\n",
        sender,
        [recipient],
    )
    try:
        raw = mail.message().as_bytes()
    except BadHeaderError as error:
        raise Refused("The recipient is not an address: it has more than one line.") from error
    message = accept(
        Submission(raw, sender, [recipient], author=by, hold_reason="Test message", urgent=True, via="test message")
    )
    return _deliver(message, account)


def _deliver(message: Message, account: User | None) -> TestResult:
    result = TestResult(message=message)
    started = time.monotonic()

    def say(direction: str, line: str) -> None:
        result.dialogue.append((direction, line, round((time.monotonic() - started) * 1000)))

    # Held until this moment, so that no batch and no schedule takes it along.
    account_id = account.pk if account else None
    Message.objects.filter(pk=message.pk).update(status=Message.Status.QUEUED, reason="", account_id=account_id)
    Lane(account_id, say=say, patience=PATIENCE).run_one(message.pk)
    _end(message)
    result.attempt = message.attempts.last()
    result.ok = message.status == Message.Status.SENT
    if result.attempt is not None:
        result.explanation, result.advice = result.attempt.explanation, result.attempt.advice
    return result


def _end(message: Message) -> None:
    """A test is over when it is over: what would be tried again later has failed."""
    waiting = Message.objects.filter(pk=message.pk, status=Message.Status.QUEUED)
    if waiting.update(status=Message.Status.FAILED, not_before=None):
        MessageEvent.objects.create(message=message, at=timezone.now(), what="Test message: not tried again")
    message.refresh_from_db()
