"""A limit on how much costly work one process does at a time, so that the others keep threads and processors."""

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

OF_ONE = 2  # places of one user, unless more are given
ALONE: Mapping[str, int] = {}


class Busy(Exception):
    """There was no turn, and nothing was done."""


class ConcurrencyLimit:
    """`at_once` work, `waiting` wait for `seconds` at most, first come, first served; who comes beyond that, or waits
    in vain, gets `error`. One user has at most `of_one` of all these places, so the others always find some.
    """

    def __init__(self, at_once: int, waiting: int, seconds: float, error: type[Busy], of_one: int = OF_ONE) -> None:
        self.seconds, self.error, self.of_one = seconds, error, of_one
        self._places = at_once + waiting
        self._lock = threading.Lock()
        self._used = 0
        self._taken = Counter[str]()  # places, by whom and of which group
        self._free = at_once
        self._waiting: deque[threading.Event] = deque()

    def are_free(self, who: str = "", groups: Mapping[str, int] = ALONE) -> bool:
        """Whether one more of theirs may work or wait."""
        limits = self._limits(who, groups)
        return self._used < self._places and all(self._taken[name] < most for name, most in limits.items())

    @contextmanager
    def one(self, who: str = "", groups: Mapping[str, int] = ALONE) -> Iterator[None]:
        """Around the work. Raises `error`.

        Args:
            who: for whom it is done; they have `of_one` places at most. "": no one knows.
            groups: to which they belong, with the most places that each may have.
        """
        with self._place(who, groups), self._turn():
            yield

    def _limits(self, who: str, groups: Mapping[str, int]) -> Mapping[str, int]:
        return {who: self.of_one, **groups} if who else groups

    @contextmanager
    def _place(self, who: str, groups: Mapping[str, int]) -> Iterator[None]:
        names = list(self._limits(who, groups))
        with self._lock:
            if not self.are_free(who, groups):
                raise self.error
            self._used += 1
            self._taken.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._used -= 1
                self._taken.subtract(names)
                self._taken += Counter()  # forgets who has none

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Not a semaphore: there, who comes just when a turn ends may have it before those who wait."""
        mine = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                mine.set()
            else:
                self._waiting.append(mine)
        try:
            if not mine.wait(self.seconds):
                raise self.error
            yield
        finally:
            with self._lock:
                if not mine.is_set():  # else it has come, if only just now
                    self._waiting.remove(mine)
                elif self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1
