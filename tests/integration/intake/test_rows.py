"""The rows of a message: whichever way they are stored, they are what Django would have stored."""

import datetime as dt
from dataclasses import replace

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext

from messaging import submit
from messaging.company.options import options, save
from messaging.intake import gate, rows
from messaging.models import Attachment, CompanyOptions, Message, MessageContent, MessageEvent, Phrase, Recipient
from tests.factories import hold_mail, make_user, submission

pytestmark = pytest.mark.django_db(transaction=True)
NOW = dt.datetime(2026, 11, 30, 9, 30, 0, 123456, tzinfo=dt.UTC)
MODELS = (Message, MessageContent, Recipient, Attachment, MessageEvent)
LONG = 300_000  # octets of a text that is stored in a statement of its own


@pytest.fixture
def given():
    """Messages of as many kinds as there are."""
    files = [(f"{name}.pdf", "application/pdf", name.encode() * 40) for name in ("b", "a", "c")]
    more = [*files, ("d.pdf", "application/pdf", b"d")]
    return [
        mail("ada@example.com"),
        mail("z@example.com", "a@example.com", "m@example.com", via="backend"),
        mail(*(f"{letter}@example.com" for letter in "zyxabc")),
        mail("nobody@exmaple.con", hold_reason="“Wait” for Böb"),
        mail("ada@example.com", author=make_user("ada"), urgent=True, not_before=NOW, category="x", may_not_claim=True),
        mail(),
        mail("ada@example.com", files=files),
        mail("ada@example.com", files=more),
        mail("jürgen@example.com", subject="Grüße", body="Grüße\n" * 20),
        mail("ada@example.com", body="0123456789\n" * (LONG // 11)),
    ]


def mail(*recipients, **options):
    """With the fields that the gate would write, and another time otherwise."""
    made = submission(*recipients, **options)
    return replace(made, raw=b"Message-ID: <1@example.com>\r\nDate: Mon, 30 Nov 2026 09:30:00 +0000\r\n" + made.raw)


def prepared(submissions):
    return [gate.prepare(each, NOW) for each in submissions]


def read(messages):
    """All that is stored of messages but the keys, in the order of these."""
    return [_read(model, message.pk) for message in messages for model in MODELS]


def _read(model, key):
    column, order = ("id", "id") if model is Message else ("message_id", model._meta.pk.column)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {model._meta.db_table} WHERE {column} = %s ORDER BY {order}", [key])
        names = [each[0] for each in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    keys = {"id"} if model is Message else {"id", "message_id"}
    return [{name: value for name, value in row.items() if name not in keys} for row in found]


def stored_by_django(prepared):
    """As the gate stored them before."""
    messages = Message.objects.bulk_create(each.message for each in prepared)
    MessageContent.objects.bulk_create(each.content for each in prepared)
    for model, children in zip(rows.CHILDREN, zip(*(each.children for each in prepared), strict=True), strict=True):
        model.objects.bulk_create(row for of_one in children for row in of_one)
    return messages


@pytest.mark.parametrize("is_together", [False, True], ids=["one by one", "together"])
def test_stored_is_what_django_would_store(given, is_together):
    made = prepared(given)
    messages = gate.store(made) if is_together else [message for each in made for message in gate.store([each])]
    assert read(messages) == read(stored_by_django(prepared(given)))


def test_every_column_of_a_message_is_stored_as_it_is_in_the_row(given):
    [message] = gate.store(prepared(given[4:5]))
    kept = Message.objects.get(pk=message.pk)
    for field in Message._meta.concrete_fields:
        assert getattr(kept, field.attname) == getattr(message, field.attname), field.name
    assert not message._state.adding


def test_phrases_are_kept_in_one_form(given):
    """SQLite groups by the text of a reason."""
    reason = Phrase("said", words="“Wait” for Böb")
    gate.store(prepared(given[3:4]))
    assert list(Message.objects.filter(status="held").values_list("reason", flat=True)) == [reason]
    assert Message.objects.filter(reason=reason).count() == 1


def test_all_of_many_are_stored_or_none(given):
    made = prepared(given)
    made[-2].recipients[0].address = None
    with pytest.raises(DatabaseError):
        gate.store(made)
    assert [model.objects.count() for model in MODELS] == [0] * len(MODELS)


def test_one_is_stored_whole_or_not_at_all(given):
    [made] = prepared(given[1:2])
    made.recipients[2].address = None
    with pytest.raises(DatabaseError):
        gate.store([made])
    assert [model.objects.count() for model in MODELS] == [0] * len(MODELS)


def test_what_is_too_long_is_refused_and_not_cut_in_silence(given):
    [made] = prepared(given[:1])
    made.message.category = "x" * 41
    if connection.vendor == "sqlite":
        pytest.skip("SQLite keeps any length")
    with pytest.raises(DatabaseError):
        gate.store([made])


def test_a_failure_leaves_what_the_caller_did_before(given):
    first, second = prepared(given[:2])
    second.recipients[1].address = None
    with transaction.atomic():
        gate.store([first])
        with pytest.raises(DatabaseError):
            gate.store([second])
    assert Message.objects.count() == 1


# --- Connections -------------------------------------------------------------------------------------------

POSTGRESQL = pytest.mark.skipif(connection.vendor != "postgresql", reason="a file has no connections")


@POSTGRESQL
def test_a_connection_that_a_pooler_gave_another_session_is_planned_for_anew(given):
    gate.store(prepared(given[:1]))
    connection.connection.pgconn.exec_(b"DISCARD ALL")  # where the driver does not see it
    for _ in range(2):
        gate.store(prepared(given[:1]))
    with transaction.atomic():
        gate.store(prepared(given[:1]))
    assert Message.objects.count() == 4


@POSTGRESQL
def test_a_connection_that_died_between_two_requests_is_opened_anew(given, settings):
    settings_of = connection.settings_dict
    before = settings_of["CONN_HEALTH_CHECKS"], settings_of["CONN_MAX_AGE"]
    settings_of["CONN_HEALTH_CHECKS"], settings_of["CONN_MAX_AGE"] = True, 60
    try:
        connection.close()
        connection.ensure_connection()
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        other.close()
        connection.close_if_unusable_or_obsolete()  # at the start of a request
        gate.store(prepared(given[:1]))
    finally:
        settings_of["CONN_HEALTH_CHECKS"], settings_of["CONN_MAX_AGE"] = before
        connection.close()
    assert Message.objects.count() == 1


@POSTGRESQL
def test_a_connection_that_ends_with_the_answer_leaves_the_commit_in_doubt(given):
    """As a pooler says it whose server is gone: with a state, as if the server had answered."""
    execute = psycopg.RawCursor.execute

    def goes_away(cursor, *arguments, **options):
        execute(cursor, *arguments, **options)
        cursor.connection.close()
        raise psycopg.errors.ProtocolViolation("server conn crashed?")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(gate.CommitInDoubt):
        patch.setattr(psycopg.RawCursor, "execute", goes_away)
        gate.store(prepared(given[:1]))
    connection.close()
    assert Message.objects.count() == 1


def test_nothing_is_stored_in_a_transaction_that_is_to_be_rolled_back(given):
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            gate.store(prepared(given[:1]))


def test_messages_with_one_message_id_keep_their_own_keys_after_a_commit_in_doubt(given, monkeypatch):
    hold_mail()
    commits, commit = [], connection._commit

    def loses_the_answer():
        commit()
        commits.append(1)
        if len(commits) == 1:
            raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(connection, "_commit", loses_the_answer)
    keys = [outcome.message.pk for outcome in submit.submit([given[0]] * 3)]
    assert sorted(keys) == sorted(Message.objects.values_list("pk", flat=True))


def test_an_author_who_is_not_stored_is_an_error():
    with pytest.raises(ValueError, match="author"):
        gate.accept(mail("ada@example.com", author=User(username="ada")))


# --- By the options that are in force when it is stored ---------------------------------------------------


def queue(**more):
    return [outcome.message for outcome in submit.submit([submission("ada@example.com", **more)])]


def test_a_message_of_many_is_one_statement_on_postgresql():
    """Django counts those of its own cursors, which are all but this one."""
    hold_mail()
    queue()
    with CaptureQueriesContext(connection) as done:
        queue()
    assert len(done) == (0 if connection.vendor == "postgresql" else 8)
    assert Message.objects.count() == 2


def change(**values):
    """As another process does it: this one does not hear of it."""
    CompanyOptions.objects.update(**values)


def test_mail_is_not_held_once_another_process_has_ended_that(server):
    hold_mail()
    options()
    change(hold_mail=False)
    [message] = queue()
    message.refresh_from_db()
    assert (message.status, message.is_immediate) == ("sent", True)


def test_a_category_is_urgent_once_another_process_has_said_so():
    save({"record_mail": True, "hold_mail": True}, by=None)
    options()
    change(urgent_categories="alarm\n", urgent_claims="backend *")
    [message] = queue(category="alarm", via="backend")
    message.refresh_from_db()
    assert message.urgent
    change(urgent_claims="")
    [message] = queue(category="alarm", via="backend")
    message.refresh_from_db()
    assert not message.urgent


@pytest.mark.parametrize("count", [1, 2], ids=["one", "several"])
def test_options_that_were_never_saved_are_the_defaults(given, count):
    gate.store(prepared(given[:count]), CompanyOptions(version=0))
    assert Message.objects.count() == count
    hold_mail()
    with pytest.raises(gate.OptionsChanged):
        gate.store(prepared(given[:count]), CompanyOptions(version=0))
    assert Message.objects.count() == count
