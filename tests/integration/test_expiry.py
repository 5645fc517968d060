"""What a person gave another chance has its days in the queue again (Company options)."""

import datetime as dt

import pytest

from messaging import housekeeping
from messaging.company import options
from messaging.compose import editing
from messaging.intake.addresses import Mailbox
from messaging.queue import actions
from tests.factories import make_message
from tests.rows import status

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def limited(email_setup):
    options.save({"record_mail": True, "hold_mail": True, "expire_days": 2}, by=None)


def expired(clock):
    message = make_message("a@example.com", due=False)
    housekeeping.sweep(clock.goes_on(days=3))
    assert status(message) == "failed"
    return message


def stays_for_two_days(message, clock):
    housekeeping.sweep(clock.goes_on(days=1))
    assert status(message) == "queued"
    housekeeping.sweep(clock.goes_on(days=1, hours=1))
    assert status(message) == "failed"


def test_expired_and_edited(operator, clock):
    message = expired(clock)
    editing.apply(message, editing.Edit([Mailbox("", "b@example.com")], [], [], "New"), by=operator, seen=0)
    assert status(message) == "queued"
    stays_for_two_days(message, clock)


def test_held_for_longer_and_released(operator, clock):
    message = make_message("a@example.com", due=False)
    actions.hold(message, by=operator, why="wait")
    housekeeping.sweep(clock.goes_on(days=3))
    actions.release(message, by=operator)
    stays_for_two_days(message, clock)


def test_hold_that_ended_by_itself(operator, clock):
    message = make_message("a@example.com", due=False)
    actions.hold(message, by=operator, why="wait", until=clock.now + dt.timedelta(days=3))
    housekeeping.sweep(clock.goes_on(days=3, minutes=1))
    assert status(message) == "queued"
    stays_for_two_days(message, clock)
