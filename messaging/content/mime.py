"""Where the header fields and parts of a message are, by position, and how their bodies are decoded.

The standard library's parser turns a message into other objects and cannot say where a part was; here only positions
are found, so whatever is cut out can be put back exactly (RFC 5322 header fields, RFC 2046 multiparts). Nothing here
raises on a broken message: what cannot be understood is simply part of a body.
"""

import binascii
import quopri
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.charset import Charset
from email.header import Header
from email.message import Message as HeaderBag
from functools import cached_property
from typing import NamedTuple

from messaging.content import charsets
from messaging.content.charsets import Reading
from messaging.content.octets import Octets

Raw = bytes | Octets  # a message, wherever it is

MAX_LINE = 998  # octets without CRLF, RFC 5322 2.1.1 and RFC 5321 4.5.3.1.6
LONGEST_WORD = 74  # characters of an encoded word, less what the name of its field has, for a line of 76 with its colon
MAX_DEPTH = 100  # as Postfix; multiparts nested deeper are left as one opaque body
MAX_PARTS = 5_000  # of a message; what follows stays in the body of the last
MAX_FIELDS = 1_100  # of a header, some more than the gate takes in; what follows is read as the body
MAX_FIELDS_IN_ALL = 50_000  # of all parts of a message
MAX_NEAR_MISSES = 20_000  # lines of a message that only begin like a boundary; what follows stays in the last body, too
MAX_BOUNDARY_LINE = 1000
FIRST_WINDOW = 4096  # octets in which a header is looked for where a message is not in memory
MAX_PARAMETERS = 5_000  # characters; the standard library's parser takes time by the square of the length
MOST_PARAMETERS = 100  # for each of which it counts the quotation marks of all that stands before
MAX_PARAMETERS_IN_ALL = 30_000  # of all parts of a message, six for each part it may have; what follows has none
MAX_COMMENTED = 1_000  # characters of a field that are searched for comments; what follows says no type
WITH_PARAMETERS = ("content-type", "content-disposition")

UTF8 = Charset("utf-8")
_AS_IT_IS = Charset("utf-8")
_AS_IT_IS.header_encoding = None  # type: ignore[assignment]  # no encoded words, as email.charset has it
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:([^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*)")
_LINE_END = re.compile(rb"\r?\n")
_WORD = re.compile(r"=\?([^?\s]{1,60})\?([BbQq])\?")
_META = re.compile(
    rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([\w.:-]{1,60})|<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([\w.:-]{1,60})",
    re.IGNORECASE,
)
_PIECE = re.compile(r"[();]|(?:[^\\();]|\\.?)+", re.DOTALL)  # of a field with comments
_AROUND_SLASH = re.compile(r"\s*/\s*")
_SPACES = re.compile(r"(\s+)")
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
PRESCAN = 1024  # octets in which a browser looks for the character set
ENCODINGS = ("7bit", "8bit", "binary", "base64", "quoted-printable")
# Control characters, and those that reorder what a person reads (right-to-left overrides and their kin).
_DECEPTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_DECEPTIVE_IN_LINES = re.compile(rf"(?![\t\n]){_DECEPTIVE.pattern}")
_BLANKS = re.compile(r"[\t\r\n]+")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64 + b"="))


@dataclass
class _Left:
    """What a walk through a message may still find."""

    parts: int = MAX_PARTS
    fields: int = MAX_FIELDS_IN_ALL
    parameters: int = MAX_PARAMETERS_IN_ALL
    near_misses: int = MAX_NEAR_MISSES


class Field(NamedTuple):
    """A header field: raw[start:stop] is all of it, folds and final line end included."""

    name: str
    value: bytes
    start: int
    stop: int

    @property
    def text(self) -> str:
        """The value unfolded and as text, RFC 2047 encoded words still as they are."""
        return self.text_in("")

    def text_in(self, charset: str) -> str:
        """The same, where octets of 8 bits may be in the character set of the text below."""
        return charsets.read_header(self.value, charset).strip()


class Part:
    """A leaf or a multipart: header from `start`, body from `body` to `stop` in `raw`."""

    def __init__(
        self, raw: Raw, start: int, stop: int, default_type: str = "text/plain", most_fields: int = MAX_FIELDS
    ) -> None:
        self.raw, self.start, self.stop, self.default_type = raw, start, stop, default_type
        self.fields, self.body = head(raw, start, stop, most_fields)
        self.is_leaf = True
        self.is_root = False  # the message itself, of which the others are parts
        self.is_version = (
            False  # the message, one of those between which a reader chooses, or what is seen first of one
        )
        self.choices: tuple[tuple[int, int], ...] = ()  # multipart/alternatives around it, and which of theirs it is in
        self.has_parameters = True  # that are read
        self._parameters: dict[str, dict[str, str]] = {}

    @cached_property
    def headers(self) -> HeaderBag:
        """The Content-* fields."""
        bag = HeaderBag()
        for field in self.fields:
            if field.name.startswith("content-"):
                bag[field.name] = field.text
        return bag

    @cached_property
    def content_type(self) -> str:
        """In lower case; what is no type is a text (RFC 2045 5.2)."""
        if "content-type" not in self.headers:
            return self.default_type
        kind = _AROUND_SLASH.sub("/", self._first_word("content-type"))
        return kind if kind.count("/") == 1 else "text/plain"

    @property
    def encoding(self) -> str:
        """Content-Transfer-Encoding in lower case (RFC 2045 6.1: 7bit when absent)."""
        words = self._first_word("content-transfer-encoding").split(maxsplit=1)
        return words[0] if words else "7bit"

    @property
    def disposition(self) -> str:
        return self._first_word("content-disposition")

    def _first_word(self, field: str) -> str:
        """What a field says before its parameters, in lower case."""
        return _without_comments(str(self.headers.get(field, ""))).strip().lower()

    @property
    def content_id(self) -> str:
        return str(self.headers.get("content-id", "")).strip().strip("<>")

    @property
    def charset(self) -> str:
        """As declared."""
        return self._parameter("charset", "content-type")

    @property
    def filename(self) -> str:
        """As declared, RFC 2231 and RFC 2047 decoded; not yet fit for display."""
        return decoded_words(
            self._parameter("filename", "content-disposition") or self._parameter("name", "content-type")
        )

    @property
    def boundary(self) -> bytes:
        return self._parameter("boundary", "content-type").rstrip().encode(errors="replace")

    @property
    def start_id(self) -> str:
        """The Content-ID of what is the root of a multipart/related; "" for its first part."""
        return self._parameter("start", "content-type").strip().strip("<>")

    @property
    def is_flowed(self) -> bool:
        """Whether its line breaks are soft (RFC 3676)."""
        return self.content_type == "text/plain" and self._parameter("format", "content-type").lower() == "flowed"

    @property
    def has_delsp(self) -> bool:
        return self._parameter("delsp", "content-type").lower() == "yes"

    def _parameter(self, name: str, field: str) -> str:
        value = str(self.headers.get(field, "")) if self.has_parameters else ""
        if name not in value.lower():
            return ""
        if field not in self._parameters:
            self._parameters[field] = dict(reversed(parameters(value)))
        return self._parameters[field].get(name, "")

    @property
    def encoded(self) -> bytes:
        return self.raw[self.body : self.stop]

    @cached_property
    def data(self) -> bytes:
        """The body without its encoding."""
        return b"".join(decode([self.encoded], self.encoding))

    @property
    def label(self) -> str:
        """The character set that the type names, or the HTML itself where the type does not."""
        return charsets.chosen(self.charset, _charset_within(self.data, self.content_type))

    def read(self) -> Reading:
        """A text decoded; not whole either where its encoding is not known, or loses something that is there."""
        reading = charsets.read(self.data, self.label)
        is_lost = "\0" in reading.text or (self.encoding == "base64" and not _is_base64(self.encoded))
        return reading._replace(is_whole=reading.is_whole and self.encoding in ENCODINGS and not is_lost)


def head(raw: Raw, start: int = 0, stop: int | None = None, most_fields: int = MAX_FIELDS) -> tuple[list[Field], int]:
    """Header fields from `start`, and where the body begins: after the blank line, or at a line that is no field.

    After `most_fields` it begins with the next one: each takes hundreds of octets of memory for the four it may have.
    """
    stop = len(raw) if stop is None else stop
    if isinstance(raw, Octets):
        return _head_in_window(raw, start, stop, most_fields)
    fields: list[Field] = []
    position = start
    while len(fields) < most_fields and position < stop and (found := _FIELD.match(raw, position, stop)):
        fields.append(Field(found[1].decode("ascii").lower(), found[2], position, found.end()))
        position = found.end()
    blank = _LINE_END.match(raw, position, stop)
    return fields, blank.end() if blank else position


def _head_in_window(raw: Octets, start: int, stop: int, most_fields: int) -> tuple[list[Field], int]:
    """The same, read only as far as the line that ends the header."""
    size = FIRST_WINDOW
    while True:
        window = raw[start : min(stop, start + size)]
        fields, body = head(window, most_fields=most_fields)
        last = fields[-1].stop if fields else 0
        if start + size >= stop or b"\n" in window[last:]:
            moved = [each._replace(start=each.start + start, stop=each.stop + start) for each in fields]
            return moved, body + start
        size *= 4


def walk(raw: Raw, start: int = 0, stop: int | None = None) -> Iterator[Part]:
    """Every multipart and leaf in the order of the message. An attached message (message/rfc822) is one leaf."""
    root = Part(raw, start, len(raw) if stop is None else stop)
    root.is_version = True
    return _walk(root, 0, _Left())


def _walk(part: Part, depth: int, left: _Left) -> Iterator[Part]:
    raw = part.raw
    left.fields -= len(part.fields)
    left.parameters -= _number_of_parameters(part)
    part.has_parameters = left.parameters >= 0
    spans: list[tuple[int, int]] = []
    if depth < MAX_DEPTH and left.parts > 0 and part.content_type.startswith("multipart/") and part.boundary:
        spans = _between(raw, part.boundary, part.body, part.stop, left)
    left.parts -= 1
    part.is_leaf, part.is_root = not spans, not depth
    yield part
    # RFC 2046 5.1.5: what a digest collects are messages.
    inner = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
    for number, (start, stop) in enumerate(spans):
        child = Part(raw, start, stop, inner, min(MAX_FIELDS, left.fields))
        is_choice = part.content_type == "multipart/alternative"
        child.is_version = is_choice or _is_seen_first(child, number, part)
        child.choices = ((part.start, number), *part.choices) if is_choice else part.choices
        yield from _walk(child, depth + 1, left)


def _is_seen_first(part: Part, number: int, within: Part) -> bool:
    """Whether it is the root of a multipart/related (RFC 2387 3.2), or the first part of all or of a version."""
    if within.content_type == "multipart/related":
        return part.content_id == within.start_id if within.start_id else number == 0
    return within.is_version and number == 0


def _number_of_parameters(part: Part) -> int:
    """How many it takes time to read; too many in a field are not read at all."""
    numbers = (each.value.count(b";") for each in part.fields if each.name in WITH_PARAMETERS)
    return sum(number for number in numbers if number <= MOST_PARAMETERS)


def leaves(raw: Raw) -> Iterator[Part]:
    return (part for part in walk(raw) if part.is_leaf)


def _between(raw: Raw, boundary: bytes, start: int, stop: int, left: _Left) -> list[tuple[int, int]]:
    """The spans between boundary lines (RFC 2046 5.1.1); the line end before a boundary belongs to the boundary.

    Where no more may be found, the last one has all that follows.
    """
    delimiter = b"--" + boundary
    spans: list[tuple[int, int]] = []
    begin = None
    position = start if raw.startswith(delimiter, start, stop) else _line_with(delimiter, raw, start, stop)
    while position != -1:
        rest = position + len(delimiter)
        line_end = raw.find(b"\n", rest, min(stop, rest + MAX_BOUNDARY_LINE))
        line_end = stop if line_end == -1 else line_end
        tail = raw[rest : min(line_end, rest + MAX_BOUNDARY_LINE)].rstrip(b" \t\r")
        if tail not in (b"", b"--"):
            if not left.near_misses:
                break
            left.near_misses -= 1
            position = _line_with(delimiter, raw, rest, stop)
            continue
        if len(spans) == left.parts - 1 and begin is not None and not tail:
            break
        if begin is not None:
            line_break = 2 if raw[position - 2 : position] == b"\r\n" else 1
            spans.append((begin, max(begin, position - line_break)))
        if tail:
            return spans
        begin = min(line_end + 1, stop)
        position = _line_with(delimiter, raw, begin - 1, stop)
    if begin is not None:
        spans.append((begin, stop))
    return spans


def _line_with(beginning: bytes, raw: Raw, start: int, stop: int) -> int:
    """The next line that begins so, where the line end before it is not before `start`; -1 for none."""
    return raw.find(b"\n" + beginning, start, stop) + 1 or -1


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


def decoded_size(chunks: Iterable[bytes], encoding: str) -> int:
    """The number of octets that `decode` makes of them."""
    if encoding != "base64":
        return sum(map(len, decode(chunks, encoding)))
    letters = 0
    for chunk in chunks:
        found, padding, _ = chunk.translate(None, _NOT_BASE64).partition(b"=")
        letters += len(found)
        if padding:
            break
    return letters // 4 * 3 + (0, 0, 1, 2)[letters % 4]


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


def _without_comments(value: str) -> str:
    """What stands before the first semicolon, with a blank for each comment (RFC 2045 5.1, RFC 5322 3.2.2)."""
    if "(" not in value:
        return value.partition(";")[0]
    kept, depth = [], 0
    for found in _PIECE.finditer(value, 0, MAX_COMMENTED):
        piece = found[0]
        if piece == "(":
            depth += 1
            kept.append(" ")
        elif depth:
            depth -= piece == ")"
        elif piece == ";":
            break
        else:
            kept.append(piece)
    return "".join(kept)


def parameters(value: str) -> list[tuple[str, str]]:
    """The parameters of a Content-Type or Content-Disposition, names in lower case, RFC 2231 decoded.

    Those of RFC 2231 come first: they say it better than a fallback of the same name.
    """
    if not 0 < value.count(";") <= MOST_PARAMETERS or len(value) > MAX_PARAMETERS:
        return []
    bag = HeaderBag()
    bag["content-type"] = value
    try:
        found = bag.get_params(failobj=[])[1:]
    except (ValueError, TypeError, LookupError, AttributeError):  # of badly broken RFC 2231 parameters
        return []
    extended = [(name.lower(), _extended(*each)) for name, each in found if isinstance(each, tuple)]
    return extended + [(name.lower(), each) for name, each in found if isinstance(each, str)]


def _extended(charset: str | None, _language: str | None, value: str) -> str:
    """The value of an RFC 2231 parameter, each octet of it a character."""
    try:
        return charsets.read(value.encode("latin-1"), charset or "").text
    except UnicodeEncodeError:  # beside octets of 8 bits that were there, against the rule
        return value


def _charset_within(data: bytes, content_type: str) -> str:
    """What HTML says of itself, which cannot be UTF-16: it was read (HTML Standard 13.2.3.2)."""
    found = _META.search(_COMMENT.sub(b"", data[:PRESCAN])) if content_type.endswith("html") else None
    label = (found[1] or found[2]).decode("ascii", "replace") if found else ""
    return charsets.UTF8 if charsets.name(label).startswith("utf-16") else label


def _is_base64(body: bytes) -> bool:
    """Whether all of a body is base64, so that nothing is lost by decoding it."""
    letters = body.translate(None, b" \t\r\n").rstrip(b"=")
    return not letters.translate(None, _BASE64) and len(letters) % 4 != 1


def decoded_words(text: str) -> str:
    """RFC 2047 encoded words decoded, as far as they make sense."""
    return read_words(text).text


def read_words(text: str) -> Reading:
    """The same, and whether each of them could be read.

    Octets of words side by side are decoded together, for programs that part characters between them.
    """
    if "=?" not in text:
        return Reading(text, charsets.UTF8, True)
    pieces: list[str | tuple[str, list[bytes]]] = []
    position = 0
    for start, stop, label, octets in _words(text):
        last = pieces[-1] if pieces and not text[position:start].strip() else text[position:start]
        if isinstance(last, str):
            pieces.append(last)
        if isinstance(last, tuple) and last[0] == label:
            last[1].append(octets)
        else:
            pieces.append((label, [octets]))
        position = stop
    read = [charsets.read(b"".join(each[1]), each[0]) for each in pieces if isinstance(each, tuple)]
    texts = iter(read)
    whole = [each if isinstance(each, str) else next(texts).text for each in pieces]
    return Reading("".join(whole) + text[position:], charsets.UTF8, all(each.is_whole for each in read))


def _words(text: str) -> Iterator[tuple[int, int, str, bytes]]:
    """Encoded words: where they begin and end, their character set without a language (RFC 2231 5), their octets."""
    position = 0
    while (found := _WORD.search(text, position)) and (end := text.find("?=", found.end())) != -1:
        data = text[found.end() : end].encode("utf-8", "replace")
        is_base64 = found[2] in "bB"
        octets = b"".join(_decode_base64([data])) if is_base64 else quopri.decodestring(data, header=True)
        yield found.start(), end + 2, found[1].partition("*")[0].lower(), octets
        position = end + 2


def encoded_runs(text: str) -> str:
    """Words side by side that are not ASCII as encoded words, everything else as it is."""
    kept: list[str] = []
    run: list[str] = []
    pieces = [*_SPACES.split(text), ""]  # a word, blanks, and so on
    for word, blanks in zip(pieces[::2], pieces[1::2], strict=True):
        if word.isascii():
            kept += [*_encoded_run(run), word, blanks]
            run = []
        else:
            run += [word, blanks]
    return "".join([*kept, *_encoded_run(run)])


def _encoded_run(run: list[str]) -> list[str]:
    return [encoded_words("".join(run[:-1])), run[-1]] if run else []


def encoded_words(text: str, charset: str = "utf-8", field: str = "") -> str:
    """The value of header field `field` folded into short lines, in RFC 2047 encoded words unless it is ASCII.

    Folds are made anew. Whatever else ends a line, if only for Python, becomes a blank: the standard library would
    break the field there, and what follows would be no part of it.
    """
    whole = charsets.one_line(_FOLD.sub("", text.encode("utf-8", "replace").decode()))
    if charset == "utf-8" and len(whole) < LONGEST_WORD and whole.isprintable() and whole == whole.strip():
        word = UTF8.header_encode(whole)
        if len(field) + len(word) <= LONGEST_WORD:
            return word
    return Header(whole, charset, maxlinelen=76, header_name=field or None).encode(linesep="\r\n")


def folded(text: str) -> str:
    """The value of a header field as it is, in short lines. Folds are made anew."""
    return Header(charsets.one_line(_FOLD.sub("", text)), _AS_IT_IS, maxlinelen=76).encode(linesep="\r\n")


def displayable(text: str, limit: int) -> str:
    """One line that cannot deceive: no control characters, no text direction overrides, at most `limit` characters."""
    if text.isascii() and text.isprintable():
        return text.strip()[:limit]
    return _DECEPTIVE.sub("", _BLANKS.sub(" ", text)).strip()[:limit]


def undeceptive(text: str) -> str:
    """Text of several lines, with a sign for each character that could deceive; PostgreSQL keeps no NUL, either."""
    return text if text.isascii() and text.isprintable() else _DECEPTIVE_IN_LINES.sub("\ufffd", text)
