"""This machine at fault (56 to 61): disk full, files lost, keys lost, no descriptors left, a huge message."""

import base64
import contextlib
import errno
import os
import re
import resource
import shutil
import threading
import time
import tracemalloc
from pathlib import Path

import psycopg
import pytest
from django.core.mail import EmailMessage
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.utils import timezone

from messaging.content import blobs
from messaging.delivery.store import ledger
from messaging.delivery.store.rescue import rescue
from messaging.models import AccountPause, Attachment, Message
from messaging.setup.secrets import encrypt
from messaging.wording import in_words
from tests.factories import make_message, set_up
from tests.fault_server import CLOSE, FaultServer
from tests.integration.faults.invariants import check_invariants
from tests.rows import heard, status, statuses
from tests.steps import AN_HOUR, TIGHT, elsewhere, fault, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

PDF = b"%PDF-1.4 a report\n"


def make_report(recipient, data=PDF):
    return make_message(recipient, files=[("report.pdf", "application/pdf", data)])


def send_from_a_program(recipient):
    """As any Django program does it."""
    mail = EmailMessage("Report", "see attached", "office@brightwater.example", [recipient])
    mail.attach("report.pdf", PDF, "application/pdf")
    return mail.send()


# --- Disk full -------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk_for_media(monkeypatch):
    """New attachment files are written to a device that is always full."""
    really_make = blobs.tempfile.mkstemp

    def on_full_device(**options):
        handle, name = really_make(**options)
        os.close(handle)
        return os.open("/dev/full", os.O_WRONLY), name

    with monkeypatch.context() as patch:
        patch.setattr(blobs.tempfile, "mkstemp", on_full_device)
        yield


@fault(56)
def test_disk_full_for_media_refuses_what_comes_in_and_sends_what_is_there(
    server, holding, settings, media, monkeypatch
):
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
    there = make_report("there@example.com", b"%PDF an older report")
    with full_disk_for_media(monkeypatch):
        with pytest.raises(OSError, match="No space left"):
            send_from_a_program("a@example.com")
        assert list(Message.objects.all()) == [there], "all or nothing: the program is told and keeps it"
        run_lane()
    assert status(there) == "sent"
    assert not list(media.rglob(".new-*")), "nothing half-written stays"
    check_invariants(server, queued=[there], beside=[there])
    assert send_from_a_program("a@example.com") == 1
    later = Message.objects.get(recipients__address="a@example.com")
    Message.objects.filter(pk=later.pk).update(not_before=timezone.now())
    run_lane()
    assert status(later) == "sent"
    assert base64.b64encode(PDF)[:20] in server.accepted[-1].content
    check_invariants(server, queued=[there, later], beside=[there, later])


class FullDatabase:
    """Refuses to write until there is room again, as SQLite and PostgreSQL do on a full disk."""

    def __init__(self):
        self.full_until = 0.0
        self.refused = 0

    def fill(self, seconds=60.0):
        self.full_until = time.monotonic() + seconds

    def make_room(self):
        self.full_until = 0.0

    def check(self, sql):
        if time.monotonic() < self.full_until and re.search(r"INSERT INTO|(?<!FOR )UPDATE |DELETE FROM", sql):
            self.refused += 1
            raise OperationalError("database or disk is full")


@pytest.fixture
def database(db, monkeypatch):
    database = FullDatabase()
    really_execute = CursorWrapper._execute_with_wrappers

    def execute(cursor, sql, params, many, executor):
        database.check(sql)
        return really_execute(cursor, sql, params, many, executor)

    really_execute_raw = psycopg.RawCursor.execute

    def execute_raw(cursor, sql, *arguments, **options):
        database.check(sql)
        return really_execute_raw(cursor, sql, *arguments, **options)

    monkeypatch.setattr(CursorWrapper, "_execute_with_wrappers", execute)
    monkeypatch.setattr(psycopg.RawCursor, "execute", execute_raw)  # of intake/rows.py
    return database


@fault(57)
def test_disk_full_for_the_database_refuses_what_comes_in_whole(server, holding, settings, database):
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
    there = make_message("there@example.com")
    database.fill()
    with pytest.raises(OperationalError):
        send_from_a_program("a@example.com")
    database.make_room()
    assert list(Message.objects.all()) == [there]
    assert not Attachment.objects.exists()
    run_lane()
    check_invariants(server, queued=[there], beside=[there])


@pytest.mark.slow
@fault(57)
@pytest.mark.parametrize("stage", ["RCPT", "END"])
def test_disk_full_for_a_while_costs_no_outcome(server, database, stage):
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    server.at(stage, [lambda: database.fill(seconds=0.7)])
    run_lane()
    assert database.refused
    assert set(statuses(*messages)) == {"sent"}
    assert {message.tries for message in messages} == {1}
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@fault(57)
def test_disk_full_for_longer_than_a_lease_sends_nothing_twice_and_loses_nothing(server, settings, database):
    """The lane may give up; then the sweep finds what it left."""
    settings.LEASE_SECONDS = 0.2
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    server.at("RCPT", [lambda: database.fill(seconds=2.0)])
    with contextlib.suppress(OperationalError):
        run_lane()
    assert database.refused
    database.make_room()
    rescue(timezone.now() + AN_HOUR)
    check_invariants(server, queued=messages)
    run_lane(after=AN_HOUR)
    assert statuses(*messages).count("sent") >= 2, "at most the one at hand is in doubt"
    assert set(statuses(*messages)) <= {"sent", "unknown"}
    check_invariants(server, queued=messages)


@fault(57)
def test_outcome_that_cannot_be_written_for_longer_than_a_lease_is_kept(server, settings, monkeypatch):
    settings.LEASE_SECONDS = 1
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    record, back = ledger.record, []

    def away(*arguments):
        back.append(time.monotonic() + 1.5) if not back else None
        if time.monotonic() < back[0]:
            raise OperationalError("the database is away")
        return record(*arguments)

    monkeypatch.setattr(ledger, "record", away)
    run_lane()
    assert statuses(*messages) == ["sent", "sent"]
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@fault(57)
@pytest.mark.parametrize("stage", ["RCPT", "END"])
def test_commit_that_fails_for_a_while_leaves_each_attempt_once(server, monkeypatch, stage):
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    really_commit, full_until = BaseDatabaseWrapper._commit, []

    def disk_full(backend):
        if full_until and time.monotonic() < full_until[0]:
            backend._rollback()
            raise OperationalError("database or disk is full")
        return really_commit(backend)

    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", disk_full)
    server.at(stage, [lambda: full_until.append(time.monotonic() + 0.7)])
    with contextlib.suppress(OperationalError):
        run_lane()
    time.sleep(max(full_until[0] - time.monotonic(), 0))
    run_lane()
    assert set(statuses(*messages)) == {"sent"}
    assert [message.attempts.count() for message in messages] == [1, 1, 1]
    check_invariants(server, queued=messages, beside=messages)


# --- Attachment files ------------------------------------------------------------------------------


@fault(57)
@pytest.mark.parametrize("in_portions", [False, True])
def test_outcome_whose_commit_was_made_and_only_its_answer_lost_is_written_once(server, monkeypatch, in_portions):
    run_together, lost = ledger.run_together, []

    def answer_lost(statements):
        found = run_together(statements)
        if len(lost) < 9 and len(lost) % 2 == 0:
            lost.append(statements)
            raise OperationalError("server closed the connection unexpectedly")
        lost.append(None)
        return found

    monkeypatch.setattr(ledger, "run_together", answer_lost)
    monkeypatch.setattr("messaging.delivery.store.group_commit.RETRY_SECONDS", 0.01)
    server.most_recipients = 1 if in_portions else None
    message = make_message("a@example.com", "b@example.com")
    run_lane()
    assert status(message) == "sent"
    assert message.attempts.count() == (2 if in_portions else 1)
    check_invariants(server, queued=[message], beside=[message])


def attachment_file(media, message):
    sha256 = message.attachments.get().sha256
    return media / "blobs" / sha256[:2] / sha256[2:]


@fault(58)
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda file: file.unlink(), id="missing"),
        pytest.param(lambda file: shutil.rmtree(file.parent), id="folder-missing"),
        pytest.param(lambda file: file.write_bytes(b""), id="emptied"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes()[:-4] + b"AAAA"), id="changed"),
        pytest.param(lambda file: file.write_bytes(file.read_bytes() + b"AAAA"), id="longer"),
    ],
)
def test_attachment_missing_or_changed_fails_its_own_message_only(server, media, harm):
    bad, good = make_report("bad@example.com"), make_report("good@example.com", PDF + b"of another")
    harm(attachment_file(media, bad))
    run_lane()
    assert statuses(bad, good) == ["failed", "sent"]
    assert "missing or damaged" in in_words(bad.reason)
    assert len(server.transactions) == 1, "nothing of it left"
    check_invariants(server, queued=[bad, good], beside=[good])


@fault(58)
def test_attachment_shortened_while_it_is_sent_is_never_accepted_short(server, media):
    bad, good = make_report("bad@example.com", os.urandom(3_000_000)), make_message("good@example.com")
    file = attachment_file(media, bad)
    server.at("DATA", [elsewhere(lambda: os.truncate(file, 1000))])
    run_lane()
    assert statuses(bad, good) == ["failed", "sent"]
    assert not server.transactions[0].ended
    check_invariants(server, queued=[bad, good], beside=[good])


@fault(58)
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_attachment_that_cannot_be_read_stops_only_its_own_message(server, monkeypatch, error):
    bad, good = make_report("bad@example.com"), [make_message(f"g{number}@example.com") for number in range(3)]
    really_open = Path.open

    def broken(path, *arguments, **options):
        if "blobs" in str(path):
            raise error
        return really_open(path, *arguments, **options)

    blobs._hash_of.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        run_lane()
    assert statuses(*good) == ["sent"] * 3
    assert (status(bad), bad.tries) == ("queued", 1)
    assert "could not prepare" in in_words(bad.reason)
    check_invariants(server, queued=[bad, *good], beside=good)
    run_lane(after=AN_HOUR)
    assert status(bad) == "sent"
    check_invariants(server, queued=[bad, *good], beside=[bad, *good])


# --- Keys and descriptors --------------------------------------------------------------------------


@fault(59)
@pytest.mark.parametrize("keys", [["dGhlIGtleSBvZiBhbm90aGVyIG1hY2hpbmUgMzIgb2M="], [], ["no key at all"]])
def test_encryption_key_lost_asks_for_the_password_again(settings, keys):
    with FaultServer(auth=["PLAIN"]) as server:
        set_up(server, send_type=3, username="u", password_encrypted=encrypt("p"))
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        kept, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, keys
        run_lane()
        assert statuses(*messages) == ["queued", "queued"]
        assert server.connections == 0, "no sign-in without a password"
        assert "Enter it again" in heard(AccountPause.objects.get())
        check_invariants(server, queued=messages, beside=messages)
        settings.FIELD_ENCRYPTION_KEYS = kept
        run_lane(after=AN_HOUR)
        assert statuses(*messages) == ["sent", "sent"]
        check_invariants(server, queued=messages, beside=messages)


@contextlib.contextmanager
def no_descriptors_left():
    """For a second this process may open nothing more, not even a connection to its database; what is open stays so."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    end = threading.Timer(1.0, resource.setrlimit, (resource.RLIMIT_NOFILE, (soft, hard)))
    end.start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        end.cancel()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@fault(60)
def test_out_of_file_descriptors_costs_no_try_and_goes_on_afterwards(server):
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    Message.objects.count()
    with no_descriptors_left():
        run_lane()
    assert statuses(*messages) == ["queued", "queued"]
    assert {message.tries for message in messages} == {0}
    check_invariants(server, queued=messages, beside=messages)
    run_lane(after=AN_HOUR)
    assert statuses(*messages) == ["sent", "sent"]
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@fault(60)
def test_outcome_is_written_when_there_is_a_descriptor_again(server, monkeypatch):
    message = make_message("a@example.com")
    really_write, failures = ledger._together._write, [OSError(errno.EMFILE, "Too many open files")]

    def write(changes):
        if failures:
            raise failures.pop()  # what psycopg lets through
        return really_write(changes)

    monkeypatch.setattr(ledger._together, "_write", write)
    run_lane()
    assert not failures and status(message) == "sent"
    check_invariants(server, queued=[message], beside=[message])


@fault(60)
def test_out_of_file_descriptors_is_told_as_trouble_of_this_machine(server):
    message = make_message("a@example.com")
    with no_descriptors_left():
        run_lane()
    check_invariants(server, queued=[message], beside=[message])
    assert "this server" in in_words(AccountPause.objects.get().reason).lower()


@fault(60)
def test_attachment_that_finds_no_descriptor_costs_no_try(server, monkeypatch):
    first, report = make_message("first@example.com"), make_report("report@example.com")
    really_open = Path.open

    def no_descriptor_for_attachments(path, *arguments, **options):
        if "blobs" in str(path):
            raise OSError(errno.EMFILE, "Too many open files")
        return really_open(path, *arguments, **options)

    blobs._hash_of.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", no_descriptor_for_attachments)
        run_lane()
    assert statuses(first, report) == ["sent", "queued"]
    check_invariants(server, queued=[first, report], beside=[first])
    assert report.tries == 0


# --- A huge message --------------------------------------------------------------------------------


@pytest.mark.slow
@fault(61)
def test_memory_stays_flat_with_a_report_of_25_mb():
    with FaultServer(keep=4096) as server:
        set_up(server)
        message, good = make_report("a@example.com", os.urandom(1 << 20) * 25), make_message("good@example.com")
        assert message.size > 33_000_000
        tracemalloc.start()
        try:
            run_lane()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert statuses(message, good) == ["sent", "sent"]
        assert server.transactions[0].octets == message.size
        assert peak < 8 << 20, f"{peak / 2**20:.1f} MB at the peak, the server's buffers among them"
        check_invariants(server, queued=[message, good], beside=[message, good])


@pytest.mark.slow
@fault(61)
def test_huge_message_cut_off_is_sent_again_whole():
    with FaultServer(keep=4096) as server:
        set_up(server)
        message, good = make_report("a@example.com", os.urandom(1 << 20) * 5), make_message("good@example.com")
        server.at("CONTENT", [CLOSE])
        run_lane(patience=TIGHT)
        assert statuses(message, good) == ["queued", "sent"]
        check_invariants(server, queued=[message, good], beside=[good])
        run_lane(after=AN_HOUR)
        assert status(message) == "sent"
        assert server.transactions[-1].octets == message.size
        check_invariants(server, queued=[message, good], beside=[message, good])
