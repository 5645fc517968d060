"""Attachment files go when nothing names them any more, and never one that someone is about to name."""

import datetime as dt
import os
import threading
import time
import uuid

import pytest
from django.core.mail import EmailMessage, get_connection
from django.utils import timezone

from messaging import housekeeping
from messaging.content import blobs
from messaging.models import Message, MessageVersion, Upload
from tests.factories import hold_mail, make_message, set_up
from tests.fault_server import FaultServer

pytestmark = pytest.mark.django_db

DAY = 24 * 3600


def files():
    return sorted(path.name for path in blobs._path("00").parent.glob("??/*"))


def put(data, *, age=0.0):
    sha256 = blobs.put(data)
    path = blobs._path(sha256)
    os.utime(path, (time.time() - age,) * 2)
    return sha256


def age_all(seconds):
    for path in blobs._path("00").parent.glob("??/*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_what_was_sent_and_not_recorded_leaves_no_file_behind():
    message = EmailMessage("Report", "Dear Ada", "office@example.com", ["ada@example.com"])
    message.attach("report.pdf", b"%PDF" * 100, "application/pdf")
    with FaultServer() as server:
        set_up(server)
        get_connection("messaging.backends.QueueEmailBackend").send_messages([message])
        hold_mail()
        message.attach("list.pdf", b"%PDF other" * 100, "application/pdf")
        message.attachments = message.attachments[1:]
        get_connection("messaging.backends.QueueEmailBackend").send_messages([message])
    assert len(files()) == 2
    age_all(2 * DAY)
    housekeeping.tidy(timezone.now())
    kept = Message.objects.get().attachments.get().sha256
    assert files() == [kept[2:]]


def test_uploads_and_earlier_versions_keep_their_files(operator):
    uploaded, earlier, nobodys = (put(name, age=2 * DAY) for name in (b"upload", b"version", b"nobody"))
    now = timezone.now()
    Upload.objects.create(
        key=uuid.uuid4(), by=operator, at=now, filename="a", content_type="b", size=6, sha256=uploaded
    )
    MessageVersion.objects.create(
        message=make_message("a@example.com"), number=1, at=now, fields={}, skeleton=b"", recipients=[],
        attachments=[{"number": 1, "sha256": earlier}],
    )  # fmt: skip
    housekeeping.tidy(now)
    assert files() == sorted([uploaded[2:], earlier[2:]])
    assert nobodys[2:] not in files()


def test_young_files_stay_and_so_does_an_old_one_that_is_stored_again():
    put(b"young", age=DAY / 2)
    put(b"again", age=2 * DAY)
    put(b"old", age=2 * DAY)
    again = blobs.put(b"again")
    housekeeping.tidy(timezone.now())
    assert len(files()) == 2
    assert blobs.is_intact(again, 5)


def test_what_a_crash_cut_off_goes_too():
    sha256 = put(b"x")
    (blobs._path(sha256).parent / ".new-abc").write_bytes(b"half")
    age_all(2 * DAY)
    housekeeping.tidy(timezone.now())
    assert files() == []


def test_it_is_done_once_a_day():
    now = timezone.now()
    housekeeping.tidy(now)
    put(b"old", age=2 * DAY)
    housekeeping.tidy(now + dt.timedelta(hours=1))
    assert len(files()) == 1
    housekeeping.tidy(now + dt.timedelta(hours=25))
    assert files() == []


def test_a_body_that_is_stored_at_the_very_moment_is_there_afterwards():
    """Between finding it old and unlinking it, someone stores the same bytes, and counts on them."""
    sha256 = put(b"report", age=2 * DAY)

    def used():
        blobs.put(b"report")
        return []

    assert blobs.forget_unused(timezone.now() - dt.timedelta(days=1), used) == 0
    assert blobs.is_intact(sha256, 6)


def test_storing_and_forgetting_wait_for_each_other():
    """Whichever comes first, the bytes are there once they are stored."""
    put(b"report", age=2 * DAY)
    forgetting, may_go_on = threading.Event(), threading.Event()
    unlink = blobs.Path.unlink

    def slowly(path, **options):
        forgetting.set()
        may_go_on.wait(0.3)
        unlink(path, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blobs.Path, "unlink", slowly)
        before = timezone.now() - dt.timedelta(days=1)
        other = threading.Thread(target=lambda: blobs.forget_unused(before, list))
        other.start()
        assert forgetting.wait(5)
        sha256 = blobs.put(b"report")
        may_go_on.set()
        other.join()
    assert blobs.is_intact(sha256, 6)
