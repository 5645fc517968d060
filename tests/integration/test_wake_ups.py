"""What beat has of the schedules: rows of its own for each, whatever was there before."""

import json

import pytest
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from messaging import housekeeping
from messaging.models import Schedule
from messaging.scheduling import schedules
from tests.factories import make_user
from tests.pages import press, source
from tests.steps import in_threads

pytestmark = pytest.mark.django_db

TASK = schedules.TASK
FORM = {"name": "Evening batch", "is_on": "on", "kind": "times", "times": "17:00", "on_days": "weekdays",
        "time_zone": "Europe/Berlin", "missed": "once", "account": "", "version": "0"}  # fmt: skip
NINE = {"minute": "0", "hour": "9", "day_of_week": "1,2,3,4,5", "timezone": "Europe/Berlin"}


def made(admin, **changes):
    response = admin.post("/setup/schedules/new/", FORM | changes)
    assert response.status_code == 302, source(response)
    return Schedule.objects.latest("pk")


def beat_has(schedule):
    """The hours of its tasks, or the minutes between them; each is named by the schedule."""
    found = PeriodicTask.objects.filter(task=TASK, args=json.dumps([schedule.pk])).order_by("pk")
    assert [task.pk for task in found] == list(schedule.tasks.order_by("pk").values_list("pk", flat=True))
    return [task.crontab.hour if task.crontab else task.interval.every for task in found]


def rows_of_times():
    return CrontabSchedule.objects.count() + IntervalSchedule.objects.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("times", [{"kind": "times", "times": "09:00", "days": "1"}, {"kind": "every", "minutes": 45}])
def test_admins_who_save_the_same_times_at_one_moment_break_nothing(times):
    by = make_user("clara")
    names = iter([f"Batch {number}" for number in range(4)])
    whole = {"time_zone": "UTC"} | times

    assert not in_threads(4, lambda: schedules.save(None, whole | {"name": next(names)}, by=by))

    for schedule in Schedule.objects.all():
        schedules.save(schedule.pk, {"is_on": False}, by=by)
        assert len(beat_has(schedule)) == 1
        schedules.delete(schedule, by=by)
    assert (PeriodicTask.objects.count(), rows_of_times()) == (0, 0)


def test_times_that_are_doubled_already_hinder_nobody(admin, email_setup):
    schedule = made(admin)
    doubled = [CrontabSchedule.objects.create(**NINE) for _ in range(2)]
    PeriodicTask.objects.create(name="Another program's", task="another.task", crontab=doubled[0])

    admin.post(f"/setup/schedules/{schedule.pk}/", FORM | {"version": "1", "times": "09:00"})
    assert beat_has(schedule) == ["9"]
    press(admin, schedule, "switch", {"on": "0"})
    assert not Schedule.objects.get().is_on
    press(admin, schedule, "delete")

    assert not Schedule.objects.exists()
    assert list(PeriodicTask.objects.values_list("name", flat=True)) == ["Another program's"]
    assert CrontabSchedule.objects.count() == 2


def test_times_go_with_the_last_task_that_has_them(admin, email_setup):
    first, second = made(admin), made(admin, name="Second")
    shared = first.tasks.get().crontab
    second.tasks.update(crontab=shared)  # as version 0.1.0 did it
    press(admin, first, "delete")
    assert beat_has(second) == ["17"]
    press(admin, second, "delete")
    assert not CrontabSchedule.objects.filter(pk=shared.pk).exists()


@pytest.mark.parametrize("repairer", ["save", "tidy"])
def test_task_that_no_schedule_names_is_taken_away(admin, email_setup, repairer):
    schedule = made(admin)
    schedule.tasks.clear()  # beat may write a task back that was deleted while it saved its times
    if repairer == "save":
        admin.post(f"/setup/schedules/{schedule.pk}/", FORM | {"version": "1", "times": "18:00"})
        assert beat_has(schedule) == ["18"]
    else:
        left = CrontabSchedule.objects.create(**NINE)
        PeriodicTask.objects.create(name="Schedule 99: Gone", task=TASK, args="[99]", crontab=left)
        housekeeping.tidy(timezone.now())
        assert beat_has(schedule) == ["17"]
        assert not PeriodicTask.objects.filter(name__contains="99").exists()
        assert CrontabSchedule.objects.count() == 1


@pytest.mark.parametrize("lost", ["all", "one", "changed"])
@pytest.mark.parametrize("repairer", ["save", "tidy"])
def test_tasks_that_are_missing_or_say_other_times_are_made_again(admin, email_setup, lost, repairer):
    schedule = made(admin, times="07:30 and 17:00")
    if lost == "changed":
        CrontabSchedule.objects.filter(hour="17").update(hour="3")
    else:
        PeriodicTask.objects.filter(crontab__hour__in=["17"] if lost == "one" else ["7", "17"]).delete()
    if repairer == "save":
        admin.post(f"/setup/schedules/{schedule.pk}/", FORM | {"version": "1", "times": "07:30 and 17:00"})
    else:
        housekeeping.tidy(timezone.now())
    assert beat_has(schedule) == ["7", "17"]


def test_tasks_that_are_right_are_left_alone(admin, email_setup):
    schedule = made(admin)
    before = list(schedule.tasks.values_list("pk", flat=True))
    housekeeping.tidy(timezone.now())
    assert list(schedule.tasks.values_list("pk", flat=True)) == before


def test_schedule_whose_times_cannot_be_read_keeps_no_other_from_being_repaired(admin, email_setup):
    made(admin, name="A")
    Schedule.objects.update(time_zone="Atlantis/Centre")
    right = made(admin, name="B")
    right.tasks.all().delete()
    housekeeping.tidy(timezone.now())
    assert beat_has(right) == ["17"]
