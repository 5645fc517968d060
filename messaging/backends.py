"""Django's way in: `EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"`."""

import logging
import re
from collections.abc import Sequence
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import Message as MimeMessage
from io import BytesIO
from typing import Any

from django.contrib.auth.models import User
from django.core.mail import BadHeaderError, EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DatabaseError

from messaging.intake import addresses, gate

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 2.2
_INJECTION = re.compile(r"\r(?!\n)|\n(?![ \t])|\0")


class QueueEmailBackend(BaseEmailBackend):
    """Puts what any Django code sends into the queue: all messages of a call, or none.

    `author` is the person on whose behalf it is sent. Differences from Django's SMTP backend: a message without
    recipients is recorded as failed instead of skipped, and an address that needs SMTPUTF8 stays as it is.
    """

    def __init__(self, fail_silently: bool = False, *, author: User | None = None, **kwargs: Any) -> None:
        super().__init__(fail_silently=fail_silently, **kwargs)
        self.author = author

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """The number queued. Raises Refused or BadHeaderError (both ValueError) unless `fail_silently`."""
        try:
            return len(gate.accept_many([self._submission(message) for message in email_messages or ()]))
        except (ValueError, DatabaseError, OSError):
            if not self.fail_silently:
                raise
            logger.exception(
                "Not queued: %d messages of a sender that does not want to hear of failures", len(email_messages)
            )
            return 0

    def _submission(self, message: EmailMessage) -> gate.Submission:
        return gate.Submission(
            raw=_as_bytes(message),
            reverse_path=_bare(message.from_email),
            recipients=[_bare(recipient) for recipient in message.recipients()],
            author=self.author,
            via="Django e-mail backend",
        )


def _as_bytes(message: EmailMessage) -> bytes:
    mime = message.message()
    for part in mime.walk():
        for name, value in part.raw_items():
            if not _NAME.fullmatch(name) or _INJECTION.search(str(value)):
                raise BadHeaderError(f"The header field {name!r} contains a line break. Remove it.")
    _restore_smtputf8(message, mime)
    octets = BytesIO()
    try:
        BytesGenerator(octets, mangle_from_=False).flatten(mime, linesep="\r\n")
    except MessageError as error:
        raise BadHeaderError(f"A header field of the message is not valid: {error}") from error
    return octets.getvalue()


def _restore_smtputf8(message: EmailMessage, mime: MimeMessage) -> None:
    """Django writes a local part that is not ASCII as an encoded word, which is nobody's address (RFC 2047 5)."""
    originals = {
        "From": [message.extra_headers.get("From", message.from_email)],
        "To": message.to,
        "Cc": message.cc,
        "Reply-To": message.reply_to,
    }
    for name, values in originals.items():
        text = ", ".join(map(str, values))
        if (
            name in mime
            and not text.isascii()
            and any(not _has_ascii_local_part(each.address) for each in addresses.mailboxes(text))
        ):
            # The generator writes surrogates as the octets they stand for; the gate does the encoding.
            mime.replace_header(name, text.encode().decode("ascii", "surrogateescape"))


def _has_ascii_local_part(address: str) -> bool:
    return address.rpartition("@")[0].isascii()


def _bare(address: str) -> str:
    """The address without its display name. Raises BadAddress when it is not exactly one mailbox."""
    found = addresses.envelope_mailboxes(str(address))
    return found[0].address if len(found) == 1 else str(address)
