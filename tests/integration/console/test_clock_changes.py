"""A time that the clock on the wall shows twice or never is asked for again, in plain words."""

import html

import pytest

from messaging.company import options
from messaging.models import Message
from tests.factories import make_message
from tests.letter_form import promised

pytestmark = pytest.mark.django_db
WORDS = "The clocks change then, so that time comes twice or not at all."


@pytest.fixture(autouse=True)
def in_london(email_setup, holding):
    options.save({"time_zone": "Europe/London"}, by=None)


@pytest.mark.parametrize("at", ["2027-03-28T01:30", "2027-10-31T01:30"])
def test_clocks_change(office, at):
    data = {"to": "b@example.com", "subject": "x", "text": "x", "do": "at", "at": at, "sender": "a"}
    response = office.post("/messages/new/", data | promised(office))
    assert response.status_code == 422
    assert WORDS in html.unescape(response.content.decode())
    message = make_message("a@example.com", due=False)
    data = {"why": "x", "until": at, "promised": "until:Europe/London"}
    response = office.post(f"/messages/{message.pk}/hold/", data)
    assert WORDS in html.unescape(response.content.decode())
    assert Message.objects.get().status == "queued"
