"""What a server's reply repeats: what it was told (addresses, names, a subject) and what another server told it.

Those are no one's verdict. Strangers choose such words: "too many messages"@example.com is an address, and where a
server asks the recipient's first, that one's refusal is in the reply. All here takes time linear in the text.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress

from messaging.content import mime
from messaging.content.normal_forms import normalize

ADDRESS = "(address)"
SOMETHING = "( )"
ENOUGH = 12  # characters of a name by which it is known where the rest was cut off
SHORTEST = 3  # characters of a name that is looked for alone; of an address there is more

_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "´": "'", "`": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\xa0": " "}
)
_LATIN_1 = re.compile(r"\\x([89a-f][0-9a-f])")  # as dialogue.py keeps an octet that is no UTF-8
_MARKUP = re.compile(r"</?(?:a|b|br|i|p|font|span|strong)(?:[\s/][^<>]{0,300})?>", re.IGNORECASE)
# What servers add to a name and take away from it: blanks, and what quotes a character (RFC 5321 4.1.2).
_LOOSE = frozenset(" \t\r\n\"\\+'")
_AROUND = "\"\\'"
_WITHOUT_LOOSE = str.maketrans(dict.fromkeys(_LOOSE, ""))
_DOMAIN = re.compile(r"(?:\[[^\[\]\s]*\])?[^\s<>()\[\]:;,\"]*")
_QUOTED_ADDRESS = re.compile(rf'(?<!\\)"(?:[^"\\]|\\.)*+"@(?=[^\s<>]){_DOMAIN.pattern}', re.DOTALL)
_ADDRESS_IN_BRACKETS = re.compile(r"<[^<>@]*@[^<>]*>")
_ADDRESS = re.compile(
    rf"(?<![^\s<>()\[\]:;,])(?:[^\s<>()\[\]:;,@\\]|\\.)++@(?=[^\s<>()\]:;,]){_DOMAIN.pattern}", re.DOTALL
)
# A quotation that was cut off reaches to the end. A "'" within a word ends none.
_QUOTATION = re.compile(
    r"(?<!\\)\"(?:[^\"\\]|\\.)*+(?:\"|\Z)|(?<!\w)'(?:[^']|(?<=\w)'(?=\w))*+'|<[^<>]*(?:>|\Z)", re.DOTALL
)
_ALL_QUOTED = re.compile(r"([\d.#\s]*)([\"'])([^\"']*)\2\W*")  # quotes no one
_PAGE = re.compile(r"\b(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
# A name beside its address, or one that was looked up: Postfix, Exim. A part may be a sign already.
_HOST = re.compile(
    r"(?<![\w.)-])(?![\d.]+ ?\[)(?:[\w-]|\( \))*+\.(?:[\w.-]|\( \))*+(?= ?\[[\da-f.:])|(?<=\bname=)(?:\( \)|\S)+",
    re.IGNORECASE,
)
# From where another server speaks: it is said so, or a reply code comes within the text. A limit of 500 is none.
_ANOTHER_SPEAKS = re.compile(
    r"\b(?:said|responded|replied|answered|response|callout)\b[^:]{0,100}:.*|[:>]\s*+[45](?!00)[0-5]\d[\s-].*",
    re.IGNORECASE | re.DOTALL,
)
_PLAIN_WORD = re.compile(r'"?\w+"?')


def plain(words: str) -> str:
    """Words as patterns.py has them: straight quotes, letters without accents, full-width forms as usual ones."""
    words = _LATIN_1.sub(lambda octet: chr(int(octet[1], 16)), words).translate(_QUOTES)
    if words.isascii():
        return words
    letters = normalize("NFKD", words)
    return normalize("NFC", "".join(letter for letter in letters if not "\u0300" <= letter <= "\u036f"))


def without_addresses(text: str, known: Collection[str]) -> str:
    """A reply, plain, with ADDRESS for each address: those that the server was `told`, and what looks like one."""
    return _without_other_addresses(_without(plain(text), _addresses(known)))


def without_quotations(text: str, known: Collection[str], *, of_content: bool) -> str:
    """A reply, plain, without what may be someone else's words: addresses, what the server was told, what is quoted,
    pages that are named in a reply to the content.

    A plain word stays: it may as well be the server's own.
    """
    names = [name for name in _names(known) if not _PLAIN_WORD.fullmatch(name)]
    text = _without_other_addresses(_without(plain(text), [*_addresses(known), *names]))
    if all_quoted := _ALL_QUOTED.fullmatch(text):
        text = all_quoted[1] + all_quoted[3]
    text = _QUOTATION.sub(SOMETHING, text)
    return _PAGE.sub(SOMETHING, text) if of_content else text


def without_other_servers(text: str) -> str:
    """A plain reply without what another server said, to the end, and without the names of others."""
    return _HOST.sub(SOMETHING, _ANOTHER_SPEAKS.sub(SOMETHING, text))


def without_plain_words(text: str, known: Collection[str]) -> str:
    """A plain reply without the plain words that the server was told."""
    return _without(text, plain_words(text, known))


def plain_words(text: str, known: Collection[str]) -> list[str]:
    """The plain words that the server was told and that are in a plain reply."""
    lower = _lower(text)
    return [name for name in _names(known) if _PLAIN_WORD.fullmatch(name) and _squeezed(name) in lower]


def _without_other_addresses(text: str) -> str:
    if "@" in text:
        text = _QUOTED_ADDRESS.sub(ADDRESS, text)
    if "<" in text:
        text = _ADDRESS_IN_BRACKETS.sub(f"<{ADDRESS}>", _MARKUP.sub(" ", text))
    return _ADDRESS.sub(ADDRESS, text) if "@" in text else text


def _addresses(known: Collection[str]) -> Iterator[str]:
    """Of each address what is before its domain, which a server may write in another way."""
    return (each.rpartition("@")[0] + "@" for each in known if "@" in each)


def _names(known: Collection[str]) -> Iterator[str]:
    """What is told, and of an address each part: a server may name it without the other."""
    for each in known:
        yield each
        local, _, domain = each.rpartition("@")
        if local:
            yield local
            yield domain
            if "xn--" in domain:
                with suppress(UnicodeError):
                    yield domain.encode("ascii").decode("idna")


def _squeezed(text: str) -> str:
    """Text by which it is known in whatever form: without quotes, escapes and blanks, in lower case."""
    return _lower(plain(mime.undeceptive(text))).translate(_WITHOUT_LOOSE)


def _lower(text: str) -> str:
    """In lower case, each character where it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(char.lower()[0] for char in text)


def _without(text: str, names: Iterable[str]) -> str:
    """Plain text with a sign for each of the names, in whatever form."""
    lower = _lower(text)
    squeezed = lower.translate(_WITHOUT_LOOSE)
    wanted = {_squeezed(name) for name in names}
    wanted = {name for name in wanted if name[:ENOUGH] in squeezed and (len(name) >= SHORTEST or name.endswith("@"))}
    if not wanted:
        return text
    places = [place for place, char in enumerate(lower) if char not in _LOOSE]
    spans = [span for name in wanted for span in _spans(text, squeezed, places, name)]
    pieces, done = [], 0
    for start, stop, sign in sorted(spans, key=lambda span: (span[0], -span[1], span[2] != ADDRESS)):
        if start >= done:
            pieces += [text[done:start], sign]
        done = max(done, stop)
    return "".join([*pieces, text[done:]])


def _spans(text: str, squeezed: str, places: list[int], name: str) -> Iterator[tuple[int, int, str]]:
    """Where a name is in the text: whole, or cut off after ENOUGH of it. One that ends in "@" goes with its domain."""
    is_address = name.endswith("@")
    beginning = name if is_address else name[:ENOUGH]
    found = squeezed.find(beginning)
    while found >= 0:
        length = len(beginning)
        while length < min(len(name), len(squeezed) - found) and squeezed[found + length] == name[length]:
            length += 1
        start, stop = places[found], places[found + length - 1] + 1
        is_cut_off = length < len(name)
        if not _is_within_word(text, start) and (is_cut_off or is_address or not _is_within_word(text, stop)):
            domain = _DOMAIN.match(text, stop) if is_address else None
            while start and text[start - 1] in _AROUND:
                start -= 1
            while domain is None and stop < len(text) and text[stop] in _AROUND:
                stop += 1
            yield (start, stop, SOMETHING) if domain is None else (start, domain.end(), ADDRESS)
        found = squeezed.find(beginning, found + length)


def _is_within_word(text: str, place: int) -> bool:
    """Whether there is a letter or digit on both sides."""
    return 0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum()
