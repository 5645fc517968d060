"""The Celery application; its settings are the CELERY_* names of config/settings.py."""

import logging
import os
from typing import Any

from celery import Celery, signals

from . import embedded_broker
from .logs import Line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded_broker.use()

app = Celery("outtray")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.worker_init.connect
def _limit_waits_for_locks(**_: Any) -> None:
    from .postgresql.base import limit_waits_for_locks

    limit_waits_for_locks()


@signals.after_setup_task_logger.connect
def _write_lines(logger: logging.Logger, **_: Any) -> None:
    """Celery gives its task logger a handler of its own, beside those of settings.LOGGING."""
    for handler in logger.handlers:
        handler.setFormatter(Line())
