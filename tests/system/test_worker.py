"""The main flow with the real worker as a process: on the embedded default, and on PostgreSQL with Redis."""

import re
import signal
import time
from collections import Counter

import pytest

from tests import services
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.servers import MailServer
from tests.sizes import STACKS

pytestmark = pytest.mark.process

QUEUE_AND_CONFIRM = """
from email.message import EmailMessage
from messaging.queue import batches
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
NOTHING_LEFT = """
for model in (Schedule, Batch, Message):
    model.objects.all().delete()
answer = None
"""
STATES = "answer = dict(Message.objects.values_list('message_id', 'status'))"

QUEUE_AND_SCHEDULE = (
    QUEUE_AND_CONFIRM.partition("batch = ")[0]
    + """
from datetime import timedelta
from django.contrib.auth.models import User
from django.utils import timezone
from messaging.scheduling import schedules
values = {{"name": "Every minute", "kind": "every", "minutes": 1, "time_zone": "UTC", "is_on": True}}
schedules.save(None, values, by=User.objects.create(username="anna"))
# One time has passed already: the test need not wait for a whole minute.
Schedule.objects.update(since=timezone.now() - timedelta(minutes=2))
answer = None
"""
)


class AtWork:
    """An installation whose worker and beat are running, and its mail server."""

    def __init__(self, installation, server):
        self.installation, self.server = installation, server
        self.worker = installation.start(WORKER)
        installation.start(BEAT)

    def ask(self, code):
        return self.installation.ask(code)

    def kill_worker(self):
        self.installation.stop(self.worker, signal.SIGKILL)
        self.worker = self.installation.start(WORKER)

    def settled(self):
        """The status of each message, once none is to be sent any more."""
        states = self.ask(STATES)
        return states if not {"queued", "sending"} & set(states.values()) else None


@pytest.fixture(scope="module", params=STACKS)
def running(request, tmp_path_factory):
    urls = services.urls() if request.param == "services" else {}
    with MailServer() as server, Installation(tmp_path_factory.mktemp("worker"), **urls) as installation:
        yield AtWork(installation, server)


@pytest.fixture
def at_work(running):
    """With nothing in the queue, and a server that has received nothing yet."""
    running.ask(NOTHING_LEFT)
    running.server.received.clear()
    yield running
    running.server.at_end = lambda message: None
    if running.worker.poll() is not None:
        running.worker = running.installation.start(WORKER)


def message_ids(received):
    return Counter(re.search(rb"Message-ID: *(<[^>]+>)", message.content)[1].decode() for message in received)


def test_batch_goes_out_and_arrives_byte_for_byte(at_work):
    at_work.ask(QUEUE_AND_CONFIRM.format(port=at_work.server.port, count=40))
    states = wait_for(at_work.settled, seconds=60)
    assert states, "not done in time"
    assert set(states.values()) == {"sent"}
    assert message_ids(at_work.server.received) == Counter(states.keys())
    kept = at_work.ask(
        "from messaging.content import assembly\n"
        "answer = {m.message_id: b''.join(assembly.assemble(m)).decode() for m in Message.objects.all()}"
    )
    for message in at_work.server.received:
        text = message.content.decode()
        assert text in kept.values()


def test_schedule_processes_what_waits_as_a_batch_of_its_own(at_work):
    at_work.ask(QUEUE_AND_SCHEDULE.format(port=at_work.server.port, count=5))
    states = wait_for(at_work.settled, seconds=60)
    assert states, "not done in time"
    assert set(states.values()) == {"sent"}
    assert len(at_work.server.received) == 5
    assert at_work.ask("answer = list(Batch.objects.values_list('source', flat=True))") == ["schedule"]
    assert at_work.ask("answer = sorted(Heartbeat.objects.values_list('name', flat=True))") == [
        "beat",
        "sweep",
        "worker",
    ]


def test_worker_killed_in_the_middle_loses_nothing_and_sends_nothing_twice(at_work):
    count, server = 60, at_work.server
    server.at_end = lambda message: time.sleep(0.02)
    at_work.ask(QUEUE_AND_CONFIRM.format(port=server.port, count=count))
    for kills_after in (10, 30):
        assert wait_for(lambda after=kills_after: len(server.received) >= after, seconds=60, every=0.005)
        at_work.kill_worker()
    states = wait_for(at_work.settled, seconds=90)
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


def test_worker_told_to_stop_finishes_the_message_at_hand(at_work):
    server = at_work.server
    server.at_end = lambda message: time.sleep(0.05)
    at_work.ask(QUEUE_AND_CONFIRM.format(port=server.port, count=200))
    assert wait_for(lambda: len(server.received) >= 10, seconds=60, every=0.01)
    assert at_work.installation.stop(at_work.worker) == 0
    states = at_work.ask(STATES)
    assert set(states.values()) == {"sent", "queued"}
    assert sum(state == "sent" for state in states.values()) == len(server.received)


def test_beat_itself_wakes_the_schedule_in_time(tmp_path):
    """With a sweep that comes too seldom to help."""
    with MailServer() as server, Installation(tmp_path, SWEEP_SECONDS="3600") as installation:
        installation.start(WORKER)
        not_yet_due = "Schedule.objects.update(since=timezone.now())"
        installation.ask(QUEUE_AND_SCHEDULE.format(port=server.port, count=5) + not_yet_due)
        installation.start(BEAT)
        settled = "answer = not Message.objects.exclude(status__in=['sent', 'failed', 'unknown']).exists()"
        assert wait_for(lambda: installation.ask(settled), seconds=100, every=0.5), "beat woke no one"
        states = installation.ask(STATES)
        assert set(states.values()) == {"sent"}
        run = installation.ask(
            "run = ScheduleRun.objects.get(); answer = (run.started_at - run.due_at).total_seconds()"
        )
        assert run < 15
