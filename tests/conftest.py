"""Fixtures shared by all tests."""

import datetime as dt
import email.message
import email.policy
import os

import pytest
from django.utils import timezone

from messaging import roles
from messaging.intake.gate import Submission, accept
from messaging.models import EmailSettings, Message
from messaging.setup import options
from tests.certificates import Authority
from tests.identity import Identity
from tests.people import make_user
from tests.servers import MailServer


@pytest.fixture(autouse=True, scope="session")
def empty_tables_quickly():
    """Between tests PostgreSQL deletes the few rows there are: TRUNCATE makes new files for each table and index."""

    def delete_all(operations, style, tables, *, reset_sequences=False, allow_cascade=False):
        return [f"DELETE FROM {operations.quote_name(table)}" for table in tables]  # foreign keys are deferred

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.backends.postgresql.operations.DatabaseOperations.sql_flush", delete_all)
        yield


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    """Each test keeps its attachments in a folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    """Accounts whose lanes would have been woken: tests run lanes themselves, no broker is asked."""
    accounts = []
    monkeypatch.setattr("messaging.wake._send", accounts.append)
    return accounts


@pytest.fixture
def operator(db):
    return make_user("anna", "anna@office.example", "pw", first_name="Anna")


@pytest.fixture
def admin(client, operator):
    """The browser of Anna, who is an administrator here."""
    roles.give(operator, roles.ADMIN)
    client.force_login(operator)
    return client


class Clock:
    """What time it is, as the tests say; nobody may wait for it to go on by itself."""

    def __init__(self):
        self.now = timezone.now()

    def __call__(self):
        return self.now

    def goes_on(self, **time):
        self.now += dt.timedelta(**time)
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Lanes, sweeps and people of a test look at one clock."""
    clock = Clock()
    monkeypatch.setattr(timezone, "now", clock)
    return clock


@pytest.fixture
def ca(tmp_path):
    """An authority that nobody trusts but for Email Setup."""
    return Authority(tmp_path)


@pytest.fixture
def identity(ca):
    """A provider of access tokens."""
    with Identity(ca.server_context()) as identity:
        yield identity


@pytest.fixture
def mail_server():
    with MailServer() as server:
        yield server


@pytest.fixture
def email_setup(db, mail_server):
    """The company's Email Setup points at the mail server of this test."""
    return set_up(mail_server)


@pytest.fixture
def holding(db):
    """The company holds its mail for Batch Message Processing, and records it."""
    hold_mail()


def hold_mail(record=True, hold=True):
    """Switch the two options of seed row S3 as an administrator does."""
    options.save({"record_mail": record, "hold_mail": hold}, by=None)


def set_up(server, **values):
    row, _ = EmailSettings.objects.update_or_create(
        account=None,
        defaults={"send_type": 2, "host": "127.0.0.1", "port": server.port, "ehlo_name": "t.example"} | values,
    )
    return row


def make_message(*recipients, subject="Your appointment", body="Dear customer,\n", due=True, **options):
    """A message accepted by the gate; `due` makes it claimable at once."""
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"] = "Office <office@brightwater.example>"
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail.set_content(body)
    options.setdefault("reverse_path", "office@brightwater.example")
    options.setdefault("recipients", list(recipients))
    options.setdefault("raw", mail.as_bytes())
    message = accept(Submission(via="test", **options))
    if due:
        Message.objects.filter(pk=message.pk).update(not_before=timezone.now())
        message.refresh_from_db()
    return message


# --- Real services ---------------------------------------------------------------------------------

NO_SERVICES = "no real PostgreSQL and Redis: set DATABASE_URL and CELERY_BROKER_URL"
NO_PROGRAMS = "no programs of PostgreSQL and Redis on this machine, to start servers that may be killed"
SERVICES = {"DATABASE_URL": "postgres", "CELERY_BROKER_URL": "redis"}


def missing_services():
    return [name for name, scheme in SERVICES.items() if not os.environ.get(name, "").startswith(scheme)]


def pytest_collection_modifyitems(items):
    if not missing_services():
        return
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.exit(f"REQUIRE_SERVICES is set, but not: {', '.join(missing_services())}", returncode=1)
    skip = pytest.mark.skip(reason=NO_SERVICES)
    for item in items:
        if item.get_closest_marker("services"):
            item.add_marker(skip)


def pytest_terminal_summary(terminalreporter):
    skipped = " ".join(str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if NO_SERVICES in skipped:
        terminalreporter.write_sep("!", "REAL POSTGRESQL AND REDIS WERE NOT TESTED", yellow=True, bold=True)
        terminalreporter.write_line("To test them set DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...")
    if NO_PROGRAMS in skipped:
        terminalreporter.write_sep("!", "SERVICES THAT FAIL WERE NOT TESTED", yellow=True, bold=True)
        terminalreporter.write_line("To test them install redis-server and PostgreSQL's initdb and pg_ctl.")
