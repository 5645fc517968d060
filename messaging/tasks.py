"""Celery entry points: no logic here. A task is a wake-up; the database says what is to be done."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import shared_task
from celery.signals import beat_init, worker_ready, worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from messaging import housekeeping
from messaging.delivery.lane import Lane
from messaging.delivery.store import restore_detection
from messaging.delivery.store.group_commit import is_away
from messaging.queue import wake
from messaging.scheduling import schedules

log = logging.getLogger(__name__)

shutting_down = threading.Event()
clock = housekeeping.ClockWatch()
HEARTBEAT_SECONDS = 15
_sweeping = threading.Lock()


@worker_shutting_down.connect
def _stop_lanes(**kwargs: Any) -> None:
    """On a warm shutdown each lane finishes the transaction at hand and gives back the rest."""
    shutting_down.set()


@worker_ready.connect
def _sweep_at_once(**kwargs: Any) -> None:
    """Do not wait for beat: what an earlier worker left behind is looked at now."""
    wake.ask_for("sweep")


@worker_ready.connect
def _show_life(**kwargs: Any) -> None:
    """A worker that lives without beat, which makes it sweep, is told apart from one that does not."""
    _keep_showing_life(housekeeping.WORKER)


@beat_init.connect
def _show_life_of_beat(**kwargs: Any) -> None:
    """Beat that lives while the worker is too busy to sweep is told apart from one that does not."""
    _keep_showing_life(housekeeping.BEAT)


def _keep_showing_life(name: str) -> None:
    threading.Thread(target=_beat_heart, args=[name], name="heartbeat", daemon=True).start()


def _beat_heart(name: str) -> None:
    while True:
        try:
            restore_detection.check(timezone.now())  # so that the witness of each machine is up to date
            housekeeping.sign_of_life(name, timezone.now())
        except DatabaseError:
            log.warning("the database is away; %s shows that it lives when it is back", name)
        finally:
            connections.close_all()  # of this thread; a process forked from here inherits none
        if shutting_down.wait(HEARTBEAT_SECONDS):
            return


@shared_task
def deliver(account_id: int | None) -> int:
    """Run a lane over the due messages of an account, for one turn; what is left then gets another."""
    lane = Lane(account_id, stop=shutting_down.is_set, turn_seconds=settings.LANE_TURN_SECONDS)
    # After a set-up fault the sweep decides: at once would hammer a server that has enough connections.
    if lane.run() and lane.halted_by is None and not shutting_down.is_set():
        wake.wake(account_id)
    return lane.delivered


@contextmanager
def _unless_away(task: str) -> Iterator[None]:
    """For a task that beat asks for again: a database that is away is told in one line."""
    try:
        yield
    except DatabaseError as error:
        if not is_away(error):
            raise
        log.warning("%s waits for the database: %s", task, " ".join(str(error).split()))


@shared_task
def sweep() -> None:
    """Every few seconds: rescue ended leases, wake lanes for what is due, show that worker and beat live.

    One at a time: where one waits, the next ones would take the threads of the lanes.
    """
    if not _sweeping.acquire(blocking=False):
        return
    try:
        now = timezone.now()
        with _unless_away("sweep"):
            housekeeping.sweep(now, clock_jumped=clock.has_jumped(now, time.monotonic()))
    finally:
        _sweeping.release()


@shared_task
def tidy() -> None:
    """Every hour: drop what no one came back to."""
    with _unless_away("tidy"):
        housekeeping.tidy(timezone.now())


@shared_task
def run_schedule(pk: int) -> None:
    """Beat's wake-up for one schedule (S14); whether it is due, the database says."""
    with _unless_away("the schedule"):
        restore_detection.check(timezone.now())
        schedules.run_due(timezone.now(), only=pk)
