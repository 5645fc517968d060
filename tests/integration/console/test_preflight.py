"""Pre-flight (seed row S15): an address that cannot be right is shown before anybody sends."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.models import Message
from tests.factories import fitting, make_message, set_up
from tests.fault_server import FaultServer
from tests.steps import run_lane

# --- Before anybody sends ---------------------------------------------------------------------------


@pytest.fixture
def mistyped(db):
    return make_message("good@example.com", "anna@gmial.com", subject="Invoice 7", due=False)


WORDS = "“anna@gmial.com” looks mistyped: did you mean gmail.com?"


@pytest.mark.parametrize("url", ["/messages/", "/batches/new/"])
def test_row_of_the_list_says_it_also_to_screen_readers(office, mistyped, url):
    page = office.get(url).text
    assert page.count(f"</svg> {WORDS}</span>") == 1
    assert 'role="img" aria-label="Look at the address"' in page


def test_row_says_it_only_while_it_can_be_helped(office, mistyped):
    Message.objects.update(**fitting(status="sent", sent_at=timezone.now()))
    assert WORDS not in office.get("/messages/?status=all").text


def test_message_page_says_it_before_what_may_be_done(office, mistyped):
    page = office.get(mistyped.get_absolute_url()).text
    assert page.index(WORDS) < page.index('<div class="actions">')
    assert "Look at the address before this is sent." in page


def test_review_names_the_messages_and_can_be_confirmed(office, mistyped, email_setup):
    good = make_message("good@example.com", subject="Invoice 8", due=False)
    make_message(subject="Nobody", recipients=[], due=False)
    page = office.post("/batches/new/", {"message": [mistyped.pk, good.pk]}, follow=True).text
    assert "1 message has an address that cannot be right" in page
    assert f'<a href="{mistyped.get_absolute_url()}">Invoice 7</a> <span class="quiet">{WORDS}' in page
    assert "1 message of the last seven days names no address at all" in page
    assert "/messages/?status=failed&amp;reason=address" in page
    assert "Nobody" in office.get("/messages/?status=failed&reason=address").text
    assert "Confirm: send 2 messages" in page


def test_review_of_good_addresses_says_nothing(office, email_setup, db):
    good = make_message("good@example.com", due=False)
    page = office.post("/batches/new/", {"message": [good.pk]}, follow=True).text
    assert "cannot be right" not in page
    assert "no address at all" not in page


@pytest.fixture
def refused(db):
    """A server that knows nobody of that name has said so already."""
    with FaultServer() as server:
        server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
        server.at("RCPT", "552 5.2.2 mailbox full", recipient="full@example.com")
        set_up(server)
        make_message("gone@example.com")
        make_message("full@example.com")
        run_lane()
        assert list(Message.objects.order_by("pk").values_list("status", flat=True)) == ["failed", "queued"]
        yield server


def test_address_that_was_refused_for_good_before_is_told_on_the_message_and_in_the_review(office, refused):
    again = make_message("gone@example.com", subject="Invoice 9", due=False)
    full = make_message("full@example.com", subject="Invoice 10", due=False)
    words = "“gone@example.com” was refused before"
    assert words in office.get(again.get_absolute_url()).text
    assert "was refused before" not in office.get(full.get_absolute_url()).text
    page = office.post("/batches/new/", {"message": [again.pk, full.pk]}, follow=True).text
    assert "1 message has an address that cannot be right" in page
    assert words in page


def test_review_asks_as_often_for_many_messages_as_for_one(office, email_setup, db):
    messages = [make_message("anna@gmial.com", due=False) for _ in range(30)]
    counts = []
    for chosen in (messages[:1], messages):
        url = office.post("/batches/new/", {"message": [one.pk for one in chosen]}).url
        office.get(url)
        with CaptureQueriesContext(connection) as statements:
            page = office.get(url).text
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert "30 messages have an address that cannot be right" in page
    assert "and 10 more" in page
