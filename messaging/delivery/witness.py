"""What this installation remembers of its databases outside of them: how far each has come.

A file per database under WITNESS_DIR, named by its Lineage.key, with the highest mark that was committed there. It is
not set back when a backup of the database is restored, so it tells that the database is behind. The processes of one
machine, or of one volume, share the file.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

log = logging.getLogger(__name__)

DIGITS = 20  # of a mark: always as many octets in one place, so that writing it needs no space and is never half done
SYNC_SECONDS = 5.0
_told: set[Path] = set()
_synced: dict[Path, float] = {}
_lock = threading.Lock()


def mark_of(key: str) -> int | None:
    """The highest mark known of a database; None when nothing is known of it here."""
    try:
        text = _file(key).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _tell(error)
        return None
    return int(text) if text.strip().isdigit() else None


def note(key: str, mark: int) -> None:
    """Remember a mark that is committed, unless a higher one is known. A process that dies loses nothing of it; a
    machine that does, the last SYNC_SECONDS.
    """
    try:
        with _locked(_file(key)) as handle:
            text = os.pread(handle, DIGITS, 0)
            if text.strip().isdigit() and int(text) >= mark:
                return
            os.pwrite(handle, b"%0*d\n" % (DIGITS, mark), 0)
            _sync(_file(key), handle)
    except OSError as error:
        _tell(error)


def _file(key: str) -> Path:
    return settings.WITNESS_DIR / key


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)  # ends the lock


def _sync(path: Path, handle: int) -> None:
    now = time.monotonic()
    with _lock:
        if now - _synced.get(path, -SYNC_SECONDS) < SYNC_SECONDS:
            return
        _synced[path] = now
    os.fsync(handle)


def _tell(error: OSError) -> None:
    """Once: it protects from a restore that nobody noticed, and its absence stops nothing."""
    if settings.WITNESS_DIR not in _told:
        _told.add(settings.WITNESS_DIR)
        log.warning(
            "WITNESS_DIR cannot be used (%s): it may not be noticed when this database is restored from a backup", error
        )
