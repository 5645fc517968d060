"""A large change in parts, each a transaction of its own, so that others write in between."""

from collections.abc import Iterator, Sequence
from time import monotonic, sleep

from django.db import connection

LEAST, MOST = 0.05, 0.5  # seconds of a pause


def in_chunks(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """A part after the other; a caller that asks for the next has committed the one before.

    SQLite has one writer at a time, and who waits for their turn looks for it now and then, ten times a second at
    last. A writer that went on at once would keep them out until its last part, so it pauses after each for as long as
    that one took.
    """
    is_sqlite = connection.vendor == "sqlite"
    for start in range(0, len(ids), size):
        began = monotonic()
        yield ids[start : start + size]
        if is_sqlite and start + size < len(ids) and not connection.in_atomic_block:
            sleep(min(max(monotonic() - began, LEAST), MOST))
