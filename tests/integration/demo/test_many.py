"""Many messages for a demo: consistent, spread over months, and the same again from the same seed."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pypdf import PdfReader

from messaging import demo
from messaging.demo import history, many
from messaging.models import Attachment, Batch, Message
from tests.integration.demo.consistent import assert_consistent, data, snapshot
from tests.rows import wire
from tests.sizes import several

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)


@pytest.mark.slow
@pytest.mark.parametrize("hour", [0, *(pytest.param(hour, marks=pytest.mark.soak) for hour in (3, 12)), 23])
def test_nothing_lies_in_the_future(hour):
    now = NOW.replace(hour=hour)
    demo.first_run(now)
    assert_consistent(now)


# --- Many more --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.sized
def test_more_messages_wait():
    count = several(90, 300)
    assert demo.add_messages(count, seed=1, now=NOW) == {"queued": count}
    messages = list(Message.objects.all())
    assert len({message.message_id for message in messages}) == count
    assert len({message.recipients_text for message in messages}) > count // 3
    for message in messages:
        text = wire(message).lower()
        assert b"any-" not in text
        assert message.recipients.get().address.encode() in text
    assert not Batch.objects.exists()


@pytest.mark.slow
@pytest.mark.sized
def test_reports_name_who_gets_them():
    demo.add_messages(several(20, 60), seed=2, now=NOW)
    for attachment in Attachment.objects.filter(content_type="application/pdf"):
        text = PdfReader(io.BytesIO(data(attachment))).pages[0].extract_text()
        assert attachment.message.recipients.get().name in text


@pytest.mark.slow
@pytest.mark.sized
def test_history_is_spread_and_consistent(monkeypatch):
    count = several(250, 700)
    monkeypatch.setattr(many, "CHUNK", 60)
    counts = demo.add_messages(count, months=2, seed=3, now=NOW)
    assert sum(counts.values()) == count
    assert counts["sent"] > 0.885 * count
    assert counts["failed"] > 0.007 * count
    assert counts.keys() <= {"sent", "failed", "unknown"}
    assert_consistent(NOW)
    days = {message.created_at.date() for message in Message.objects.all()}
    assert max(days) - min(days) > timedelta(days=50)
    assert {day.weekday() for day in days} == {0, 1, 2, 3, 4}
    assert Batch.objects.count() == len(days)
    assert list(Message.objects.order_by("id")) == list(Message.objects.order_by("created_at", "id"))


def test_mix_of_endings():
    class Every:
        def __init__(self):
            self.next = -1

        def randrange(self, count):
            self.next = (self.next + 1) % count
            return self.next

    every = Every()
    endings = [history.mixed(every) for _ in range(1000)]
    assert endings.count(history.SENT) == 951
    assert endings.count(history.UNKNOWN) == 2
    assert endings.count(history.given_up()) == 6


@pytest.mark.drill
@pytest.mark.parametrize("months", [0, 1])
def test_same_seed_same_messages(months):
    count = 40
    demo.add_messages(count, months=months, seed=7, now=NOW)
    before = snapshot()
    Message.objects.all().delete()
    demo.add_messages(count, months=months, seed=7, now=NOW)
    assert snapshot() == before
    Message.objects.all().delete()
    demo.add_messages(count, months=months, seed=8, now=NOW)
    assert snapshot() != before


# --- The command --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_command_says_what_it_made(capsys):
    call_command("seed_demo", "--messages", "5", "--months", "1", "--seed", "1")
    assert capsys.readouterr().out.startswith("5 more messages in ")
    call_command("seed_demo")
    assert Message.objects.filter(status="queued", created_at__lte=timezone.now()).count() > 30


@pytest.mark.parametrize("arguments", [["--months", "2"], ["--messages", "0"], ["--messages", "3", "--months", "-1"]])
def test_command_refuses_what_makes_no_sense(arguments):
    with pytest.raises(CommandError):
        call_command("seed_demo", *arguments)
    assert not Message.objects.exists()
