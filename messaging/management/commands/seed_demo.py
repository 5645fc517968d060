"""Put demo messages into the queue, or into its history."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from messaging import demo
from messaging.management import arguments

MOST = 10_000_000
MOST_MONTHS = 240


class Command(BaseCommand):
    help = (
        "Without options: the forty messages and the people of a first start. With --messages: that many more, "
        "waiting in the queue, or with --months as history."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--messages", type=arguments.number(int, 1, MOST), metavar="N", help="how many more")
        months = arguments.number(float, 0, MOST_MONTHS)
        parser.add_argument("--months", type=months, default=0, metavar="M", help="as history of so many months")
        parser.add_argument("--seed", type=int, help="the same number makes the same messages")

    def handle(self, *args: Any, **options: Any) -> None:
        count, months = options["messages"], options["months"]
        if count is None:
            if months or options["seed"] is not None:
                raise CommandError("--months and --seed go with --messages N.")
            demo.first_run()
            self.stdout.write("The demo's messages are in the queue.")
            return
        began = time.monotonic()
        counts = demo.add_messages(count, months=months, seed=options["seed"])
        told = ", ".join(f"{number:,} {status}" for status, number in counts.most_common())
        self.stdout.write(f"{count:,} more messages in {time.monotonic() - began:.1f} s: {told}")
