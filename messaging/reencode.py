"""Parts given another Content-Transfer-Encoding, everything around them left as it was."""

from base64 import encodebytes
from collections.abc import Callable
from quopri import encodestring

from messaging import mime

Edit = tuple[int, int, bytes]


def to_7bit(raw: bytes) -> bytes:
    """The message for a server without 8BITMIME (RFC 6152): its parts of 8 bits as quoted-printable or base64.

    The header stays as it is; the gate has made it ASCII already.
    """
    edits: list[Edit] = []
    for part in mime.walk(raw):
        if part.encoded.isascii():
            continue
        if part.is_leaf:
            edits += encoded(part, to_7bit)
        else:
            edits += [(field.start, field.stop, b"") for field in _declared(part)]
    return apply(raw, edits)


def encoded(part: mime.Part, attached: Callable[[bytes], bytes]) -> list[Edit]:
    """The edits that give a leaf part an encoding of short ASCII lines; `attached` does it for an attached message."""
    if part.content_type.startswith("message/"):
        # RFC 2046 5.2.1: an attached message may not be encoded, only its own parts.
        return [(part.body, part.stop, attached(part.encoded))]
    if part.content_type.startswith("multipart/"):
        return []  # RFC 2045 6.4: never encoded. Only one whose parts cannot be found gets here.
    data = b"".join(mime.decode([part.encoded], part.encoding))
    if part.content_type.startswith("text/") and part.encoding != "binary":
        encoding, body = b"quoted-printable", encodestring(data.replace(b"\r\n", b"\n"))
    else:
        encoding, body = b"base64", encodebytes(data).rstrip(b"\n")
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    edits = [(part.body, part.stop, body.replace(b"\n", b"\r\n"))]
    present = _declared(part)
    if present:
        return [*edits, *((each.start, each.stop, field) for each in present[:1])]
    if part.start == 0 and not any(each.name == "mime-version" for each in part.fields):
        field = b"MIME-Version: 1.0\r\n" + field
    has_blank_line = part.body > (part.fields[-1].stop if part.fields else part.start)
    return [*edits, (part.start, part.start, field if has_blank_line else field + b"\r\n")]


def apply(raw: bytes, edits: list[Edit]) -> bytes:
    """raw[start:stop] replaced for each edit; of two for the same place, the later one counts."""
    pieces = []
    position = 0
    for (start, stop), replacement in sorted({(start, stop): new for start, stop, new in edits}.items()):
        pieces += [raw[position:start], replacement]
        position = stop
    return b"".join([*pieces, raw[position:]])


def _declared(part: mime.Part) -> list[mime.Field]:
    return [field for field in part.fields if field.name == "content-transfer-encoding"]
