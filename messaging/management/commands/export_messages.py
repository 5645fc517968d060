"""Write messages with all that happened to them on standard output, as JSON Lines: see messaging/queue/export.py."""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import closing
from datetime import date
from signal import SIGINT
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import QuerySet

from messaging.company.options import local
from messaging.management import arguments
from messaging.models import Category, Message
from messaging.queue import export, selection


class Command(BaseCommand):
    help = (
        "Write messages as JSON Lines, one per line, in the order of their ids, as they are at one moment: all of "
        "them, or those that fit filters as the Message queue has them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--status", choices=["all", *Message.Status.values], default="all")
        parser.add_argument("--q", type=arguments.text, metavar="WORDS", help="in subject, recipients or sender")
        parser.add_argument("--sender", type=arguments.text, metavar="TEXT", help="of sender or author")
        parser.add_argument("--reason", choices=Category.values)
        parser.add_argument("--date-from", type=_day, metavar="DAY", help="queued from this day on: YYYY-MM-DD")
        parser.add_argument("--date-to", type=_day, metavar="DAY", help="queued until this day")
        parser.add_argument("--batch", type=int, metavar="N")

    def handle(self, *args: Any, **options: Any) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(line_buffering=False)  # manage.py writes each line by itself
        try:
            with local(), closing(export.each(_chosen(options))) as found:
                for message in found:
                    self.stdout.write(json.dumps(message))
            self.stdout.flush()
        except BrokenPipeError:  # who reads has enough, as `head` has; there is nothing to say, at the exit neither
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt as stop:
            raise CommandError("Stopped. Not everything was written.", returncode=128 + SIGINT) from stop
        except (DatabaseError, OSError) as error:
            words = " ".join(str(error).split())
            raise CommandError(f"Not everything was written: {words}") from error


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError("write a day as YYYY-MM-DD") from error
    if not 1990 <= day.year <= 2199:  # as in the console: beyond that, time zones give up
        raise ArgumentTypeError("write a day from 1990 to 2199")
    return day


def _chosen(options: dict[str, Any]) -> QuerySet[Message]:
    """Raises CommandError."""
    found = selection.AnyStatus({name: options[name] for name in selection.AnyStatus.base_filters if name in options})
    if found.problems:
        raise CommandError(" ".join(found.problems))
    return found.qs
