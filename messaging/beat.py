"""Celery beat, for which a clock that was ahead once is no reason to stop.

Of itself, it keeps when it last ran each task, in the database, and sends none before that time comes again; and it
looks at one task only, the next by the clock of before.
"""

from datetime import datetime
from typing import Any

from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


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
