"""The limits of Email Setup hold for lanes and for what is sent at once, recorded or not, from however many threads."""

import datetime as dt
import threading
from contextlib import ExitStack

import pytest
from django.db import connection, transaction
from django.utils import timezone

from messaging import connection_check, housekeeping, submit
from messaging.delivery.store import claims, ledger
from messaging.intake import gate
from messaging.lifecycle import limits
from messaging.models import AccountPause, ActiveLane, EmailSettings, Message, PastTry, SendAttempt
from messaging.wording import in_words
from tests.factories import hold_mail, make_message, make_messages, make_user, set_up, submission
from tests.steps import elsewhere, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

RECORDED = {"recorded": (True, False), "not recorded": (False, False)}
LIMIT_OF_ONE = "The limit of 1 messages per hour is reached."
NO_CONNECTION = "It was not sent: the limit of 1 connection at once is reached, and none became free in time."
MANY_AT_ONCE = "It was not sent: other messages are being sent right now, and their mail server is slow."


@pytest.fixture(params=RECORDED)
def recorded(request, db):
    """With and without a record of what is sent at once."""
    hold_mail(*RECORDED[request.param])


@pytest.fixture
def nobody_waits(monkeypatch):
    """For a connection or a seat to become free."""
    monkeypatch.setattr("messaging.lifecycle.limits.PATIENCE", 0, raising=False)
    monkeypatch.setattr(limits, "SEAT_PATIENCE", 0)


def send_at_once(recipient="ada@example.com", *, is_watched=False, **options):
    [outcome] = submit.submit([submission(recipient, **options)], is_watched=is_watched)
    return outcome


def send_watched():
    return send_at_once(is_watched=True)


class Watcher:
    """Counts how many transactions a server is in at the same time."""

    def __init__(self, server):
        self.lock, self.now, self.most = threading.Lock(), 0, 0
        server.at("END", self)

    def __call__(self):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.05)
        with self.lock:
            self.now -= 1
        return "250 ok"


# --- Messages per time -------------------------------------------------------------------------------


def test_a_rate_holds_at_once_whether_it_is_recorded_or_not(server, recorded):
    set_up(server, per_hour=1)
    outcomes = [send_at_once() for _ in range(3)]
    assert [outcome.state for outcome in outcomes] == ["sent", "failed", "failed"]
    assert len(server.accepted) == 1
    assert (outcomes[1].may_queue, "limit of 1 messages per hour" in outcomes[1].explanation) == (True, True)


def test_what_is_not_recorded_leaves_nothing_but_the_time_and_that_for_an_hour(server, clock):
    set_up(server, per_hour=1)
    assert send_at_once().state == "sent"
    assert not Message.objects.exists()
    assert not SendAttempt.objects.exists()
    clock.goes_on(minutes=59)
    housekeeping.tidy(clock.now)
    assert send_at_once().state == "failed"
    clock.goes_on(minutes=2)
    housekeeping.tidy(clock.now)
    assert send_at_once().state == "sent"


def test_tidying_drops_the_times_that_count_no_more_and_those_of_a_wrong_clock(server, clock):
    send_at_once()
    clock.goes_on(days=400)
    send_at_once()
    clock.goes_on(days=-400, minutes=30)
    housekeeping.tidy(clock.now)
    assert PastTry.objects.count() == 1
    clock.goes_on(hours=1)
    housekeeping.tidy(clock.now)
    assert not PastTry.objects.exists()


def test_lanes_count_what_was_sent_at_once_and_not_recorded(server, clock):
    set_up(server, per_hour=2)
    send_at_once()
    make_message("b@example.com"), make_message("c@example.com")
    run_lane(clock=clock)
    assert len(server.accepted) == 2
    pause = AccountPause.objects.get(kind="limit")
    assert pause.until <= clock.now + dt.timedelta(hours=1)
    clock.goes_on(minutes=61)
    run_lane(clock=clock)
    assert len(server.accepted) == 3


@pytest.fixture
def slow_to_store(monkeypatch):
    """All have asked before the first one is stored, if no one lets them wait for each other."""
    store = gate.store

    def store_late(*given):
        threading.Event().wait(0.2)
        return store(*given)

    monkeypatch.setattr(gate, "store", store_late)


@pytest.mark.slow
def test_several_threads_that_send_at_once_keep_to_the_rate_together(server, recorded, slow_to_store):
    set_up(server, per_hour=1)
    states = []
    assert not in_threads(4, lambda: states.append(send_at_once().state))
    assert sorted(states) == ["failed", "failed", "failed", "sent"]
    assert len(server.accepted) == 1


@pytest.mark.slow
def test_lanes_and_threads_that_send_at_once_keep_to_the_rate_together(server, recorded, slow_to_store):
    set_up(server, per_hour=3)
    for number in range(4):
        make_message(f"c{number}@example.com")
    turns = iter([send_at_once, run_lane] * 3)
    assert not in_threads(6, lambda: next(turns)())
    assert len(server.accepted) == 3


def test_a_rate_holds_when_the_clock_is_put_back_a_little(server, clock):
    set_up(server, per_hour=1)
    send_at_once()
    clock.goes_on(seconds=-30)
    assert send_at_once().state == "failed"


@pytest.fixture
def known_as_empty(db):
    """PostgreSQL's planner takes the table of messages for empty, as after a time in which nothing was recorded."""
    make_messages(30)
    Message.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE messaging_message")


@pytest.mark.postgresql
def test_a_rate_holds_where_the_table_was_empty_when_it_was_looked_at_last(server, known_as_empty):
    set_up(server, per_minute=3)
    make_messages(12)
    run_lane()
    assert len(server.accepted) == 3


@pytest.mark.postgresql
def test_a_probe_is_one_message_where_the_table_was_empty_when_it_was_looked_at_last(server, known_as_empty):
    now = timezone.now()
    AccountPause.objects.create(account=None, kind="unanswered", since=now - dt.timedelta(hours=1), until=now)
    make_messages(12)
    claimed = []

    def count():
        claimed.append(Message.objects.filter(status="sending").count())

    server.at("MAIL", [lambda: (elsewhere(count)(), "250 ok")[1]])
    run_lane()
    assert claimed == [1]


def test_what_a_wrong_clock_left_in_the_future_does_not_count(server, clock, recorded):
    set_up(server, per_hour=1)
    clock.goes_on(days=400)
    assert send_at_once().state == "sent"
    clock.goes_on(days=-400)
    assert send_at_once().state == "sent"
    assert send_at_once().state == "failed"


@pytest.mark.parametrize("record", [True, False])
def test_what_a_deleted_user_sent_does_not_count_for_the_company(server, ben, record):
    hold_mail(record, hold=False)
    EmailSettings.objects.create(account=ben, host="127.0.0.1", port=server.port)
    assert send_at_once(author=ben).state == "sent"
    set_up(server, per_hour=1)
    ben.delete()
    assert send_at_once().state == "sent"
    assert send_at_once().state == "failed"


def test_what_a_user_sent_who_was_deleted_meanwhile_does_not_count_for_the_company(server, ben):
    EmailSettings.objects.create(account=ben, host="127.0.0.1", port=server.port)
    message = make_message("a@example.com")
    Message.objects.update(account=ben)
    server.at("END", [lambda: (elsewhere(ben.delete)(), "250 ok")[1]])
    run_lane(ben.pk)
    assert message.attempts.get().account is None
    set_up(server, per_hour=1)
    assert send_at_once().state == "sent"


def killed_in_data(clock, account=None):
    """A message whose worker was killed while the server took it; what the sweep makes of it."""
    message = make_message("a@example.com")
    Message.objects.filter(pk=message.pk).update(account=account)
    [claimed] = claims.take(account and account.pk, "killed", 1, clock.now)
    attempt = SendAttempt(message=claimed, account=account, fence=claimed.fence, started_at=clock.now, stage="data")
    ledger.start_data(claimed, attempt, clock.now)
    return message


def swept(message, clock):
    housekeeping.sweep(clock.now)
    for _ in range(5):
        housekeeping.sweep(clock.goes_on(seconds=20))
    message.refresh_from_db()
    return message.status


def test_what_may_have_arrived_counts(server, clock):
    set_up(server, per_hour=1)
    assert swept(killed_in_data(clock), clock) == "unknown"
    assert send_at_once().state == "failed"


def test_what_may_have_arrived_from_a_deleted_user_does_not_count_for_the_company(server, clock, ben):
    set_up(server, per_hour=1)
    message = killed_in_data(clock, ben)
    ben.delete()
    assert swept(message, clock) == "unknown"
    assert send_at_once().state == "sent"


def test_what_comes_back_untried_uses_up_no_limit(server, clock):
    """One lane has all that may go at hand; another one notes no limit, because nothing was sent yet."""
    set_up(server, per_hour=2)
    for number in range(4):
        make_message(f"c{number}@example.com")
    claims.take(None, "lane", 2, clock.now)
    run_lane(clock=clock)
    assert not server.accepted
    claims.give_back("lane")
    run_lane(clock=clock)
    assert len(server.accepted) == 2


def test_each_transaction_of_a_message_to_many_counts_as_the_server_counts_it(server, recording):
    server.most_recipients = 2
    set_up(server, per_hour=3)
    [outcome] = submit.submit([submission(*(f"c{number}@example.com" for number in range(5)))])
    assert outcome.state == "sent"
    assert len(server.accepted) == 3
    assert send_at_once().state == "failed"


# --- Connections at once -----------------------------------------------------------------------------


@pytest.mark.slow
def test_several_threads_that_send_at_once_wait_for_each_others_connections(server, recorded):
    set_up(server, max_connections=1)
    watcher, states = Watcher(server), []
    assert not in_threads(4, lambda: states.append(send_at_once().state))
    assert states == ["sent"] * 4
    assert watcher.most == 1
    assert not ActiveLane.objects.exists()


@pytest.mark.slow
def test_lanes_and_threads_that_send_at_once_keep_to_the_connections_together(server, recorded):
    set_up(server, max_connections=2)
    for number in range(6):
        make_message(f"c{number}@example.com")
    watcher, turns = Watcher(server), iter([send_at_once, run_lane] * 3)
    assert not in_threads(6, lambda: next(turns)())
    assert watcher.most <= 2


def test_without_a_free_connection_it_fails_names_the_limit_and_offers_the_queue(server, recorded, nobody_waits):
    set_up(server, max_connections=1)
    make_message("c@example.com")
    outcomes = []
    server.at("END", [lambda: (elsewhere(lambda: outcomes.append(send_at_once()))(), "250 ok")[1]])
    run_lane()
    [outcome] = outcomes
    assert (outcome.state, outcome.may_queue) == ("failed", True)
    assert outcome.explanation == NO_CONNECTION
    assert len(server.accepted) == 1
    assert send_at_once().state == "sent", "the lane has ended"


def test_a_lane_finds_no_connection_while_something_is_sent_at_once(server, recorded):
    set_up(server, max_connections=1)
    make_message("c@example.com")
    server.at("END", [lambda: (elsewhere(run_lane)(), "250 ok")[1]])
    assert send_at_once().state == "sent"
    assert len(server.accepted) == 1
    assert run_lane() == 1


def test_a_third_user_of_a_slow_server_is_offered_the_queue(server, recorded, nobody_waits):
    set_up(server, max_connections=8)
    outcomes = []

    def one_more():
        outcomes.append(send_watched())

    server.at("END", [lambda: (elsewhere(one_more)(), "250 ok")[1]] * 2)
    one_more()
    assert [outcome.state for outcome in outcomes] == ["failed", "sent", "sent"]
    assert outcomes[0].may_queue
    assert outcomes[0].explanation == MANY_AT_ONCE
    assert len(server.accepted) == 2
    assert send_watched().state == "sent", "the others have ended"


def test_a_third_user_of_a_quick_server_waits_a_moment_and_sends(server, recorded):
    set_up(server, max_connections=8)
    with limits.seat(), ExitStack() as other:
        other.enter_context(limits.seat())
        leaves = threading.Timer(0.2, other.pop_all().close)
        leaves.start()
        assert send_watched().state == "sent"
    leaves.join()


def test_a_program_that_sends_at_once_takes_no_seat_from_a_user(server, recorded, nobody_waits):
    set_up(server, max_connections=8)
    with limits.seat(), limits.seat():
        assert send_at_once().state == "sent"
        assert send_watched().explanation == MANY_AT_ONCE


def test_a_test_message_waits_for_no_slow_server_beside_two_users(server, nobody_waits):
    set_up(server, max_connections=8)
    with limits.seat(), limits.seat():
        told = concluded(
            connection_check.send_test_message(None, "ada@example.com", make_user("operator", "olga@example.com"))
        )
    assert MANY_AT_ONCE in told.explanation
    assert not server.accepted


def test_the_connection_of_a_process_that_was_killed_is_free_after_its_lease(server, recorded, clock, nobody_waits):
    set_up(server, max_connections=1)
    ActiveLane.objects.create(owner="killed", expires_at=clock.now + dt.timedelta(seconds=30))
    assert send_at_once().explanation == NO_CONNECTION
    clock.goes_on(seconds=31)
    assert send_at_once().state == "sent"


def test_the_connection_of_a_process_that_was_killed_under_a_wrong_clock_is_free(server, recorded, nobody_waits):
    set_up(server, max_connections=1)
    ActiveLane.objects.create(owner="killed", expires_at=timezone.now() + dt.timedelta(days=400))
    assert send_at_once().state == "sent"
    make_message("c@example.com")
    assert run_lane() == 1


def test_whoever_sends_as_several_accounts_gives_back_the_connection_of_the_last(server, recorded, nobody_waits):
    set_up(server, max_connections=1)
    authors = [None, make_user("cleo"), None, make_user("dora")]
    for author in authors:
        if author is not None:
            EmailSettings.objects.create(account=author)
    messages = [submission("a@example.com", author=author) for author in authors]
    states = []
    for outcome in submit.submit(messages):
        states.append(outcome.state)
        assert ActiveLane.objects.count() == 1
    assert states == ["sent"] * 4
    assert not ActiveLane.objects.exists()


@pytest.mark.postgresql
def test_nobody_waits_for_the_end_of_a_callers_transaction(server, recorded):
    set_up(server, per_hour=5)
    run_lane()  # the database is known from now on, as everywhere but at the very first start
    make_message("c@example.com")

    def others():
        states.append(send_at_once().state)
        run_lane()

    states = []
    server.at("END", [lambda: (elsewhere(others)(), "250 ok")[1]])
    with transaction.atomic():
        states.append(send_at_once().state)
    assert states == ["sent", "sent"]
    assert len(server.accepted) == 3


def test_no_connections_at_all_is_a_fault_of_the_set_up_as_the_form_says(server, recorded):
    set_up(server, max_connections=0)
    outcome = send_at_once()
    assert (outcome.state, outcome.reply.stage) == ("failed", "connect")
    assert not server.connections


# --- The test message --------------------------------------------------------------------------------


def concluded(told):
    return next(event for event in told if isinstance(event, connection_check.Conclusion))


def test_a_test_message_keeps_to_the_rate_and_says_so(server, operator):
    set_up(server, per_hour=1)
    assert concluded(connection_check.send_test_message(None, "a@example.com", operator)).ok
    second = concluded(connection_check.send_test_message(None, "a@example.com", operator))
    assert "the limit of 1 messages per hour is reached" in second.explanation
    assert len(server.accepted) == 1


def test_a_test_message_waits_for_a_connection_and_says_so(server, operator, nobody_waits):
    set_up(server, max_connections=1)
    ActiveLane.objects.create(owner="lane", expires_at=timezone.now() + dt.timedelta(seconds=20))
    told = concluded(connection_check.send_test_message(None, "a@example.com", operator))
    assert told.explanation == NO_CONNECTION
    assert not server.accepted


# --- A failed opening --------------------------------------------------------------------------------


def test_after_a_failed_opening_each_message_names_its_own_recipients(server, recorded):
    server.at("GREETING", "554 5.7.1 not you")
    outcomes = list(submit.submit([submission("a@example.com"), submission("b@example.com", "c@example.com")]))
    assert [outcome.state for outcome in outcomes] == ["failed", "failed"]
    named = [[refusal.address for refusal in outcome.refused] for outcome in outcomes]
    assert named == [["a@example.com"], ["b@example.com", "c@example.com"]]
    assert in_words(outcomes[0].reason) == in_words(outcomes[1].reason)
