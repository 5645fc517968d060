#!/usr/bin/env python
"""Django's command-line entry point."""

import os
import signal
import sys


def main() -> None:
    # Through a pipe, too, a line is there when it is written: programs wait for what a command announces.
    sys.stdout.reconfigure(line_buffering=True)
    if sys.argv[1:2] == ["runlocal"]:
        # Python loses a Ctrl-C that comes during some imports. Nothing is running yet, so the system may end us.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line
    from django.db import OperationalError, ProgrammingError

    try:
        execute_from_command_line(sys.argv)
    except SystemExit as stop:
        if isinstance(stop.code, str) and sys.argv[1:2] == ["sendmail"]:  # a variable makes no sense: environment.py
            sys.stderr.write(f"{stop}\n")
            raise SystemExit(os.EX_CONFIG) from stop
        raise
    except (OperationalError, ProgrammingError) as error:  # it is away, or not migrated
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"The database does not answer as it should: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
