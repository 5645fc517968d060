"""People and times in words: the same on every page and in every command."""

from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone, translation
from django.utils.formats import date_format

# How American English writes what British English writes so.
AMERICAN = {
    "H:i": "g:i a",
    "j M H:i": "N j, g:i a",
    "j M Y": "N j, Y",
    "j M Y, H:i": "N j, Y, g:i a",
    "j M Y, H:i:s": "N j, Y, g:i:s a",
    "l j F Y, H:i:s T": "l, F j, Y, g:i:s a T",
}


def person(user: User | None, no_one: str = "") -> str:
    """A person's full name, or the user name where there is none."""
    return (user.get_full_name() or user.get_username()) if user is not None else no_one


def dated(value: datetime, form: str) -> str:
    """A time in the time zone in force, in one of the British forms of AMERICAN, or as the language has it."""
    is_american = translation.get_language() == "en-us"
    return date_format(timezone.localtime(value), AMERICAN[form] if is_american else form)


def moment(value: datetime | None) -> str:
    """A time as short as it can be told: 14:05 today, 3 Mar 14:05 this year, 3 Mar 2025 in another."""
    if value is None:
        return ""
    local, today = timezone.localtime(value), timezone.localdate()
    if local.date() == today:
        return dated(value, "H:i")
    return dated(value, "j M H:i" if local.year == today.year else "j M Y")


def at(value: datetime | None) -> str:
    """When something will happen: "at 14:05", "3 Mar 14:05", or "now" when it is time for it."""
    return "now" if value is None or value <= timezone.now() else on(value)


def on(value: datetime) -> str:
    """As `at`, but never "now": "at 14:05", "3 Mar 14:05"."""
    is_today = timezone.localtime(value).date() == timezone.localdate()
    return f"at {moment(value)}" if is_today else moment(value)


def changed(before: str, after: str) -> str:
    """What became of a value: "set to “b”", "from “a” to “b”", "emptied, it was “a”"."""
    if not before:
        return f"set to “{after}”" if after else "emptied"
    return f"from “{before}” to “{after}”" if after else f"emptied, it was “{before}”"


def sentence(text: str) -> str:
    """With a full stop at its end, unless it ends like a sentence already."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def as_time(text: str | None) -> datetime | None:
    """A time that a phrase keeps in ISO 8601."""
    return datetime.fromisoformat(text) if text else None
