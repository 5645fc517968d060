"""The processes of an installation: their command lines, here and nowhere else.

`make run` starts them together; a container becomes one of them:

    python -m config.processes [--host 0.0.0.0] web|worker|beat|catcher
"""

import os
import sys
from argparse import ArgumentParser

NAMES = ("web", "worker", "beat", "catcher")


def command_line(name: str, host: str = "127.0.0.1") -> list[str]:
    """The command line of a process; `host` is the address that web and catcher listen on."""
    from django.conf import settings

    # Celery's warning about root is about pickled tasks; ours are JSON (CELERY_ACCEPT_CONTENT).
    celery = [sys.executable, "-W", "ignore:You're running the worker with superuser", "-m", "celery", "--quiet",
              "-A", "config"]  # fmt: skip
    return {
        "web": [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"{host}:{settings.PORT}",
                "--worker-class", "config.server.Worker", "--workers", "2", "--threads", "8",
                "--graceful-timeout", "10", "--timeout", "30", "--preload",
                "--log-level", "warning", "--no-control-socket"],
        # Threads, because a lane waits for the mail server most of its time.
        "worker": [*celery, "worker", "--pool", "threads", "--concurrency", "8", "--loglevel", settings.LOG_LEVEL,
                   "--without-gossip", "--without-mingle", "--without-heartbeat"],
        "beat": [*celery, "beat", "--loglevel", settings.LOG_LEVEL,
                 "--schedule", str(settings.VAR_DIR / "celerybeat-schedule")],
        "catcher": [sys.executable, "manage.py", "catchmail", "--host", host],
    }[name]  # fmt: skip


def main() -> None:
    parser = ArgumentParser(description="Become one of the processes of Outtray.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
    parser.add_argument("name", choices=NAMES)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    arguments = command_line(options.name, options.host)
    os.execv(arguments[0], arguments)  # noqa: S606


if __name__ == "__main__":
    main()
