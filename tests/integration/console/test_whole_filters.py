"""A filter counts as a whole, however much of it there is: what is not said to be left out narrows the choice."""

from urllib.parse import urlencode

import pytest
from django.utils import timezone

from messaging.models import Message
from tests.factories import make_message
from tests.pages import words
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


def test_as_many_words_as_the_field_takes_are_all_looked_for(office):
    text = " ".join(f"{number:03}" for number in range(100, 150))
    assert len(text) < 200
    named(text)
    named(text[:-3])
    assert "1–1 of 1" in words(office.get(f"/messages/?{urlencode({'q': text})}"))


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
                                    "read_at": timezone.now().isoformat()})  # fmt: skip
    assert states() == ["cancelled", "queued"]


def test_batch_of_all_that_match_a_long_filter_has_no_others(office, long_filter):
    page = office.post("/batches/new/", {"all_matching": "1", "filter": long_filter}, follow=True)
    assert list(page.context["batch"].items.values_list("message", flat=True)) == [Message.objects.earliest("pk").pk]
