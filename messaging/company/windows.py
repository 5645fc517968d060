"""Sending windows: when an account may send, as one line of text.

Mon-Fri 07:00-19:00, Sat 08:00-12:00
daily 22:00-06:00          (a span may go past midnight)
always
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

from messaging.models import Phrase, PhraseError, Words

ALWAYS = "always"
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HELP = "Write days and times, such as “Mon-Fri 07:00-19:00, Sat 08:00-12:00”, “daily 22:00-06:00” or “always”."

_TIME = r"[0-9]{1,2}:[0-9]{2}"
_SPAN = re.compile(rf"(?P<days>[a-z]+(?:\s*-\s*[a-z]+)?)\s+(?P<start>{_TIME})\s*-\s*(?P<end>{_TIME})")


WORDS: dict[str, Words] = {
    "no sending window": f"“{{text}}” is not a sending window. {HELP}",
    "window without length": f"“{{text}}” begins and ends at the same time. {HELP}",
    "no day": f"“{{text}}” is not a day. {HELP}",
    "no time of day": f"“{{text}}” is not a time of day. {HELP}",
    "no time zone": lambda name, alike: (
        f"“{name}” is not a time zone."
        + (f" Did you mean {' or '.join(alike)}?" if alike else " Write it like Europe/Berlin or UTC.")
    ),
}


class BadWindow(PhraseError, ValueError):
    """What was written is no sending window; it says what is wrong and what is allowed."""

    words = WORDS


@dataclass(frozen=True)
class Span:
    """From `start` to `end` in minutes after midnight of one weekday (Monday is 0); `end` may lie past midnight."""

    weekday: int
    start: int
    end: int


@lru_cache(maxsize=256)
def parse(text: str) -> tuple[Span, ...]:
    """The spans of a window; none for "always" or an empty text, which mean at any time. Raises BadWindow."""
    cleaned = text.strip().lower().replace("–", "-")
    if cleaned in ("", ALWAYS):
        return ()
    return tuple(span for piece in cleaned.split(",") for span in _spans(piece.strip()))


@cache
def zone_names() -> list[str]:
    """The names of all time zones that this machine knows, in order."""
    return sorted(available_timezones())


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The time zone of that name. Raises BadWindow, with names that are like it."""
    names = zone_names()
    if name in names:
        return ZoneInfo(name)
    wanted = name.strip().lower().replace(" ", "_")
    # By the city alone, too: no one remembers which part of the world a zone is filed under.
    by_word = {word.lower(): full for full in names for word in (full.rpartition("/")[2], full)}
    words = [wanted] if wanted in by_word else get_close_matches(wanted, by_word, n=3, cutoff=0.7)
    alike = list(dict.fromkeys(by_word[word] for word in words))
    raise BadWindow(Phrase("no time zone", name=name, alike=alike))


def problem(text: str, zone: str) -> Phrase | None:
    """Why a sending window cannot be read; None when it can."""
    try:
        if parse(text):
            zone_named(zone)
    except BadWindow as bad:
        return bad.phrase
    return None


def next_opening(text: str, zone: str, now: datetime) -> datetime | None:
    """None while the window is open at `now` (aware); otherwise when it opens next, in UTC.

    One that cannot be read holds up nothing here: EmailSetup.problems() does, before a connection is opened.
    """
    try:
        spans = parse(text)
        where: tzinfo = zone_named(zone) if spans else UTC
    except BadWindow:
        return None
    if not spans:
        return None
    today = now.astimezone(where).date()
    openings = []
    for offset in range(-1, 8):
        day = today + timedelta(days=offset)
        midnight = datetime.combine(day, time(), where)
        for span in spans:
            if span.weekday != day.weekday():
                continue
            # Added to the wall clock, so that 07:00 is 07:00 on the days when the clocks change, too.
            start = (midnight + timedelta(minutes=span.start)).astimezone(UTC)
            if start <= now < (midnight + timedelta(minutes=span.end)).astimezone(UTC):
                return None
            if start > now:
                openings.append(start)
    return min(openings)


def _spans(piece: str) -> list[Span]:
    found = _SPAN.fullmatch(piece)
    if found is None:
        raise BadWindow(Phrase("no sending window", text=piece))
    start, end = _minutes(found["start"]), _minutes(found["end"])
    if start == end:
        raise BadWindow(Phrase("window without length", text=piece))
    end += 24 * 60 if end < start else 0
    return [Span(weekday, start, end) for weekday in _weekdays(found["days"])]


def _weekdays(text: str) -> list[int]:
    if text == "daily":
        return list(range(7))
    first, _, last = (part.strip() for part in text.partition("-"))
    begin, end = _weekday(first), _weekday(last or first)
    return [(begin + offset) % 7 for offset in range((end - begin) % 7 + 1)]


def _weekday(name: str) -> int:
    for number, day in enumerate(DAYS):
        if len(name) >= 3 and day.startswith(name):
            return number
    raise BadWindow(Phrase("no day", text=name))


def _minutes(text: str) -> int:
    hours, minutes = map(int, text.split(":"))
    if hours * 60 + minutes > 24 * 60 or minutes > 59:
        raise BadWindow(Phrase("no time of day", text=text))
    return hours * 60 + minutes
