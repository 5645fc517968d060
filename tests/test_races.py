"""Two things at the same moment, or the second time: what a review of the engine proved wrong once."""

import datetime as dt
import threading
import time

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.utils import timezone

from messaging import batches, housekeeping
from messaging.delivery import claims, ledger
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, ActiveLane, BatchItem, Message
from tests.conftest import make_message, set_up
from tests.fault_server import OK, RESET, FaultServer
from tests.faults.steps import AN_HOUR, confirmed_batch, elsewhere, in_threads, run_lane, status, statuses

pytestmark = pytest.mark.django_db(transaction=True)
postgres = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL")


@pytest.fixture
def server(db):
    with FaultServer() as server:
        set_up(server)
        yield server


def sweeps(times=8):
    for number in range(1, times):
        housekeeping.sweep(timezone.now() + number * dt.timedelta(seconds=31))


def test_account_deleted_while_its_server_says_slow_down(server, operator):
    message = make_message("a@example.com")
    Message.objects.filter(pk=message.pk).update(account=operator)
    server.at("END", [lambda: (elsewhere(operator.delete)(), "450 4.7.1 rate limit: too many messages")[1]])
    run_lane(operator.pk)
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {message.reason}"


@postgres
def test_database_connections_lost_while_server_says_slow_down(server):
    message = make_message("a@example.com")

    def cut():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    server.at("END", [lambda: (elsewhere(cut)(), "450 4.7.1 rate limit: too many messages")[1]])
    worker = threading.Thread(target=elsewhere(lambda: run_lane()))
    worker.start()
    worker.join()
    connections.close_all()
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {message.reason}"


def test_database_away_for_a_moment_while_server_says_slow_down(server, monkeypatch):
    message = make_message("a@example.com")
    genuine, failures = ledger.is_minded_alone, [OperationalError("server closed the connection")]

    def away(message):
        if failures:
            raise failures.pop()
        return genuine(message)

    monkeypatch.setattr(ledger, "is_minded_alone", away)
    server.at("END", ["450 4.7.1 rate limit: too many messages"])
    run_lane()
    sweeps()
    assert not server.accepted
    assert status(message) == "queued", f"{message.status}: {message.reason}"


@pytest.mark.parametrize("count", [2, 4])
def test_all_lanes_turned_away_together_pause_the_account(server, settings, count):
    for number in range(20):
        make_message(f"c{number}@example.com")
    settings.CLAIM_SIZE = 2
    barrier = threading.Barrier(count)

    def turn_away():
        barrier.wait(10)
        return "421 4.7.0 too many connections"

    server.at("GREETING", turn_away)
    unpaused = 0
    for _ in range(3):
        barrier.reset()
        assert not in_threads(count, run_lane)
        unpaused += not AccountPause.objects.exists()
        AccountPause.objects.all().delete()
    assert not unpaused, f"{unpaused} of 3 rounds: everybody was turned away, nobody paused"


@postgres
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
                    "in_data": True,
                    "handover": {},
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


def test_lane_that_ends_takes_no_probe(server):
    make_message("a@example.com"), make_message("b@example.com")
    now = timezone.now()

    def fault_elsewhere():
        AccountPause.objects.create(account=None, kind="fault", since=now, until=now, explanation="X.")

    ends = []
    server.at("END", [lambda: (elsewhere(fault_elsewhere)(), ends.append(1), "250 ok")[2]])
    run_lane(stop=lambda: bool(ends))
    row = AccountPause.objects.get()
    assert row.failures == 1, "the probe was taken by a lane that had ended"


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
    assert status(message) == "queued", f"{message.status}: {message.reason}"


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


def test_mail_refused_and_hung_up_at_the_lone_dot(db):
    with FaultServer() as server:
        set_up(server)
        server.at("MAIL", ["550 5.1.0 sender rejected"])
        server.at("DATA", ["503"])
        message = make_message("a@example.com")
        run_lane()
        assert status(message) == "failed", f"{message.status}: {message.reason}"


def test_all_refused_and_hung_up_at_the_lone_dot(db):
    with FaultServer(data_without_recipients="354 go") as server:
        set_up(server)
        server.at("RCPT", "550 5.1.1 no such user")
        server.at("CONTENT", RESET)
        message = make_message("a@example.com")
        run_lane()
        assert status(message) == "failed", f"{message.status}: {message.reason}"


def test_batch_cancelled_just_before_the_message_comes_back(server, operator, monkeypatch):
    """The outcome is committed, the cancel and another batch follow, and only then the writer looks at the batch."""
    message = make_message("a@example.com", due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    server.at("END", ["451 4.3.0 later"])
    genuine = ledger._leave_cancelled_batch
    other = []

    def late(row):
        if not other:

            def person():
                batches.cancel(batch, by=operator)
                other.append(batches.choose(Message.objects.filter(pk=row.pk), by=operator, account=None))
                batches.confirm(other[0], by=operator)

            thread = threading.Thread(target=elsewhere(person))
            thread.start()
            thread.join()
        genuine(row)

    monkeypatch.setattr(ledger, "_leave_cancelled_batch", late)
    run_lane()
    message.refresh_from_db()
    print(
        message.status,
        message.batch_id,
        message.not_before,
        list(BatchItem.objects.values("batch", "state", "outcome")),
    )
    assert message.batch_id == other[0].pk, "taken out of the batch a person just confirmed"


def test_batch_cancelled_while_message_comes_back(server, operator, monkeypatch):
    """The cancel has begun (it did not see the message) and commits after the writer looked."""
    message = make_message("a@example.com", due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    server.at("END", [lambda: "451 4.3.0 later"])
    if connection.vendor != "postgresql":
        pytest.skip("SQLite: one writer")
    from django.db import transaction

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


def test_server_that_wants_it_slower_twice_costs_no_try(server):
    first, second = make_message("a@example.com"), make_message("b@example.com")
    server.at("MAIL", ["421 4.7.0 rate limit exceeded"])
    run_lane()
    assert statuses(first, second) == ["queued", "queued"]
    # an hour later: second goes through, first is told the same again
    server.at("MAIL", [OK, "421 4.7.0 rate limit exceeded", "421 4.7.0 rate limit exceeded"])
    run_lane(after=AN_HOUR)
    assert statuses(first, second) == ["queued", "sent"]
    assert first.tries == 0, "the server's pace cost a try"


def test_relay_denied_twice_fails_no_message(server):
    first, second = make_message("a@example.com"), make_message("b@example.com")
    server.at("RCPT", ["554 5.7.1 relay access denied"])
    run_lane()
    server.at("RCPT", [OK, "554 5.7.1 relay access denied"])
    run_lane(after=AN_HOUR)
    assert statuses(first, second) == ["queued", "sent"]


def test_message_without_recipients_is_never_sent(server):
    message = make_message("a@example.com")
    message.recipients.all().delete()
    Message.objects.filter(pk=message.pk).update(recipient_count=0)
    run_lane()
    assert status(message) != "sent"
