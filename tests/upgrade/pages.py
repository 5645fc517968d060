"""Renders the pages of the console and prints what people read there, as JSON: {reader: {URL: [line, ...]}}.

    python -m tests.upgrade.pages

It runs within the environment of an installation (DATABASE_URL, MEDIA_ROOT, the keys), on v0.1.0 and on any later
version: it knows Django, addresses and HTML, and nothing of Outtray. It signs in with the sessions that v0.1.0 made,
follows the links of each page, and changes nothing. The clock stands still at NOW. For the first reader “downloads”
has the SHA-256 of each file that can be downloaded.
"""

import datetime as dt
import gc
import hashlib
import json
import logging
import os
import re
import socket
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from django.utils import timezone

NOW = dt.datetime(2026, 11, 28, 15, tzinfo=dt.UTC)
SESSIONS = Path(__file__).parent / "v0_1_0" / "sessions.json"
# What the others open of it: the administrator opens everything.
OPENED = re.compile(
    r"/messages/(\?status=(held|unknown|sending|cancelled))?|/messages/\d+/(edit/|versions/\d+/)?|/messages/new/.*|"
    r"/batches/(\d+/)?|/notices/|/sending/|/preferences/.*"
)
# Pages that no link leads to: what became of the forms that were submitted, by Otto.
SUBMITTED = [f"/messages/new/00000000-0000-4000-8000-{number:012d}/" for number in range(1, 22)]
# Reader: how many pages they open, how many messages and batches of each list, whether they see what others wrote, and
# where they begin beside the list.
READERS = {
    "ada": (10_000, 10_000, True, []), "tom": (19, 1, True, []), "vera": (16, 1, True, []),
    "otto": (46, 2, False, SUBMITTED),
}  # fmt: skip
# What may stay of an address's query; where nothing is named, nothing does.
QUERIES = {
    r"/messages/": ("status", "page"),
    r"/batches/\d+/": ("outcome", "page"),
    r"/messages/\d+/": ("attempts_page",),
    r"/setup/(email|options|schedules|users)/": ("changes_page",),
    r"/(batches|batches/new|sending|notices)/": ("page",),
}
FILES = re.compile(r".*/(eml|draft|attachments/\d+)/")
# No pages, or what others show as well.
NO_PAGES = re.compile(r".*/(newer|older|html|logout|set-up)/|/static/.*|/messages/\?status=all&page=.*")
ITEM = re.compile(r"/(messages|batches)/\d+/")
# So many of those that are alike are enough.
ENOUGH = {
    re.compile(r"/messages/\d+/edit/"): 4, re.compile(r"/batches/\d+/\?outcome=.*"): 4,
    re.compile(r"/setup/email/users/[^/]+/sign-in/"): 1,
}  # fmt: skip

# It differs from run to run: sessions count as begun when the database was upgraded.
SIGNED_IN = re.compile(r"(?<=igned in )\[.*")

BLOCKS = {
    "address", "article", "aside", "blockquote", "button", "caption", "details", "div", "dl", "fieldset",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "iframe", "label", "legend", "li", "main",
    "nav", "ol", "option", "p", "pre", "section", "select", "summary", "table", "tbody", "textarea", "thead", "tr",
    "ul",
}  # fmt: skip
CELLS = {"td", "th", "dd"}  # of one line
SKIPPED = {"script", "style", "template", "datalist"}
EMPTY = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
TOLD = ("title", "aria-label", "placeholder", "alt")


class Page(HTMLParser):
    """The `lines` that a person reads in <main>, one per block or row of a table, and the `links` of the page."""

    def __init__(self, html):
        super().__init__()
        self.lines, self.links = [], []
        self._words, self._skipped, self._main, self._kept, self._told = [], 0, 0, 0, ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in SKIPPED:
            self._skipped += 1
        self._main += tag == "main"
        self._kept += tag in ("pre", "textarea")
        if not self._main or self._skipped:
            return
        if tag in CELLS and any(map(str.strip, self._words)):
            self._say("|")
        elif tag in BLOCKS or tag in ("br", "dt"):
            self._end_line()
        if tag == "input":
            self._say(_input(given))
        if tag == "option" and "selected" in given:
            self._say("*")
        for name in TOLD:
            if given.get(name):
                self._told = given[name]
                self._say(f"[{given[name]}]")

    def handle_endtag(self, tag):
        if tag in SKIPPED:
            self._skipped -= 1
        if tag in BLOCKS:
            self._end_line()
        self._main -= tag == "main"
        self._kept -= tag in ("pre", "textarea")

    def handle_data(self, data):
        if self._main and not self._skipped:
            if self._told and data.split() == self._told.split() and self._words:
                self._words.pop()  # it says in its title what it says
            self._told = self._told if not data.strip() else ""
            first, *others = data.split("\n") if self._kept else [data]
            self._words.append(first)
            for each in others:
                self._end_line()
                self._words.append(each)

    def _say(self, words):
        if words:
            self._words.append(f" {words} ")

    def _end_line(self):
        line = " ".join("".join(self._words).split())
        if line:
            self.lines.append(line)
        self._words = []


def _input(given):
    kind = given.get("type", "text")
    if kind in ("checkbox", "radio"):
        return "[x]" if "checked" in given else "[ ]"
    return "" if kind == "hidden" else given.get("value", "")


def address(base, href):
    """Where a link leads on this host, with what of the query says which page it is; "" for elsewhere."""
    found = urlsplit(urljoin(f"http://localhost{base}", href))
    if found.scheme != "http" or found.netloc != "localhost":
        return ""
    names = next((names for path, names in QUERIES.items() if re.fullmatch(path, found.path)), ())
    usual = {("status", "queued"), *((name, "1") for name in ("page", "attempts_page", "changes_page"))}
    query = urlencode([pair for pair in parse_qsl(found.query) if pair[0] in names and pair not in usual])
    return f"{found.path}?{query}" if query else found.path


def crawl(browser, start, most_pages, most_items, is_opened):
    """The pages that a reader gets to and opens, by their addresses, and the addresses of files.

    Of each list so many messages and batches are opened at the most.
    """
    pages, files = {}, {}
    waiting = ["/messages/", *start]
    enough = dict(ENOUGH)
    while waiting and len(pages) < most_pages:
        url = waiting.pop(0)
        if url in pages:
            continue
        like = next((each for each in ENOUGH if each.fullmatch(url)), None)
        if like:
            enough[like] -= 1
            if enough[like] < 0:
                continue
        answer = browser.get(url)
        if answer.status_code != 200:
            pages[url] = [f"{answer.status_code} {answer.get('Location', '')}".strip()]
            continue
        html = answer.content.decode()
        page = Page(html if not pages else html[html.index("<main") :])  # the menu is the same on each
        pages[url] = [SIGNED_IN.sub("…", line) for line in page.lines]
        links = dict.fromkeys(address(url, link) for link in page.links)
        left_out = set([link for link in links if ITEM.fullmatch(link)][most_items:])
        for link in links:
            if FILES.fullmatch(link):
                files[link] = url
            elif link and link not in left_out and not NO_PAGES.fullmatch(link) and is_opened(link):
                waiting.append(link)
    return pages, files


def told_once(pages):
    """What a page begins with like another one stands there alone: banners, and what is above a list's pages."""
    told = {}
    for url, lines in pages.items():
        like = re.sub(r"[?&](page|outcome)=.*", "", url)
        like = like if like != url and like in pages else "/messages/"
        number = next((n for n, (one, two) in enumerate(zip(lines, pages[like], strict=False)) if one != two), 0)
        told[url] = [f"(as on {like})", *lines[number:]] if number and like != url else lines
    return told


def wanted(files):
    """Whatever is attached, edited or a draft; the whole message where something is attached, and every tenth."""
    attached = {page for file, page in files.items() if "/attachments/" in file}
    return [
        file
        for file, page in files.items()
        if not re.fullmatch(r"/messages/\d+/eml/", file) or page in attached or file.endswith("0/eml/")
    ]


def digest(answer):
    """Of a file: the SHA-256 of its octets; otherwise the status."""
    if answer.status_code != 200:
        return str(answer.status_code)
    octets = answer.getvalue() if answer.streaming else answer.content
    return hashlib.sha256(octets).hexdigest()


def set_up():
    """Django as the environment has it, at NOW, and the same on every machine."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    timezone.now = lambda: NOW  # before anything of Outtray is imported
    socket.gethostname = socket.getfqdn = lambda name="": "console.brightwater.example"

    import django
    from django.conf import settings

    django.setup()
    logging.disable()
    gc.set_threshold(50_000)
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("whitenoise.")]


def render():
    """What each reader reads, and what the first one can download; nothing is changed."""
    from django.conf import settings
    from django.db import connection, transaction
    from django.test import Client

    cookies, found = json.loads(SESSIONS.read_text()), {}
    with transaction.atomic():
        for reader, (most_pages, most_items, sees_all, start) in READERS.items():
            with connection.cursor() as cursor:
                cursor.execute("UPDATE messaging_companyoptions SET operators_see_all = %s", [sees_all])
            browser = Client(SERVER_NAME="localhost")
            browser.cookies[settings.SESSION_COOKIE_NAME] = cookies[reader]
            is_opened = OPENED.fullmatch if found else bool
            pages, files = crawl(browser, start, most_pages, most_items, is_opened)
            found[reader] = told_once(pages)
            if "downloads" not in found:
                found["downloads"] = {url: digest(browser.get(url)) for url in wanted(files)}
        transaction.set_rollback(True)
    return found


if __name__ == "__main__":
    set_up()
    json.dump(render(), sys.stdout, ensure_ascii=False, indent=0, sort_keys=True)
    print()
