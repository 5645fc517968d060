"""Octets as text: labels by the WHATWG Encoding standard, and what to do when a label is missing or wrong.

webencodings has the table of labels. The codecs are Python's, brought to what the standard decodes where the two
differ; a few that mail has and browsers do not (UTF-7, HZ, DOS code pages) come on top. Every decoder is linear in
time, and nothing here raises, whatever the octets are.
"""

import codecs
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import webencodings

UTF8, WESTERN = "utf-8", "windows-1252"
NOT_LABELLED = frozenset(("", "ascii", "us-ascii", "us_ascii", "ansi_x3.4-1968"))
# What programs write that do not know (RFC 1428), or were not told.
_NOT_KNOWN = frozenset(("unknown-8bit", "x-unknown", "unknown", "x-user-defined", "8bit", "7bit", "default"))
_KEY = re.compile(r"[\w.:+()-]{1,60}")
_NUMBER = re.compile(r"(?:x-)?(?:win|windows|cp|ms|ibm)[-_]?(\d{3,5})")
# Python's codecs that are character sets; others write Python, or host names.
_CHARSETS = re.compile(r"(?:cp|iso|koi|mac|utf|euc|gb|big5|shift|tis)[\w-]*|hz|johab|kz1048|ptcp154")
_SHIFTED = re.compile(r"iso-?2022|hz|utf-?(?:7|16|32)")  # whose octets are not what ASCII says
_ISO_2022 = re.compile(r"iso-?2022")
# Of ASCII, what stands for another sign in one character set or another that is ASCII and more.
_NEARLY_ASCII = str.maketrans("¥₩‾٪", "\\\\~%")
_REPLACED = {"hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr", "csiso2022kr": "iso2022_kr"}  # by browsers, for safety
_MARKS = ((codecs.BOM_UTF8, UTF8), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
_SURROGATE = re.compile("[\ud800-\udfff]")
# What text is made of that is UTF-8 under another label: letters of Europe and the Near East, and three octets each.
_LIKELY = re.compile("[\xa0-\u017f\u0218-\u021b\u0300-\u052f\u05d0-\u05ea\u0620-\u06ff\u0900-\ud7ff\ue000-\U0010ffff]*")
_SURELY = re.compile("[\xa0-\xff\u0900-\ud7ff\ue000-\U0010ffff]*")
_LONG = 200_000  # octets: beyond that, what is broken all over is decoded by Python alone, which is faster
_ENOUGH = 3  # such characters, and no others: text of another character set is no UTF-8 by chance
_FOR_WESTERN = (WESTERN, "iso-8859-15", "windows-1254")  # in which no two letters look like one of those
# Octets without a sign in windows-1252, and the ÿ that hardly a text has.
_NOT_WESTERN = re.compile(rb"[\x81\x8d\x8f\x90\x9d\xff]")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
# Where a line ends by RFC 5322, and for Python (str.splitlines).
_LINE_ENDS = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# A fold in the middle of a character, its blank included: before what is no first octet in UTF-8; behind one of 8 bits;
# between the escapes of ISO-2022.
_SPLITS = tuple(map(re.compile, (rb"\r?\n[ \t](?=[\x80-\xbf])", rb"(?<=[\x80-\xff])\r?\n[ \t]", rb"\r?\n[ \t]")))


class Reading(NamedTuple):
    """`charset` is what the octets were read as. Where not `is_whole`, the text is no more than a guess in places.

    Where not `is_as_named`, who goes by the label alone reads another text.
    """

    text: str
    charset: str
    is_whole: bool
    is_as_named: bool = True


def read(data: bytes, label: str = "") -> Reading:
    """Text whose label may be missing, unknown or wrong.

    A byte order mark goes first. Then the label counts, unless the text is UTF-8 all the same, which another one is not
    by chance. Without a label it is UTF-8, else windows-1252. That is also the guess when the label cannot be right.
    """
    reading = _read(data, label)
    named = _named(label)
    is_marked = named.startswith("utf-16") and reading.charset.startswith("utf-16")
    return reading._replace(is_as_named=data.isascii() or is_marked or reading.charset == named)


def _read(data: bytes, label: str) -> Reading:
    for mark, charset in _MARKS:
        if data.startswith(mark):
            return _as_marked(data.removeprefix(mark), charset)
    key = _key(label)
    charset = _named(label)
    if data.isascii() and not (_SHIFTED.match(charset) and _may_be(data, charset)):
        return Reading(data.decode("ascii"), UTF8, True)
    text = _strictly(data, charset) if charset else None
    as_utf8 = None if data.isascii() else _strictly(data, UTF8)  # broken escapes are no UTF-8
    if as_utf8 is not None and (text is None or charset == UTF8 or _is_mislabelled(as_utf8, charset)):
        return Reading(as_utf8, UTF8, True)
    if text is not None:
        return Reading(text, charset, True)
    return _guess(data, charset, is_labelled=key not in NOT_LABELLED)


def read_header(value: bytes, label: str = "") -> str:
    """The octets of a header field, unfolded: UTF-8, else by `label` (of the text below it), else windows-1252.

    The escapes of ISO-2022 go before all. A fold in the middle of a character goes with its blank.

    It is one line, whatever the octets are, with a blank where another would begin. So what divides a header stays what
    it is, no octets are read in a character set in which those of ASCII mean something else, such as UTF-7, UTF-16 or
    EBCDIC: no standard has them there.
    """
    is_shifted = b"\x1b$" in value
    if not is_shifted and value.isascii():
        return unfolded(value).decode("ascii")
    declared = _named(label)
    if is_shifted:
        tried = [declared if _ISO_2022.match(declared) else "iso-2022-jp"]
    else:
        tried = [UTF8, declared] if _is_ascii_and_more(declared) else [UTF8]
    for charset in tried:
        for form in (value, *(split.sub(b"", value) for split in _SPLITS)):
            text = _strictly(unfolded(form), charset)
            if text is not None:
                return one_line(text)
    return one_line(_loosely(unfolded(value), WESTERN))


def one_line(text: str) -> str:
    """With a blank for each character that would end a line."""
    return text if text.isprintable() else _LINE_ENDS.sub(" ", text)


@lru_cache(maxsize=1000)
def _is_ascii_and_more(charset: str) -> bool:
    """Whether the octets of ASCII mean in a character set what they mean in ASCII."""
    octets = bytes(range(128))
    text = _strictly(octets, charset) if charset else None
    return text is not None and text.translate(_NEARLY_ASCII) == octets.decode("ascii")


def unfolded(value: bytes) -> bytes:
    """A header field's value without the line breaks before blanks (RFC 5322 2.2.3)."""
    return _FOLD.sub(b"", value) if b"\n " in value or b"\n\t" in value else value


def name(label: str) -> str:
    """The name of the character set that a label means: gbk for gb2312; "" where it means none that can be read."""
    return _name(_key(label))


def _named(label: str) -> str:
    """The same; "" also for ASCII, in which no octets of 8 bits are."""
    return "" if _key(label) in NOT_LABELLED else name(label)


def cannot_be(data: bytes, label: str) -> bool:
    """Whether octets of 8 bits are not of the character set that a label means, or it means none."""
    charset = _named(label)
    return not charset or _strictly(data, charset) is None


def is_utf8(octets: Iterable[bytes]) -> bool:
    """Whether pieces are UTF-8, all together."""
    decoder = codecs.getincrementaldecoder(UTF8)()
    try:
        for piece in octets:
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def chosen(label: str, other: str) -> str:
    """The label, or the other one where it says nothing."""
    return label if not other or (name(label) and _key(label) not in NOT_LABELLED) else other


def is_for_browsers(charset: str) -> bool:
    """Whether a browser knows a character set by this name."""
    found = webencodings.lookup(charset)
    return found is not None and found.name != "replacement"


def _key(label: str) -> str:
    """Without quotes, blanks, the language of RFC 2231 5, and what was written behind it by mistake."""
    found = _KEY.match(label.strip(" \t\r\n\"'").lower())
    return found[0] if found else ""


@lru_cache(maxsize=1000)
def _name(key: str) -> str:
    if not key or key in _NOT_KNOWN:
        return ""
    if key in _REPLACED:
        return _REPLACED[key]
    number = _NUMBER.fullmatch(key)
    for candidate in (key, *((f"windows-{number[1]}", f"cp{number[1]}") if number else ())):
        found = webencodings.lookup(candidate)
        if found is not None:
            return "" if found.name == "replacement" else str(found.name)
        try:
            codec = codecs.lookup(candidate)
        except (LookupError, ValueError):
            continue
        if _CHARSETS.fullmatch(codec.name):
            found = webencodings.lookup(codec.name)
            return str(found.name) if found is not None else codec.name
    return ""


def _may_be(data: bytes, charset: str) -> bool:
    """Whether octets of ASCII are more than that; in UTF-16 a line break has a NUL."""
    return not charset.startswith(("utf-16", "utf-32")) or b"\0" in data or b"\r\n" not in data


def _is_mislabelled(as_utf8: str, charset: str) -> bool:
    signs = "".join(sign for sign in as_utf8 if sign > "\x7f")
    if charset in _FOR_WESTERN and _SURELY.fullmatch(signs):
        return True
    return len(signs) >= _ENOUGH and _LIKELY.fullmatch(signs) is not None


def _as_marked(data: bytes, charset: str) -> Reading:
    text = _strictly(data, charset)
    return Reading(_loosely(data, charset), charset, False) if text is None else Reading(text, charset, True)


def _guess(data: bytes, charset: str, *, is_labelled: bool) -> Reading:
    """What is neither UTF-8 nor what it says it is."""
    if charset:
        text = _loosely(data, charset)
        if data.isascii() or any(sign > "\x7f" and sign != "\ufffd" for sign in text):  # right in places
            return Reading(text, charset, False)
    is_western = not _NOT_WESTERN.search(data)
    if is_western or not is_labelled:
        return Reading(_loosely(data, WESTERN), WESTERN, is_western and not is_labelled)
    return Reading(_loosely(data, UTF8), UTF8, False)


# --- Python's codecs, and where the standard decodes more, or otherwise ----------------------------------

_CODECS = {
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "iso-2022-jp": "iso2022_jp_ext",
    "windows-874": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
}
_JAPANESE = str.maketrans("〜‖−¢£¬", "～∥－￠￡￢")
# GB 18030 of 2022: signs that Python still has in the private use area.
_CHINESE = str.maketrans(  # GB 18030 of 2022: what Python still has in the private use area
    "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7"
    "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
    "\u3000︐︒︑︓︔︕︖︗︘︙ḿ龴龵龶龷龸龹龺龻",
)
_OTHERS: dict[str, dict[int, int]] = {
    "koi8-u": str.maketrans("╝╬", "ўЎ"),
    "euc-jp": _JAPANESE,
    "iso-2022-jp": _JAPANESE,
    "gbk": _CHINESE,
    "gb18030": _CHINESE,
    "big5": str.maketrans("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡"),
}


def _strictly(data: bytes, charset: str) -> str | None:
    """None where an octet means nothing in it."""
    return _decoded(data, charset, "outtray.more")


def _loosely(data: bytes, charset: str) -> str:
    """With U+FFFD there."""
    return _decoded(data, charset, "outtray.all" if len(data) <= _LONG else "replace") or ""


def _decoded(data: bytes, charset: str, errors: str) -> str | None:
    try:
        text = codecs.decode(data, _CODECS.get(charset, charset), errors)
    except ValueError:
        return None
    if _SURROGATE.search(text):  # as UTF-7 can have them
        return None if errors == "outtray.more" else _SURROGATE.sub("\ufffd", text)
    return text.translate(_OTHERS[charset]) if charset in _OTHERS else text


def _more(error: UnicodeError) -> tuple[str, int]:
    """What the standard decodes and Python's codec does not. Raises the error where that is nothing."""
    assert isinstance(error, UnicodeDecodeError)
    found = _sign(error.encoding, error.object[error.start : error.start + 2])
    if found is None:
        raise error
    return found[0], error.start + found[1]


def _all(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    found = _sign(error.encoding, error.object[error.start : error.start + 2])
    return (found[0], error.start + found[1]) if found else ("\ufffd", max(error.end, error.start + 1))


def _sign(codec: str, octets: bytes) -> tuple[str, int] | None:
    """The next character, and of how many octets it is."""
    if codec == "charmap":  # of windows-125x: its gaps are control characters
        return (chr(octets[0]), 1) if octets[0] < 0xA0 else None
    if codec == "gb18030":
        return ("€", 1) if octets[0] == 0x80 else None
    if codec == "big5hkscs":
        text = octets.decode("cp950", "ignore") if len(octets) == 2 and octets[0] > 0x80 else ""
    elif codec in ("euc_jp", "iso2022_jp_ext") and len(octets) == 2 and octets[0] >> 7 == octets[1] >> 7:
        text = _shift_jis(octets[0] & 0x7F, octets[1] & 0x7F).decode("cp932", "ignore")
    else:
        text = ""
    return (text, 2) if len(text) == 1 and text > "\x7f" else None


def _shift_jis(row: int, cell: int) -> bytes:
    """A character of JIS X 0208, with the rows of NEC and IBM, in Shift_JIS; b"" for none."""
    if not (0x21 <= row <= 0x7E and 0x21 <= cell <= 0x7E):
        return b""
    first = (row - 0x21) // 2 + 0x81
    second = cell + (0x1F if cell < 0x60 else 0x20) if row % 2 else cell + 0x7E
    return bytes([first if first < 0xA0 else first + 0x40, second])


codecs.register_error("outtray.more", _more)
codecs.register_error("outtray.all", _all)
