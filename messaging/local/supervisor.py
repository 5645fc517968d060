"""Runs several processes as one: starts them together, shows their output, stops all of them when one ends."""

import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from messaging.local import die_with_parent

GRACE_SECONDS = 30.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(NamedTuple):
    """A process ended; `code` as subprocess has it: negative for a signal."""

    name: str
    code: int


class Supervisor:
    """Processes that live and die together, also when this one is killed.

    Args:
        commands: name -> command line, in the order of starting.
        outlives: the name of the one that is stopped when all others have ended, because they lean on it.
        say: prints a line.
    """

    def __init__(self, commands: Mapping[str, list[str]], outlives: str, say: Callable[[str], None]) -> None:
        self.commands = commands
        self.outlives = outlives
        self.say = say
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.events: queue.SimpleQueue[Ended | signal.Signals] = queue.SimpleQueue()

    def run(self, started: Callable[[], None] = lambda: None) -> Ended | None:
        """Start all and wait; the process that ended by itself, or None when a signal ended it all.

        `started` is called in a thread of its own once all are started. SIGINT, SIGTERM and SIGHUP stop everything;
        a second SIGINT or SIGTERM kills what is left. A terminal that is closed sends SIGHUP more than once.
        """
        outlives_terminal = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as with nohup
        for number in STOPPING:
            if not (number == signal.SIGHUP and outlives_terminal):
                signal.signal(number, lambda number, frame: self.events.put(signal.Signals(number)))
        if not outlives_terminal:
            threading.Thread(target=self._watch_terminal, daemon=True).start()
        try:
            for name, command in self.commands.items():
                self._start(name, command)
            threading.Thread(target=started, daemon=True).start()
            event = self.events.get()
            if isinstance(event, signal.Signals):
                self._tell("Stopping ...")
                return None
            del self.running[event.name]
            return event
        finally:
            self._stop()

    def _start(self, name: str, command: list[str]) -> None:
        # In a session of its own, so that Ctrl-C in the terminal reaches only us and the order of stopping is ours.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", str(Path(die_with_parent.__file__)), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running[name] = process
        threading.Thread(target=self._follow, args=(name, process), daemon=True).start()

    def _follow(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Show what a process says and report its end."""
        assert process.stdout is not None
        for line in process.stdout:
            self._tell(f"{name:7} | {line.decode('utf-8', 'replace').rstrip()}")
        self.events.put(Ended(name, process.wait()))

    def _watch_terminal(self) -> None:
        """Notice that it was closed. Only its first process gets SIGHUP, and where that is make it waits for us."""
        try:
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # there is none
            return
        watched = select.poll()
        watched.register(terminal, 0)
        if any(event & select.POLLHUP for _, event in watched.poll()):
            self.events.put(signal.SIGHUP)

    def _tell(self, line: str) -> None:
        try:
            self.say(line)
        except UnicodeEncodeError:  # where our output goes, these letters are not known
            self._tell(line.encode("ascii", "backslashreplace").decode())
        except (OSError, ValueError):  # no one reads our output any more, as when a terminal was closed
            self.events.put(signal.SIGHUP)

    def _stop(self) -> None:
        deadline = time.monotonic() + GRACE_SECONDS
        self._end([name for name in self.running if name != self.outlives], deadline)
        self._end(list(self.running), deadline)

    def _end(self, names: list[str], deadline: float) -> None:
        """Ask processes to end and wait; kill them, with the processes they started, when that takes too long."""
        for name in names:
            _signal(self.running[name], signal.SIGTERM)
        is_killing = False
        while set(names) & self.running.keys():
            try:
                event = self.events.get(timeout=max(0.0, deadline - time.monotonic()) if not is_killing else None)
            except queue.Empty:
                event = signal.SIGKILL
            if isinstance(event, Ended):
                self.running.pop(event.name, None)
            elif event != signal.SIGHUP and not is_killing:
                is_killing = True
                for name in names:
                    if name in self.running:
                        _signal(self.running[name], signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """SIGTERM goes to the process, which ends its own children in good order; SIGKILL to all of its session."""
    with suppress(ProcessLookupError):
        if number == signal.SIGTERM and process.poll() is None:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
