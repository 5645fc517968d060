"""The backend itself; Django looks for it in a module of this name."""

import threading
from typing import Any

from django.db.backends.postgresql import base


class _Limits(threading.local):
    """Seconds that the server gives a statement of this thread, by itself and within a transaction; 0: no limit."""

    reading = 0.0
    writing = 0.0


limits = _Limits()


class DatabaseWrapper(base.DatabaseWrapper):
    def init_connection_state(self) -> Any:
        done = super().init_connection_state()
        if limits.reading:
            self._set_timeout(limits.reading)
        return done

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if limits.writing and not autocommit:
            self._set_timeout(limits.writing, is_local=True)

    def _set_timeout(self, seconds: float, *, is_local: bool = False) -> None:
        with self.wrap_database_errors, self.connection.cursor() as cursor:
            values = [f"{round(seconds * 1000)}ms", is_local]
            cursor.execute("SELECT set_config('statement_timeout', %s, %s)", values)
