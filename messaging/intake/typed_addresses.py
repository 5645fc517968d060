"""Addresses as people type them, and as they paste them from mail programs and spreadsheets.

Header fields of programs are read strictly (addresses.py). Here whatever has one meaning only is read: commas in
names (`Doe, John <j@x>; Roe, Jane <r@x>`), lists parted by semicolons, blanks, tabs or line breaks, what is in
quotation marks as a whole, `mailto:`, blanks that no one sees. One pass over the text; the time goes by its length.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from messaging.content import mime

from .addresses import Mailbox, envelope_address
from .errors import BadAddress

_INVISIBLE = dict.fromkeys([0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF])
_BLANKS = dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_WIDE = {"，": ",", "、": ",", "،": ",", "；": ";", "؛": ";", "＠": "@", "＜": "<", "＞": ">"}
_PLAIN = str.maketrans(_INVISIBLE | _BLANKS | _WIDE)

_LINE_ENDS = re.compile("[\r\n\u0085\u2028\u2029]+")
_TOKEN = re.compile(
    r"""(?P<quoted>"(?:[^"\\]|\\.)*")"""
    r"""|<+(?P<angle>(?:[^<>"]|"(?:[^"\\]|\\.)*")*)>+"""
    r"""|(?P<comment>\([^()]*\))"""
    r"""|(?P<smart>[“”„‟«][^“”„‟«»\r\n]*[“”‟»])"""
    r"""|(?P<literal>\[[^][\s]*\])"""
    r"""|(?P<label>:)"""
    r"""|(?P<end>[,;\t\r\n\u0085\u2028\u2029])"""
    r"""|(?P<text>[^"<(:“”„‟«[,;\t\r\n\u0085\u2028\u2029]+|.)""",
    re.DOTALL,
)
LONGEST_LABEL = 20  # tokens: names of groups are short
_UNCLOSED = {'"': "quotation mark", "<": "angle bracket"}
_SCHEME = re.compile(r"(?:mailto|smtp):", re.IGNORECASE)
_HAS_OTHERS = re.compile(r"(?:\A|&)(?:amp;)?(?:to|cc|bcc)=[^&]", re.IGNORECASE)  # of a link (RFC 6068 2)
_IN_A_WORD = re.compile(r"[^\s@]@[^\s@]")
_AROUND_ADDRESSES = "()[]<>,:;\"'“”"
_UNSEEN_IN_ADDRESSES = re.compile("[\u00ad\u200c\u200d]")
_QUOTES = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“", "‟": "”", "«": "»", "‘": "’"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Token(NamedTuple):
    """A run of the text: its kind is the name of a group of _TOKEN."""

    kind: str
    text: str


class Piece(NamedTuple):
    """What stands between two separators, and the one after it; " " where a mailbox ended without one."""

    tokens: list[Token]
    end: str

    @property
    def text(self) -> str:
        return "".join(f"<{token.text}>" if token.kind == "angle" else token.text for token in self.tokens).strip()

    @property
    def has_address(self) -> bool:
        return any(token.kind == "angle" or "@" in token.text for token in self.tokens)


def read(text: str) -> list[Mailbox]:
    """All mailboxes, each valid; none where nothing was typed.

    Raises:
        BadAddress: something is no address, or could have been meant in two ways; it says what.
    """
    if not text.strip():
        return []
    found = _read(text.translate(_PLAIN), is_inner=False)
    if not found:
        raise BadAddress(f"“{mime.displayable(text, 80)}” is not an address. Enter an email address.")
    return [Mailbox(each.name, envelope_address(each.address)) for each in found]


def one(text: str) -> str:
    """The address of a field that takes one, and no name. Raises BadAddress."""
    try:
        return envelope_address(text)
    except BadAddress as refusal:
        try:
            found = read(text)
        except BadAddress:
            raise refusal from None
        if not found or (":" in text and not _SCHEME.match(text.strip(" <"))):
            raise
    shown = mime.displayable(text, 80)
    if len(found) > 1:
        raise BadAddress(f"“{shown}” is not a valid email address: these are {len(found)}, and only one goes in here.")
    if found[0].name:
        raise BadAddress(
            f"“{shown}” is not a valid email address: a name belongs to it. Enter the address alone: "
            f"{mime.displayable(found[0].address, 80)}"
        )
    return found[0].address


def _read(text: str, *, is_inner: bool) -> list[Mailbox]:
    found: list[Mailbox] = []
    before: list[Piece] = []  # what has no address: the first half of a name, or a cell with a name
    is_nameless = False  # the mailbox in the cell before this one
    for piece in _pieces(text):
        was_nameless, is_nameless = is_nameless, False
        if not piece.text and piece.end in ",\t":
            continue
        if piece.text and not piece.has_address and piece.end in ",\t":
            before.append(piece)
            continue
        if was_nameless and piece.text and not piece.has_address and piece.end == "\n":
            found[-1] = Mailbox(_name(piece.tokens), found[-1].address)
            continue
        if not piece.has_address:
            _refuse([*before, piece] if piece.text else before)
            before = []
            continue
        mailboxes = _mailboxes(piece, is_inner=is_inner)
        if before:
            mailboxes = [_joined(before, piece, mailboxes)]
        found += mailboxes
        before = []
        is_nameless = piece.end == "\t" and len(mailboxes) == 1 and not mailboxes[0].name
    _refuse(before)
    return found


def _joined(before: list[Piece], piece: Piece, mailboxes: list[Mailbox]) -> Mailbox:
    """The mailbox whose name began before a comma, or stands in the cell before. Raises BadAddress."""
    first = mailboxes[0]
    names = [_name(each.tokens) for each in before]
    if len(mailboxes) == 1:
        if all(each.end == "\t" for each in before) and not first.name:
            return Mailbox(" ".join(names), first.address)
        # `ann, bob <b@x>` could be two people, one without an address; `Doe, John <j@x>` is one.
        if first.name and all(each.end == "," for each in before) and all(map(_is_name, [*names, first.name])):
            return Mailbox(_without_quotes(", ".join([*names, first.name])), first.address)
    _refuse(before)
    raise AssertionError("what is before is never empty")


def _is_name(text: str) -> bool:
    return not text[:1].islower() or " " in text


def _refuse(pieces: Iterable[Piece]) -> None:
    """Say what is the matter with the first of the pieces that have no address."""
    for piece in pieces:
        shown = mime.displayable(piece.text, 80)
        raise BadAddress(
            f"“{shown}” is not a valid email address: it has no @. If it belongs to a name, put the whole name in "
            f'quotation marks: "{mime.displayable(piece.text.strip(chr(34)), 40)}, …" <name@example.com>.'
        )


# --- Pieces ------------------------------------------------------------------------------------------


def _pieces(text: str) -> Iterator[Piece]:
    tokens: list[Token] = []
    has_ended = False  # after an address in angle brackets no more than a comment belongs to the mailbox
    has_breaks = _LINE_ENDS.search(text) is not None
    for match in _TOKEN.finditer(text):
        kind, found = str(match.lastgroup), match[str(match.lastgroup)]
        if kind in ("quoted", "angle") and _LINE_ENDS.search(found):
            raise BadAddress(f"“{mime.displayable(found, 80)}” contains a line break. Remove it.")
        if kind == "text" and found in _UNCLOSED:
            shown = mime.displayable(text[match.start() :], 80)
            raise BadAddress(f"The {_UNCLOSED[found]} before “{shown[1:]}” is not closed. Close it or remove it.")
        if kind == "label" and _is_label(tokens):
            if has_breaks:
                shown = mime.displayable(_source(tokens), 80)
                raise BadAddress(f"“{shown}:” contains a line break, or comes after one. Remove it, or the “{shown}:”.")
            tokens = []
        elif kind == "end":
            yield Piece(tokens, found if found in ",;\t" else "\n")
            tokens, has_ended = [], False
        else:
            if has_ended and kind != "comment" and found.strip():
                yield Piece(tokens, " ")
                tokens, has_ended = [], False
            if kind == "literal" and "@" in found:  # John Doe [mailto:john@x.example]
                kind, found = "angle", found[1:-1]
            tokens.append(Token(kind, found))
            has_ended = has_ended or kind == "angle"
    yield Piece(tokens, "\n")


def _is_label(tokens: list[Token]) -> bool:
    """Whether a colon ends the name of a group (`Team: a@x, b@y;`), which is no one's; `mailto:` is none."""
    before = _source(tokens).strip() if len(tokens) < LONGEST_LABEL else ""
    return "@" not in before and not _SCHEME.fullmatch(f"{before}:") and bool(before)


def _source(tokens: Iterable[Token]) -> str:
    return "".join(token.text for token in tokens)


# --- Mailboxes ---------------------------------------------------------------------------------------


def _mailboxes(piece: Piece, *, is_inner: bool) -> list[Mailbox]:
    tokens = [token for token in piece.tokens if token.kind == "angle" or token.text.strip()]
    place = next((place for place, token in enumerate(tokens) if token.kind == "angle"), None)
    if place is not None:
        address = _address(tokens[place].text)
        for beside in (tokens[:place], tokens[place + 1 :]):
            _refuse_another(beside, [address])
        name = _name(tokens[:place]) or _name(tokens[place + 1 :])
        return [Mailbox("" if name.lower() == address.lower() else name, address)]
    whole = _without_quotes(piece.text)
    if whole != piece.text and not is_inner:
        return _read(whole, is_inner=True)
    comments = [token for token in tokens if token.kind == "comment"]
    source = _source(token for token in piece.tokens if token.kind != "comment").strip()
    if "@" not in source:  # John Doe (john@x.example)
        place = next(place for place, token in enumerate(tokens) if "@" in token.text)
        address = _address(tokens[place].text.strip("()"))
        _refuse_another(tokens[place + 1 :], [address])
        return [Mailbox(_name(tokens[:place]), address)]
    words = [source] if '"' in source else source.split()
    if len(words) > 1 and not all("@" in word for word in words):
        address = mime.displayable(next(word for word in words if "@" in word), 60)
        shown = mime.displayable(source, 80)
        raise BadAddress(f"“{shown}” is a name and an address. Put the address in angle brackets: <{address}>.")
    name = _name(comments) if len(words) == 1 else ""
    addresses = list(map(_address, words))
    _refuse_another(comments, addresses)
    return [Mailbox(name, address) for address in addresses]


def _refuse_another(tokens: Sequence[Token], addresses: Collection[str]) -> None:
    """A name beside these has no other address in it, unless all of it is in quotation marks: a comma may be missing
    there, and no one would see that the other gets nothing.
    """
    source = _source(tokens).strip()
    is_quoted = [token.kind for token in tokens] == ["quoted"] or _without_quotes(source) != source
    if "@" not in source or is_quoted:
        return
    known = {address.lower() for address in addresses}
    for word in source.split():
        other = _address(word.strip(_AROUND_ADDRESSES)) if _IN_A_WORD.search(word) else ""
        if other and other.lower() not in known:
            shown, address = mime.displayable(source, 80), next(iter(addresses))
            raise BadAddress(
                f"“{shown}” beside <{address}> has another address in it. Put each address in angle brackets: "
                f"<{mime.displayable(other, 60)}>. If it belongs to a name, put the whole name in quotation marks: "
                f'"{mime.displayable(source.replace(chr(34), ""), 40)}" <{address}>.'
            )


def _name(tokens: Iterable[Token]) -> str:
    """The display name: without quotation marks and, if there is nothing else, without parentheses."""
    parts = [
        _ESCAPED.sub(r"\1", token.text[1:-1]) if token.kind == "quoted" else mime.decoded_words(token.text)
        for token in tokens
    ]
    name = "".join(mime.displayable(f"x{part}x", len(part) + 2)[1:-1] for part in parts).strip()
    kinds = {token.kind for token in tokens if token.text.strip()}
    if kinds == {"comment"}:
        return name.removeprefix("(").removesuffix(")").strip()
    return name if kinds == {"quoted"} else _without_quotes(name)


def _address(text: str) -> str:
    address = _UNSEEN_IN_ADDRESSES.sub("", _without_quotes(text.strip(" <>")))
    scheme = _SCHEME.match(address)
    if scheme is not None:
        address, _, fields = address[scheme.end() :].partition("?")
        if _HAS_OTHERS.search(fields):
            raise BadAddress(
                f"“{mime.displayable(text, 80)}” has more than one address in it. Enter each address alone: "
                f"{mime.displayable(address, 60)}"
            )
    local, at, domain = address.rpartition("@")
    return f"{local}{at}{domain.removesuffix('.')}"


def _without_quotes(text: str) -> str:
    """Without the quotation marks around all of it."""
    inner = text[1:-1]
    if len(text) < 2 or _QUOTES.get(text[0]) != text[-1] or text[0] in inner or text[-1] in inner:
        return text
    return inner.strip()
