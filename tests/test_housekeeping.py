"""The sweep: what happens every few seconds, as often as it is asked for."""

import datetime as dt

import pytest
from django.utils import timezone

from messaging import batches, housekeeping, queue
from messaging.models import AccountPause, Batch, Heartbeat, Message
from tests.conftest import make_message

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
    AccountPause.objects.create(account=account, since=now, until=now + dt.timedelta(minutes=1), explanation="refused")
    housekeeping.sweep(now)
    assert woken == [None if whose == "anna" else operator.pk]
    woken.clear()
    housekeeping.sweep(now + dt.timedelta(minutes=2))
    assert set(woken) == {None, operator.pk}


def test_hold_ends_at_its_time_and_says_so(operator):
    message = make_message("a@example.com", due=False)
    now = timezone.now()
    queue.hold(message, by=operator, why="until Monday", until=now + dt.timedelta(days=1))
    housekeeping.sweep(now)
    message.refresh_from_db()
    assert message.status == "held"
    housekeeping.sweep(now + dt.timedelta(days=1))
    message.refresh_from_db()
    assert (message.status, message.not_before) == ("queued", None)
    assert message.events.last().what == "Hold ended: back in the queue"


def test_forgotten_draft_is_dropped_and_its_messages_stay(operator):
    make_message("a@example.com", due=False)
    batches.choose(Message.objects.all(), by=operator, account=operator)
    housekeeping.tidy(timezone.now())
    assert Batch.objects.count() == 1
    housekeeping.tidy(timezone.now() + dt.timedelta(days=2))
    assert Batch.objects.count() == 0
    assert Message.objects.get().status == "queued"
