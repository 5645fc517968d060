"""The sweep: what happens every few seconds, as often as it is asked for."""

import datetime as dt

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from messaging import housekeeping, tasks
from messaging.access import roles
from messaging.company import options
from messaging.models import AccountPause, Batch, Heartbeat, Message, MessageEvent, Notice, Schedule, ScheduleRun
from messaging.notices import dispatch, text
from messaging.queue import actions, batches
from messaging.scheduling import schedules, timetable
from messaging.wording import in_words
from tests.factories import fitting, make_message, make_user, put, said
from tests.steps import locked

pytestmark = pytest.mark.django_db


def test_idle_sweep_is_cheap_and_leaves_a_sign_of_life(django_assert_max_num_queries):
    now = timezone.now()
    housekeeping.sweep(now - dt.timedelta(seconds=5))
    with django_assert_max_num_queries(8):
        housekeeping.sweep(now)
    assert Heartbeat.objects.get().at == now


def test_sweep_wakes_a_lane_for_what_is_due(woken, operator):
    make_message("a@example.com")
    later = make_message("b@example.com")
    Message.objects.filter(pk=later.pk).update(account=operator, not_before=timezone.now() + dt.timedelta(hours=1))
    housekeeping.sweep(timezone.now())
    assert woken == [None]


@pytest.mark.parametrize("whose", ["company", "anna"])
def test_sweep_leaves_a_paused_account_alone_until_its_probe_is_due(woken, operator, whose):
    account = operator if whose == "anna" else None
    for owner in (operator, None):
        message = make_message("a@example.com")
        Message.objects.filter(pk=message.pk).update(account=owner)
    now = timezone.now()
    AccountPause.objects.create(account=account, since=now, until=now + dt.timedelta(minutes=1), reason=said("refused"))
    housekeeping.sweep(now)
    assert woken == [None if whose == "anna" else operator.pk]
    woken.clear()
    housekeeping.sweep(now + dt.timedelta(minutes=2))
    assert set(woken) == {None, operator.pk}


def test_hold_ends_at_its_time_and_says_so(operator):
    message = make_message("a@example.com", due=False)
    now = timezone.now()
    actions.hold(message, by=operator, why="until Monday", until=now + dt.timedelta(days=1))
    housekeeping.sweep(now)
    message.refresh_from_db()
    assert message.status == "held"
    housekeeping.sweep(now + dt.timedelta(days=1))
    message.refresh_from_db()
    assert (message.status, message.not_before) == ("queued", None)
    assert in_words(message.events.last().what) == "Hold ended: back in the queue"


def test_forgotten_draft_is_dropped_and_its_messages_stay(operator):
    make_message("a@example.com", due=False)
    batches.choose(Message.objects.all(), by=operator, account=operator)
    housekeeping.tidy(timezone.now())
    assert Batch.objects.count() == 1
    housekeeping.tidy(timezone.now() + dt.timedelta(days=2))
    assert Batch.objects.count() == 0
    assert Message.objects.get().status == "queued"


# --- A part that fails keeps no other part from its work, and what fails is logged --------------------


def fail(*args, **options):
    raise RuntimeError("one bad row")


PARTS = [
    "messaging.delivery.opt_file_block.note_errors",
    "messaging.housekeeping.rescue",
    "messaging.housekeeping._end_waiting",
    "messaging.delivery.pauses.end_due",
    "messaging.scheduling.schedules.run_due",
    "messaging.notices.look_after",
]


@pytest.mark.parametrize("part", PARTS)
def test_each_other_part_does_its_work(monkeypatch, caplog, woken, clock, part):
    make_message("a@example.com")
    held = make_message("b@example.com", due=False)
    Message.objects.filter(pk=held.pk).update(**fitting(status="held", held_until=clock.now))
    left = make_message("c@example.com")
    long_ago = clock.now - dt.timedelta(hours=1)
    Message.objects.filter(pk=left.pk).update(
        status="sending", lease_owner="gone", lease_expires_at=long_ago, may_be_accepted=False
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
    Message.objects.update(**fitting(status="failed"))
    other = make_message("b@example.com")
    Message.objects.filter(pk=other.pk).update(**fitting(status="unknown"))
    make = dispatch._make
    monkeypatch.setattr(dispatch, "_make", lambda rule, *rest: fail() if rule.kind == "failed" else make(rule, *rest))
    housekeeping.sweep(clock.now)
    housekeeping.sweep(clock.goes_on(minutes=20))
    assert [notice.kind for notice in Notice.objects.all()] == ["unknown"]


@pytest.mark.parametrize(("error", "is_tried_again"), [(KeyError("x"), False), (OSError("No space left"), True)])
def test_one_notice_that_cannot_be_mailed_keeps_no_other(
    monkeypatch, caplog, clock, email_setup, error, is_tried_again
):
    make_user("boss", "boss@office.example", role=roles.ADMIN)
    for status in ("failed", "unknown"):
        put(make_message("nobody@example.com"), status=status, not_before=None)
    told = text.notice_words

    def told_of_one(notice, *rest):
        if notice.kind == "failed":
            raise error
        return told(notice, *rest)

    monkeypatch.setattr(text, "notice_words", told_of_one)
    housekeeping.sweep(clock.now)
    housekeeping.sweep(clock.goes_on(minutes=20))
    assert dict(Notice.objects.values_list("kind", "mail_due")) == {"failed": is_tried_again, "unknown": False}
    assert "mailed" in caplog.text
    monkeypatch.setattr(text, "notice_words", told)
    housekeeping.sweep(clock.now)
    mailed = dict(Notice.objects.values_list("kind", "mail"))
    assert (mailed["failed"] is not None, mailed["unknown"] is not None) == (is_tried_again, True)


PARTS_OF_TIDY = [
    "scheduling.schedules.forget",
    "notices.forget",
    "content.uploads.forget",
    "compose.form_submissions.forget",
]


@pytest.mark.parametrize("part", PARTS_OF_TIDY)
def test_each_other_part_of_tidying_does_its_work(monkeypatch, caplog, clock, part):
    done = []
    monkeypatch.setattr("messaging.housekeeping._keep_signed_in", done.append)
    monkeypatch.setattr(f"messaging.{part}", fail)
    housekeeping.tidy(clock.now)
    assert done and "one bad row" in caplog.text


# --- A client that vanished keeps its locks --------------------------------------------------------------------------


def ended_hold(now):
    return fitting(status="held", held_until=now)


def waited_too_long(now):
    options.save({"expire_days": 1}, by=None)
    return {"not_before": None, "created_at": now - dt.timedelta(days=2)}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("waits", "status"), [(ended_hold, "queued"), (waited_too_long, "failed")])
def test_sweep_waits_for_no_message_that_stays_locked(woken, waits, status):
    now = timezone.now()
    first, second = (put(make_message(f"{name}@example.com", due=False), **waits(now)) for name in "ab")
    MessageEvent.objects.update(at=now - dt.timedelta(days=2))
    due = make_message("c@example.com")
    now = timezone.now()
    with locked(first), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
        housekeeping.sweep(now)
        cursor.execute("RESET lock_timeout")
    assert due.account_id in woken
    second.refresh_from_db()
    assert second.status == status
    housekeeping.sweep(now)
    first.refresh_from_db()
    assert first.status == status


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_part_that_waits_for_a_lock_keeps_no_other_from_its_work(woken, monkeypatch):
    make_message("a@example.com")
    locked_one = make_message("b@example.com", due=False)
    waits = lambda now: Message.objects.select_for_update().get(pk=locked_one.pk)  # noqa: E731
    monkeypatch.setattr("messaging.housekeeping.pauses.end_due", lambda now: transaction.atomic(waits)(now))
    with locked(locked_one), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '200ms'")
        housekeeping.sweep(timezone.now())
        cursor.execute("RESET lock_timeout")
    assert woken == [None]


def test_one_sweep_at_a_time():
    with tasks._sweeping:
        tasks.sweep()
    assert not Heartbeat.objects.exists()
    tasks.sweep()
    assert Heartbeat.objects.get().name == housekeeping.SWEEP


@pytest.mark.postgresql
def test_server_lets_go_of_a_client_that_vanished():
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('idle_in_transaction_session_timeout'), inet_server_addr()")
        timeout, address = cursor.fetchone()
        cursor.execute("SHOW tcp_keepalives_idle")
        [idle] = cursor.fetchone()
    assert timeout == "15min"
    assert address is None or idle == "30"  # over a socket of the machine there is no network to lose
