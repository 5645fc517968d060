"""A message as an unsent draft: a file that the person's mail program opens to be sent from there (row S11)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from messaging import content, mime
from messaging.models import Message, Recipient

# Mail programs open a file with this field as a new message to be sent, not as one that came in.
UNSENT = b"X-Unsent: 1\r\n"
# Of earlier journeys and signatures, untrue of what the mail program will send. The Date says when a message was ready
# to be sent (RFC 5322 3.6.1), which is yet to come. The Message-ID stays: it is the same message, and should it arrive
# twice after all, it can be recognised.
LEFT_OUT = frozenset(("x-unsent", "date", "received", "return-path", "delivered-to", "dkim-signature",
                      "domainkey-signature", "authentication-results", "arc-seal", "arc-message-signature",
                      "arc-authentication-results"))  # fmt: skip


@dataclass(frozen=True)
class Draft:
    """The file: `size` in octets, and what is in it piece by piece."""

    name: str
    size: int
    pieces: Iterator[bytes]


def draft_of(message: Message) -> Draft:
    """The message with another header and the body octet for octet, streamed. Raises MissingContent before the first
    octet, as content.assemble does."""
    whole = content.assemble(message)
    fields, body = mime.head(whole)
    kept = [whole[field.start : field.stop] for field in fields if field.name not in LEFT_OUT]
    blank_line = whole[fields[-1].stop if fields else 0 : body]
    header = b"".join([UNSENT, *kept, _blind_copies(message), blank_line])
    return Draft(_name(message), message.size - body + len(header), chain([header], whole.pieces(body)))


def _blind_copies(message: Message) -> bytes:
    """The recipients that no header field names: nobody but the envelope knows of them."""
    blind = message.recipients.filter(kind=Recipient.Kind.BCC).values_list("address", flat=True)
    return b"Bcc: " + ",\r\n ".join(blind).encode() + b"\r\n" if blind else b""


def _name(message: Message) -> str:
    """A file name that every system takes, by which a person finds the message."""
    return f"{content.file_stem(message.subject) or f'message-{message.pk}'}.eml"
