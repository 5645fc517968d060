"""Celery entry points: no logic here. A task is a wake-up; the database says what is to be done."""

import logging
import threading
import time
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from messaging import batches, housekeeping, wake
from messaging.delivery.lane import Lane
from messaging.queue import NotPossible

log = logging.getLogger(__name__)
shutting_down = threading.Event()
clock = housekeeping.ClockWatch()


@worker_shutting_down.connect
def _stop_lanes(**kwargs: Any) -> None:
    """On a warm shutdown each lane finishes the message at hand and gives back the rest."""
    shutting_down.set()


@worker_ready.connect
def _sweep_at_once(**kwargs: Any) -> None:
    """Do not wait for beat: what an earlier worker left behind is looked at now."""
    sweep.delay()


@shared_task
def deliver(account_id: int | None) -> int:
    """Run a lane over the due messages of an account, for one turn; what is left then gets another."""
    lane = Lane(account_id, stop=shutting_down.is_set, turn_seconds=settings.LANE_TURN_SECONDS)
    # After a set-up fault the sweep decides: at once would hammer a server that has enough connections.
    if lane.run() and lane.halted_by is None and not shutting_down.is_set():
        wake.wake(account_id)
    return lane.delivered


@shared_task
def sweep() -> None:
    """Every few seconds: rescue ended leases, wake lanes for what is due, show that worker and beat live."""
    now = timezone.now()
    housekeeping.sweep(now, clock_jumped=clock.has_jumped(now, time.monotonic()))


@shared_task
def tidy() -> None:
    """Every hour: drop what nobody came back to."""
    housekeeping.tidy(timezone.now())


@shared_task
def process_queue(account: str | None = None) -> None:
    """The schedule's run of Batch Message Processing (seed row S14), as the account it names."""
    user = User.objects.get(username=account) if account else None
    try:
        batches.process_all(by=None, account=user, source="schedule")
    except NotPossible as error:
        log.warning("the schedule did not process the queue: %s", error)
