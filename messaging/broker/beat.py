"""Celery beat that outlasts a clock that was ahead once, a broker that refuses and a database that is away.

Of itself, it keeps when it last ran each task, in the database, and sends none before that time comes again; and it
looks at one task only, the next by the clock of before.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery.beat import SchedulingError
from django.db import Error, close_old_connections, connection
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

from messaging.broker.failures import PATIENCE_SECONDS, Complaint

log = logging.getLogger(__name__)
complaint = Complaint(log)


class Entry(ModelEntry):
    """A task: what ran at a time that lies in the future counts as run now.

    Raises:
        ValueError: its row says nothing that can be kept to, as while its times are changed; the library leaves it out.
    """

    def __init__(self, model: Any, app: Any = None) -> None:
        now, last = timezone.now(), model.last_run_at or model.date_changed
        if last is not None and last > now:
            model.last_run_at = now
        try:
            super().__init__(model, app=app)
        except Error:
            raise
        except Exception as error:
            log.warning("beat leaves out “%s”: it has no times, or none that can be read", model.name)
            raise ValueError(model.name) from error

    def save(self) -> None:
        """Write when it ran last; of itself, it would write back a row that is deleted at this moment."""
        ran = {name: getattr(self.model, name) for name in ("last_run_at", "total_run_count")}
        type(self.model).objects.filter(pk=self.model.pk).update(**ran)


class Scheduler(DatabaseScheduler):
    """Reads everything again when the clock was put back; keeps what it has while the database cannot be read."""

    Entry = Entry
    _latest: datetime | None = None
    _begins = False
    _last_timestamp: datetime | None = None  # of the latest change that was read
    _again_at = 0.0  # of time.monotonic

    def tick(self, *args: Any, **options: Any) -> Any:
        """Send what is due; the seconds until it wants to be asked again."""
        now = timezone.now()
        if self._latest is not None and now < self._latest:
            self._last_full_sync = datetime.min  # noqa: DTZ901 (the library compares it with what has no zone)
        self._latest = now
        return super().tick(*args, **options)

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
        with self._outlasting():
            super().setup_schedule()
            return True
        return False

    @contextmanager
    def _outlasting(self) -> Iterator[None]:
        """Around what asks the database: whatever it raises, beat is there when the database is. All is read again."""
        try:
            yield
        except Exception as error:
            words, is_known = " ".join(str(error).split()), isinstance(error, Error | OSError)
            why = "beat waits for the database, which is away, locked or not migrated: %s"
            log.warning(why, words, exc_info=not is_known)
            connection.close()
            self._last_full_sync = datetime.min  # noqa: DTZ901 (the library compares it with what has no zone)
            self._again_at = time.monotonic() + PATIENCE_SECONDS

    @property
    def schedule(self) -> Any:
        """The tasks, read again where they may have changed."""
        if self._schedule is None:  # setup_schedule outlasts it
            return super().schedule
        if time.monotonic() >= self._again_at:
            with self._outlasting():
                return super().schedule
        return self._schedule

    def all_as_schedule(self) -> Any:
        """What could not be written of the last runs is known here alone: it is not read over."""
        return self._schedule if self._dirty else super().all_as_schedule()

    def reserve(self, entry: Any) -> Any:
        """Of itself, it would know of this run where all is in order, and not when it looks through what it has."""
        self._schedule[entry.name] = ran = super().reserve(entry)
        return ran

    def schedule_changed(self) -> bool:
        """Of itself, it would say "no" for a database that is away, and print a traceback each time."""
        close_old_connections()
        last, self._last_timestamp = self._last_timestamp, self.Changes.last_change()
        return bool(last and self._last_timestamp and self._last_timestamp > last)

    def sync(self) -> None:
        """Write when each task ran last; of itself, it would forget what the database does not take."""
        with self._outlasting():
            close_old_connections()
            for name in list(self._dirty):
                if name in self._schedule:
                    self._schedule[name].save()
                self._dirty.discard(name)

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
