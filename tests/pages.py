"""What a page says, and what a person does on it."""

import html
import re

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


def in_form(moment):
    """A time as a browser sends it."""
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")
