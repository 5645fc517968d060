"""Schedules (S14) through the front door: pages, sweeps and wake-ups, with a clock that the tests put on."""

import datetime as dt
import importlib
import json
import re
from itertools import islice, pairwise

import pytest
from celery.signals import beat_init
from django.apps import apps
from django.db.migrations.exceptions import IrreversibleError
from django.utils import timezone
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from messaging import housekeeping, tasks
from messaging.models import (
    ActiveLane,
    Batch,
    CompanyOptions,
    EmailSettings,
    Heartbeat,
    Message,
    Phrase,
    Schedule,
    ScheduleRun,
)
from messaging.queue import batches, pausing
from messaging.scheduling import schedules, timetable
from messaging.setup.layers import EmailSetup
from messaging.setup.problems import Problem
from messaging.wording import in_words
from tests.factories import make_message, make_user, set_up
from tests.pages import press, source, words
from tests.sizes import sampled
from tests.steps import days_pass, in_threads, run_lane, still_there

pytestmark = pytest.mark.django_db

FORM = {"name": "Evening batch", "is_on": "on", "kind": "times", "times": "07:30 and 17:00", "on_days": "weekdays",
        "time_zone": "Europe/Berlin", "missed": "once", "account": "", "version": "0"}  # fmt: skip
BERLIN = dt.timezone(dt.timedelta(hours=1))
MONDAY = dt.datetime(2026, 11, 23, 12, 0, tzinfo=BERLIN)


def at(text, day=23):
    hours, minutes = map(int, text.split(":"))
    return MONDAY.replace(day=day, hour=hours, minute=minutes)


@pytest.fixture
def monday(clock):
    """It is Monday noon in Berlin."""
    clock.now = MONDAY
    return clock


@pytest.fixture
def evening(admin, monday, email_setup):
    """“Evening batch”: weekdays at 07:30 and 17:00, made on Monday at noon."""
    return made(admin)


def made(admin, **changes):
    response = admin.post("/setup/schedules/new/", FORM | changes)
    assert response.status_code == 302, source(response)
    return Schedule.objects.latest("pk")


def sweep_at(clock, text, day=23):
    clock.now = at(text, day)
    still_there()
    housekeeping.sweep(clock.now)


def outcomes():
    return [
        (run.outcome, run.due_at.astimezone(BERLIN).strftime("%d %H:%M")) for run in ScheduleRun.objects.order_by("pk")
    ]


# --- Runs ----------------------------------------------------------------------------------------------


def test_what_waits_goes_out_at_its_time_as_a_batch_linked_both_ways(evening, monday, admin, mail_server):
    make_message("a@example.com", due=False)
    sweep_at(monday, "16:59")
    assert outcomes() == []
    sweep_at(monday, "17:00")
    run = ScheduleRun.objects.get()
    assert (run.outcome, run.due_at, in_words(run.remarks)) == ("batch", at("17:00"), "")
    assert (run.batch.source, run.batch.created_by, run.batch.account) == ("schedule", None, None)
    run_lane()
    assert len(mail_server.received) == 1
    assert f'href="/batches/{run.batch_id}/"' in source(admin.get(f"/setup/schedules/{evening.pk}/"))
    assert f'href="/setup/schedules/{evening.pk}/"' in source(admin.get(f"/batches/{run.batch_id}/"))


def test_sweeps_and_wake_ups_delivered_three_times_run_it_once(evening, monday):
    make_message("a@example.com", due=False)
    monday.now = at("17:00")
    for _ in range(3):
        tasks.run_schedule(evening.pk)
        housekeeping.sweep(monday.now)
    assert Batch.objects.count() == 1
    make_message("b@example.com", due=False)
    tasks.run_schedule(evening.pk)
    assert outcomes() == [("batch", "23 17:00")]
    sweep_at(monday, "07:30", day=24)
    assert outcomes() == [("batch", "23 17:00"), ("batch", "24 07:30")]
    assert not ScheduleRun.objects.filter(remarks__key__in=["made-up-for", "left-out"]).exists()


def test_run_that_finds_nothing_is_recorded_and_leaves_no_batch(evening, monday):
    sweep_at(monday, "17:00")
    assert outcomes() == [("nothing", "23 17:00")]
    assert not Batch.objects.exists()


def test_schedule_that_is_off_does_not_run_and_what_it_was_off_for_is_not_missed(evening, monday, admin):
    press(admin, evening, "switch", {"on": "0"})
    sweep_at(monday, "17:00")
    monday.now = at("18:00")
    press(admin, evening, "switch", {"on": "1"})
    sweep_at(monday, "18:01")
    assert outcomes() == []


def test_missed_runs_are_made_up_for_once_and_say_since_when(evening, monday):
    make_message("a@example.com", due=False)
    sweep_at(monday, "09:00", day=26)
    run = ScheduleRun.objects.get()
    assert (run.outcome, run.due_at) == ("batch", at("07:30", 26))
    assert (
        in_words(run.remarks)
        == "No run since 23 Nov 17:00, because the worker or beat was not running: this run makes up for it."
    )
    sweep_at(monday, "09:01", day=26)
    assert ScheduleRun.objects.count() == 1


def test_missed_run_is_left_out_where_the_schedule_says_so(admin, monday, email_setup):
    made(admin, missed="never")
    make_message("a@example.com", due=False)
    sweep_at(monday, "17:06")
    assert outcomes() == [("missed", "23 17:00")]
    assert "missed runs are left out" in in_words(ScheduleRun.objects.get().remarks)
    assert Message.objects.get().batch is None
    sweep_at(monday, "07:34", day=24)
    assert outcomes()[1:] == [("batch", "24 07:30")]


def test_run_takes_what_its_filter_names_the_oldest_first_and_at_most_so_many(admin, monday, email_setup):
    made(admin, q="invoice", at_most="2")
    for subject in ("Invoice 1", "Reminder", "Invoice 2", "Invoice 3"):
        make_message("a@example.com", subject=subject, due=False)
    sweep_at(monday, "17:00")
    assert list(Message.objects.exclude(batch=None).order_by("pk").values_list("subject", flat=True)) == [
        "Invoice 1",
        "Invoice 2",
    ]


def test_run_and_preview_count_the_ninth_word_too(admin, monday, email_setup):
    schedule = made(admin, q="one two three four five six seven eight nine")
    for subject in ("one two three four five six seven eight", "nine eight seven six five four three two one"):
        make_message("a@example.com", subject=subject, due=False)
    assert "1 message matches now" in source(admin.get(f"/setup/schedules/{schedule.pk}/"))
    sweep_at(monday, "17:00")
    assert [message.subject[:4] for message in Message.objects.exclude(batch=None)] == ["nine"]


def test_message_put_off_to_a_later_time_is_not_taken(evening, monday):
    message = make_message("a@example.com", due=False)
    Message.objects.filter(pk=message.pk).update(not_before=at("20:00"))
    sweep_at(monday, "17:00")
    assert outcomes() == [("nothing", "23 17:00")]


def test_slow_batch_is_not_taken_again_and_the_run_says_that_it_is_at_work(evening, monday):
    make_message("a@example.com", due=False)
    sweep_at(monday, "17:00")
    sweep_at(monday, "07:30", day=24)
    run = ScheduleRun.objects.latest("pk")
    assert run.outcome == "nothing"
    assert f"batch {Batch.objects.get().pk}, is still being sent" in in_words(run.remarks)


def test_run_of_a_schedule_that_is_deleted_at_that_moment_says_so(evening, admin, operator, monkeypatch):
    run_now = schedules.run_now

    def too_late(schedule, **options):
        schedules.delete(schedule, by=operator)
        return run_now(schedule, **options)

    monkeypatch.setattr(schedules, "run_now", too_late)
    page = source(press(admin, evening, "run", follow=True))
    assert "This schedule is gone: another administrator deleted it." in page
    assert not ScheduleRun.objects.exists()


def test_two_schedules_at_the_same_moment_share_nothing(admin, monday, email_setup):
    made(admin)
    made(admin, name="Other")
    make_message("a@example.com", due=False)
    sweep_at(monday, "17:00")
    assert sorted(outcome for outcome, _ in outcomes()) == ["batch", "nothing"]
    assert Batch.objects.count() == 1


def test_clock_put_back_runs_nothing_twice(evening, monday):
    make_message("a@example.com", due=False)
    sweep_at(monday, "17:00")
    make_message("b@example.com", due=False)
    sweep_at(monday, "16:30")
    sweep_at(monday, "17:00")
    assert outcomes() == [("batch", "23 17:00")]


def test_crash_in_the_middle_leaves_no_run_and_the_next_sweep_runs_it(evening, monday, monkeypatch):
    make_message("a@example.com", due=False)
    with monkeypatch.context() as patch:
        patch.setattr(batches, "confirm", lambda *args, **options: 1 / 0)
        sweep_at(monday, "17:00")
    assert outcomes() == []
    assert not Batch.objects.exists()
    sweep_at(monday, "17:01")
    assert outcomes() == [("batch", "23 17:00")]


@pytest.mark.parametrize("away", ["mapi", "inactive", "paused"])
def test_what_became_impossible_later_is_refused_shown_and_tried_again(away, admin, monday, mail_server, operator):
    set_up(mail_server)
    ben = make_user("ben", first_name="Ben")
    schedule = made(admin, account=ben.pk)
    make_message("a@example.com", due=False)
    if away == "mapi":
        words, row = "cannot send in bulk", EmailSettings.objects.create(account=ben, send_type=1)
    elif away == "inactive":
        words = "Ben may no longer sign in"
        ben.is_active = False
        ben.save()
    else:
        words = "All sending is paused by Anna"
        pausing.pause(pausing.ALL, by=operator, why="stocktaking")
    sweep_at(monday, "17:00")
    run = ScheduleRun.objects.get()
    assert run.outcome == "refused"
    assert words in in_words(run.remarks)
    assert not Batch.objects.exists()
    assert words in source(admin.get("/setup/schedules/"))
    assert words in source(admin.get(f"/setup/schedules/{schedule.pk}/"))
    if away == "mapi":
        row.delete()
    elif away == "inactive":
        ben.is_active = True
        ben.save()
    else:
        pausing.resume(pausing.ALL, by=operator)
    sweep_at(monday, "07:30", day=24)
    assert outcomes() == [("refused", "23 17:00"), ("batch", "24 07:30")]


def test_times_that_cannot_be_read_any_more_stop_no_sweep_and_are_shown(evening, monday, admin):
    Schedule.objects.update(time_zone="Atlantis/Centre")
    sweep_at(monday, "17:00")
    assert Heartbeat.objects.get().at == monday.now
    assert "“Atlantis/Centre” is not a time zone" in source(admin.get("/setup/schedules/"))
    assert admin.get(f"/setup/schedules/{evening.pk}/").status_code == 200


def test_run_now_is_a_batch_by_that_person_and_touches_no_time(evening, monday, admin, operator):
    make_message("a@example.com", due=False)
    response = press(admin, evening, "run")
    run = ScheduleRun.objects.get()
    assert response.url == f"/batches/{run.batch_id}/"
    assert (run.by, run.batch.created_by, run.batch.source) == (operator, operator, "schedule")
    page = source(press(admin, evening, "run", follow=True))
    assert "“Evening batch”: nothing waited." in page
    sweep_at(monday, "17:00")
    assert ScheduleRun.objects.filter(by=None).count() == 1


def test_run_now_works_while_it_is_off(admin, monday, email_setup):
    schedule = made(admin, is_on="")
    make_message("a@example.com", due=False)
    press(admin, schedule, "run")
    assert Batch.objects.count() == 1


def test_old_runs_are_dropped_and_never_the_last(evening, monday):
    sweep_at(monday, "17:00")
    sweep_at(monday, "07:30", day=24)
    schedules.save(evening.pk, {"is_on": False}, by=None)
    housekeeping.tidy(days_pass(monday, 8))
    assert outcomes() == [("nothing", "24 07:30")]


@pytest.mark.parametrize(
    ("zone", "day", "wall", "expected"),
    [
        ("Europe/Berlin", "2026-03-29", "02:30", "29 01:00"),
        ("Europe/Berlin", "2026-10-25", "02:30", "25 00:30"),
        ("America/New_York", "2026-03-08", "02:30", "08 07:00"),
        ("America/New_York", "2026-11-01", "01:30", "01 05:30"),
    ],
)
def test_days_when_the_clocks_change_have_one_run(admin, clock, email_setup, zone, day, wall, expected):
    clock.now = dt.datetime.fromisoformat(f"{day} 00:00+00:00") - dt.timedelta(hours=6)
    made(admin, times=wall, on_days="daily", time_zone=zone)
    for _ in range(46):
        schedules.run_due(clock.goes_on(minutes=30))
    assert [f"{run.due_at.astimezone(dt.UTC):%d %H:%M}" for run in ScheduleRun.objects.all()] == [expected]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"on_days": "month-end", "times": "18:00"}, ["Nov 30", "Dec 31", "Jan 31", "Feb 28"]),
        ({"on_days": "last-workday", "times": "18:00"}, ["Nov 30", "Dec 31", "Jan 29", "Feb 26"]),
        ({"kind": "crontab", "crontab": "0 18 LW * *"}, ["Nov 30", "Dec 31", "Jan 29", "Feb 26"]),
        ({"kind": "crontab", "crontab": "0 18 */2 * 1"}, ["Nov 23", "Dec 07", "Dec 21", "Jan 11", "Jan 25", "Feb 01",
                                                          "Feb 15"]),
    ],
)  # fmt: skip
def test_runs_are_those_that_the_preview_names(admin, monday, email_setup, values, expected):
    page = source(admin.post("/setup/schedules/preview/", FORM | values))
    named = [
        f"{month} {day:0>2}" for day, month in re.findall(r">[A-Z][a-z]+ (\d+) ([A-Z][a-z]+) \d+, 18:00 CET<", page)
    ]
    assert named[:4] == expected[:4]
    made(admin, **values)
    while monday.now < dt.datetime(2027, 2, 28, 23, tzinfo=BERLIN):
        schedules.run_due(monday.goes_on(days=1))
    ran = [run.due_at.astimezone(BERLIN) for run in ScheduleRun.objects.order_by("due_at")]
    assert [f"{moment:%b %d}" for moment in ran] == expected
    assert {f"{moment:%H:%M}" for moment in ran} == {"18:00"}


@pytest.mark.parametrize(("on_days", "words"), [("month-end", "last day"), ("last-workday", "last working day")])
def test_end_of_the_month_is_chosen_told_and_chosen_again(admin, monday, email_setup, on_days, words):
    schedule = made(admin, on_days=on_days)
    page = source(admin.get(f"/setup/schedules/{schedule.pk}/"))
    assert f"On the {words} of the month at 07:30 and 17:00" in page
    assert re.search(rf'value="{on_days}"[^>]*checked', page)
    admin.post(f"/setup/schedules/{schedule.pk}/", FORM | {"version": "1"})
    assert f"from “the {words} of the month” to “weekdays”" in source(admin.get(f"/setup/schedules/{schedule.pk}/"))


def test_beat_wakes_whenever_a_run_may_be_due(admin, monday, email_setup):
    made(admin, on_days="last-workday", times="18:00")
    line = PeriodicTask.objects.get(task="messaging.tasks.run_schedule").crontab
    assert (line.minute, line.hour, line.day_of_month, line.day_of_week) == ("0", "18", "26,27,28,29,30,31", "*")


def test_run_that_is_overdue_is_no_run_to_come(admin, evening, monday):
    monday.now = at("17:10")
    still_there()
    for page in ("/setup/schedules/", f"/setup/schedules/{evening.pk}/"):
        said = words(admin.get(page))
        assert "due since Mon 23 Nov 2026, 17:00 CET" in said, page
    schedules.run_due(monday.now)
    assert "due since" not in words(admin.get("/setup/schedules/"))


# --- At the same moment --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_the_same_moment_run_it_once(mail_server, operator):
    set_up(mail_server)
    now = timezone.now()
    schedule = Schedule.objects.create(
        name="x", kind="every", minutes=1, time_zone="UTC", since=now - dt.timedelta(minutes=2)
    )
    for number in range(5):
        make_message(f"c{number}@example.com", due=False)
    found = []
    assert not in_threads(4, lambda: found.extend(schedules.run_due(now, only=schedule.pk)))
    assert [run.outcome for run in found] == ["batch"]
    assert ScheduleRun.objects.count() == 1
    assert [batch.items.count() for batch in Batch.objects.all()] == [5]


def test_so_many_times_as_fit_into_a_day_are_kept_and_saved_again(admin, monday, email_setup):
    every_minute = " ".join(f"{hour}:{minute:02}" for hour in range(24) for minute in range(60))
    schedule = made(admin, times=every_minute)
    page = admin.get(f"/setup/schedules/{schedule.pk}/")
    shown = page.context["form"].initial["times"]
    assert admin.post(f"/setup/schedules/{schedule.pk}/", FORM | {"version": "1", "times": shown}).status_code == 302
    assert Schedule.objects.get().times.count(":") == 24 * 60


def test_forty_short_times_are_kept_although_they_are_longer_when_written_out(admin, monday, email_setup):
    wanted = [f"{hour}:{minute}" for hour in range(1, 9) for minute in (10, 20, 30, 40, 50)]
    made(admin, times=" ".join(wanted))
    assert Schedule.objects.get().times.split(", ") == [f"0{time}" for time in wanted]


# --- Beat ----------------------------------------------------------------------------------------------


def beat_rows():
    rows = []
    for task in PeriodicTask.objects.filter(task="messaging.tasks.run_schedule").order_by("pk"):
        line = task.crontab
        rows.append((str(line.timezone), line.minute, line.hour, line.day_of_week) if line else task.interval.every)
    return rows


def test_beat_has_a_row_per_group_of_minutes_in_the_time_zone_of_the_schedule(evening):
    assert beat_rows() == [("Europe/Berlin", "30", "7", "1,2,3,4,5"), ("Europe/Berlin", "0", "17", "1,2,3,4,5")]
    task = PeriodicTask.objects.filter(task="messaging.tasks.run_schedule").first()
    assert (json.loads(task.args), task.enabled, task.expire_seconds) == ([evening.pk], True, 60)


def test_beat_rows_follow_the_schedule(evening, admin):
    page = f"/setup/schedules/{evening.pk}/"
    admin.post(page, FORM | {"version": "1", "kind": "every", "minutes": "20"})
    assert beat_rows() == [("Europe/Berlin", "0,20,40", "*", "*")]
    admin.post(page, FORM | {"version": "2", "kind": "every", "minutes": "45"})
    assert beat_rows() == [45]
    admin.post(page, FORM | {"version": "3", "kind": "crontab", "crontab": "0 9 1 * mon"})
    assert beat_rows() == [("Europe/Berlin", "0", "9", "*"), ("Europe/Berlin", "0", "9", "1")]
    admin.post(f"{page}switch/", {"on": "0"})
    assert not PeriodicTask.objects.filter(task="messaging.tasks.run_schedule", enabled=True).exists()
    press(admin, evening, "delete")
    assert beat_rows() == []
    assert not Schedule.objects.exists()


# --- Pages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "new/", "preview/", "1/", "1/switch/", "1/run/", "1/delete/"])
def test_only_admins_see_and_change_schedules(client, operator, path):
    client.force_login(operator)
    for response in (client.get(f"/setup/schedules/{path}"), client.post(f"/setup/schedules/{path}", FORM)):
        assert response.status_code == 403
    assert not Schedule.objects.exists()


def test_list_says_it_in_plain_words_with_next_and_last_run(evening, monday, admin):
    page = source(admin.get("/setup/schedules/"))
    assert "Weekdays at 07:30 and 17:00 (Europe/Berlin). Sending account: The company." in page
    assert "Mon 23 Nov 2026, 17:00 CET" in page
    sweep_at(monday, "17:00")
    page = source(admin.get("/setup/schedules/"))
    assert "Tue 24 Nov 2026, 07:30 CET" in page
    assert "Nothing waited" in page


def test_saved_page_shows_the_next_five_runs_and_how_many_messages_match(evening, admin):
    make_message("a@example.com", due=False)
    page = source(admin.get(f"/setup/schedules/{evening.pk}/"))
    assert "takes everything that waits. 1 message matches now." in page
    runs = re.findall(r"<li><time[^>]*>([^<]*)</time>", page)
    assert runs == ["Mon 23 Nov 2026, 17:00 CET", "Tue 24 Nov 2026, 07:30 CET", "Tue 24 Nov 2026, 17:00 CET",
                    "Wed 25 Nov 2026, 07:30 CET", "Wed 25 Nov 2026, 17:00 CET"]  # fmt: skip


def test_preview_while_typing_needs_no_name_and_saves_nothing(admin, monday):
    make_message("a@example.com", subject="Invoice", due=False)
    make_message("a@example.com", subject="Reminder", due=False)
    wanted = {"kind": "every", "minutes": "15", "time_zone": "Europe/Berlin", "q": "invoice", "on_days": "weekdays"}
    page = source(admin.post("/setup/schedules/preview/", wanted))
    assert "Every 15 minutes (Europe/Berlin)" in page
    assert "1 message matches now" in page
    assert page.count("<time") == 5
    page = source(admin.post("/setup/schedules/preview/", wanted | {"kind": "crontab", "crontab": "61 * * * *"}))
    assert "“61” is not understood as the minute" in page
    assert not Schedule.objects.exists()


def test_preview_button_works_without_javascript(admin, monday):
    page = source(admin.post("/setup/schedules/new/", FORM | {"preview": "1"}))
    assert "Mon 23 Nov 2026, 17:00 CET" in page
    assert 'value="Evening batch"' in page
    assert not Schedule.objects.exists()


def test_new_schedule_has_the_time_zone_of_the_company(admin):
    CompanyOptions.objects.create(time_zone="Europe/Vienna")
    assert 'value="Europe/Vienna"' in source(admin.get("/setup/schedules/new/"))


def test_refusal_of_a_moment_is_told_although_it_is_over(admin, evening, operator, monkeypatch):
    """Such as an .opt file that is being written at that moment."""
    problem = Phrase(Problem.NO_SERVER)
    found = iter([[], [problem]])
    monkeypatch.setattr(EmailSetup, "problems", lambda self: next(found, []))
    make_message("c@example.com", due=False)
    run = schedules.run_now(evening, by=operator)
    assert (run.outcome, run.remarks) == ("refused", problem)


@pytest.mark.parametrize(
    ("values", "field"),
    sampled([
        ({"name": ""}, "name"), ({"times": ""}, "times"), ({"times": "25:00"}, "times"), ({"times": "noon"}, "times"),
        ({"on_days": "these"}, "days"), ({"on_days": "these", "days": ["9"]}, "days"), ({"kind": "often"}, "kind"),
        ({"kind": "every"}, "minutes"), ({"kind": "every", "minutes": "0"}, "minutes"),
        ({"kind": "every", "minutes": "1441"}, "minutes"), ({"kind": "every", "minutes": "x"}, "minutes"),
        ({"kind": "crontab"}, "crontab"), ({"kind": "crontab", "crontab": "0 0 31 2 *"}, "crontab"),
        ({"time_zone": "Berlin"}, "time_zone"), ({"time_zone": ""}, "time_zone"), ({"account": "nobody"}, "account"),
        ({"at_most": "0"}, "at_most"), ({"missed": "twice"}, "missed"), ({"reason": "x"}, "reason"),
        ({"name": "x\x00"}, "name"), ({"q": "\x00"}, "q"), ({"minutes": "9" * 400, "kind": "every"}, "minutes"),
    ]),
)  # fmt: skip
def test_senseless_schedules_are_refused(admin, values, field):
    response = admin.post("/setup/schedules/new/", FORM | values)
    assert response.status_code == 422
    assert field in response.context["form"].errors
    assert not Schedule.objects.exists()


def test_a_name_is_given_once(evening, admin):
    assert "Another schedule has this name" in source(admin.post("/setup/schedules/new/", FORM))


def test_account_whose_send_type_is_mapi_is_refused_at_saving_with_what_to_change(admin, mail_server):
    ben = make_user("ben")
    EmailSettings.objects.create(account=ben, send_type=1)
    response = admin.post("/setup/schedules/new/", FORM | {"account": ben.pk})
    assert response.status_code == 422
    assert "Choose send type 2 or 3 (SMTP) in Email Setup." in " ".join(response.context["form"].errors["account"])
    set_up(mail_server, send_type=0)
    assert admin.post("/setup/schedules/new/", FORM).status_code == 422
    assert not Schedule.objects.exists()


def test_schedule_of_an_account_that_became_mapi_stays_off(admin, email_setup):
    ben = make_user("ben")
    schedule = made(admin, account=ben.pk, is_on="")
    EmailSettings.objects.create(account=ben, send_type=1)
    assert "stays off" in source(press(admin, schedule, "switch", {"on": "1"}, follow=True))
    assert not Schedule.objects.get().is_on


def test_inactive_users_are_no_accounts(admin):
    ben = make_user("ben", is_active=False)
    assert "does not exist or is not active" in source(admin.post("/setup/schedules/new/", FORM | {"account": ben.pk}))


def test_second_of_two_admins_is_told_and_overwrites_nothing(evening, admin):
    page = f"/setup/schedules/{evening.pk}/"
    admin.post(page, FORM | {"version": "1", "times": "09:00"})
    response = admin.post(page, FORM | {"version": "1", "times": "10:00"})
    assert response.status_code == 422
    assert "Another user changed this schedule" in source(response)
    assert "from “07:30, 17:00” to “09:00”" in source(response)
    assert Schedule.objects.get().times == "09:00"


def test_changes_are_shown_with_who_and_what(evening, admin, operator):
    changed = {"version": "1", "q": "invoice", "account": operator.pk}
    admin.post(f"/setup/schedules/{evening.pk}/", FORM | changed)
    page = source(admin.get(f"/setup/schedules/{evening.pk}/"))
    assert "from “everything that waits” to “messages with “invoice””" in page
    assert "from “The company” to “Anna”" in page
    press(admin, evening, "delete")
    page = source(admin.get("/setup/schedules/"))
    assert "it was “Evening batch: weekdays at 07:30 and 17:00 (Europe/Berlin), on”" in page


# --- Worker and beat -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/messages/", "/setup/schedules/"])
def test_beat_alone_that_is_away_is_told_apart(admin, path):
    now = timezone.now()
    Heartbeat.objects.create(name="sweep", at=now - dt.timedelta(minutes=5))
    assert "Nothing is being sent: worker or beat has not reported since" in source(admin.get(path))
    Heartbeat.objects.create(name="worker", at=now)
    page = source(admin.get(path))
    assert "Beat is not running: no schedule runs, and nothing is tried again automatically." in page
    assert "Start the beat process" in page
    assert "Nothing is being sent" not in page
    Heartbeat.objects.update(at=now)
    assert "Beat is not running" not in source(admin.get(path))


BUSY = "The worker has been fully occupied with sending since"


@pytest.mark.parametrize(
    ("alive", "silent", "lanes", "told"),
    [
        (["worker", "beat"], [], 1, BUSY),
        (["worker"], [], 1, BUSY),  # a beat of an earlier version leaves no sign of its own
        (["worker"], ["beat"], 1, "Beat is not running"),
        (["worker", "beat"], [], 0, "nothing that beat started has been done since"),
        (["worker", "beat"], [], -1, "nothing that beat started has been done since"),
        (["beat"], ["worker"], 1, "Nothing is being sent: the worker has not reported since"),
        ([], ["worker", "beat"], 1, "Nothing is being sent: worker or beat has not reported since"),
    ],
)
def test_busy_worker_is_told_apart_from_processes_that_do_not_run(admin, alive, silent, lanes, told):
    now = timezone.now()
    for name in alive:
        Heartbeat.objects.create(name=name, at=now)
    for name in ("sweep", *silent):
        Heartbeat.objects.create(name=name, at=now - dt.timedelta(minutes=5))
    if lanes:
        ActiveLane.objects.create(owner="w1", expires_at=now + lanes * dt.timedelta(seconds=30))
    page = source(admin.get("/messages/"))
    assert told in page
    assert ("Start the" in page) == (told != BUSY and "beat started" not in told)
    Heartbeat.objects.filter(name="sweep").update(at=now)
    assert told not in source(admin.get("/messages/"))


def test_beat_shows_that_it_lives(monkeypatch):
    monkeypatch.setattr(tasks.shutting_down, "wait", lambda seconds: True)
    monkeypatch.setattr(tasks.connections, "close_all", lambda: None)
    monkeypatch.setattr(tasks.threading.Thread, "start", lambda thread: thread.run())
    beat_init.send(sender=None)
    assert Heartbeat.objects.filter(name="beat").exists()


# --- Before there were schedules -------------------------------------------------------------------------


def migrate_task(**values):
    task = PeriodicTask.objects.create(name="Batch Message Processing", task="messaging.tasks.process_queue", **values)
    importlib.import_module("messaging.migrations.0004_company_options").keep_the_one_schedule(apps, None)
    return task


def test_the_one_schedule_of_before_goes_on_as_a_schedule(admin, operator, email_setup, monday):
    line = CrontabSchedule.objects.create(minute="30", hour="8,18", day_of_week="1,5", timezone="Europe/Berlin")
    task = migrate_task(crontab=line, kwargs='{"account": "anna"}')
    schedule = Schedule.objects.get()
    assert (schedule.times, schedule.days, schedule.time_zone) == ("08:30, 18:30", "1,5", "Europe/Berlin")
    assert (schedule.account, schedule.is_on) == (operator, True)
    task.refresh_from_db()
    assert (task.task, json.loads(task.args)) == ("messaging.tasks.run_schedule", [schedule.pk])
    assert "Mondays and Fridays at 08:30 and 18:30" in source(admin.get("/setup/schedules/"))
    press(admin, schedule, "delete")
    assert not PeriodicTask.objects.filter(pk=task.pk).exists()


@pytest.mark.parametrize(("every", "period", "minutes"), [(15, "minutes", 15), (2, "hours", 120), (5, "seconds", 1)])
def test_the_one_interval_of_before(every, period, minutes):
    migrate_task(interval=IntervalSchedule.objects.create(every=every, period=period))
    assert (Schedule.objects.get().kind, Schedule.objects.get().minutes) == ("every", minutes)


@pytest.mark.parametrize(
    ("every", "period", "days"), [(2, "days", 2), (36, "hours", 2), (7, "days", 7), (45, "days", 45), (1, "days", 1)]
)
def test_the_one_interval_of_days_comes_no_more_often_than_before(every, period, days):
    migrate_task(interval=IntervalSchedule.objects.create(every=every, period=period))
    found = list(islice(timetable.occurrences(timetable.of(Schedule.objects.get()), MONDAY), 40))
    gaps = [later - sooner for sooner, later in pairwise(found)]
    assert dt.timedelta(days=days) <= min(gaps) <= dt.timedelta(days=2 * days)


@pytest.mark.parametrize(
    ("hour", "minute"),
    [("1,2,3,4,5,6,7,8", "0,10,20,30,40"), (",".join(map(str, range(24))), ",".join(map(str, range(0, 60, 2))))],
)
@pytest.mark.parametrize("day_of_month", ["*", ",".join(map(str, range(1, 32, 2)))])
def test_the_one_schedule_with_many_times_keeps_them_all(hour, minute, day_of_month):
    line = {"hour": hour, "minute": minute, "day_of_month": day_of_month, "day_of_week": "*", "timezone": "UTC"}
    migrate_task(crontab=CrontabSchedule.objects.create(**line))
    schedule = Schedule.objects.get()
    assert max(len(schedule.times), len(schedule.crontab)) <= 200  # what the columns of then take
    times = [int(h) * 60 + int(m) for h in hour.split(",") for m in minute.split(",")]
    assert timetable.of(schedule).times == tuple(sorted(times))
    assert len(timetable.of(schedule).dates) == (31 if day_of_month == "*" else 16)


def test_the_one_schedule_goes_back_and_forth(operator):
    line = CrontabSchedule.objects.create(minute="30", hour="8", day_of_week="1,5", timezone="Europe/Berlin")
    task = migrate_task(crontab=line, kwargs='{"account": "anna"}')
    migration = importlib.import_module("messaging.migrations.0004_company_options")
    migration.give_the_one_schedule_back(apps, None)
    Schedule.objects.all().delete()  # its table goes
    task.refresh_from_db()
    assert (task.name, task.task, task.args) == ("Batch Message Processing", "messaging.tasks.process_queue", "[]")
    migration.keep_the_one_schedule(apps, None)
    schedule = Schedule.objects.get()
    assert (schedule.times, schedule.days, schedule.account) == ("08:30", "1,5", operator)
    assert [task.pk for task in PeriodicTask.objects.all()] == [task.pk]


def test_several_schedules_are_not_given_up_on_the_way_back(evening):
    migration = importlib.import_module("messaging.migrations.0004_company_options")
    with pytest.raises(IrreversibleError, match="one schedule before"):
        migration.give_the_one_schedule_back(apps, None)


@pytest.mark.parametrize("tasks", [[], ["Another program's"]])
def test_times_of_beat_that_nothing_has_are_dropped_by_the_upgrade(tasks):
    rows = [CrontabSchedule.objects.create(minute="0", hour="9", timezone="UTC") for _ in range(2)]
    rows += [IntervalSchedule.objects.create(every=45, period="minutes") for _ in range(2)]
    for name in tasks:
        PeriodicTask.objects.create(name=name, task="another.task", crontab=rows[0])
    importlib.import_module("messaging.migrations.0011_schedules").drop_times_that_nothing_has(apps, None)
    assert list(CrontabSchedule.objects.all()) == ([rows[0]] if tasks else [])
    assert not IntervalSchedule.objects.exists()


def test_the_one_schedule_that_was_off_is_gone():
    migrate_task(interval=IntervalSchedule.objects.create(every=15, period="minutes"), enabled=False)
    assert not Schedule.objects.exists()
    assert not PeriodicTask.objects.filter(name="Batch Message Processing").exists()
