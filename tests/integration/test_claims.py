"""Which way in may name a category that is not held: a company option, which every way in asks at the one gate."""

import io

import pytest
from django.core.mail import EmailMessage
from django.core.management import call_command

from messaging import submit
from messaging.backends import QueueEmailBackend
from messaging.company import options
from messaging.models import CompanyOptions, Message
from messaging.wording import in_words
from tests.factories import hold_mail, submission
from tests.pages import page_of

pytestmark = pytest.mark.django_db(transaction=True)


def by_backend(category, monkeypatch):
    QueueEmailBackend().send_messages(
        [EmailMessage("s", "b", "a@example.com", ["b@example.com"], headers=header(category))]
    )


def by_sendmail(category, monkeypatch):
    raw = f"From: a@example.com\nX-Outtray-Category: {category}\n\nx"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw.encode())))
    call_command("sendmail", "b@example.com")


def by_code(category, monkeypatch):
    list(submit.submit([submission("b@example.com", category=category, via="")]))


def header(category):
    return {"X-Outtray-Category": category}


WAYS = {"backend": by_backend, "sendmail": by_sendmail, "code": by_code}
CASES = [
    # what the option says, who may skip the hold with a password reset
    ("backend *\nsendmail *", {"backend", "sendmail", "code"}),
    ("backend *", {"backend", "code"}),
    ("sendmail password-reset", {"sendmail"}),
    ("sendmail notice", set()),
    ("", set()),
]


@pytest.fixture
def holding(email_setup):
    hold_mail()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("claims", "allowed"), CASES)
def test_category_that_may_not_be_claimed_is_held_like_other_mail(holding, admin, monkeypatch, way, claims, allowed):
    options.save({"urgent_claims": claims}, by=None)
    WAYS[way]("password-reset", monkeypatch)
    message = Message.objects.get()
    assert (message.urgent, message.not_before is not None) == (way in allowed,) * 2
    assert (message.status, message.category) == ("queued", "password-reset")
    page = page_of(admin, message)
    assert ("may not name the category “password-reset”" in page) is (way not in allowed)


@pytest.mark.parametrize("way", WAYS)
def test_by_default_only_code_of_this_installation_may_claim_one(holding, monkeypatch, way):
    WAYS[way]("password-reset", monkeypatch)
    assert Message.objects.get().urgent is (way != "sendmail")


def test_way_in_that_is_not_listed_may_claim_none(holding):
    """One that is added later, or is no program’s."""
    options.save({"urgent_claims": "backend *\nsendmail *"}, by=None)
    [outcome] = submit.submit([submission("b@example.com", category="password-reset", via="smtp")])
    assert (outcome.message.urgent, outcome.message.not_before) == (False, None)


def test_category_that_is_held_anyway_needs_no_leave(holding, monkeypatch):
    options.save({"urgent_claims": ""}, by=None)
    by_sendmail("invoice", monkeypatch)
    event = Message.objects.get().events.get()
    assert event.params == {"via": "sendmail"}


def test_what_may_not_be_claimed_does_not_pass_a_pause_either_where_nothing_is_held(db, email_setup):
    options.save({"record_mail": True, "urgent_claims": ""}, by=None)
    [outcome] = submit.submit([submission("b@example.com", category="password-reset", via="sendmail")])
    assert outcome.message.urgent is False
    assert in_words(outcome.message.events.first().what) == (
        "Accepted to be sent at once (sendmail), like other email: programs that use this way in may not name the "
        "category “password-reset” (Company options)"
    )


def test_own_notices_and_test_messages_claim_nothing(holding):
    """They are made here, and are urgent whatever programs may name."""
    options.save({"urgent_claims": ""}, by=None)
    [outcome] = submit.submit([submission("b@example.com", category="test-message", urgent=True, via="test-message")])
    assert outcome.message.urgent


def test_administrator_says_it_on_the_page(admin, db):
    from tests.integration.console.test_options import save

    assert save(admin, urgent_claims="Sendmail  Alarm\n\nsendmail alarm").status_code == 302
    assert CompanyOptions.objects.get().urgent_claims == "sendmail alarm"
    answer = save(admin, urgent_claims="pigeon alarm")
    assert answer.status_code == 422
    assert "“pigeon alarm” is not a way in (backend or sendmail)" in answer.content.decode()
