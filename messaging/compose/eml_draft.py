"""A message as an unsent draft: a file that the person's mail program opens to be sent from there (S11)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from messaging.compose import rewrite
from messaging.content import assembly, mime
from messaging.intake import addresses
from messaging.intake.errors import BadAddress
from messaging.models import Message

# Mail programs open a file with this field as a new message to be sent, not as one that came in.
UNSENT = b"X-Unsent: 1\r\n"
# Of earlier journeys and signatures, untrue of what the mail program will send. The Date says when a message was ready
# to be sent (RFC 5322 3.6.1), which is yet to come. The Message-ID stays: it is the same message, and should it arrive
# twice after all, it can be recognised.
LEFT_OUT = frozenset(("x-unsent", "date", "received", "return-path", "delivered-to", "dkim-signature",
                      "domainkey-signature", "authentication-results", "arc-seal", "arc-message-signature",
                      "arc-authentication-results"))  # fmt: skip
RECIPIENTS = ("to", "cc")


@dataclass(frozen=True)
class Draft:
    """The file: `size` in octets, and what is in it piece by piece."""

    name: str
    size: int
    pieces: Iterator[bytes]


def draft_of(message: Message) -> Draft:
    """The message with another header and the body octet for octet, streamed. It names its recipients and no one else.

    Raises MissingContent before the first octet, as assembly.assemble does.
    """
    whole = assembly.assemble(message)
    fields, body = mime.head(whole)
    left = dict.fromkeys(message.recipients.values_list("address", flat=True))
    kept = []
    for field in fields:
        if field.name in LEFT_OUT or field.name.startswith("resent-"):
            continue
        octets = whole[field.start : field.stop]
        if field.name in RECIPIENTS:
            octets, named = _for_recipients(field, octets, left)
            left = {address: None for address in left if address not in named}
        kept.append(octets)
    blank_line = whole[fields[-1].stop if fields else 0 : body]
    header = b"".join([UNSENT, *kept, _blind_copies(left), blank_line])
    return Draft(_name(message), message.size - body + len(header), chain([header], whole.pieces(body)))


def _for_recipients(field: mime.Field, octets: bytes, recipients: Iterable[str]) -> tuple[bytes, set[str]]:
    """To or Cc without those who are only named: the mail program would send to them too; and who is left in it.

    As it is written where it names no one else.
    """
    written = rewrite.named(octets, field.name)
    named = written.keys() & set(recipients)
    if len(named) == len(written) and _is_list(field.text):
        return octets, named
    kept = {
        address: text.encode()
        for address, text in written.items()
        if address in named and _is_list(text.replace("\r\n", ""))
    }
    name = octets.partition(b":")[0]
    return (name + b": " + b",\r\n ".join(kept.values()) + b"\r\n" if kept else b"", set(kept))


def _is_list(text: str) -> bool:
    """Whether all of it can be read."""
    try:
        addresses.envelope_mailboxes(text)
    except BadAddress:
        return False
    return True


def _blind_copies(recipients: Iterable[str]) -> bytes:
    """The recipients that no header field names: no one but the envelope knows of them."""
    listed = ",\r\n ".join(recipients)
    return f"Bcc: {listed}\r\n".encode() if listed else b""


def _name(message: Message) -> str:
    """A file name that every system takes, by which a person finds the message."""
    return f"{assembly.file_stem(message.subject) or f'message-{message.pk}'}.eml"
