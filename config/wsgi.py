"""WSGI entry point for gunicorn, which loads it before it starts its processes: no threads, no connections."""

import gc
import os
import sys
import time

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PATIENCE_SECONDS = 15.0

try:
    application = get_wsgi_application()
    assert get_resolver().url_patterns  # loads every page now, once for all processes
    gc.collect()
    gc.freeze()
except SystemExit as stop:  # a variable makes no sense: environment.py
    sys.stderr.write(f"{stop}\n")
    raise SystemExit(3) from stop  # gunicorn's code of a worker that cannot begin; with others it tries again for ever


def look_at_the_database() -> None:
    """So that pages tell of a restore also while no worker runs; in a thread, because many messages take their time."""
    from django.db import DatabaseError, connection
    from django.utils import timezone

    from messaging.delivery import lineage

    while True:
        try:
            lineage.check(timezone.now())
            break
        except DatabaseError:  # it is away, locked, or not migrated yet
            time.sleep(PATIENCE_SECONDS)
        finally:
            connection.close()
