"""A whole installation of its own for a test: database, broker, folders, and its processes."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid

from tests import database
from tests.database import ROOT, scrubbed_environment

WORKER = [sys.executable, "-m", "config.processes", "worker"]
BEAT = [sys.executable, "-m", "config.processes", "beat"]


class Installation:
    """Runs commands and processes against a fresh database.

    Args:
        folder: everything it writes goes here.
        database_url, broker_url: servers to use; a database of its own is made there. None: the embedded default.
        is_empty: its database has no tables; else it is migrated.
        variables: more environment variables.
    """

    def __init__(self, folder, database_url=None, broker_url=None, is_empty=False, **variables):
        self.folder, self.is_empty = folder, is_empty
        self.processes = []
        self.server_url, self.database, self.inside = database_url, None, None
        settings = {
            "VAR_DIR": str(folder / "var"),
            "WITNESS_DIR": str(folder / "witness"),
            "LEASE_SECONDS": "3",
            "SWEEP_SECONDS": "1",
        }
        if database_url:
            self.database = f"outtray_{uuid.uuid4().hex[:12]}"
            settings["DATABASE_URL"] = database_url.rpartition("/")[0] + "/" + self.database
        if broker_url:
            settings["CELERY_BROKER_URL"] = _own_number(broker_url)
        self.env = scrubbed_environment(**settings | variables)

    def __enter__(self):
        if self.is_empty and self.database:
            database.make_postgresql(self.server_url, self.database)
        elif self.database:
            database.copy_postgresql(self.server_url, self.database)
        elif not self.is_empty:
            database.copy_sqlite(self.folder / "var" / "outtray.sqlite3")
        return self

    def __exit__(self, *error):
        for process in self.processes:
            self.stop(process, signal.SIGKILL)
        if self.database:
            database.drop_postgresql(self.server_url, self.database)

    def manage(self, *arguments, **options):
        """Run a management command to its end; fails the test when it fails (unless check=False)."""
        options = {"check": True, "capture_output": True, "timeout": 110} | options
        return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, **options)

    def ask(self, code):
        """Run Python inside the installation; `answer` is what it left in that name, by way of JSON."""
        return self.call("tests.inside", "run", code=code)

    def call(self, module, name, **arguments):
        """Call a function inside the installation; arguments and answer go by way of JSON."""
        if self.inside is None:
            self.inside = subprocess.Popen(
                [sys.executable, "-m", "tests.inside"], cwd=ROOT, env=self.env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(self.folder / "inside.log").open("ab"),
            )  # fmt: skip
            self.processes.append(self.inside)
        self.inside.stdin.write(json.dumps({"module": module, "name": name, "arguments": arguments}) + "\n")
        self.inside.stdin.flush()
        answer = json.loads(self.inside.stdout.readline())
        if "error" in answer:
            raise RuntimeError(f"{name}: {answer['error']}")
        return answer["answer"]

    def start(self, command):
        """Start a process of the installation; its output goes to a file in the folder."""
        number = len(list(self.folder.glob("[0-9]*.log")))
        with (self.folder / f"{number}-{command[-1]}.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM, timeout=30):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return process.wait(timeout)

    def server(self):
        """A connection to the server, beside its database."""
        return database.connect(self.server_url, autocommit=True)

    def connect(self):
        """A connection of one's own to its database."""
        if self.database:
            return database.connect(self.env["DATABASE_URL"])
        return sqlite3.connect(self.folder / "var" / "outtray.sqlite3", isolation_level=None, timeout=10)


def free_ports(count):
    """Ports of loopback that no one listens on."""
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in listening]


def _own_number(broker_url):
    """A Redis database for each process of the test run: what shares one shares its wake-ups."""
    server, _, number = broker_url.rpartition("/")
    process = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"{server}/{int(number or 0) + int(process)}"


def wait_for(condition, seconds=30, every=0.1):
    """Poll until `condition()` is true and return its value; None when it never was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(every)
    return None
