"""Unpacks the database of v0.1.0, with its attachments, keys and sessions, for a test or for a look at it.

    python -m tests.upgrade.restore FOLDER                            SQLite
    python -m tests.upgrade.restore FOLDER postgres://server/db NAME  PostgreSQL, as the new database NAME

prints the environment, ready to be used: env $(python -m tests.upgrade.restore /tmp/old) python manage.py migrate
"""

import gzip
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import psycopg

from tests import database

FIXTURE = Path(__file__).parent / "v0_1_0"
LASTING = "UPDATE django_session SET expire_date = '2999-01-01 00:00:00'"  # the fixture outlasts its sessions
# Of this machine, and nothing else: no variable of Python's or of another installation.
KEPT = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")


def restore_sqlite(folder):
    """Unpack into a folder; the environment of the installation, DATABASE_URL in it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "outtray.sqlite3"
    file.write_bytes(gzip.decompress((FIXTURE / "outtray.sqlite3.gz").read_bytes()))
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(LASTING)
    return _environment(folder, f"sqlite:///{file}")


def restore_postgresql(server_url, name, folder):
    """Unpack into a new database of that name on the server of a URL, and the files into a folder; the environment.

    `drop` takes it away again.
    """
    _on(server_url, f"CREATE DATABASE {name}")
    url = f"{server_url.rpartition('/')[0]}/{name}"
    _on(url, gzip.decompress((FIXTURE / "outtray.sql.gz").read_bytes()).decode())
    _on(url, LASTING)
    folder.mkdir(parents=True, exist_ok=True)
    return _environment(folder, url)


def drop(server_url, name):
    """Drop what restore_postgresql has made."""
    _on(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _on(url, statements):
    found = database.named(url)
    with psycopg.connect(
        host=found["HOST"], port=found["PORT"] or 5432, user=found["USER"], password=found["PASSWORD"],
        dbname=found["NAME"], autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute(statements)


def _environment(folder, database_url):
    media = folder / "media"
    shutil.copytree(FIXTURE / "media", media, dirs_exist_ok=True)
    keys = dict(line.split("=", 1) for line in (FIXTURE / "keys.env").read_text().splitlines())
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {
        "LANG": "C.UTF-8", "ENV_FILE": os.devnull, "VAR_DIR": str(folder / "var"), "HTTPS": "off",
        "DATABASE_URL": database_url, "MEDIA_ROOT": str(media), **keys,
    }  # fmt: skip


if __name__ == "__main__":
    folder, *server = sys.argv[1:]
    made = restore_postgresql(*server, Path(folder)) if server else restore_sqlite(Path(folder))
    print(*(f"{name}={value}" for name, value in made.items() if name not in KEPT), sep="\n")
