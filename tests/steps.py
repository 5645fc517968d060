"""What the tests of faults do again and again."""

import datetime as dt
import threading
from contextlib import contextmanager

import pytest
from django.db import connection, connections
from django.utils import timezone

from messaging import housekeeping
from messaging.delivery.lane import Lane
from messaging.delivery.smtp.dialogue import Patience
from messaging.models import UserSession

fault = pytest.mark.fault
TIGHT = Patience(scale=0.001, final_reply=0.3)  # 0.3 s per reply: for servers that never give one
AN_HOUR = dt.timedelta(hours=1)


def run_lane(account_id=None, *, after=dt.timedelta(), **options):
    """Deliver what is due; `after` a time, by the lane's clock. Returns how many messages it dealt with."""
    options.setdefault("clock", lambda: timezone.now() + after)
    return Lane(account_id, **options).run()


def still_there():
    """The users of a test did something just now, and signed in today: their clock went on, and they did not leave."""
    now = timezone.now()
    UserSession.objects.update(active_at=now, started_at=now, expires_at=now + dt.timedelta(days=14))


def sweeps_within(scheduler, clock, seconds):
    """Let beat tick for so long, by the tests' clock: how many sweeps it sent."""
    scheduler.sent.clear()
    for _ in range(seconds):
        clock.goes_on(seconds=1)
        while scheduler.tick() == 0:
            pass
    return scheduler.sent.count("messaging.tasks.sweep")


def in_threads(count, work):
    """Call `work` in so many threads that start together; the errors it raised."""
    start, errors = threading.Barrier(count), []

    def run():
        try:
            start.wait()
            work()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def elsewhere(work):
    """`work` as another process would do it while a server waits: with a database connection of its own."""

    def run():
        try:
            work()
        finally:
            connections.close_all()

    return run


def somebody_waits_for_us():
    """Whether another connection waits for a lock that this one has (PostgreSQL)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
        return cursor.fetchone() is not None


def sweeps(times=8):
    """Sweep as if half a minute had passed each time."""
    for number in range(1, times):
        housekeeping.sweep(timezone.now() + number * dt.timedelta(seconds=31))


def days_pass(clock, days):
    """As on a machine that runs on: the last sweep is of now."""
    housekeeping.sweep(clock.goes_on(days=days - 1))
    housekeeping.sweep(clock.goes_on(days=1))
    return clock.now


@contextmanager
def locked(message):
    """Another session has the row, in a transaction that does not end."""
    other = connection.copy()
    other.set_autocommit(False)
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM messaging_message WHERE id = %s FOR UPDATE", [message.pk])
        yield
    finally:
        other.rollback()
        other.close()
