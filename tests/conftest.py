"""Fixtures shared by all tests."""

import datetime as dt
import gc
import itertools
import os

import pytest
from django.db import connection, transaction
from django.test import TransactionTestCase
from django.utils import timezone
from xdist.scheduler import LoadFileScheduling

from messaging.access import roles
from messaging.delivery.smtp import mechanisms
from messaging.setup import network
from tests import database, services, sizes
from tests.certificates import Authority
from tests.factories import browser_of, hold_mail, make_user, set_up
from tests.fault_server import FaultServer
from tests.identity import Identity
from tests.names import Names
from tests.servers import MailServer


@pytest.fixture(scope="session")
def django_db_setup(django_test_environment, django_db_blocker):
    """In place of pytest-django's: a copy of a migrated database, and a quick way to empty it between tests."""
    with django_db_blocker.unblock(), database.for_this_process(connection), pytest.MonkeyPatch.context() as patch:
        empty = database.Emptier(connection)
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test: empty())
        yield


@pytest.fixture(scope="module")
def module_db(django_db_setup, django_db_blocker):
    """What fixtures of a module write stays for all its tests; each undoes only what it wrote itself.

    Not for a module with tests that have transactions or threads of their own.
    """
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


FOLDERS = itertools.count()


@pytest.fixture(autouse=True)
def media(settings, tmp_path_factory):
    """Each test keeps its attachments in a folder of its own, which is there once it has any.

    Not tmp_path: pytest makes one after it has looked at those of all tests before.
    """
    settings.MEDIA_ROOT = tmp_path_factory.getbasetemp() / f"media-of-{next(FOLDERS)}"
    return settings.MEDIA_ROOT


@pytest.fixture(autouse=True)
def woken(monkeypatch):
    """Accounts whose lanes would have been woken: tests run lanes themselves, no broker is asked."""
    accounts = []
    monkeypatch.setattr("messaging.queue.wake._send", accounts.append)
    return accounts


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What a test before met on its ports says nothing about this one's."""
    network.unwell.clear()
    mechanisms.useless.clear()


@pytest.fixture
def operator(db):
    return make_user("anna", "anna@office.example", "pw", first_name="Anna")


@pytest.fixture
def office(client, operator):
    """The browser of Anna, an operator."""
    client.force_login(operator)
    return client


@pytest.fixture
def admin(office, operator):
    """The same browser, of Anna who is an administrator now."""
    roles.give(operator, roles.ADMIN)
    return office


@pytest.fixture
def ben(db):
    """Another operator."""
    return make_user("ben", "ben@office.example", "correct horse battery", first_name="Ben", last_name="Okoro")


@pytest.fixture
def bens_browser(ben):
    return browser_of(ben)


@pytest.fixture
def names(monkeypatch):
    """What names lead to, as the test says."""
    return Names(monkeypatch)


class Clock:
    """What time it is, as the tests say; no one may wait for it to go on by itself."""

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
    """An authority that no one trusts but for Email Setup."""
    return Authority(tmp_path)


@pytest.fixture
def authority(ca, monkeypatch):
    """An authority that this machine trusts."""
    ca.trust(monkeypatch)
    return ca


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
def server(db):
    """A server that does wrong what the test tells it to; the company sends through it."""
    with FaultServer() as server:
        set_up(server)
        yield server


@pytest.fixture
def opt_folder(settings, tmp_path):
    """The folder of this server's `.opt` files, still empty."""
    settings.EMAIL_OPT_DIR = tmp_path / "option"
    settings.EMAIL_OPT_DIR.mkdir()
    return settings.EMAIL_OPT_DIR


@pytest.fixture
def recording(db):
    """The company records what is sent at once."""
    hold_mail(hold=False)


@pytest.fixture
def holding(db):
    """The company holds its mail for Batch Message Processing, and records it."""
    hold_mail()


@pytest.fixture
def queue_backend(settings):
    """Django's mail goes the way of the installation; pytest-django puts Django's own test outbox in its place."""
    settings.EMAIL_BACKEND = "messaging.backends.QueueEmailBackend"


# --- Real services ---------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)  # hypothesis marks its tests before
def pytest_collection_modifyitems(config, items):
    missing = services.missing()
    if missing and os.environ.get("REQUIRE_SERVICES"):
        pytest.exit(f"REQUIRE_SERVICES is set, but not: {', '.join(missing)}", returncode=1)
    for item in items:
        if missing and item.get_closest_marker("services"):
            item.add_marker(pytest.mark.skip(reason=services.NO_SERVICES))
        if connection.vendor != "postgresql" and item.get_closest_marker("postgresql"):
            item.add_marker(pytest.mark.skip(reason="on SQLite"))
    chosen = sizes.choose(items)
    config.hook.pytest_deselected(items=list(set(items) - set(chosen)))
    items[:] = chosen


class Scheduling(LoadFileScheduling):
    """One process runs a file, and one all browser tests, which share an installation. The order is that of `sizes`."""

    def _split_scope(self, nodeid):
        file = super()._split_scope(nodeid)
        return "tests/browser" if file.startswith("tests/browser") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_finish():
    """Tests make few cycles: the garbage collector need not look at everything again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_terminal_summary(terminalreporter):
    skipped = " ".join(str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if services.NO_SERVICES in skipped:
        terminalreporter.write_sep("!", "REAL POSTGRESQL AND REDIS WERE NOT TESTED", yellow=True, bold=True)
        terminalreporter.write_line("To test them set DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...")
    if services.NO_PROGRAMS in skipped:
        terminalreporter.write_sep("!", "SERVICES THAT FAIL WERE NOT TESTED", yellow=True, bold=True)
        terminalreporter.write_line("To test them install redis-server and PostgreSQL's initdb and pg_ctl.")
