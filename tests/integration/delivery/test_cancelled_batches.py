"""A batch is cancelled while lanes write what became of its messages."""

import threading
import time

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from messaging.delivery.store import claims, ledger
from messaging.models import Message
from messaging.queue import batches
from tests.factories import confirmed_batch, make_message
from tests.steps import elsewhere, run_lane, sweeps

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.postgresql
def test_cancelling_a_batch_does_not_deadlock_with_the_writer(server, operator):
    batch = confirmed_batch(operator, "a@example.com", "b@example.com", "c@example.com")
    first, middle, last = sorted(claims.take(None, "me", 3, timezone.now()), key=lambda message: message.pk)
    held, release = threading.Event(), threading.Event()
    errors = []

    def hold():
        with transaction.atomic():
            list(Message.objects.select_for_update(of=("self",)).filter(pk=middle.pk))
            held.set()
            release.wait(20)

    def cancel():
        try:
            batches.cancel(batch, by=operator)
        except DatabaseError as error:
            errors.append(error)

    threads = [threading.Thread(target=elsewhere(work)) for work in (hold, cancel)]
    threads[0].start()
    held.wait(10)
    threads[1].start()
    time.sleep(0.5)  # it has the last one and waits for the middle one

    def changes():
        for message in (first, last):
            yield ledger._Change(
                message,
                {name: getattr(message, name) for name in ledger.STANDING}
                | {
                    "lease_owner": "me",
                    "lease_expires_at": claims.lease_end(timezone.now()),
                    "may_be_accepted": True,
                    "attempt_snapshot": {},
                },
                None,
            )

    writer = threading.Thread(target=elsewhere(lambda: ledger._write(list(changes()))))
    writer.start()
    time.sleep(1.5)
    release.set()
    for thread in (*threads, writer):
        thread.join(20)
    assert not errors, errors


def test_batch_cancelled_just_before_the_message_comes_back(server, operator, monkeypatch):
    """The outcome is committed, the cancel and another batch follow, and only then the writer looks at the batch."""
    message = make_message("a@example.com", due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    server.at("END", ["451 4.3.0 later"])
    genuine = ledger.leave_cancelled_batch
    other = []

    def late(ids, at):
        if not other:

            def person():
                batches.cancel(batch, by=operator)
                other.append(batches.choose(Message.objects.filter(pk__in=ids), by=operator, account=None))
                batches.confirm(other[0], by=operator)

            thread = threading.Thread(target=elsewhere(person))
            thread.start()
            thread.join()
        genuine(ids, at)

    monkeypatch.setattr(ledger, "leave_cancelled_batch", late)
    run_lane()
    message.refresh_from_db()
    assert message.batch_id == other[0].pk, "taken out of the batch a person just confirmed"


@pytest.mark.postgresql  # SQLite has one writer
def test_batch_cancelled_while_message_comes_back(server, operator, monkeypatch):
    """The cancel has begun (it did not see the message) and commits after the writer looked."""
    message = make_message("a@example.com", due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    server.at("END", [lambda: "451 4.3.0 later"])
    began, go = threading.Event(), threading.Event()

    def cancel():
        with transaction.atomic():
            batches.cancel(batch, by=operator)
            began.set()
            go.wait(10)

    def at_end():
        thread.start()
        began.wait(10)
        return "451 4.3.0 later"

    thread = threading.Thread(target=elsewhere(cancel))
    server.at("END", [at_end])
    run_lane()
    go.set()
    thread.join()
    sweeps()
    message.refresh_from_db()
    assert message.batch_id is None, "waits in a cancelled batch, until the hourly tidy"
