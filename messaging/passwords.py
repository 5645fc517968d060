"""How passwords are kept: as Django does it, but only so many at a time in one process.

Each takes a few tenths of a second of a processor, and anybody may ask for it: by signing in. Without a limit strangers
would have every thread, and both processors.
"""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from messaging import turns

AT_ONCE = 1  # in a process
WAITING = 2
SECONDS = 5.0


class Busy(turns.Busy):
    """Too many passwords are being checked, and this one was not."""


class Hasher(PBKDF2PasswordHasher):
    """Django's own hashes, each computed in its turn."""

    turns = turns.Turns(AT_ONCE, WAITING, SECONDS, Busy)

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Raises Busy."""
        with self.turns.one():
            return super().encode(password, salt, iterations)
