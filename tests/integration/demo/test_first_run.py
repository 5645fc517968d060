"""What the demo shows a newcomer."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.test import override_settings
from PIL import Image
from pypdf import PdfReader

from messaging import demo
from messaging.access import roles
from messaging.demo import company
from messaging.models import Attachment, Message, Recipient
from tests.integration.demo.consistent import assert_consistent, data, snapshot
from tests.rows import html_of, wire

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 18, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def attached(module_db, tmp_path_factory):
    """The folder of its attachments; the rest of it is in the database."""
    folder = tmp_path_factory.mktemp("media")
    with override_settings(MEDIA_ROOT=folder):
        demo.first_run(NOW)
    return folder


@pytest.fixture
def first_run(attached, media, settings):
    settings.MEDIA_ROOT = attached


@pytest.mark.slow
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


@pytest.mark.slow
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
    html = html_of(picture.message)
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
        assert row.address.encode() not in wire(row.message)


@pytest.mark.slow
def test_same_again(first_run, django_user_model):
    before = snapshot()
    Message.objects.all().delete()
    demo.first_run(NOW)
    after = snapshot()
    assert after[1] == before[1]
    # What a person did happens at the moment it is done, everything else at a time the seed decides.
    assert after[0] == before[0]
    assert django_user_model.objects.count() == len(company.AUTHORS)
