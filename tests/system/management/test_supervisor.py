"""The supervisor on its own: it starts processes, passes on what they say and ends them in order."""

import os
import signal
import sys
import time

import pytest

from messaging.management.supervisor import Ended, Supervisor
from tests.installation import wait_for


@pytest.fixture
def told(monkeypatch):
    """What the supervisor said; pytest's signal handlers are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield []
    for number, handler in before.items():
        signal.signal(number, handler)


def python(code):
    return [sys.executable, "-u", "-c", code]


UNTIL_TERM = (
    "import signal, time, sys\n"
    "def end(*_): print('ending', time.monotonic()); sys.exit()\n"
    "signal.signal(signal.SIGTERM, end); print('up'); time.sleep(60)"
)


def test_one_outlives_the_others(told):
    commands = {"base": python(UNTIL_TERM), "leaf": python(UNTIL_TERM)}
    supervisor = Supervisor(commands, outlives="base", say=told.append)

    def interrupt():
        wait_for(lambda: sum("up" in line for line in told) == 2, seconds=10)
        os.kill(os.getpid(), signal.SIGTERM)

    assert supervisor.run(interrupt) is None
    ended = [line.split()[0] for line in told if "ending" in line]
    assert ended == ["leaf", "base"]


def test_process_that_will_not_end_is_killed(told, monkeypatch):
    monkeypatch.setattr("messaging.management.supervisor.GRACE_SECONDS", 0.5)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
    after_it = f"import time\ntime.sleep(1)\n{'raise SystemExit(3)'}"
    supervisor = Supervisor({"stays": python(stubborn), "ends": python(after_it)}, outlives="", say=told.append)
    began = time.monotonic()
    assert supervisor.run() == Ended("ends", 3)
    assert time.monotonic() - began < 10
    assert supervisor.running == {}


def test_nobody_reads_the_output_any_more(told):
    def say(line):
        raise BrokenPipeError

    supervisor = Supervisor({"talks": python("print('x'); import time; time.sleep(60)")}, outlives="", say=say)
    assert supervisor.run() is None
    assert supervisor.running == {}
