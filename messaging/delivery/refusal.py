"""When `.opt` files cannot be understood, this server sends nothing and says so. Other servers go on."""

import logging
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from messaging.models import Heartbeat
from messaging.setup.opt_files import OptFiles

log = logging.getLogger(__name__)

PREFIX = "opt-files "
REFRESHED_AFTER = 5.0  # seconds
FRESH = timedelta(seconds=60)


@dataclass
class _Told:
    """What this process last said, one error a line, and when; None before the first sweep."""

    words: str | None = None
    at: float = 0.0


_told = _Told()
_lock = threading.Lock()


def server_name() -> str:
    """What this server is called in notes and banners."""
    return socket.gethostname()[:80]


def keeps_back(files: OptFiles, now: datetime) -> bool:
    """Whether the files keep this server from sending; costs nothing while all is well."""
    if files.errors or _told.words:
        tell(files, now)
    return bool(files.errors)


def tell(files: OptFiles, now: datetime) -> None:
    """Keep a note of what is wrong with the files, for the console; a log line when that changes or is over."""
    words = "\n".join(map(str, files.errors))
    with _lock:
        before = _told.words
        has_changed = words != before
        if not has_changed and (not words or time.monotonic() - _told.at < REFRESHED_AFTER):
            return
        _told.words, _told.at = words, time.monotonic()
    if words:
        if has_changed:
            log.warning("nothing is sent by %s: %s", server_name(), words.replace("\n", "; "))
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=PREFIX + server_name(), at=now, note=words)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["at", "note"],
        )
    else:
        if before:
            log.warning("the .opt files of %s are mended; it sends again", server_name())
        Heartbeat.objects.filter(name=PREFIX + server_name()).delete()


def notes(now: datetime) -> QuerySet[Heartbeat]:
    """The servers that send nothing because of their files: those that said so within the last minute."""
    return Heartbeat.objects.filter(name__startswith=PREFIX, at__gte=now - FRESH)


def forget(now: datetime) -> None:
    """Drop the notes of servers that have been silent for a day."""
    Heartbeat.objects.filter(name__startswith=PREFIX, at__lt=now - timedelta(days=1)).delete()
