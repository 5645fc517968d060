"""A clock that was ahead once, by 400 days or by ten years: what it dated counts as not there when it is right."""

import datetime as dt

import pytest
from django_celery_beat.models import PeriodicTask

from messaging import health, housekeeping, submit
from messaging.company import options
from messaging.compose import form_submissions
from messaging.delivery import opt_file_block
from messaging.delivery.lane import Lane
from messaging.delivery.store import claims, ledger
from messaging.models import (
    AccessToken,
    AccountPause,
    ActiveLane,
    Batch,
    FormSubmission,
    Heartbeat,
    Message,
    Notice,
    NoticeItem,
    Phrase,
    RefusalStreak,
    Schedule,
    ScheduleRun,
    SendAttempt,
    Upload,
)
from messaging.queue import actions, batches
from messaging.scheduling import schedules
from tests.factories import fitting, make_message, put, submission
from tests.pages import source, words
from tests.steps import days_pass, still_there, sweeps_within

pytestmark = pytest.mark.django_db

AHEAD = [400, 3653]
FORM = {"name": "Evening batch", "is_on": "on", "kind": "times", "times": "17:00", "on_days": "daily",
        "time_zone": "UTC", "missed": "once", "account": "", "version": "0"}  # fmt: skip
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@pytest.fixture
def noon(clock):
    clock.now = NOON
    housekeeping.sweep(clock.now)
    return clock


@pytest.fixture
def evening(admin, noon, email_setup):
    admin.post("/setup/schedules/new/", FORM)
    return Schedule.objects.get()


@pytest.fixture(params=AHEAD)
def ahead(request):
    return dt.timedelta(days=request.param)


def wrong_once(clock, ahead, *orders):
    """One sweep, and what else is ordered, with a clock that is ahead; then it is right again, a minute later."""
    now = clock.now
    clock.now = now + ahead
    for order in (housekeeping.sweep, *orders):
        order(clock.now)
    clock.now = now + dt.timedelta(minutes=1)
    housekeeping.sweep(clock.now)


def runs_today(clock):
    clock.now = NOON.replace(hour=17)
    housekeeping.sweep(clock.now)
    return ScheduleRun.objects.filter(due_at=clock.now).count()


# --- Schedules -----------------------------------------------------------------------------------------


def test_schedule_runs_at_its_next_time(evening, noon, ahead):
    wrong_once(noon, ahead)
    assert ScheduleRun.objects.filter(due_at__gt=noon.now).exists()
    assert runs_today(noon) == 1


@pytest.mark.parametrize("change", ["made", "put on", "given other times"])
def test_schedule_that_was_changed_meanwhile_runs_at_its_next_time(evening, noon, operator, ahead, change):
    Schedule.objects.update(is_on=change != "put on")

    def changed(now):
        if change == "made":
            Schedule.objects.all().delete()
            schedules.save(
                None, {"name": "x", "times": "17:00", "days": "0,1,2,3,4,5,6", "time_zone": "UTC"}, by=operator
            )
        elif change == "put on":
            schedules.save(evening.pk, {"is_on": True}, by=operator)
        else:
            schedules.save(evening.pk, {"times": "16:30, 17:00"}, by=operator)

    wrong_once(noon, ahead, changed)
    assert runs_today(noon) == 1


def test_what_it_was_off_for_is_not_made_up_for(evening, noon, operator, ahead):
    """It ran yesterday, was off since, and was put on while the clock was ahead."""
    ScheduleRun.objects.create(schedule=evening, due_at=NOON - dt.timedelta(days=9), started_at=NOON)
    Schedule.objects.update(is_on=False, since=NOON - dt.timedelta(days=99))
    wrong_once(noon, ahead, lambda now: schedules.save(evening.pk, {"is_on": True}, by=operator))
    housekeeping.sweep(noon.goes_on(seconds=5))
    assert not ScheduleRun.objects.filter(due_at__range=(NOON - dt.timedelta(days=8), noon.now)).exists()


def test_clock_that_is_an_hour_ahead_runs_nothing_twice(evening, noon):
    noon.now = NOON.replace(hour=16, minute=30)
    wrong_once(noon, dt.timedelta(hours=1))
    assert ScheduleRun.objects.count() == 1
    assert runs_today(noon) == 1
    assert ScheduleRun.objects.count() == 1


def test_last_run_of_the_list_is_none_that_is_still_to_come(evening, noon, admin, ahead):
    wrong_once(noon, ahead)
    runs_today(noon)
    still_there()
    assert admin.get("/setup/schedules/").context["rows"][0].last.due_at == noon.now
    year = str((NOON + ahead).year)
    assert year not in words(admin.get("/setup/schedules/")).partition("Changes")[0]


def test_old_runs_go_and_the_last_that_counts_stays(evening, noon, ahead):
    runs_today(noon)
    wrong_once(noon, ahead)
    Schedule.objects.update(is_on=False)
    housekeeping.tidy(days_pass(noon, 30))
    assert ScheduleRun.objects.filter(due_at=NOON.replace(hour=17)).exists()
    housekeeping.tidy(days_pass(noon, 402))
    assert not ScheduleRun.objects.filter(due_at__gt=noon.now).exists()


# --- Beat ----------------------------------------------------------------------------------------------


def test_beat_goes_on_when_the_clock_is_right_again(beats, clock, ahead):
    scheduler, now = beats(), clock.now
    assert sweeps_within(scheduler, clock, 10) >= 1
    clock.now = now + ahead
    assert sweeps_within(scheduler, clock, 10) >= 1
    clock.now = now + dt.timedelta(minutes=1)
    assert sweeps_within(scheduler, clock, 10) >= 1


def test_beat_that_begins_again_does_not_wait_for_the_time_that_it_wrote_down(beats, clock, ahead):
    scheduler, now = beats(), clock.now
    clock.now = now + ahead
    sweeps_within(scheduler, clock, 10)
    scheduler.sync()
    assert PeriodicTask.objects.filter(last_run_at__gt=now + dt.timedelta(days=1)).exists()
    clock.now = now + dt.timedelta(minutes=1)
    assert sweeps_within(beats(), clock, 10) >= 1


# --- What is kept for a time ---------------------------------------------------------------------------


def kept_things(by, now):
    """One of each that tidying drops when it is old; it is not."""
    make_message("a@example.com", due=False)
    batches.choose(Message.objects.all(), by=by, account=by)
    Upload.objects.create(key="0" * 32, by=by, at=now, filename="a", content_type="text/plain", size=1, sha256="0" * 64)
    form_submissions.begin("1" * 32, by=by)
    AccountPause.history.create(kind="person", since=now, ended_at=now)
    Notice.objects.create(kind="failed", at=now)
    NoticeItem.objects.create(kind="failed", at=now, told_at=now)
    RefusalStreak.objects.create(stage="rcpt", wording="0" * 64, last_at=now)
    RefusalStreak.objects.create(stage="rcpt", wording="1" * 64, last_at=now, asked_at=now, ended_at=now)
    AccessToken.objects.create(key="0" * 64)
    Heartbeat.objects.create(name="opt-files elsewhere", at=now, note=Phrase("opt errors", errors=[]))


KEPT = [Batch, Upload, FormSubmission, Notice, NoticeItem, RefusalStreak, AccessToken]


def number_of_things():
    found = {model.__name__: model.objects.count() for model in KEPT}
    found["AccountPause"] = AccountPause.history.filter(kind="person").count()
    found["Heartbeat"] = Heartbeat.objects.filter(name__startswith=opt_file_block.PREFIX).count()
    return found


@pytest.mark.parametrize("order", ["tidy", "sweep, tidy", "sweep, an hour, tidy"])
def test_nothing_is_deleted_by_a_clock_that_is_ahead(noon, operator, ahead, order):
    kept_things(operator, noon.now)
    before, now = number_of_things(), noon.now
    noon.now += ahead
    for step in order.split(", "):
        if step == "an hour":
            housekeeping.sweep(noon.goes_on(hours=1))
        else:
            getattr(housekeeping, step)(noon.now)
    assert number_of_things() == before
    noon.now = now + dt.timedelta(minutes=1)
    housekeeping.tidy(noon.now)
    housekeeping.sweep(noon.now)
    housekeeping.tidy(noon.now)
    assert number_of_things() == before


def test_what_a_clock_dated_that_was_ahead_is_kept_no_longer_than_usual(noon, operator, ahead):
    kept_things(operator, noon.now + ahead)
    Batch.objects.update(created_at=noon.now + ahead)
    FormSubmission.objects.update(at=noon.now + ahead)
    AccessToken.objects.update(updated_at=noon.now + ahead)
    housekeeping.sweep(noon.now)
    housekeeping.tidy(noon.now)  # what lies ahead counts from now
    housekeeping.tidy(days_pass(noon, 250))
    housekeeping.tidy(noon.now)
    assert number_of_things() == dict.fromkeys(number_of_things(), 0)


def test_failure_that_was_noted_in_the_future_is_told(noon, operator, ahead):
    NoticeItem.objects.create(kind="failed", at=noon.now + ahead)
    housekeeping.tidy(noon.now)
    housekeeping.sweep(noon.goes_on(hours=1))
    assert NoticeItem.objects.get().told_at is not None


def test_clock_that_nobody_corrects_for_a_day_is_believed(noon, operator):
    kept_things(operator, noon.now)
    housekeeping.sweep(noon.goes_on(days=400))
    housekeeping.sweep(noon.goes_on(hours=23))
    housekeeping.tidy(noon.now)
    assert Upload.objects.exists()
    housekeeping.sweep(noon.goes_on(hours=2))
    housekeeping.tidy(noon.now)
    assert not Upload.objects.exists()


def test_clock_that_is_found_to_jump_decides_nothing_in_that_sweep(noon, operator, email_setup):
    options.save({"record_mail": True, "hold_mail": True, "expire_days": 30}, by=operator)
    held = make_message("a@example.com", due=False)
    make_message("b@example.com", due=False)
    Message.objects.filter(pk=held.pk).update(**fitting(status="held", held_until=noon.now + dt.timedelta(days=1)))
    Schedule.objects.create(name="x", kind="every", minutes=1, time_zone="UTC", since=noon.now)
    housekeeping.sweep(noon.now + dt.timedelta(days=400), clock_jumped=True)
    assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["held", "queued"]
    assert not ScheduleRun.objects.exists()
    housekeeping.sweep(noon.goes_on(days=400, seconds=5))  # it was right
    assert Message.objects.get(pk=held.pk).status == "queued"
    assert ScheduleRun.objects.exists()


# --- Who is alive, and what is being done --------------------------------------------------------------


def test_process_that_was_last_seen_in_the_future_does_not_count_as_alive(noon, admin, ahead):
    Heartbeat.objects.update(at=noon.now + ahead)
    Heartbeat.objects.create(name="worker", at=noon.now + ahead)
    assert "Nothing is being sent" in source(admin.get("/messages/"))
    for check in (health._worker, health._beat):
        with pytest.raises(health.NotWell):
            check()
    Heartbeat.objects.update(at=noon.now + dt.timedelta(seconds=20))  # of a machine whose clock differs a little
    assert "Nothing is being sent" not in source(admin.get("/messages/"))
    health._worker()


def test_note_of_another_server_is_shown_no_longer_than_a_minute(noon, ahead):
    Heartbeat.objects.create(name="opt-files elsewhere", at=noon.now + ahead)
    assert not opt_file_block.notes(noon.now).exists()


def test_lease_that_was_taken_in_the_future_ends(noon, ahead):
    message = make_message("a@example.com")
    Message.objects.filter(pk=message.pk).update(
        status="sending", lease_owner="gone", lease_expires_at=noon.now + ahead, may_be_accepted=False
    )
    ActiveLane.objects.create(owner="gone", expires_at=noon.now + ahead)
    wrong_once(noon, ahead)
    housekeeping.sweep(noon.goes_on(minutes=2))
    assert Message.objects.get().status == "queued"
    assert not ActiveLane.objects.filter(expires_at__gt=noon.now).exists()


def test_form_that_was_being_sent_in_the_future_is_told_as_broken_off(noon, operator, ahead):
    row = form_submissions.begin("1" * 32, by=operator)
    row.at = noon.now + ahead
    assert form_submissions.what_became(row)[0] == "broken-off"
    row.at = noon.now + dt.timedelta(seconds=20)
    assert form_submissions.what_became(row)[0] == "sending"


def test_files_of_attachments_are_looked_at_every_day(noon, media, ahead):
    Heartbeat.objects.create(name="blobs", at=noon.now + ahead)
    housekeeping.tidy(noon.now)
    assert Heartbeat.objects.get(name="blobs").at == noon.now


def test_token_that_came_in_the_future_is_renewed(noon, ahead):
    row = AccessToken.objects.create(key="0" * 64, token_encrypted="x", expires_at=noon.now + ahead)
    AccessToken.objects.update(updated_at=noon.now + ahead, renewing_until=noon.now + ahead)
    housekeeping.tidy(noon.now)
    row.refresh_from_db()
    assert (row.expires_at, row.renewing_until) == (None, None)
    assert row.updated_at < noon.now


# --- What waits in the queue ---------------------------------------------------------------------------


def put_right(clock, now):
    """The clock was wrong between two sweeps, so that none saw it; it is right since, and things are tidied."""
    clock.now = now + dt.timedelta(minutes=1)
    housekeeping.sweep(clock.now)
    housekeeping.tidy(clock.now)


def due_within(clock, time=dt.timedelta()):
    return Message.objects.filter(status="queued", not_before__lte=clock.now + time).count()


def test_retry_that_was_put_off_in_the_future_comes_after_its_gap(noon, server, ahead):
    server.at("RCPT", "450 4.2.0 greylisted")
    make_message("a@example.com")
    now, noon.now = noon.now, noon.now + ahead
    Lane(None).run()
    put_right(noon, now)
    assert (due_within(noon, dt.timedelta(minutes=1)), due_within(noon, dt.timedelta(minutes=10))) == (0, 1)
    assert Message.objects.get().give_up_at <= noon.now + dt.timedelta(days=2), "the page says so"
    before = Message.objects.get().not_before
    housekeeping.tidy(noon.goes_on(minutes=1))
    assert Message.objects.get().not_before == before, "the gap began once"


def test_message_that_was_first_tried_in_the_future_is_given_up_in_time(noon, server, ahead):
    server.at("RCPT", "450 4.2.0 greylisted")
    make_message("a@example.com")
    now, noon.now = noon.now, noon.now + ahead
    Lane(None).run()
    put_right(noon, now)
    noon.goes_on(minutes=10)
    Lane(None).run()
    message = Message.objects.get()
    assert message.tries == 2
    assert message.give_up_at <= noon.now + dt.timedelta(days=2)


def test_message_that_was_first_tried_in_the_past_is_not_given_up_at_once(noon, server, ahead):
    server.at("RCPT", "450 4.2.0 greylisted")
    message = make_message("a@example.com")
    Message.objects.update(not_before=noon.now - 2 * ahead)
    now, noon.now = noon.now, noon.now - ahead
    Lane(None).run()
    noon.now = now + dt.timedelta(minutes=10)
    Lane(None).run()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 2)
    assert message.give_up_at > noon.now


@pytest.mark.parametrize("order", ["batch", "try now", "retry", "queue instead"])
def test_what_was_ordered_in_the_future_goes_out_at_once(noon, operator, email_setup, woken, ahead, order):
    now = noon.now
    message = make_message("a@example.com", due=False)
    noon.now += ahead
    if order == "batch":
        batch = batches.choose(Message.objects.all(), by=operator, account=None)
        batches.confirm(batch, by=operator)
    elif order == "try now":
        Message.objects.update(not_before=now + dt.timedelta(hours=1))
        actions.try_now(message, by=operator)
    elif order == "retry":
        put(message, status="failed")
        message.recipients.update(status="failed")
        actions.retry(message, by=operator)
    else:
        Message.objects.all().delete()
        list(submit.submit([submission("a@example.com")], queue_instead=True))
    assert due_within(noon) == 1
    put_right(noon, now)
    assert due_within(noon) == 1


def test_message_that_was_put_back_untried_in_the_future_goes_out(noon, server, ahead):
    server.at("MAIL", ["421 4.7.0 too many messages, slow down"])
    make_message("a@example.com")
    now, noon.now = noon.now, noon.now + ahead
    Lane(None).run()
    put_right(noon, now)
    assert due_within(noon) == 1


@pytest.mark.parametrize("tried", [False, True])
def test_time_that_a_person_asked_for_stays(noon, server, ahead, tried):
    """Also where a clock that was ahead had come to it, and the server could not be reached."""
    monday = noon.now + dt.timedelta(days=7)
    server.at("GREETING", "421 4.3.2 down")
    now, noon.now = noon.now, noon.now + ahead * (not tried)
    list(submit.submit([submission("a@example.com", not_before=monday + ahead * (not tried))]))
    asked = Message.objects.get().not_before
    noon.now = now + ahead
    if tried:
        Lane(None).run()
        assert server.connections
    put_right(noon, now)
    assert Message.objects.get().not_before == asked


def test_retry_that_waits_by_a_right_clock_is_left_alone(noon, server, ahead):
    """Whatever was ordered and tried in the future before."""
    server.at("RCPT", "450 4.2.0 greylisted")
    make_message("a@example.com")
    now, noon.now = noon.now, noon.now + ahead
    Lane(None).run()
    put_right(noon, now)
    noon.goes_on(minutes=10)
    Lane(None).run()
    before = Message.objects.get().not_before
    assert before > noon.now
    housekeeping.tidy(noon.now)
    assert Message.objects.get().not_before == before


def test_lease_of_a_process_that_was_killed_between_two_sweeps_in_the_future_ends(noon, ahead):
    message = make_message("a@example.com")
    claims.take(None, "killed", 1, noon.now + ahead)
    housekeeping.sweep(noon.goes_on(seconds=5))
    assert Message.objects.get(pk=message.pk).status == "sending", "it may be alive, and has its full time"
    housekeeping.sweep(noon.goes_on(seconds=20))
    housekeeping.sweep(noon.goes_on(seconds=20))
    assert Message.objects.get(pk=message.pk).status == "queued"


def test_what_may_have_arrived_in_the_future_is_decided(noon, ahead):
    message = make_message("a@example.com")
    [claimed] = claims.take(None, "killed", 1, noon.now + ahead)
    attempt = SendAttempt(message=claimed, fence=claimed.fence, started_at=noon.now + ahead, stage="data")
    noon.now += ahead
    ledger.start_data(claimed, attempt, noon.now)
    noon.now -= ahead
    for _ in range(8):
        housekeeping.sweep(noon.goes_on(seconds=20))
    assert Message.objects.get(pk=message.pk).status == "unknown"


def test_message_that_came_in_or_was_ordered_in_the_future_waits_no_longer_than_others(noon, operator, ahead):
    options.save({"record_mail": True, "hold_mail": True, "expire_days": 30}, by=operator)
    make_message("a@example.com", due=False)
    now, noon.now = noon.now, noon.now + ahead
    make_message("b@example.com", due=False)
    for message in Message.objects.all():
        actions.hold(message, by=operator, why="x")
        actions.release(message, by=operator)
    put_right(noon, now)
    days_pass(noon, 2)
    housekeeping.tidy(noon.now)
    days_pass(noon, 31)
    assert set(Message.objects.values_list("status", flat=True)) == {"failed"}
