"""What a person writes, as RFC 5322 bytes: header fields, the text with HTML made from it, and attachments."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage

from messaging.compose.links import linked
from messaging.content import charsets
from messaging.content.uploads import File
from messaging.intake import own_mail, typed_addresses
from messaging.intake.addresses import Mailbox

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
        """The envelope: everyone it goes to."""
        return [mailbox.address for mailbox in (*self.to, *self.cc, *self.bcc)]


def read_mailboxes(text: str) -> list[Mailbox]:
    """What a person typed or pasted, each mailbox valid.

    Raises:
        BadAddress: one of them is not; it says which.
    """
    return typed_addresses.read(text)


def as_typed(mailboxes: Iterable[Mailbox]) -> str:
    """Mailboxes as a person would type them, non-ASCII names left as they are."""
    return ", ".join(map(own_mail.as_typed, mailboxes))


def raw_of(letter: Letter) -> bytes:
    """The message without Bcc, Date and Message-ID: the gate adds what is missing."""
    fields = [own_mail.address_field("From", [letter.sender])]
    fields += [own_mail.address_field(name, who) for name, who in (("To", letter.to), ("Cc", letter.cc)) if who]
    if letter.subject:
        fields.append(own_mail.subject_field(letter.subject))
    mail = EmailMessage(policy=policy.SMTP)
    mail.set_content(plain(letter.text))
    if letter.text.strip():
        mail.add_alternative(html_of(letter.text), subtype="html")
    for file in letter.files:
        attach(mail, file)
    return b"".join(fields) + mail.as_bytes()


def attach(mail: EmailMessage, file: File) -> None:
    """One more part. An attached message goes as plain octets: as message/rfc822 it could not be encoded.

    A text that is UTF-8 says so: without a character set it would be US-ASCII (RFC 2046 4.1.2).
    """
    maintype, _, subtype = file.content_type.partition("/")
    if maintype in ("message", "multipart"):
        maintype, subtype = "application", "octet-stream"
    is_utf8 = maintype == "text" and not file.data.isascii() and charsets.is_utf8([file.data])
    params = {"charset": charsets.UTF8} if is_utf8 else {}
    mail.add_attachment(file.data, maintype=maintype, subtype=subtype, filename=file.filename, params=params)


def plain(text: str) -> str:
    """Text with line feeds only, as the standard library wants it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def html_of(text: str, mark: Callable[[str], str] = linked) -> str:
    """HTML that says the same: escaped, a paragraph for each, links that can be clicked.

    `mark` makes HTML of a paragraph; `escape` leaves the links out, and the time they take.
    """
    paragraphs = _PARAGRAPHS.split(plain(text).strip())
    marked = ("<p>" + mark(paragraph).replace("\n", "<br>\n") + "</p>" for paragraph in paragraphs)
    return "<!doctype html>\n<html><body>\n" + "\n".join(marked) + "\n</body></html>\n"
