"""`make chaos` runs what can be run here, and says loudly what cannot."""

import re
import sys

import pytest

from tests.installation import ROOT
from tests.system.chaos import __main__ as chaos

NAMED = {"DATABASE_URL": "postgres://postgres@127.0.0.1/x", "CELERY_BROKER_URL": "redis://127.0.0.1/0"}


@pytest.fixture
def run(monkeypatch):
    """Runs the harness, which kills no one; its exit code and the stacks it would have run."""

    def run(*arguments, services=None, ends=True):
        stacks = []
        for name in NAMED:
            monkeypatch.delenv(name, raising=False)
        for name, url in (services or {}).items():
            monkeypatch.setenv(name, url)
        monkeypatch.setattr(chaos, "run_stack", lambda stack, *_: stacks.append(stack) or ends)
        monkeypatch.setattr(sys, "argv", ["chaos", "--kills", "1", *arguments])
        return chaos.main(), stacks

    return run


def test_without_services_the_embedded_stack_is_run_and_the_other_missed_loudly(run, capsys):
    assert run() == (0, ["embedded"])
    said = capsys.readouterr().out
    assert said.count("PostgreSQL and Redis are LEFT OUT") == 2, "before, and after the many lines of a run"
    assert "DATABASE_URL=postgres://" in said
    assert run(ends=False) == (1, ["embedded"])


def test_one_service_alone_is_not_enough(run, capsys):
    assert run(services={"DATABASE_URL": NAMED["DATABASE_URL"]}) == (0, ["embedded"])
    assert "LEFT OUT" in capsys.readouterr().out


def test_with_services_both_are_run(run, capsys):
    assert run(services=NAMED) == (0, ["services", "embedded"])
    assert "LEFT OUT" not in capsys.readouterr().out


@pytest.mark.parametrize("stack", ["services", "both"])
def test_a_stack_that_was_asked_for_and_is_not_there_is_an_error(run, capsys, stack):
    assert run("--stack", stack) == (2, [])
    told = capsys.readouterr()
    [line] = told.err.splitlines()
    assert "DATABASE_URL and CELERY_BROKER_URL" in line
    assert told.out == ""


def test_make_leaves_the_choice_to_the_harness():
    makefile = (ROOT / "Makefile").read_text()
    assert not re.search(r"^STACK", makefile, re.MULTILINE)
    assert "$(if $(STACK),--stack $(STACK))" in makefile
