"""The backend itself; Django looks for it in a module of this name."""

import threading
from typing import Any

from django.db.backends.postgresql import base


class _Limits(threading.local):
    """Seconds that the server gives a statement of this thread, by itself and within a transaction; 0: no limit."""

    reading = 0.0
    writing = 0.0
    waiting = 0.0  # of these, for rows that are locked


limits = _Limits()
# The server lets go of a client that vanished, with the rows that it has locked: after a minute of silence, or where
# it stands still in a transaction for longer than any sending within one takes.
VANISHED = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_in_transaction_session_timeout": "15min",
}
LOCK_SECONDS = 10.0


def limit_waits_for_locks() -> None:
    """In this process no statement waits for a locked row for longer than LOCK_SECONDS."""
    _Limits.waiting = LOCK_SECONDS


class DatabaseWrapper(base.DatabaseWrapper):
    def init_connection_state(self) -> Any:
        done = super().init_connection_state()
        if limits.reading:
            self._set_timeout(limits.reading)
        self._set(VANISHED | ({"lock_timeout": f"{round(limits.waiting * 1000)}ms"} if limits.waiting else {}))
        return done

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if limits.writing and not autocommit:
            self._set_timeout(limits.writing, is_local=True)

    def _set_timeout(self, seconds: float, *, is_local: bool = False) -> None:
        self._set({"statement_timeout": f"{round(seconds * 1000)}ms"}, is_local=is_local)

    def _set(self, values: dict[str, str], *, is_local: bool = False) -> None:
        calls = ", ".join(["set_config(%s, %s, %s)"] * len(values))
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            parameters = [each for name, value in values.items() for each in (name, value, is_local)]
            cursor.execute(f"SELECT {calls}", parameters)
