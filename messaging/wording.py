"""People, times and pauses in words: the same on every page and in every command."""

from datetime import datetime

from django.contrib.auth.models import User
from django.utils import timezone, translation
from django.utils.formats import date_format

from messaging.models import AccountPause

Kind = AccountPause.Kind
# How American English writes what British English writes so.
AMERICAN = {
    "H:i": "g:i a",
    "j M H:i": "N j, g:i a",
    "j M Y": "N j, Y",
    "j M Y, H:i": "N j, Y, g:i a",
    "j M Y, H:i:s": "N j, Y, g:i:s a",
    "l j F Y, H:i:s T": "l, F j, Y, g:i:s a T",
}


def person(user: User | None, nobody: str = "") -> str:
    """A person's full name, or the user name where there is none."""
    return (user.get_full_name() or user.get_username()) if user is not None else nobody


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
    if value is None or value <= timezone.now():
        return "now"
    is_today = timezone.localtime(value).date() == timezone.localdate()
    return f"at {moment(value)}" if is_today else moment(value)


def by_whom(pause: AccountPause) -> str:
    """Who paused, and until when: "by Anna until 14:05"."""
    return f"by {person(pause.by, 'somebody')} until {moment(pause.until) or 'resumed'}"


def paused_by(pause: AccountPause) -> str:
    """Who or what began a pause, for the history."""
    if pause.kind in AccountPause.PROBED:
        return "the mail server" if pause.kind == Kind.BUSY else "a set-up fault"
    return person(pause.by, "somebody")


def ended_by(pause: AccountPause) -> str:
    """Who or what ended a pause that is over, for the history."""
    if pause.ended_by is not None:
        return person(pause.ended_by)
    return "a try that got through" if pause.kind in AccountPause.PROBED else "its time"


def state(pause: AccountPause) -> str:
    """What keeps an account from sending, as one sentence beside its name."""
    match pause.kind:
        case Kind.ALL:
            return f"All sending is paused {by_whom(pause)}: {sentence(pause.explanation)}"
        case Kind.PERSON:
            return f"Paused {by_whom(pause)}: {sentence(pause.explanation)}"
        case Kind.FAULT:
            return (
                f"Set-up at fault since {moment(pause.since)}, next try {at(pause.until)}: "
                f"{sentence(pause.explanation)}"
            )
        case Kind.BUSY:
            return f"Slowed down by the mail server, next try {at(pause.until)}: {sentence(pause.explanation)}"
        case Kind.WINDOW:
            return f"{pause.explanation.rstrip('.')}; opens {at(pause.until)}."
    return f"{pause.explanation.rstrip('.')}; goes on {at(pause.until)}."


def banner(pause: AccountPause) -> str:
    """What everybody is told on every page."""
    account = person(pause.account, "the company")
    match pause.kind:
        case Kind.ALL:
            return state(pause)
        case Kind.PERSON:
            return f"Sending as {account} is paused {by_whom(pause)}: {sentence(pause.explanation)}"
        case Kind.BUSY:
            return f"The mail server asked us to slow down: sending as {account} goes on {at(pause.until)}."
    return f"Sending as {account} is paused: {sentence(pause.explanation)}"


def waits(pause: AccountPause) -> str:
    """Why a message waits: "Waits: the limit of 30 messages per minute is reached; goes on at 14:05." """
    match pause.kind:
        case Kind.PERSON:
            said = banner(pause)
        case Kind.FAULT:
            said = f"{sentence(pause.explanation)} It is tried again {at(pause.until)}."
        case Kind.BUSY:
            said = f"the mail server asked us to slow down; goes on {at(pause.until)}."
        case _:
            said = state(pause)
    return f"Waits: {said[:1].lower()}{said[1:]}"


def sentence(text: str) -> str:
    """With a full stop at its end, unless it ends like a sentence already."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
