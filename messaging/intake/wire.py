"""Makes submitted bytes fit for the wire, and changes nothing that is fit already.

The rules, in the order they are applied:

- a byte order mark and a leading mbox "From " line go; UTF-16 becomes UTF-8. A header of more than 512 KB or
  1,000 fields is refused, and one with a NUL or a stray carriage return, because that is how header fields are
  smuggled in; so is a message with more than 2 MB of header fields that have to be encoded, those of its parts and of
  attached messages counted;
- what is signed or encrypted (signed_or_encrypted.py) is refused when its octets cannot be sent as they are, and else
  left alone by the rules that follow, but for its line ends;
- a text with octets of 8 bits that is UTF-8, and cannot be in the character set that it names, or names none, is
  labelled as UTF-8, unless the header has a DKIM signature;
- binary parts become base64, every line end CRLF (RFC 5321 2.3.8), and the message ends with one;
- a leaf part with a NUL or a line over 998 octets is encoded again: texts as quoted-printable or base64, others as
  base64;
- header fields with 8-bit octets are encoded (RFC 2047, RFC 2231, A-labels), over-long ones folded, also those of
  attached messages. The octets are UTF-8, else of the character set of the text where that has ASCII as it is, else
  windows-1252; after an escape, ISO-2022. Identifiers and links are percent-encoded. Only an address whose local part
  is not ASCII stays as UTF-8, and then the message needs SMTPUTF8. One field stays one, and what is written again has
  no control characters;
- Bcc, Resent-Bcc, Return-Path and X-Outtray-Category go. A field that RFC 5322 3.6 allows once is refused when given
  twice;
- From is added from the reverse-path when missing, Date and Message-ID when missing. A Message-ID that is none
  (message_ids.py) is replaced by a new one;
- a DKIM-Signature that does not fit any more after all this goes.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, make_msgid
from functools import partial
from itertools import chain
from typing import NamedTuple
from urllib.parse import quote

from django.utils import timezone

from messaging.content import assembly, charsets, dkim, mime, signed_or_encrypted, transfer_encoding

from . import addresses, message_ids, parameters, unicode_files
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
TEXTS = ("subject", "comments", "keywords", "content-description")
IDENTIFIERS = ("content-id", "content-location")
WITH_LINKS = ("references", "in-reply-to")  # in angle brackets, as the List- fields have them
MAX_HEADER = 512 * 1024
MAX_FIELDS = 1_000  # of it
MOST_ENCODED = 2 * 2**20  # octets of header fields, of all parts; each costs a microsecond, some cost two
MOST_ENCODED_PARAMETERS = 5_000  # of all parts; each is read and written

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT = re.compile(r"[\x01-\x08\x0a-\x1f\x7f]")  # a tab, which is a blank, or a NUL, which is refused
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_ANGLED = re.compile(r"<[^<>]*>")
_SHIFT = b"\x1b$"  # ISO-2022: text that is not ASCII in octets that are
_CHARSET = re.compile(rb"([;\s])charset\s*=\s*(?:\"[^\"]*\"|[^\s;\"]*)", re.IGNORECASE)
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
    fields, body = mime.head(raw)
    _check_header(raw[:body], len(fields))
    given = raw
    raw = _with_last_crlf(_fit_entity(_with_crlf(_without_binary(_labelled(raw)))))
    if b"\0" in raw or mime.has_long_line(raw):
        raise Refused(
            "The message has a line of more than 998 characters, or a NUL character, where it cannot be encoded: in a "
            "header field or outside its parts. Break the line or remove the character."
        )
    if raw is not given:
        fields, body = mime.head(raw)
    return _without_untrue(given, _with_own_fields(raw, fields, body, reverse_path, now))


def _without_untrue(given: bytes, fitted: Wire) -> Wire:
    """Without the DKIM signatures of `given` that do not fit what became of it."""
    if not fitted.fields.keys() & dkim.SIGNATURES:
        return fitted
    raw, domains = dkim.still_true(given, fitted.raw)
    if not domains:
        return fitted
    fields, body = mime.head(raw)
    return Wire(raw, body, {field.name: field.text for field in reversed(fields)}, domains)


def _check_header(header: bytes, number: int) -> None:
    if number > MAX_FIELDS:
        raise Refused(
            f"The header of the message has more than {MAX_FIELDS:,} fields. Remove those that are not needed."
        )
    if len(header) > MAX_HEADER:
        raise Refused(f"The header of the message is longer than {MAX_HEADER // 1024} KB. Name fewer people in it.")
    if _STRAY_CR.search(header) or b"\0" in header:
        raise Refused("The header of the message contains a stray carriage return or a NUL character. Remove it.")


def _with_crlf(raw: bytes) -> bytes:
    line_ends = raw.count(b"\n")
    if not line_ends == raw.count(b"\r\n") == raw.count(b"\r"):
        for part in signed_or_encrypted.opaque(raw):
            _check_sealed(part)
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return _with_last_crlf(raw)


def _with_last_crlf(raw: bytes) -> bytes:
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


# --- Parts ---------------------------------------------------------------------------------------


def _labelled(raw: bytes) -> bytes:
    """With the character set of texts that can only be UTF-8; without it their octets mean nothing (RFC 2045 5.2).

    A label that is only unlikely stays: the page of the message says so.
    """
    if raw.isascii() or any(field.name in dkim.SIGNATURES for field in mime.head(raw)[0]):
        return raw
    texts = (part for part in signed_or_encrypted.walk(raw) if part.is_leaf and assembly.is_body(part))
    return transfer_encoding.apply(raw, chain.from_iterable(map(_label, texts)))


def _label(part: mime.Part) -> list[transfer_encoding.Edit]:
    """The edits that label one of them, as of 8 bits too where it has no encoding."""
    present = [field for field in part.fields if field.name == "content-type"]
    is_known = part.content_type in assembly.BODY_TYPES and part.has_parameters and len(present) < 2
    if (
        not is_known
        or charsets.name(part.charset) == charsets.UTF8
        or part.encoding in transfer_encoding.ENCODED
        or part.encoded.isascii()
        or not charsets.is_utf8([part.data])  # at once, where reading what is damaged takes 1.6 seconds for a megabyte
    ):
        return []
    reading = part.read()
    is_utf8 = reading.is_whole and reading.charset == charsets.UTF8
    if not is_utf8 or not charsets.cannot_be(part.data, part.label):
        return []
    end = part.fields[-1].stop if part.fields else part.start
    edits: list[transfer_encoding.Edit] = []
    for field in present:
        labelled = _with_charset(part.raw[field.start : field.stop])
        if not labelled:
            return []
        edits.append((field.start, field.stop, labelled))
    names = {field.name for field in part.fields}
    added = b"MIME-Version: 1.0\r\n" if part.is_root and "mime-version" not in names else b""
    added += b"" if present else b"Content-Type: text/plain; charset=utf-8\r\n"
    added += b"" if "content-transfer-encoding" in names else b"Content-Transfer-Encoding: 8bit\r\n"
    return [*edits, (end, end, added if part.body > end else added + b"\r\n")]


def _with_charset(field: bytes) -> bytes:
    """A Content-Type that names UTF-8 and else says what it said; b"" where it cannot be read well enough for that."""
    given = field.rstrip(b"\r\n\t ;")
    line = _CHARSET.sub(rb"\1charset=utf-8", given, count=1) if _CHARSET.search(given) else given + b"; charset=utf-8"
    before, after = (mime.Part(each + b"\r\n\r\n", 0, len(each) + 4) for each in (given, line))
    others = [
        {name: value for name, value in mime.parameters(str(each.headers["content-type"])) if name != "charset"}
        for each in (before, after)
    ]
    is_same = others[0] == others[1] and before.content_type == after.content_type
    return line + b"\r\n" if is_same and after.charset == charsets.UTF8 else b""


def _without_binary(raw: bytes) -> bytes:
    """Binary parts as base64: the line end rule would break them, and they need BINARYMIME (RFC 3030) to be sent."""
    if b"binary" not in raw.lower() and b"\0" not in raw:
        return raw
    return transfer_encoding.apply(raw, _binary_parts(raw, 0, len(raw)))


def _binary_parts(raw: bytes, start: int, stop: int, depth: int = 0) -> list[transfer_encoding.Edit]:
    """The edits that encode them, in a message and in those attached to it."""
    _check_depth(depth)
    edits: list[transfer_encoding.Edit] = []
    for part in signed_or_encrypted.walk(raw, start, stop):
        if not part.is_leaf or signed_or_encrypted.is_opaque(part):
            continue
        if transfer_encoding.is_attached(part):
            within = _binary_parts(raw, part.body, part.stop, depth + 1)
            if within or part.encoding == "binary":
                edits += transfer_encoding.attached_edited(part, within)
        elif _is_binary(part):
            edits += transfer_encoding.encoded(part)
    return edits


def _check_depth(depth: int) -> None:
    if depth > mime.MAX_DEPTH:
        raise Refused("The message has messages attached within messages, nested too deep to read. Attach fewer.")


def _is_binary(part: mime.Part) -> bool:
    """Whatever it is labelled, only binary parts may have a NUL (RFC 2045 2.8); texts are corrected elsewhere."""
    if part.content_type.startswith("multipart/") or part.encoding in transfer_encoding.ENCODED:
        return False
    is_text = part.content_type.startswith(("text/", "message/"))
    return part.encoding == "binary" or (b"\0" in part.encoded and not is_text)


def _fit_entity(raw: bytes) -> bytes:
    """The message with its header fields and leaf parts encoded again where they must be."""
    if raw.isascii() and b"\0" not in raw and b"\x1b" not in raw and not mime.has_long_line(raw):
        return raw
    left = _Left(MOST_ENCODED, MOST_ENCODED_PARAMETERS, addresses.Effort())
    return transfer_encoding.apply(raw, _unfit(raw, 0, len(raw), left))


@dataclass
class _Left:
    """What may still be done for the header fields of a message and of those attached to it.

    `octets` that are encoded, beyond which the message is refused; `parameters` as RFC 2231 has them, beyond which they
    are encoded words; `effort` for mailboxes, beyond which their words are encoded one by one.
    """

    octets: int
    parameters: int
    effort: addresses.Effort


def _unfit(raw: bytes, start: int, stop: int, left: _Left, depth: int = 0) -> list[transfer_encoding.Edit]:
    """The edits that encode them, in a message and in those attached to it."""
    _check_depth(depth)
    edits: list[transfer_encoding.Edit] = []
    parts = list(mime.walk(raw, start, stop))
    charset = None
    for part in signed_or_encrypted.unsealed(parts):
        for field in part.fields:
            whole = raw[field.start : field.stop]
            if not whole.isascii() or _SHIFT in whole or mime.has_long_line(whole):
                left.octets -= len(whole)
                _check_encoded(left.octets)
                if charset is None:
                    charset = _charset_of_texts(parts)
                text = field.text_in(part.charset or charset)
                fitted = _fit_field(field.name, text, whole, left)
                if fitted != whole:
                    edits.append((field.start, field.stop, fitted))
        if signed_or_encrypted.is_opaque(part):
            _check_sealed(part)
        elif transfer_encoding.is_attached(part):
            within = _unfit(raw, part.body, part.stop, left, depth + 1)
            if within:
                edits += transfer_encoding.attached_edited(part, within)
        elif part.is_leaf and (b"\0" in part.encoded or mime.has_long_line(raw, part.body, part.stop)):
            edits += transfer_encoding.encoded(part)
    return edits


def _check_encoded(left: int) -> None:
    if left < 0:
        raise Refused(
            f"The headers of what is attached to the message have more than {MOST_ENCODED >> 20} MB that has to be "
            "encoded. Attach fewer messages."
        )


def _check_sealed(part: mime.Part) -> None:
    flaw = signed_or_encrypted.flaw(part)
    if flaw:
        raise Refused(
            f"The signed or encrypted part of the message has {signed_or_encrypted.FLAWS[flaw]}. It cannot be sent "
            "like this, and a change would break the signature. Encode it as quoted-printable or base64 before it is "
            "signed."
        )


def _charset_of_texts(parts: Sequence[mime.Part]) -> str:
    """What the first text of a message, or its header, is declared to be; else what its HTML says of itself."""
    labels = chain((part.charset for part in parts), (part.label for part in parts if part.content_type == "text/html"))
    return next(filter(None, labels), "")


# --- Header fields -------------------------------------------------------------------------------


def _fit_field(key: str, text: str, whole: bytes, left: _Left) -> bytes:
    """The field in ASCII lines of at most 998 octets; UTF-8 only where an address cannot be ASCII.

    Control characters become blanks: an escape of ISO-2022 that stayed would be read again another time.
    """
    name = whole.partition(b":")[0].decode("ascii").strip()
    text = _CONTROL_BUT.sub(" ", text)
    if key in ADDRESSES:
        value = addresses.header_value(text, left.effort)
    elif key in (*mime.WITH_PARAMETERS, "content-transfer-encoding"):
        value = _fit_parameters(name, text, left)
    elif key in (*IDENTIFIERS, *WITH_LINKS) or key.startswith("list-"):
        value = _fit_links(key, text)
    else:
        value = _fit_text(key, text)
    line_end = b"\r\n" if whole.endswith(b"\n") else b""
    return f"{name}: {value}".encode() + line_end


def _fit_links(key: str, text: str) -> str:
    """Identifiers and links percent-encoded: what is compared or clicked is no encoded word (RFC 2392, RFC 2369 2)."""
    whole = _in_percent if key in IDENTIFIERS else partial(_ANGLED.sub, lambda found: _in_percent(found[0]))
    value = _fit_text(key, whole(text))
    return _fit_text(key, text) if mime.has_long_line(value.encode()) else value


def _in_percent(text: str) -> str:
    return _NOT_ASCII.sub(lambda found: quote(found[0], errors="replace"), text)


def _fit_parameters(name: str, text: str, left: _Left) -> str:
    """Parameters encoded as RFC 2231 has it; as text if they cannot be read, or there are many.

    In ASCII they stay as they are written, in lines that are short enough where they have blanks.
    """
    if text.isascii():
        folded = mime.encoded_words(text, "us-ascii", field=name)
        if not mime.has_long_line(folded.encode()):
            return folded
    left.parameters -= text.count(";")
    value = parameters.in_words(name, text) if left.parameters < 0 else parameters.in_ascii(name, text)
    return _fit_text(name.lower(), text) if mime.has_long_line(value.encode()) else value


def _fit_text(name: str, text: str) -> str:
    """Encoded once: words that are encoded already are read first, unless there is one that no one can read."""
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


def _with_own_fields(raw: bytes, fields: Sequence[mime.Field], body: int, reverse_path: str, now: datetime) -> Wire:
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


def _refuse_duplicates(fields: Sequence[mime.Field]) -> None:
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
        raise Refused("The From header field has no address. Give it a From address.")


def _domain(from_text: str, reverse_path: str) -> str:
    found = addresses.mailboxes(from_text)
    address = addresses.envelope_address(found[0].address) if found else reverse_path
    return address.rpartition("@")[2]
