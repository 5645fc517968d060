"""A server that accepts connections and says nothing keeps few lanes waiting, and not the mail of other servers."""

import threading
import time

import pytest
from django.db import connections

from messaging.delivery import openings
from messaging.delivery.openings import AT_ONCE, AT_ONCE_KNOWN, Openings, StillSilent
from messaging.delivery.smtp.dialogue import Patience
from messaging.models import Message
from tests.factories import make_messages
from tests.fault_server import SILENCE
from tests.installation import wait_for
from tests.rows import states
from tests.steps import run_lane

PATIENT = Patience(scale=0.02, final_reply=1)  # six seconds for a greeting


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(openings, "SOON", 0.3)
    monkeypatch.setattr("messaging.delivery.lane.openings", Openings())


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_further_lanes_end_at_once_and_leave_their_messages_as_they_were(server, soon):
    server.at("GREETING", [SILENCE] * 20)
    make_messages(20)
    took = []

    def lane():
        begun = time.monotonic()
        run_lane(patience=PATIENT)
        took.append(time.monotonic() - begun)
        connections.close_all()

    threads = [threading.Thread(target=lane) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert wait_for(lambda: len(took) == 6 - AT_ONCE, seconds=5)
    assert set(Message.objects.exclude(status="sending").values_list("status", "tries")) == {("queued", 0)}
    begun = time.monotonic()
    run_lane(patience=PATIENT)
    assert time.monotonic() - begun < 1
    for thread in threads:
        thread.join()
    assert sorted(took)[-1] > 3
    assert not server.accepted


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_as_many_lanes_as_before_reach_a_server_that_answers(server, soon):
    make_messages(12)
    threads = [threading.Thread(target=lambda: (run_lane(), connections.close_all())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states() == ["sent"] * 12


# --- The rule itself ---------------------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(found, server, count):
    each = [found.one(server) for _ in range(count)]
    for one in each:
        one.__enter__()
    return each


def test_a_server_that_has_kept_some_waiting_gets_no_more_and_others_do(clock):
    found = Openings(clock)
    waiting = opened(found, "silent:25", AT_ONCE)
    assert not found.is_silent("silent:25")
    clock.now += 3
    assert found.is_silent("silent:25")
    with pytest.raises(StillSilent), found.one("silent:25"):
        pass
    with found.one("well:25"):
        assert not found.is_silent("well:25")
    assert len(waiting) == AT_ONCE


def test_a_server_that_was_reached_lately_gets_more_at_once(clock):
    found = Openings(clock)
    with found.one("well:25"):
        pass
    assert len(opened(found, "well:25", AT_ONCE_KNOWN)) == AT_ONCE_KNOWN


def test_nothing_is_kept_of_what_is_over(clock):
    found = Openings(clock)
    waiting = opened(found, "silent:25", AT_ONCE)
    clock.now += 3
    for one in waiting:
        one.__exit__(None, None, None)
    assert not found.is_silent("silent:25")
    assert not found._begun
