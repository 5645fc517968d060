"""A part of the sweep that fails keeps no other part from its work, and what fails is logged."""

import datetime as dt

import pytest
from django.db import OperationalError
from django.utils import timezone

from messaging import housekeeping, schedules, timetable
from messaging.models import Heartbeat, Message, Notice, Schedule, ScheduleRun
from messaging.notices import text
from tests.conftest import make_message

pytestmark = pytest.mark.django_db


def fail(*args, **options):
    raise RuntimeError("one bad row")


PARTS = [
    "messaging.delivery.refusal.tell",
    "messaging.housekeeping.rescue",
    "messaging.housekeeping._end_waiting",
    "messaging.delivery.pauses.end_due",
    "messaging.schedules.run_due",
    "messaging.notices.look_after",
]


@pytest.mark.parametrize("part", PARTS)
def test_each_other_part_does_its_work(monkeypatch, caplog, woken, clock, part):
    make_message("a@example.com")
    held = make_message("b@example.com", due=False)
    Message.objects.filter(pk=held.pk).update(status="held", held_until=clock.now)
    left = make_message("c@example.com")
    long_ago = clock.now - dt.timedelta(hours=1)
    Message.objects.filter(pk=left.pk).update(
        status="sending", lease_owner="gone", lease_expires_at=long_ago, in_data=False
    )
    Schedule.objects.create(name="all", kind="every", minutes=1, time_zone="UTC", since=long_ago)
    done = []
    if part != "messaging.notices.look_after":
        monkeypatch.setattr("messaging.notices.look_after", done.append)
    monkeypatch.setattr(part, fail)

    housekeeping.sweep(clock.now)

    assert woken == [None]
    assert Heartbeat.objects.filter(name="sweep", at=clock.now).exists()
    assert Message.objects.get(pk=left.pk).status == ("sending" if part.endswith("rescue") else "queued")
    assert Message.objects.get(pk=held.pk).status == ("held" if part.endswith("waiting") else "queued")
    assert ScheduleRun.objects.exists() == (not part.endswith("run_due"))
    assert bool(done) == (not part.endswith("look_after"))
    assert "one bad row" in caplog.text


def test_database_that_is_away_ends_the_sweep_at_once(monkeypatch):
    def away(*args):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("messaging.housekeeping.rescue", away)
    with pytest.raises(OperationalError):
        housekeeping.sweep(timezone.now())


def test_one_schedule_that_cannot_be_read_keeps_no_other_from_running(monkeypatch, clock):
    long_ago = clock.now - dt.timedelta(hours=1)
    for name in ("bad", "good"):
        Schedule.objects.create(name=name, kind="every", minutes=1, time_zone="UTC", since=long_ago)
    of = timetable.of
    monkeypatch.setattr(timetable, "of", lambda row: fail() if row.name == "bad" else of(row))
    schedules.run_due(clock.now)
    assert [run.schedule.name for run in ScheduleRun.objects.all()] == ["good"]


def test_one_kind_of_notice_that_fails_keeps_no_other_from_being_told(monkeypatch, clock):
    make_message("nobody@example.com")
    Message.objects.update(status="failed")
    other = make_message("b@example.com")
    Message.objects.filter(pk=other.pk).update(status="unknown")
    told = text.told
    monkeypatch.setattr(
        text, "told", lambda kind, *rest, **more: fail() if kind == "failed" else told(kind, *rest, **more)
    )
    housekeeping.sweep(clock.now)
    housekeeping.sweep(clock.goes_on(minutes=20))
    assert [notice.kind for notice in Notice.objects.all()] == ["unknown"]


PARTS_OF_TIDY = ["schedules.forget", "notices.forget", "uploads.forget", "submitted.forget"]


@pytest.mark.parametrize("part", PARTS_OF_TIDY)
def test_each_other_part_of_tidying_does_its_work(monkeypatch, caplog, clock, part):
    done = []
    monkeypatch.setattr("messaging.housekeeping._keep_signed_in", done.append)
    monkeypatch.setattr(f"messaging.{part}", fail)
    housekeeping.tidy(clock.now)
    assert done and "one bad row" in caplog.text
