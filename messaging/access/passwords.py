"""How passwords are kept: as Django does it, but only so many at a time in one process.

Each takes a few tenths of a second of a processor, and anyone may ask for it: by signing in. Without a limit strangers
would have every thread, and both processors.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from messaging import concurrency

AT_ONCE = 1  # in a process
WAITING = 3
SECONDS = 5.0
# Places, working or waiting. Anyone may try names that no one has, and has as many as they like; so devices on which
# the user has signed in before always find a place, and one address leaves one for the others.
STRANGERS, OF_STRANGERS = "strangers", 3
OF_ADDRESS = 2
_asker: ContextVar[tuple[str, Mapping[str, int]]] = ContextVar("asker", default=("", concurrency.ALONE))


class Busy(concurrency.Busy):
    """Too many passwords are being checked, and this one was not."""


class Hasher(PBKDF2PasswordHasher):
    """Django's own hashes, each computed in its turn."""

    limit = concurrency.ConcurrencyLimit(AT_ONCE, WAITING, SECONDS, Busy)

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Raises Busy."""
        with self.limit.one(*_asker.get()):
            return super().encode(password, salt, iterations)


@contextmanager
def asked_by(name: str) -> Iterator[None]:
    """Around what computes hashes for a user of that name, who has only so many turns at a time.

    The right password may be entered without a limit; without this one user could keep all others from signing in.
    """
    with _asked_by(name, concurrency.ALONE):
        yield


@contextmanager
def asked_by_stranger(name: str, address: str) -> Iterator[None]:
    """The same for someone on a device that is not known, who only says that they are that user.

    Args:
        address: from where; "" where no one knows.
    """
    with _asked_by(name, {STRANGERS: OF_STRANGERS} | ({address: OF_ADDRESS} if address else {})):
        yield


@contextmanager
def _asked_by(name: str, groups: Mapping[str, int]) -> Iterator[None]:
    token = _asker.set((name, groups))
    try:
        yield
    finally:
        _asker.reset(token)
