"""The demo: what it holds, that it is consistent, and that it is the same again."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from PIL import Image
from pypdf import PdfReader

from messaging import content, demo, roles
from messaging.demo import company, history, many
from messaging.models import Attachment, Batch, Message, Recipient, SendAttempt

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)
STATUS_OF_RECIPIENTS = {
    Message.Status.SENT: {Recipient.Status.ACCEPTED},
    Message.Status.FAILED: {Recipient.Status.FAILED, Recipient.Status.ACCEPTED},
    Message.Status.UNKNOWN: {Recipient.Status.UNKNOWN},
}


def raw(message):
    return b"".join(content.assemble(message))


def data(attachment):
    return b"".join(content.open_attachment(attachment))


def snapshot():
    """All that a seed decides; attempts and replies included."""
    messages = [
        (m.message_id, m.status, m.reason, m.created_at, m.sent_at, m.recipients_text, raw(m))
        for m in Message.objects.order_by("id")
    ]
    return messages, list(SendAttempt.objects.order_by("id").values_list("started_at", "reply_text", "outcome"))


def assert_consistent(now):
    """Every message that has ended looks as if delivery had ended it, before `now`."""
    for message in Message.objects.prefetch_related("attempts", "recipients", "events"):
        attempts, recipients = list(message.attempts.all()), list(message.recipients.all())
        assert message.events.first().at == message.created_at <= now
        assert message.tries == message.fence == len(attempts)
        assert [attempt.fence for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert bool(message.sent_at) == (message.status == Message.Status.SENT)
        if not attempts:
            continue
        assert {row.status for row in recipients} <= STATUS_OF_RECIPIENTS[Message.Status(message.status)]
        times = [moment for attempt in attempts for moment in (attempt.started_at, attempt.finished_at)]
        assert message.created_at < times[0]
        assert times == sorted(times)
        assert times[-1] <= now
        assert message.batch.confirmed_at < times[0]
        assert message.batch.items.filter(message=message, state="released").exists()
        assert message.sent_at in (None, times[-1])
        assert bool(message.reason) == (message.status != Message.Status.SENT)
        for attempt in attempts:
            assert {reply["address"] for reply in attempt.recipients} == {row.address for row in recipients}
            assert "{" not in attempt.reply_text
        last = {reply["address"]: reply["reply_text"] for reply in attempts[-1].recipients}
        assert {row.address: row.reply_text for row in recipients} == last


@pytest.fixture
def first_run(db):
    demo.first_run(NOW)


# --- The first run ----------------------------------------------------------------------------------


def test_queue_of_a_newcomer(first_run):
    waiting = Message.objects.filter(status=Message.Status.QUEUED)
    assert 38 <= waiting.count() <= 46
    assert set(waiting.values_list("batch", "not_before", "account")) == {(None, None, None)}
    assert all(NOW - timedelta(hours=8) < message.created_at < NOW for message in waiting)
    assert list(waiting.order_by("id")) == list(waiting.order_by("created_at"))
    words = {row.address.partition(".")[0] for row in Recipient.objects.filter(message__in=waiting)}
    assert {"reject", "greylist", "drop", "spam", "slow"} <= words


def test_every_way_to_end_is_there(first_run):
    found = Message.objects.exclude(status=Message.Status.QUEUED)
    assert {message.status for message in found} == {"sent", "failed", "unknown", "held", "cancelled"}
    reasons = set(found.filter(status="failed").values_list("reason_category", "reason"))
    assert len(reasons) >= 5
    assert {category for category, _ in reasons} >= {"address", "content", "policy"}
    assert_consistent(NOW)


def test_partly_accepted_message(first_run):
    message = Message.objects.get(status="failed", recipient_count=2)
    assert {row.status for row in message.recipients.all()} == {"accepted", "failed"}
    assert message.attempts.get().outcome == "permanent"


def test_authors_are_people_who_cannot_sign_in(first_run):
    authors = {message.author for message in Message.objects.select_related("author") if message.author}
    assert {author.get_full_name() for author in authors} == {person.name for person in company.AUTHORS}
    assert not any(author.has_usable_password() or author.is_superuser for author in authors)
    assert {roles.role_of(author) for author in authors} == {roles.OPERATOR}
    assert Message.objects.filter(author=None).exists()


def test_every_pdf_opens_and_is_different(first_run):
    texts = []
    for attachment in Attachment.objects.filter(content_type="application/pdf"):
        assert attachment.filename.endswith(".pdf")
        text = PdfReader(io.BytesIO(data(attachment))).pages[0].extract_text()
        assert company.NAME in text
        addressed = attachment.message.recipients.first()
        assert addressed is None or addressed.name in text
        texts.append(text)
    assert len(texts) >= 20
    assert len(set(texts)) == len(texts)


def test_csv_and_picture(first_run):
    jobs = Attachment.objects.get(content_type="text/csv")
    rows = list(csv.DictReader(io.StringIO(data(jobs).decode(), newline="")))
    assert len(rows) == 24
    assert all(row["Customer"] and row["Address"] for row in rows)
    picture = Attachment.objects.get(content_type="image/png")
    assert picture.is_inline
    assert Image.open(io.BytesIO(data(picture))).size == (600, 150)
    html = content.bodies(picture.message).html
    assert f'src="cid:{picture.content_id.strip("<>")}"' in html
    assert 'src="https://' in html, "a picture of another server, to be blocked"


def test_long_subject_in_many_scripts(first_run):
    message = Message.objects.get(needs_smtputf8=True)
    assert len(message.subject) > 250
    assert "住民集会" in message.subject
    assert "فاطمة الزهراء" in message.recipients_text
    assert {row.kind for row in message.recipients.all()} == {"to", "cc"}


def test_blind_copies_are_in_the_envelope_only(first_run):
    blind = Recipient.objects.filter(kind="bcc", message__status="queued")
    assert blind.count() >= 9
    for row in blind:
        assert row.address.encode() not in raw(row.message)


def test_same_again(first_run, django_user_model):
    before = snapshot()
    Message.objects.all().delete()
    demo.first_run(NOW)
    after = snapshot()
    assert after[1] == before[1]
    # What a person did happens at the moment it is done, everything else at a time the seed decides.
    assert after[0] == before[0]
    assert django_user_model.objects.count() == len(company.AUTHORS)


@pytest.mark.parametrize("hour", [0, 3, 12, 23])
def test_nothing_lies_in_the_future(hour):
    now = NOW.replace(hour=hour)
    demo.first_run(now)
    assert_consistent(now)


# --- Many more --------------------------------------------------------------------------------------


def test_more_messages_wait():
    assert demo.add_messages(300, seed=1, now=NOW) == {"queued": 300}
    messages = list(Message.objects.all())
    assert len({message.message_id for message in messages}) == 300
    assert len({message.recipients_text for message in messages}) > 100
    for message in messages:
        text = raw(message).lower()
        assert b"any-" not in text
        assert message.recipients.get().address.encode() in text
    assert not Batch.objects.exists()


def test_reports_name_who_gets_them():
    demo.add_messages(60, seed=2, now=NOW)
    for attachment in Attachment.objects.filter(content_type="application/pdf"):
        text = PdfReader(io.BytesIO(data(attachment))).pages[0].extract_text()
        assert attachment.message.recipients.get().name in text


def test_history_is_spread_and_consistent(monkeypatch):
    monkeypatch.setattr(many, "CHUNK", 150)
    counts = demo.add_messages(700, months=2, seed=3, now=NOW)
    assert sum(counts.values()) == 700
    assert counts["sent"] > 620
    assert counts["failed"] > 5
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


@pytest.mark.parametrize("months", [0, 1])
def test_same_seed_same_messages(months):
    demo.add_messages(40, months=months, seed=7, now=NOW)
    before = snapshot()
    Message.objects.all().delete()
    demo.add_messages(40, months=months, seed=7, now=NOW)
    assert snapshot() == before
    Message.objects.all().delete()
    demo.add_messages(40, months=months, seed=8, now=NOW)
    assert snapshot() != before


# --- The command --------------------------------------------------------------------------------------


def test_command_says_what_it_made(capsys):
    call_command("seed_demo", "--messages", "5", "--months", "1", "--seed", "1")
    assert capsys.readouterr().out.startswith("5 messages more in ")
    call_command("seed_demo")
    assert Message.objects.filter(status="queued", created_at__lte=timezone.now()).count() > 30


@pytest.mark.parametrize("arguments", [["--months", "2"], ["--messages", "0"], ["--messages", "3", "--months", "-1"]])
def test_command_refuses_what_makes_no_sense(arguments):
    with pytest.raises(CommandError):
        call_command("seed_demo", *arguments)
    assert not Message.objects.exists()
