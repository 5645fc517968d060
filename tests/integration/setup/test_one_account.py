"""Email Setup as the seed tells it: what is set for one account, and what for everyone."""

import base64

import pytest
from django.test import Client

from messaging.models import Batch, EmailSettings, Message
from messaging.setup.layers import resolve
from tests.factories import make_message, make_user, write_opt_files
from tests.fault_server import FaultServer
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def batch_runner(django_user_model):
    return make_user("mailer", first_name="Maja")


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
    using while leaving the company e-mail preferences alone” (S9)."""
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
    run_lane(batch_runner.pk)
    assert sorted(received.recipients[0] for received in mail_server.received) == [
        f"c{number}@example.com" for number in range(3)
    ]
    assert set(Message.objects.values_list("status", "account__username")) == {("sent", "mailer")}
    assert EmailSettings.objects.filter(pk=company.pk).values().get() == before

    later = make_message("later@example.com", due=False, author=operator)
    assert "Open in my mail program" in browser_of(operator).get(later.get_absolute_url()).content.decode()
    assert "Open in my mail program" not in browser_of(batch_runner).get(later.get_absolute_url()).content.decode()


def over(server):
    return {"host": "127.0.0.1", "port": server.port}


# --- “you can configure the server ONLY to send via SMTP using .opt files” (S10) ---------------------------


@pytest.mark.parametrize(
    ("auth_type", "tls"),
    [("default", {}), ("tls-implicit", {"implicit": True}), ("tls-explicit", {"implicit": False})],
)
def test_this_server_signs_in_as_its_opt_files_say(settings, authority, operator, auth_type, tls, opt_folder):
    """send_type 3 with each word of auth_type; other servers and their settings are left alone."""
    EmailSettings.objects.create(send_type=1, host="mail.example.com")
    context = {"tls": authority.server_context(), **tls} if tls else {}
    with FaultServer(auth=("PLAIN",), **context) as server:
        write_opt_files(opt_folder, **over(server), send_type="3", auth_type=auth_type, username="anna",
                        password="pässwort")  # fmt: skip
        process(browser_of(operator), make_message("x@example.com", due=False))
        run_lane(operator.pk)
        assert server.ledger.total() == 1
        assert server.heard("STARTTLS") == (["STARTTLS"] if auth_type == "tls-explicit" else [])
        plain = base64.b64encode("\0anna\0pässwort".encode()).decode()
        assert server.heard("AUTH") == [f"AUTH PLAIN {plain}"]
    assert Message.objects.get().attempts.get().tls.startswith("TLS") == bool(tls)
    settings.EMAIL_OPT_DIR = None
    assert (resolve(None).send_type, resolve(None).host) == (1, "mail.example.com")


def test_send_type_2_does_not_sign_in_although_a_password_is_there(operator, opt_folder):
    with FaultServer(auth=("PLAIN",)) as server:
        write_opt_files(opt_folder, **over(server), send_type="2", username="anna", password="x")
        process(browser_of(operator), make_message("x@example.com", due=False))
        run_lane(operator.pk)
        assert (server.ledger.total(), server.heard("AUTH")) == (1, [])


@pytest.mark.parametrize(
    ("send_type", "auth_type", "words"),
    [("0", "default", "The send type is 0 (MAPI, Outlook)"), ("1", "default", "The send type is 1 (MAPI, Outlook)"),
     ("3", "ssl", "no longer has. Choose tls-implicit")],
)  # fmt: skip
def test_what_cannot_send_in_bulk_is_refused_before_it_starts(operator, send_type, auth_type, words, opt_folder):
    with FaultServer() as server:
        write_opt_files(opt_folder, **over(server), send_type=send_type, auth_type=auth_type)
        batch, page = process(browser_of(operator), make_message("x@example.com", due=False))
        assert (batch.status, server.connections) == ("draft", 0)
        assert words in page


def test_tls_explicit_never_falls_back_to_clear_text(operator, opt_folder):
    with FaultServer(auth=("PLAIN",)) as server:
        write_opt_files(opt_folder, **over(server), send_type="3", auth_type="tls-explicit", username="a", password="x")
        process(browser_of(operator), make_message("x@example.com", due=False))
        run_lane(operator.pk)
        assert (server.heard("AUTH"), server.heard("MAIL"), server.ledger.total()) == ([], [], 0)
    message = Message.objects.get()
    assert (message.status, message.tries) == ("queued", 0)
    assert "offers no STARTTLS" in browser_of(operator).get("/sending/").content.decode()
