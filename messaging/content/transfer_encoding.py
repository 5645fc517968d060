"""Parts given another Content-Transfer-Encoding, everything around them left as it was.

What is put in is made piece by piece, and nothing that is not in memory already is taken there.
"""

import re
from base64 import encodebytes
from collections.abc import Iterable, Iterator
from functools import partial
from quopri import encodestring

from messaging.content import charsets, mime, signed_or_encrypted
from messaging.content.octets import Joined, Made, Octets, Pieces

Edit = tuple[int, int, bytes | Pieces]

ENCODED = ("base64", "quoted-printable")
BASE64_LINE = 57  # octets in a line of 76 characters
QUOTED_LINE = 76  # characters of quoted-printable, at most (RFC 2045 6.7)
_LIKE_A_DELIMITER = re.compile(rb"^--.*", re.MULTILINE)
_7_BITS_ONLY = bytes(range(128)) + b"?" * 128


def to_7bit(raw: Octets, *, is_attached: bool = False) -> tuple[bytes, Pieces]:
    """Header and body of the message for a server without 8BITMIME (RFC 6152): its parts of 8 bits as quoted-printable
    or base64.

    The header stays as it is; the gate has made it ASCII already. In what no reader shows (a preamble, an epilogue)
    each octet of 8 bits becomes a question mark.

    Raises:
        Sealed: a part of 8 bits is signed or encrypted.
    """
    edits: list[Edit] = []
    end = 0
    # Bytes are looked at faster. Not once more for each of the messages that are attached in each other.
    seen: mime.Raw = b"".join(raw) if raw.is_held and not is_attached else raw
    for part in signed_or_encrypted.walk(seen):
        if part.start < end or raw.isascii(part.body, part.stop):
            continue
        if signed_or_encrypted.is_opaque(part):
            raise signed_or_encrypted.Sealed
        if part.is_leaf or not part.boundary.isascii():
            end = part.stop
            edits += _in_7bit(part)
        else:
            edits += _labelled(part, b"")
    body = mime.head(seen)[1]
    header = apply(seen[:body], [edit for edit in edits if edit[0] < body])
    edits = [(start - body, stop - body, new) for start, stop, new in edits if start >= body]
    return header, Edited(raw.view(body), edits, _7_BITS_ONLY)


def _in_7bit(part: mime.Part) -> list[Edit]:
    if not is_attached(part):
        return encoded(part)
    header, body = to_7bit(_body(part), is_attached=True)
    if header.isascii():
        return attached(part, Joined(Octets.of(header), body), is_ascii=True)
    # RFC 6532 3.7: a message whose header cannot be ASCII may be encoded under this name.
    return _exchanged(part, *_base64(_body(part)), content_type=b"message/global")


def is_attached(part: mime.Part) -> bool:
    """Whether it is a message, which may not be encoded itself, only its own parts (RFC 2046 5.2.1)."""
    return part.is_leaf and part.content_type == signed_or_encrypted.ATTACHED and part.encoding not in ENCODED


def attached(part: mime.Part, inner: Pieces, *, is_ascii: bool) -> list[Edit]:
    """The edits that put `inner` in the place of an attached message."""
    return [_other_body(part, inner), *_labelled(part, b"" if is_ascii else b"8bit")]


def attached_edited(part: mime.Part, edits: Iterable[Edit]) -> list[Edit]:
    """The edits that make `edits` within an attached message, which is in memory and not copied for it."""
    edits = list(edits)
    moved = [(start - part.body, stop - part.body, new) for start, stop, new in edits]
    inner = Edited(_body(part), moved)
    body = edits if _has_blank_line(part) else [_other_body(part, inner)]
    return [*body, *_labelled(part, b"" if all(map(bytes.isascii, inner)) else b"8bit")]


def encoded(part: mime.Part) -> list[Edit]:
    """The edits that give a part other than an attached message an encoding of short ASCII lines.

    Texts get the shorter of quoted-printable and base64.
    """
    body = _body(part)
    if part.content_type.startswith("multipart/"):
        # RFC 2045 6.4: never encoded. But no parts can be found in this one, and then readers show it as text.
        charset = b"; charset=utf-8" if charsets.is_utf8(body) else b""
        return _exchanged(part, *_text(body, is_held=body.is_held), content_type=b"text/plain" + charset)
    data: Pieces = body
    if part.encoding in ENCODED:
        data = Made(lambda: mime.decode(body, part.encoding), is_held=body.is_held)
    is_text = part.content_type.startswith(("text/", "message/")) and part.encoding != "binary"
    return _exchanged(part, *(_text(data, is_held=body.is_held) if is_text else _base64(data)))


def _body(part: mime.Part) -> Octets:
    if isinstance(part.raw, Octets):
        return part.raw.view(part.body, part.stop)
    return Octets.of(part.raw).view(part.body, part.stop)


def apply(raw: bytes, edits: Iterable[Edit]) -> bytes:
    """raw[start:stop] replaced for each edit; of two for the same place, the later one counts."""
    return b"".join(Edited(Octets.of(raw), edits))


class Edited:
    """The pieces of `raw` with edits applied; `table`, if any, translates what no edit replaced."""

    def __init__(self, raw: Octets, edits: Iterable[Edit], table: bytes | None = None) -> None:
        places = {(start, stop): Octets.of(new) if isinstance(new, bytes) else new for start, stop, new in edits}
        self._raw, self._table = raw, table
        self._edits = sorted(places.items(), key=lambda edit: edit[0])

    def __len__(self) -> int:
        return len(self._raw) + sum(len(new) - (stop - start) for (start, stop), new in self._edits)

    def __iter__(self) -> Iterator[bytes]:
        position = 0
        for (start, stop), new in self._edits:
            yield from self._kept(position, start)
            yield from new
            position = stop
        yield from self._kept(position, len(self._raw))

    def _kept(self, start: int, stop: int) -> Iterator[bytes]:
        pieces = self._raw.pieces(start, stop)
        return pieces if self._table is None else (piece.translate(self._table) for piece in pieces)


def _text(data: Pieces, *, is_held: bool) -> tuple[Pieces, bytes]:
    """The encoding of a text and its name. Line ends other than CRLF would not survive quoted-printable."""
    base64 = _base64(data)
    if not _has_crlf_only(data):
        return base64
    quoted = Made(partial(_quoted_lines, data), is_held=is_held), b"quoted-printable"
    return min(quoted, base64, key=lambda each: len(each[0]))


def _base64(data: Pieces) -> tuple[Pieces, bytes]:
    return _Base64(data), b"base64"


class _Base64:
    """Pieces in lines of base64, without a line end after the last one."""

    def __init__(self, data: Pieces) -> None:
        self._data = data

    def __len__(self) -> int:
        size = len(self._data)
        lines = -(-size // BASE64_LINE)
        return 4 * -(-size // 3) + 2 * max(0, lines - 1)

    def __iter__(self) -> Iterator[bytes]:
        rest, between = b"", b""
        for piece in self._data:
            octets = rest + piece
            whole = len(octets) - len(octets) % BASE64_LINE
            rest = octets[whole:]
            if whole:
                yield between + _lines(octets[:whole])
                between = b"\r\n"
        if rest:
            yield between + _lines(rest)


def _lines(octets: bytes) -> bytes:
    return encodebytes(octets).rstrip(b"\n").replace(b"\n", b"\r\n")


def _quoted_lines(data: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines at a time: what a line becomes does not depend on the others."""
    rest: list[bytes] = []
    for piece in data:
        lines, line_end, tail = piece.rpartition(b"\n")
        if line_end:
            yield _quoted(b"".join([*rest, lines, line_end]))
            rest = [tail]
        else:
            rest.append(tail)
    yield _quoted(b"".join(rest))


def _quoted(lines: bytes) -> bytes:
    quoted = encodestring(lines.replace(b"\r\n", b"\n"))
    return _LIKE_A_DELIMITER.sub(_without_delimiter, quoted).replace(b"\n", b"\r\n")


def _without_delimiter(found: re.Match[bytes]) -> bytes:
    """A line that no multipart around takes for a delimiter (RFC 2046 5.1.1), in two where it becomes too long."""
    line = b"=2D" + found[0][1:]
    if len(line) <= QUOTED_LINE:
        return line
    end = QUOTED_LINE - 1
    escape = line.rfind(b"=", end - 2, end)
    end = end if escape == -1 else escape
    rest = line[end:]
    return line[:end] + b"=\n" + (b"=2D" + rest[1:] if rest.startswith(b"--") else rest)


def _has_crlf_only(data: Iterable[bytes]) -> bool:
    before = b""  # a carriage return whose line feed is in the next piece
    for piece in data:
        octets = before + piece
        before = octets[-1:] if octets.endswith(b"\r") else b""
        line_ends = octets.count(b"\r\n")
        if octets.count(b"\n") != line_ends or octets.count(b"\r") - len(before) != line_ends:
            return False
    return not before


def _exchanged(part: mime.Part, body: Pieces, encoding: bytes, content_type: bytes = b"") -> list[Edit]:
    """The edits for another body, its encoding declared, and another type if one is named."""
    edits = [_other_body(part, body)]
    if content_type:
        edits += _replaced(part, "content-type", b"Content-Type: " + content_type + b"\r\n")
    if any(each.name == "content-transfer-encoding" for each in part.fields):
        return [*edits, *_labelled(part, encoding)]
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    if part.is_root and not any(each.name == "mime-version" for each in part.fields):
        field = b"MIME-Version: 1.0\r\n" + field
    return [*edits, (part.start, part.start, field)]


def _other_body(part: mime.Part, body: Pieces) -> Edit:
    """The edit for another body. It may begin like a header field where what it replaces did not."""
    return (part.body, part.stop, body if _has_blank_line(part) else Joined(Octets.of(b"\r\n"), body))


def _has_blank_line(part: mime.Part) -> bool:
    return part.body > (part.fields[-1].stop if part.fields else part.start)


def _labelled(part: mime.Part, encoding: bytes) -> list[Edit]:
    """The edits for another label where there is one; b"" for none."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n" if encoding else b""
    return _replaced(part, "content-transfer-encoding", field)


def _replaced(part: mime.Part, name: str, new: bytes) -> list[Edit]:
    """The edits that put one field in the place of those of a name."""
    present = [field for field in part.fields if field.name == name]
    return [(field.start, field.stop, new if field is present[0] else b"") for field in present]
