"""A filter counts as a whole, however much of it there is: what is not said to be left out narrows the choice."""

from urllib.parse import urlencode

import pytest

from messaging.models import Batch, Message
from tests.factories import make_message
from tests.pages import as_of, words
from tests.rows import states

pytestmark = pytest.mark.django_db

NINE_WORDS = "one two three four five six seven eight nine"


def named(subject, sender="office@example.com"):
    message = make_message("a@example.com", subject=subject, due=False)
    Message.objects.filter(pk=message.pk).update(from_header=sender)
    return message


@pytest.mark.parametrize("path", ["/messages/", "/batches/new/"])
def test_ninth_word_of_a_search_counts(office, email_setup, path):
    named("one two three four five six seven eight")
    named("nine eight seven six five four three two one, in another order")
    shown = words(office.get(f"{path}?{urlencode({'q': NINE_WORDS})}"))
    assert "in another order" in shown
    assert "three four five six seven eight" not in shown


MOST = " ".join(f"{number:03}" for number in range(100, 110))
TOO_MANY = f"{MOST} 110"


@pytest.mark.parametrize("path", ["/messages/", "/batches/new/"])
def test_more_words_than_are_looked_for_are_refused_in_words(office, path):
    named(MOST)
    named(MOST[:-3])
    assert "1–1 of 1" in words(office.get(f"{path}?{urlencode({'q': f'{MOST} 100'})}")), "twice the same is one word"
    assert "“Search” was left out: Use at most 10 words." in words(office.get(f"{path}?{urlencode({'q': TOO_MANY})}"))


WRONG = {"q": TOO_MANY, "sender": "x" * 201, "date_from": "0001-01-01"}


@pytest.mark.parametrize("name", WRONG)
def test_nothing_is_changed_where_a_part_of_the_filter_was_left_out(office, email_setup, name):
    named("one")
    query = urlencode({name: WRONG[name]})
    page = office.post("/messages/bulk/", {"action": "cancel", "all_matching": "1", "filter": query,
                                           "as_of": as_of(office)}, follow=True)  # fmt: skip
    assert "Nothing was changed" in words(page)
    assert states() == ["queued"]
    page = office.post("/batches/new/", {"all_matching": "1", "filter": query}, follow=True)
    assert "Nothing was changed" in words(page)
    assert not Batch.objects.exists()


def test_schedule_takes_as_many_words_as_the_lists(admin):
    page = admin.post("/setup/schedules/new/", {"q": TOO_MANY})
    assert page.context["form"].errors["q"] == ["Use at most 10 words."]


@pytest.fixture
def long_filter(email_setup):
    """One that is longer in an address than 4,000 characters; and of two messages it fits the first alone."""
    sender = "𝔒" * 199
    named("😀" * 200, f"{sender}𝔄")
    named("😀" * 200, f"{sender}𝔅")
    query = urlencode({"q": "😀" * 200, "sender": f"{sender}𝔄"})
    assert len(query) > 4700
    return query


def test_all_that_match_a_long_filter_are_cancelled_and_no_others(office, long_filter):
    office.post("/messages/bulk/", {"action": "cancel", "all_matching": "1", "filter": long_filter,
                                    "as_of": as_of(office, long_filter)})  # fmt: skip
    assert states() == ["cancelled", "queued"]


def test_batch_of_all_that_match_a_long_filter_has_no_others(office, long_filter):
    page = office.post("/batches/new/", {"all_matching": "1", "filter": long_filter}, follow=True)
    assert list(page.context["batch"].items.values_list("message", flat=True)) == [Message.objects.earliest("pk").pk]
