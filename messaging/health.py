"""Whether this installation works, part by part, for load balancers and monitors.

Each check runs in a thread of its own and gets SECONDS to answer: a database that is frozen, or a disk in a network,
must not take those with it who ask about it. One that has not come back is not begun a second time.
"""

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from celery import current_app
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from messaging.content import blobs
from messaging.content.assembly import OTHERS_LOOKED_AT
from messaging.housekeeping import BEAT, SWEEP, WORKER
from messaging.models import Attachment, Heartbeat
from messaging.setup import opt_files

log = logging.getLogger(__name__)

SECONDS = 3.0
SILENT_AFTER = timedelta(seconds=max(60, 4 * settings.SWEEP_SECONDS))


class NotWell(Exception):
    """What a check found, in words without secrets; `files` are those at fault."""

    def __init__(self, words: str, files: Iterable[str] = ()) -> None:
        super().__init__(words)
        self.files = list(files)


@dataclass(frozen=True)
class Finding:
    """What came of a check; `words` and `files` where it is not well."""

    is_well: bool
    words: str = ""
    files: tuple[str, ...] = ()


def find(names: Iterable[str]) -> dict[str, Finding]:
    """The findings of some of CHECKS, within SECONDS."""
    begun = {name: _begin(name) for name in names}
    end = time.monotonic() + SECONDS
    return {name: _finding(name, future, end - time.monotonic()) for name, future in begun.items()}


def is_well(name: str, check: Callable[[], None]) -> bool:
    """Whether a check of the caller's returns, within SECONDS, and raises nothing."""
    future = Future[None]()
    _start(name, check, future)
    return _finding(name, future, SECONDS).is_well


_running: dict[str, Future[None]] = {}
_lock = threading.Lock()


def _begin(name: str) -> Future[None]:
    """A check that runs; several who ask at one time share it."""
    with _lock:
        future = _running.get(name)
        if future is None or future.done():
            future = Future()
            _start(name, CHECKS[name], future)  # which raises where this machine has no thread left
            _running[name] = future
        return future


def _start(name: str, check: Callable[[], None], future: Future[None]) -> None:
    threading.Thread(target=_run, args=(check, future), name=f"check of {name}", daemon=True).start()


def _run(check: Callable[[], None], future: Future[None]) -> None:
    try:
        check()
    except Exception as error:  # drivers and transports have errors of their own
        future.set_exception(error)
    else:
        future.set_result(None)
    finally:
        connection.close()  # this thread's own


def _finding(name: str, future: Future[None], seconds: float) -> Finding:
    try:
        future.result(timeout=max(seconds, 0))
    except NotWell as found:
        return Finding(False, str(found), tuple(found.files))
    except TimeoutError:
        if not future.done():
            log.warning("%s did not answer within %g seconds", name, SECONDS)
            return Finding(False, f"No answer within {SECONDS:g} seconds.")
        return _broken(name, future)
    except Exception:
        return _broken(name, future)
    return Finding(True)


def _broken(name: str, future: Future[None]) -> Finding:
    log.warning("%s is not well", name, exc_info=future.exception())
    return Finding(False, "It does not answer as it should; the log of this process says why.")


# --- The checks: each returns when all is well -------------------------------------------------------


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1" if connection.vendor == "sqlite" else "SELECT current_setting('transaction_read_only')"
        )
        if cursor.fetchone() == ("on",):
            raise NotWell("It accepts no changes: it is a standby, or is being moved.")


def _migrations() -> None:
    applied = MigrationRecorder(connection).applied_migrations().keys()
    # What a squashed migration replaces counts for it.
    missing = [
        key for key, replaced in _expected().items() if key not in applied and not (replaced and replaced <= applied)
    ]
    if missing:
        names = ", ".join(".".join(key) for key in missing[:5])
        raise NotWell(f"Not yet applied: {names}. Run manage.py migrate.")


@cache
def _expected() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """The migrations of this version of the code, and what each replaces."""
    nodes = MigrationLoader(None, ignore_no_migrations=True).graph.nodes
    return {key: {*migration.replaces} for key, migration in nodes.items() if migration is not None}


def _broker() -> None:
    with current_app.connection_for_write(connect_timeout=2) as broker:
        broker.ensure_connection(max_retries=1, interval_start=0, timeout=2)


def _worker() -> None:
    # A worker sweeps; so it lives while beat makes it do that.
    if not _heard_of(SWEEP, WORKER):
        raise NotWell("No worker has reported within the last minute: nothing is sent.")


def _beat() -> None:
    if not _heard_of(SWEEP, BEAT):
        others = "" if _heard_of(WORKER) else " Nor has a worker."
        raise NotWell(f"Beat has not reported within the last minute: no schedule runs.{others}")


def _heard_of(*names: str) -> bool:
    now = timezone.now()
    recent = now - SILENT_AFTER, now + SILENT_AFTER  # clocks differ a little; one that was ahead is not alive for years
    return Heartbeat.objects.filter(name__in=names, at__range=recent).exists()


def _store() -> None:
    settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.MEDIA_ROOT) as file:
        file.write(b"x")
        file.flush()

    stored = set(Attachment.objects.order_by("-pk").values_list("sha256", flat=True)[:OTHERS_LOOKED_AT])
    # Not one alone: it may be lost, and what comes in while MEDIA_ROOT is not mounted is there.
    if sum(map(blobs.is_there, stored)) < len(stored) / 2:
        raise NotWell("Most attachment files are not in MEDIA_ROOT: is it mounted?")


def _opt_files() -> None:
    at_fault = list(dict.fromkeys(error.file for error in opt_files.read().errors))
    if at_fault:
        raise NotWell("This server sends nothing until these files are corrected.", at_fault)


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "worker": _worker,
    "beat": _beat,
    "store": _store,
    "opt_files": _opt_files,
}
READY = ("database", "migrations")  # what a web process needs to serve
