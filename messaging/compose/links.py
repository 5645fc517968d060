"""Links in a text that a person wrote: what opens is what was typed.

Not Django's urlize, which takes text for HTML: it reads `&currency=` as a character and decodes `%2F`.
"""

import re
from urllib.parse import quote

from django.utils.html import format_html

from messaging.intake.addresses import ascii_domain

_WORD = re.compile(r'([^\s<>"\x00-\x1f\x7f]+)')
_SCHEME = re.compile(r"\b(?:https?://|www\.)(?=[^\W_]|\[)", re.IGNORECASE)
_URL = re.compile(
    r"(?P<before>https?://(?:[^/?#@]*@)?)(?P<host>\[[0-9a-f:.]+\]|[^/?#:@\[\]]+)(?P<after>.*)",
    re.IGNORECASE | re.DOTALL,
)
_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
_DOMAIN = re.compile(r"[\w.-]+|\[[0-9a-fA-F:.]+\]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_LINK = re.compile(r'<a href="[^"<>]*">|</a>')
_CLOSING = {")": "(", "]": "[", "}": "{"}
_OPENING = "([{'‘’‚“”„‹›«»"
_AFTER = ".,:;!?'‘’“”‹›«»…"  # of the sentence around a link
LONGEST = 2000  # characters of a link


def linked(text: str) -> str:
    """HTML that says the same, with web and email addresses as links; without those it is the text, escaped."""
    pieces = _WORD.split(text)
    return "".join(_word(piece) if number % 2 else format_html("{}", piece) for number, piece in enumerate(pieces))


def unlinked(html: str) -> str:
    """HTML that `linked` or an earlier version of it has made, without the links: those led elsewhere at times."""
    return _LINK.sub("", html)


def _word(word: str) -> str:
    found = _SCHEME.search(word)
    begin = found.start() if found else len(word) - len(word.lstrip(_OPENING))
    end = _end(word, begin)
    shown = word[begin:end]
    opened = "" if len(shown) > LONGEST else _web(shown) if found else _mail(shown)
    if not opened:
        return format_html("{}", word)
    return format_html('{}<a href="{}">{}</a>{}', word[:begin], opened, shown, word[end:])


def _end(word: str, begin: int) -> int:
    """Where the link ends: before the sentence’s own marks, and before a bracket that was opened before it."""
    opened = {mark: word.count(mark, begin) for pair in _CLOSING.items() for mark in pair}
    end = len(word)
    while end > begin:
        last = word[end - 1]
        if last in _CLOSING and opened[last] > opened[_CLOSING[last]]:
            opened[last] -= 1
        elif last not in _AFTER:
            break
        end -= 1
    return end


def _web(shown: str) -> str:
    """The address that a link opens, letter by letter as it was typed; "" for none."""
    parts = _URL.fullmatch(shown if "://" in shown[:8] else f"http://{shown}")
    named = _ascii_domain(parts["host"]) if parts else ""
    if not parts or not named:
        return ""
    return parts["before"] + named + _NOT_ASCII.sub(lambda found: quote(found[0]), parts["after"])


def _mail(shown: str) -> str:
    local, at, domain = shown.partition("@")
    named = _ascii_domain(domain) if at and "." in domain and _LOCAL.fullmatch(local) else ""
    return f"mailto:{quote(local)}@{named}" if named else ""


def _ascii_domain(domain: str) -> str:
    """As it is asked of the DNS; "" where it is no domain."""
    if not _NOT_ASCII.search(domain):
        return domain if _DOMAIN.fullmatch(domain) else ""
    return ascii_domain(domain)
