"""Pauses and limits (issue: the delivery engine, points 6 and 7): lanes against a real server, by a clock of ours."""

import datetime as dt
import threading
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from messaging import housekeeping, submit
from messaging.access import roles
from messaging.delivery.store import claims
from messaging.models import AccountPause, EmailSettings, Message, SendAttempt
from messaging.queue import pausing
from messaging.wording import in_words
from tests.factories import hold_mail, make_message, said, set_up, submission
from tests.fault_server import FaultServer
from tests.rows import heard, states
from tests.steps import elsewhere, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

NEWS = "The mail server moves to another cellar"


@pytest.fixture
def staff(operator):
    roles.give(operator, roles.ADMIN)
    return operator


def queue(number, account=None, **values):
    messages = [make_message(f"c{place}@example.com") for place in range(number)]
    Message.objects.filter(pk__in=[message.pk for message in messages]).update(account=account, **values)
    return messages


def nothing_failed():
    assert not Message.objects.filter(status__in=["failed", "unknown"]).exists()
    assert set(Message.objects.filter(status="queued").values_list("tries", flat=True)) <= {0}


def pause_of(kind, account=None):
    return AccountPause.objects.get(account=account, kind=kind)


# --- Limits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "period", "unit"), [("per_minute", 60, "minute"), ("per_hour", 3600, "hour")])
def test_what_is_over_the_limit_waits_until_the_time_shown_and_never_fails(mail_server, clock, limit, period, unit):
    set_up(mail_server, **{limit: 3})
    queue(5)
    begun = clock.now
    run_lane(clock=clock)
    assert len(mail_server.received) == 3
    nothing_failed()
    pause = pause_of("limit")
    assert pause.until == begun + dt.timedelta(seconds=period)
    assert in_words(pause.reason) == f"The limit of 3 messages per {unit} is reached."
    clock.goes_on(seconds=period - 1)
    run_lane(clock=clock)
    assert len(mail_server.received) == 3
    clock.goes_on(seconds=2)
    run_lane(clock=clock)
    assert len(mail_server.received) == 5
    assert Counter(states()) == {"sent": 5}


def test_sweep_wakes_an_account_at_its_limit_no_sooner_than_it_may_send(mail_server, clock, woken):
    set_up(mail_server, per_minute=2)
    queue(3)
    run_lane(clock=clock)
    housekeeping.sweep(clock.now)
    assert woken == []
    housekeeping.sweep(clock.goes_on(seconds=61))
    assert woken == [None]
    assert not AccountPause.history.exists(), "limits come and go, and leave no history"


def test_limit_counts_a_sliding_time_and_not_the_clocks_minute(mail_server, clock):
    set_up(mail_server, per_minute=3)
    queue(2)
    run_lane(clock=clock)
    clock.goes_on(seconds=40)
    queue(3)
    run_lane(clock=clock)
    assert len(mail_server.received) == 3
    clock.goes_on(seconds=21)
    run_lane(clock=clock)
    assert len(mail_server.received) == 5, "the first two are a minute old, the third is not"
    queue(1)
    run_lane(clock=clock)
    assert len(mail_server.received) == 5


def test_longer_limit_holds_when_the_shorter_one_does_not(mail_server, clock):
    set_up(mail_server, per_minute=2, per_hour=3)
    queue(4)
    run_lane(clock=clock)
    clock.goes_on(seconds=61)
    run_lane(clock=clock)
    assert len(mail_server.received) == 3
    assert in_words(pause_of("limit").reason) == "The limit of 3 messages per hour is reached."
    nothing_failed()


def test_failed_attempts_count_for_the_limit_as_the_server_counts_them(mail_server, clock):
    mail_server.replies["c0@example.com"] = "550 5.1.1 no such user"
    set_up(mail_server, per_minute=2)
    queue(3)
    run_lane(clock=clock)
    assert Counter(states()) == {"failed": 1, "sent": 1, "queued": 1}


def test_one_accounts_limit_is_not_anothers(mail_server, clock, operator):
    set_up(mail_server, per_minute=1)
    EmailSettings.objects.create(account=operator, per_minute=0)
    queue(2)
    queue(3, account=operator)
    run_lane(clock=clock)
    run_lane(operator.pk, clock=clock)
    assert len(mail_server.received) == 4


class Watcher:
    """Counts how many transactions a server is in at the same time."""

    def __init__(self, server):
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        server.at_end = self

    def __call__(self, message):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.05)
        with self.lock:
            self.now -= 1


def run_lanes(number, clock):
    assert not in_threads(number, lambda: run_lane(clock=clock))


@pytest.mark.slow
def test_several_lanes_together_keep_to_the_rate(mail_server, clock):
    set_up(mail_server, per_minute=7, max_connections=4)
    queue(20)
    run_lanes(4, clock)
    assert len(mail_server.received) == 7
    assert SendAttempt.objects.count() == 7
    nothing_failed()
    clock.goes_on(seconds=61)
    run_lanes(4, clock)
    assert len(mail_server.received) == 14


@pytest.mark.slow
def test_several_lanes_together_keep_to_the_connections(mail_server, clock):
    set_up(mail_server, max_connections=2)
    watcher = Watcher(mail_server)
    queue(24)
    run_lanes(5, clock)
    assert watcher.most == 2
    run_lane(clock=clock)
    assert Counter(states()) == {"sent": 24}


def test_connection_ends_after_as_many_messages_as_its_limit(mail_server, clock):
    set_up(mail_server, messages_per_connection=2)
    queue(5)
    run_lane(clock=clock)
    assert mail_server.connections == 3


# --- Sending windows ---------------------------------------------------------------------------------


def at_noon(clock, zone):
    """The clock on a Wednesday of the future, at noon in a zone."""
    clock.now = dt.datetime(2030, 3, 6, 12, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def test_window_that_closes_in_mid_batch_stops_it_until_it_opens(mail_server, clock):
    at_noon(clock, "Asia/Kathmandu")
    set_up(mail_server, sending_window="Wed 11:00-12:10", time_zone="Asia/Kathmandu")
    queue(12)
    mail_server.at_end = lambda message: clock.goes_on(minutes=2, seconds=31)
    run_lane(clock=clock)
    sent = len(mail_server.received)
    assert sent == 4, "the four claimed within the window, and no other"
    nothing_failed()
    pause = pause_of("window")
    assert pause.until == dt.datetime(2030, 3, 13, 11, tzinfo=ZoneInfo("Asia/Kathmandu"))
    assert in_words(pause.reason) == "Outside the sending window (Wed 11:00-12:10, Asia/Kathmandu)."
    mail_server.at_end = lambda message: None
    clock.now = pause.until - dt.timedelta(seconds=1)
    run_lane(clock=clock)
    assert len(mail_server.received) == sent
    clock.now = pause.until
    run_lane(clock=clock)
    assert Counter(states()) == {"sent": 12}


def test_urgent_message_goes_out_whatever_the_window(mail_server, clock, woken):
    at_noon(clock, "UTC")
    set_up(mail_server, sending_window="Sun 10:00-11:00", time_zone="UTC")
    queue(2)
    run_lane(clock=clock)
    assert mail_server.received == []
    (urgent,) = queue(1, urgent=True)
    housekeeping.sweep(clock.now)
    assert woken == [None], "the window keeps no one from waking a lane for an urgent message"
    run_lane(clock=clock)
    urgent.refresh_from_db()
    assert (urgent.status, len(mail_server.received)) == ("sent", 1)


@pytest.mark.parametrize(("window", "zone"), [("nine to five", "UTC"), ("daily 07:00-19:00", "Atlantis/Centre")])
def test_window_that_cannot_be_read_is_a_set_up_fault_and_crashes_no_lane(mail_server, clock, window, zone):
    set_up(mail_server, sending_window=window, time_zone=zone)
    queue(2)
    run_lane(clock=clock)
    assert mail_server.connections == 0
    nothing_failed()
    assert "The sending window cannot be read" in heard(pause_of("fault"))


# --- People ------------------------------------------------------------------------------------------


def test_persons_pause_stops_at_the_next_message_boundary(mail_server, clock, staff):
    set_up(mail_server)
    messages = queue(12)
    arrived = []

    def pause_at_third(message):
        arrived.append(message)
        if len(arrived) == 3:
            assert not in_threads(1, lambda: pausing.pause(None, by=staff, why=NEWS))

    mail_server.at_end = pause_at_third
    run_lane(clock=clock)
    assert len(mail_server.received) == 3, "the one being sent is finished, and no other is begun"
    assert Counter(states()) == {"sent": 3, "queued": 9}
    nothing_failed()
    run_lane(clock=clock)
    assert len(mail_server.received) == 3
    pausing.resume(None, by=staff)
    run_lane(clock=clock)
    assert Counter(states()) == {"sent": 12}
    assert sorted(to for message in mail_server.received for to in message.recipients) == sorted(
        message.recipients.get().address for message in messages
    )


def test_pause_ordered_between_leave_and_claim_holds(mail_server, clock, staff, monkeypatch):
    set_up(mail_server)
    queue(4)
    take, ordered = claims.take, []

    def take_late(*arguments, **options):
        if not ordered:
            ordered.append(pausing.pause(None, by=staff, why="wrong prices"))
        return take(*arguments, **options)

    monkeypatch.setattr(claims, "take", take_late)
    run_lane(clock=clock)
    assert mail_server.received == []


def test_urgent_message_goes_on_although_a_person_paused(mail_server, clock, staff, woken):
    set_up(mail_server)
    pausing.pause(None, by=staff, why=NEWS)
    queue(3)
    housekeeping.sweep(clock.now)
    assert woken == []
    (urgent,) = queue(1, urgent=True)
    housekeeping.sweep(clock.now)
    assert woken == [None]
    run_lane(clock=clock)
    urgent.refresh_from_db()
    assert (urgent.status, len(mail_server.received)) == ("sent", 1)
    assert Counter(states()) == {"sent": 1, "queued": 3}


def test_pausing_one_account_leaves_the_others_sending(mail_server, clock, staff, operator):
    set_up(mail_server)
    pausing.pause(operator, by=staff, why=NEWS)
    queue(2)
    queue(2, account=operator)
    run_lane(clock=clock)
    run_lane(operator.pk, clock=clock)
    assert len(mail_server.received) == 2
    assert Message.objects.filter(account=operator, status="queued").count() == 2


def test_pausing_all_stops_every_account_and_resuming_wakes_them(mail_server, clock, staff, operator, woken):
    set_up(mail_server)
    queue(8)
    queue(8, account=operator)
    arrived = []

    def pause_at_second(message):
        arrived.append(message)
        if len(arrived) == 2:
            assert not in_threads(1, lambda: pausing.pause(pausing.ALL, by=staff, why=NEWS))

    mail_server.at_end = pause_at_second
    run_lane(clock=clock)
    run_lane(operator.pk, clock=clock)
    assert len(mail_server.received) == 2
    nothing_failed()
    housekeeping.sweep(clock.now)
    assert woken == []
    assert pausing.resume(pausing.ALL, by=staff)
    assert set(woken) == {None, operator.pk}
    run_lane(clock=clock)
    run_lane(operator.pk, clock=clock)
    assert Counter(states()) == {"sent": 16}


def test_pause_ends_by_itself_at_its_time(mail_server, clock, staff, woken):
    set_up(mail_server)
    until = clock.now + dt.timedelta(minutes=30)
    pausing.pause(None, by=staff, why=NEWS, until=until)
    queue(2)
    clock.now = until - dt.timedelta(seconds=1)
    run_lane(clock=clock)
    housekeeping.sweep(clock.now)
    assert (mail_server.received, woken) == ([], [])
    housekeeping.sweep(clock.goes_on(seconds=5))
    assert woken == [None]
    run_lane(clock=clock)
    assert Counter(states()) == {"sent": 2}
    (ended,) = AccountPause.history.all()
    assert (ended.ended_at, ended.ended_by) == (until, None), "it ended then, not when the sweep came by"


def test_test_message_is_urgent_and_goes_out_although_all_is_paused(mail_server, clock, staff, client):
    set_up(mail_server)
    pausing.pause(pausing.ALL, by=staff, why=NEWS)
    client.force_login(staff)
    page = b"".join(client.post("/setup/email/test/", {"recipient": "me@example.com"})).decode()
    assert "The mail server accepted the test message" in page
    assert Message.objects.get().urgent
    assert [message.recipients for message in mail_server.received] == [["me@example.com"]]


# --- What the server wants -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "reply"),
    [
        ("GREETING", "421 4.7.0 too many connections"),
        ("GREETING", "421 4.3.2 slow down"),
        ("MAIL", "421 4.7.0 Try again later, closing connection"),
        ("RCPT", "451 4.7.500 Server busy. Please try again later"),
        ("END", "451 4.7.500 Server busy. Please try again later"),
    ],
)
def test_server_that_wants_us_slower_is_no_set_up_fault_and_costs_no_try(clock, stage, reply, woken):
    with FaultServer() as server:
        server.at(stage, reply)
        set_up(server)
        queue(2)
        run_lane(clock=clock)
    assert [pause.kind for pause in AccountPause.objects.all()] == ["busy"]
    assert pause_of("busy").until > clock.now
    assert set(Message.objects.values_list("status", "tries")) == {("queued", 0)}
    housekeeping.sweep(clock.now)
    assert woken == []


def test_server_that_is_not_there_is_a_set_up_fault_until_a_try_gets_through(mail_server, clock, staff, woken):
    set_up(mail_server, port=9)
    queue(2)
    run_lane(clock=clock)
    assert [pause.kind for pause in AccountPause.objects.all()] == ["fault"]
    set_up(mail_server)
    run_lane(clock=clock)
    assert mail_server.received == [], "no one tries before the time, unless a person says so"
    assert pausing.try_now(None)
    assert woken == [None]
    run_lane(clock=clock)
    assert Counter(states()) == {"sent": 2}
    assert not AccountPause.objects.exists()
    assert AccountPause.history.get().ended_at == clock.now
    assert not pausing.try_now(None)


def test_try_now_counts_for_nothing_while_a_person_paused(mail_server, clock, staff):
    set_up(mail_server, port=9)
    queue(1)
    run_lane(clock=clock)
    set_up(mail_server)
    pausing.pause(None, by=staff, why=NEWS)
    pausing.try_now(None)
    run_lane(clock=clock)
    assert mail_server.received == []


def test_lane_that_ends_takes_no_probe(server):
    make_message("a@example.com"), make_message("b@example.com")
    now = timezone.now()

    def fault_elsewhere():
        AccountPause.objects.create(account=None, kind="fault", since=now, until=now, reason=said("X."))

    ends = []
    server.at("END", [lambda: (elsewhere(fault_elsewhere)(), ends.append(1), "250 ok")[2]])
    run_lane(stop=lambda: bool(ends))
    row = AccountPause.objects.get()
    assert row.failures == 1, "the probe was taken by a lane that had ended"


# --- A try for which no server was asked ---------------------------------------------------------------


def without_its_file(media):
    message = make_message("lost@example.com", files=[("report.pdf", "application/pdf", b"%PDF-1.7")])
    for file in media.glob("blobs/*/*"):
        file.unlink()
    return message


def too_big_for_the_server(media):
    return make_message("big@example.com", body="More than it takes.\n" * 500)


@pytest.mark.parametrize("unfit", [without_its_file, too_big_for_the_server])
@pytest.mark.parametrize(("kind", "reply"), [("fault", "530 5.7.0 sign in first"), ("busy", "421 4.7.0 too fast")])
def test_message_of_which_no_server_was_asked_leaves_the_try_to_the_next(clock, media, unfit, kind, reply):
    with FaultServer(size=5000) as server:
        set_up(server)
        queue(2)
        server.at("MAIL", reply)
        run_lane(clock=clock)
        clock.now = pause_of(kind).until
        bad = unfit(media)
        Message.objects.filter(pk=bad.pk).update(not_before=clock.now - dt.timedelta(hours=1))
        asked = len(server.heard("MAIL"))
        run_lane(clock=clock)
        assert states() == ["queued", "queued", "failed"]
        assert len(server.heard("MAIL")) == asked + 1, "it was the next one that tried"
        assert (pause_of(kind).failures, AccountPause.history.count()) == (2, 1)
        assert pause_of(kind).until > clock.now
        server.mend()
        clock.now = pause_of(kind).until
        run_lane(clock=clock)
        assert states() == ["sent", "sent", "failed"]
        assert not AccountPause.objects.exists()


def at_the_next_try(server, clock):
    queue(2)
    server.at("MAIL", "530 5.7.0 sign in first")
    run_lane(clock=clock)
    server.mend()
    clock.now = pause_of("fault").until
    return pause_of("fault")


def test_worker_that_stops_with_a_try_in_hand_leaves_it_to_the_next(server, clock):
    before, is_told = at_the_next_try(server, clock), []

    def stop():
        is_told.extend([True] * (pause_of("fault").failures > before.failures))
        return bool(is_told)

    run_lane(clock=clock, stop=stop)
    assert is_told
    assert len(server.heard("MAIL")) == 1
    assert (pause_of("fault").failures, pause_of("fault").until) == (before.failures, clock.now)
    run_lane(clock=clock)
    assert states() == ["sent", "sent"]


def test_message_that_is_taken_back_as_it_is_tried_leaves_the_try_to_the_next(server, clock):
    at_the_next_try(server, clock)
    server.at("DATA", [lambda: (elsewhere(lambda: claims.take_back(None))(), "354 go")[1]])
    run_lane(clock=clock)
    assert states() == ["sent", "sent"]


def test_message_sent_at_once_of_which_no_server_was_asked_ends_no_pause(clock, media):
    with FaultServer(size=5000) as server:
        set_up(server)
        queue(1)
        server.at("MAIL", "421 4.7.0 too fast, try again in 1 hour")
        run_lane(clock=clock)
        until = pause_of("busy").until
        hold_mail(hold=False)
        [outcome] = submit.submit([submission("big@example.com", body="More than it takes.\n" * 500)])
        assert outcome.state == "failed"
        assert pause_of("busy").until == until


# --- A clock that was wrong once -----------------------------------------------------------------------


def unreachable(server):
    set_up(server, host="127.0.0.1", port=1)


def too_many(server):
    server.at("MAIL", "421 4.7.0 Too many messages, try again later")


def at_its_limit(server):
    set_up(server, per_hour=1)


def outside_its_window(server):
    set_up(server, sending_window="Mon 07:00-07:01", time_zone="UTC")


@pytest.mark.parametrize("days", [1, 400, 3650])
@pytest.mark.parametrize(
    ("kind", "bring_about"),
    [("fault", unreachable), ("busy", too_many), ("limit", at_its_limit), ("window", outside_its_window)],
)
def test_pause_put_there_by_a_wrong_clock_is_over_with_it(server, clock, kind, bring_about, days, woken):
    begun = clock.now.replace(year=2026, month=12, day=9, hour=12)  # a Wednesday
    clock.now = begun + dt.timedelta(days=days + 8)
    make_message("a@example.com"), make_message("b@example.com")
    bring_about(server)
    run_lane(clock=clock)
    assert pause_of(kind).until > clock.now
    clock.now = begun
    server.mend()
    set_up(server, per_hour=0, sending_window="")  # written past the form, which would end the pause
    make_message("c@example.com")
    housekeeping.sweep(clock.now)
    assert woken == [None]
    assert not AccountPause.objects.filter(until__gt=clock.now).exists(), "no page names that time"
    run_lane(clock=clock)
    assert [recipient for taken in server.accepted for recipient in taken.recipients][-1] == "c@example.com"
    assert pausing.holding_account(None, clock.now) == []


def test_persons_pause_holds_for_as_long_as_they_said(mail_server, clock, staff):
    set_up(mail_server)
    pausing.pause(None, by=staff, why=NEWS, until=clock.now + dt.timedelta(days=3000))
    queue(1)
    run_lane(clock=clock)
    assert mail_server.received == []


# --- What happens between reading and writing ----------------------------------------------------------


def test_pause_that_is_prolonged_while_the_sweep_ends_what_is_over_goes_on(clock, staff, ben, monkeypatch):
    """Anna's pause is looked at first; at that moment someone prolongs Ben's, which was over."""
    pausing.pause(staff, by=staff, why=NEWS)
    pausing.pause(ben, by=staff, why=NEWS, until=clock.now + dt.timedelta(minutes=1))
    clock.goes_on(minutes=2)
    later = clock.now + dt.timedelta(hours=1)

    def prolong(*arguments, **options):
        AccountPause.objects.filter(account=ben).update(until=later)

    monkeypatch.setattr(claims, "take_back", prolong)
    housekeeping.sweep(clock.now)
    assert pause_of("person", ben).until == later


@pytest.mark.parametrize("kind", ["limit", "window"])
def test_limit_that_is_reached_again_while_the_sweep_ends_it_goes_on(clock, staff, monkeypatch, kind):
    pausing.pause(None, by=staff, why=NEWS)
    over = {"since": clock.now, "until": clock.now, "reason": said("X.")}
    row = AccountPause.objects.create(account=staff, kind=kind, **over)
    later = clock.goes_on(minutes=1) + dt.timedelta(minutes=1)

    def prolong(*arguments, **options):
        AccountPause.objects.filter(pk=row.pk).update(until=later)

    monkeypatch.setattr(claims, "take_back", prolong)
    housekeeping.sweep(clock.now)
    assert pause_of(kind, staff).until == later
