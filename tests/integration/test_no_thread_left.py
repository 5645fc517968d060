"""A moment in which the machine can start no thread: it passes, and nothing waits for one that never came."""

import threading
import uuid

import pytest
from django.utils import timezone

from messaging import health, send_at_once
from messaging.delivery.store import ledger
from messaging.models import Heartbeat, Message
from tests.factories import hold_mail, make_message
from tests.installation import wait_for
from tests.rows import statuses
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_thread():
    """None of this name is started from now on; `.ends()` when there are threads again."""
    patch = pytest.MonkeyPatch()
    start = threading.Thread.start

    def begins(name):
        def refuse(thread):
            if thread.name.startswith(name):
                refused.append(name)
                raise RuntimeError("can't start new thread")
            start(thread)

        patch.setattr(threading.Thread, "start", refuse)
        return refused

    refused = []
    begins.ends = patch.undo
    yield begins
    patch.undo()


def test_messages_are_sent_and_so_are_those_of_later(server, no_thread):
    assert wait_for(lambda: not ledger._together._is_running)  # of the test before
    refused = no_thread("group commit")
    first = make_message("a@example.com")
    run_lane()
    assert refused
    no_thread.ends()
    second = make_message("b@example.com")
    run_lane()
    assert statuses(first, second) == ["sent", "sent"]
    assert len(server.accepted) == 2


def test_a_check_that_was_not_begun_is_begun_at_the_next_request(client, no_thread, settings):
    settings.HEALTH_TOKEN = "a-token-of-more-than-16"
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    refused = no_thread("check of database")
    client.raise_request_exception = False
    assert client.get("/readyz").status_code >= 500
    assert refused
    no_thread.ends()
    assert client.get("/readyz").status_code == 200
    assert all(each.done() for each in health._running.values())


def test_a_message_is_sent_while_its_user_waits(office, server, no_thread):
    hold_mail(hold=False)
    refused = no_thread(send_at_once.THREAD)
    form = {"sender": "Anna <anna@office.example>", "to": "ada@example.com", "subject": "x", "text": "y", "do": "send"}
    office.post("/messages/new/", form | {"key": uuid.uuid4().hex, "promised": "send:at-once queue:own"})
    assert refused
    assert Message.objects.get().status == "sent"
