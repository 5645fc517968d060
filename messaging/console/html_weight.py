"""What HTML would cost its parser, found in one pass before it is parsed (HTML Standard 13.2.5 and 13.2.6).

A parser keeps the elements that are open, and opens formatting anew wherever it is not closed: deep or tangled markup
takes it time by the square, and makes far more of it than there was. So the elements are counted here, never too few:
an element counts as closed only where the standard closes it for certain.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import unescape
from typing import NamedTuple

MAX_OPEN = 500  # elements that are open at a time
MOST_REFERENCES = 50_000  # & in a document
MOST_MISPLACED = 2_000  # elements that stand in a table and in no cell of it: each is moved before the table
MOST_BETWEEN = 5  # elements between formatting and its end tag, by which it is still closed
MOST_ALIKE = 3  # elements of formatting, of which only the last ones are opened anew
MOST_ATTRIBUTES = 10_000  # in one tag
MOST_REOPENED = 100_000  # elements of formatting that is not closed where its paragraph is
MOST_DIGITS = 4_000  # of a reference to a character: Python reads no number of more than 4,300
MOST_LOOKED_AT = 1_000_000  # elements of formatting that is open, summed up over all tags: each tag looks at them

_BLANK = " \t\n\f\r"
_TAG = re.compile(
    rf"<(?P<end>/?)(?P<name>[a-zA-Z][^{_BLANK}/>]*+)"
    rf"(?:[{_BLANK}/]++|[^{_BLANK}/>][^{_BLANK}/>=]*+"
    rf"(?:[{_BLANK}]*+=[{_BLANK}]*+(?:\"[^\"]*+\"|'[^']*+'|(?![\"'])[^{_BLANK}>]*+))?+)*+>"
)
_NAME = re.compile(rf"</?([a-zA-Z][^{_BLANK}/>]{{0,20}})")  # as much of it as tells whether it ends a RAW element
_BLANKS = re.compile(rf"[{_BLANK}/]+")
_END_OF_COMMENT = re.compile("--!?>")
_NUMBER = re.compile("&#([0-9]+);?")

# Never open, or once at the most.
VOID = frozenset((
    "area", "base", "basefont", "bgsound", "br", "col", "command", "embed", "frame", "hr", "image", "img", "input",
    "keygen", "link", "meta", "param", "source", "track", "wbr", "html", "head", "body",
))  # fmt: skip
RAW = frozenset(["script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes", "noscript"])
FORMATTING = frozenset(
    ["a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
# Within these other rules hold, by which nothing is taken for closed that its own end tag does not close.
OTHER_RULES = frozenset(["svg", "math", "select", "template", "frameset"])
ROWS = frozenset(["tbody", "thead", "tfoot", "tr"])
CELLS = ("td", "th", "caption")
TABLE = frozenset(("table", *ROWS, *CELLS, "colgroup"))
SCOPES = ("table", *CELLS, "object", "applet", "marquee", "template")
BLOCKS = frozenset((
    "address", "article", "aside", "blockquote", "button", "center", "details", "dialog", "dir", "div", "dl", "dd",
    "dt", "fieldset", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "li",
    "listing", "main", "menu", "nav", "ol", "p", "pre", "section", "summary", "ul",
))  # fmt: skip
_ENDS_ITEMS = (*SCOPES, *ROWS, "colgroup", *(BLOCKS - {"address", "div", "p", "li", "dd", "dt"}), "?")
_MORE_SCOPES = {"p": ("button",), "li": ("ol", "ul")}


class Tag(NamedTuple):
    """`text` is what stands before it."""

    text: str
    name: str
    is_end: bool
    is_raw: bool
    source: str


class TooHeavy(ValueError):
    """Parsing it could take long."""


def check(html: str) -> None:
    """Raises TooHeavy."""
    if html.count("&") > MOST_REFERENCES:
        raise TooHeavy
    weight = _Open()
    for tag in tags(html):
        weight.take(tag)


def text_of(html: str) -> str:
    """What is between the tags, for a reader of plain text; not what is in scripts, style sheets and their kin."""
    pieces = []
    is_text = True
    for tag in tags(html):
        if is_text and not tag.is_raw:
            pieces.append(tag.text)
        is_text = not tag.is_raw and (tag.is_end or tag.name not in RAW or tag.name == "xmp")
        if tag.name in BLOCKS or tag.name in ("br", "hr", "tr", "table"):
            pieces.append("\n")
        elif tag.name in CELLS:
            pieces.append(" ")
    return unescape(_NUMBER.sub(_without_endless, "".join(pieces)))


def _without_endless(reference: re.Match[str]) -> str:
    """A reference to a character; one whose number Python refuses to read names none, as any that is too large."""
    return reference[0] if len(reference[1]) < MOST_DIGITS else "\ufffd"


def tags(html: str) -> Iterator[Tag]:
    """The tags of a document in their order, and one without a name at its end.

    What is in a script or another element that has no elements in it is said to be `is_raw`, and has no `source`.
    """
    position = begin = 0
    raw = ""
    while (start := html.find("<", position)) != -1:
        named = _NAME.match(html, start)
        mark = html[start + 1 : start + 2]
        if named and raw and not (mark == "/" and _lower(named[1]) == raw):
            # It is none, so it is not looked for its end: each of many would be looked for through all that follow.
            yield Tag(html[begin:start], _lower(named[1]), mark == "/", True, "")
            position, begin = start + 1, start
        elif named:
            found = _TAG.match(html, start)
            if found is None:  # it never ends, and so it is none
                break
            name, is_end = _lower(found["name"]), bool(found["end"])
            yield Tag(html[begin:start], name, is_end, False, found[0])
            raw = name if name in RAW and not is_end else ""
            position = begin = found.end()
        elif raw or mark not in ("!", "?", "/"):
            position = start + 1
        else:
            yield Tag(html[begin:start], "", False, False, "")
            position = begin = _after_comment(html, start)
    yield Tag(html[begin:], "", False, bool(raw), "")


def _lower(name: str) -> str:
    """In small letters, as the standard has it: of ASCII alone. Another letter (the Kelvin sign) makes another name."""
    return name.lower() if name.isascii() else name


def _after_comment(html: str, start: int) -> int:
    if not html.startswith("<!--", start):
        end = html.find(">", start)
        return len(html) if end == -1 else end + 1
    if html.startswith(("<!-->", "<!--->"), start):
        return html.index(">", start) + 1
    end_mark = _END_OF_COMMENT.search(html, start + 4)
    return end_mark.end() if end_mark else len(html)


CLOSED = -1  # as what it stands in was closed, and to be opened anew for what follows


class _Formatting(NamedTuple):
    """An element of formatting: its tag, how many of the SCOPES and of all elements it stands in, or CLOSED."""

    name: str
    source: str
    scopes: int
    place: int


class _Open:
    """The elements that are open. Formatting is kept beside the others: as open, and as what is opened anew."""

    def __init__(self) -> None:
        self.stack: list[str] = []
        self.places: dict[str, list[int]] = defaultdict(list)
        self.formatted: list[_Formatting] = []
        self.to_reopen: list[_Formatting] = []
        self.scopes = 0
        self.has_other_rules = False
        self.misplaced = self.reopened = self.looked_at = self.forms = 0

    @property
    def depth(self) -> int:
        """What is open, and the parts of tables that are there without a tag."""
        return len(self.stack) + 2 * len(self.places["table"]) + len(self.formatted) + self.forms

    def take(self, tag: Tag) -> None:
        self.looked_at += len(self.to_reopen) + len(self.formatted)
        if tag.text:
            self._reopen()
        if tag.is_raw:
            if self.has_other_rules:  # where it may be no script after all
                raise TooHeavy
            if not tag.is_end and tag.name:
                self._open("?")
        elif tag.is_end:
            self._end(tag.name)
        elif tag.name:
            self._start(tag)
        if self.has_other_rules and "<![CDATA[" in tag.text:
            raise TooHeavy
        has_tangled = self.reopened > MOST_REOPENED or self.looked_at > MOST_LOOKED_AT
        if self.depth > MAX_OPEN or self.misplaced > MOST_MISPLACED or has_tangled:
            raise TooHeavy

    def _start(self, tag: Tag) -> None:
        name = tag.name
        if len(tag.source) > MOST_ATTRIBUTES and len(_BLANKS.findall(tag.source)) > MOST_ATTRIBUTES:
            raise TooHeavy
        self.has_other_rules = self.has_other_rules or name in OTHER_RULES
        if not self.has_other_rules:
            self._close_for(name)
        if self.stack and self.stack[-1] in ("table", *ROWS) and name not in TABLE:
            self.misplaced += 1
        if name == "button" or (name not in BLOCKS and name not in TABLE):
            self._reopen()
        if name in FORMATTING:
            self._format(tag)
        elif name == "form":  # its end tag closes it among those that stand in it
            self.forms += 1
        elif name not in VOID or self.has_other_rules:
            self._open(name)

    def _open(self, name: str) -> None:
        if (name in CELLS or name in ROWS or name == "colgroup") and not (self.places["table"] or self.has_other_rules):
            return  # outside of a table it is nothing
        self.places[name].append(len(self.stack))
        self.stack.append(name)
        self.scopes += name in SCOPES

    def _format(self, tag: Tag) -> None:
        this = _Formatting(tag.name, tag.source, self.scopes, 0 if self.has_other_rules else len(self.stack))
        if tag.name == "a" and any(each.name == "a" and each.scopes == this.scopes for each in self.to_reopen):
            self._end("a")
        self.formatted.append(this)
        self.to_reopen.append(this)
        alike = [each for each in self.to_reopen if each.source == this.source and each.scopes == this.scopes]
        if len(alike) > MOST_ALIKE:
            self.to_reopen.remove(alike[0])

    def _close_for(self, name: str) -> None:
        """What a start tag ends that has no end tag of its own."""
        top = self.stack[-1] if self.stack else ""
        if name in ("li", "dd", "dt"):
            place = self._last(("li",) if name == "li" else ("dd", "dt"))
            if place > self._last(_ENDS_ITEMS):
                self._cut(place)
                return
        if name == "button" and self.places["button"] and self.places["button"][-1] > self._last(SCOPES):
            self._cut(self.places["button"][-1])
        elif (name in BLOCKS and name != "button" and top == "p") or (
            name in ("option", "optgroup") and top == "option"
        ):
            self._cut(len(self.stack) - 1)
        elif name == "table" and self._last(("table",)) > self._last(CELLS):
            self._cut(self.places["table"][-1])
        elif name in CELLS or name in ROWS:
            ended = ("td", "th") if name in CELLS else ("td", "th", "tr") if name == "tr" else (*ROWS, "td", "th")
            table = self._last(("table",))
            places = [self.places[each][-1] for each in ended if self.places[each] and self.places[each][-1] > table]
            if places and table >= 0:
                self._cut(min(places))

    def _end(self, name: str) -> None:
        if name in FORMATTING:
            self._end_formatting(name)
            return
        places = self.places[name]
        if not places:
            return
        if name in BLOCKS and not self.has_other_rules:
            is_closed = places[-1] > self._last((*SCOPES, *_MORE_SCOPES.get(name, ())))
        elif name in TABLE and not self.has_other_rules:
            is_closed = name == "table" or places[-1] > self._last(("table",))
        else:
            is_closed = self.stack[-1] == name
        if is_closed:
            self._cut(places[-1])

    def _end_formatting(self, name: str) -> None:
        """The innermost of a name; not where more elements stand between than the standard looks through."""
        height = len(self.stack)
        for kept in (self.to_reopen, self.formatted):
            place = next((place for place in reversed(range(len(kept))) if kept[place].name == name), -1)
            if place == -1 or kept[place].scopes != self.scopes:
                return
            if kept[place].place != CLOSED and height - kept[place].place > MOST_BETWEEN:
                return
            was_closed = kept.pop(place).place == CLOSED
            if was_closed:
                return

    def _reopen(self) -> None:
        for place, each in enumerate(self.to_reopen):
            if each.place == CLOSED:
                self.to_reopen[place] = each._replace(place=len(self.stack))
                self.formatted.append(self.to_reopen[place])
                self.reopened += 1

    def _last(self, names: Iterable[str]) -> int:
        """The place of the innermost of these; -1 for none."""
        return max((self.places[name][-1] for name in names if self.places[name]), default=-1)

    def _cut(self, place: int) -> None:
        has_ended_cell = False
        while len(self.stack) > place:
            name = self.stack.pop()
            self.places[name].pop()
            self.scopes -= name in SCOPES
            has_ended_cell = has_ended_cell or (name in SCOPES and name != "table")
        self.formatted = [each for each in self.formatted if each.place <= place]
        if has_ended_cell:  # and with it what was formatted within
            self.to_reopen = [each for each in self.to_reopen if each.scopes <= self.scopes]
        self.to_reopen = [
            each
            if each.place <= place and each.scopes <= self.scopes
            else each._replace(
                scopes=min(each.scopes, self.scopes), place=each.place if each.place <= place else CLOSED
            )
            for each in self.to_reopen
        ]
