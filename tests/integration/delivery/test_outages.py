"""The database is away at the very moment when a lane has something to write."""

import errno
import threading
import time

import pytest
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from messaging.delivery.lane import Lane
from messaging.delivery.store import claims, ledger
from messaging.models import ActiveLane
from messaging.wording import in_words
from tests.factories import make_message
from tests.fault_server import OK
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


def cut_off(connection, really_renew, owner, now):
    """The database server was restarted: the connection is there, and whatever is asked over it fails."""
    connection.ensure_connection()
    connection.connection.close()
    really_renew(owner, now)


def interrupted(connection, really_renew, owner, now):
    raise InterfaceError("the cursor is closed")


def without_files(connection, really_renew, owner, now):
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.slow
@pytest.mark.parametrize("fail", [cut_off, interrupted, without_files])
def test_leases_are_renewed_again_after_the_database_was_away_once(server, settings, monkeypatch, fail):
    settings.LEASE_SECONDS = 1.5
    message = make_message("a@example.com")
    really_renew, failed, is_renewed = claims.renew, [], threading.Event()

    def renew(owner, now):
        if not failed:
            failed.append(1)
            fail(connection, really_renew, owner, now)
        elif really_renew(owner, now):
            is_renewed.set()

    monkeypatch.setattr(claims, "renew", renew)
    server.at("END", lambda: (is_renewed.wait(20), OK)[1])
    run_lane()
    assert is_renewed.is_set()
    assert status(message) == "sent"
