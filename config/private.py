"""Keeps what Outtray stores from the other users of the machine: folders 0700 and files 0600, whatever the umask.

A folder that was given to its group on purpose (chmod 2770: the setgid bit, and nothing for others) stays its group's.
What cannot be closed stops nothing: `close` says what it is and what to do.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

OF_SQLITE = ("", "-wal", "-shm", "-journal")  # the files of a database
OTHERS, ALL_BUT_OWNER = 0o007, 0o077
# Shared by all of the machine: they are used if someone names them, and not closed to everyone else.
OF_THE_MACHINE = frozenset(
    ["/", "/dev/shm", "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/tmp", "/usr",  # noqa: S108
     "/var", "/var/lib", "/var/spool", "/var/tmp"]  # noqa: S108
)  # fmt: skip


class Place(NamedTuple):
    """A file or folder, and the variable that says where it is. `is_ours`: everything in the folder was put there by
    Outtray.
    """

    name: str
    path: Path
    is_ours: bool = True


def set_umask(folder: Path) -> None:
    """Let this process make files for its own user alone; for the group as well where `folder` was given to it."""
    os.umask(_whom_to_keep_out(folder))


def close(places: Iterable[Place]) -> list[str]:
    """Take everyone else's rights away from what is there; a sentence for each place that stays open.

    A folder that is closed already is not looked into: no one else gets to what it holds.
    """
    return [words for place in places if (words := _close(place))]


def is_open_to_others(file: Path) -> bool:
    """Whether users who are neither its owner nor in its group can read a file, as far as that can be seen."""
    try:
        return bool(file.stat().st_mode & stat.S_IROTH and file.parent.stat().st_mode & stat.S_IXOTH)
    except OSError:
        return False


def _close(place: Place) -> str:
    path = place.path
    try:
        mode = path.stat().st_mode
    except OSError:
        return ""
    is_folder = stat.S_ISDIR(mode)
    whom = _whom_to_keep_out(path if is_folder else path.parent)
    if not mode & whom:
        return ""
    if is_folder and (mode & stat.S_ISVTX or str(path.resolve()) in OF_THE_MACHINE):
        return f"{place.name} is {path}, which others use as well. Give Outtray a folder of its own."
    if is_folder and place.is_ours:
        for inner in _within(path):
            _restrict(inner, whom)
    why = _restrict(path, whom)
    is_reached = why and (is_folder or not _is_closed(path.parent))
    return f"Other users of this machine can open {path} ({place.name}), {why}" if is_reached else ""


def _within(folder: Path) -> Iterator[Path]:
    """The files and folders in it, the deepest first; no links, which lead elsewhere."""
    for root, folders, files in os.walk(folder, topdown=False):
        yield from (path for name in (*files, *folders) if not (path := Path(root, name)).is_symlink())


def _restrict(path: Path, whom: int) -> str:
    """Take the rights `whom` away; why that cannot be done, and what to do."""
    try:
        mode = path.stat().st_mode
        if not mode & whom:
            return ""
        path.chmod(stat.S_IMODE(mode) & ~whom)
        if path.stat().st_mode & whom:
            return "because its file system keeps no permissions. Move it to another one, or mount it for one user."
    except FileNotFoundError:  # gone meanwhile
        return ""
    except OSError as error:
        want = "700" if path.is_dir() else "600"
        return f"and this process may not change that: {error.strerror}. Its owner can: chmod {want} {path}"
    return ""


def _whom_to_keep_out(folder: Path) -> int:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return ALL_BUT_OWNER
    return OTHERS if mode & stat.S_ISGID and not mode & OTHERS else ALL_BUT_OWNER


def _is_closed(folder: Path) -> bool:
    try:
        return not folder.stat().st_mode & _whom_to_keep_out(folder)
    except OSError:
        return False
