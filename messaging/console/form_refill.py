"""A page with one of its forms filled in again, as it was when it was sent after its session had ended.

It is done in the page that was made, whatever view made it, so that no form is left out. A form whose fields mean
something else in another version of what it shows is filled in by its view, and says so (OWN_FILLING).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from html import escape
from html.parser import HTMLParser
from urllib.parse import urlsplit

from messaging.access.kept_forms import CSRF, OWNER
from messaging.console import promise_field

BUTTONS = ("submit", "button", "image", "reset")
AS_IT_IS = ("password", "file", *BUTTONS)
CHOSEN = ("checkbox", "radio")
# Of hidden fields: upon what was typed stands, and which form it was. What decides what a button acts upon is as the
# page shows it: no one sees that it is filled in, nor who planted it.
HIDDEN = ("version", "company_version", "key")
ACCOUNT_KEY = "account_key"  # whom the page of a form is about: it is another form where that is another user
OWN_FILLING = "data-own-filling"  # of a form

Attributes = list[tuple[str, str | None]]
Change = tuple[int, int, str]  # from where to where, and what comes there


def fill_in(html: str, here: str, path: str, fields: Mapping[str, Sequence[str]]) -> str | None:
    """The page with the form that goes to `path` filled in, if one types into it; None: it has no such form.

    Args:
        here: the path of the page, where a form goes that names no other.
    """
    filler = _Filler(html, here, path, fields)
    filler.feed(html)
    filler.close()
    return filler.result() if filler.is_found else None


class _Filler(HTMLParser):
    """Notes what is to be replaced, from where to where, while it reads.

    Of the forms that go to the path, the first into which a user types is filled in. A form of buttons is left as it
    is: what it does may depend on its hidden fields, and the page may have another one for the same path.
    """

    def __init__(self, html: str, here: str, path: str, fields: Mapping[str, Sequence[str]]) -> None:
        super().__init__(convert_charrefs=False)
        self.html, self.here, self.path = html, here, path
        self.fields = fields
        self.is_found = self.is_inside = self.is_typed_into = False
        self.left: dict[str, deque[str]] = {}
        self.select = self.textarea = ""
        self.text_from = 0
        self.folded: list[Change] = []  # around this place
        self.changes: set[Change] = set()
        self.lines = [0]
        for line in html.split("\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)

    def place(self) -> int:
        line, column = self.getpos()
        return self.lines[line - 1] + column

    def result(self) -> str:
        parts, done = [], 0
        for start, end, text in sorted(self.changes) if self.is_typed_into else ():
            parts += [self.html[done:start], text]
            done = end
        return "".join([*parts, self.html[done:]])

    def replaced(self, tag: str, attributes: Attributes) -> Change:
        written = "".join(f" {name}" if value is None else f' {name}="{escape(value)}"' for name, value in attributes)
        start = self.place()
        return start, start + len(self.get_starttag_text() or ""), f"<{tag}{written}>"

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = dict(attrs)
        if tag == "form":
            target = urlsplit(given.get("action") or "").path or self.here
            is_its = not self.is_typed_into and given.get("method", "get") == "post" and target == self.path
            self.is_found |= is_its
            self.is_inside = is_its and OWN_FILLING not in given
            if self.is_inside:
                self.begin()
        elif tag == "details":
            self.folded.append(self.replaced(tag, _with(attrs, "open", given.get("open") or "")))
        elif self.is_inside:
            self.fill(tag, attrs, given)

    def begin(self) -> None:
        self.left = {name: deque(values) for name, values in self.fields.items() if name not in (CSRF, OWNER)}
        self.changes = set(self.folded)

    def fill(self, tag: str, attrs: Attributes, given: Mapping[str, str | None]) -> None:
        name, kind = given.get("name") or "", (given.get("type") or "text").lower()
        if tag in ("select", "textarea") or (tag == "input" and kind not in ("hidden", *BUTTONS)):
            self.is_typed_into = True
        if tag == "select":
            self.select = name if name in self.left else ""
        elif tag == "option" and self.select:
            is_chosen = (given.get("value") or "") in self.fields[self.select]
            self.changes.add(self.replaced(tag, _marked(attrs, "selected", is_chosen)))
            if is_chosen != ("selected" in given):
                self.unfold()
        elif tag == "textarea" and self.left.get(name):
            self.textarea, self.text_from = name, self.place() + len(self.get_starttag_text() or "")
        elif tag == "input" and name not in (CSRF, OWNER):
            self.fill_input(attrs, kind, name, given.get("value"))

    def fill_input(self, attrs: Attributes, kind: str, name: str, value: str | None) -> None:
        if kind in CHOSEN:
            is_chosen = ("on" if value is None else value) in self.fields.get(name, ())
            self.changes.add(self.replaced("input", _marked(attrs, "checked", is_chosen)))
            if is_chosen != ("checked" in dict(attrs)):
                self.unfold()
        elif name == ACCOUNT_KEY and self.fields.get(name, [value]) != [value]:
            self.is_found = self.is_inside = False
        elif name == promise_field.FIELD:  # the page it was typed into, and this one: both are to be true
            both = sorted(promise_field.words(value or "") & promise_field.words(*self.fields.get(name, ())))
            self.changes.add(self.replaced("input", _with(attrs, "value", " ".join(both))))
        elif kind == "hidden" and name not in HIDDEN:
            return
        elif kind not in AS_IT_IS and self.left.get(name):
            text = self.left[name].popleft()
            self.changes.add(self.replaced("input", _with(attrs, "value", text)))
            if kind != "hidden" and text != (value or ""):
                self.unfold()

    def unfold(self) -> None:
        """What is typed here is to be seen."""
        self.changes.update(self.folded)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.is_inside = False
        elif tag == "details" and self.folded:
            self.folded.pop()
        elif tag == "select":
            self.select = ""
        elif tag == "textarea" and self.textarea:
            # A line break after the tag is not part of the text (HTML 13.2.6.4.7).
            text = "\n" + escape(self.left[self.textarea].popleft())
            self.changes.add((self.text_from, self.place(), text))
            self.unfold()
            self.textarea = ""


def _with(attrs: Attributes, name: str, value: str) -> Attributes:
    return [*((each, given) for each, given in attrs if each != name), (name, value)]


def _marked(attrs: Attributes, name: str, is_marked: bool) -> Attributes:
    rest: Attributes = [(each, given) for each, given in attrs if each != name]
    return [*rest, (name, None)] if is_marked else rest
