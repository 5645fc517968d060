"""Email Setup as the seed tells it: what is set for one account, and what for everybody."""

import pytest
from django.test import Client

from messaging.delivery.lane import Lane
from messaging.models import Batch, EmailSettings, Message
from tests.conftest import make_message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def batch_runner(django_user_model):
    return django_user_model.objects.create_user("mailer", first_name="Maja")


def browser_of(person):
    browser = Client()
    browser.force_login(person)
    return browser


def process(browser, *messages):
    """Choose, review and confirm; the batch and the page that comes then."""
    review = browser.post("/batches/new/", {"message": [message.pk for message in messages]}).url
    page = browser.post(f"{review}confirm/", follow=True).content.decode()
    return Batch.objects.latest("pk"), page


def test_one_account_sends_in_bulk_over_smtp_while_the_company_stays_with_mapi(operator, batch_runner, mail_server):
    """The seed: “use user preferences to set the e-mail settings for only the user account that your e-mail sender is
    using while leaving the company e-mail preferences alone” (row S9)."""
    company = EmailSettings.objects.create(send_type=1)
    EmailSettings.objects.create(account=batch_runner, send_type=2, host="127.0.0.1", port=mail_server.port)
    before = EmailSettings.objects.filter(pk=company.pk).values().get()
    messages = [make_message(f"c{number}@example.com", due=False, author=operator) for number in range(3)]

    batch, page = process(browser_of(operator), *messages)
    assert "Choose send type 2 or 3 (SMTP) in Email Setup." in page
    assert batch.status == "draft"
    assert Message.objects.filter(status="queued", batch=None, not_before=None).count() == 3

    batch, page = process(browser_of(batch_runner), *messages)
    assert (batch.status, batch.account) == ("confirmed", batch_runner)
    Lane(batch_runner.pk).run()
    assert sorted(received.recipients[0] for received in mail_server.received) == [
        f"c{number}@example.com" for number in range(3)
    ]
    assert set(Message.objects.values_list("status", "account__username")) == {("sent", "mailer")}
    assert EmailSettings.objects.filter(pk=company.pk).values().get() == before

    later = make_message("later@example.com", due=False, author=operator)
    assert "Open in my mail program" in browser_of(operator).get(later.get_absolute_url()).content.decode()
    assert "Open in my mail program" not in browser_of(batch_runner).get(later.get_absolute_url()).content.decode()
