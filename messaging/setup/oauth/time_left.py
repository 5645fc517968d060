"""How much time is left for what is asked of sign-in servers, all questions of one sign-in together."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is asked in here is over after so many seconds, or sooner where that was said before."""
    before = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(before)


def left(seconds: float) -> float:
    """So many seconds, or as many as are left. Raises TimeoutError: none are."""
    remaining = _until.get() - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("no answer in time")
    return min(seconds, remaining)
