"""The picture of states in docs/architecture.md, drawn from the table of transitions: `make states` draws it anew."""

import re
from pathlib import Path

import django

PAGE = Path(__file__).resolve().parent.parent / "docs" / "architecture.md"
PLACE = re.compile(r"(?<=<!-- states -->\n).*?(?=<!-- end of states -->)", re.DOTALL)


def draw(table):
    """The states with an arrow per pair, and the table behind it."""
    arrows = {}
    for row in table:
        for source, target in row.pairs:
            arrows.setdefault((source or "[*]", target), []).append(row.name)
    lines = [f"    {source} --> {target}: {', '.join(names)}" for (source, target), names in arrows.items()]
    cells = [
        (row.name, ", ".join(row.sources) or "new", ", ".join(row.targets) or "the same", ", ".join(row.who), row.event)
        for row in table
    ]
    rows = ["| " + " | ".join(cell or "–" for cell in each) + " |" for each in cells]
    head = ["| transition | from | to | ordered by | event |", "|---|---|---|---|---|"]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", "", *head, *rows, ""])


def main():
    """Write the picture into the page."""
    django.setup()
    from messaging.lifecycle.transitions import TABLE

    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(PLACE.sub(lambda _: draw(TABLE), page), encoding="utf-8")


if __name__ == "__main__":
    main()
