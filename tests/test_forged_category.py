"""A program that calls its mail a notice gets what is urgent, and not what is for this console's own notices."""

import pytest

from messaging import housekeeping, outgoing
from messaging.intake.gate import Submission
from messaging.models import AccountPause, Message, NoticeItem
from messaging.setup.options import save
from tests.conftest import make_message, set_up
from tests.fault_server import FaultServer

pytestmark = pytest.mark.django_db
RAW = b"From: a@brightwater.example\r\nTo: nobody@example.com\r\nSubject: hello\r\n\r\nHello\r\n"


@pytest.fixture
def server():
    with FaultServer() as server:
        server.at("RCPT", "550 5.1.1 no such user", recipient="nobody@example.com")
        set_up(server, from_address="office@brightwater.example")
        yield server


@pytest.mark.parametrize("category", ["notice", "test-message"])
@pytest.mark.parametrize("record", [True, False])
def test_its_failure_is_told(clock, server, category, record):
    save({"record_mail": record}, by=None)
    submission = Submission(RAW, "a@brightwater.example", ["nobody@example.com"], category=category)
    assert [outcome.state for outcome in outgoing.hand_in([submission])] == ["failed"]
    housekeeping.sweep(clock())
    assert NoticeItem.objects.get().subject == "hello"


def test_it_is_sent_with_no_other_account_than_its_own(clock, server, operator):
    save({"record_mail": True, "hold_mail": True}, by=None)
    message = make_message("c@example.com", author=operator, category="notice", urgent=True)
    Message.objects.update(account=operator)
    AccountPause.objects.create(account=operator, kind="fault", since=clock.now, until=clock.now)
    housekeeping.sweep(clock())
    assert Message.objects.get(pk=message.pk).account == operator
