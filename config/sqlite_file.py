"""Whether the file of an SQLite database can be used: said before anything asks it, in plain words."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

LONGEST = 504  # octets: SQLite's MAX_PATHNAME of 512, less the `-journal` that it hangs on
MAGIC = b"SQLite format 3\0"
SECONDS = 5.0


def why_unusable(path: Path) -> str:
    """What is the matter with the file and what to do; "" when it can be used, or is made by the first who asks.

    Whether another process has it locked is not said: that passes.
    """
    if len(os.fsencode(path.absolute())) > LONGEST:
        return f"its path has more than {LONGEST} characters, which is too long for SQLite. Choose a shorter one."
    try:
        if not path.exists():
            return _why_not_made(path.parent)
        if not path.is_file():
            return "this is no file. Move it away, or name another one."
        if not os.access(path, os.R_OK | os.W_OK):
            return "this user may not read and write it. Change its owner or its permissions."
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return f"this user may not write to {path.parent}, where SQLite keeps files beside it. Change that."
        with path.open("rb") as file:
            begin = file.read(len(MAGIC))
    except OSError as error:
        return f"{error.strerror}."
    if begin and begin != MAGIC:
        return "it is no SQLite database, or its beginning was overwritten. Restore a backup, or move it away."
    return _why_not_opened(path)


def _why_not_made(folder: Path) -> str:
    if not folder.is_dir() or os.access(folder, os.W_OK | os.X_OK):
        return ""
    return f"this user may not write to {folder}. Change its owner or its permissions, or name another folder."


def _why_not_opened(path: Path) -> str:
    try:
        with closing(sqlite3.connect(path, timeout=SECONDS)) as database:
            database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return words_of(error)
    return ""


def words_of(error: BaseException) -> str:
    """An error of SQLite's for people: what is the matter with the file; "" when it is only locked."""
    match getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF:  # without the details of extended codes
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return ""
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return f"it is damaged ({error}). Restore a backup, or move it away."
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN:
            return f"this user may not read and write it, or the files beside it ({error}). Change their permissions."
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return f"its disk is full or failing ({error})."
    return f"{error}."
