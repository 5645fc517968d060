"""What Outtray writes itself: header fields, and mails of a text alone, such as notices."""

import re
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage
from email.utils import formataddr

from messaging.content import charsets, mime

from . import addresses
from .addresses import Mailbox

# What `typed.read` would take for something else than a part of a name; as in letter.js.
_NEEDS_QUOTES = re.compile(r"""[]()<>@,:;".\\[，、،；؛＠＜＞“”„‟«»]|=\?|^['‘]""")


def as_typed(mailbox: Mailbox) -> str:
    """A mailbox as a person would type it, a name that is not ASCII left as it is."""
    if not mailbox.name:
        return mailbox.address
    if _NEEDS_QUOTES.search(mailbox.name):
        quoted = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{mailbox.address}>'
    return f"{mailbox.name} <{mailbox.address}>"


def address_field(name: str, mailboxes: Iterable[Mailbox]) -> bytes:
    """A header field that names these."""
    return f"{name}: {address_value(mailboxes)}\r\n".encode()


def address_value(mailboxes: Iterable[Mailbox]) -> str:
    """Its value, one on a line. No local part is encoded: an encoded word is no one's address (RFC 2047 5)."""
    listed = ", ".join(formataddr((each.name, each.address)) if each.address.isascii() and each.name.isascii()
                       else as_typed(each) for each in mailboxes)  # fmt: skip
    return addresses.header_value(listed)


def subject_field(subject: str) -> bytes:
    """The Subject header field."""
    charset = "us-ascii" if subject.isascii() else "utf-8"
    return f"Subject: {mime.encoded_words(subject, charset, field='Subject')}\r\n".encode()


def text_mail(sender: Mailbox, to: Iterable[str], subject: str, text: str, *more: bytes) -> bytes:
    """A mail without Date and Message-ID, which the gate adds; `text` has line feeds only, `more` are other fields."""
    mail = EmailMessage(policy=policy.SMTP)
    mail.set_content(text)
    fields = [
        address_field("From", [sender]),
        address_field("To", [Mailbox("", address) for address in to]),
        subject_field(charsets.one_line(subject)),
    ]
    return b"".join([*fields, *more]) + mail.as_bytes()
