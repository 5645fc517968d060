"""What a page says, and what a person does on it."""

import html
import re
from html.parser import HTMLParser

from django.utils import timezone


def source(response):
    """A page as the browser gets it, its white space folded."""
    return " ".join(response.getvalue().decode().split())


def words(page):
    """What a page, or a piece of one, says: one line without its tags."""
    page = page if isinstance(page, str) else page.getvalue().decode()
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    return re.sub(r"\s+([.,:;])", r"\1", text)


def page_of(browser, message):
    return source(browser.get(f"/messages/{message.pk}/"))


def act(browser, message, action, **values):
    """Press a button on the page of a message; the page that follows."""
    response = browser.post(f"/messages/{message.pk}/{action}/", values, follow=True)
    message.refresh_from_db()
    return source(response)


def choose(browser, *messages, **values):
    """Choose messages for a batch."""
    return browser.post("/batches/new/", {"message": [message.pk for message in messages]} | values)


def as_of(browser, query="status=all"):
    """What the message list, read now, says in its form of what there was."""
    return form_of(browser.get(f"/messages/?{query}"), within="as_of")["as_of"][0]


def press(browser, schedule, button, given=(), **options):
    """Press a button of a schedule as it is now."""
    version = type(schedule).objects.get(pk=schedule.pk).version
    return browser.post(f"/setup/schedules/{schedule.pk}/{button}/", {"version": version} | dict(given), **options)


def in_form(moment):
    """A time as a browser sends it."""
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")


class _Forms(HTMLParser):
    """The fields of each form of a page, as a browser sends them."""

    def __init__(self, page):
        super().__init__()
        self.forms, self.text, self.choice = [], None, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        if not self.forms:
            return
        fields, name = self.forms[-1][1], given.get("name")
        if tag == "input" and name and given.get("type") not in ("file", "submit"):
            is_choice = given.get("type") in ("checkbox", "radio")
            if not is_choice or "checked" in given:
                fields.setdefault(name, []).append(given.get("value", "on" if is_choice else ""))
        elif tag == "textarea" and name:
            self.text = name
            fields[name] = [""]
        elif tag == "select" and name:
            self.choice = name
        elif tag == "option" and self.choice and ("selected" in given or self.choice not in fields):
            fields[self.choice] = [given.get("value", "")]

    def handle_data(self, data):
        if self.text is not None:
            self.forms[-1][1][self.text][0] += data.lstrip("\n")

    def handle_endtag(self, tag):
        if tag == "textarea":
            self.text = None
        if tag == "select":
            self.choice = None


def form_of(page, *, within="", action=None):
    """The fields of a page's form that has the field `within`, or leads to the address `action`, or the largest."""
    forms = [
        fields for to, fields in _Forms(page.text).forms if (within in fields or not within) and action in (None, to)
    ]
    return max(forms, key=len)


def filled(browser, url, *, within="", **changes):
    """The form of a page that has the field `within`, or the largest, with other values; None for none."""
    given = form_of(browser.get(url), within=within) | changes
    return {name: value for name, value in given.items() if value is not None}
