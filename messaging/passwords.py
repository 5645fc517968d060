"""How passwords are kept: as Django does it, but only so many at a time in one process.

Each takes a few tenths of a second of a processor, and anybody may ask for it: by signing in. Without a limit strangers
would have every thread, and both processors.
"""

import threading

from django.contrib.auth.hashers import PBKDF2PasswordHasher

AT_ONCE = 1  # in a process
WAITING = 2
SECONDS = 5.0


class Busy(Exception):
    """Too many passwords are being checked, and this one was not."""


class Hasher(PBKDF2PasswordHasher):
    """Django's own hashes, each computed in its turn."""

    _turn = threading.BoundedSemaphore(AT_ONCE)
    _places = threading.BoundedSemaphore(AT_ONCE + WAITING)

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Raises Busy when others have waited already, or the turn does not come within SECONDS."""
        if not self._places.acquire(blocking=False):
            raise Busy
        try:
            if not self._turn.acquire(timeout=SECONDS):
                raise Busy
            try:
                return super().encode(password, salt, iterations)
            finally:
                self._turn.release()
        finally:
            self._places.release()
