"""The database is away at the very moment when a lane has something to write."""

import time

import pytest
from django.db import DatabaseError, OperationalError

from messaging.delivery.lane import Lane
from messaging.delivery.store import claims, ledger
from messaging.models import ActiveLane
from messaging.wording import in_words
from tests.factories import make_message
from tests.rows import status
from tests.steps import run_lane, sweeps

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.slow
@pytest.mark.parametrize("phase", [-0.25, 0.6])
def test_outage_of_more_than_a_lease_before_the_final_dot(server, settings, monkeypatch, phase):
    settings.LEASE_SECONDS = 1
    message = make_message("a@example.com")
    ends = []

    def away_until(genuine, more):
        def call(*args):
            ends or ends.append(time.monotonic() + 2)
            if time.monotonic() < ends[0] + more:
                raise OperationalError("away")
            return genuine(*args)

        return call

    monkeypatch.setattr(ledger._together, "_write", away_until(ledger._together._write, 0))
    monkeypatch.setattr(claims, "give_back", away_until(claims.give_back, phase))
    with pytest.raises(DatabaseError):
        run_lane()
    time.sleep(1)
    sweeps()
    assert not any(taken.ended for taken in server.transactions)
    assert status(message) == "queued", f"{message.status}: {in_words(message.reason)}"


@pytest.mark.slow
def test_outcome_that_cannot_be_written_leaves_nothing_behind(server, settings, monkeypatch):
    make_message("a@example.com")
    second = make_message("b@example.com")
    genuine = ledger._together._write

    def full(items):
        if any(change.attempt for change in items):
            raise OperationalError("away for more than the patience")
        return genuine(items)

    monkeypatch.setattr(ledger._together, "_write", full)
    monkeypatch.setattr(ledger._together, "_patience", 0.1)
    ends = []
    server.at("END", [lambda: (ends.append(1), "250 ok")[1]])
    lane = Lane(None, stop=lambda: bool(ends))
    with pytest.raises(DatabaseError):
        lane.run()
    assert not ActiveLane.objects.exists(), "the lane is still counted"
    assert status(second) == "queued"
    assert not lane.connection.is_open
