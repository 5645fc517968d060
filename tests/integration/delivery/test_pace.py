"""A server that wants it slower, or no mail at all of us, costs no message its try: whatever happens meanwhile."""

import datetime as dt
import threading

import pytest
from django.db import OperationalError, connection, connections

from messaging.delivery.store import ledger
from messaging.models import AccountPause, Message
from messaging.wording import in_words
from tests.factories import make_message
from tests.fault_server import OK
from tests.rows import status, statuses
from tests.steps import AN_HOUR, elsewhere, in_threads, run_lane, sweeps

pytestmark = pytest.mark.django_db(transaction=True)


def test_account_deleted_while_its_server_says_slow_down(server, operator):
    message = make_message("a@example.com")
    Message.objects.filter(pk=message.pk).update(account=operator)
    server.at("END", [lambda: (elsewhere(operator.delete)(), "450 4.7.1 rate limit: too many messages")[1]])
    run_lane(operator.pk)
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {in_words(message.reason)}"


@pytest.mark.postgresql
def test_database_connections_lost_while_server_says_slow_down(server):
    message = make_message("a@example.com")

    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    server.at("END", [lambda: (elsewhere(cut)(), "450 4.7.1 rate limit: too many messages")[1]])
    worker = threading.Thread(target=elsewhere(lambda: run_lane()))
    worker.start()
    worker.join()
    connections.close_all()
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {in_words(message.reason)}"


@pytest.mark.slow
def test_database_away_for_a_moment_while_server_says_slow_down(server, monkeypatch):
    message = make_message("a@example.com")
    genuine, failures = ledger.is_refused_alone, [OperationalError("server closed the connection")]

    def away(message):
        if failures:
            raise failures.pop()
        return genuine(message)

    monkeypatch.setattr(ledger, "is_refused_alone", away)
    server.at("END", ["450 4.7.1 rate limit: too many messages"])
    run_lane()
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {in_words(message.reason)}"


@pytest.mark.parametrize("count", [2, 4])
def test_all_lanes_turned_away_together_pause_the_account(server, settings, count):
    for number in range(20):
        make_message(f"c{number}@example.com")
    settings.CLAIM_SIZE = 2
    barrier = threading.Barrier(count)

    def turn_away():
        barrier.wait(10)
        return "421 4.7.0 too many connections"

    server.at("GREETING", turn_away)
    unpaused = 0
    for _ in range(3):
        barrier.reset()
        assert not in_threads(count, run_lane)
        unpaused += not AccountPause.objects.exists()
        AccountPause.objects.all().delete()
    assert not unpaused, f"{unpaused} of 3 rounds: everybody was turned away, no one paused"


def test_server_that_wants_it_slower_twice_costs_no_try(server):
    first, second = make_message("a@example.com"), make_message("b@example.com")
    server.at("MAIL", ["421 4.7.0 rate limit exceeded"])
    run_lane()
    assert statuses(first, second) == ["queued", "queued"]
    # an hour later: second goes through, first is told the same again
    server.at("MAIL", [OK, "421 4.7.0 rate limit exceeded", "421 4.7.0 rate limit exceeded"])
    run_lane(after=AN_HOUR)
    assert statuses(first, second) == ["queued", "sent"]
    assert first.tries == 0, "the server's pace cost a try"


def test_relay_denied_twice_fails_no_message(server):
    first, second = make_message("a@example.com"), make_message("b@example.com")
    server.at("RCPT", ["554 5.7.1 relay access denied"])
    run_lane()
    server.at("RCPT", [OK, "554 5.7.1 relay access denied"])
    run_lane(after=AN_HOUR)
    assert statuses(first, second) == ["queued", "sent"]


# --- What one recipient's server may have said ---------------------------------------------------------

A_DAY = "450 4.7.1 You have sent too many messages, try again in 24 hours"
MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize("stage", ["RCPT", "END"])
def test_what_was_said_of_one_message_keeps_the_others_back_for_a_minute(server, stage):
    """A relay may pass on word for word what the recipient's server told it."""
    bad = make_message("x@evil.example")
    server.at(stage, A_DAY if stage == "RCPT" else [A_DAY], recipient="x@evil.example" if stage == "RCPT" else "")
    resets = [make_message(f"customer{number}@example.com", urgent=True) for number in range(3)]
    Message.objects.filter(pk=bad.pk).update(urgent=True)
    run_lane()
    pause = AccountPause.objects.get()
    assert (pause.kind, pause.until - pause.since) == ("busy", MINUTE)
    assert statuses(bad, *resets) == ["queued"] * 4
    server.mend()
    server.at("RCPT", A_DAY, recipient="x@evil.example")
    run_lane(after=MINUTE)
    assert set(statuses(*resets)) == {"sent"}


def test_one_message_that_is_refused_again_and_again_keeps_nothing_back_for_longer_than_minutes(server, clock):
    make_message("x@evil.example"), make_message("y@evil.example")
    server.at("RCPT", A_DAY)
    waits = []
    for _ in range(6):
        run_lane(clock=clock)
        waits.append((AccountPause.objects.get().until - clock.now) / MINUTE)
        clock.now = AccountPause.objects.get().until
    assert waits == [1, 2, 5, 15, 15, 15]
    assert set(Message.objects.values_list("status", "tries")) == {("queued", 0)}


TWO_MESSAGES = [
    (["x@one.example"], ["y@two.example"]),
    (["x@one.example", "copy@ours.example"], ["x@one.example", "copy@ours.example"]),
    (["x@one.co.uk"], ["y@two.co.uk"]),
    (["x@one.example"], ["y@[192.0.2.1]"]),
]


@pytest.mark.parametrize("addresses", TWO_MESSAGES)
def test_server_that_says_it_of_another_message_to_another_domain_is_given_the_time_it_asks_for(
    server, clock, addresses
):
    for each in addresses:
        make_message(*each)
    clock.goes_on(seconds=1)
    server.at("RCPT", A_DAY)
    for _ in addresses:
        run_lane(clock=clock)
        until = AccountPause.objects.get().until
        begun, clock.now = clock.now, until
    assert until - begun == dt.timedelta(days=1)


def test_server_that_says_it_before_a_recipient_is_named_is_given_the_time_it_asks_for(server, clock):
    make_message("x@one.example")
    server.at("MAIL", A_DAY)
    run_lane(clock=clock)
    assert AccountPause.objects.get().until - clock.now == dt.timedelta(days=1)


def test_other_refusal_of_another_domain_is_no_witness(server, clock):
    make_message("x@evil.example"), make_message("a@example.com")
    clock.goes_on(seconds=1)
    server.at("RCPT", A_DAY, recipient="x@evil.example")
    server.at("RCPT", "451 4.7.500 Server busy. Please try again later", recipient="a@example.com")
    for _ in range(5):
        run_lane(clock=clock)
        assert AccountPause.objects.get().until - clock.now <= 15 * MINUTE
        clock.now = AccountPause.objects.get().until


ONE_WITNESS = {
    "one message, two domains": [["x@one.example", "y@two.example"]],
    "one message, again and again": [["x@one.example", "y@two.example"], []],
    "two messages, one domain": [["x@evil.example"], ["y@evil.example"]],
    "two messages, a domain and one below it": [["x@evil.example"], ["y@mail.evil.example"]],
    "two messages, two domains below one": [["x@a.evil.example"], ["x@b.evil.example"]],
    "two messages, two domains below one of a country": [["x@a.evil.co.uk"], ["x@b.evil.co.uk"]],
    "two messages, one domain in two ways of writing": [["x@evil.example"], ["x@EVIL.Example"]],
}


@pytest.mark.parametrize("addresses", ONE_WITNESS.values(), ids=ONE_WITNESS)
def test_what_one_stranger_brings_about_keeps_the_account_back_for_minutes(server, clock, addresses):
    server.at("RCPT", A_DAY)
    for each in addresses:
        if each:
            make_message(*each)
    clock.goes_on(seconds=1)
    for _ in addresses:
        run_lane(clock=clock)
        assert AccountPause.objects.get().until - clock.now <= 15 * MINUTE
        clock.now = AccountPause.objects.get().until


def test_who_was_not_asked_for_is_no_witness(server, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    strangers = [f"x{number}@evil.example" for number in range(3)]
    for address in strangers:
        server.at("RCPT", A_DAY, recipient=address)
    for _ in range(2):
        make_message(*strangers, "copy@ours.example")
    clock.goes_on(seconds=1)
    for _ in range(2):
        run_lane(clock=clock)
        assert AccountPause.objects.get().until - clock.now <= 15 * MINUTE
        clock.now = AccountPause.objects.get().until
