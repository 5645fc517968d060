"""Beat reads its table anew every few minutes and after each change, by several statements."""

import datetime as dt
from contextlib import contextmanager

import pytest
from celery import current_app
from django.db import connection
from django_celery_beat.models import CrontabSchedule

from messaging.broker import beat
from messaging.models import Schedule
from messaging.scheduling import schedules
from tests.steps import elsewhere, in_threads

pytestmark = pytest.mark.django_db(transaction=True)

EVENING = {
    "name": "Evening", "kind": "times", "times": "17:00", "days": "1,2,3", "time_zone": "UTC", "missed": "once",
    "account": None, "filter": "", "crontab": "", "minutes": None, "at_most": None, "is_on": True,
}  # fmt: skip


@pytest.fixture
def scheduler(monkeypatch, operator):
    """Beat at work, with a schedule; what it sends goes nowhere."""
    monkeypatch.setattr(beat.Scheduler, "producer", None)
    monkeypatch.setattr(beat.Scheduler, "apply_async", lambda self, entry, **options: None)
    monkeypatch.setattr(beat.Scheduler, "enabled_models_qs", lambda self: self.Model.objects.enabled())
    schedules.save(None, EVENING, by=operator)
    scheduler = beat.Scheduler(app=current_app._get_current_object())
    scheduler._finalize.cancel()  # it would write when the tests end
    ticks(scheduler)
    return scheduler


def ticks(scheduler):
    for _ in range(5):
        scheduler.tick()


def minutes_pass(scheduler):
    """So many that it reads everything again."""
    scheduler._last_full_sync -= dt.timedelta(minutes=10)


def times_of(scheduler):
    found = [entry.schedule for name, entry in scheduler.schedule.items() if "Evening" in name]
    return [sorted(each.hour) for each in found]


@contextmanager
def statements(meet):
    with connection.execute_wrapper(meet):
        yield


def test_schedule_that_is_saved_while_beat_reads_is_read_as_it_is_then(scheduler, operator):
    pk, saved = Schedule.objects.get().pk, []

    def between_two_statements(execute, sql, params, many, context):
        if CrontabSchedule._meta.db_table in sql and not saved:
            saved.append(1)
            assert not in_threads(1, elsewhere(lambda: schedules.save(pk, {"times": "18:00"}, by=operator)))
        return execute(sql, params, many, context)

    minutes_pass(scheduler)
    with statements(between_two_statements):
        scheduler.tick()
    assert saved
    ticks(scheduler)
    assert times_of(scheduler) == [[18]]
