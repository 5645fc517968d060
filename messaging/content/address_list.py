"""An address list (RFC 5322 3.4) taken apart as it stands: groups, mailboxes and comments, none of them read yet.

The text may be anything: what is never closed goes to the end. One look at each character.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

_MARKS = re.compile(r'\\.|["()<>\[\],:;]', re.DOTALL)


class Listed(NamedTuple):
    """The mailboxes of a group as they are written, or on their own when the name is None."""

    group: str | None
    mailboxes: list[str]


def split(text: str) -> list[Listed]:
    """The mailboxes of a list, each with its comments."""
    found: list[Listed] = []
    group: Listed | None = None
    begin = 0
    for mark, position in _separators(text):
        if mark in "()" or (mark == ":" and group is not None) or (mark == ";" and group is None):
            continue
        piece = text[begin:position].strip()
        begin = position + 1
        if mark == ":":
            group = Listed(piece, [])
            found.append(group)
        elif piece:
            _add(found, group, piece)
        if mark == ";":
            group = None
    if rest := text[begin:].strip():
        _add(found, group, rest)
    return found


def _add(found: list[Listed], group: Listed | None, piece: str) -> None:
    if group is not None:
        group.mailboxes.append(piece)
    else:
        found.append(Listed(None, [piece]))


def cut(text: str, number: int) -> tuple[int, int]:
    """Where the list ends after so many mailboxes, and how many come behind."""
    found, begin, end = 0, 0, len(text)
    for mark, position in (*_separators(text), (",", len(text))):
        if mark in "()":
            continue
        if mark != ":" and text[begin:position].strip():
            found += 1
            end = position if found == number else end
        begin = position + 1
    return end, max(0, found - number)


def without_comments(text: str) -> tuple[str, list[str]]:
    """A mailbox without its comments, and what is in them."""
    kept: list[str] = []
    comments: list[str] = []
    begin = 0
    for mark, position in _separators(text):
        if mark == "(":
            kept.append(text[begin:position])
            begin = position + 1
        elif mark == ")":
            comments.append(text[begin:position])
            begin = position + 1
    return " ".join([*kept, text[begin:]]).strip(), comments


def _separators(text: str) -> Iterator[tuple[str, int]]:
    """Commas, colons and semicolons that stand in nothing, and the parentheses of comments that stand in no other."""
    inside, depth = "", 0  # the mark that ends what it stands in; comments in comments
    for found in _MARKS.finditer(text):
        mark, position = found[0], found.start()
        if depth:
            depth += {"(": 1, ")": -1}.get(mark, 0)
            if not depth:
                yield mark, position
        elif inside == ">" and mark == '"':
            inside = '">'
        elif inside == '">' and mark == '"':
            inside = ">"
        elif inside:
            inside = "" if mark == inside else inside
        elif mark == "(":
            depth = 1
            yield mark, position
        elif mark in '"<[':
            inside = {'"': '"', "<": ">", "[": "]"}[mark]
        elif mark in ",:;":
            yield mark, position
