"""The main flow with the real worker as a process: on the embedded default, and on PostgreSQL with Redis."""

import os
import re
import signal
import threading
import time
from collections import Counter

import pytest

from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.servers import MailServer

pytestmark = pytest.mark.process

QUEUE_AND_CONFIRM = """
from email.message import EmailMessage
from messaging import batches
from messaging.intake.gate import Submission, accept_many
EmailSettings.objects.update_or_create(
    account=None, defaults={{"send_type": 2, "host": "127.0.0.1", "port": {port}, "ehlo_name": "t.example"}})
submissions = []
for number in range({count}):
    mail = EmailMessage()
    mail["From"], mail["To"] = "office@brightwater.example", f"c{{number}}@example.com"
    mail["Subject"] = f"Invoice {{number}}"
    mail.set_content(f"Invoice {{number}}\\n.\\nis attached.\\n")
    mail.add_attachment(f"%PDF {{number}}".encode() * 200, maintype="application", subtype="pdf", filename="i.pdf")
    submissions.append(Submission(mail.as_bytes(), "office@brightwater.example", [mail["To"]], via="test"))
accept_many(submissions)
batch = batches.choose(Message.objects.all(), by=None, account=None)
batches.confirm(batch, by=None)
answer = batch.pk
"""
STATES = "answer = dict(Message.objects.values_list('message_id', 'status'))"

QUEUE_AND_SCHEDULE = (
    QUEUE_AND_CONFIRM.partition("batch = ")[0]
    + """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from messaging import schedules
values = {{"name": "Every minute", "kind": "every", "minutes": 1, "time_zone": "UTC", "is_on": True}}
schedules.save(None, values, by=User.objects.create(username="anna"))
# One time has passed already: the test need not wait for a whole minute.
Schedule.objects.update(since=timezone.now() - timedelta(minutes=2))
answer = None
"""
)


@pytest.fixture(params=["embedded", pytest.param("services", marks=pytest.mark.services)])
def installation(request, tmp_path):
    urls = {}
    if request.param == "services":
        urls = {"database_url": os.environ["DATABASE_URL"], "broker_url": os.environ["CELERY_BROKER_URL"]}
    with Installation(tmp_path, **urls) as installation:
        yield installation


def settled(installation):
    states = installation.ask(STATES)
    return states if not {"queued", "sending"} & set(states.values()) else None


def message_ids(received):
    return Counter(re.search(rb"Message-ID: *(<[^>]+>)", message.content)[1].decode() for message in received)


def test_batch_goes_out_and_arrives_byte_for_byte(installation):
    with MailServer() as server:
        installation.start(WORKER)
        installation.start(BEAT)
        installation.ask(QUEUE_AND_CONFIRM.format(port=server.port, count=40))
        states = wait_for(lambda: settled(installation))
        assert states, "not done in time"
        assert set(states.values()) == {"sent"}
        assert message_ids(server.received) == Counter(states.keys())
        kept = installation.ask(
            "from messaging import content\n"
            "answer = {m.message_id: b''.join(content.assemble(m)).decode() for m in Message.objects.all()}"
        )
        for message in server.received:
            text = message.content.decode()
            assert text in kept.values()


def test_worker_killed_in_the_middle_loses_nothing_and_sends_nothing_twice(installation):
    count = 120
    with MailServer(at_end=lambda message: time.sleep(0.02)) as server:
        worker = installation.start(WORKER)
        installation.start(BEAT)
        installation.ask(QUEUE_AND_CONFIRM.format(port=server.port, count=count))
        for kills_after in (20, 60):
            assert wait_for(lambda after=kills_after: len(server.received) >= after, every=0.005)
            installation.stop(worker, signal.SIGKILL)
            worker = installation.start(WORKER)
        states = wait_for(lambda: settled(installation), seconds=60, every=0.5)
        assert states, "not done in time"
        time.sleep(0.5)
        arrived = message_ids(server.received)
    assert len(states) == count, "nothing is lost"
    assert set(states.values()) <= {"sent", "unknown"}
    assert max(arrived.values()) == 1, "nothing is sent twice"
    assert {name for name, state in states.items() if state == "sent"} <= set(arrived), (
        "what is said to be sent arrived"
    )
    assert set(arrived) <= set(states)
    unknown = sum(state == "unknown" for state in states.values())
    assert unknown <= 2 * 4, "at most one unknown message per connection per crash"


def test_worker_told_to_stop_finishes_the_message_at_hand(installation):
    with MailServer(at_end=lambda message: time.sleep(0.05)) as server:
        worker = installation.start(WORKER)
        installation.start(BEAT)
        installation.ask(QUEUE_AND_CONFIRM.format(port=server.port, count=200))
        assert wait_for(lambda: len(server.received) >= 10, every=0.01)
        stopping = threading.Thread(target=installation.stop, args=(worker,))
        stopping.start()
        stopping.join(20)
        assert worker.returncode == 0
        states = installation.ask(STATES)
        assert set(states.values()) == {"sent", "queued"}
        assert sum(state == "sent" for state in states.values()) == len(server.received)


def test_schedule_processes_what_waits_as_a_batch_of_its_own(installation):
    with MailServer() as server:
        installation.start(WORKER)
        installation.start(BEAT)
        installation.ask(QUEUE_AND_SCHEDULE.format(port=server.port, count=5))
        states = wait_for(lambda: settled(installation))
        assert states, "not done in time"
        assert set(states.values()) == {"sent"}
        assert len(server.received) == 5
    assert installation.ask("answer = list(Batch.objects.values_list('source', flat=True))") == ["schedule"]
    assert installation.ask("answer = sorted(Heartbeat.objects.values_list('name', flat=True))") == ["sweep", "worker"]


def test_beat_itself_wakes_the_schedule_in_time(tmp_path):
    """With a sweep that comes too seldom to help."""
    with MailServer() as server, Installation(tmp_path, SWEEP_SECONDS="3600") as installation:
        installation.start(WORKER)
        not_yet_due = "Schedule.objects.update(since=timezone.now())"
        installation.ask(QUEUE_AND_SCHEDULE.format(port=server.port, count=5) + not_yet_due)
        installation.start(BEAT)
        states = wait_for(lambda: settled(installation), seconds=90, every=1)
        assert states, "beat woke nobody"
        assert set(states.values()) == {"sent"}
        run = installation.ask(
            "run = ScheduleRun.objects.get(); answer = (run.started_at - run.due_at).total_seconds()"
        )
        assert run < 15
