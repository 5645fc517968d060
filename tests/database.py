"""Databases of the tests: migrated once, copied as often as needed, emptied quickly.

A template is a migrated database that no one uses. On SQLite it is a file in .pytest_cache, on PostgreSQL a database
beside the one that the URL names. Both are kept until a migration changes.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import psycopg

from config.environment import Environment

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".pytest_cache" / "databases"
LOCK = 4_202_510  # PostgreSQL's advisory lock of who makes a template


def scrubbed_environment(**variables):
    """What a process of a test gets: nothing of this machine's Python, Django or Outtray."""
    ours = ("PYTHON", "DJANGO", "CELERY", "DATABASE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    keys = {"SECRET_KEY": "k" * 50, "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=", "HTTPS": "off"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return kept | keys | {"ENV_FILE": os.devnull, "PATH": path} | variables


def named(url):
    """The parts of a database's URL, by the names of Django's settings."""
    return Environment({"DATABASE_URL": url}).database("DATABASE_URL", None)


def connect(url, **options):
    """A connection of psycopg's."""
    parts = named(url)
    where = {"host": parts["HOST"], "port": parts["PORT"] or 5432, "dbname": parts["NAME"]}
    return psycopg.connect(**where, user=parts["USER"], password=parts["PASSWORD"], **options)


# --- Made once -------------------------------------------------------------------------------------


@functools.cache
def _state():
    """What the migrations make, as a word that changes with them."""
    found = hashlib.sha256()
    for path in sorted((ROOT / "messaging" / "migrations").glob("*.py")):
        found.update(path.read_bytes())
    for library in ("django", "django-celery-beat"):
        found.update(version(library).encode())
    found.update((ROOT / "messaging" / "access" / "roles.py").read_bytes())  # its groups are made after migrating
    return found.hexdigest()[:16]


def _migrate(url, folder):
    command = [sys.executable, "manage.py", "migrate", "-v0", "--skip-checks"]
    environment = scrubbed_environment(DATABASE_URL=url, VAR_DIR=str(folder))
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=300)


def _sqlite_template():
    CACHE.mkdir(parents=True, exist_ok=True)
    template = CACHE / f"{_state()}.sqlite3"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            shutil.rmtree(CACHE / "making", ignore_errors=True)
            for old in CACHE.glob("*.sqlite3"):
                old.unlink()
            making = CACHE / "making" / "new.sqlite3"
            _migrate(f"sqlite:///{making}", making.parent)
            making.rename(template)
            shutil.rmtree(making.parent)
    return template


def _postgresql_template(url):
    name = named(url)["NAME"] + "_template"
    with connect(url, autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # until the connection is closed
        made = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        if server.execute(made, [name]).fetchone() != (_state(),):
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            server.execute(f"CREATE DATABASE {name}")
            CACHE.mkdir(parents=True, exist_ok=True)
            _migrate(url.rpartition("/")[0] + "/" + name, CACHE)
            server.execute(f"COMMENT ON DATABASE {name} IS '{_state()}'")
    return name


# --- Copied ----------------------------------------------------------------------------------------


def copy_sqlite(path):
    """Make a migrated database of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_sqlite_template(), path)


def copy_postgresql(url, name=None):
    """Make a migrated database beside the one that the URL names; its name. No commit in it waits for a disk."""
    name = name or f"outtray_{uuid.uuid4().hex[:12]}"
    template = _postgresql_template(url)
    with connect(url, autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])  # two copies of one template wait for each other
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        if server.execute("SHOW fsync").fetchone() == ("on",):  # a server of a test's own may crash, and waits for none
            server.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    return name


def make_postgresql(url, name):
    """Make an empty database beside the one that the URL names."""
    with connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")


def drop_postgresql(url, name):
    with connect(url, autocommit=True) as server:
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


# --- Of a process of the test run -------------------------------------------------------------------


@contextlib.contextmanager
def for_this_process(connection):
    """Let Django use a fresh database while the tests of this process run."""
    from django.conf import settings

    process = os.environ.get("PYTEST_XDIST_WORKER", "main")
    values = settings.DATABASES[connection.alias]
    connection.close()
    if connection.vendor == "sqlite":
        name = settings.VAR_DIR / f"test-{process}.sqlite3"
        copy_sqlite(name)
    else:
        url = os.environ["DATABASE_URL"]
        name = copy_postgresql(url, f"test_{values['NAME']}_{process}")
    values["NAME"] = connection.settings_dict["NAME"] = str(name)
    yield
    connection.close()
    if connection.vendor == "postgresql":
        left = _connections_left(url, name)
        drop_postgresql(url, name)
        assert not left, f"threads of tests left their connections to the database open, last after: {left}"


def _connections_left(url, name):
    """The last statements of those who are still connected; a second for those who are leaving."""
    with connect(url, autocommit=True) as server:
        for _ in range(20):
            found = server.execute("SELECT query FROM pg_stat_activity WHERE datname = %s", [name]).fetchall()
            if not found:
                break
            time.sleep(0.05)
    return found


class Emptier:
    """Puts a database back to what the migrations left.

    Django's own way deletes from every table and makes content types, permissions and groups anew, after each test.
    """

    def __init__(self, connection):
        self.connection = connection
        with connection.cursor() as cursor:
            tables = [table for table in connection.introspection.table_names(cursor) if table != "django_migrations"]
            filled = self._filled(cursor, tables)
            self.kept = {table: self._rows(cursor, table) for table in tables if table in filled}
            self.others = [table for table in tables if table not in filled]

    def __call__(self):
        with self.connection.cursor() as cursor:
            changed = [table for table, rows in self.kept.items() if self._rows(cursor, table) != rows]
            filled = self._filled(cursor, self.others)
        if changed or filled:
            self._put_back([*filled, *changed], changed)

    def _put_back(self, emptied, restored):
        from django.db import transaction

        quote = self.connection.ops.quote_name
        with transaction.atomic(), self.connection.cursor() as cursor:  # foreign keys are checked in the end
            for table in emptied:
                cursor.execute(f"DELETE FROM {quote(table)}")
            for table in restored:
                for row in self.kept[table]:
                    places = ", ".join(["%s"] * len(row))
                    cursor.execute(f"INSERT INTO {quote(table)} VALUES ({places})", row)

    def _filled(self, cursor, tables):
        quote = self.connection.ops.quote_name
        asked = [f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in tables]
        cursor.execute(" UNION ALL ".join(asked))
        return [table for (table,) in cursor.fetchall()]

    def _rows(self, cursor, table):
        cursor.execute(f"SELECT * FROM {self.connection.ops.quote_name(table)} ORDER BY 1")
        return cursor.fetchall()
