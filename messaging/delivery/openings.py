"""Connections that are being opened: a server that does not answer gets few threads of a process.

A lane waits minutes for a server that says nothing, and many accounts may send by the same one. Without a limit their
lanes would take every thread, and the mail of all others would wait for a server that is none of theirs.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE = 2  # connections that are opened to a server of which nothing is known
AT_ONCE_KNOWN = 6  # to one that was reached lately; a worker has eight threads
LATELY = 60.0  # seconds
SOON = 2.0  # seconds within which a connection usually opens


class StillSilent(Exception):
    """Other lanes wait for this server already, and it does not answer: another turn will find out what is wrong."""


class Openings:
    """What this process waits for, by server (`HOST:PORT`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._change = threading.Condition()
        self._begun: dict[str, list[float]] = defaultdict(list)
        self._reached: dict[str, float] = {}

    @contextmanager
    def one(self, server: str) -> Iterator[None]:
        """Around the opening of a connection. Waits for a moment where many are being opened. Raises StillSilent."""
        begun = self._begin(server)
        try:
            yield
            with self._change:
                self._reached[server] = self._clock()
        finally:
            with self._change:
                self._begun[server].remove(begun)
                if not self._begun[server]:
                    del self._begun[server]
                self._change.notify_all()

    def is_silent(self, server: str) -> bool:
        """Whether as many as may wait for it have waited for some time."""
        now = self._clock()
        return sum(now - begun > SOON for begun in tuple(self._begun.get(server, ()))) >= AT_ONCE

    def _begin(self, server: str) -> float:
        with self._change:
            give_up = self._clock() + 2 * SOON
            while self.is_silent(server) or len(self._begun.get(server, ())) >= self._most(server):
                if self.is_silent(server) or self._clock() >= give_up:
                    raise StillSilent(server)
                self._change.wait(SOON / 10)
            begun = self._clock()
            self._begun[server].append(begun)
            return begun

    def _most(self, server: str) -> int:
        reached = self._reached.get(server)
        is_known = reached is not None and self._clock() - reached < LATELY
        return AT_ONCE_KNOWN if is_known else AT_ONCE


openings = Openings()
