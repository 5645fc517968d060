"""Parts given another Content-Transfer-Encoding, everything around them left as it was."""

from base64 import encodebytes
from quopri import encodestring

from messaging import mime, sealed

Edit = tuple[int, int, bytes]

ENCODED = ("base64", "quoted-printable")
_7_BITS_ONLY = bytes(range(128)) + b"?" * 128


def to_7bit(raw: bytes) -> bytes:
    """The message for a server without 8BITMIME (RFC 6152): its parts of 8 bits as quoted-printable or base64.

    The header stays as it is; the gate has made it ASCII already. In what no reader shows (a preamble, an epilogue)
    each octet of 8 bits becomes a question mark.

    Raises:
        Sealed: a part of 8 bits is signed or encrypted.
    """
    edits: list[Edit] = []
    end = 0
    for part in sealed.walk(raw):
        if part.start < end or part.encoded.isascii():
            continue
        if sealed.is_opaque(part):
            raise sealed.Sealed
        if part.is_leaf or not part.boundary.isascii():
            end = part.stop
            edits += _in_7bit(part)
        else:
            edits += _labelled(part, b"")
    done = apply(raw, edits)
    body = mime.head(done)[1]
    return done[:body] + done[body:].translate(_7_BITS_ONLY)


def _in_7bit(part: mime.Part) -> list[Edit]:
    if not is_attached(part):
        return encoded(part)
    inner = to_7bit(part.encoded)
    if inner.isascii():
        return attached(part, inner)
    # RFC 6532 3.7: a message whose header cannot be ASCII may be encoded under this name.
    return _exchanged(part, *_base64(part.encoded), content_type=b"message/global")


def is_attached(part: mime.Part) -> bool:
    """Whether it is a message, which may not be encoded itself, only its own parts (RFC 2046 5.2.1)."""
    return part.is_leaf and part.content_type == sealed.ATTACHED and part.encoding not in ENCODED


def attached(part: mime.Part, inner: bytes) -> list[Edit]:
    """The edits that put `inner` in the place of an attached message."""
    return [_other_body(part, inner), *_labelled(part, b"" if inner.isascii() else b"8bit")]


def encoded(part: mime.Part) -> list[Edit]:
    """The edits that give a part other than an attached message an encoding of short ASCII lines.

    Texts get the shorter of quoted-printable and base64.
    """
    if part.content_type.startswith("multipart/"):
        # RFC 2045 6.4: never encoded. But no parts can be found in this one, and then readers show it as text.
        charset = b"; charset=utf-8" if _is_utf8(part.encoded) else b""
        return _exchanged(part, *_text(part.encoded), content_type=b"text/plain" + charset)
    data = b"".join(mime.decode([part.encoded], part.encoding))
    is_text = part.content_type.startswith(("text/", "message/")) and part.encoding != "binary"
    return _exchanged(part, *(_text(data) if is_text else _base64(data)))


def apply(raw: bytes, edits: list[Edit]) -> bytes:
    """raw[start:stop] replaced for each edit; of two for the same place, the later one counts."""
    pieces = []
    position = 0
    for (start, stop), replacement in sorted({(start, stop): new for start, stop, new in edits}.items()):
        pieces += [raw[position:start], replacement]
        position = stop
    return b"".join([*pieces, raw[position:]])


def _text(data: bytes) -> tuple[bytes, bytes]:
    """The encoding of a text and its name. Line ends other than CRLF would not survive quoted-printable."""
    if not data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r"):
        return _base64(data)
    quoted = encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n"), b"quoted-printable"
    return min(quoted, _base64(data), key=lambda each: len(each[0]))


def _base64(data: bytes) -> tuple[bytes, bytes]:
    return encodebytes(data).rstrip(b"\n").replace(b"\n", b"\r\n"), b"base64"


def _exchanged(part: mime.Part, body: bytes, encoding: bytes, content_type: bytes = b"") -> list[Edit]:
    """The edits for another body, its encoding declared, and another type if one is named."""
    edits = [_other_body(part, body)]
    if content_type:
        edits += _replaced(part, "content-type", b"Content-Type: " + content_type + b"\r\n")
    if any(each.name == "content-transfer-encoding" for each in part.fields):
        return [*edits, *_labelled(part, encoding)]
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    if part.start == 0 and not any(each.name == "mime-version" for each in part.fields):
        field = b"MIME-Version: 1.0\r\n" + field
    return [*edits, (part.start, part.start, field)]


def _other_body(part: mime.Part, body: bytes) -> Edit:
    """The edit for another body. It may begin like a header field where what it replaces did not."""
    has_blank_line = part.body > (part.fields[-1].stop if part.fields else part.start)
    return (part.body, part.stop, body if has_blank_line else b"\r\n" + body)


def _labelled(part: mime.Part, encoding: bytes) -> list[Edit]:
    """The edits for another label where there is one; b"" for none."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n" if encoding else b""
    return _replaced(part, "content-transfer-encoding", field)


def _replaced(part: mime.Part, name: str, new: bytes) -> list[Edit]:
    """The edits that put one field in the place of those of a name."""
    present = [field for field in part.fields if field.name == name]
    return [(field.start, field.stop, new if field is present[0] else b"") for field in present]


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
