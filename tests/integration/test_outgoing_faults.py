"""A program that is killed while its mail is sent at once: nothing is lost to sight, and nothing goes out twice."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from messaging import housekeeping, submit
from messaging.company.options import save
from messaging.delivery.store import claims, ledger
from messaging.delivery.store.rescue import rescue
from messaging.models import Message, Phrase
from messaging.queue import actions, batches, pausing
from tests.factories import hold_mail, submission
from tests.fault_server import ACCEPT, CLOSE
from tests.steps import elsewhere, run_lane

# --- What others may do to it meanwhile ------------------------------------------------------------------


def send_at_once(*recipients):
    (outcome,) = submit.submit([submission(*(recipients or ["ada@example.com"]))])
    return outcome


@pytest.mark.django_db(transaction=True)
def test_nobody_takes_a_message_that_is_being_sent_at_once(server, operator, settings):
    """Each of them looks at it while the server takes its time with the first command, so it could still be taken."""
    hold_mail(hold=False)

    def meddle():
        message = Message.objects.get()
        assert message.status == "sending"
        claims.give_back(message.lease_owner)
        pause = pausing.pause(pausing.ALL, by=operator, why="Stocktaking")
        housekeeping.sweep(timezone.now())
        for order in (actions.cancel, actions.retry, actions.send_again, actions.mark_as_sent):
            with pytest.raises(actions.NotPossible):
                order(message, by=operator)
        batch = batches.choose(Message.objects.all(), by=operator, account=operator)
        batches.confirm(batch, by=operator)
        batches.cancel(batch, by=operator)
        housekeeping.tidy(timezone.now())
        run_lane()
        assert pause.pk
        states.append(Message.objects.get().status)

    states = []
    server.at("MAIL", [elsewhere(meddle)])
    assert send_at_once().state == "sent"
    assert states == ["sending"]
    assert len(server.transactions) == 1
    assert Message.objects.get().status == "sent"


@pytest.mark.django_db(transaction=True)
def test_who_lost_the_lease_sends_nothing(server):
    """The program was stopped for longer than its lease: what was told of it stays true."""
    hold_mail(hold=False)
    later = timezone.now() + timedelta(seconds=31)
    server.at("DATA", [elsewhere(lambda: rescue(later))])
    outcome = send_at_once()
    assert (outcome.state, outcome.reason) == ("failed", Phrase("stopped"))
    assert not any(each.accepted for each in server.transactions)
    assert Message.objects.get().status == "failed"


@pytest.mark.django_db
@pytest.mark.parametrize("order", [actions.send_again, actions.retry])
def test_what_a_person_orders_is_sent_by_the_workers_like_any_other(server, operator, order):
    server.at("END", [(ACCEPT, CLOSE) if order is actions.send_again else "554 5.6.0 no"])
    hold_mail(hold=False)
    send_at_once()
    message = Message.objects.get()
    order(message, by=operator)
    assert (message.is_immediate, message.status) == (False, "queued")
    server.at("END", ["451 4.3.0 later"])
    run_lane(operator.pk)
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 1), "it has several tries now"


@pytest.mark.django_db
def test_marked_as_sent_it_is_not_sent_to_those_who_were_asked_to_wait(server, operator):
    """Sending at once has one try: the recipient who was refused for now has failed."""
    hold_mail(hold=False)
    message = Message.objects.get(pk=killed_in_data(server).pk)
    assert message.status == "unknown"
    actions.mark_as_sent(message, by=operator)
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
    monkeypatch.setattr("messaging.submit.notices.note_unrecorded", kill)
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


# --- The database fails after a message was handed over: no one is told that it was not sent ---------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize(
    "where", ["messaging.submit._outcome", "messaging.models.Message.delete", "messaging.submit._AtOnce._conclude"]
)
def test_what_was_sent_is_not_told_as_a_failure_of_the_database(email_setup, mail_server, monkeypatch, where, record):
    save({"record_mail": record}, by=None)

    def away(*args, **options):
        raise OperationalError("the database went away")

    monkeypatch.setattr(where, away)
    [outcome] = submit.submit([submission("b@example.com")])
    assert outcome.state in ("sent", "unknown")
    assert len(mail_server.received) == 1
