"""A page with one of its forms filled in again, as it was when it was sent after its session had ended.

It is done in the page that was made, whatever view made it, so that no form is left out.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit

from messaging.kept_forms import CSRF, OWNER

AS_IT_IS = ("password", "file", "submit", "button", "image", "reset")
CHOSEN = ("checkbox", "radio")

Attributes = list[tuple[str, str | None]]


def fill_in(html: str, here: str, path: str, fields: Mapping[str, Sequence[str]]) -> str | None:
    """The page with the form that goes to `path` filled in; None: it has no such form.

    Args:
        here: the path of the page, where a form goes that names no other.
    """
    filler = _Filler(html, here, path, fields)
    filler.feed(html)
    filler.close()
    return filler.result() if filler.is_found else None


class _Filler(HTMLParser):
    """Notes what is to be replaced, from where to where, while it reads."""

    def __init__(self, html: str, here: str, path: str, fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__(convert_charrefs=False)
        self.html, self.here, self.path = html, here, path
        self.fields = fields
        self.left = {name: deque(values) for name, values in fields.items() if name not in (CSRF, OWNER)}
        self.is_found = self.is_inside = False
        self.select = self.textarea = ""
        self.text_from = 0
        self.changes: list[tuple[int, int, str]] = []
        self.lines = [0]
        for line in html.split("\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)

    def place(self) -> int:
        line, column = self.getpos()
        return self.lines[line - 1] + column

    def result(self) -> str:
        parts, done = [], 0
        for start, end, text in self.changes:
            parts += [self.html[done:start], text]
            done = end
        return "".join([*parts, self.html[done:]])

    def replace_tag(self, tag: str, attributes: Attributes) -> None:
        written = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in attributes)
        start = self.place()
        self.changes.append((start, start + len(self.get_starttag_text() or ""), f"<{tag}{written}>"))

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = dict(attrs)
        if tag == "form":
            target = urlsplit(given.get("action") or "").path or self.here
            self.is_inside = not self.is_found and given.get("method", "get") == "post" and target == self.path
            self.is_found = self.is_found or self.is_inside
        elif self.is_inside:
            self.fill(tag, attrs, given)

    def fill(self, tag: str, attrs: Attributes, given: Mapping[str, str | None]) -> None:
        name = given.get("name") or ""
        if tag == "details":
            self.replace_tag(tag, _with(attrs, "open", given.get("open") or ""))
        elif tag == "select":
            self.select = name if name in self.left else ""
        elif tag == "option" and self.select:
            self.replace_tag(tag, _marked(attrs, "selected", (given.get("value") or "") in self.fields[self.select]))
        elif tag == "textarea" and self.left.get(name):
            self.textarea, self.text_from = name, self.place() + len(self.get_starttag_text() or "")
        elif tag == "input" and name not in (CSRF, OWNER):
            self.fill_input(attrs, given.get("type") or "text", name, given.get("value"))

    def fill_input(self, attrs: Attributes, kind: str, name: str, value: str | None) -> None:
        if kind in CHOSEN:
            is_chosen = ("on" if value is None else value) in self.fields.get(name, ())
            self.replace_tag("input", _marked(attrs, "checked", is_chosen))
        elif kind not in AS_IT_IS and self.left.get(name):
            self.replace_tag("input", _with(attrs, "value", self.left[name].popleft()))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_inside = False
        elif tag == "select":
            self.select = ""
        elif tag == "textarea" and self.textarea:
            # A line break after the tag is not part of the text (HTML 13.2.6.4.7).
            text = "\n" + escape(self.left[self.textarea].popleft())
            self.changes.append((self.text_from, self.place(), text))
            self.textarea = ""


def _with(attrs: Attributes, name: str, value: str) -> Attributes:
    return [*((each, given) for each, given in attrs if each != name), (name, value)]


def _marked(attrs: Attributes, name: str, is_marked: bool) -> Attributes:
    rest: Attributes = [(each, given) for each, given in attrs if each != name]
    return [*rest, (name, None)] if is_marked else rest
