"""Searches read all messages: some at a time, and only so long; the pages beside them do not notice."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from messaging.concurrency import OF_ONE
from messaging.console import searches
from tests.factories import make_message, make_user
from tests.pages import as_of, words
from tests.rows import states
from tests.steps import locked

SEARCHES = ("/messages/?q=a", "/messages/?sender=a", "/messages/?q=a&status=all", "/batches/new/?q=a",
            "/messages/1/older/?q=a")  # fmt: skip


@contextmanager
def busy(who="", limit=searches.search_limit):
    """As many searches (of one user) are made, and wait for it, as may."""
    begun, release = threading.Semaphore(0), threading.Event()

    def search():
        with limit.one(who):
            begun.release()
            release.wait(20)

    number = OF_ONE if who else searches.AT_ONCE + searches.WAITING
    threads = [threading.Thread(target=search) for _ in range(number)]
    for each in threads:
        each.start()
    for _ in range(searches.AT_ONCE):
        begun.acquire()
    while limit.are_free(who):
        threading.Event().wait(0.01)
    try:
        yield release
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
def test_one_user_leaves_turns_for_the_others(office, ben, bens_browser):
    with busy(str(ben.pk)) as release:
        assert bens_browser.get("/messages/?q=a").status_code == 503
        threading.Timer(0.2, release.set).start()
        assert office.get("/messages/?q=a").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/messages/", "/messages/?status=held", "/batches/new/", "/batches/"])
def test_pages_without_a_search_do_not_wait(office, path):
    with busy():
        assert office.get(path).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["q=a", "status=all", ""])
@pytest.mark.parametrize("path", ["/messages/bulk/", "/batches/new/"])
def test_orders_for_all_that_match_take_their_turn(office, email_setup, path, query):
    make_message("a@example.com", due=False)
    sent = {"all_matching": "1", "filter": query, "action": "cancel", "as_of": as_of(office, query)}
    with busy(limit=searches.large_orders):
        answer = office.post(path, sent)
    assert answer.status_code == 503
    assert "Too many large changes at the moment" in words(answer)
    assert states() == ["queued"]


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/messages/?q=a", "/messages/", "/batches/new/"])
def test_pages_do_not_wait_for_orders(office, path):
    with busy(limit=searches.large_orders):
        assert office.get(path).status_code == 200


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
@pytest.mark.django_db(transaction=True)
def test_order_on_a_message_that_stays_locked_is_answered_in_plain_words(client, operator):
    from config.postgresql import base

    message = make_message("a@example.com", due=False)
    client.force_login(operator)
    connection.close()
    base.limits.waiting = 0.3
    try:
        with locked(message):
            answer = client.post(f"/messages/{message.pk}/cancel/", {"why": "no"})
    finally:
        base.limits.waiting = 0.0
        connection.close()
    assert answer.status_code == 503
    assert "The database is busy" in words(answer)


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
