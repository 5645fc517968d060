"""The local mail catcher as a command: see messaging/local/catcher.py for what it answers to whom."""

import asyncio
import errno
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.environment import make_folder
from messaging.local import catcher
from messaging.system_errors import words_of


class Command(BaseCommand):
    help = (
        "Catch mail: a real SMTP server that keeps what it accepts as .eml files and delivers nothing. "
        "It refuses reject@..., full@... and spam@..., greylists greylist@..., answers slow@... late "
        "and hangs up on drop@... (any domain)."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine only")
        parser.add_argument("--port", type=int, default=settings.CATCHER_PORT, help="default: CATCHER_PORT")
        parser.add_argument("--dir", type=Path, default=settings.CAUGHT_DIR, help="where the files go; CAUGHT_DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port, folder = options["host"], options["port"], options["dir"]

        make_folder(folder, "CAUGHT_DIR" if folder == settings.CAUGHT_DIR else "--dir")

        def started(chosen: int) -> None:
            self.stdout.write(f"Catching mail on {host}:{chosen}; it is kept in {folder}")

        try:
            asyncio.run(catcher.serve(host, port, folder, started))
        except (OSError, OverflowError) as error:
            raise CommandError(_explained(error, host, port)) from error


def _explained(error: Exception, host: str, port: int) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return f"Port {port} is in use (CATCHER_PORT). Stop what uses it, or choose another: CATCHER_PORT={port + 1}"
    if number == errno.EACCES and port < 1024:
        return f"Port {port} needs root's rights (CATCHER_PORT). Choose one over 1023, such as CATCHER_PORT=1025"
    return f"The mail catcher cannot start on {host}:{port}: {words_of(error)}"
