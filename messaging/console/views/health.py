"""For load balancers and monitors: no sign-in, no secrets."""

import logging

from celery import current_app
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from kombu.exceptions import OperationalError

from messaging.console.context import obstacles

log = logging.getLogger(__name__)


@login_not_required
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """The process is up; asks nobody."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Database, broker, and worker with beat (by their heartbeat); 503 when one of them is not there."""
    checks = {"database": _database(), "broker": _broker(), "worker_and_beat": False}
    if checks["database"]:
        checks["worker_and_beat"] = not obstacles().is_silent
    ready = all(checks.values())
    return JsonResponse({"ready": ready, "checks": checks}, status=200 if ready else 503)


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
