"""What the tests of faults do again and again."""

import datetime as dt
import threading

import pytest
from django.db import connections
from django.utils import timezone

from messaging import batches
from messaging.delivery.dialogue import Patience
from messaging.delivery.lane import Lane
from messaging.models import Message
from tests.conftest import make_message

fault = pytest.mark.fault
TIGHT = Patience(scale=0.001, final_reply=0.3)  # 0.3 s per reply: for servers that never give one
CALM = Patience(scale=0.1, final_reply=20.0)
AN_HOUR = dt.timedelta(hours=1)


def run_lane(account_id=None, *, after=dt.timedelta(), patience=CALM, **options):
    """Deliver what is due; `after` a time, by the lane's clock."""
    options.setdefault("clock", lambda: timezone.now() + after)
    lane = Lane(account_id, patience=patience, **options)
    lane.run()
    return lane


def status(message):
    message.refresh_from_db()
    return message.status


def statuses(*messages):
    return [status(message) for message in messages]


def confirmed_batch(operator, *addresses):
    for address in addresses:
        make_message(address, due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    return batch


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
