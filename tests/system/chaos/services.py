"""PostgreSQL and Redis of a test's own, on free loopback ports: they may be killed, stopped and made read-only."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import redis

from tests.installation import free_ports

NOBODY_WAITS = ["-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=16MB"]


def programs():
    """Where redis-server is, and the folder of PostgreSQL's programs; None for what is not installed."""
    folders = [Path(found).parent for found in [shutil.which("initdb")] if found]
    if config := shutil.which("pg_config"):
        folders.append(Path(subprocess.check_output([config, "--bindir"], text=True).strip()))
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which("redis-server"), next((place for place in folders if (place / "initdb").exists()), None)


class Postgres:
    """A cluster in a folder of its own. PostgreSQL refuses to run as root; then it runs as the user postgres."""

    def __init__(self, programs):
        self.programs, [self.port] = programs, free_ports(1)
        self.folder = tempfile.mkdtemp(prefix="outtray-postgres-")
        self.user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        if self.user:
            shutil.chown(self.folder, "postgres", "postgres")
        self._run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")

    @property
    def url(self):
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        options = ["-p", self.port, "-k", self.folder, "-c", "listen_addresses=127.0.0.1", *NOBODY_WAITS]
        self._run(
            "pg_ctl", "--wait", "--silent", "-l", f"{self.folder}/log", "-o", " ".join(map(str, options)), "start"
        )

    def stop(self, mode="fast"):
        """`mode` "immediate" is a crash: what was not committed is gone, and it recovers when it is started."""
        self._run("pg_ctl", "--wait", "--silent", "-m", mode, "stop")

    def read_only(self, on):
        """Make every new transaction read-only, as a failover does, and end the sessions there are; or undo it."""
        self.execute(
            f"ALTER SYSTEM {'SET default_transaction_read_only = on' if on else 'RESET default_transaction_read_only'}"
        )
        self.execute("SELECT pg_reload_conf()")
        time.sleep(0.1)
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )

    def execute(self, statement):
        with psycopg.connect(self.url, autocommit=True, options="-c default_transaction_read_only=off") as connection:
            connection.execute(statement)

    def _run(self, name, *arguments):
        subprocess.run(
            [self.programs / name, "-D", self.folder, *arguments], check=True, cwd=self.folder, timeout=60,
            stdout=subprocess.DEVNULL, **self.user,
        )  # fmt: skip


class Redis:
    """A server that keeps nothing on disk."""

    def __init__(self, program):
        self.program, [self.port] = program, free_ports(1)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *error):
        self.kill()

    def start(self):
        self.process = subprocess.Popen(
            [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=tempfile.gettempdir(), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        client = redis.Redis(port=self.port)
        for _ in range(100):
            try:
                client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.05)
        raise TimeoutError("redis-server did not start")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def flush(self):
        redis.Redis(port=self.port).flushall()
