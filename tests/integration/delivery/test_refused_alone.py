"""A message that the server refuses as it would any: the account pauses, and others are not kept waiting by it."""

import datetime as dt

import pytest

from messaging import housekeeping
from messaging.models import AccountPause, Message
from tests.factories import make_message, make_messages, set_up
from tests.rows import statuses
from tests.steps import run_lane

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue_backend")]

RELAY_DENIED = "554 5.7.1 <x@d.example>: Relay access denied"


def refuse(server, *addresses, reply=RELAY_DENIED):
    for address in addresses:
        server.at("RCPT", reply, recipient=address)


def pause():
    return AccountPause.objects.get()


def at_next_try(clock):
    clock.now = pause().until
    run_lane(clock=clock)


def taken(server):
    return [address for transaction in server.accepted for address in transaction.recipients]


def swept(clock, woken, seconds=5):
    """Whether a lane was woken by the sweep that comes next; it has run then."""
    woken.clear()
    housekeeping.sweep(clock.goes_on(seconds=seconds))
    if woken:
        run_lane(clock=clock)
    return bool(woken)


def refused_for_an_hour(server, clock, *addresses, reply=RELAY_DENIED):
    """The account is quiet, and the messages to these addresses are refused time and again."""
    refuse(server, *addresses, reply=reply)
    for address in addresses:
        make_message(address)
    run_lane(clock=clock)
    for _ in range(8):
        at_next_try(clock)
    clock.goes_on(minutes=1)


@pytest.mark.parametrize("reply", [RELAY_DENIED, "550 5.7.1 Unable to relay for x@d.example"])
def test_what_comes_in_after_one_was_refused_is_tried_at_once(server, clock, woken, reply):
    refused_for_an_hour(server, clock, "x@d.example", reply=reply)
    assert not swept(clock, woken), "the one that was refused is not tried more often than before"
    make_message("normal@example.com"), make_message("reset@example.com", urgent=True)
    assert swept(clock, woken)
    assert taken(server) == ["reset@example.com"]
    at_next_try(clock)
    assert taken(server) == ["reset@example.com", "normal@example.com"]


def test_new_mail_is_the_next_probe_however_many_were_refused(server, clock):
    refused_for_an_hour(server, clock, *(f"x@d{number}.example" for number in range(4)))
    make_message("normal@example.com"), make_message("reset@example.com", urgent=True)
    begun = clock.now
    at_next_try(clock)
    assert taken(server) == ["reset@example.com"]
    assert clock.now - begun <= dt.timedelta(minutes=15)
    at_next_try(clock)
    assert taken(server) == ["reset@example.com", "normal@example.com"]
    assert clock.now - begun <= dt.timedelta(minutes=16)


def test_the_next_probe_is_one_that_waited_beside_it(server, clock):
    messages = make_messages(4)
    refuse(server, "c0@example.com")
    clock.goes_on(seconds=1)
    run_lane(clock=clock)
    at_next_try(clock)
    assert taken(server)[0] == "c1@example.com"
    assert statuses(*messages[1:]) == ["sent"] * 3


def test_set_up_that_refuses_everyone_is_tried_less_and_less_often(server, clock, woken, settings):
    server.at("MAIL", "530 5.7.0 sign in first")
    make_message("a@example.com")
    run_lane(clock=clock)
    make_message("b@example.com")
    clock.goes_on(seconds=1)
    make_message("c@example.com")
    assert swept(clock, woken), "it may be that message alone"
    for number in range(3):
        make_message(f"late{number}@example.com")
        assert not swept(clock, woken), "it is not"
    gaps = []
    for _ in range(4):
        before = clock.now = pause().until
        run_lane(clock=clock)
        gaps.append((pause().until - before).total_seconds())
    assert gaps == [*settings.PROBE_GAPS[2:], 900, 900]
    assert len(server.heard("MAIL")) == 6
    server.mend()
    at_next_try(clock)
    assert set(Message.objects.values_list("status", flat=True)) == {"sent"}


def test_where_all_were_refused_each_has_its_turn(server, clock):
    make_message("bad@example.com", urgent=True)
    others = make_messages(2)
    server.at("MAIL", ["530 5.7.0 sign in first"] * 3)
    refuse(server, "bad@example.com")
    run_lane(clock=clock)
    at_next_try(clock)
    at_next_try(clock)
    assert len(server.heard("MAIL")) == 3
    for _ in range(3):
        at_next_try(clock)
    assert statuses(*others) == ["sent", "sent"]


def test_what_comes_in_does_not_hurry_a_server_that_is_not_there(server, clock, woken):
    refuse(server, "x@d.example")
    make_message("x@d.example")
    run_lane(clock=clock)
    port = server.port
    set_up(server, port=1)
    at_next_try(clock)
    make_message("new@example.com")
    assert not swept(clock, woken)
    set_up(server, port=port)
    at_next_try(clock)
    assert taken(server) == ["new@example.com"]


def test_what_comes_in_does_not_hurry_a_server_that_wants_it_slower(server, clock, woken):
    refuse(server, "x@d.example", reply="421 4.7.0 too many messages, try again in 1 hour")
    make_message("x@d.example")
    run_lane(clock=clock)
    make_message("new@example.com")
    assert not swept(clock, woken)
    at_next_try(clock)
    assert taken(server) == ["new@example.com"]


def test_what_is_of_another_account_is_no_news(server, clock, woken, ben):
    refused_for_an_hour(server, clock, "x@d.example")
    other = make_message("ben@example.com")
    Message.objects.filter(pk=other.pk).update(account=ben)
    until = pause().until
    swept(clock, woken)
    assert pause().until == until


# --- On an account with little other mail --------------------------------------------------------------

TOO_FAST = "450 4.7.1 <x@d.example>: Recipient address rejected: you send too fast, slow down"


def others_come_in(server, clock, woken, count, minutes):
    """Other messages, so many minutes apart; how long each waited."""
    waited = []
    for number in range(count):
        other, begun = make_message(f"normal{number}@example.com"), clock.now
        for _ in range(minutes):
            swept(clock, woken, 60)
            if statuses(other) == ["sent"] and len(waited) == number:
                waited.append(clock.now - begun)
    assert len(waited) == count
    return waited


@pytest.mark.slow
@pytest.mark.parametrize("minutes", [7, 25])
def test_message_that_is_refused_each_time_after_others_were_taken_fails(server, clock, woken, minutes):
    refuse(server, "x@d.example")
    minded = make_message("x@d.example")
    run_lane(clock=clock)
    others_come_in(server, clock, woken, 3, minutes)
    assert statuses(minded) == ["failed"]
    assert not AccountPause.objects.exists()


@pytest.mark.slow
def test_message_whose_recipient_finds_us_too_fast_keeps_the_others_back_twice_and_no_more(server, clock, woken):
    refuse(server, "x@d.example", reply=TOO_FAST)
    minded = make_message("x@d.example")
    run_lane(clock=clock)
    waited = others_come_in(server, clock, woken, 5, 30)
    assert max(waited[:2]) <= dt.timedelta(minutes=16)
    assert max(waited[2:]) <= dt.timedelta(minutes=1)
    assert statuses(minded) == ["queued"]
    assert minded.tries and minded.give_up_at is not None


def test_fault_that_was_fixed_and_came_back_fails_no_message(server, clock):
    refuse(server, "x@d.example")
    message = make_message("x@d.example")
    for _ in range(3):
        run_lane(clock=clock)
        clock.goes_on(minutes=20)
    make_message("other@example.com")
    for _ in range(3):
        run_lane(clock=clock)
        clock.goes_on(minutes=20)
    assert taken(server) == ["other@example.com"]
    assert statuses(message) == ["queued"]
