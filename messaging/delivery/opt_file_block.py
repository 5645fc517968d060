"""When `.opt` files cannot be understood, this server sends nothing and says so. Other servers keep sending."""

import logging
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet

from messaging.models import Heartbeat, Phrase
from messaging.setup.opt_files import OptError, OptFiles

log = logging.getLogger(__name__)

PREFIX = "opt-files "
NOTE = "opt errors"
REFRESHED_AFTER = 5.0  # seconds
FRESH = timedelta(seconds=60)


@dataclass
class _Noted:
    """What this process last said, and when; None before the first sweep."""

    errors: tuple[OptError, ...] | None = None
    at: float = 0.0


_noted = _Noted()
_lock = threading.Lock()


def server_name() -> str:
    """What this server is called in notes and banners."""
    return socket.gethostname()[:80]


def keeps_back(files: OptFiles, now: datetime) -> bool:
    """Whether the files keep this server from sending; costs nothing while all is well."""
    if files.errors or _noted.errors:
        note_errors(files, now)
    return bool(files.errors)


def note_errors(files: OptFiles, now: datetime) -> None:
    """Keep a note of what is wrong with the files, for the console; a log line when that changes or is over."""
    errors = tuple(files.errors)
    with _lock:
        before = _noted.errors
        has_changed = errors != before
        if not has_changed and (not errors or time.monotonic() - _noted.at < REFRESHED_AFTER):
            return
        _noted.errors, _noted.at = errors, time.monotonic()
    if errors:
        if has_changed:
            log.warning("nothing is sent by %s: %s", server_name(), "; ".join(map(str, errors)))
        note = Phrase(NOTE, errors=[error.phrase for error in errors])
        Heartbeat.objects.bulk_create(
            [Heartbeat(name=PREFIX + server_name(), at=now, note=note)],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["at", "note"],
        )
    else:
        if before:
            log.warning("the .opt files of %s are fixed; it sends again", server_name())
        Heartbeat.objects.filter(name=PREFIX + server_name()).delete()


def notes(now: datetime) -> QuerySet[Heartbeat]:
    """The servers that send nothing because of their files: those that said so within the last minute."""
    return Heartbeat.objects.filter(name__startswith=PREFIX, at__range=(now - FRESH, now + FRESH))


def errors_of(note: Heartbeat) -> list[Phrase]:
    """What is wrong with the files of the server that left a note."""
    if note.note is None:
        return []
    errors = note.note.params.get("errors")
    return errors if isinstance(errors, list) else [note.note]  # a later version may put it in another way


def forget(now: datetime) -> None:
    """Drop the notes of servers that have been silent for a day."""
    Heartbeat.objects.filter(name__startswith=PREFIX, at__lt=now - timedelta(days=1)).delete()
