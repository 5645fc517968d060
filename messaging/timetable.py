"""When a schedule is due: pure arithmetic of wall clocks; nothing here asks what time it is.

A day is a day of the schedule's time zone, and its times are those of the clock on the wall there:

- A time that the day does not have (clocks are put forward) comes once, right after the gap: at 03:00 for 02:30.
- A time that the day has twice (clocks are put back) comes once, the first time.
- An interval counts from midnight. Up to an hour it goes on evenly, through the hour that comes twice as well; a longer
  one keeps to the clock on the wall, like fixed times. A crontab expression for every hour goes on evenly, too.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab_parser

from messaging.models import Schedule
from messaging.setup import windows

DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")  # 0 is Sunday, as in crontab
ALL_DAYS = frozenset(range(7))
WEEKDAYS = frozenset({1, 2, 3, 4, 5})
ALL_DATES = frozenset(range(1, 32))
ALL_MONTHS = frozenset(range(1, 13))
FARTHEST = 41 * 366  # days; 29 February on a given weekday comes every 28 years, or 40 around 2100
DAY = 24 * 60

_TIME = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NICKNAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
              "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}  # fmt: skip
# Name, smallest and largest number, names of numbers from the smallest on.
_PARTS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)


class BadTimetable(ValueError):
    """What was written is no time to run at; the text says why. `field` is the field of Schedule that is wrong."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


@dataclass(frozen=True)
class Timetable:
    """Times of day (in minutes after midnight) on certain days; with `evenly`, an interval of so many minutes.

    `hourly`: in every hour that there is, so twice in one that comes twice, and not in one that is left out.
    `either`: as in crontab(5), a day fits that has one of the dates or one of the weekdays; else it must have both.
    """

    zone: ZoneInfo
    times: tuple[int, ...] = ()
    evenly: int = 0
    days: frozenset[int] = ALL_DAYS
    dates: frozenset[int] = ALL_DATES
    months: frozenset[int] = ALL_MONTHS
    either: bool = False
    hourly: bool = False

    def comes_on(self, day: date) -> bool:
        """Whether the schedule runs on that day."""
        if day.month not in self.months:
            return False
        fits = (day.isoweekday() % 7 in self.days, day.day in self.dates)
        return any(fits) if self.either else all(fits)


# --- What people write ---------------------------------------------------------------------------------


def of(schedule: Schedule) -> Timetable:
    """The times of a schedule. Raises BadTimetable."""
    try:
        zone = windows.zone_named(schedule.time_zone)
    except windows.BadWindow as bad:
        raise BadTimetable("time_zone", str(bad)) from bad
    match schedule.kind:
        case Schedule.Kind.EVERY:
            return _interval(schedule.minutes, zone)
        case Schedule.Kind.TIMES:
            return Timetable(zone, tuple(parse_times(schedule.times)), days=parse_days(schedule.days))
    return _from_crontab(schedule.crontab, zone)


def _interval(minutes: int | None, zone: ZoneInfo) -> Timetable:
    if minutes is None or not 1 <= minutes <= DAY:
        raise BadTimetable("minutes", f"Enter a number of minutes from 1 to {DAY}.")
    if minutes <= 60:
        return Timetable(zone, evenly=minutes)
    return Timetable(zone, tuple(range(0, DAY, minutes)))


def parse_times(text: str) -> list[int]:
    """“07:30, 17:00” as minutes after midnight, in order. Raises BadTimetable."""
    words = [word for word in re.split(r"[\s,;]+|\band\b", text) if word]
    if not words:
        raise BadTimetable("times", "Enter at least one time, such as 18:00.")
    times = set()
    for word in words:
        found = _TIME.fullmatch(word)
        if found is None or int(found[1]) > 23 or int(found[2]) > 59:
            raise BadTimetable("times", f"“{word[:20]}” is not a time. Write it like 18:00.")
        times.add(int(found[1]) * 60 + int(found[2]))
    return sorted(times)


def times_in_words(times: list[int]) -> list[str]:
    """Minutes after midnight as people write them."""
    return [f"{minutes // 60:02}:{minutes % 60:02}" for minutes in times]


def parse_days(text: str) -> frozenset[int]:
    """“1,2,3” as days of the week, 0 is Sunday. Raises BadTimetable."""
    days = _days(text)
    if not days:
        raise BadTimetable("days", "Choose at least one day.")
    return days


def _days(text: str) -> frozenset[int]:
    return frozenset(int(part) for part in text.split(",") if re.fullmatch("[0-6]", part))


def crontab_parts(text: str) -> list[set[int]]:
    """Minutes, hours, dates, months and weekdays of a crontab expression. Raises BadTimetable."""
    lowered = text.strip().lower()
    fields = _NICKNAMES.get(lowered, lowered).split()
    if len(fields) != len(_PARTS):
        raise BadTimetable(
            "crontab",
            "A crontab expression has five parts, with spaces between them: minute, hour, day of the month, month, day "
            f"of the week. This has {len(fields)}. “30 7 * * 1-5” means weekdays at 07:30.",
        )
    return [_part(field, *part) for field, part in zip(fields, _PARTS, strict=True)]


def _part(field: str, name: str, smallest: int, largest: int, names: tuple[str, ...]) -> set[int]:
    numbers = field
    for number, word in enumerate(names, smallest):
        numbers = re.sub(rf"\b{word}[a-z]*", str(number), numbers)
    if names is _DAYS:  # 7 is Sunday, too
        numbers = re.sub(r"(?<!/)\b7\b", "0", re.sub(r"\b0-7\b", "0-6", numbers))
    try:
        # It would take the name of a weekday for any number.
        if re.search(r"[^0-9*,/-]", numbers):
            raise ParseException(numbers)
        return set(crontab_parser(largest - smallest + 1, smallest).parse(numbers))
    except (ParseException, ValueError) as error:
        named = f" or names such as {names[1]}" if names else ""
        raise BadTimetable(
            "crontab",
            f"“{field[:40]}” is not understood as the {name}. Write numbers from {smallest} to {largest}{named}; "
            "several with commas, a range as 1-5, every second as */2, all as *.",
        ) from error


def _from_crontab(text: str, zone: ZoneInfo) -> Timetable:
    minutes, hours, dates, months, days = crontab_parts(text)
    times = tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes))
    either = dates != ALL_DATES and days != ALL_DAYS
    is_hourly = len(hours) == 24
    found = Timetable(zone, times, 0, frozenset(days), frozenset(dates), frozenset(months), either, is_hourly)
    # 2000 and later have each date on each weekday within FARTHEST; only dates that no month has never come.
    if not either and all(max(_longest(month) for month in months) < day for day in dates):
        raise BadTimetable("crontab", "This never comes: no such month has such a day.")
    return found


def _longest(month: int) -> int:
    return 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31


# --- When it is due ------------------------------------------------------------------------------------


def occurrences(timetable: Timetable, after: datetime) -> Iterator[datetime]:
    """The times at which it is due after a moment, in UTC, each later than the one before; without end."""
    day = after.astimezone(timetable.zone).date() - timedelta(days=1)
    for _ in range(FARTHEST):
        if timetable.comes_on(day):
            for moment in _on(timetable, day):
                if moment > after:
                    yield moment
                    after = moment
        try:
            day += timedelta(days=1)
        except OverflowError:
            return


def latest(timetable: Timetable, after: datetime, until: datetime) -> datetime | None:
    """The last time at which it was due after a moment and not after another; None when there was none."""
    if until <= after:
        return None
    day = until.astimezone(timetable.zone).date() + timedelta(days=1)
    first = after.astimezone(timetable.zone).date() - timedelta(days=1)
    while day >= first:
        if timetable.comes_on(day):
            found = [moment for moment in _on(timetable, day) if after < moment <= until]
            if found:
                return found[-1]
        day -= timedelta(days=1)
    return None


@lru_cache(maxsize=256)
def _on(timetable: Timetable, day: date) -> tuple[datetime, ...]:
    """The moments of one day, in order."""
    midnight = datetime.combine(day, time())
    if not timetable.evenly:
        walls = [midnight + timedelta(minutes=minutes) for minutes in timetable.times]
        if timetable.hourly:
            found = {moment for wall in walls for moment in _whenever(wall, timetable.zone)}
        else:
            found = {_instant(wall, timetable.zone) for wall in walls}
        return tuple(sorted(found))
    start, end = _instant(midnight, timetable.zone), _instant(midnight + timedelta(days=1), timetable.zone)
    step = timedelta(minutes=timetable.evenly)
    return tuple(start + number * step for number in range(-((start - end) // step)))


def _whenever(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """Whenever the clock on the wall shows a time: once, twice or never."""
    found = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return [moment for moment in found if moment.astimezone(zone).replace(tzinfo=None) == wall]


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When the clock on the wall shows a time: for the first time, or, where it never does, right after the gap."""
    found = _whenever(wall, zone)
    if found:
        return found[0]
    # The clock jumps over it. Fold 1 reads it with the offset after the jump: before the jump, as it happens.
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (1, 0))
    old = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


# --- In words ------------------------------------------------------------------------------------------


def in_words(schedule: Schedule) -> str:
    """“weekdays at 07:30 and 17:00 (Europe/Berlin)”; what cannot be read is told as it stands."""
    try:
        said = _said(schedule)
    except BadTimetable:
        said = schedule.crontab or schedule.times or "at no time"
    return f"{said} ({schedule.time_zone})"


def _said(schedule: Schedule) -> str:
    match schedule.kind:
        case Schedule.Kind.EVERY:
            return "every minute" if schedule.minutes == 1 else f"every {schedule.minutes} minutes"
        case Schedule.Kind.TIMES:
            times = times_in_words(parse_times(schedule.times))
            return f"{days_in_words(schedule.days)} at {_joined(times)}"
    return f"crontab {schedule.crontab}"


def days_in_words(text: str) -> str:
    """Days as Schedule has them: “weekdays”, “Mondays and Fridays”; "" for none."""
    days = _days(text)
    if not days:
        return ""
    if days == ALL_DAYS:
        return "every day"
    if days == WEEKDAYS:
        return "weekdays"
    return _joined([f"{DAY_NAMES[day]}s" for day in sorted(days, key=lambda day: (day - 1) % 7)])


def _joined(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
