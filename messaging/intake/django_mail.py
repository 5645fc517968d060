"""Django's messages as bytes: plain ones are written here, all others by `message()` and the standard library.

Most mail of programs is a short text in ASCII, some with a report attached. To build that of objects that are flattened
at once takes ten times as long. What is written here is octet for octet what the library would write: what is not
certain to be is left to it.
"""

import base64
import random
import re
import sys
from collections.abc import Iterable, Mapping
from email.errors import MessageError
from email.generator import BytesGenerator
from email.message import Message as MimeMessage
from email.policy import Policy
from email.utils import formatdate, make_msgid
from io import BytesIO
from typing import Any

import django
from django.conf import settings
from django.core.mail import DNS_NAME, BadHeaderError, EmailMessage, EmailMultiAlternatives
from django.core.mail import message as djangos
from django.utils.safestring import SafeString

from messaging.content.mime import MAX_LINE, decoded_words, displayable

from . import addresses
from .addresses import Mailbox
from .wire import ADDRESSES, CATEGORY

_BODY = re.compile(r"[\n -~]*")
_VALUE = re.compile(r"[!-~](?: ?[!-~])*")
_KIND = re.compile(r"(?:application|audio|image|video)/[a-z0-9.+-]+")
_FILE_NAME = re.compile(r"\w[\w.-]*(?: [\w.-]+)*", re.ASCII)
_OWN = frozenset(("content-type", "mime-version", "content-transfer-encoding", "subject", CATEGORY, *ADDRESSES))
KINDS = (EmailMessage, EmailMultiAlternatives)
METHODS = ("message", "_create_message", "_create_attachments", "_create_attachment", "_create_mime_attachment")
TEXTS = (str, SafeString)  # what a template makes is a SafeString
# What those of Django's own constructors have; `encoding` and `content_subtype` are set by hand.
ATTRIBUTES = {*vars(EmailMultiAlternatives()), "encoding", "content_subtype"}
LONGEST_UNFOLDED = 74  # characters of a name and a value, for a line of 76

_LINE_END = re.compile(r"\r\n|\r|\n")
_NAME = re.compile(r"[!-9;-~]+")  # RFC 5322 2.2
_LOCAL_PART = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=(?=@)")
_ATOMS = re.compile(r'[^\s<>"(),:;@\\\[\]]+')
# The standard library, which writes the header, ends a line also where str.splitlines does.
_INJECTION = re.compile(r"\r(?!\n)|\n(?![ \t])|[\0\x0b\x0c\x1c-\x1e]")


def as_bytes(message: EmailMessage) -> tuple[bytes, str | None]:
    """The message, and the category that a header field of it names.

    Raises:
        BadHeaderError, and what `message()` raises.
    """
    plain = _plain(message)
    if plain is not None:
        return plain, None
    mime = message.message()
    return _flattened(mime), mime.get(CATEGORY)


# --- What is written here ------------------------------------------------------------------------------


def _plain(message: EmailMessage) -> bytes | None:
    """None where the library has to write it."""
    if django.VERSION >= (6,) or not _is_plain(message):  # from 6 on, another library writes another order of fields
        return None
    fields = _lines(_fields(message))
    text = _lines(_of_text(message))
    files = list(map(_file, message.attachments or ()))
    if fields is None or text is None or None in files:
        return None
    body = message.body.replace("\n", "\r\n").encode("ascii")
    if not files:
        return text + fields + b"\r\n" + body
    boundary = _boundary()
    if boundary in body or not body:  # an empty one is no part
        return None
    delimiter = b"\r\n--" + boundary
    kind = b'Content-Type: multipart/mixed; boundary="' + boundary + b'"\r\nMIME-Version: 1.0\r\n'
    pieces = [kind, fields, delimiter, b"\r\n", text, b"\r\n", body]
    for file in filter(None, files):
        pieces += [delimiter, b"\r\n", file]
    return b"".join([*pieces, delimiter, b"--\r\n"])


def _is_plain(message: EmailMessage) -> bool:
    """Whether nothing but the header fields and the files could keep it from being written here."""
    headers, encoding = message.extra_headers, message.encoding or settings.DEFAULT_CHARSET
    return (
        type(message) in KINDS
        and vars(message).keys() <= ATTRIBUTES
        and all(_is_djangos(getattr(kind, name, None)) for kind in KINDS for name in METHODS)
        and message.mixed_subtype == "mixed"  # type: ignore[attr-defined]
        and not getattr(message, "alternatives", None)
        and type(encoding) is str
        and encoding == "utf-8"
        and message.content_subtype in ("plain", "html")
        and type(headers) is dict
        and all(type(name) is str for name in headers)
        and type(message.body) in TEXTS
        and _BODY.fullmatch(str(message.body)) is not None
        and max(map(len, message.body.split("\n"))) <= MAX_LINE
        and _OWN.isdisjoint(map(str.lower, headers))
    )


def _is_djangos(method: Any) -> bool:
    """Whether no package has put another one in its place, which may have taken its name as well."""
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename == djangos.__file__


def _of_text(message: EmailMessage) -> list[tuple[str, Any]]:
    return [
        ("Content-Type", f'text/{message.content_subtype}; charset="utf-8"'),
        ("MIME-Version", "1.0"),
        ("Content-Transfer-Encoding", "7bit"),
    ]


def _fields(message: EmailMessage) -> list[tuple[str, Any]]:
    headers: Mapping[str, Any] = message.extra_headers
    fields = [("Subject", message.subject), ("From", message.from_email)]
    lists = (("To", message.to), ("Cc", message.cc), ("Reply-To", message.reply_to))
    fields += [(name, ", ".join(map(str, given))) for name, given in lists if given]
    names = set(map(str.lower, headers))
    if "date" not in names:
        fields.append(("Date", formatdate(localtime=settings.EMAIL_USE_LOCALTIME)))
    if "message-id" not in names:
        fields.append(("Message-ID", make_msgid(domain=DNS_NAME)))
    return [*fields, *headers.items()]


def _lines(fields: Iterable[tuple[str, Any]]) -> bytes | None:
    """Header fields, a line each; None where one would be folded, encoded, refused or changed."""
    lines = []
    for name, value in fields:
        if type(value) not in TEXTS or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            return None
        if "=?" in value or len(name) + len(value) > LONGEST_UNFOLDED:
            return None
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("ascii")


def _file(attachment: Any) -> bytes | None:
    """A part in base64; None for other than octets with a plain name and a type that has no form of its own."""
    name, octets, kind = attachment if isinstance(attachment, tuple) else (None, None, None)
    if type(octets) is not bytes or not _KIND.fullmatch(kind or "") or not _FILE_NAME.fullmatch(name or ""):
        return None
    disposition = f'attachment; filename="{name}"'
    header = _lines(
        [
            ("Content-Type", kind),
            ("MIME-Version", "1.0"),
            ("Content-Transfer-Encoding", "base64"),
            ("Content-Disposition", disposition),
        ]
    )
    return None if header is None else header + b"\r\n" + base64.encodebytes(octets).replace(b"\n", b"\r\n")


def _boundary() -> bytes:
    return b"=" * 15 + b"%019d" % random.randrange(sys.maxsize) + b"=="  # noqa: S311


# --- What the library writes ---------------------------------------------------------------------------


def _flattened(mime: MimeMessage) -> bytes:
    for part in mime.walk():
        for name, value in part.raw_items():
            if not _NAME.fullmatch(name) or _INJECTION.search(str(value)):
                shown = displayable(name, 80)
                raise BadHeaderError(f"The header field “{shown}” contains a line break. Remove it.")
    _restore_smtputf8(mime)
    octets = BytesIO()
    try:
        _Generator(octets, mangle_from_=False).flatten(mime, linesep="\r\n")
    except MessageError as error:
        raise BadHeaderError(f"A header field of the message is not valid: {error}") from error
    return octets.getvalue()


class _Generator(BytesGenerator):
    """The standard library's, which writes every line of a report by itself, and twice: here, all of them at once."""

    def _write_lines(self, lines: str) -> None:
        self.write(_LINE_END.sub("\r\n", lines) if "\r" in lines else lines.replace("\n", "\r\n"))


def _restore_smtputf8(mime: MimeMessage) -> None:
    """Django writes a local part that is not ASCII as an encoded word, which is no one's address (RFC 2047 5).

    What its header fields name stands, wherever they have it from.
    """
    written = [(name, value) for name, value in mime.raw_items() if name.lower() in ADDRESSES]
    for name, value in written:
        text = _LOCAL_PART.sub(_local_part, str(value))
        if mime.get_all(name) == [value] and any(not _has_ascii_local_part(each) for each in addresses.mailboxes(text)):
            # The generator writes surrogates as the octets they stand for; the gate does the encoding.
            mime.replace_header(name, _AsItIs(name, text.encode().decode("ascii", "surrogateescape")))


def _local_part(found: re.Match[str]) -> str:
    """An encoded local part as it was; everything else that looks like one stays as it is written."""
    text = decoded_words(found[0])
    return text if not text.isascii() and _ATOMS.fullmatch(text) else found[0]


class _AsItIs(str):
    """The value of a header field that the policies of Django 6 leave alone; they fold and encode what they parsed."""

    def __new__(cls, name: str, text: str) -> "_AsItIs":
        self = super().__new__(cls, text)
        self.name = name
        return self

    name: str

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def _has_ascii_local_part(mailbox: Mailbox) -> bool:
    return mailbox.address.rpartition("@")[0].isascii()
