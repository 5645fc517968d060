"""What a person writes, as RFC 5322 bytes: header fields, the text with HTML made from it, and attachments."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.utils import formataddr

from django.utils.html import escape, urlize

from messaging import mime
from messaging.intake import addresses, typed
from messaging.intake.addresses import Mailbox
from messaging.uploads import File

# What `read_mailboxes` would take for something else than a part of a name; as in letter.js.
_NEEDS_QUOTES = re.compile(r"""[]()<>@,:;".\\[，、،；؛＠＜＞“”„‟«»]|=\?|^['‘]""")
_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")


@dataclass(frozen=True)
class Letter:
    """A message as it is written: mailboxes that are valid already, text with any line ends."""

    sender: Mailbox
    to: Sequence[Mailbox]
    cc: Sequence[Mailbox] = ()
    bcc: Sequence[Mailbox] = ()
    subject: str = ""
    text: str = ""
    files: Sequence[File] = field(default_factory=tuple)

    @property
    def recipients(self) -> list[str]:
        """The envelope: everybody it goes to."""
        return [mailbox.address for mailbox in (*self.to, *self.cc, *self.bcc)]


def read_mailboxes(text: str) -> list[Mailbox]:
    """What a person typed or pasted, each mailbox valid.

    Raises:
        BadAddress: one of them is not; it says which.
    """
    return typed.read(text)


def as_typed(mailboxes: Iterable[Mailbox]) -> str:
    """Mailboxes as a person would type them, non-ASCII names left as they are."""
    return ", ".join(_typed(mailbox) for mailbox in mailboxes)


def _typed(mailbox: Mailbox) -> str:
    if not mailbox.name:
        return mailbox.address
    if _NEEDS_QUOTES.search(mailbox.name):
        quoted = mailbox.name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{mailbox.address}>'
    return f"{mailbox.name} <{mailbox.address}>"


def raw_of(letter: Letter) -> bytes:
    """The message without Bcc, Date and Message-ID: the gate adds what is missing."""
    fields = [address_field("From", [letter.sender])]
    fields += [address_field(name, who) for name, who in (("To", letter.to), ("Cc", letter.cc)) if who]
    if letter.subject:
        fields.append(subject_field(letter.subject))
    mail = EmailMessage(policy=policy.SMTP)
    mail.set_content(plain(letter.text))
    if letter.text.strip():
        mail.add_alternative(html_of(letter.text), subtype="html")
    for file in letter.files:
        attach(mail, file)
    return b"".join(fields) + mail.as_bytes()


def attach(mail: EmailMessage, file: File) -> None:
    """One more part. An attached message goes as plain octets: as message/rfc822 it could not be encoded."""
    maintype, _, subtype = file.content_type.partition("/")
    if maintype in ("message", "multipart"):
        maintype, subtype = "application", "octet-stream"
    mail.add_attachment(file.data, maintype=maintype, subtype=subtype, filename=file.filename)


def address_field(name: str, mailboxes: Iterable[Mailbox]) -> bytes:
    """A header field that names these."""
    return f"{name}: {address_value(mailboxes)}\r\n".encode()


def address_value(mailboxes: Iterable[Mailbox]) -> str:
    """Its value, one on a line."""
    listed = ", ".join(formataddr((each.name, each.address)) if each.address.isascii() and each.name.isascii()
                       else _typed(each) for each in mailboxes)  # fmt: skip
    return addresses.header_value(listed)


def subject_field(subject: str) -> bytes:
    """The Subject header field."""
    charset = "us-ascii" if subject.isascii() else "utf-8"
    return f"Subject: {mime.encoded_words(subject, charset, field='Subject')}\r\n".encode()


def plain(text: str) -> str:
    """Text with line feeds only, as the standard library wants it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def html_of(text: str) -> str:
    """HTML that says the same: escaped, a paragraph for each, links that can be clicked."""
    paragraphs = _PARAGRAPHS.split(plain(text).strip())
    marked = ("<p>" + _linked(paragraph).replace("\n", "<br>\n") + "</p>" for paragraph in paragraphs)
    return "<!doctype html>\n<html><body>\n" + "\n".join(marked) + "\n</body></html>\n"


def _linked(text: str) -> str:
    # A very long word without a blank is no link, and takes urlize its time.
    if any(len(word) > 2000 for word in text.split()):
        return escape(text)
    return urlize(text, autoescape=True)
