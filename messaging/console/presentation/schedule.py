"""A schedule in words: when it runs, what it would do, and what is wrong with it."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from messaging.models import Schedule, ScheduleRun
from messaging.queue import selection
from messaging.scheduling import schedules, timetable
from messaging.scheduling.timetable import BadTimetable
from messaging.wording import in_words

NEXT_SHOWN = 5


@dataclass(frozen=True)
class ScheduleRow:
    """A schedule as the list tells it; `wrong` is why a run would be refused now, or why its times cannot be read.

    `overdue` is the time of a run that should have begun.
    """

    schedule: Schedule
    words: str
    coming: datetime | None
    last: ScheduleRun | None
    wrong: str
    overdue: datetime | None = None


@dataclass(frozen=True)
class Preview:
    """What the form would do: its times in words, the next runs, and how many messages match now; or what is wrong."""

    words: str = ""
    coming: tuple[datetime, ...] = ()
    chosen: str = ""
    number: int = 0
    wrong: str = ""


def schedule_row(schedule: Schedule, last: ScheduleRun | None) -> ScheduleRow:
    """As the list tells it, with its `last` run."""
    words = timetable.in_words(schedule)
    try:
        coming = schedules.next_runs(timetable.of(schedule), 1)
    except BadTimetable as bad:
        return ScheduleRow(schedule, words, None, last, str(bad))
    overdue = schedules.overdue(schedule, timezone.now())
    return ScheduleRow(
        schedule, words, coming[0] if coming and schedule.is_on else None, last, wrong(schedule), overdue
    )


def wrong(schedule: Schedule) -> str:
    return " ".join(map(in_words, schedules.refusals(schedule))) if schedule.is_on else ""


def preview(schedule: Schedule) -> Preview:
    """What it would do from now on, saved or not."""
    try:
        coming = schedules.next_runs(timetable.of(schedule), NEXT_SHOWN)
    except BadTimetable as bad:
        return Preview(wrong=str(bad))
    chosen, number = selection.in_words(schedule.filter), schedules.matching(schedule.filter).count()
    return Preview(timetable.in_words(schedule), tuple(coming), chosen, number)
