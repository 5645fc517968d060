"""A whole installation of its own for a test: database, broker, folders, and its processes."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import environ

ROOT = Path(__file__).resolve().parent.parent
WORKER = [sys.executable, "-m", "config.processes", "worker"]
BEAT = [sys.executable, "-m", "config.processes", "beat"]


class Installation:
    """Runs commands and processes against a fresh database.

    Args:
        folder: everything it writes goes here.
        database_url, broker_url: servers to use; a database of its own is made there. None: the embedded default.
        variables: more environment variables.
    """

    def __init__(self, folder, database_url=None, broker_url=None, **variables):
        self.folder = folder
        self.processes = []
        self.server_url, self.database = database_url, None
        self.env = {
            name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "CELERY", "DATABASE"))
        }
        self.env |= {
            "ENV_FILE": os.devnull,
            "VAR_DIR": str(folder / "var"),
            "SECRET_KEY": "k" * 50,
            "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
            "HTTPS": "off",
            "LEASE_SECONDS": "3",
            "SWEEP_SECONDS": "1",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        } | variables  # fmt: skip
        if database_url:
            self.database = f"outtray_{uuid.uuid4().hex[:12]}"
            self._on_server(f"CREATE DATABASE {self.database}")
            self.env["DATABASE_URL"] = database_url.rpartition("/")[0] + "/" + self.database
        if broker_url:
            self.env["CELERY_BROKER_URL"] = _own_number(broker_url)

    def __enter__(self):
        self.manage("migrate", "-v0")
        return self

    def __exit__(self, *error):
        for process in self.processes:
            self.stop(process, signal.SIGKILL)
        if self.database:
            self._on_server(f"DROP DATABASE {self.database} WITH (FORCE)")

    def manage(self, *arguments, **options):
        """Run a management command to its end; fails the test when it fails (unless check=False)."""
        options = {"check": True, "capture_output": True, "timeout": 110} | options
        return subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=self.env, **options)

    def ask(self, code):
        """Run Python inside the installation; `answer` is what it left in that name, by way of JSON."""
        code = f"import json\nfrom messaging.models import *\n{code}\nprint('ANSWER' + json.dumps(answer))"
        output = self.manage("shell", "--no-imports", "-c", code).stdout.decode()
        return json.loads(output.rpartition("ANSWER")[2])

    def start(self, command):
        """Start a process of the installation; its output goes to a file in the folder."""
        log = (self.folder / f"{len(self.processes)}-{command[-1] if command[0] != 'celery' else command[3]}.log").open(
            "wb"
        )
        process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def stop(self, process, number=signal.SIGTERM, timeout=30):
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return process.wait(timeout)

    def _on_server(self, statement):
        import psycopg

        url = environ.Env.db_url_config(self.server_url)
        with psycopg.connect(
            host=url["HOST"], port=url["PORT"] or 5432, user=url["USER"], password=url["PASSWORD"], dbname=url["NAME"],
            autocommit=True,
        ) as connection:  # fmt: skip
            connection.execute(statement)


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
