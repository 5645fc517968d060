"""When a schedule is due: pure arithmetic of wall clocks; nothing here asks what time it is.

A day is a day of the schedule's time zone, and its times are those of the clock on the wall there:

- A time that the day does not have (clocks are put forward) comes once, right after the gap: at 03:00 for 02:30.
- A time that the day has twice (clocks are put back) comes once, the first time.
- An interval counts from midnight. Up to an hour it runs evenly, through the hour that comes twice as well; a longer
  one keeps to the clock on the wall, like fixed times. A crontab expression for every hour runs evenly, too.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from messaging.company import windows
from messaging.models import Schedule

DAY_NAMES = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")  # 0 is Sunday, as in crontab
MONTH_NAMES = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
               "November", "December")  # fmt: skip
ALL_DAYS = frozenset(range(7))
WEEKDAYS = frozenset({1, 2, 3, 4, 5})
ALL_DATES = frozenset(range(1, 32))
ALL_MONTHS = frozenset(range(1, 13))
LAST_DAY, LAST_WORKDAY = "l", "lw"  # of the month; working days are Monday to Friday
MONTH_ENDS = frozenset({LAST_DAY, LAST_WORKDAY})
EARLIEST_END = 26  # a date: of a February that ends on a Sunday
FARTHEST = 41 * 366  # days; 29 February on a given weekday comes every 28 years, or 40 around 2100
DAY = 24 * 60

_TIME = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})")
_NICKNAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
              "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}  # fmt: skip
# One item of a list: *, a number or a name, a range; a range and * with a step.
_ITEM = re.compile(r"(?:\*|([0-9]+|[a-z]+)(?:-([0-9]+|[a-z]+))?)(?:/([0-9]+))?")


@dataclass(frozen=True)
class _Part:
    """A field of a crontab expression: its numbers, and the names of numbers from the smallest on."""

    name: str
    smallest: int
    largest: int
    names: tuple[str, ...] = ()
    has_month_ends: bool = False

    def chosen(self, first: str | None, last: str | None, step: str | None) -> Sequence[int]:
        """The numbers of one item (see _ITEM); none where it makes no sense. A range may go over the end: fri-sun."""
        if first is None:
            numbers = list(range(self.smallest, self.largest + 1))
        else:
            start, end = self._number(first), self._number(last or first)
            if start is None or end is None or (step and last is None):
                return []
            over_the_end = [*range(start, self.largest + 1), *range(self.smallest, end + 1)]
            numbers = list(range(start, end + 1)) if start <= end else over_the_end
        every = int(step or 1)
        return numbers[::every] if every else []

    def _number(self, word: str) -> int | None:
        if word.isdigit():
            number = int(word)
            return number if self.smallest <= number <= self.largest else None
        found = [number for number, name in enumerate(self.names, self.smallest) if name.lower().startswith(word)]
        return found[0] if len(word) > 2 and found else None

    @property
    def help(self) -> str:
        """How it is written."""
        names = f" or names such as {self.names[1][:3].lower()}" if self.names else ""
        ends = "; L is the last day of the month, LW the last from Monday to Friday" if self.has_month_ends else ""
        return (
            f"Write numbers from {self.smallest} to {self.largest}{names}; several with commas, a range as 1-5, every "
            f"second as */2, all as *{ends}."
        )


_PARTS = (
    _Part("minute", 0, 59),
    _Part("hour", 0, 23),
    _Part("day of the month", 1, 31, has_month_ends=True),
    _Part("month", 1, 12, MONTH_NAMES),
    _Part("day of the week", 0, 7, DAY_NAMES),  # 7 is Sunday, too
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
    `month_end`: some of MONTH_ENDS, beside the dates.
    `either`: as in crontab(5), a day fits that has one of the dates or one of the weekdays; else it must have both.
    """

    zone: ZoneInfo
    times: tuple[int, ...] = ()
    evenly: int = 0
    days: frozenset[int] = ALL_DAYS
    dates: frozenset[int] = ALL_DATES
    month_end: frozenset[str] = frozenset()
    months: frozenset[int] = ALL_MONTHS
    either: bool = False
    hourly: bool = False

    def comes_on(self, day: date) -> bool:
        """Whether the schedule runs on that day."""
        if day.month not in self.months:
            return False
        fits = (day.isoweekday() % 7 in self.days, day.day in self.dates or self._ends_month(day))
        return any(fits) if self.either else all(fits)

    def _ends_month(self, day: date) -> bool:
        if not self.month_end or day.day < EARLIEST_END:
            return False
        last = day.replace(day=monthrange(day.year, day.month)[1])
        last_workday = last - timedelta(days=max(last.weekday() - 4, 0))
        return (LAST_DAY in self.month_end and day == last) or (LAST_WORKDAY in self.month_end and day == last_workday)


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
            times = tuple(parse_times(schedule.times))
            if month_end := _month_ends(schedule.days):
                return Timetable(zone, times, dates=frozenset(), month_end=month_end)
            return Timetable(zone, times, days=parse_days(schedule.days))
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


def _from_crontab(text: str, zone: ZoneInfo) -> Timetable:
    lowered = text.strip().lower()
    fields = _NICKNAMES.get(lowered, lowered).split()
    if len(fields) != len(_PARTS):
        raise BadTimetable(
            "crontab",
            "A crontab expression has five parts, with spaces between them: minute, hour, day of the month, month, day "
            f"of the week. This has {len(fields)}. “30 7 * * 1-5” means weekdays at 07:30.",
        )
    minutes, hours, dates, months, days = (_numbers(*pair) for pair in zip(fields, _PARTS, strict=True))
    found = Timetable(
        zone,
        tuple(sorted(hour * 60 + minute for hour in hours for minute in minutes)),
        days=frozenset(day % 7 for day in days),
        dates=frozenset(dates),
        month_end=_month_ends(fields[2]),
        months=frozenset(months),
        # As Vixie cron and cronie do it: what begins with a star counts as one, */2 as well.
        either=not fields[2].startswith("*") and not fields[4].startswith("*"),
        hourly=len(hours) == 24,
    )
    if not any(map(found.comes_on, _every_kind_of_day())):
        raise BadTimetable("crontab", "This never runs: none of these months has such a day.")
    return found


def _numbers(field: str, part: "_Part") -> set[int]:
    """The numbers that a field of a crontab expression names. Raises BadTimetable."""
    numbers: set[int] = set()
    for item in field.split(","):
        if part.has_month_ends and item in MONTH_ENDS:
            continue
        found = _ITEM.fullmatch(item)
        chosen = part.chosen(*found.groups()) if found else []
        if not chosen:
            raise BadTimetable("crontab", f"“{field[:40]}” is not understood as the {part.name}. {part.help}")
        numbers.update(chosen)
    return numbers


def _month_ends(field: str) -> frozenset[str]:
    return frozenset(field.lower().split(",")) & MONTH_ENDS


def _every_kind_of_day() -> Iterator[date]:
    """Each date on each weekday: after 28 years they come again in the same order (but for the year 2100)."""
    return (date(2000, 1, 1) + timedelta(days=number) for number in range(28 * 365 + 7))


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
            on = "on " if _month_ends(schedule.days) else ""
            return f"{on}{days_in_words(schedule.days)} at {_joined(times)}"
    return f"crontab {schedule.crontab}"


_END_WORDS = {LAST_DAY: "the last day of the month", LAST_WORKDAY: "the last working day of the month"}


def days_in_words(text: str) -> str:
    """Days as Schedule has them: “weekdays”, “Mondays and Fridays”, “the last day of the month”; "" for none."""
    if month_end := _month_ends(text):
        return _joined([words for name, words in _END_WORDS.items() if name in month_end])
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
