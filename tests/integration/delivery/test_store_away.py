"""Attachment files that are away for a moment, because MEDIA_ROOT is not mounted, cost no message."""

import datetime as dt
import shutil
from contextlib import contextmanager

import pytest

from messaging.models import Message
from messaging.wording import in_words
from tests.factories import make_message
from tests.rows import states
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)


def invoice(number):
    return make_message(f"c{number}@example.com", files=[("i.pdf", "application/pdf", b"%%PDF %d" % number)])


@contextmanager
def unmounted(folder):
    """An empty folder in the place of MEDIA_ROOT, and then the files again."""
    away = folder.with_name("away")
    folder.rename(away)
    folder.mkdir()
    yield
    shutil.rmtree(folder)
    away.rename(folder)


@pytest.mark.parametrize("count", [1, 3])
def test_messages_wait_for_attachment_files_that_are_away(server, settings, count):
    for number in range(count):
        invoice(number)
    with unmounted(settings.MEDIA_ROOT):
        run_lane()
        assert states() == ["queued"] * count
        assert in_words(Message.objects.latest("pk").reason).startswith("The attachment files are not where this")
        run_lane(after=dt.timedelta(hours=12))
        assert states() == ["queued"] * count, "a night is over"
    run_lane(after=dt.timedelta(days=1))
    assert states() == ["sent"] * count
    assert len(server.ledger) == count


def test_others_go_out_meanwhile(server, settings):
    invoice(0)
    invoice(1)
    with unmounted(settings.MEDIA_ROOT):
        later = invoice(2)
        plain = make_message("plain@example.com")
        run_lane()
        assert {message.pk for message in Message.objects.filter(status="sent")} == {later.pk, plain.pk}


def test_one_file_that_is_lost_fails_its_message_alone(server, settings):
    lost = [invoice(number) for number in range(3)][1]
    sha256 = lost.attachments.get().sha256
    (settings.MEDIA_ROOT / "blobs" / sha256[:2] / sha256[2:]).unlink()
    run_lane()
    assert {message.pk for message in Message.objects.filter(status="failed")} == {lost.pk}
    assert states().count("sent") == 2
