"""The part of a Celery worker that takes wake-ups from the broker: it waits for a broker that takes or gives none.

Of itself it ends when the broker refuses a command at its start, and shows a traceback.
"""

import logging
import time
from typing import Any

from celery.worker import consumer
from celery.worker.state import maybe_shutdown

from messaging.broker.failures import PATIENCE_SECONDS, Complaint

complaint = Complaint(logging.getLogger(__name__))


class Consumer(consumer.Consumer):
    """Says why it waits, and resumes by itself."""

    def ensure_connected(self, conn: Any) -> Any:
        found = conn.ensure_connection(lambda error, seconds: complaint.make(error), callback=maybe_shutdown)
        self.first_connection_attempt = False
        return found

    def on_ready(self) -> None:
        complaint.withdraw()
        super().on_ready()

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        self._wait(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        self._wait(exc)
        super().on_connection_error_after_connected(exc)

    def _wait(self, error: BaseException) -> None:
        complaint.make(error)
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            maybe_shutdown()
            time.sleep(0.1)
