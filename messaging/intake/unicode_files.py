"""Messages in files that an editor or a shell saved as Unicode text: with a byte order mark, as UTF-16 or UTF-32."""

import codecs
import re

from messaging.content import mime

from .errors import Refused

# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Without a mark: a message begins with the ASCII letters of a field name.
_UNMARKED = ((re.compile(rb"(?:[!-~]\0){4}"), "utf-16-le"), (re.compile(rb"(?:\0[!-~]){4}"), "utf-16-be"))
_DECLARED = re.compile(rb'(charset\s*=\s*"?)(?:utf-?(?:16|32)|ucs-?2)(?:[lb]e|-[lb]e)?\b', re.IGNORECASE)


def in_utf8(raw: bytes) -> bytes:
    """The message without a byte order mark, and in UTF-8 if it is UTF-16 or UTF-32. Raises Refused: it is neither."""
    if raw[:2].isascii() and b"\0" not in raw[:4]:
        return raw
    mark, encoding = next((each for each in _MARKS if raw.startswith(each[0])), (b"", ""))
    if not encoding:
        encoding = next((name for pattern, name in _UNMARKED if pattern.match(raw)), "")
    if encoding in ("", "utf-8"):
        return raw[len(mark) :]
    try:
        text = raw[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise Refused(f"The message begins like {encoding[:6].upper()}, but is not. Write it in UTF-8.") from None
    raw = text.encode()
    body = mime.head(raw)[1]
    return _DECLARED.sub(rb"\1utf-8", raw[:body]) + raw[body:]
