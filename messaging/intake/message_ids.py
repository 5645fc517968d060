"""Message-IDs as RFC 5322 3.6.4 and 4.5.4 allow them, and as programs write them."""

import re

LONGEST = 900  # characters; with its name the field still fits into a line

# Programs use more characters than RFC 5322 lets stand without quotes; they do no harm.
_USUAL = re.compile(r"<[!-;=?A-~]+@[!-;=?A-~]+>")
_WORD = re.compile(r'[^\x00-\x20()<>\[\]:;@\\,."\x7f-\U0010ffff]+|"(?:[^"\\\r\n]|\\.)*"')
_LITERAL = re.compile(r"\[[^\[\]\\\r\n]*\]")


def read(text: str) -> str:
    """The one Message-ID of an unfolded header field, without comments and blanks; "" where it is none.

    Besides `<left@right>` that may be quoted (`<"a b"@x>`), a literal (`<a@[any thing]>`) or have comments and blanks
    in it.
    """
    if len(text) <= LONGEST and text.isascii() and _USUAL.fullmatch(text):
        return text
    start = _after_comments(text, 0)
    usual = _USUAL.match(text, start)
    found, end = (usual[0], usual.end()) if usual is not None else _obsolete(text, start)
    if not found.isascii() or len(found) > LONGEST or _after_comments(text, end) != len(text):
        return ""
    return found


def _obsolete(text: str, position: int) -> tuple[str, int]:
    """One that needs the whole grammar, and where it ends."""
    if not text.startswith("<", position):
        return "", position
    left, position = _words(text, position + 1)
    if not left or not text.startswith("@", position):
        return "", position
    begin = _after_comments(text, position + 1)
    literal = _LITERAL.match(text, begin)
    if literal is not None:
        right, position = literal[0], _after_comments(text, literal.end())
    else:
        right, position = _words(text, begin)
    if not right or not text.startswith(">", position):
        return "", position
    return f"<{left}@{right}>", position + 1


def _words(text: str, position: int) -> tuple[str, int]:
    """Words parted by dots, with comments and blanks around each; "" when there is none where one is due."""
    found = []
    while True:
        word = _WORD.match(text, _after_comments(text, position))
        if word is None:
            return "", position
        found.append(word[0])
        position = _after_comments(text, word.end())
        if not text.startswith(".", position):
            return ".".join(found), position
        position += 1


def _after_comments(text: str, position: int) -> int:
    """Where blanks and comments, which may be nested, end; where an unfinished one begins."""
    depth, start = 0, position
    while position < len(text):
        character = text[position]
        if character == "(":
            start, depth = (position if not depth else start), depth + 1
        elif character == ")" and depth:
            depth -= 1
        elif character == "\\" and depth:
            position += 1
        elif not depth and character not in " \t\r\n":
            break
        position += 1
    return start if depth else min(position, len(text))
