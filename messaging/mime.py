"""Where the header fields and parts of a message are, by position, and how their bodies are decoded.

The standard library's parser turns a message into other objects and cannot say where a part was; here only positions
are found, so whatever is cut out can be put back exactly (RFC 5322 header fields, RFC 2046 multiparts). Nothing here
raises on a broken message: what cannot be understood is simply part of a body.
"""

import binascii
import quopri
import re
from collections.abc import Iterable, Iterator
from email.header import Header, decode_header
from email.message import Message as HeaderBag
from functools import cached_property
from typing import NamedTuple

MAX_LINE = 998  # octets without CRLF, RFC 5322 2.1.1 and RFC 5321 4.5.3.1.6
MAX_DEPTH = 200  # multiparts nested deeper are left as one opaque body
MAX_BOUNDARY_LINE = 1000
MAX_DECODED = 50_000  # characters; the standard library's decoder takes time by the square of the length

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*)")
_LINE_END = re.compile(rb"\r?\n")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
# Control characters, and those that reorder what a person reads (right-to-left overrides and their kin).
_DECEPTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BLANKS = re.compile(r"[\t\r\n]+")
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


class Field(NamedTuple):
    """A header field: raw[start:stop] is all of it, folds and final line end included."""

    name: str
    value: bytes
    start: int
    stop: int

    @property
    def text(self) -> str:
        """The value unfolded and as text, RFC 2047 encoded words still as they are."""
        return _FOLD.sub("", to_text(self.value)).strip()


class Part:
    """A leaf or a multipart: header from `start`, body from `body` to `stop` in `raw`."""

    def __init__(self, raw: bytes, start: int, stop: int, default_type: str = "text/plain") -> None:
        self.raw, self.start, self.stop, self.default_type = raw, start, stop, default_type
        self.fields, self.body = head(raw, start, stop)
        self.is_leaf = True

    @cached_property
    def headers(self) -> HeaderBag:
        """The Content-* fields, for the parameter parsing of the standard library."""
        bag = HeaderBag()
        bag.set_default_type(self.default_type)
        for field in self.fields:
            if field.name.startswith("content-"):
                bag[field.name] = field.text
        return bag

    @property
    def content_type(self) -> str:
        return self.headers.get_content_type()

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding in lower case (RFC 2045 6.1: 7bit when absent)."""
        words = str(self.headers.get("content-transfer-encoding", "")).split()
        return words[0].lower() if words else "7bit"

    @property
    def disposition(self) -> str:
        return self.headers.get_content_disposition() or ""

    @property
    def content_id(self) -> str:
        return str(self.headers.get("content-id", "")).strip().strip("<>")

    @property
    def charset(self) -> str:
        return _parameter(self.headers.get_content_charset)

    @property
    def filename(self) -> str:
        """As declared, RFC 2231 and RFC 2047 decoded; not yet fit for display."""
        return decoded_words(_parameter(self.headers.get_filename))

    @property
    def boundary(self) -> bytes:
        return _parameter(self.headers.get_boundary).encode(errors="replace")

    @property
    def encoded(self) -> bytes:
        return self.raw[self.body : self.stop]


def head(raw: bytes, start: int = 0, stop: int | None = None) -> tuple[list[Field], int]:
    """Header fields from `start`, and where the body begins: after the blank line, or at a line that is no field."""
    stop = len(raw) if stop is None else stop
    fields = []
    position = start
    while position < stop and (found := _FIELD.match(raw, position, stop)):
        fields.append(Field(found[1].decode("ascii").lower(), found[2], position, found.end()))
        position = found.end()
    blank = _LINE_END.match(raw, position, stop)
    return fields, blank.end() if blank else position


def walk(
    raw: bytes, start: int = 0, stop: int | None = None, depth: int = 0, default_type: str = "text/plain"
) -> Iterator[Part]:
    """Every multipart and leaf in the order of the message. An attached message (message/rfc822) is one leaf."""
    part = Part(raw, start, len(raw) if stop is None else stop, default_type)
    spans: list[tuple[int, int]] = []
    if depth < MAX_DEPTH and part.content_type.startswith("multipart/") and part.boundary:
        spans = _between(raw, part.boundary, part.body, part.stop)
    part.is_leaf = not spans
    yield part
    # RFC 2046 5.1.5: what a digest collects are messages.
    inner = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
    for span_start, span_stop in spans:
        yield from walk(raw, span_start, span_stop, depth + 1, inner)


def leaves(raw: bytes) -> Iterator[Part]:
    return (part for part in walk(raw) if part.is_leaf)


def _between(raw: bytes, boundary: bytes, start: int, stop: int) -> list[tuple[int, int]]:
    """The spans between boundary lines (RFC 2046 5.1.1); the line end before a boundary belongs to the boundary."""
    delimiter = b"--" + boundary
    spans: list[tuple[int, int]] = []
    begin = None
    position = start
    while (position := raw.find(delimiter, position, stop)) != -1:
        rest = position + len(delimiter)
        line_end = raw.find(b"\n", rest, min(stop, rest + MAX_BOUNDARY_LINE))
        line_end = stop if line_end == -1 else line_end
        tail = raw[rest : min(line_end, rest + MAX_BOUNDARY_LINE)].rstrip(b" \t\r")
        at_line_start = position == start or raw[position - 1] == 0x0A
        if not at_line_start or tail not in (b"", b"--"):
            position = rest
            continue
        if begin is not None:
            line_break = 2 if raw[position - 2 : position] == b"\r\n" else 1
            spans.append((begin, max(begin, position - line_break)))
        if tail:
            return spans
        begin = position = min(line_end + 1, stop)
    if begin is not None:
        spans.append((begin, stop))
    return spans


def has_long_line(raw: bytes, start: int = 0, stop: int | None = None) -> bool:
    """Whether a line has more than 998 octets; looks at a few octets per thousand, so it is cheap for large reports."""
    stop = len(raw) if stop is None else stop
    while stop - start > MAX_LINE:
        line_end = raw.rfind(b"\n", start, start + MAX_LINE + 2)
        if line_end == -1:
            return True
        start = line_end + 1
    return False


def decode(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo a Content-Transfer-Encoding piece by piece; an encoding not in RFC 2045 is passed on as it is."""
    if encoding == "base64":
        return _decode_base64(chunks)
    if encoding == "quoted-printable":
        return _decode_quoted_printable(chunks)
    return iter(chunks)


def _decode_base64(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Octets outside the alphabet are ignored and the data ends at the first padding (RFC 2045 6.8)."""
    rest = b""
    for chunk in chunks:
        letters, padding, _ = (rest + chunk.translate(None, _NOT_BASE64)).partition(b"=")
        whole = len(letters) - len(letters) % 4
        yield binascii.a2b_base64(letters[:whole])
        rest = letters[whole:]
        if padding:
            break
    if len(rest) > 1:
        yield binascii.a2b_base64(rest + b"=" * (4 - len(rest)))


def _decode_quoted_printable(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        lines, line_end, rest = (rest + chunk).rpartition(b"\n")
        yield quopri.decodestring(lines + line_end)
    yield quopri.decodestring(rest)


def to_text(data: bytes) -> str:
    """Undeclared 8-bit text: UTF-8 if it can be, otherwise Latin-1, which always can."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def decoded_words(text: str) -> str:
    """RFC 2047 encoded words decoded, as far as they make sense and the text is not absurdly long."""
    if "=?" not in text or len(text) > MAX_DECODED:
        return text
    try:
        pieces = decode_header(text)
    except ValueError:
        return text
    return "".join(piece if isinstance(piece, str) else charset_text(piece, charset or "") for piece, charset in pieces)


def encoded_words(text: str, charset: str = "utf-8", field: str = "") -> str:
    """The value of header field `field` folded into short lines, in RFC 2047 encoded words unless it is ASCII."""
    whole = text.encode("utf-8", "replace").decode()
    return Header(whole, charset, maxlinelen=76, header_name=field or None).encode(linesep="\r\n")


def charset_text(data: bytes, charset: str) -> str:
    """`data` as text; an unknown or wrong charset never raises, it shows replacement characters."""
    if charset.lower() in ("", "us-ascii", "ascii", "unknown-8bit"):
        return to_text(data)
    try:
        text = data.decode(charset, "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def displayable(text: str, limit: int) -> str:
    """One line that cannot deceive: no control characters, no text direction overrides, at most `limit` characters."""
    return _DECEPTIVE.sub("", _BLANKS.sub(" ", text)).strip()[:limit]


def _parameter(getter: object) -> str:
    """A header parameter as text. The standard library raises various errors on badly broken RFC 2231 parameters."""
    assert callable(getter)
    try:
        return str(getter() or "")
    except (ValueError, TypeError, LookupError, AttributeError):
        return ""
