"""Celery beat that outlasts a clock that was ahead once, a broker that refuses and a database that is away.

Of itself, it keeps when it last ran each task, in the database, and sends none before that time comes again; and it
looks at one task only, the next by the clock of before.
"""

import logging
import time
from datetime import datetime
from typing import Any

from celery.beat import SchedulingError
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from messaging.broker.refusals import PATIENCE_SECONDS, Complaint

log = logging.getLogger(__name__)
complaint = Complaint(log)
AWAY = (DatabaseError, InterfaceError)


class Entry(ModelEntry):
    """A task: what ran at a time that lies in the future counts as run now.

    Raises:
        ValueError: its times are gone, because its schedule was saved after the tasks were read and before the times.
            Beat leaves it out then, and reads everything again because of that change.
    """

    def __init__(self, model: Any, app: Any = None) -> None:
        if model.scheduler is None:
            raise ValueError(f"“{model.name}” has no times")
        now, last = timezone.now(), model.last_run_at or model.date_changed
        if last is not None and last > now:
            model.last_run_at = now
        super().__init__(model, app=app)


class Scheduler(DatabaseScheduler):
    """Reads everything again when the clock was put back, and when the database was away while it read."""

    Entry = Entry
    _latest: datetime | None = None
    _begins = False

    def tick(self, *args: Any, **options: Any) -> Any:
        """Send what is due; the seconds until it wants to be asked again."""
        now = timezone.now()
        if self._latest is not None and now < self._latest:
            self._last_full_sync = datetime.min  # noqa: DTZ901 (the library compares it with what has no zone)
        self._latest = now
        try:
            return super().tick(*args, **options)
        except AWAY as error:
            self._wait_for_database(error)
            self._last_full_sync = datetime.min  # noqa: DTZ901
            return PATIENCE_SECONDS

    def setup_schedule(self) -> None:
        """Read the tasks, and write those of this version; of itself, beat would end where the database is away."""
        if Scheduler._begins:  # told to end meanwhile: Celery makes another scheduler to save what this one knows
            raise SystemExit
        Scheduler._begins = True
        try:
            while not self._has_begun():
                time.sleep(PATIENCE_SECONDS)
        finally:
            Scheduler._begins = False

    def _has_begun(self) -> bool:
        try:
            super().setup_schedule()
        except AWAY as error:
            self._wait_for_database(error)
            self._initial_read = True
            return False
        return True

    @staticmethod
    def _wait_for_database(error: Exception) -> None:
        words = " ".join(str(error).split())
        log.warning("beat waits for the database, which is away, locked or not migrated: %s", words)
        connection.close()

    def update_from_dict(self, mapping: Any) -> None:
        """Of itself, it would leave out a task that the database does not take."""
        for name, fields in mapping.items():
            entry = self.Entry.from_entry(name, app=self.app, **fields)
            if entry.model.enabled:
                self.schedule[name] = entry

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
