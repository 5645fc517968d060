"""Run one batch of all that waits in the queue, in the foreground."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from time import sleep
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from messaging.delivery.lane import Lane
from messaging.delivery.store import restore_detection
from messaging.lifecycle import limits
from messaging.management import arguments
from messaging.models import Batch, Message
from messaging.queue import batches, pausing
from messaging.queue.actions import NotPossible
from messaging.setup import opt_files
from messaging.wording import state, waits

POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = "Process everything that waits in the queue as one batch. Exit code 0: all sent; 1: not all, see the report."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--account",
            type=arguments.text,
            metavar="NAME",
            help="the sending account; without it: the company's settings",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account = _account(options["account"])
        restore_detection.check(timezone.now())
        if (restored := pausing.after_restore()) is not None:
            raise CommandError(
                f"{state(restored)} On its page an administrator has to say what happened to the mail since."
            )
        try:
            batch = batches.process_all(by=None, account=account, source=Batch.Source.COMMAND)
        except NotPossible as error:
            raise CommandError("\n".join([str(error), *map(str, opt_files.read().errors)])) from error
        if batch is None:
            self.stdout.write("Nothing waits in the queue.")
            return
        lane = _send(batch, stop=_interrupted().is_set)
        report = batches.report(batch)
        total = report.counts["total"]
        messages = "1 message" if total == 1 else f"{total:,} messages"
        self.stdout.write(f"Batch {batch.pk}, {messages}: " + ", ".join(_in_words(report.counts)))
        for result, words, number in report.reasons:
            self.stdout.write(f"  {number} {result}: {words}")
        for words in _waiting(batch, report):
            self.stdout.write(f"  {words}")
        for file in lane.refused_by:
            self.stdout.write(f"  This server sends nothing until this .opt file is fixed: {file}")
        if report.counts["sent"] < report.counts["total"]:
            raise SystemExit(1)


def _account(name: str | None) -> User | None:
    if name is None:
        return None
    try:
        account = User.objects.get(username=name)
    except User.DoesNotExist as error:
        raise CommandError(f"There is no account “{name}”.") from error
    if not account.is_active:
        raise CommandError(f"The account “{name}” is deactivated. Name one that is active.")
    return account


def _send(batch: Batch, stop: Callable[[], bool]) -> Lane:
    """Send what is due, and wait for what workers send of the batch at the same time: they are woken, too."""
    while True:
        lane = Lane(batch.account_id, stop=stop)
        lane.run()
        if stop() or not _is_being_sent(batch):
            return lane
        while _is_being_sent(batch) and not stop():
            sleep(POLL_SECONDS)


def _is_being_sent(batch: Batch) -> bool:
    """Whether a living process has a message of the batch; what a dead one left, the sweep looks after."""
    held = Message.objects.filter(batch=batch, status=Message.Status.SENDING)
    return held.filter(lease_expires_at__range=limits.living(timezone.now())).exists()


def _interrupted() -> threading.Event:
    """Set by Ctrl-C or TERM: the transaction at hand is finished, the rest stays in the batch for the worker."""
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event


def _waiting(batch: Batch, report: batches.Report) -> list[str]:
    """What keeps the rest of the batch, and until when; the worker continues with it."""
    number = report.counts["waiting"] + report.counts["retrying"]
    if not number:
        return []
    pauses = pausing.holding_account(batch.account, timezone.now())
    words = [waits(pause) for pause in pauses] or ["They wait for their next try, or for another process that sends."]
    them = "1 message is" if number == 1 else f"{number} messages are"
    return [f"{them} not sent yet; the worker continues with them.", *words]


def _in_words(counts: dict[str, int]) -> list[str]:
    return [f"{counts[name]} {name}" for name in batches.RESULTS if counts[name]]
