"""The database fails after a message was handed over: nobody is told that it was not sent, lest it is sent twice."""

import pytest
from django.db import OperationalError

from messaging import outgoing
from messaging.intake.gate import Submission
from messaging.setup.options import save

pytestmark = pytest.mark.django_db(transaction=True)
RAW = b"From: a@brightwater.example\r\nTo: b@example.com\r\nSubject: hello\r\n\r\nHello\r\n"


def fail(*args, **options):
    raise OperationalError("the database went away")


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize(
    "where", ["messaging.outgoing._outcome", "messaging.models.Message.delete", "messaging.outgoing._AtOnce._told"]
)
def test_what_was_sent_is_not_told_as_a_failure_of_the_database(email_setup, mail_server, monkeypatch, where, record):
    save({"record_mail": record}, by=None)
    monkeypatch.setattr(where, fail)
    submission = Submission(RAW, "a@brightwater.example", ["b@example.com"])
    [outcome] = outgoing.hand_in([submission])
    assert outcome.state in ("sent", "unknown")
    assert len(mail_server.received) == 1
