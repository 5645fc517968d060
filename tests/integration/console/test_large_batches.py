"""Drafts of thousands of messages: others write while one is made, and no one sees it before it is complete."""

import datetime as dt

import pytest
from django.contrib.messages import get_messages
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import housekeeping
from messaging.models import Batch, BatchItem, Heartbeat, Message
from messaging.queue import actions, batches, chunks
from messaging.wording import in_words
from tests.factories import confirmed_batch, draft_batch, make_message, make_messages, put, said
from tests.pages import as_of, choose, source
from tests.steps import elsewhere, in_threads

pytestmark = pytest.mark.django_db(transaction=True)
EVERYTHING = {"all_matching": "1", "filter": ""}


class Interrupted(BaseException):
    """The process is killed here."""


@pytest.fixture
def five(monkeypatch):
    """Messages that are three parts of a draft."""
    monkeypatch.setattr(batches, "PART", 2)
    return make_messages(5, due=False)


def at_each_part(work):
    """`work` with the number of items so far, after each statement that writes items."""

    def wrapper(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("INSERT") and BatchItem._meta.db_table in sql:
            work(BatchItem.objects.count())
        return result

    return connection.execute_wrapper(wrapper)


def notes_of(response):
    return [str(note) for note in get_messages(response.wsgi_request)]


# --- Made in parts ---------------------------------------------------------------------------------


def test_others_write_while_a_draft_is_made(office, five, monkeypatch):
    """Part by part, each committed: SQLite has one writer at a time."""
    seen = []

    def write(number):
        in_threads(1, elsewhere(lambda: Heartbeat.objects.create(name=f"after {number}", at=timezone.now())))
        seen.append((number, connection.in_atomic_block))

    with at_each_part(write):
        response = office.post("/batches/new/", EVERYTHING)
    assert seen == [(2, False), (4, False), (5, False)]
    assert Heartbeat.objects.count() == 3
    batch = Batch.objects.get()
    assert response.url == batch.get_absolute_url()
    assert [item.message_id for item in batch.items.all()] == [message.pk for message in five]
    assert {(item.state, item.outcome, item.reason) for item in batch.items.all()} == {("chosen", "", None)}


def test_nobody_sees_a_draft_before_it_is_complete(office, bens_browser, five):
    seen = []

    def look(number):
        pk = Batch.objects.get().pk
        pages = [bens_browser.get(f"/batches/{pk}/{part}").status_code for part in ("", "items/", "progress/")]
        posts = [bens_browser.post(f"/batches/{pk}/{order}/").status_code for order in ("confirm", "cancel", "retry")]
        assert f"Batch {pk}" not in source(bens_browser.get("/batches/"))
        seen.append({*pages, *posts})

    with at_each_part(look):
        batch_url = office.post("/batches/new/", EVERYTHING).url
    assert seen == [{404}] * 3
    assert "Send 5 messages?" in source(bens_browser.get(batch_url))
    assert not Message.objects.exclude(batch=None).exists()


def test_what_a_killed_process_left_of_a_draft_is_never_seen_and_dropped_in_time(office, five, monkeypatch):
    def kill(number):
        if number == 4:
            raise Interrupted

    with monkeypatch.context() as killed, at_each_part(kill), pytest.raises(Interrupted):
        killed.setattr(batches, "_drop", lambda batch: None)  # nothing is cleared up
        office.post("/batches/new/", EVERYTHING)
    left = Batch.objects.get()
    assert left.items.count() == 4
    assert office.get(f"/batches/{left.pk}/").status_code == 404
    assert not batches.confirm(left, by=None)
    assert not batches.cancel(left, by=None)
    assert not Message.objects.exclude(batch=None).exists()
    housekeeping.tidy(timezone.now())
    assert Batch.objects.exists()
    housekeeping.tidy(timezone.now() + dt.timedelta(days=2))
    assert (Batch.objects.count(), BatchItem.objects.count()) == (0, 0)


def test_a_draft_that_the_database_refuses_leaves_nothing(office, five):
    def fail(number):
        if number == 4:
            raise OperationalError("database is locked")

    office.raise_request_exception = False
    with at_each_part(fail):
        assert office.post("/batches/new/", EVERYTHING).status_code >= 500
    assert (Batch.objects.count(), BatchItem.objects.count()) == (0, 0)


@pytest.mark.parametrize("order", ["a draft", "an order for many"])
def test_a_writer_on_sqlite_pauses_between_its_parts(office, five, monkeypatch, order):
    """Who waits there looks for their turn ten times a second: one who went on at once would keep them out."""
    pauses = []
    monkeypatch.setattr(chunks, "sleep", lambda seconds: pauses.append((seconds, connection.in_atomic_block)))
    monkeypatch.setattr(actions, "CHUNK", 2)
    if order == "a draft":
        office.post("/batches/new/", EVERYTHING)
    else:
        chosen = {"message": [message.pk for message in five], "as_of": as_of(office)}
        office.post("/messages/bulk/", {"action": "cancel"} | chosen)
        assert {message.status for message in Message.objects.all()} == {"cancelled"}
    expected = 2 if connection.vendor == "sqlite" else 0
    assert len(pauses) == expected
    assert all(chunks.LEAST <= seconds <= chunks.MOST and not is_within for seconds, is_within in pauses)


# --- So many of one person -------------------------------------------------------------------------


def test_a_person_has_so_many_drafts_and_is_told_what_to_do(office, bens_browser, operator, monkeypatch):
    monkeypatch.setattr(batches, "DRAFTS_MOST", 2)
    message = make_message("a@example.com", due=False)
    first, second = (choose(office, message).url for _ in range(2))
    response = choose(office, message)
    assert response.url == "/batches/new/"
    assert notes_of(response) == [batches.TOO_MANY_DRAFTS]
    assert Batch.objects.count() == 2
    assert choose(bens_browser, message).url.startswith("/batches/")
    office.post(f"{first}cancel/")
    assert choose(office, message).url not in (first, second, "/batches/new/")


@pytest.mark.slow
def test_at_the_same_moment_no_more_drafts_are_made(operator, monkeypatch):
    monkeypatch.setattr(batches, "DRAFTS_MOST", 3)
    message = make_message("a@example.com", due=False)

    def make():
        try:
            draft_batch(message, by=operator)
        except batches.NotPossible as error:
            assert str(error) == batches.TOO_MANY_DRAFTS

    assert not in_threads(8, make)
    assert Batch.objects.count() == 3


def test_a_retry_is_refused_in_the_same_words(office, operator, email_setup, monkeypatch):
    batch = confirmed_batch(operator, "a@example.com")
    put(Message.objects.get(), status="failed")
    monkeypatch.setattr(batches, "DRAFTS_MOST", 0)
    response = office.post(f"{batch.get_absolute_url()}retry/")
    assert response.url == batch.get_absolute_url()
    assert notes_of(response) == [batches.TOO_MANY_DRAFTS]


def test_schedules_and_commands_make_batches_although_a_person_has_many_drafts(operator, email_setup, monkeypatch):
    monkeypatch.setattr(batches, "DRAFTS_MOST", 0)
    make_message("a@example.com", due=False)
    batch = batches.process_all(by=operator, account=None, source=Batch.Source.SCHEDULE)
    assert batch.status == "confirmed"


def test_discarded_drafts_are_dropped_and_cancelled_batches_stay(office, operator, email_setup, monkeypatch):
    monkeypatch.setattr(batches, "PART", 2)
    cancelled = confirmed_batch(operator, "a@example.com", "b@example.com", "c@example.com")
    batches.cancel(cancelled, by=operator)
    discarded = draft_batch(*Message.objects.all(), by=operator)
    office.post(f"{discarded.get_absolute_url()}cancel/")
    housekeeping.tidy(timezone.now())
    assert Batch.objects.count() == 2
    housekeeping.tidy(timezone.now() + dt.timedelta(days=2))
    assert list(Batch.objects.all()) == [cancelled]
    assert BatchItem.objects.count() == 3
    assert Message.objects.count() == 3


# --- Confirmed -------------------------------------------------------------------------------------


def left_in_every_way(number):
    """So many messages in each of the states in which a batch skips them, for reasons that differ."""
    at = timezone.now() - dt.timedelta(hours=1)
    for each in range(number):
        sent, later, cancelled, held, failed, free = make_messages(6, due=False)
        put(sent, status="sent", sent_at=at.replace(second=each % 60))
        put(later, status="sent", sent_at=at + dt.timedelta(minutes=5))
        put(cancelled, status="cancelled")
        put(held, status="held", reason=said(f"Reason {each % 2}"))
        put(failed, status="failed")
        yield from (sent, later, cancelled, held, failed, free)


def test_confirming_tells_of_each_skipped_message_why_however_many_there_are(office, operator, email_setup):
    statements = []
    for number in (2, 6):
        messages = list(left_in_every_way(number))
        first = draft_batch(*messages[5::12], by=operator)
        batch = draft_batch(*messages, by=operator)
        batches.confirm(first, by=operator)
        expected = {item.message_id: in_words(reason) for item, reason in batches.skip_reasons(batches.to_skip(batch))}
        with CaptureQueriesContext(connection) as queries:
            batches.confirm(batch, by=operator)
        statements.append(len(queries))
        told = {item.message_id: in_words(item.reason) for item in batch.items.filter(state="skipped")}
        assert told == expected
        assert len(set(told.values())) == 7
        assert batch.items.filter(state="released").count() == number // 2
        assert {item.message.batch_id for item in batch.items.filter(state="released")} == {batch.pk}
    assert statements[0] == statements[1]
