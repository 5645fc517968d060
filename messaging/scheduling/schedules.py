"""When the queue is processed by itself (S14): save schedules, and run what is due.

Beat's wake-ups, the sweep and people may ask at the same moment and as often as they like: a schedule runs once for
each time that it is due. Each run is a batch like any other.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from messaging import admission, audit
from messaging.access import roles
from messaging.audit import Area, ChangedMeanwhile, Source, Subject
from messaging.lifecycle.waiting import waiting
from messaging.models import AccountPause, AuditEntry, Batch, Message, Phrase, Schedule, ScheduleRun
from messaging.queue import batches, pausing, selection
from messaging.queue.actions import NotPossible
from messaging.scheduling import timetable
from messaging.scheduling.timetable import BadTimetable, Timetable
from messaging.setup.layers import resolve
from messaging.wording import in_words, kept, person

log = logging.getLogger(__name__)

Outcome = ScheduleRun.Outcome
GRACE = timedelta(minutes=5)  # later than this, a run was missed
UNNOTICED = timedelta(seconds=30)  # so late no one minds
RUNS_KEPT = timedelta(days=400)
NOTHING_KEPT = timedelta(days=7)
TASK = "messaging.tasks.run_schedule"
WAKE_UP_KEPT = 60  # seconds; the sweep makes good what a worker did not fetch by then
WHEN = ("kind", "minutes", "times", "days", "crontab", "time_zone")
NAMES = ("name", *WHEN, "filter", "account", "at_most", "missed", "is_on")

# --- Run -------------------------------------------------------------------------------------------------


def run_due(now: datetime, *, only: int | None = None) -> list[ScheduleRun]:
    """Run every schedule (or `only` one) that is on and due; one statement where none is.

    Of several times that passed since its last run, the latest one counts for all.
    """
    found = with_last(Schedule.objects.filter(is_on=True), now)
    runs = []
    for each in found.filter(pk=only) if only else found:
        try:
            if each.since > now:  # the clock was ahead when it was put on, or given other times
                Schedule.objects.filter(pk=each.pk, since__gt=now).update(since=now)
            elif _due(each, now) is not None:
                runs.append(_run_if_due(each.pk, now))
        except Exception:  # one that fails keeps no other from running; it is tried again with the next sweep
            log.exception("schedule %s did not run", each.pk)
    return [run for run in runs if run is not None]


def with_last(schedules: QuerySet[Schedule], now: datetime) -> QuerySet[Schedule]:
    """With `last_due`, the time of the last run that no one ordered; not one that a clock made that was ahead."""
    last = ScheduleRun.objects.filter(schedule=OuterRef("pk"), by=None, due_at__lte=now).order_by("-due_at")
    return schedules.annotate(last_due=Subquery(last.values("due_at")[:1]))


def _due(schedule: Any, now: datetime) -> datetime | None:
    try:
        return timetable.latest(timetable.of(schedule), _floor(schedule), now)
    except BadTimetable as bad:
        log.warning("schedule “%s” cannot run: %s", schedule, bad)
        return None


def _floor(schedule: Any) -> datetime:
    since: datetime = schedule.since
    return max(since, schedule.last_due or since)


def _run_if_due(pk: int, now: datetime) -> ScheduleRun | None:
    """All or nothing: a crash on the way leaves neither run nor batch, and the next sweep runs it."""
    with transaction.atomic():
        # Another process has it locked, and runs it or changes it: then the next sweep sees what there is to do.
        locked = Schedule.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
        row = locked.filter(pk=pk, is_on=True).first()
        schedule: Any = row and with_last(Schedule.objects.select_related("account"), now).get(pk=pk)
        due_at = _due(schedule, now) if schedule else None
        if due_at is None:
            return None
        # The constraint has the last word, whatever a database makes of the lock.
        run, is_new = ScheduleRun.objects.get_or_create(schedule=schedule, due_at=due_at, defaults={"started_at": now})
        if not is_new:
            return None
        first = next(timetable.occurrences(timetable.of(schedule), _floor(schedule)), due_at)
        _carry_out(run, schedule, _lateness(schedule, first, due_at, now), is_late=now - due_at > GRACE)
    return run


def _lateness(schedule: Schedule, first: datetime, due_at: datetime, now: datetime) -> list[Phrase]:
    """What to say of times that passed without a run; nothing when there were none."""
    if first == due_at and now - due_at <= GRACE:
        return []
    what = "made-up-for" if schedule.missed == Schedule.Missed.ONCE else "left-out"
    return [Phrase(what, since=first.astimezone(timetable.of(schedule).zone))]


def _carry_out(run: ScheduleRun, schedule: Schedule, lateness: list[Phrase], *, is_late: bool) -> None:
    """Do it, and write down what came of it."""
    if is_late and schedule.missed == Schedule.Missed.NEVER:
        _end(run, Outcome.MISSED, lateness)
        return
    refusal = refusals(schedule)
    if refusal:
        _end(run, Outcome.REFUSED, [*refusal, *lateness])
        return
    still = _still_at_work(schedule, run)
    try:
        with transaction.atomic():
            run.batch = batches.process(
                matching(schedule.filter),
                by=run.by,
                account=schedule.account,
                source=Batch.Source.SCHEDULE,
                at_most=schedule.at_most,
            )
    except NotPossible as error:  # its account's settings were changed at this moment
        _end(run, Outcome.REFUSED, [*error.phrases, *lateness])
        return
    _end(run, Outcome.BATCH if run.batch else Outcome.NOTHING, [*lateness, *still])


def _end(run: ScheduleRun, outcome: ScheduleRun.Outcome, remarks: list[Phrase]) -> None:
    run.outcome, run.remarks = outcome, Phrase.all(remarks)
    run.save(update_fields=["outcome", "remarks", "batch"])


def matching(query: str) -> QuerySet[Message]:
    """The messages that a run with this filter would take now."""
    return selection.matching(Message.objects.filter(waiting(timezone.now())), query)


def refusals(schedule: Schedule) -> list[Phrase]:
    """Why a run would be refused now, with what to do; nothing when it would not be."""
    account = schedule.account
    if account is not None and not roles.may_send(account):
        what = "account-may-not-send" if account.is_active else "account-inactive"
        return [Phrase(what, account=person(account))]
    problems = resolve(account).problems()
    if problems:
        return problems
    everything = pausing.holding(timezone.now()).filter(kind__in=AccountPause.OF_EVERYBODY).first()
    return [Phrase("all-paused", **kept(everything).params)] if everything else []


def why_never(account: User | None) -> str:
    """Why an account cannot be that of a schedule at all (S8, S9), with what to change; "" when it can."""
    if account is not None and not roles.may_send(account):
        if account.is_active:
            return "This account may not send. Choose one whose role is Operator or Administrator."
        return "This account may no longer sign in. Choose one that is active."
    setup = resolve(account)
    return " ".join(map(in_words, setup.problems())) if setup.is_mapi else ""


def _still_at_work(schedule: Schedule, run: ScheduleRun) -> list[Phrase]:
    """Says it when the batch of an earlier run is not finished: what is in it is not taken again."""
    last = Batch.objects.filter(schedule_runs__schedule=schedule).exclude(schedule_runs=run).order_by("-pk").first()
    if last is None or batches.report(last).is_finished:
        return []
    return [Phrase("batch-at-work", batch=last.pk)]


def run_now(schedule: Schedule, *, by: User, seen: int | None = None) -> ScheduleRun:
    """A run that a person orders, whether the schedule is on or not; times that it is due are not touched by it.

    Args:
        seen: the version that the person was shown; None runs whatever it is by now.

    Raises:
        ChangedMeanwhile: it has another version by now, or is gone.
    """
    now = timezone.now()
    with transaction.atomic():
        locked = _locked(schedule.pk, seen)
        admission.confirm(by, locked.account)
        moment = now + timedelta(microseconds=not now.microsecond)  # a whole second may be one that it is due at
        while locked.runs.filter(due_at=moment).exists():
            moment += timedelta(microseconds=1)
        run = ScheduleRun.objects.create(schedule=locked, due_at=moment, started_at=now, by=by)
        _carry_out(run, locked, [], is_late=False)
    return run


def forget(now: datetime) -> None:
    """Drop old runs, and sooner those that found nothing; never the last one, from which the next is counted."""
    newer = ScheduleRun.objects.filter(schedule=OuterRef("schedule"), by=None, due_at__gt=OuterRef("due_at"))
    runs = ScheduleRun.objects.filter(Exists(newer.filter(due_at__lte=now)))
    runs.filter(outcome=Outcome.NOTHING, due_at__lt=now - NOTHING_KEPT).delete()
    runs.filter(due_at__lt=now - RUNS_KEPT).delete()
    ScheduleRun.objects.filter(due_at__gt=now, started_at__lt=now - RUNS_KEPT).delete()


# --- How it stands -----------------------------------------------------------------------------------------


def overdue(schedule: Schedule, now: datetime) -> datetime | None:
    """Since when a run is due that has not begun, because worker or beat is away or busy; of a row of with_last."""
    due_at = _due(schedule, now - UNNOTICED) if schedule.is_on else None
    return due_at and due_at.astimezone(timetable.of(schedule).zone)


def next_runs(times: Timetable, number: int) -> list[datetime]:
    """When it is due next, in its own time zone."""
    coming = islice(timetable.occurrences(times, timezone.now()), number)
    return [moment.astimezone(times.zone) for moment in coming]


def changes(schedule: Schedule | None = None) -> QuerySet[AuditEntry]:
    """Who changed a schedule (or any of them), the latest first."""
    return audit.log(Area.SCHEDULES, key=str(schedule.pk) if schedule is not None else None)


# --- Save ------------------------------------------------------------------------------------------------


def save(pk: int | None, values: Mapping[str, Any], *, by: User, seen: int | None = None) -> Schedule:
    """Make a schedule (no `pk`), or change fields (NAMES) of one, as a new version, into the audit log.

    What was due before it was made, put on or given other times is not missed.

    Args:
        seen: the version that this is based on; None saves over whatever is there.

    Raises:
        BadTimetable: the times cannot be read; ChangedMeanwhile: it has another version by now, its name is taken
        meanwhile, or it is gone. Nothing was written.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            if pk is None:
                admission.confirm(by)
                row = Schedule.objects.create(**values, created_by=by, version=1, since=now)
                audit.created(_subject(row), _fields(row), Source(by), version=1)
            else:
                row = _locked(pk, seen)
                admission.confirm(by)
                _change(row, values, by, now)
            _mirror(row)
            return row
    except IntegrityError as error:
        raise ChangedMeanwhile from error


def _change(row: Schedule, values: Mapping[str, Any], by: User, now: datetime) -> None:
    """Change fields, and save them where any is another now."""
    ordered = {name: values[name] for name in NAMES if name in values}
    subject = Subject(Area.SCHEDULES, str(row.pk), values.get("name", row.name))
    found = audit.record(subject, row, ordered, Source(by), version=row.version + 1, kept=as_kept)
    changed = {entry.field for entry in found}
    if changed & set(WHEN) or ("is_on" in changed and row.is_on):
        row.since = now
    if found:
        row.version += 1
        row.save()


def _subject(schedule: Schedule) -> Subject:
    return Subject(Area.SCHEDULES, str(schedule.pk), schedule.name)


def _fields(schedule: Schedule) -> dict[str, Any]:
    return {name: as_kept(name, getattr(schedule, name)) for name in NAMES}


def as_kept(name: str, value: Any) -> Any:
    """The value of a field as the audit log keeps it."""
    return {"id": value.pk, "name": person(value)} if isinstance(value, User) else audit.as_kept(name, value)


def _locked(pk: int, seen: int | None) -> Schedule:
    row = Schedule.objects.select_for_update(of=("self",), no_key=True).filter(pk=pk).first()
    if row is None:
        raise ChangedMeanwhile
    _compare(row, seen)
    return row


def _compare(row: Schedule, seen: int | None) -> None:
    if seen is not None and row.version != seen:
        raise ChangedMeanwhile(audit.since(seen, Area.SCHEDULES, key=str(row.pk)))


def delete(schedule: Schedule, *, by: User, seen: int | None = None) -> None:
    """Take a schedule away with the list of its runs; its batches stay. It stays in the audit log.

    Raises:
        ChangedMeanwhile: it has another version by now than `seen`.
    """
    with transaction.atomic():
        row = Schedule.objects.select_for_update(of=("self",)).filter(pk=schedule.pk).first()
        admission.confirm(by)
        if row is not None:
            _compare(row, seen)
            _take_from_beat(_tasks_of(row))
            audit.deleted(_subject(row), _fields(row), Source(by), version=row.version)
            row.delete()


# --- Beat ----------------------------------------------------------------------------------------------------


def repair() -> None:
    """Give beat what it lacks of a schedule, and take from it what no schedule names."""
    for schedule in Schedule.objects.all():
        try:
            with transaction.atomic():
                row = Schedule.objects.select_for_update(of=("self",), no_key=True).filter(pk=schedule.pk).first()
                if row is not None:
                    _mirror(row)
        except BadTimetable as bad:
            log.warning("schedule “%s” cannot run: %s", schedule, bad)
    named = Schedule.objects.exclude(tasks=None).values("tasks")
    _take_from_beat(PeriodicTask.objects.filter(task=TASK).exclude(pk__in=named))


def _mirror(schedule: Schedule) -> None:
    """Give beat a row per wake-up that it can say: they are in time, and what they miss the sweep makes good.

    Raises:
        BadTimetable: the times cannot be read.
    """
    wanted, there = _wanted(schedule), _tasks_of(schedule)
    named = schedule.tasks.select_related("crontab", "interval")
    if sorted(map(_compared, named)) == sorted(map(_compared, wanted)) and there.count() == len(wanted):
        return
    _take_from_beat(there)
    for task in wanted:
        # A row of its own, because beat's tables have no constraint that would keep a shared one from doubling.
        (task.crontab or task.interval).save()
        task.save()
    schedule.tasks.set(wanted)


def _tasks_of(schedule: Schedule) -> QuerySet[PeriodicTask]:
    """Beat's rows of a schedule, those that it does not name among them, such as one that beat wrote back."""
    own = Q(pk__in=schedule.tasks.values("pk")) | Q(name__startswith=f"Schedule {schedule.pk}: ")
    tasks: QuerySet[PeriodicTask] = PeriodicTask.objects.filter(own | Q(task=TASK, args=json.dumps([schedule.pk])))
    return tasks


def _take_from_beat(tasks: QuerySet[PeriodicTask]) -> None:
    """Delete tasks, and their times where no other task has the same: with its times a task would go, too."""
    found = list(tasks.values_list("pk", "crontab", "interval"))
    PeriodicTask.objects.filter(pk__in=[pk for pk, _, _ in found]).delete()
    CrontabSchedule.objects.filter(pk__in=[crontab for _, crontab, _ in found], periodictask=None).delete()
    IntervalSchedule.objects.filter(pk__in=[interval for _, _, interval in found], periodictask=None).delete()


def _wanted(schedule: Schedule) -> list[PeriodicTask]:
    """What beat should have of a schedule, not saved."""
    rows = _rows(schedule, timetable.of(schedule))
    return [
        PeriodicTask(
            name=f"Schedule {schedule.pk}: {schedule.name}" + (f" ({number})" if len(rows) > 1 else ""),
            task=TASK,
            args=json.dumps([schedule.pk]),
            enabled=schedule.is_on,
            expire_seconds=WAKE_UP_KEPT,
            **row,
        )
        for number, row in enumerate(rows, 1)
    ]


def _compared(task: PeriodicTask) -> tuple[str, ...]:
    """All that matters of a task of beat, to compare it by."""
    when = task.crontab or task.interval
    times = (
        {field.name: getattr(when, field.name) for field in when._meta.fields if not field.primary_key} if when else {}
    )
    return task.name, task.task, task.args, str(task.enabled), str(task.expire_seconds), str(times)


def _rows(schedule: Schedule, times: Timetable) -> list[dict[str, Any]]:
    if times.evenly and 60 % times.evenly:
        return [{"interval": IntervalSchedule(every=times.evenly, period=IntervalSchedule.MINUTES)}]
    if times.evenly:
        return [_crontab(times, range(0, 60, times.evenly), range(24), times.dates, times.days)]
    # Beat knows no end of the month: it wakes on each day that may be one, and the timetable decides.
    ends = {date for date in timetable.ALL_DATES if times.month_end and date >= timetable.EARLIEST_END}
    dates = times.dates | ends
    by_minute: dict[int, set[int]] = {}
    for each in times.times:
        by_minute.setdefault(each % 60, set()).add(each // 60)
    by_hours: dict[frozenset[int], set[int]] = {}
    for minute, hours in by_minute.items():
        by_hours.setdefault(frozenset(hours), set()).add(minute)
    # Beat's rows want both, the date and the weekday, where crontab(5) is content with either.
    ways = [(dates, timetable.ALL_DAYS), (timetable.ALL_DATES, times.days)] if times.either else [(dates, times.days)]
    return [_crontab(times, minutes, hours, *way) for hours, minutes in by_hours.items() for way in ways]


def _crontab(times: Timetable, minutes: Any, hours: Any, dates: Any, days: Any) -> dict[str, Any]:
    row = CrontabSchedule(
        minute=_listed(minutes, 60),
        hour=_listed(hours, 24),
        day_of_month=_listed(dates, 31),
        month_of_year=_listed(times.months, 12),
        day_of_week=_listed(days, 7),
        timezone=times.zone,
    )
    return {"crontab": row}


def _listed(numbers: Any, all_of_them: int) -> str:
    found = sorted(numbers)
    return "*" if len(found) == all_of_them else ",".join(map(str, found))
