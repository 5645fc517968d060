"""Suspend all sending: whatever the way, nothing goes out but what is urgent, and everyone is told."""

import datetime as dt

import pytest
from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from messaging import submit
from messaging.access import roles
from messaging.company import options
from messaging.models import Heartbeat, Message
from messaging.queue import batches, pausing
from tests.factories import make_message, make_user, put, submission
from tests.pages import as_of
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)
WHY = "The price list is wrong"


@pytest.fixture(autouse=True)
def paused(email_setup):
    """All sending is suspended."""
    boss = make_user("boss", role=roles.ADMIN)
    pausing.pause(pausing.ALL, by=boss, why=WHY)
    Heartbeat.objects.create(name="sweep", at=timezone.now())


def run_every_lane():
    for account in (None, *User.objects.values_list("pk", flat=True)):
        run_lane(account)


def by_batch(office, operator):
    message = make_message("c@example.com", due=False)
    batch = office.post("/batches/new/", {"message": [message.pk]}).url
    office.post(f"{batch}confirm/")


def by_retried_batch(office, operator):
    message = make_message("c@example.com", due=False)
    batch = batches.choose(Message.objects.all(), by=operator, account=operator)
    batches.confirm(batch, by=operator)
    message.recipients.update(status="failed")
    put(message, status="failed")
    retry = office.post(f"/batches/{batch.pk}/retry/").url
    office.post(f"{retry}confirm/")


def by_command(office, operator):
    make_message("c@example.com", due=False)
    with pytest.raises(SystemExit):
        call_command("process_queue")


def by_retry(office, operator):
    message = make_message("c@example.com", due=False)
    message.recipients.update(status="failed")
    put(message, status="failed")
    office.post(f"/messages/{message.pk}/retry/")


def by_send_again(office, operator):
    message = make_message("c@example.com", due=False)
    message.recipients.update(status="unknown")
    put(message, status="unknown")
    office.post(f"/messages/{message.pk}/send-again/")


def by_try_now(office, operator):
    message = make_message("c@example.com", not_before=timezone.now() + dt.timedelta(days=1), due=False)
    office.post(f"/messages/{message.pk}/try-now/")


def by_release(office, operator):
    message = make_message("c@example.com", due=False)
    put(message, status="held", not_before=timezone.now())
    office.post("/messages/bulk/", {"action": "release", "message": [message.pk], "as_of": as_of(office)})


def by_its_time(office, operator):
    make_message("c@example.com")


WAYS = [by_batch, by_retried_batch, by_command, by_retry, by_send_again, by_try_now, by_release,
        by_its_time]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_whatever_the_way_it_waits_and_goes_once_resumed(office, operator, mail_server, way):
    way(office, operator)
    run_every_lane()
    assert (mail_server.connections, len(mail_server.received)) == (0, 0)
    message = Message.objects.get()
    assert (message.status, message.tries) == ("queued", 0)
    assert message.not_before is not None
    pausing.resume(pausing.ALL, by=operator)
    run_every_lane()
    assert len(mail_server.received) == 1


@pytest.mark.parametrize("record", [True, False])
def test_what_is_sent_at_once_is_not_sent_and_may_wait_in_the_queue(office, operator, mail_server, record):
    options.save({"record_mail": record}, by=None)
    [outcome] = submit.submit([submission("c@example.com", author=operator)], is_watched=True)
    assert (outcome.state, outcome.may_queue) == (submit.State.FAILED, True)
    assert WHY in outcome.explanation
    assert Message.objects.count() == int(record)
    [outcome] = submit.submit([submission("c@example.com", author=operator)], is_watched=True, queue_instead=True)
    assert outcome.state == submit.State.QUEUED
    run_every_lane()
    assert mail_server.connections == 0


def test_what_waits_for_a_time_is_not_sent_at_its_time(office, operator, mail_server):
    [outcome] = submit.submit([submission("c@example.com", author=operator, not_before=timezone.now())])
    assert outcome.state == submit.State.QUEUED
    run_every_lane()
    assert mail_server.connections == 0


@pytest.mark.parametrize("hold", [True, False])
def test_urgent_mail_goes_out(office, operator, mail_server, hold):
    options.save({"record_mail": hold, "hold_mail": hold}, by=None)
    list(submit.submit([submission("c@example.com", author=operator, category="password-reset", via="backend")]))
    run_every_lane()
    assert len(mail_server.received) == 1


def test_mail_of_programs_waits_in_the_queue(office, mail_server, settings):
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"
    options.save({"record_mail": True, "hold_mail": True}, by=None)
    assert send_mail("Report", "Dear customer,", "office@brightwater.example", ["c@example.com"]) == 1
    run_every_lane()
    assert mail_server.connections == 0
    assert Message.objects.get().status == "queued"


@pytest.mark.parametrize("role", roles.ROLES)
def test_everybody_with_a_role_sees_the_banner_on_every_page(office, role):
    browser = Client()
    browser.force_login(make_user("vera", role=role))
    message = make_message("c@example.com", due=False)
    for url in ("/messages/", f"/messages/{message.pk}/", "/batches/", "/preferences/email/", "/preferences/password/"):
        page = browser.get(url).content.decode()
        assert "All sending is paused" in page, url
        assert WHY in page, url
