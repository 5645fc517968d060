"""For load balancers and monitors: no sign-in, no secrets."""

import logging

from celery import current_app
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from kombu.exceptions import OperationalError

from messaging.console.context import obstacles
from messaging.setup import opt_files

log = logging.getLogger(__name__)


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up; asks nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, worker and beat (by their heartbeats), and this server's `.opt` files; 503 when one fails.

    Of files at fault it says the names; what is in them is for people who signed in.
    """
    at_fault = list(dict.fromkeys(error.file for error in opt_files.read().errors))
    checks = {"database": _database(), "broker": _broker(), "worker_and_beat": False, "worker": False, "beat": False}
    checks["opt_files"] = not at_fault
    if checks["database"]:
        found = obstacles()
        checks |= {"worker_and_beat": not found.is_silent, "worker": found.worker_lives, "beat": not found.is_silent}
    ready = all(checks.values())
    told = {"opt_files_at_fault": at_fault} if at_fault else {}
    return JsonResponse({"ready": ready, "checks": checks} | told, status=200 if ready else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM messaging_message LIMIT 1")
    except DatabaseError:
        log.warning("not ready: the database is away or not migrated", exc_info=True)
        return False
    return True


def _broker() -> bool:
    try:
        with current_app.connection_for_write(connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)
    except (OperationalError, OSError):
        log.warning("not ready: the broker is away")
        return False
    return True
