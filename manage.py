#!/usr/bin/env python
"""Django's command-line entry point."""

import errno
import os
import signal
import sys

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def check_output() -> None:
    """End with a line where what was written cannot get to where it goes: a full disk, or a reader that has ended."""
    try:
        sys.stdout.flush()  # what failed is still there
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its exit
        sys.exit(f"The output cannot be written: {error.strerror}. Check what was done before you call it again.")


def main() -> None:
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us: then a socket must not become what it was
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115, PTH123
    # Through a pipe, too, a line is there when it is written: programs wait for what a command announces. Letters that
    # the output does not know, as in the name of a folder, end nothing.
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    if sys.argv[1:2] == ["runlocal"]:
        # Python loses a Ctrl-C that comes during some imports. Nothing is running yet, so the system may end us.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError, DataError, IntegrityError

    from config.environment import Unready

    try:
        execute_from_command_line(sys.argv)
    except SystemExit as stop:
        if isinstance(stop.code, str) and sys.argv[1:2] == ["sendmail"]:  # environment.py
            sys.stderr.write(f"{stop}\n")
            raise SystemExit(os.EX_TEMPFAIL if isinstance(stop, Unready) else os.EX_CONFIG) from stop
        if not stop.code:
            check_output()
        raise
    except DatabaseError as error:  # it is away, full, read-only, not migrated, or its file is damaged
        if "--traceback" in sys.argv or isinstance(error, DataError | IntegrityError):
            raise
        sys.exit(f"The database does not answer as it should: {' '.join(str(error).split())}")
    except OSError as error:
        if "--traceback" in sys.argv:
            raise
        check_output()
        if error.errno not in NO_ROOM:
            raise
        where = f" {error.filename}" if error.filename else ""
        sys.exit(f"A file{where} cannot be written: {error.strerror}. Make room, and call it again.")


if __name__ == "__main__":
    main()
