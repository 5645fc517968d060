"""A program that is killed while its mail is sent at once: nothing is lost to sight, and nothing goes out twice."""

import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections
from django.utils import timezone

from messaging import batches, housekeeping, outgoing, queue, sending
from messaging.delivery import claims, ledger
from messaging.delivery.lane import Lane
from messaging.delivery.rescue import STOPPED, rescue
from messaging.intake.gate import Submission
from messaging.models import Message
from tests.conftest import hold_mail, set_up
from tests.fault_server import ACCEPT, CLOSE, SILENCE, FaultServer
from tests.installation import ROOT, Installation

RAW = b"From: office@example.com\nTo: ada@example.com\nSubject: Report\n\nDear Ada\n"


# --- A real process, really killed -----------------------------------------------------------------------

KILLED_AT = {
    "before the recipients": ("MAIL", SILENCE, "failed"),
    "before the content": ("DATA", SILENCE, "failed"),
    "after the content": ("END", (ACCEPT, SILENCE), "unknown"),
}
SET_UP = """
EmailSettings.objects.update_or_create(account=None, defaults={"send_type": 2, "host": "127.0.0.1", "port": %d})
from messaging.setup import options
answer = bool(options.save({"record_mail": %s, "hold_mail": False}, by=None))
"""
SWEEP = """
from django.utils import timezone
from datetime import timedelta
from messaging import housekeeping
from messaging.delivery.lane import Lane
for seconds in range(10, 100, 10):
    housekeeping.sweep(timezone.now() + timedelta(seconds=seconds))
Lane(None).run()
answer = [list(row) for row in Message.objects.order_by("id").values_list("status", "reason")]
"""


@pytest.mark.process
def test_a_killed_program_leaves_a_true_row_and_nothing_goes_out_twice(tmp_path):
    with FaultServer() as server, Installation(tmp_path, LEASE_SECONDS="30", SWEEP_SECONDS="10") as installation:
        for record in (False, True):
            installation.ask(SET_UP % (server.port, record))
            for stage, behaviour, _ in KILLED_AT.values():
                kill_in(installation, server, stage, behaviour)
        handed_over = len(server.transactions)
        found = installation.ask(SWEEP)
        assert [status for status, _ in found] == [status for *_, status in KILLED_AT.values()] * 2
        assert [reason for status, reason in found if status == "failed"] == [STOPPED] * 4
        assert len(server.transactions) == handed_over, "nothing was sent again"
        assert sum(each.accepted for each in server.transactions) == 2


def kill_in(installation, server, stage, behaviour):
    reached = threading.Event()

    def reach():
        reached.set()
        return behaviour

    server.at(stage, [reach])
    command = [sys.executable, "manage.py", "sendmail", "-t"]
    program = subprocess.Popen(command, cwd=ROOT, env=installation.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdin.write(RAW)
    program.stdin.close()
    assert reached.wait(60)
    program.kill()
    program.wait(10)
    program.stderr.close()


# --- What others may do to it meanwhile ------------------------------------------------------------------


@pytest.fixture
def server(db):
    with FaultServer() as server:
        set_up(server)
        yield server


def submission(*recipients):
    return Submission(RAW, "office@example.com", recipients or ["ada@example.com"], via="test")


def send_at_once(*recipients):
    (outcome,) = outgoing.hand_in([submission(*recipients)])
    return outcome


@pytest.mark.django_db(transaction=True)
def test_nobody_takes_a_message_that_is_being_sent_at_once(server, operator, settings):
    """Each of them looks at it while the server takes its time with the first command, so it could still be taken."""
    hold_mail(hold=False)

    def meddle():
        message = Message.objects.get()
        assert message.status == "sending"
        claims.give_back(message.lease_owner)
        pause = sending.pause(sending.ALL, by=operator, why="Stocktaking")
        housekeeping.sweep(timezone.now())
        for order in (queue.cancel, queue.retry, queue.send_again, queue.mark_as_sent):
            with pytest.raises(queue.NotPossible):
                order(message, by=operator)
        batch = batches.choose(Message.objects.all(), by=operator, account=operator)
        batches.confirm(batch, by=operator)
        batches.cancel(batch, by=operator)
        housekeeping.tidy(timezone.now())
        Lane(None).run()
        assert pause.pk
        states.append(Message.objects.get().status)

    states = []
    server.at("MAIL", [lambda: in_own_connection(meddle)])
    assert send_at_once().state == "sent"
    assert states == ["sending"]
    assert len(server.transactions) == 1
    assert Message.objects.get().status == "sent"


def in_own_connection(work):
    try:
        work()
    finally:
        connections.close_all()


@pytest.mark.django_db(transaction=True)
def test_who_lost_the_lease_sends_nothing(server):
    """The program was stopped for longer than its lease: what was told of it stays true."""
    hold_mail(hold=False)
    later = timezone.now() + timedelta(seconds=31)
    server.at("DATA", [lambda: in_own_connection(lambda: rescue(later))])
    outcome = send_at_once()
    assert (outcome.state, outcome.explanation) == ("failed", STOPPED)
    assert not any(each.accepted for each in server.transactions)
    assert Message.objects.get().status == "failed"


@pytest.mark.django_db
@pytest.mark.parametrize("order", [queue.send_again, queue.retry])
def test_what_a_person_orders_is_sent_by_the_workers_like_any_other(server, operator, order):
    server.at("END", [(ACCEPT, CLOSE) if order is queue.send_again else "554 5.6.0 no"])
    hold_mail(hold=False)
    send_at_once()
    message = Message.objects.get()
    order(message, by=operator)
    assert (message.once, message.status) == (False, "queued")
    server.at("END", ["451 4.3.0 later"])
    Lane(operator.pk).run()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 1), "it has several tries now"


@pytest.mark.django_db
def test_marked_as_sent_it_is_not_sent_to_those_who_were_asked_to_wait(server, operator):
    """Whoever sent it at once has one try: the recipient who was refused for now has failed."""
    hold_mail(hold=False)
    message = Message.objects.get(pk=killed_in_data(server).pk)
    assert message.status == "unknown"
    queue.mark_as_sent(message, by=operator)
    assert sorted(message.recipients.values_list("address", "status")) == [
        ("ada@example.com", "accepted"),
        ("bob@example.com", "failed"),
    ]
    assert message.status == "failed"


class Killed(BaseException):
    """As hard as it can be made within a process."""


def killed_in_data(server):
    server.at("RCPT", "450 4.2.1 later", recipient="bob@example.com")

    def kill(*_):
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("messaging.delivery.lane.ledger.record_soon", kill)
        with pytest.raises(Killed):
            send_at_once("ada@example.com", "bob@example.com")
    rescue(timezone.now() + timedelta(seconds=90))
    return Message.objects.get()


@pytest.mark.django_db
def test_a_crash_between_outcome_and_forgetting_leaves_a_true_row(server, monkeypatch):
    def kill(*_, **__):
        raise Killed

    monkeypatch.setattr(Message, "delete", kill)
    with pytest.raises(Killed):
        send_at_once()
    assert Message.objects.get().status == "sent"
    monkeypatch.setattr("messaging.outgoing.notices.note_unrecorded", kill)
    server.at("RCPT", "550 5.1.1 no such user")
    with pytest.raises(Killed):
        send_at_once()
    assert list(Message.objects.values_list("status", "notified_at")) == [("failed", None), ("sent", None)]


@pytest.mark.django_db
def test_an_outcome_that_cannot_be_written_down_is_unknown(server, monkeypatch):
    def away(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(ledger, "record_soon", away)
    assert send_at_once().state == "unknown"
    assert len(server.transactions) == 1
    rescue(timezone.now() + timedelta(seconds=90))
    assert Message.objects.get().status == "unknown"


@pytest.mark.django_db
def test_without_the_database_nothing_is_handed_over(server, monkeypatch):
    def away(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(ledger, "start_data", away)
    with pytest.raises(DatabaseError):
        send_at_once()
    assert not any(each.ended for each in server.transactions)
    rescue(timezone.now() + timedelta(seconds=90))
    assert Message.objects.get().status == "failed"
