"""Processes, their memory, and databases of our own on the servers we are given."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class Processes:
    """The processes of one contestant. Frozen while it is another one's turn, so that they cost nothing."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | environment
        self.running: list[subprocess.Popen[bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        *arguments: str,
        variables: Mapping[str, str] | None = None,
        stdin: int = DEVNULL,
        stdout: int | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start Python with arguments; what it says goes to a file in the folder."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, *arguments],
                cwd=ROOT,
                env=self.environment | dict(variables or {}),
                stdin=stdin,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def run(self, *arguments: str) -> None:
        """Run Python with arguments to its end. Raises RuntimeError with its last words."""
        process = self.start(*arguments)
        if process.wait():
            raise RuntimeError(f"{' '.join(arguments)} failed:\n{self.last_words()}")
        self.running.remove(process)

    def last_words(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]

    def signal(self, number: signal.Signals) -> None:
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    @contextmanager
    def awake(self) -> Iterator[None]:
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.signal(signal.SIGSTOP)

    def close(self) -> None:
        """Ask all to end, and kill what is left after a while."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        end = time.monotonic() + 10
        for process in self.running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
        self.signal(signal.SIGKILL)
        for process in self.running:
            process.wait()


class SinkProcess:
    """The sink and its control port."""

    def __init__(self, processes: Processes) -> None:
        process = processes.start("-m", "benchmarks.sink", "--ledger", stdout=subprocess.PIPE)
        assert process.stdout
        ports = json.loads(process.stdout.readline())
        self.port: int = ports["port"]
        self.control = socket.create_connection(("127.0.0.1", ports["control_port"])).makefile("rw")

    def ask(self, command: str) -> Any:
        self.control.write(command + "\n")
        self.control.flush()
        return json.loads(self.control.readline())


def wait_for(condition: Callable[[], Any], what: str, patience: float = 60.0, every: float = 0.05) -> None:
    """Poll until `condition` is true. Raises TimeoutError."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {patience:.0f} s in vain for: {what}")
        time.sleep(every)


@contextmanager
def postgres_database(server_url: str) -> Iterator[str]:
    """A fresh database on a PostgreSQL server, dropped afterwards; its URL."""
    import psycopg

    name = f"outtray_bench_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server_url.rpartition("/")[0] + "/" + name
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def redis_prefix(broker_url: str) -> Iterator[str]:
    """A prefix for keys of our own in a Redis database; the keys are deleted afterwards."""
    import redis

    prefix = f"outtray-bench-{uuid.uuid4().hex[:12]}:"
    try:
        yield prefix
    finally:
        client = redis.Redis.from_url(broker_url)
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


def memory(pid: int, what: str) -> int:
    """Octets of a process: VmRSS now, VmHWM at most since it began or since forget_peak()."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")
