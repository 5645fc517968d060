"""Work that takes a processor for long, so many at a time in one process: the others keep threads and processors."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Busy(Exception):
    """There was no turn, and nothing was done."""


class Turns:
    """`at_once` work, `waiting` wait for `seconds` at most; who comes beyond that, or waits in vain, gets `error`."""

    def __init__(self, at_once: int, waiting: int, seconds: float, error: type[Busy]) -> None:
        self.seconds, self.error = seconds, error
        self._turn = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + waiting)

    @property
    def are_free(self) -> bool:
        """Whether one more may work or wait."""
        return self._places._value > 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around the work. Raises `error`."""
        if not self._places.acquire(blocking=False):
            raise self.error
        try:
            if not self._turn.acquire(timeout=self.seconds):
                raise self.error
            try:
                yield
            finally:
                self._turn.release()
        finally:
            self._places.release()
