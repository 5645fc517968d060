"""Searches read all messages: some at a time, and only so long; the pages beside them do not notice."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction
from django.utils import timezone

from messaging.console import searches
from tests.factories import make_message, make_user
from tests.pages import words
from tests.rows import states

SEARCHES = ("/messages/?q=a", "/messages/?sender=a", "/messages/?q=a&status=all", "/batches/new/?q=a",
            "/messages/1/older/?q=a")  # fmt: skip


@contextmanager
def busy():
    """As many searches are made, and wait for it, as may."""
    begun, release = threading.Semaphore(0), threading.Event()

    def search():
        with searches.turns.one():
            begun.release()
            release.wait(20)

    threads = [threading.Thread(target=search) for _ in range(searches.AT_ONCE + searches.WAITING)]
    for each in threads:
        each.start()
    for _ in range(searches.AT_ONCE):
        begun.acquire()
    while searches.turns.are_free:
        threading.Event().wait(0.01)
    try:
        yield
    finally:
        release.set()
        for each in threads:
            each.join()


@pytest.mark.django_db
@pytest.mark.parametrize("path", SEARCHES)
def test_search_is_put_off_in_plain_words(office, path):
    make_message("a@example.com")
    with busy():
        answer = office.get(path)
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert "Too many searches at the moment" in words(answer)
    assert office.get("/messages/?q=a").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/messages/", "/messages/?status=held", "/batches/new/", "/batches/"])
def test_pages_without_a_search_do_not_wait(office, path):
    with busy():
        assert office.get(path).status_code == 200


@pytest.mark.django_db
def test_orders_for_all_that_match_take_their_turn(office, email_setup):
    make_message("a@example.com", due=False)
    sent = {"all_matching": "1", "filter": "q=a", "action": "cancel", "read_at": timezone.now().isoformat()}
    with busy():
        for path in ("/messages/bulk/", "/batches/new/"):
            assert office.post(path, sent).status_code == 503
    assert states() == ["queued"]


@pytest.fixture
def limited(transactional_db):
    """The limits of a web process, short."""
    from config.postgresql import base

    connection.close()
    base.limits.reading, base.limits.writing = 0.3, 5.0
    yield
    base.limits.reading = base.limits.writing = 0.0
    connection.close()


@pytest.mark.postgresql
def test_statement_of_a_page_that_takes_too_long_is_answered_in_plain_words(limited, client, monkeypatch):
    client.force_login(make_user("vera", role="Viewer"))
    monkeypatch.setattr("messaging.console.filters.MessageFilter.counts", lambda self: sleep(10))
    answer = client.get("/messages/?q=a")
    assert answer.status_code == 503
    assert "This page took too long" in words(answer)
    monkeypatch.undo()
    assert client.get("/messages/?q=a").status_code == 200


@pytest.mark.postgresql
def test_statement_within_a_transaction_gets_more_time_and_the_next_page_no_more_than_before(limited):
    with transaction.atomic():
        sleep(0.5)
        assert timeout() == "5s"
        with transaction.atomic():
            assert timeout() == "5s"
    assert timeout() == "300ms"


@pytest.mark.postgresql
def test_processes_that_are_not_the_web_have_no_limit(transactional_db):
    assert timeout() == "0"
    with transaction.atomic():
        assert timeout() == "0"


def sleep(seconds):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


def timeout():
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        return cursor.fetchone()[0]
