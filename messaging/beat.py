"""Celery beat, for which a clock that was ahead once, or a broker that refuses, is no reason to stop.

Of itself, it keeps when it last ran each task, in the database, and sends none before that time comes again; and it
looks at one task only, the next by the clock of before.
"""

import logging
import time
from datetime import datetime
from typing import Any

from celery.beat import SchedulingError
from django.db import DatabaseError, connection
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from messaging.broker import PATIENCE_SECONDS, Complaint

log = logging.getLogger(__name__)
complaint = Complaint(log)


class Entry(ModelEntry):
    """A task: what ran at a time that lies in the future counts as run now."""

    def __init__(self, model: Any, app: Any = None) -> None:
        now, last = timezone.now(), model.last_run_at or model.date_changed
        if last is not None and last > now:
            model.last_run_at = now
        super().__init__(model, app=app)


class Scheduler(DatabaseScheduler):
    """Reads everything again when the clock was put back."""

    Entry = Entry
    _latest: datetime | None = None

    def tick(self, *args: Any, **options: Any) -> Any:
        """Send what is due; the seconds until it wants to be asked again."""
        now = timezone.now()
        if self._latest is not None and now < self._latest:
            self._last_full_sync = datetime.min  # noqa: DTZ901 (the library compares it with what has no zone)
        self._latest = now
        return super().tick(*args, **options)

    def update_from_dict(self, mapping: Any) -> None:
        """Write the tasks of this version to the database; of itself, one that it does not take would never run."""
        for name, fields in mapping.items():
            entry = self._written(name, fields)
            if entry.model.enabled:
                self.schedule[name] = entry

    def _written(self, name: str, fields: Any) -> Any:
        while True:
            try:
                return self.Entry.from_entry(name, app=self.app, **fields)
            except DatabaseError as error:
                log.warning("the database is away or locked (%s); beat begins when it is not", str(error).strip())
                connection.close()
                time.sleep(PATIENCE_SECONDS)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Wake the worker for a task; what the broker refuses is due again at its next time."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except SchedulingError as error:
            complaint.make(error)
        else:
            complaint.withdraw()

    def _ensure_connected(self) -> Any:
        return self.connection.ensure_connection(lambda error, seconds: complaint.make(error))
