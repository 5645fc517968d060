"""The file of SQLite is locked for longer than anyone waits: pages are there again when the lock is gone."""

import sqlite3
from contextlib import closing, contextmanager
from threading import Thread

import pytest
from celery import current_app
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client
from django_celery_beat.models import PeriodicTask

from messaging import tasks, users
from messaging.access import roles
from messaging.broker.beat import Scheduler
from tests.installation import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL locks rows, not files"),
]
PAGES = (
    "/messages/",
    "/batches/",
    "/sending/",
    "/setup/email/",
    "/setup/options/",
    "/setup/users/",
    "/setup/schedules/",
)


@contextmanager
def locked_file():
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def status_of(client, page):
    """In a production server an error is a page with status 500."""
    client.raise_request_exception = False
    return client.get(page).status_code


def test_the_same_thread_serves_pages_again_when_the_lock_is_gone():
    users.create("anna", "correct horse battery", role=roles.ADMIN, via="test")
    client = Client()
    client.force_login(User.objects.get())
    found = {}

    def serve():
        """One thread of the web process, which is new: it has asked its database nothing yet."""
        here = connections["default"]
        here.settings_dict = here.settings_dict | {"OPTIONS": here.settings_dict["OPTIONS"] | {"timeout": 0}}
        try:
            with locked_file():
                found["locked"] = [status_of(client, page) for page in PAGES]
            found["after"] = [status_of(client, page) for page in PAGES]
        finally:
            here.close()

    thread = Thread(target=serve)
    thread.start()
    thread.join()
    assert found["after"] == [200] * len(PAGES)
    assert found["locked"] == [200] * len(PAGES), "reading waits for no writer"


def test_beat_that_starts_while_it_is_locked_has_its_tasks_when_the_lock_is_gone(monkeypatch, caplog):
    monkeypatch.setattr("messaging.broker.beat.PATIENCE_SECONDS", 0.01)
    PeriodicTask.objects.all().delete()
    found = {}

    def begin():
        here = connections["default"]
        here.settings_dict = here.settings_dict | {"OPTIONS": here.settings_dict["OPTIONS"] | {"timeout": 0}}
        try:
            found["tasks"] = set(Scheduler(app=current_app).schedule)
        finally:
            here.close()

    thread = Thread(target=begin)
    with locked_file():
        thread.start()
        assert wait_for(lambda: "database is locked" in caplog.text, seconds=10)
    thread.join()
    assert found["tasks"] >= {"sweep", "tidy"}


def test_sweep_says_once_that_it_is_locked(caplog):
    """Each part of it would wait as long as the first."""

    def sweep():
        here = connections["default"]
        here.settings_dict = here.settings_dict | {"OPTIONS": here.settings_dict["OPTIONS"] | {"timeout": 0}}
        try:
            tasks.sweep()
        finally:
            here.close()

    tasks.sweep()
    thread = Thread(target=sweep)
    with locked_file():
        thread.start()
        thread.join()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "sweep waits for the database" in caplog.text
