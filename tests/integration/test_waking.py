"""A wake-up is only a help: where it fails, what was committed is not reported as undone, so no one orders it again."""

import pytest
from django.core.mail import EmailMessage, get_connection
from django.db import OperationalError

from messaging import backends
from messaging.delivery.store import claims
from messaging.models import AccountPause, Batch
from tests.factories import hold_mail, make_message, put
from tests.pages import act
from tests.rows import states, status

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("email_setup")]


@pytest.fixture
def database_goes_away(monkeypatch):
    """After the commit, when it is asked which lanes to wake and which claims to take back."""

    def away(*args, **options):
        raise OperationalError("terminating connection due to administrator command")

    for name in ("due_count", "due_accounts", "take_back"):
        monkeypatch.setattr(claims, name, away)


def test_message_that_is_stored_is_reported_as_taken(database_goes_away):
    hold_mail()
    message = EmailMessage("Plans", "Hello", "office@brightwater.example", ["b@example.com"])
    with backends.mail_category("password-reset"):
        assert get_connection("messaging.backends.QueueEmailBackend").send_messages([message]) == 1
    assert states() == ["queued"]


def test_orders_that_are_carried_out_are_reported_so(database_goes_away, office):
    message = put(make_message("b@example.com", due=False), status="failed")
    assert "Retry requested" in act(office, message, "retry")
    assert message.not_before is not None


def test_pause_and_its_end_are_reported(database_goes_away, admin):
    assert admin.post("/sending/all/pause/", {"why": "Wait"}).status_code == 302
    assert AccountPause.objects.filter(ended_at=None).exists()
    assert admin.post("/sending/all/resume/", {"pause": AccountPause.objects.get().mark}).status_code == 302
    assert not AccountPause.objects.filter(ended_at=None).exists()


def test_confirmed_batch_is_reported_as_confirmed(database_goes_away, office):
    message = make_message("b@example.com", due=False)
    review = office.post("/batches/new/", {"message": message.pk})
    assert office.post(f"{review.url}confirm/").status_code == 302
    assert Batch.objects.get().status == "confirmed"
    assert status(message) == "queued"
