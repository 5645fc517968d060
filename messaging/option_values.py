"""What the company's options may be: the judgement of the page and of the command, and the texts both are given."""

import re
import unicodedata
from collections.abc import Callable
from urllib.parse import urlsplit

from messaging.access import roles
from messaging.company import windows
from messaging.company.options import WAYS_IN
from messaging.intake import typed_addresses
from messaging.intake.errors import BadAddress
from messaging.setup.servers import CONTROL, LONGEST_URL, BadServer, parse_patterns, server_name

NUMBERS = {
    "max_tries": "Enter a number from 1 to 50, or leave it empty.",
    "retry_hours": "Enter a number of hours from 1 to 720 (30 days), or leave it empty.",
    "expire_days": "Enter a number of days from 1 to 3650, or leave it empty.",
    "same_refusals": "Enter a number from 1 to 100, or off.",
    "idle_minutes": "Enter a number of minutes from 5 to 20160 (14 days).",
    "session_hours": "Enter a number of hours from 1 to 336 (14 days).",
}
OFF = "off"  # of a number that switches itself off with 0
OFF_AS_ZERO = ("same_refusals",)
MOST_CATEGORIES = 100
MOST_LINES = 1000
CATEGORY_LENGTH = 40
CATEGORY = re.compile(r"[^\s\x00-\x1f\x7f]+(?: [^\s\x00-\x1f\x7f]+)*")
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class BadOption(ValueError):
    """What was entered cannot be the value of an option; the text says why, in plain words."""


def company_name(text: str) -> str:
    if CONTROL.search(text) or _has_odd(text):
        raise BadOption("Line breaks and control characters are not allowed here.")
    return _at_most(text.strip(), 120)


def company_address(text: str) -> str:
    try:
        return _at_most(typed_addresses.one(text) if text.strip() else "", 320)
    except BadAddress as error:
        raise BadOption(str(error)) from error


def console_url(text: str) -> str:
    """The address of a console, without a slash at its end; "" stays ""."""
    try:
        return _at_most(_console_url(text.strip()), 200)
    except BadServer as error:
        raise BadOption(str(error)) from error


def time_zone(text: str) -> str:
    try:
        return windows.zone_named(text).key if text else ""
    except windows.BadWindow as error:
        raise BadOption(str(error)) from error


def categories(text: str) -> str:
    """Of mail that is not held, one per line: in small letters, each once."""
    lines = list(dict.fromkeys(filter(None, (line.strip().lower() for line in text.splitlines()))))
    for line in lines:
        if len(line) > CATEGORY_LENGTH or not CATEGORY.fullmatch(line) or _has_odd(line):
            words = f"is not a category: at most {CATEGORY_LENGTH} letters, digits or signs."
            raise BadOption(f"“{line[:CATEGORY_LENGTH]}” {words}")
    if len(lines) > MOST_CATEGORIES:
        raise BadOption(f"At most {MOST_CATEGORIES} categories are allowed.")
    return "\n".join(lines)


def urgent_claims(text: str) -> str:
    """Which way in may name which category that is not held: `backend alarm` or `sendmail *`, one per line."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        way, _, category = " ".join(line.lower().split()).partition(" ")
        if way not in WAYS_IN or not category:
            words = f"is not a way in ({' or '.join(WAYS_IN)}) and a category, such as “sendmail alarm” or “backend *”."
            raise BadOption(f"“{_short(line)}” {words}")
        found.append(f"{way} {categories(category)}")
    return "\n".join(_each_once(found))


def user_senders(text: str) -> str:
    """Which user may send from which address: `anna office@example.com`, or `*` for all users, one per line."""
    found = []
    for line in filter(None, map(str.strip, text.splitlines())):
        user, _, address = line.partition(" ")
        if not address or _has_odd(line):
            raise BadOption(f"“{_short(line)}” is not a user name and an address, such as “anna office@example.com”.")
        try:
            found.append(f"{user} {typed_addresses.one(address)}")
        except BadAddress as error:
            raise BadOption(f"“{_short(line)}”: {error}") from error
    return "\n".join(_each_once(found))


def _each_once(lines: list[str]) -> list[str]:
    if len(lines) > MOST_LINES:
        raise BadOption(f"At most {MOST_LINES} lines are allowed.")
    return list(dict.fromkeys(lines))


def _short(line: str) -> str:
    return line[:CATEGORY_LENGTH]


def user_servers(text: str) -> str:
    """Servers that users may name, one per line."""
    try:
        return "\n".join(map(str, parse_patterns(text)))
    except BadServer as error:
        raise BadOption(str(error)) from error


def second_factor_roles(text: str) -> str:
    """Roles, one per line, in any spelling; in their order."""
    known = {role.casefold(): role for role in roles.ROLES}
    chosen = {line.strip().casefold() for line in text.splitlines() if line.strip()}
    if chosen - known.keys():
        wrong = min(chosen - known.keys())[:40]
        raise BadOption(f"“{wrong}” is not a role. Choose from {', '.join(roles.ROLES)}.")
    return "\n".join(role for name, role in known.items() if name in chosen)


# Each takes what was entered, and raises BadOption.
READERS: dict[str, Callable[[str], str]] = {
    "company_name": company_name,
    "company_address": company_address,
    "console_url": console_url,
    "time_zone": time_zone,
    "urgent_categories": categories,
    "urgent_claims": urgent_claims,
    "user_servers": user_servers,
    "user_senders": user_senders,
    "second_factor_roles": second_factor_roles,
}


def _console_url(text: str) -> str:
    if not text:
        return ""
    words = "Enter the address as the browser shows it, such as https://outtray.example.com."
    _at_most(text, LONGEST_URL)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadServer(words) from error
    is_plain = not (parts.username or parts.password or parts.query or parts.fragment)
    if parts.scheme not in ("http", "https") or not host or not is_plain:
        raise BadServer(words)
    if CONTROL.search(text) or _has_odd(text) or re.search(r'[\s<>"\\]', text):
        raise BadServer(f"An address cannot contain spaces, quotes or line breaks. {words}")
    name = server_name(host)
    name = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _has_odd(text: str) -> bool:
    """Whether there is something in it that no one sees, or that turns the text around it."""
    return any(char in BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text)


def _at_most(text: str, length: int) -> str:
    if len(text) > length:
        raise BadOption(f"It is longer than {length} characters.")
    return text
