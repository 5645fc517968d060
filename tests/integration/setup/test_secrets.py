"""Secrets at rest: changing keys, losing them, and that a password is never told anywhere."""

import base64
import io
import json
import logging
import urllib.parse

import pytest
from celery import current_app
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.utils import timezone
from django.utils.log import AdminEmailHandler

from messaging import housekeeping
from messaging.models import AccessToken, AccountPause, EmailSettings, Heartbeat, Message
from messaging.queue import batches
from messaging.queue.wake import _send
from messaging.setup import changes, secrets
from messaging.setup.fields import SECRETS, column
from messaging.setup.layers import resolve
from messaging.setup.secrets import decrypt, encrypt
from tests.factories import make_message
from tests.pages import source
from tests.rows import dump, heard
from tests.steps import run_lane

OLD, NEW, OTHER = ("O" * 43 + "=", "N" * 43 + "=", "X" * 43 + "=")


def reencrypt(*options):
    """The command's words and its exit code."""
    out = io.StringIO()
    try:
        call_command("reencrypt_secrets", *options, stdout=out)
    except SystemExit as ended:
        return out.getvalue().splitlines(), ended.code
    return out.getvalue().splitlines(), 0


# --- Changing keys -----------------------------------------------------------------------------------


@pytest.fixture
def stored(settings, operator):
    """Every secret there can be, encrypted with the old key; the new one stands in front now."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    for account in (None, operator):
        changes.save(account, {name: f"{name} of {account}" for name in SECRETS}, by=None)
    AccessToken.objects.create(
        key="ab" * 32, token_encrypted=encrypt("token"), refresh_token_encrypted=encrypt("refresh")
    )
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]


def all_secrets():
    rows = [getattr(row, column(name)) for row in EmailSettings.objects.order_by("pk") for name in SECRETS]
    token = AccessToken.objects.get()
    return [*rows, token.token_encrypted, token.refresh_token_encrypted]


@pytest.mark.django_db
def test_keys_are_changed_without_losing_anything(stored, settings):
    before = [decrypt(secret) for secret in all_secrets()]
    assert len(before) == 10
    versions = list(EmailSettings.objects.values_list("version", flat=True))
    assert reencrypt() == (
        ["Secrets: 10 were encrypted again, 0 are encrypted with the first key already, 0 cannot be read."], 0
    )  # fmt: skip
    settings.FIELD_ENCRYPTION_KEYS = [NEW]  # the old one is taken away
    assert [decrypt(secret) for secret in all_secrets()] == before
    assert list(EmailSettings.objects.values_list("version", flat=True)) == versions, "no form is out of date"
    assert reencrypt() == (
        ["Secrets: 0 were encrypted again, 10 are encrypted with the first key already, 0 cannot be read."], 0
    )  # fmt: skip


@pytest.mark.django_db
def test_dry_run_changes_nothing(stored):
    before = all_secrets()
    words, code = reencrypt("--dry-run")
    assert (words[-1].partition(",")[0], code) == ("Secrets: 10 would be encrypted again", 0)
    assert all_secrets() == before


@pytest.mark.django_db
def test_what_no_key_opens_is_named_and_the_rest_is_done(stored, settings):
    lost = Fernet(OTHER).encrypt(b"x").decode()
    EmailSettings.objects.filter(account=None).update(password_encrypted=lost)
    EmailSettings.objects.exclude(account=None).update(client_secret_encrypted=lost)
    AccessToken.objects.update(token_encrypted=lost)
    words, code = reencrypt()
    assert code == 1
    assert words == [
        "Cannot be read with any key: Password, Email settings of the company. It has to be entered again.",
        "Cannot be read with any key: Client secret, Email settings of anna. It has to be entered again.",
        "Cannot be read with any key: Access token of a sign-in, abababab. It has to be entered again.",
        "Secrets: 7 were encrypted again, 0 are encrypted with the first key already, 3 cannot be read.",
    ]


@pytest.mark.django_db
def test_what_somebody_saves_meanwhile_stays(stored, monkeypatch):
    renewed = secrets.renewed

    def slow(encrypted):
        anew = renewed(encrypted)
        if decrypt(encrypted) == "password of None":
            changes.save(None, {"password": "saved meanwhile"}, by=None)
        return anew

    monkeypatch.setattr("messaging.management.commands.reencrypt_secrets.renewed", slow)
    words, code = reencrypt()
    assert "9 were encrypted again" in words[-1]
    assert "1 changed in the meantime: run this again" in words[-1]
    assert code == 0
    assert resolve(None).password == "saved meanwhile"


@pytest.mark.django_db
def test_more_than_fit_into_one_batch(settings, monkeypatch, django_user_model):
    monkeypatch.setattr("messaging.management.commands.reencrypt_secrets.CHUNK", 3)
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    for number in range(10):
        account = django_user_model.objects.create(username=f"u{number}")
        changes.save(account, {"password": f"p{number}"}, by=None)
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert "10 were encrypted again" in reencrypt()[0][-1]
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert [resolve(row.account).password for row in EmailSettings.objects.order_by("pk")] == [
        f"p{number}" for number in range(10)
    ]


# --- A lost key --------------------------------------------------------------------------------------

FORM = {
    "send_type": "3", "auth_type": "default", "host": "127.0.0.1", "username": "anna", "password": "s3cret",
    "from_address": "office@example.com", "ehlo_name": "t.example",
}  # fmt: skip


def save(admin, mail_server, **values):
    row = EmailSettings.objects.filter(account=None).first()
    version = str(row.version if row else 0)
    return admin.post("/setup/email/", FORM | {"port": str(mail_server.port), "version": version} | values)


@pytest.mark.slow
@pytest.mark.parametrize("keys", [[OTHER], [], ["garbage"]])
@pytest.mark.django_db(transaction=True)
def test_with_a_lost_key_pages_work_mail_waits_and_entering_it_anew_heals(admin, mail_server, settings, keys):
    mail_server.users["anna"] = "s3cret"
    save(admin, mail_server)
    message = make_message("ann@example.com")
    settings.FIELD_ENCRYPTION_KEYS = keys
    told = "The stored password cannot be read with the keys of this server. Enter it again in Email Setup."
    page = admin.get("/setup/email/")
    assert page.status_code == 200
    assert told in source(page)
    run_lane()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 0)
    pause = AccountPause.objects.get()
    assert (pause.kind, heard(pause)) == ("fault", told)
    for path in ("/messages/", f"/messages/{message.pk}/", "/sending/", "/batches/new/"):
        response = admin.get(path)
        assert response.status_code == 200
    assert told in source(admin.get("/messages/"))
    if keys != [OTHER]:
        assert "cannot be stored safely" in source(save(admin, mail_server))
    settings.FIELD_ENCRYPTION_KEYS = [OTHER]
    assert save(admin, mail_server).status_code == 302
    run_lane()
    message.refresh_from_db()
    assert message.status == "sent"
    assert not AccountPause.objects.exists()


# --- Nowhere -----------------------------------------------------------------------------------------

PASSWORD = "Tr0ub4dor-Pässwort-42"
FORMS_OF_IT = [
    PASSWORD,
    "Tr0ub4dor",
    urllib.parse.quote(PASSWORD),
    json.dumps(PASSWORD)[1:-1],
    # In base64 it looks different by what stands before it.
    *(base64.b64encode(before + PASSWORD.encode()).decode()[4:-8] for before in (b"", b"x", b"xx")),
]  # fmt: skip


def assert_not_in(where, told):
    found = [form for form in FORMS_OF_IT if form in told]
    assert not found, f"the password is in {where}"


@pytest.fixture
def sent_tasks(monkeypatch):
    """What goes to the broker: the names and arguments of tasks."""
    tasks = []
    monkeypatch.setattr("messaging.queue.wake._send", _send)
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: tasks.append((args, options)))
    return tasks


@pytest.mark.slow
@pytest.mark.parametrize("server_takes_it", [True, False])
@pytest.mark.django_db(transaction=True)
def test_a_password_is_told_nowhere(
    admin, mail_server, operator, sent_tasks, caplog, server_takes_it, settings, tmp_path
):
    caplog.set_level(logging.DEBUG)
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    mail_server.users["anna"] = PASSWORD if server_takes_it else "another"
    saved = save(admin, mail_server, password=PASSWORD)
    refused = save(admin, mail_server, password=PASSWORD, host="http://x")
    assert (saved.status_code, refused.status_code) == (302, 422)
    pages = [source(refused)]
    settings.EMAIL_OPT_DIR = tmp_path
    (tmp_path / "email.smtp_pass.opt").write_text(PASSWORD)
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(3)]
    pages.append(source(admin.post("/setup/email/test/", {"recipient": "me@example.com"})))
    assert "AUTH" in pages[-1]
    pages.append(source(admin.post("/setup/email/check/")))
    assert "AUTH" in pages[-1]
    batch = batches.choose(Message.objects.filter(status="queued"), by=operator, account=None)
    pages.append(source(admin.post(f"/batches/{batch.pk}/confirm/", follow=True)))
    assert [task[0][0] for task in sent_tasks] == ["messaging.tasks.deliver"]
    run_lane()
    (tmp_path / "email.smtp_pass.opt").write_text(f"{PASSWORD}\n{PASSWORD}")
    housekeeping.sweep(timezone.now())
    run_lane()
    statuses = set(Message.objects.filter(pk__in=[message.pk for message in messages]).values_list("status", flat=True))
    assert statuses == ({"sent"} if server_takes_it else {"queued"})
    paths = [
        "/messages/?status=all",
        "/batches/",
        "/batches/new/",
        f"/batches/{batch.pk}/",
        "/sending/",
        "/readyz",
        "/health/",
    ]
    paths += ["/setup/email/", "/setup/schedules/", *(message.get_absolute_url() for message in Message.objects.all())]
    for path in paths:
        page = admin.get(path)
        assert page.status_code in (200, 503)
        assert_not_in(path, source(page))
    assert_not_in("what was posted to", "".join(pages))
    assert_not_in("the log", caplog.text)
    assert_not_in("the database", "\n".join(dump()))
    assert_not_in("the arguments of tasks", repr(sent_tasks))
    out = io.StringIO()
    call_command("dumpdata", stdout=out)
    assert_not_in("a dump of the database", out.getvalue())


@pytest.mark.django_db
def test_the_search_for_the_password_finds_it_where_it_is():
    """Were dump() blind, the test above would prove nothing."""
    EmailSettings.objects.create(username=PASSWORD)
    with pytest.raises(AssertionError, match="the password is in the database"):
        assert_not_in("the database", "\n".join(dump()))


@pytest.fixture
def error_mails(settings, monkeypatch):
    """What Django would mail to ADMINS about errors: the report with local variables, too."""
    settings.ADMINS = [("Admin", "admin@example.com")]
    mails = []
    monkeypatch.setattr(
        AdminEmailHandler, "send_mail", lambda self, *args, **options: mails.append(f"{args} {options}")
    )
    for handler in logging.getLogger("django").handlers:
        if isinstance(handler, AdminEmailHandler):
            monkeypatch.setattr(handler, "include_html", True)
    return mails


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.django_db
def test_a_report_of_an_error_does_not_tell_a_password(
    admin, mail_server, monkeypatch, caplog, settings, error_mails, debug
):
    def broken(*args, **options):
        raise RuntimeError("something else is broken")

    settings.DEBUG = debug
    monkeypatch.setattr("messaging.setup.changes._layer", broken)
    admin.raise_request_exception = False
    response = save(admin, mail_server, password=PASSWORD)
    assert response.status_code == 500
    assert "something else is broken" in caplog.text
    assert ("Request information" in source(response)) is debug
    assert ["Local Vars" in mail for mail in error_mails] == ([] if debug else [True])
    for where, told in (("page", source(response)), ("log", caplog.text), ("mail", "".join(error_mails))):
        assert_not_in(f"the {where} about an error", told)
