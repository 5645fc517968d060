"""What is signed or encrypted, and so travels octet for octet: RFC 1847 2.1 and 2.2, RFC 8551 3.1, RFC 3156 3.

Of the types, the two multiparts are opaque: nothing within them is encoded again. What S/MIME puts into one part of its
own (application/pkcs7-mime) may be, since only the octets that come out of it are signed or encrypted.
"""

import re
from collections.abc import Iterable, Iterator

from messaging.content import mime

OPAQUE = ("multipart/signed", "multipart/encrypted")
PKCS7 = ("application/pkcs7-mime", "application/x-pkcs7-mime")
TYPES = (*OPAQUE, *PKCS7)
ATTACHED = "message/rfc822"


_IN_TEXT = re.compile(r"^-----BEGIN PGP (?:SIGNED )?MESSAGE-----", re.MULTILINE)


class Sealed(ValueError):
    """What would have to be encoded again is signed or encrypted."""


def walk(raw: mime.Raw, start: int = 0, stop: int | None = None) -> Iterator[mime.Part]:
    """As mime.walk, but nothing of what an opaque part contains."""
    return unsealed(mime.walk(raw, start, stop))


def unsealed(parts: Iterable[mime.Part]) -> Iterator[mime.Part]:
    """Of the parts that mime.walk found, those that no opaque part contains."""
    end = -1
    for part in parts:
        if part.start >= end:
            yield part
            end = part.stop if is_opaque(part) else end


def is_opaque(part: mime.Part) -> bool:
    """Whether nothing may be changed within it."""
    return part.content_type in OPAQUE


def opaque(raw: bytes) -> Iterator[mime.Part]:
    """The opaque parts of a message, also of those attached to it."""
    waiting = [(0, len(raw))]
    for _ in range(mime.MAX_DEPTH):
        if not waiting:
            return
        within, waiting = waiting, []
        for start, stop in within:
            for part in walk(raw, start, stop):
                if is_opaque(part):
                    yield part
                elif part.is_leaf and part.content_type == ATTACHED:
                    waiting.append((part.body, part.stop))


def is_sealed(raw: mime.Raw) -> bool:
    """Whether any part is signed or encrypted."""
    return any(part.content_type in TYPES for part in mime.walk(raw))


def is_text_sealed(text: str) -> bool:
    """Whether a text has a signature in it, or is encrypted (RFC 9580 6 and 7)."""
    return _IN_TEXT.search(text) is not None


def flaw(part: mime.Part) -> str:
    """What keeps an opaque part from being sent as it is: a key of FLAWS; "" for nothing.

    Line ends are made CRLF on the way, as they were when it was signed (RFC 1847 2.1); not where the signed part has
    both kinds, because then no one knows which of them the signature is about.
    """
    octets = part.encoded
    if b"\0" in octets:
        return "nul"
    crlf = octets.count(b"\r\n")
    if octets.count(b"\r") != crlf:
        return "cr"
    if octets.count(b"\n") != crlf and part.content_type == "multipart/signed" and _has_both(_first(part)):
        return "mixed"
    return "long" if mime.has_long_line(octets) else ""


FLAWS = {
    "nul": "a NUL character",
    "cr": "a bare carriage return",
    "mixed": "two kinds of line ends",
    "long": f"a line of more than {mime.MAX_LINE} characters",
}


def _first(part: mime.Part) -> bytes:
    """What a signature is about, its header fields included."""
    parts = mime.walk(part.raw, part.start, part.stop)
    next(parts)
    first = next(parts, None)
    return part.raw[first.start : first.stop] if first is not None else b""


def _has_both(octets: bytes) -> bool:
    return 0 < octets.count(b"\r\n") < octets.count(b"\n")
