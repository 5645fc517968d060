"""`make bench`: Outtray, its peers and the limit, one after the other, round after round."""

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .contestants import Contestant, Outtray, Raw
from .machine import Processes, SinkProcess
from .report import Figures, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--only", default="", help="names of contestants, separated by commas")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outtray-bench-")))
        sink_process = Processes(folder / "sink", {})
        stack.callback(sink_process.close)
        sink = SinkProcess(sink_process)
        field = [each for each in contestants(folder, sink) if not options.only or each.name in options.only.split(",")]
        for contestant in field:
            print(f"starting {contestant.name}", flush=True)
            stack.enter_context(contestant)
        rates: Figures = {}
        for number in range(options.rounds):
            for contestant in field:
                drain = contestant.drain("small", f"round-{number}", options.messages)
                rates.setdefault(contestant.name, []).append(drain.rate)
                print(number, contestant.name, drain, flush=True)
        print(table("Drain, 2 KB, 0 ms, messages/s", rates, against="smtplib, 8 connections"))


def contestants(folder: Path, sink: SinkProcess) -> list[Contestant]:
    found: list[Contestant] = [
        Raw("smtplib, 1 connection", folder, sink, connections=1),
        Raw("smtplib, 8 connections", folder, sink),
        Outtray("Outtray, SQLite", folder, sink),
    ]
    database_url, broker_url = os.environ.get("DATABASE_URL", ""), os.environ.get("CELERY_BROKER_URL", "")
    if database_url.startswith("postgres") and broker_url.startswith("redis"):
        found.append(Outtray("Outtray, PostgreSQL", folder, sink, database_url=database_url, broker_url=broker_url))
    else:
        print("*" * 78)
        print("* The rows on PostgreSQL and Redis are LEFT OUT. To have them, set           *")
        print("* DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...              *")
        print("*" * 78)
    return found


main()
