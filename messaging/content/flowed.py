"""Text of type format=flowed (RFC 3676): its soft line breaks undone."""

SIGNATURE = "-- "


def joined(text: str, *, delsp: bool = False) -> str:
    """Each paragraph on one line, quoted ones behind their marks; `delsp` when the blank before a break goes too.

    A blank line ends a paragraph even behind a soft break: programs are careless there, and no one means otherwise.
    """
    kept: list[tuple[int, list[str]]] = []  # depth of quoting, pieces
    is_open = False
    body, end = (text[:-1], "\n") if text.endswith("\n") else (text, "")
    for line in body.split("\n"):
        depth = len(line) - len(line.lstrip(">"))
        words = line[depth:].removeprefix(" ")
        if is_open and words and words != SIGNATURE and depth == kept[-1][0]:
            kept[-1][1].append(words)
        else:
            kept.append((depth, [words]))
        is_open = words.endswith(" ") and words != SIGNATURE
        if is_open and delsp:
            kept[-1][1][-1] = words[:-1]
    return "\n".join(_quoted(depth, "".join(pieces)) for depth, pieces in kept) + end


def _quoted(depth: int, words: str) -> str:
    return f"{'>' * depth} {words}" if depth and words else ">" * depth + words
