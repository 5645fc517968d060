"""Fixtures of the tests that run within one process."""

import io
from types import SimpleNamespace

import pytest
from celery import current_app
from django.utils import timezone

from messaging.broker import beat
from messaging.management.commands.sendmail import Command


@pytest.fixture
def sendmail(monkeypatch, capsys, db):
    """Run the command as manage.py does; returns .code, .out and .err."""

    def run(*arguments, stdin):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)
        code = 0
        try:
            Command().run_from_argv(["manage.py", "sendmail", *arguments])
        except SystemExit as stop:
            code = stop.code
        return SimpleNamespace(code=code, **capsys.readouterr()._asdict())

    return run


@pytest.fixture
def beats(monkeypatch, clock, transactional_db):
    """Begin beat, with the sweep as its own task; `.sent` is what it sent."""
    sent = []
    monkeypatch.setattr(beat.Entry, "_default_now", lambda entry: timezone.now())
    monkeypatch.setattr(beat.Scheduler, "producer", None)
    monkeypatch.setattr(
        beat.Scheduler, "install_default_entries", lambda *args: None
    )  # these have a clock of their own
    monkeypatch.setattr(beat.Scheduler, "apply_async", lambda self, entry, **options: sent.append(entry.task))

    def begin():
        scheduler = beat.Scheduler(app=current_app._get_current_object())
        scheduler._finalize.cancel()  # it would write when the tests end
        scheduler.sent = sent
        return scheduler

    return begin
