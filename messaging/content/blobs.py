"""Attachment bodies as files named by their content: MEDIA_ROOT/blobs/ab/cdef... (SHA-256, in hexadecimal).

A body that many messages carry is stored once. A file is complete and on the disk before its name appears, so a name
in the database always means the whole body, whatever was cut off. A file that nothing names is forgotten when it is
old; a process that is about to name one makes it young again, and the folder's lock keeps the two apart.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from messaging.content.octets import CHUNK

STAYS_YOUNG = 3600.0  # seconds: far less than any age at which files are forgotten, and rarely touched for it
NEW = ".new-"


def put(data: bytes) -> str:
    """Store `data` and return its SHA-256; storing the same bytes again changes nothing. Raises OSError (disk full)."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = _path(sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent, fcntl.LOCK_SH):
        if is_intact(sha256, len(data)):
            if path.stat().st_mtime < time.time() - STAYS_YOUNG:
                os.utime(path)
            return sha256
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=NEW)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)
    return sha256


def read(sha256: str, start: int = 0) -> Iterator[bytes]:
    """Yield the stored bytes from `start`, at most CHUNK octets at a time. Raises FileNotFoundError."""
    with _path(sha256).open("rb") as file:
        file.seek(start)
        while data := file.read(CHUNK):
            yield data


def is_intact(sha256: str, size: int) -> bool:
    """Whether the file is there with `size` octets that still have this SHA-256."""
    path = _path(sha256)
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.st_size == size and _hash_of(path, stat.st_ino, stat.st_mtime_ns, size) == sha256


def is_there(sha256: str) -> bool:
    """Whether a file of that name is there, whatever is in it."""
    return _path(sha256).is_file()


def has_any() -> bool:
    """Whether anything was ever stored in what MEDIA_ROOT names now."""
    return (Path(settings.MEDIA_ROOT) / "blobs").is_dir()


def forget_unused(before: datetime, used: Callable[[], Iterable[str]]) -> int:
    """Remove what is older than `before` and not among the `used` names, and what a crash cut off; how many files.

    A process that stores a body commits its name long before it is that old again.
    """
    folder = Path(settings.MEDIA_ROOT) / "blobs"
    old = {path.parent.name + path.name: path for path in folder.glob("??/*") if _is_older(path, before)}
    if not old:
        return 0
    for sha256 in used():
        old.pop(sha256, None)
    return sum(_forget(path, before) for path in old.values())


def _forget(path: Path, before: datetime) -> bool:
    with _locked(path.parent, fcntl.LOCK_EX):
        if not _is_older(path, before):  # it was stored again meanwhile
            return False
        path.unlink(missing_ok=True)
    return True


def _is_older(path: Path, than: datetime) -> bool:
    try:
        return path.stat().st_mtime < than.timestamp()
    except FileNotFoundError:
        return False


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)


@lru_cache(maxsize=4096)
def _hash_of(path: Path, inode: int, changed_ns: int, size: int) -> str:
    """Hashed once per process and state of the file: a report sent to 10,000 customers is not read 20,000 times."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _path(sha256: str) -> Path:
    # In one go: joined piece by piece it takes a third of the time of a message with thousands of attachments.
    return Path(settings.MEDIA_ROOT, "blobs", sha256[:2], sha256[2:])


def _sync_folder(folder: Path) -> None:
    """Without it a power cut may forget the new name although the file itself was written."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
