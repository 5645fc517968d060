"""Beat reads its tasks again every five minutes and after each change, and writes when it ran them: whatever comes of
that, it sends what it has, and knows all that was changed as soon as it can read again.
"""

import datetime as dt

import pytest
from django.db import InterfaceError, OperationalError, connection
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from messaging.models import Schedule
from messaging.scheduling import schedules
from tests.steps import sweeps_within

FORM = {"name": "Evening", "kind": "every", "minutes": 30, "time_zone": "UTC"}


@pytest.fixture(autouse=True)
def reads_each_time(monkeypatch):
    monkeypatch.setattr("django_celery_beat.schedulers.SCHEDULE_SYNC_MAX_INTERVAL", 0)
    monkeypatch.setattr("messaging.broker.beat.PATIENCE_SECONDS", 0)


@pytest.fixture
def noon(clock):
    clock.now = dt.datetime(2026, 11, 23, 15, 30, tzinfo=dt.UTC)  # beat reads what is near
    return clock


def away(execute, sql, *rest):
    raise OperationalError("connection refused")


def interrupted(execute, sql, *rest):
    raise InterfaceError("the cursor is closed")


def without_files(execute, sql, *rest):
    raise OSError(24, "Too many open files")


def locked(execute, sql, *rest):
    if sql.startswith(("INSERT", "UPDATE", "DELETE")):
        raise OperationalError("database is locked")
    return execute(sql, *rest)


def away_after_the_first_answer(execute, sql, *rest):
    if 'FROM "django_celery_beat_periodictask"' in sql:
        raise OperationalError("terminating connection due to administrator command")
    return execute(sql, *rest)


@pytest.mark.parametrize("fails", [away, interrupted, without_files, locked, away_after_the_first_answer])
def test_beat_sends_what_it_has_while_the_database_fails(beats, noon, fails):
    scheduler = beats()
    with connection.execute_wrapper(fails):
        assert sweeps_within(scheduler, noon, 20) >= 2
        scheduler.sync()
    assert sweeps_within(scheduler, noon, 20) >= 2


def test_connection_that_was_cut_off_is_opened_anew(beats, noon):
    scheduler = beats()
    connection.connection.close()
    assert sweeps_within(scheduler, noon, 20) >= 2
    assert connection.is_usable()


def test_change_that_could_not_be_read_is_read_when_the_database_is_back(beats, noon, operator, monkeypatch):
    monkeypatch.setattr("django_celery_beat.schedulers.SCHEDULE_SYNC_MAX_INTERVAL", 300)
    scheduler = beats()
    sweeps_within(scheduler, noon, 2)
    schedules.save(None, FORM, by=operator)
    with connection.execute_wrapper(away_after_the_first_answer):
        sweeps_within(scheduler, noon, 5)
        assert not any("Evening" in name for name in scheduler.schedule)
    sweeps_within(scheduler, noon, 5)
    assert any("Evening" in name for name in scheduler.schedule)


class WhileItReads:
    """Does `work` when beat has read its tasks, and not yet their times."""

    def __init__(self, work):
        self.work, self.is_done = work, False

    def __call__(self, execute, sql, *rest):
        is_of_times = str(sql).startswith('SELECT "django_celery_beat_crontabschedule"."id"')
        if is_of_times and not self.is_done:
            self.is_done = True
            self.work()
        return execute(sql, *rest)


@pytest.mark.parametrize("order", ["given other times", "deleted"])
@pytest.mark.parametrize("is_there", [True, False], ids=["begun", "beginning"])
def test_schedule_that_changes_in_the_moment_in_which_beat_reads(beats, noon, operator, order, is_there):
    row = schedules.save(None, FORM, by=operator)
    scheduler = beats() if is_there else None

    def work():
        if order == "deleted":
            schedules.delete(row, by=operator)
        else:
            schedules.save(row.pk, {"minutes": 20}, by=operator)

    meanwhile = WhileItReads(work)
    with connection.execute_wrapper(meanwhile):
        scheduler = scheduler or beats()
        assert sweeps_within(scheduler, noon, 10) >= 1
    assert meanwhile.is_done
    sweeps_within(scheduler, noon, 5)
    minutes = [str(entry.schedule._orig_minute) for name, entry in scheduler.schedule.items() if "Evening" in name]
    assert minutes == (["0,20,40"] if Schedule.objects.exists() else [])


def without_times(tasks):
    tasks.update(crontab=None)


def at_times_that_are_none(tasks):
    CrontabSchedule.objects.filter(periodictask__in=tasks).update(minute="soon")


@pytest.mark.parametrize("spoil", [without_times, at_times_that_are_none])
@pytest.mark.parametrize("is_there", [True, False], ids=["begun", "beginning"])
def test_task_that_says_no_time_keeps_no_other_from_running(beats, noon, operator, spoil, is_there):
    schedules.save(None, FORM, by=operator)
    scheduler = beats() if is_there else None
    spoil(PeriodicTask.objects.filter(name__contains="Evening"))
    schedules.save(None, FORM | {"name": "Later"}, by=operator)
    scheduler = scheduler or beats()
    assert sweeps_within(scheduler, noon, 10) >= 1
    assert any("Later" in name for name in scheduler.schedule)
    assert not any("Evening" in name for name in scheduler.schedule)
    scheduler.sync()
