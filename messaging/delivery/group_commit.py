"""Group commit: what several threads of a process have to write at one time goes to the disk in one transaction."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import DataError, IntegrityError

T = TypeVar("T")


@dataclass
class _Entry(Generic[T]):
    item: T
    is_done: bool = False
    was_written: bool = False
    error: BaseException | None = None


class GroupCommit(Generic[T]):
    """Whoever comes while nobody writes, writes for all who came meanwhile; the others wait for it.

    Args:
        write: commits the items in one transaction and says of each whether it was written.
    """

    def __init__(self, write: Callable[[Sequence[T]], Sequence[bool]]) -> None:
        self._write = write
        self._turn = threading.Condition()
        self._waiting: list[_Entry[T]] = []
        self._is_writing = False

    def commit(self, item: T) -> bool:
        """Return once the item is committed: True, or False when `write` left it out.

        Raises:
            DatabaseError: the transaction failed; nothing of the item was written, as far as is known.
        """
        entry = _Entry(item)
        with self._turn:
            self._waiting.append(entry)
            while self._is_writing and not entry.is_done:
                self._turn.wait()
            group = [] if entry.is_done else self._waiting
            if group:
                self._waiting, self._is_writing = [], True
        if group:
            try:
                self._write_group(group)
            finally:
                with self._turn:
                    self._is_writing = False
                    self._turn.notify_all()
        if entry.error is not None:
            raise entry.error
        return entry.was_written

    def _write_group(self, group: list[_Entry[T]]) -> None:
        try:
            for entry, was_written in zip(group, self._write([entry.item for entry in group]), strict=True):
                entry.was_written = was_written
        except (IntegrityError, DataError) as error:
            if len(group) == 1:
                group[0].error = error
            else:
                # One of them is at fault; the others do not suffer for it.
                for entry in group:
                    self._write_group([entry])
        except BaseException as error:
            for entry in group:
                entry.error = error
        for entry in group:
            entry.is_done = True
