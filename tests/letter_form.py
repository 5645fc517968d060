"""The form of a letter as a browser reads it from a page and sends it again, without JavaScript."""

import re
from html.parser import HTMLParser


class _Fields(HTMLParser):
    def __init__(self):
        super().__init__()
        self.given, self.text, self.within = {}, None, False

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form":
            self.within = "data-letter" in attributes
        if tag == "textarea" and self.within:
            self.text = (attributes["name"], [])
        if tag != "input" or not self.within or "name" not in attributes:
            return
        kind = attributes.get("type", "text")
        if kind in ("checkbox", "radio") and "checked" not in attributes:
            return
        if kind != "file":
            value = attributes.get("value", "on" if kind == "checkbox" else "").replace("\0", "\ufffd")
            value = re.sub(r"[\r\n]", "", value)
            self.given.setdefault(attributes["name"], []).append(value)

    def handle_data(self, data):
        if self.text is not None:
            self.text[1].append(data)

    def handle_endtag(self, tag):
        if tag == "textarea" and self.text is not None:
            name, pieces = self.text
            lines = re.split("\r\n|\r|\n", "".join(pieces).replace("\0", "\ufffd"))
            self.given[name] = ["\r\n".join(lines[1:] if lines[0] == "" and len(lines) > 1 else lines)]
            self.text = None
        if tag == "form":
            self.within = False


def sent_by_browser(response):
    """What the form of a page would send: a list of values for each name."""
    fields = _Fields()
    fields.feed(response.content.decode())
    fields.close()
    return fields.given


def promised(client, url="/messages/new/"):
    """What the page of a new message says that its buttons do, as its form names it."""
    return {name: values for name, values in sent_by_browser(client.get(url)).items() if name == "promised"}


def saved(client, message, page=None, **values):
    """Send the form of a page (by default that of the message as it is), with other values; None for none."""
    url = f"/messages/{message.pk}/edit/"
    given = sent_by_browser(page if page is not None else client.get(url)) | values
    return client.post(url, {name: value for name, value in given.items() if value is not None})
