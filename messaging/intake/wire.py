"""Makes submitted bytes fit for the wire, and changes nothing that is fit already.

The rules, in the order they are applied:

- a byte order mark and a leading mbox "From " line go; UTF-16 becomes UTF-8. A header of more than 512 KB is refused,
  and one with a NUL or a stray carriage return, because that is how header fields are smuggled in;
- what is signed or encrypted (sealed.py) is refused when its octets cannot be sent as they are, and else left alone by
  the rules that follow, but for its line ends;
- binary parts become base64, every line end CRLF (RFC 5321 2.3.8), and the message ends with one;
- a leaf part with a NUL or a line over 998 octets is encoded again: texts as quoted-printable or base64, others as
  base64;
- header fields with 8-bit octets are encoded (RFC 2047, RFC 2231, A-labels), over-long ones folded, also those of
  attached messages. The octets are UTF-8, else of the character set of the text, else windows-1252. Only an address
  whose local part is not ASCII stays as UTF-8, and then the message needs SMTPUTF8;
- Bcc, Resent-Bcc, Return-Path and X-Outtray-Category go. A field that RFC 5322 3.6 allows once is refused when given
  twice;
- From is added from the reverse-path when missing, Date and Message-ID when missing. A Message-ID that is none
  (message_ids.py) is replaced by a new one;
- a DKIM-Signature that does not fit any more after all this goes.
"""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from email import policy
from email.utils import format_datetime, make_msgid
from itertools import chain
from typing import NamedTuple

from django.utils import timezone

from messaging import dkim, mime, reencode, sealed
from messaging.octets import Octets

from . import addresses, message_ids, unicode_files
from .errors import BadAddress, Refused

SINGLE = frozenset(
    (
        "date",
        "from",
        "sender",
        "reply-to",
        "to",
        "cc",
        "message-id",
        "in-reply-to",
        "references",
        "subject",
        "mime-version",
        "content-type",
        "content-transfer-encoding",
    )
)
CATEGORY = "x-outtray-category"  # by which a program names what kind of mail it is
REMOVED = frozenset(("bcc", "resent-bcc", "return-path", CATEGORY))
ADDRESSES = frozenset(
    f"{prefix}{name}" for prefix in ("", "resent-") for name in ("from", "sender", "reply-to", "to", "cc", "bcc")
)
PARAMETERS = ("content-type", "content-disposition")
TEXTS = ("subject", "comments", "keywords", "content-description")
MAX_HEADER = 512 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SHIFT = b"\x1b$"  # ISO-2022: text that is not ASCII in octets that are
_STRAY_CR = re.compile(rb"\r(?!\n)")


class Wire(NamedTuple):
    """What is sent: the bytes, where its body begins, and its header fields (name in lower case -> unfolded text).

    `unsigned` are the domains whose DKIM signatures had to go.
    """

    raw: bytes
    body: int
    fields: dict[str, str]
    unsigned: tuple[str, ...] = ()


def fit(raw: bytes, reverse_path: str, now: datetime) -> Wire:
    """`raw` by the rules above. Raises Refused."""
    raw = unicode_files.in_utf8(raw)
    if raw.startswith((b"From ", b">From ")):
        raw = raw.partition(b"\n")[2]
    if not raw.strip():
        raise Refused("The message is empty. Give it at least a header or some text.")
    _check_header(raw[: mime.head(raw)[1]])
    given = raw
    try:
        raw = _with_last_crlf(_fit_entity(_with_crlf(_without_binary(raw))))
    except RecursionError:
        raise Refused("The message has messages attached within messages, too deep to read. Attach fewer.") from None
    if b"\0" in raw or mime.has_long_line(raw):
        raise Refused(
            "The message has a line of more than 998 characters, or a NUL character, where it cannot be encoded: in a "
            "header field or outside its parts. Break the line or remove the character."
        )
    return _without_untrue(given, _with_own_fields(raw, reverse_path, now))


def _without_untrue(given: bytes, fitted: Wire) -> Wire:
    """Without the DKIM signatures of `given` that do not fit what became of it."""
    if not fitted.fields.keys() & dkim.SIGNATURES:
        return fitted
    raw, domains = dkim.still_true(given, fitted.raw)
    if not domains:
        return fitted
    fields, body = mime.head(raw)
    return Wire(raw, body, {field.name: field.text for field in reversed(fields)}, domains)


def _check_header(header: bytes) -> None:
    if len(header) > MAX_HEADER:
        raise Refused(f"The header of the message is longer than {MAX_HEADER // 1024} KB. Name fewer people in it.")
    if _STRAY_CR.search(header) or b"\0" in header:
        raise Refused("The header of the message contains a stray carriage return or a NUL character. Remove it.")


def _with_crlf(raw: bytes) -> bytes:
    line_ends = raw.count(b"\n")
    if not line_ends == raw.count(b"\r\n") == raw.count(b"\r"):
        for part in sealed.opaque(raw):
            _check_sealed(part)
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return _with_last_crlf(raw)


def _with_last_crlf(raw: bytes) -> bytes:
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


# --- Parts ---------------------------------------------------------------------------------------


def _without_binary(raw: bytes) -> bytes:
    """Binary parts as base64: the line end rule would break them, and they need BINARYMIME (RFC 3030) to be sent."""
    if b"binary" not in raw.lower() and b"\0" not in raw:
        return raw
    edits: list[reencode.Edit] = []
    for part in sealed.walk(raw):
        if not part.is_leaf or sealed.is_opaque(part):
            continue
        if reencode.is_attached(part):
            inner = _without_binary(part.encoded)
            if inner != part.encoded or part.encoding == "binary":
                edits += reencode.attached(part, Octets.of(inner), is_ascii=inner.isascii())
        elif _is_binary(part):
            edits += reencode.encoded(part)
    return reencode.apply(raw, edits)


def _is_binary(part: mime.Part) -> bool:
    """Whatever it is labelled, only binary parts may have a NUL (RFC 2045 2.8); texts with one are mended elsewhere."""
    if part.content_type.startswith("multipart/") or part.encoding in reencode.ENCODED:
        return False
    is_text = part.content_type.startswith(("text/", "message/"))
    return part.encoding == "binary" or (b"\0" in part.encoded and not is_text)


def _fit_entity(raw: bytes) -> bytes:
    """A message, or one attached to it, with its header fields and leaf parts encoded again where they must be."""
    if raw.isascii() and b"\0" not in raw and _SHIFT not in raw and not mime.has_long_line(raw):
        return raw
    edits: list[reencode.Edit] = []
    parts = list(mime.walk(raw))
    charset = None
    for part in sealed.unsealed(parts):
        for field in part.fields:
            whole = raw[field.start : field.stop]
            if not whole.isascii() or _SHIFT in whole or mime.has_long_line(whole):
                if charset is None:
                    charset = _charset_of_texts(parts)
                text = field.text_in(part.charset or charset)
                edits.append((field.start, field.stop, _fit_field(field.name, text, whole)))
        if sealed.is_opaque(part):
            _check_sealed(part)
        elif reencode.is_attached(part):
            inner = _fit_entity(part.encoded)
            if inner != part.encoded:
                edits += reencode.attached(part, Octets.of(inner), is_ascii=inner.isascii())
        elif part.is_leaf and (b"\0" in part.encoded or mime.has_long_line(raw, part.body, part.stop)):
            edits += reencode.encoded(part)
    return reencode.apply(raw, edits)


def _check_sealed(part: mime.Part) -> None:
    flaw = sealed.flaw(part)
    if flaw:
        raise Refused(
            f"What is signed or encrypted in the message has {sealed.FLAWS[flaw]}. It cannot be sent like this, and a "
            "change would break the signature. Encode it as quoted-printable or base64 before it is signed."
        )


def _charset_of_texts(parts: Sequence[mime.Part]) -> str:
    """What the first text of a message, or its header, is declared to be; else what its HTML says of itself."""
    labels = chain((part.charset for part in parts), (part.label for part in parts if part.content_type == "text/html"))
    return next(filter(None, labels), "")


# --- Header fields -------------------------------------------------------------------------------


def _fit_field(key: str, text: str, whole: bytes) -> bytes:
    """The field in ASCII lines of at most 998 octets; UTF-8 only where an address cannot be ASCII."""
    name = whole.partition(b":")[0].decode("ascii").strip()
    if key in ADDRESSES:
        value = addresses.header_value(text)
    elif key in PARAMETERS:
        value = _fit_parameters(name, text)
    else:
        value = _fit_text(key, text)
    line_end = b"\r\n" if whole.endswith(b"\n") else b""
    return f"{name}: {value}".encode() + line_end


def _fit_parameters(name: str, text: str) -> str:
    """Parameters encoded as RFC 2231 has it; as text if the standard library cannot make them out."""
    if len(text) > mime.MAX_PARAMETERS:
        return _fit_text(name.lower(), text)
    try:
        value = policy.SMTP.header_factory(name, _plain(text)).fold(policy=policy.SMTP).partition(":")[2].strip()
    except (ValueError, LookupError, AttributeError, TypeError):
        value = ""
    # Percent-encoded line breaks in a parameter come out of it as line breaks.
    is_safe = value.isascii() and not _CONTROL.search(value.replace("\r\n ", ""))
    return value if value and is_safe else _fit_text(name.lower(), text)


def _plain(text: str) -> str:
    """A file name that mixes octets with encoded words as the text that was meant."""
    if "=?" not in text:
        return text
    return _QUOTED.sub(lambda found: _quoted(mime.decoded_words(found[1])), text)


def _quoted(text: str) -> str:
    return '"' + _CONTROL.sub(" ", text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fit_text(name: str, text: str) -> str:
    """Encoded once: words that are encoded already are read first, unless there is one that nobody can read."""
    read = mime.read_words(text)
    if not read.is_whole:
        return mime.encoded_words(mime.encoded_runs(text), "us-ascii", field=name)
    is_text = name in TEXTS or name.startswith("x-")
    if text.isascii():
        folded = mime.encoded_words(text, "us-ascii", field=name)
        if not is_text or not mime.has_long_line(folded.encode()):
            return folded
    meant = _CONTROL.sub(" ", read.text)  # an encoded word can hold a line break
    if is_text:
        return mime.encoded_words(meant, field=name)
    return mime.encoded_words(mime.encoded_runs(meant), "us-ascii", field=name)


def _with_own_fields(raw: bytes, reverse_path: str, now: datetime) -> Wire:
    fields, body = mime.head(raw)
    _refuse_duplicates(fields)
    texts = {field.name: field.text for field in reversed(fields)}
    added = {}
    if not texts.get("from"):
        added["From"] = _from(reverse_path)
    else:
        _require_sender(texts["from"])
    if not texts.get("date"):
        added["Date"] = format_datetime(timezone.localtime(now))
    if not message_ids.read(texts.get("message-id", "")):
        added["Message-ID"] = make_msgid(domain=_domain(added.get("From") or texts["from"], reverse_path))
    replaced = REMOVED | {name.lower() for name in added}
    kept = [field for field in fields if field.name not in replaced]
    header = b"".join(raw[field.start : field.stop] for field in kept)
    header += "".join(f"{name}: {value}\r\n" for name, value in added.items()).encode()
    texts = {name: text for name, text in texts.items() if name not in replaced}
    texts |= {name.lower(): value for name, value in added.items()}
    return Wire(header + b"\r\n" + raw[body:], len(header) + 2, texts)


def _refuse_duplicates(fields: list[mime.Field]) -> None:
    for name, count in Counter(field.name for field in fields).items():
        if count > 1 and name in SINGLE:
            raise Refused(
                f"The message has {count} {name.title()} header fields, where only one is allowed. Remove all but one."
            )


def _from(reverse_path: str) -> str:
    if not reverse_path:
        raise Refused("The message does not say who it is from. Give it a From address.")
    return reverse_path


def _require_sender(text: str) -> None:
    try:
        found = addresses.envelope_mailboxes(text)
        for mailbox in found:
            addresses.envelope_address(mailbox.address)
    except BadAddress as error:
        raise Refused(f"The message does not say properly who it is from. {error}") from error
    if not found:
        raise Refused("The From header field names nobody. Give it a From address.")


def _domain(from_text: str, reverse_path: str) -> str:
    found = addresses.mailboxes(from_text)
    address = addresses.envelope_address(found[0].address) if found else reverse_path
    return address.rpartition("@")[2]
