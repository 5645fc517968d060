"""Group commit: what several threads of a process have to write at one time goes to the disk in one transaction."""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from messaging.delivery.smtp.dialogue import is_out_of_files

log = logging.getLogger(__name__)

T = TypeVar("T")

IDLE_SECONDS = 0.5
RETRY_SECONDS = 0.5
LOCKED = "55P03"  # SQLSTATE of a statement that waited for a row for as long as it may
READ_ONLY = "25006"  # SQLSTATE, which Django calls an InternalError: a standby, or a database being moved


class GroupCommit(Generic[T]):
    """One thread writes, in the order of coming, all that came in while it wrote before; it ends when it is idle.

    Args:
        write: commits the items in one transaction and says of each whether it was written.
        patience: seconds for which a database that is away is tried again; no one overtakes meanwhile.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[bool]], patience: float) -> None:
        self._write = write
        self._patience = patience
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._turn = threading.Condition()
        self._waiting: list[tuple[T, Future[bool]]] = []
        self._is_running = False

    def submit(self, item: T) -> "Future[bool]":
        """Have the item committed; the future tells when it is: True, or False when `write` left it out.

        It raises DatabaseError when the transaction failed. A future cancelled before its turn is not written.
        """
        future: Future[bool] = Future()
        alone: list[tuple[T, Future[bool]]] = []
        with self._turn:
            self._waiting.append((item, future))
            if self._is_running:
                self._turn.notify()
            else:
                try:
                    threading.Thread(target=self._run, name="group commit", daemon=True).start()
                    self._is_running = True
                except RuntimeError:  # this machine has no thread left, so the one that is here does it
                    alone, self._waiting = self._waiting, []
        self._write_live(alone)
        return future

    def _run(self) -> None:
        while group := self._next_group():
            self._write_live(group)
        connections.close_all()

    def _write_live(self, group: Sequence[tuple[T, "Future[bool]"]]) -> None:
        live = [(item, future) for item, future in group if future.set_running_or_notify_cancel()]
        if live:
            self._write_group(live)

    def _next_group(self) -> list[tuple[T, "Future[bool]"]]:
        with self._turn:
            if not self._waiting:
                self._turn.wait(IDLE_SECONDS)
            group, self._waiting = self._waiting, []
            self._is_running = bool(group)
        return group

    def _write_group(self, group: Sequence[tuple[T, "Future[bool]"]]) -> None:
        try:
            written = self._written([item for item, _ in group])
        except Exception as error:
            if len(group) > 1 and not is_away(error):
                # One of them is at fault; the others do not suffer for it.
                for entry in group:
                    self._write_group([entry])
                return
            for _, future in group:
                future.set_exception(error)
        else:
            for (_, future), was_written in zip(group, written, strict=True):
                future.set_result(was_written)

    def _written(self, items: Sequence[T]) -> Sequence[bool]:
        give_up = time.monotonic() + self._patience
        while True:
            try:
                return self._write(items)
            except (DatabaseError, OSError) as error:
                if not is_away(error) or time.monotonic() > give_up:
                    raise
                log.warning("the database is away; trying again")
                connections["default"].close()
                time.sleep(RETRY_SECONDS)


def is_locked(error: BaseException) -> bool:
    """Whether PostgreSQL gave a statement up because another transaction keeps a row that it needs."""
    return getattr(error.__cause__, "sqlstate", None) == LOCKED


def is_kept_waiting(error: BaseException) -> bool:
    """Whether another transaction keeps a row, or SQLite's file, that a statement needs."""
    return is_locked(error) or getattr(error.__cause__, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def is_read_only(error: BaseException) -> bool:
    """Whether PostgreSQL takes no changes: it is a standby, or a database that is being moved."""
    return getattr(error.__cause__, "sqlstate", None) == READ_ONLY


def is_away(error: Exception) -> bool:
    """Whether the database cannot be reached or written for now (and not, that it minds what is written).

    Without a file descriptor left there is no connection to it either.
    """
    return isinstance(error, OperationalError | InterfaceError) or is_read_only(error) or is_out_of_files(error)
