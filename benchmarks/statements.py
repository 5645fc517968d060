"""Counts the SQL statements that a contestant's processes send, without asking them.

Each process writes its number into a file of its own, which the benchmark reads. What Django's cursors execute is
counted, each of several that are sent as one text; BEGIN, COMMIT and ROLLBACK are not, savepoints are.
"""

import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

TRANSACTION = ("BEGIN", "COMMIT", "ROLLBACK")


class Counter:
    """An execute wrapper (Django: database instrumentation), shared by all connections of a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = 0
        self.lock = threading.Lock()

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not sql.startswith(TRANSACTION):
            with self.lock:
                if self.pid != os.getpid():  # forked since
                    self._open()
                self.number += len(params) if many else 1 + sql.count("; ")
                self.file[:8] = self.number.to_bytes(8, "little")
        return execute(sql, params, many, context)

    def _open(self) -> None:
        self.pid = os.getpid()
        self.number = 0
        path = self.folder / str(self.pid)
        path.write_bytes(bytes(8))
        with path.open("r+b") as file:
            self.file = mmap.mmap(file.fileno(), 8)


def install() -> None:
    """Count from now on, if the environment names a folder. Called by a contestant's settings."""
    folder = os.environ.get("BENCH_STATEMENTS")
    if folder:
        counter = Counter(Path(folder))

        def count(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
            if counter not in connection.execute_wrappers:
                connection.execute_wrappers.append(counter)

        connection_created.connect(count, weak=False)


def total(folder: Path) -> int:
    """Statements of all processes so far."""
    return sum(int.from_bytes(path.read_bytes(), "little") for path in folder.iterdir())
