"""Pre-flight (S15): an address that cannot be right is shown before anyone sends."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.company import options
from messaging.console.preflight import MOST_RECIPIENTS
from messaging.models import Message, Recipient
from tests.factories import fitting, make_message, put, set_up
from tests.fault_server import FaultServer
from tests.pages import source
from tests.steps import run_lane

# --- Before anyone sends ---------------------------------------------------------------------------


@pytest.fixture
def mistyped(db):
    return make_message("good@example.com", "anna@gmial.com", subject="Invoice 7", due=False)


WORDS = "“anna@gmial.com” looks mistyped: did you mean gmail.com?"


@pytest.mark.parametrize("url", ["/messages/", "/batches/new/"])
def test_row_of_the_list_says_it_also_to_screen_readers(office, mistyped, url):
    page = source(office.get(url))
    assert page.count(f"</svg> {WORDS} </span>") == 1
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
    page = source(office.post("/batches/new/", {"message": [mistyped.pk, good.pk]}, follow=True))
    assert "1 message has an address that cannot be right" in page
    assert f'<a href="{mistyped.get_absolute_url()}">Invoice 7</a> <span class="quiet">{WORDS}' in page
    assert "1 message of the last seven days names no address at all" in page
    assert "/messages/?status=failed&amp;reason=address" in page
    assert "Nobody" in office.get("/messages/?status=failed&reason=address").text
    assert "Confirm: send 2 messages" in page


def test_review_of_good_addresses_says_nothing(office, email_setup, db):
    good = make_message("good@example.com", due=False)
    page = source(office.post("/batches/new/", {"message": [good.pk]}, follow=True))
    assert "cannot be right" not in page
    assert "no address at all" not in page


@pytest.fixture
def refused(db):
    """A server that knows no one of that name has said so already."""
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
    page = source(office.post("/batches/new/", {"message": [again.pk, full.pk]}, follow=True))
    assert "1 message has an address that cannot be right" in page
    assert words in page


def test_whoever_sees_only_their_own_is_not_told_to_whom_others_wrote(office, operator, ben, refused):
    Message.objects.update(author=ben)
    options.save({"operators_see_all": False}, by=None)
    again = make_message("gone@example.com", subject="Invoice 9", author=operator, due=False)
    assert "was refused before" not in office.get(again.get_absolute_url()).text
    assert "was refused before" not in office.post("/batches/new/", {"message": [again.pk]}, follow=True).text
    Message.objects.update(author=operator)
    assert "was refused before" in office.get(again.get_absolute_url()).text
    assert "was refused before" in office.post("/batches/new/", {"message": [again.pk]}, follow=True).text


def test_review_asks_as_often_for_many_messages_as_for_one(office, email_setup, db):
    messages = [make_message("anna@gmial.com", due=False) for _ in range(30)]
    counts = []
    for chosen in (messages[:1], messages):
        url = office.post("/batches/new/", {"message": [one.pk for one in chosen]}).url
        office.get(url)
        with CaptureQueriesContext(connection) as statements:
            page = source(office.get(url))
        counts.append(len(statements))
    assert counts[0] == counts[1]
    assert "30 messages have an address that cannot be right" in page
    assert "and 10 more" in page


def refused_by_the_thousand(name):
    """A message that failed, because none of its 1,000 recipients is known there; each was told in other words."""
    message = put(make_message(f"{name}@example.com"), status="failed", reason_category="address", recipient_count=1000)
    Recipient.objects.bulk_create(
        Recipient(
            message=message, address=f"{name}{number}@example.com", status="failed", reply_code=550,
            enhanced_code="5.1.1", reply_text=f"<{name}{number}@example.com>: no such user",
        )
        for number in range(1000)
    )  # fmt: skip


def test_review_looks_no_further_back_than_some_thousand_refused_recipients(office, email_setup, db):
    for name in ("first", "second", "third", "fourth"):
        refused_by_the_thousand(name)
    old = make_message("first7@example.com", subject="Invoice 11", due=False)
    recent = make_message("third7@example.com", "fourth7@example.com", subject="Invoice 12", due=False)
    url = office.post("/batches/new/", {"message": [old.pk, recent.pk]}).url
    with CaptureQueriesContext(connection) as statements:
        begun = time.process_time()
        page = source(office.get(url))
        assert time.process_time() - begun < 1.0
    assert "1 message has an address that cannot be right" in page
    assert "7@example.com” was refused before" in page
    assert max(each["sql"].count("@example.com") for each in statements) <= MOST_RECIPIENTS
    assert "was refused before" in office.get(recent.get_absolute_url()).text
    assert "was refused before" not in office.get(old.get_absolute_url()).text
