"""A restored backup sends nothing twice (issue 11, section 0): noticed, paused, unknown, and put right by a person.

`goes_back` is what a restore does to the row of the lineage; tests/system/test_restores.py restores real backups.
"""

import contextlib
import datetime as dt
import logging
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import housekeeping, submit, tasks
from messaging.access import roles
from messaging.company import options
from messaging.delivery.store import claims, restore_detection, restored_messages, witness
from messaging.models import (
    AccountPause,
    AuditEntry,
    Batch,
    Lineage,
    Message,
    MessageEvent,
    Notice,
    Restore,
    SetAside,
)
from messaging.queue import actions, pausing, restores
from messaging.wording import in_words
from tests.factories import confirmed_batch, draft_batch, make_message, make_messages, make_user, put, submission
from tests.rows import states, status
from tests.steps import in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

SINCE = "It may have gone out since the backup from which this database was restored."
MOVED, SENT_SINCE = Restore.Answer.MOVED, Restore.Answer.SENT_SINCE
POSTGRESQL = connection.vendor == "postgresql"


@pytest.fixture(autouse=True)
def witness_dir(settings, tmp_path):
    settings.WITNESS_DIR = tmp_path / "witness"
    return settings.WITNESS_DIR


@pytest.fixture
def boss(db):
    return make_user("boss", role=roles.ADMIN, first_name="Bea")


@pytest.fixture
def at_work(email_setup):
    """An installation that has sent something."""
    make_message("before@example.com")
    run_lane()
    return Lineage.objects.get()


def goes_back():
    """The database is as it was before the last claim."""
    Lineage.objects.update(mark=F("mark") - 1)


def is_paused():
    return AccountPause.objects.filter(kind="restored").exists()


def received(mail_server):
    return sorted(address for message in mail_server.received for address in message.recipients)


# --- Noticed ---------------------------------------------------------------------------------------------


def by_a_lane():
    run_lane()


def by_a_sweep():
    housekeeping.sweep(timezone.now())


def by_a_schedule():
    tasks.run_schedule(0)


def by_sending_at_once():
    options.save({"record_mail": True, "hold_mail": False}, by=None)
    list(submit.submit([submission("now@example.com")]))


@pytest.mark.parametrize("noticed", [by_a_lane, by_a_sweep, by_a_schedule, by_sending_at_once])
def test_database_behind_its_witness_sends_nothing_and_says_why(at_work, mail_server, noticed):
    message = make_message("c@example.com")
    goes_back()
    noticed()
    run_lane()
    assert received(mail_server) == ["before@example.com"]
    assert status(message) == "unknown"
    assert in_words(message.reason) == SINCE
    assert [recipient.status for recipient in message.recipients.all()] == ["unknown"]
    assert MessageEvent.objects.filter(message=message).last().kind == "since-backup"
    assert is_paused()
    assert Restore.objects.get().unsent == 1


def test_command_says_that_nothing_is_sent(at_work):
    make_message("c@example.com", due=False)
    goes_back()
    with pytest.raises(CommandError, match="this database was restored from a backup, or moved"):
        call_command("process_queue")
    assert states() == ["sent", "unknown"]


def test_what_was_sent_stays_sent(at_work):
    goes_back()
    run_lane()
    assert states() == ["sent"]


@pytest.mark.skipif(not POSTGRESQL, reason="a file is there as a whole")
@pytest.mark.parametrize("table", ["recipient", "companyoptions"])
def test_backup_that_is_still_being_loaded_is_left_alone_until_it_is_whole(at_work, mail_server, table):
    """pg_restore has all rows of one table after the other, and then makes the keys."""
    message = make_message("c@example.com")
    goes_back()
    key = f"messaging_{table}_pkey"
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE messaging_{table} DROP CONSTRAINT {key}")
    try:
        with pytest.raises(OperationalError, match="a backup is being loaded"):
            restore_detection.check(timezone.now())
        with contextlib.suppress(OperationalError):
            run_lane()
        assert not Restore.objects.exists()
        assert received(mail_server) == ["before@example.com"]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE messaging_{table} ADD CONSTRAINT {key} PRIMARY KEY (id)")
    run_lane()
    assert (status(message), Restore.objects.get().unsent) == ("unknown", 1)


def test_restore_under_a_lane_is_noticed_before_what_it_claimed_is_sent(at_work, mail_server, monkeypatch):
    take, messages = claims.take, make_messages(3)

    def restored_meanwhile(*arguments):
        goes_back()
        return take(*arguments)

    monkeypatch.setattr(claims, "take", restored_meanwhile)
    run_lane()
    assert received(mail_server) == ["before@example.com"]
    assert {status(message) for message in messages} == {"unknown"}


def test_each_claim_raises_database_and_witness(at_work):
    for number in range(3):
        before = Lineage.objects.get().mark
        make_message(f"c{number}@example.com")
        run_lane()
        row = Lineage.objects.get()
        assert row.mark > before
        assert witness.mark_of(row.key) == row.mark


@pytest.fixture
def killed(at_work):
    """A lane was killed after it had handed a message over, as its journal says; the message of it."""
    message = make_message("c@example.com")
    [claimed] = claims.take(None, "gone", 1, timezone.now())
    restore_detection.goes_on(at_work.key, timezone.now())
    journal = witness.Journal(at_work.key, "gone")
    journal.note(claimed.pk, claimed.fence, 1)
    journal.close(is_settled=False)
    return message


@pytest.mark.parametrize("stood", [{"fence": 0, "status": "queued"}, {"may_be_accepted": False}])
def test_database_that_does_not_know_what_was_handed_over_is_noticed_each_time(killed, boss, stood):
    put(killed, **stood)
    backup = Lineage.objects.values().get()
    run_lane()
    assert status(killed) == "unknown"
    restores.answer(restores.unanswered(), SENT_SINCE, by=boss)
    Lineage.objects.update(**backup)
    run_lane()
    assert Restore.objects.count() == 2


@pytest.mark.parametrize("stood", [
    {"may_be_accepted": True}, {"status": "sent"}, {"status": "queued", "not_before": None}, {"fence": 2}
])  # fmt: skip
def test_database_that_knows_it_goes_on_and_says_so_by_its_mark(killed, stood):
    put(killed, **stood)
    mark = Lineage.objects.get().mark
    run_lane()
    assert not Restore.objects.exists()
    row = Lineage.objects.get()
    assert row.mark > mark
    assert witness.left_by_lanes(row.key) == []


def test_message_that_was_deleted_since_is_no_evidence(killed, mail_server):
    killed.delete()
    assert sends(mail_server)


def test_what_a_lane_at_work_notes_is_left_alone(at_work):
    journal = witness.Journal(at_work.key, "at-work")
    journal.note(10_000, 1, 1)
    assert witness.left_by_lanes(at_work.key) == []
    journal.close(is_settled=True)


def test_lane_raises_the_mark_in_the_end_and_leaves_nothing(at_work, settings):
    assert witness.mark_of(at_work.key) == at_work.mark >= 2
    assert list((settings.WITNESS_DIR / f"{at_work.key}.lanes").iterdir()) == []


def test_many_who_notice_at_once_do_it_once(at_work):
    make_messages(5)
    goes_back()
    assert in_threads(6, lambda: restore_detection.check(timezone.now())) == []
    assert Restore.objects.get().unsent == 5
    assert MessageEvent.objects.filter(kind="since-backup").count() == 5
    assert AuditEntry.objects.filter(area="restores").count() == 1


def test_the_same_backup_restored_again_is_noticed_again(at_work, boss):
    goes_back()
    backup = Lineage.objects.values().get()
    run_lane()
    restores.answer(restores.unanswered(), SENT_SINCE, by=boss)
    Lineage.objects.update(**backup)
    run_lane()
    assert Restore.objects.count() == 2


@pytest.mark.parametrize("count", [20, 200])
def test_any_number_of_messages_takes_the_same_few_statements(at_work, count):
    make_messages(count // 10)
    message = Message.objects.first()
    copies = Message.objects.bulk_create(Message(created_at=message.created_at) for _ in range(count))
    message.recipients.model.objects.bulk_create(
        message.recipients.model(message=copy, address="c@example.com") for copy in copies
    )
    goes_back()
    with CaptureQueriesContext(connection) as statements:
        restore_detection.check(timezone.now())
    assert len(statements) < 30
    assert Restore.objects.get().unsent == count + count // 10


# --- No restore ------------------------------------------------------------------------------------------


def sends(mail_server):
    make_message("after@example.com")
    run_lane()
    return "after@example.com" in received(mail_server) and not Restore.objects.exists()


def test_database_without_a_name_is_adopted_and_sends(email_setup, mail_server):
    assert not Lineage.objects.exists()
    assert sends(mail_server)
    assert Lineage.objects.get().key


def test_new_database_beside_the_witness_of_another_sends(at_work, mail_server):
    Lineage.objects.all().delete()
    assert sends(mail_server)


def test_further_host_has_no_witness_and_sends(at_work, mail_server, settings, tmp_path):
    settings.WITNESS_DIR = tmp_path / "other"
    assert sends(mail_server)


def test_host_whose_witness_is_late_sends(at_work, mail_server):
    Lineage.objects.update(mark=F("mark") + 100)
    assert sends(mail_server)


def test_witness_that_cannot_be_kept_stops_nothing_and_is_told_once(at_work, mail_server, settings, tmp_path, caplog):
    settings.WITNESS_DIR = tmp_path / "file"
    settings.WITNESS_DIR.write_text("")
    with caplog.at_level(logging.WARNING, "messaging.delivery.store.witness"):
        assert sends(mail_server)
    assert caplog.text.count("WITNESS_DIR") == 1


# --- Where the database is -------------------------------------------------------------------------------

PLACES = ["system", "timeline", "database", "table"] if POSTGRESQL else ["inode", "machine"]


def elsewhere(name):
    row = Lineage.objects.get()
    row.place[name] = "another"
    row.save()


@pytest.mark.parametrize("name", PLACES)
def test_database_in_another_place_is_noticed(at_work, settings, tmp_path, monkeypatch, name):
    (tmp_path / "machine").write_text("this one")
    monkeypatch.setattr(restore_detection, "MACHINE_ID", tmp_path / "machine")
    run_lane()
    assert name in Lineage.objects.get().place
    settings.WITNESS_DIR = tmp_path / "of-this-machine"
    elsewhere(name)
    make_message("c@example.com")
    run_lane()
    assert Restore.objects.get().evidence.params == {"what": [name]}
    assert states() == ["sent", "unknown"]


@pytest.mark.skipif(POSTGRESQL, reason="of a file")
@pytest.mark.parametrize("name", ["inode", "machine", "path"])
def test_file_that_the_witness_knows_may_move(at_work, mail_server, name):
    elsewhere(name)
    assert sends(mail_server)
    assert Lineage.objects.get().place[name] != "another"


@pytest.mark.skipif(POSTGRESQL, reason="of a file")
def test_copy_beside_the_file_of_before_is_noticed(at_work, tmp_path):
    row = Lineage.objects.get()
    row.place["path"] = str(tmp_path / "original.sqlite3")
    row.save()
    (tmp_path / "original.sqlite3").write_text("")
    run_lane()
    assert is_paused()


@pytest.mark.skipif(POSTGRESQL, reason="of a file")
def test_same_file_under_another_name_is_no_copy(at_work, mail_server, tmp_path):
    row = Lineage.objects.get()
    (tmp_path / "mounted.sqlite3").hardlink_to(row.place["path"])
    row.place["path"] = str(tmp_path / "mounted.sqlite3")
    row.save()
    assert sends(mail_server)


@pytest.mark.skipif(POSTGRESQL, reason="of a file")
def test_witness_beside_the_file_may_be_restored_with_it_and_knows_no_better(email_setup, mail_server, settings):
    settings.WITNESS_DIR = Path(connection.settings_dict["NAME"]).parent / "outtray"
    assert sends(mail_server)
    elsewhere("inode")
    make_message("c@example.com")
    run_lane()
    assert is_paused()


@pytest.mark.skipif(not POSTGRESQL, reason="of a server")
def test_server_that_does_not_tell_everything_is_no_other_server(at_work, mail_server, monkeypatch):
    monkeypatch.setitem(restore_detection._STATEMENTS, "system", "SELECT * FROM pg_authid_that_is_forbidden")
    connection.close()
    assert sends(mail_server)
    assert "system" in Lineage.objects.get().place


@pytest.mark.skipif(not POSTGRESQL, reason="of a server")
@pytest.mark.parametrize("state", ["55P03", "57014", "53200", "40001", "XX000", "XX001"])
def test_server_that_cannot_tell_for_a_moment_is_asked_again(at_work, monkeypatch, state):
    """Such as a lock, a time limit, no memory left, or a page that cannot be read."""
    connection.close()
    with connection.cursor() as cursor:
        fails = f"BEGIN RAISE SQLSTATE '{state}'; END"
        cursor.execute(f"CREATE FUNCTION pg_temp.fails() RETURNS text LANGUAGE plpgsql AS $${fails}$$")
    with monkeypatch.context() as for_a_moment:
        for_a_moment.setitem(restore_detection._STATEMENTS, "system", "SELECT pg_temp.fails()")
        with contextlib.suppress(DatabaseError):
            restore_detection.check(timezone.now())
    elsewhere("system")
    restore_detection.check(timezone.now())
    assert is_paused()


# --- RESTORED --------------------------------------------------------------------------------------------


def test_restored_acts_once_per_value(at_work, settings, boss):
    for value, number in [("1", 1), ("1", 1), ("2", 2), ("1", 2)]:
        settings.RESTORED = value
        make_message("c@example.com")
        run_lane()
        assert Restore.objects.count() == number
        if restore := restores.unanswered():
            assert in_words(restore.evidence) == f"RESTORED={value} is set, and has not been acted on before."
            restores.answer(restore, SENT_SINCE, by=boss)
    assert states() == ["sent", "unknown", "sent", "unknown", "sent"]


# --- While it is paused ----------------------------------------------------------------------------------


def test_new_mail_waits_and_new_urgent_mail_goes_out(at_work, mail_server):
    goes_back()
    run_lane()
    make_message("waits@example.com")
    make_message("urgent@example.com", urgent=True)
    run_lane()
    assert received(mail_server) == ["before@example.com", "urgent@example.com"]


def test_a_person_who_resumes_all_sending_does_not_end_it(at_work, boss):
    goes_back()
    run_lane()
    pausing.pause(pausing.ALL, by=boss, why="To look at it")
    pausing.resume(pausing.ALL, by=boss)
    assert is_paused()


def test_authors_and_administrators_get_a_notice(at_work, operator, clock):
    put(make_message("c@example.com"), author=operator)
    goes_back()
    housekeeping.sweep(clock())
    clock.goes_on(minutes=16)
    housekeeping.sweep(clock())
    assert {notice.kind for notice in Notice.objects.all()} == {"unknown"}


def test_of_very_many_there_are_no_notices(at_work, monkeypatch, clock):
    monkeypatch.setattr(restored_messages, "NOTED_AT_MOST", 1)
    make_messages(2)
    goes_back()
    housekeeping.sweep(clock())
    clock.goes_on(minutes=16)
    housekeeping.sweep(clock())
    assert not Notice.objects.exists()


# --- What an administrator answers -----------------------------------------------------------------------


def due(operator):
    return make_message("c@example.com")


def due_later(operator):
    return put(make_message("c@example.com"), not_before=timezone.now() + dt.timedelta(days=1), tries=2)


def waiting_for_a_batch(operator):
    return make_message("c@example.com", due=False)


def in_a_batch(operator):
    confirmed_batch(operator, "c@example.com")
    return Message.objects.first()


def held(operator):
    message = make_message("c@example.com", due=False)
    actions.hold(message, by=operator, why="Wrong price", until=timezone.now() + dt.timedelta(days=1))
    return message


def in_a_mail_program(operator):
    message = make_message("c@example.com", due=False)
    return put(message, status="held", hold_kind="mail-program", handed_to=operator, status_before="queued")


def claimed(operator):
    message = due(operator)
    claims.take(None, "gone", 1, timezone.now())
    return message


def handed_over(operator):
    return put(claimed(operator), may_be_accepted=True, attempt_snapshot={"server": "mail.example"})


UNSENT = [due, due_later, waiting_for_a_batch, in_a_batch, held, in_a_mail_program, claimed, handed_over]


def row_of(message):
    return Message.objects.filter(pk=message.pk).values().get() | {
        "fence": None, "recipients": list(message.recipients.order_by("pk").values())
    }  # fmt: skip


@pytest.mark.parametrize("unsent", UNSENT)
def test_where_nothing_was_sent_since_all_is_as_it_was(at_work, operator, boss, unsent):
    message = unsent(operator)
    before = row_of(message)
    goes_back()
    restore_detection.check(timezone.now())
    assert status(message) == "unknown"
    assert actions.possible_actions(message) == ["mark_as_sent", "send_again"]
    assert restores.answer(restores.unanswered(), MOVED, by=boss) == 1
    assert row_of(message) == before
    assert MessageEvent.objects.filter(message=message).last().by == boss
    assert not is_paused()
    assert not SetAside.objects.exists()


def test_a_planned_move_sends_what_waited_once(at_work, mail_server, boss, woken):
    make_messages(3)
    goes_back()
    run_lane()
    restores.answer(restores.unanswered(), MOVED, by=boss)
    assert woken
    run_lane()
    assert received(mail_server) == ["before@example.com", "c0@example.com", "c1@example.com", "c2@example.com"]


def test_what_may_have_been_handed_over_when_the_backup_was_made_is_unknown_after_a_move(at_work, operator, boss):
    message = handed_over(operator)
    goes_back()
    run_lane()
    restores.answer(restores.unanswered(), MOVED, by=boss)
    housekeeping.sweep(timezone.now() + dt.timedelta(hours=1))
    housekeeping.sweep(timezone.now() + dt.timedelta(hours=2))
    assert status(message) == "unknown"


def test_where_mail_was_sent_since_it_stays_unknown_and_new_mail_goes_out(at_work, mail_server, operator, boss):
    old = make_message("old@example.com")
    goes_back()
    run_lane()
    restores.answer(restores.unanswered(), SENT_SINCE, by=boss)
    make_message("new@example.com")
    run_lane()
    assert received(mail_server) == ["before@example.com", "new@example.com"]
    assert status(old) == "unknown"
    assert not SetAside.objects.exists()


def test_a_person_may_send_again_what_is_unknown(at_work, mail_server, operator, boss):
    first, second = make_messages(2)
    goes_back()
    run_lane()
    actions.mark_as_sent(first, by=operator)
    actions.send_again(second, by=operator)
    restores.answer(restores.unanswered(), SENT_SINCE, by=boss)
    run_lane(operator.pk)
    assert received(mail_server) == ["before@example.com", "c1@example.com"]
    assert [status(first), status(second)] == ["sent", "sent"]


def test_what_a_person_decided_meanwhile_is_not_put_back(at_work, mail_server, operator, boss):
    first, second, third = make_messages(3)
    goes_back()
    run_lane()
    actions.mark_as_sent(first, by=operator)
    actions.send_again(second, by=operator)
    put(second, status="unknown", fence=F("fence") + 1)  # a try of it was cut off
    assert restores.answer(restores.unanswered(), MOVED, by=boss) == 1
    assert [status(first), status(second), status(third)] == ["sent", "unknown", "queued"]


def test_batch_that_was_cancelled_meanwhile_sends_nothing(at_work, mail_server, operator, boss):
    message = in_a_batch(operator)
    goes_back()
    run_lane()
    Batch.objects.update(status=Batch.Status.CANCELLED)
    restores.answer(restores.unanswered(), MOVED, by=boss)
    message.refresh_from_db()
    assert (message.status, message.batch, message.not_before) == ("queued", None, None)
    assert message.events.last().kind == "out-of-batch"
    run_lane()
    assert received(mail_server) == ["before@example.com"]


def test_draft_batch_of_then_sends_nothing_that_is_unknown(at_work, mail_server, operator, boss):
    draft_batch(make_message("c@example.com", due=False), by=operator)
    goes_back()
    run_lane()
    restores.answer(restores.unanswered(), SENT_SINCE, by=boss)
    call_command("process_queue")
    assert received(mail_server) == ["before@example.com"]


def test_a_second_restore_is_asked_about_first(at_work, boss):
    first = make_message("c0@example.com")
    goes_back()
    run_lane()
    second = make_message("c1@example.com")
    Lineage.objects.update(mark=1)
    witness.note(Lineage.objects.get().key, 2)
    run_lane()
    restores.answer(restores.unanswered(), MOVED, by=boss)
    assert is_paused()
    assert [status(first), status(second)] == ["unknown", "queued"]
    restores.answer(restores.unanswered(), MOVED, by=boss)
    assert not is_paused()
    assert [status(first), status(second)] == ["queued", "queued"]


def test_two_answers_at_once_are_one(at_work, boss):
    make_message("c@example.com")
    goes_back()
    run_lane()
    restore = restores.unanswered()
    restores.answer(restore, SENT_SINCE, by=boss)
    with pytest.raises(restores.AnsweredMeanwhile):
        restores.answer(restore, MOVED, by=boss)
    assert states() == ["sent", "unknown"]


def test_both_are_in_the_audit_log(at_work, boss):
    goes_back()
    run_lane()
    restores.answer(restores.unanswered(), MOVED, by=boss)
    noticed, answered = AuditEntry.objects.filter(area="restores").order_by("pk")
    assert noticed.after == {"evidence": "restore-behind", "unsent": 0}
    assert (answered.field, answered.after, answered.by) == ("answer", "moved", boss)
