"""Fixtures of the tests that run within one process."""

import io
from types import SimpleNamespace

import pytest

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
