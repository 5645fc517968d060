"""What this installation remembers of its databases outside of them: how far each has come.

A file per database under WITNESS_DIR, named by its Lineage.key, with the highest mark that was committed there. It is
not set back when a backup of the database is restored, so it tells that the database is behind. The processes of one
machine, or of one volume, share the file.

Beside it a file per lane at work, with the message that it handed over last: a lane that is killed does not raise the
mark any more, and a backup may have been made within its last claim.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass(frozen=True)
class HandedOver:
    """What a lane that is not at work any more handed over last: the message, by which claim of it, and in which
    transaction of that claim, from 1 on.
    """

    file: Path
    message: int
    fence: int
    transaction: int


class Journal:
    """Where a lane notes, before each final dot, which message that is. It holds a lock on the file while it lives."""

    def __init__(self, key: str, owner: str) -> None:
        self._path = _lanes(key) / owner
        self._handle: int | None = None

    def note(self, *handed_over: int) -> None:
        """Message, fence and transaction, as in HandedOver: always as many octets, see DIGITS."""
        try:
            if self._handle is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.pwrite(self._handle, b"%020d %020d %020d\n" % handed_over, 0)
        except OSError as error:
            _tell(error)

    def close(self, *, is_settled: bool) -> None:
        """The lane ends; without `is_settled`, what it noted stays for the next `check`."""
        if self._handle is None:
            return
        if is_settled:
            self._path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def left_by_lanes(key: str) -> list[HandedOver]:
    """What lanes that were killed noted."""
    try:
        return [found for file in _lanes(key).iterdir() if (found := _left(file)) is not None]
    except FileNotFoundError:
        return []
    except OSError as error:
        _tell(error)
        return []


def _left(file: Path) -> HandedOver | None:
    try:
        with file.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            message, fence, transaction = map(int, handle.read().split())
    except (BlockingIOError, FileNotFoundError, ValueError):  # it is at work, ended just now, or has just begun
        return None
    return HandedOver(file, message, fence, transaction)


def forget(found: Iterable[HandedOver]) -> None:
    """A higher mark says the same."""
    for each in found:
        each.file.unlink(missing_ok=True)


def _lanes(key: str) -> Path:
    return settings.WITNESS_DIR / f"{key}.lanes"


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
    """Once: it protects from a restore that no one noticed, and its absence stops nothing."""
    if settings.WITNESS_DIR not in _told:
        _told.add(settings.WITNESS_DIR)
        log.warning(
            "WITNESS_DIR cannot be used (%s): it may not be noticed when this database is restored from a backup", error
        )
