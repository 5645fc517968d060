"""A Content-Type or Content-Disposition made ASCII that says what it said: RFC 2045 5.1, RFC 2231.

What it says is what `mime.parameters` reads, as everywhere else. A stricter grammar would cut what programs write
without quotation marks, such as a file name with blanks or a boundary with an equals sign.
"""

import re
from urllib.parse import quote

from messaging.content import mime

MOST_QUOTES = 2 * mime.MOST_PARAMETERS  # of a field; looking for what they enclose takes time by the square
LONGEST_QUOTED = 900  # characters; a longer value is parted, for a line of 998
LONGEST_LINE = 76

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PLAIN = re.compile(r"[ !#-\[\]-~\t]*")  # what stands in quotation marks as it is
_NAME = re.compile(r"\w+", re.ASCII)  # what the standard library reads as RFC 2231 has it
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_PIECE = re.compile(r".{1,60}(?<!%)(?<!%.)(?!%[89AB])")  # of what is percent-encoded; no letter is in two
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+(?:[ \t]+[^\x00-\x7f]+)*")


def in_ascii(name: str, text: str) -> str:
    """The value `text` of field `name`, in short lines; in encoded words where it would not say the same otherwise."""
    if text.count('"') > MOST_QUOTES:
        return in_words(name, text)
    written = _written(text)
    is_fit = written.isascii() and not mime.has_long_line(written.encode())
    return written if is_fit and _said(written) == _said(text) else in_words(name, text)


def in_words(name: str, text: str) -> str:
    """As programs write it that do not know RFC 2231, and nearly all can read; all that is ASCII stays as it is."""
    if len(text) <= mime.MAX_PARAMETERS and text.count('"') <= MOST_QUOTES:
        text = _QUOTED.sub(_quoted_words, text)
    text = _NOT_ASCII.sub(lambda found: mime.encoded_words(found[0]), text)
    return mime.encoded_words(text, "us-ascii", field=name)


def _quoted_words(quoted: re.Match[str]) -> str:
    value = _ESCAPED.sub(r"\1", quoted[1])
    return quoted[0] if value.isascii() else f'"{mime.encoded_words(_meant(value))}"'


def _said(text: str) -> dict[str, str]:
    """What is read of it; of two parameters with one name, the first counts."""
    return {name: _meant(value) for name, value in _counting(text).items()}


def _counting(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in mime.parameters(text):
        found.setdefault(name, value)
    return found


def _meant(value: str) -> str:
    """A value that mixes octets with encoded words as the text that was meant."""
    words = mime.read_words(value)
    return _CONTROL.sub(" ", words.text) if "=?" in value and words.is_whole else value


def _written(text: str) -> str:
    # An encoded word can have a slash in it, and then the type would be none.
    value = _NOT_ASCII.sub(lambda found: quote(found[0], errors="replace"), text.partition(";")[0].rstrip())
    length = len(value)
    for each in (each for said in _counting(text).items() for each in _parameter(*said)):
        is_room = length + len(each) < LONGEST_LINE
        value += ("; " if is_room else ";\r\n ") + each
        length = (length if is_room else 0) + len(each) + 2
    return value


def _parameter(name: str, value: str) -> list[str]:
    """The parameter; a long one in pieces (RFC 2231 3)."""
    if _PLAIN.fullmatch(value) and len(value) <= LONGEST_QUOTED:
        return [f'{name}="{value}"']
    if not _NAME.fullmatch(name):
        return [f'{name}="{mime.encoded_words(_meant(value))}"']
    escaped = quote(value if value.isascii() else _meant(value), safe="", errors="replace")
    pieces = _PIECE.findall("utf-8''" + escaped)
    if len(pieces) == 1:
        return [f"{name}*={pieces[0]}"]
    return [f"{name}*{number}*={each}" for number, each in enumerate(pieces)]
