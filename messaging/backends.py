"""Django's way in: `EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"`."""

import logging
import smtplib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from contextvars import ContextVar
from typing import Any
from warnings import warn

import django
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import BadHeaderError, EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError

from messaging import submit
from messaging.company.options import options
from messaging.delivery.outcomes.reply import LocalError, Reply, Stage
from messaging.intake import addresses, django_mail, gate
from messaging.submit import Outcome, State

logger = logging.getLogger(__name__)

_category: ContextVar[str] = ContextVar("category", default="")


class NotSent(smtplib.SMTPException):
    """Sent by no one, for a reason that Django's SMTP backend does not know, such as a person's pause."""


class QueueEmailBackend(BaseEmailBackend):
    """Does with what any Django code sends as the company options say: it is sent at once, or queued.

    Sent at once, it is sent with the settings of `author` (default: the company's), and the caller gets what Django's
    SMTP backend would raise, with the same attributes. Where no one was refused by a server, that is NotSent, an
    SMTPException as well. After a failure nothing more of the call is sent. Queued are all messages of a call, or none.

    `author` is a user or, as in OPTIONS of Django 6.1's MAILERS, a user name; `category` says what kind of mail it is
    (a header field X-Outtray-Category and `sending` go before it). Differences from Django's SMTP backend: all messages
    of a call are checked before the first is sent, a message without recipients is recorded or told of, and an address
    that needs SMTPUTF8 stays as it is.
    """

    def __init__(
        self, fail_silently: bool = False, *, author: User | str | None = None, category: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)  # from Django 6.1 on it takes `fail_silently` for an option that no one knows
        self.fail_silently = fail_silently
        self.author = author
        self.category = category

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """The number sent or queued; who was sent to only in part is counted.

        Raises:
            Refused, BadHeaderError: (both ValueError) one of them is not fit to be sent; nothing was.
            OSError: a failure as Django's SMTP backend has it: smtplib.SMTPException and others.
            DatabaseError: the database is away.
            ImproperlyConfigured: there is no user with the author's name.
        """
        messages = list(email_messages or ())
        try:
            return self._hand_in(messages)
        except ValueError as error:
            if not self.fail_silently:
                raise
            self._log(messages)
            is_checked = isinstance(error, gate.Refused | BadHeaderError)  # before anything was sent
            if is_checked and len(messages) > 1 and not options().hold_mail:
                return sum(self.send_messages([message]) for message in messages)  # those that are fit
            return 0

    def _hand_in(self, messages: Sequence[EmailMessage]) -> int:
        number = 0
        author = _user(self.author) if isinstance(self.author, str) else self.author
        submissions = [self._submission(message, author) for message in messages]
        try:
            with closing(submit.submit(submissions)) as outcomes:
                for message, outcome in zip(messages, outcomes, strict=True):
                    if outcome.state in (State.QUEUED, State.SENT, State.PARTLY):
                        number += 1
                    elif outcome.message.recipient_count:
                        self._fail(message, _error(message, outcome))
        except (DatabaseError, OSError):
            if not self.fail_silently:
                raise
            self._log(messages)
        return number

    def _fail(self, message: EmailMessage, error: BaseException) -> None:
        if not self.fail_silently:
            raise error
        self._log([message], exc_info=error)

    def _submission(self, message: EmailMessage, author: User | None) -> gate.Submission:
        raw, category = django_mail.as_bytes(message)
        return gate.Submission(
            raw=raw,
            reverse_path=_bare(message.from_email),
            recipients=[_bare(recipient) for recipient in message.recipients()],
            author=author,
            category=str(category or _category.get() or self.category).strip().lower(),
            via="backend",
        )

    def _log(self, messages: Sequence[EmailMessage], exc_info: Any = True) -> None:
        words = "Not queued or sent: %d messages of a sender that does not want to hear of failures"
        logger.error(words, len(messages), exc_info=exc_info)


@contextmanager
def mail_category(category: str) -> Iterator[None]:
    """What Django code sends within the block is of this category, where it cannot say so itself.

    A view of password resets, for instance: `with mail_category("password-reset"): return super().form_valid(form)`.
    """
    token = _category.set(category)
    try:
        yield
    finally:
        _category.reset(token)


def sending(category: str) -> AbstractContextManager[None]:
    """Deprecated: the name that `mail_category` had in 0.1.0."""
    warn("messaging.backends.sending is called mail_category now", DeprecationWarning, stacklevel=2)
    return mail_category(category)


# --- What Django's SMTP backend would raise ------------------------------------------------------------


def _error(message: EmailMessage, outcome: Outcome) -> BaseException:
    reply = outcome.reply
    is_ours = reply is None or reply.ok or reply.stage == Stage.PREPARE
    if reply is None or is_ours or reply.error in (LocalError.SETUP, LocalError.UNEXPECTED):
        return NotSent(outcome.explanation)
    if _is_raised_as_it_is(reply, outcome.error):
        assert outcome.error is not None
        return outcome.error
    refused = _refused(message, outcome)
    if reply.code is None and any(code == 421 for code, _ in refused.values()):  # and then it hung up
        return smtplib.SMTPRecipientsRefused(refused)
    if reply.code is None and reply.error != LocalError.NOT_SMTP:
        return _without_reply(message, reply)
    code, text = (-1, reply.text[4:].strip()) if reply.code is None else (reply.code, reply.text)  # as smtplib has it
    words = text.encode()
    match reply.stage:
        case Stage.GREETING:
            return smtplib.SMTPConnectError(code, words)
        case Stage.EHLO:
            return smtplib.SMTPHeloError(code, words)
        case Stage.STARTTLS:
            return smtplib.SMTPResponseException(code, words)
        case Stage.AUTH:
            return smtplib.SMTPAuthenticationError(code, words)
        case Stage.MAIL:
            return smtplib.SMTPSenderRefused(code, words, _encoded(message, message.from_email))
        case Stage.RCPT:
            return smtplib.SMTPRecipientsRefused(refused)
    return smtplib.SMTPDataError(code, words)


def _is_raised_as_it_is(reply: Reply, error: BaseException | None) -> bool:
    """Before smtplib reads a reply, what goes wrong is this machine's own error: no name, no connection, no TLS."""
    if reply.stage == Stage.CONNECT:
        return error is not None
    # What ends a dialogue is ConnectionAbortedError here, and in a handshake something else.
    return reply.stage == Stage.STARTTLS and isinstance(error, OSError) and type(error) is not ConnectionAbortedError


def _without_reply(message: EmailMessage, reply: Reply) -> smtplib.SMTPException:
    match reply.error:
        case LocalError.NO_STARTTLS:
            return smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server.")
        case LocalError.NO_AUTH if not reply.params["offered"]:
            return smtplib.SMTPNotSupportedError("SMTP AUTH extension not supported by server.")
        case LocalError.NO_AUTH:
            return smtplib.SMTPException("No suitable authentication method found.")
        case LocalError.NO_SMTPUTF8 | LocalError.HEADER_NEEDS_SMTPUTF8 | LocalError.NO_8BITMIME:
            return smtplib.SMTPNotSupportedError(reply.said)
        case LocalError.TOO_BIG:  # which the server would have said to the SIZE in MAIL
            return smtplib.SMTPSenderRefused(552, reply.said.encode(), _encoded(message, message.from_email))
        case LocalError.CONNECTION_LOST | LocalError.TIMEOUT | LocalError.TLS:
            return smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {reply.said}")
    if reply.stage == Stage.AUTH:  # no access token was to be had
        return smtplib.SMTPAuthenticationError(-1, reply.said.encode())
    return smtplib.SMTPServerDisconnected(f"Connection unexpectedly closed: {reply.said}")


def _refused(message: EmailMessage, outcome: Outcome) -> dict[str, tuple[int, bytes]]:
    """Who was refused, as the caller wrote the address."""
    heard = outcome.result.recipients if outcome.result is not None else {}
    found = {}
    for recipient in message.recipients():
        reply = heard.get(addresses.envelope_address(_bare(recipient)))
        if reply is not None and not reply.ok and reply.code is not None:
            found[_encoded(message, recipient)] = (reply.code, reply.text.encode())
    return found


def _encoded(message: EmailMessage, address: str) -> str:
    """An address as Django's SMTP backend names it to the server, and so in its errors."""
    if django.VERSION >= (6,):
        return addresses.envelope_address(_bare(address))
    from django.core.mail.message import sanitize_address  # gone in Django 7

    return sanitize_address(address, message.encoding or settings.DEFAULT_CHARSET)


def _user(name: str) -> User:
    author = User.objects.filter(username=name, is_active=True).first()
    if author is None:
        raise ImproperlyConfigured(f"There is no user “{name}” who may sign in, to be the author of what is sent.")
    return author


def _bare(address: str) -> str:
    """The address without its display name. Raises BadAddress when it is not exactly one mailbox."""
    found = addresses.envelope_mailboxes(str(address))
    return found[0].address if len(found) == 1 else str(address)
