"""Addresses: what may stand in the envelope (RFC 5321), and what the address header fields name (RFC 5322 3.4)."""

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from email import policy
from email.errors import InvalidHeaderDefect
from email.utils import formataddr
from functools import lru_cache
from typing import NamedTuple

import email_validator
import idna
from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from messaging.content import address_list, mime

from .errors import BadAddress

# An office's own names (office.local, localhost) are for its own smart host to judge, not for this library.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

LONGEST = 254  # octets of an address; RFC 5321 4.5.3.1.3 less the angle brackets
# Of a list for the standard library's parser, whose time goes by the square of the words and marks of each entry.
MOST_EFFORT = 50_000_000
MOST_WORDS = 300  # of an entry, marks counted; more has no name and no address
MOST_CHARACTERS = 4 * LONGEST  # however its domain is written
LONGEST_LOCAL = 64  # octets; RFC 5321 4.5.3.1.1
LONGEST_DOMAIN = 253  # octets; RFC 1035 2.3.4 less the length octets at both ends
LONGEST_LABEL = 63  # RFC 1035 2.3.1

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# RFC 5322 3.2.3, as the library takes it; nearly every local part, which needs no further look.
_DOT_ATOM = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)
_DOT = re.compile("[.\u3002\uff0e\uff61]")  # RFC 3490 3.1
_IN_QUOTES = re.compile(r'\s*"[^"@]*@[^"]*"\s*')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_GROUP = re.compile(r'\s*(?P<name>[^"<>(),:;@\\\[\]\s.][^"<>(),:;@\\\[\]]*|"[^"\\]*"\s*):(?P<members>[^:;\\()]*);\s*')
_MARKS = re.compile(r'\\.|["<>()\[\],:;]')
_CLOSING = {'"': '"', "<": ">", "[": "]"}
# Several blanks, or one that ends a line somewhere; a wide or a no-break space alone belongs to the name.
_BLANKS = re.compile(r"\s{2,}|[\t-\r\x1c-\x1f\x85\u2028\u2029]")
_WORD = re.compile(r"\w++|\S")
_LINE_BREAK = re.compile(r"[\r\n\0]")
_LONG = 900  # characters, which no line can have many more of
_ATOM = r"""[^\s<>"(),:;@\\\[\]]"""
_ADDRESS = f"{_ATOM}+@{_ATOM}+"
_AN_ADDRESS = re.compile(f"(<?)(?<!{_ATOM})({_ATOM}++@{_ATOM}++)(>?)")  # in time by its length
_LIST_MARKS = re.compile(r'([<>(),:;"]+)')
_GLUED = re.compile(r"(?<=\?=)\0(?=\S)|(?<=\S)\0(?==\?)")  # RFC 2047 5 (3): blanks are around an encoded word
# Nearly every mailbox in real headers; everything else goes to the standard library's full, but slow, parser.
_SIMPLE = re.compile(
    rf"""\s*(?:(?:(?P<name>[^"<>(),:;@\\\[\]]*?)|"(?P<quoted>[^"\\]*)")\s*<(?P<angle>{_ADDRESS})>|(?P<bare>{_ADDRESS}))\s*\Z"""
)


class Mailbox(NamedTuple):
    """A display name (decoded, may be empty) and an address, not yet validated."""

    name: str
    address: str


class Effort:
    """What the standard library's parser may still do, for one list or for all fields of a message."""

    def __init__(self) -> None:
        self.left = MOST_EFFORT

    def allows(self, entry: str) -> bool:
        """Whether there is enough left for the entry, which is taken off."""
        self.left -= (100 + len(entry)) ** 2
        return self.left >= 0


class Group(NamedTuple):
    """Mailboxes under a group name, or on their own when the name is None."""

    name: str | None
    mailboxes: list[Mailbox]


@lru_cache(maxsize=10_000)
def envelope_address(text: str) -> str:
    """The address as it goes into the envelope: the domain in lower case and ASCII (IDN as A-labels).

    The local part stays as it is; when it is not ASCII, neither is the result, and SMTPUTF8 (RFC 6531) is needed.
    Raises BadAddress.
    """
    shown = mime.displayable(text, 80)
    if _CONTROL.search(text):
        raise BadAddress(f"The address “{shown}” contains a line break or another control character. Remove it.")
    text = text.strip()
    if text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    if not text:
        raise BadAddress("One of the addresses is empty. Fill it in or remove it.")
    if len(text) > MOST_CHARACTERS:
        raise BadAddress(
            f"“{shown}” is not a valid email address. It is {len(text) - LONGEST} characters too long. Correct it."
        )
    try:
        return _valid(text)
    except EmailNotValidError as error:
        raise BadAddress(f"“{shown}” is not a valid email address. {error} Correct it.") from None


def _valid(text: str) -> str:
    """Raises EmailNotValidError.

    What is ASCII already needs to follow no rule but that of letters, digits and hyphens (RFC 5321 2.3.5): domains that
    IDNA 2008 would not make are there all the same.
    """
    local, at, domain = text.rpartition("@")
    labels = domain.split(".")
    if not at or any(label.isascii() and not _LABEL.fullmatch(label) for label in labels):
        found = _validated(text)
        return f"{found.local_part}@{found.ascii_domain}"
    if len(local) > LONGEST_LOCAL or not _DOT_ATOM.fullmatch(local):
        local = _validated(f"{local}@example.com").local_part
    named = domain.lower() if domain.isascii() else ascii_domain(domain)
    if not named:
        _validated("x@" + ".".join(label for label in labels if not label.isascii()))  # it says what is wrong
        raise EmailNotValidError("The part after the @-sign is too long.")
    address = f"{local}@{named}"
    excess = len(address.encode()) - LONGEST
    if excess > 0:
        raise EmailNotValidError(f"It is {excess} characters too long.")
    return address


def ascii_domain(domain: str) -> str:
    """A domain that is not ASCII, in lower case and A-labels (RFC 5891 4); "" where that is none.

    Costs microseconds for each character: what must be too long is found before it is encoded.
    """
    labels = _DOT.split(domain)
    if len(labels) > LONGEST_DOMAIN // 2 + 1 or not domain.isprintable():  # formats, blanks, private and unassigned
        return ""
    with suppress(idna.IDNAError):
        mapped = idna.uts46_remap(domain, std3_rules=False).split(".")
        is_named = len(mapped) == len(labels) and all(map(_may_be_label, labels, mapped))
        # An A-label has more octets than the label has characters, and begins with "xn--".
        if is_named and sum(len(each) + (1 if each.isascii() else 6) for each in mapped) <= LONGEST_DOMAIN + 1:
            pairs = zip(labels, mapped, strict=True)
            named = ".".join(new if old.isascii() else idna.alabel(new).decode() for old, new in pairs)
            return named if len(named) <= LONGEST_DOMAIN else ""
    return ""


def _may_be_label(written: str, mapped: str) -> bool:
    if written.isascii():
        return _LABEL.fullmatch(written) is not None
    return 0 < len(mapped) <= LONGEST_LABEL and not unicodedata.category(written[0]).startswith("M")


def _validated(text: str) -> ValidatedEmail:
    return validate_email(
        text,
        check_deliverability=False,
        globally_deliverable=False,
        allow_quoted_local=True,
        allow_domain_literal=True,
        allow_display_name=False,
    )


def reverse_path(text: str) -> str:
    """The envelope sender; "" and "<>" are the null sender of notices (RFC 5321 4.5.5). Raises BadAddress."""
    return "" if text.strip() in ("", "<>") else envelope_address(text)


def envelope_mailboxes(value: str) -> list[Mailbox]:
    """All mailboxes of an unfolded address list, none lost: raises BadAddress when a piece of it is no mailbox."""
    if _LINE_BREAK.search(value):
        envelope_address(value)
    groups, is_valid = _read(value)
    found = [mailbox for group in groups for mailbox in group.mailboxes]
    if not is_valid:
        shown = mime.displayable(value, 80)
        if _IN_QUOTES.fullmatch(value):
            raise BadAddress(
                f"The whole of “{shown}” is in quotation marks, so it is only a name. Remove the quotation marks."
            )
        if len(found) == 1 and not re.search(r"[<,;\s]", value.strip()):
            envelope_address(value)
        for mailbox in found:
            if "@" in mailbox.address:
                envelope_address(mailbox.address)
        raise BadAddress(
            f"“{shown}” is not a list of email addresses, each separated by a comma. Correct it; a name that has a "
            "comma itself needs quotation marks."
        )
    return found


def mailboxes(value: str, effort: Effort | None = None) -> list[Mailbox]:
    """The mailboxes that can be made out in an unfolded address header field, those in groups too. Never raises."""
    return [mailbox for group in _read(value, effort)[0] for mailbox in group.mailboxes]


def _read(value: str, effort: Effort | None = None) -> tuple[list[Group], bool]:
    """What can be made out in an address list, and whether that is all there is (RFC 5322 3.4)."""
    value = _BLANKS.sub(" ", value)
    simple = _all_simple(value)
    if simple is not None:
        return [Group(None, [_simple(each)]) for each in simple], True
    groups: list[Group] = []
    is_valid = True
    effort = effort or Effort()
    for entry in filter(str.strip, _entries(value)):
        usual = _usual(entry)
        if usual is not None:
            groups.append(usual)
            continue
        read, is_entry_valid = _closely(entry) if effort.allows(entry) else ([], False)
        groups += read
        is_valid = is_valid and is_entry_valid
    return groups, is_valid


def _all_simple(value: str) -> list[re.Match[str]] | None:
    """The mailboxes of a list, as most lists are; None where one of them takes a closer look."""
    pieces = [value] if '"' in value else [piece for piece in value.split(",") if piece.strip()]
    found = [match for piece in pieces if (match := _SIMPLE.match(piece))]
    return found if len(found) == len(pieces) else None


def _usual(entry: str) -> Group | None:
    """A mailbox, or a group of such, as nearly all are; None for others."""
    found = _SIMPLE.match(entry)
    if found is not None:
        return Group(None, [_simple(found)])
    group = _GROUP.fullmatch(entry)
    if group is None:
        return None
    members = [_SIMPLE.match(member) for member in _entries(group["members"]) if member.strip()]
    name = _clean(mime.decoded_words(group["name"].strip('"').strip()))
    simple = [_simple(member) for member in members if member is not None]
    return Group(name, simple) if len(simple) == len(members) else None


def _entries(value: str) -> Iterator[str]:
    """The mailboxes and groups of a list: parted by commas outside quotation marks, comments, brackets and groups."""
    start = depth = 0
    within = ""  # the character that ends what we are in
    is_group = False
    for found in _MARKS.finditer(value):
        mark = found[0]
        if within:
            within = "" if mark == within else within
        elif mark == "(":
            depth += 1
        elif depth:
            depth -= mark == ")"
        elif mark in _CLOSING:
            within = _CLOSING[mark]
        elif mark in ":;":
            is_group = mark == ":"
        elif mark == "," and not is_group:
            yield value[start : found.start()]
            start = found.end()
    yield value[start:]


def _closely(entry: str) -> tuple[list[Group], bool]:
    """By the library what is short; of a group that is long, or that it does not take, the members one by one."""
    if len(entry) > MOST_WORDS and _has_many_words(entry):
        return _by_members(entry)
    read, is_valid = _by_library(entry)
    if not is_valid and entry.rstrip().endswith(";"):  # it minds an encoded word before the colon
        by_members, is_valid = _by_members(entry)
        read = by_members if is_valid else read
    return read, is_valid


def _by_members(entry: str) -> tuple[list[Group], bool]:
    entry = entry.strip()
    listed = address_list.split(entry)
    if len(listed) != 1 or listed[0].group is None or _has_many_words(listed[0].group) or not entry.endswith(";"):
        return [], False
    members = [
        _by_library(member) if (usual := _usual(member)) is None else ([usual], True)
        for member in listed[0].mailboxes
        if not _has_many_words(member)
    ]
    name, is_named = _group_name(listed[0].group)
    mailboxes = [mailbox for groups, _ in members for group in groups for mailbox in group.mailboxes]
    is_valid = is_named and len(members) == len(listed[0].mailboxes) and all(valid for _, valid in members)
    return [Group(name, mailboxes)], is_valid


def _group_name(written: str, effort: Effort | None = None) -> tuple[str, bool]:
    """The name of a group, decoded, and whether it is one."""
    named, is_valid = _read(f"{written} <group@group.invalid>", effort)
    names = [mailbox.name for group in named for mailbox in group.mailboxes]
    return (names[0], is_valid) if len(names) == 1 else (_clean(written), False)


def _has_many_words(text: str) -> bool:
    return any(number >= MOST_WORDS for number, _ in enumerate(_WORD.finditer(text)))


def _by_library(entry: str) -> tuple[list[Group], bool]:
    try:
        header = policy.default.header_factory("To", entry)
    except Exception:  # The parser has IndexErrors and AttributeErrors for one broken input or another.
        return [], False
    read = [
        Group(
            None if group.display_name is None else _clean(group.display_name),
            [Mailbox(_clean(each.display_name), _clean(each.addr_spec)) for each in group.addresses],
        )
        for group in header.groups
    ]
    kept = [_as_written(group, entry) for group in read] if "=?" in entry else read
    if kept != read:
        return kept, False
    return read, not any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects)


def _as_written(group: Group, entry: str) -> Group:
    """Without the addresses that the library makes of what an encoded word holds (RFC 2047 5)."""
    written = "".join(address_list.without_comments(entry)[0].split())
    kept = [box for box in group.mailboxes if "@" not in box.address or "".join(box.address.split()) in written]
    return Group(group.name, kept)


def _simple(match: re.Match[str]) -> Mailbox:
    name = (match["name"] or match["quoted"] or "").strip()
    return Mailbox(_clean(mime.decoded_words(name)), _clean(match["angle"] or match["bare"]))


def _clean(text: str) -> str:
    """An encoded word can hold a line break, which must not become one in a header field that is written again."""
    return _CONTROL.sub(" ", text)


def header_value(value: str, effort: Effort | None = None) -> str:
    """An unfolded address header field's value with one mailbox per line, in ASCII but for local parts that cannot be.

    Mailboxes in ASCII stay as they are written. Of one that is not valid, or beyond the `effort` of its message, only
    the words that are not ASCII are encoded, so that nothing in it is lost. What was made of a value is made of itself
    again.
    """
    effort = effort or Effort()
    value = _BLANKS.sub(" ", value)
    simple = _all_simple(value)
    if simple is not None:
        return ",\r\n ".join(_written(each[0].strip(), effort) for each in simple)
    return ",\r\n ".join(_listed(each, effort) for each in address_list.split(value))


def _listed(listed: address_list.Listed, effort: Effort) -> str:
    members = ",\r\n ".join(_written(each, effort) for each in listed.mailboxes)
    if listed.group is None:
        return members
    name = listed.group
    if not name.isascii():
        read, is_name = _group_name(name, effort)
        name = _phrase(read) if is_name else _as_it_stands(name)
    blank = " " if name.endswith("?=") else ""  # RFC 2047 5 (3)
    return f"{name}{blank}:\r\n {members};"


def _written(text: str, effort: Effort) -> str:
    """A mailbox; its comments go behind it when it has to be written anew."""
    if text.isascii() and len(text) < _LONG:
        return text
    simple = _SIMPLE.match(text)
    if simple is not None and mime.read_words(text).is_whole:
        return _mailbox(_simple(simple))
    bare, comments = address_list.without_comments(text)
    groups, is_valid = _read(bare, effort)
    found = [mailbox for group in groups for mailbox in group.mailboxes]
    if not is_valid or len(found) != 1 or not mime.read_words(bare).is_whole:
        return _as_it_stands(text)
    return " ".join([_mailbox(found[0]), *map(_comment, comments)])


def _as_it_stands(text: str) -> str:
    """Text that is no mailbox, in ASCII by encoded words; they hold no address and no mark of a list (RFC 2047 5)."""
    pieces: list[str] = []
    begin = 0
    for found in _AN_ADDRESS.finditer(text):
        opening, address, closing = found.groups()
        with suppress(BadAddress):
            address = address if address.isascii() else envelope_address(address)
            pieces += [*_words_and_marks(text[begin : found.start()]), f"{opening}{address}{closing}"]
            begin = found.end()
    pieces += _words_and_marks(text[begin:])
    return mime.folded(_GLUED.sub(" ", "\0".join(filter(None, pieces))).replace("\0", ""))


def _words_and_marks(text: str) -> list[str]:
    return [mime.encoded_runs(piece) for piece in _LIST_MARKS.split(text)]


def _comment(text: str) -> str:
    """RFC 2047 5 (2); parentheses within stay where they are."""
    pieces = re.split(r"((?:\\.|[()])+)", text)
    comment = "(" + "".join(piece if piece.isascii() else mime.encoded_runs(piece) for piece in pieces) + ")"
    return comment if len(comment) < _LONG else mime.encoded_words(comment, "us-ascii")


def _mailbox(mailbox: Mailbox) -> str:
    try:
        address = envelope_address(mailbox.address)
    except BadAddress:
        address = mime.encoded_words(mailbox.address, "us-ascii" if mailbox.address.isascii() else "utf-8")
    return f"{_phrase(mailbox.name)} <{address}>" if mailbox.name else address


def _phrase(name: str) -> str:
    """A display name: quoted where RFC 5322 wants it, or as RFC 2047 encoded words of at most 75 characters."""
    if name.isascii():
        return formataddr((name, "")).removesuffix(" <>")
    return mime.encoded_words(name)
