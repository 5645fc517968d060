"""The supervisor on its own: it starts processes, passes on what they say and ends them in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from messaging.local import die_with_parent
from messaging.local.supervisor import Ended, Supervisor
from tests.installation import ROOT, wait_for


@pytest.fixture
def told(monkeypatch):
    """What the supervisor said; pytest's signal handlers are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
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
    monkeypatch.setattr("messaging.local.supervisor.GRACE_SECONDS", 0.5)
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


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_letters_that_the_output_does_not_know_hold_nothing_up(told, encoding):
    def say(line):
        line.encode(encoding)
        told.append(line)

    supervisor = Supervisor({"talks": python("import sys; sys.stdout.buffer.write('→ x\\n'.encode())")}, "", say)
    assert supervisor.run() == Ended("talks", 0)
    assert [line for line in told if "\\u2192 x" in line]


def test_output_that_was_closed_ends_everything(told):
    def say(line):
        raise ValueError("I/O operation on closed file")

    supervisor = Supervisor({"talks": python("print('x'); import time; time.sleep(60)")}, outlives="", say=say)
    assert supervisor.run() is None


NESTED = """
import sys
from messaging.local.supervisor import Supervisor
Supervisor({"base": [sys.executable, "-u", "-c", %r]}, outlives="", say=lambda line: print(line, flush=True)).run()
"""


def pid_in(output):
    return int(output.readline().split()[-1])


def test_processes_end_with_a_supervisor_that_is_killed():
    code = "import os, time; print(os.getpid()); time.sleep(60)"
    supervisor = subprocess.Popen([sys.executable, "-c", NESTED % code], cwd=ROOT, stdout=subprocess.PIPE)
    child = Path("/proc") / str(pid_in(supervisor.stdout))
    assert child.exists()
    supervisor.kill()
    supervisor.communicate()
    assert wait_for(lambda: not child.exists() or "Z" in (child / "stat").read_text().split()[2], seconds=5)


def test_program_of_a_supervisor_that_has_ended_already_is_not_started():
    another = subprocess.Popen([sys.executable, "-c", ""])
    another.wait()
    command = [sys.executable, die_with_parent.__file__, str(another.pid), sys.executable, "-c", "print('up')"]
    assert subprocess.check_output(command) == b""


ENDS_SLOWLY = UNTIL_TERM.replace("print('ending'", "time.sleep(0.5); print('ending'")


def test_closed_terminal_that_is_told_twice_still_lets_processes_finish(told):
    supervisor = Supervisor({"leaf": python(ENDS_SLOWLY)}, outlives="", say=told.append)

    def hang_up():
        wait_for(lambda: any("up" in line for line in told), seconds=10)
        os.kill(os.getpid(), signal.SIGHUP)
        wait_for(lambda: any("Stopping" in line for line in told), seconds=10)
        os.kill(os.getpid(), signal.SIGHUP)

    assert supervisor.run(hang_up) is None
    assert any("ending" in line for line in told)
