"""`make bench`: Outtray, its peers and the limit, one after the other, round after round."""

import argparse
import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .contestants import Command, Contestant, Direct, Outtray, Services, TaskPerMail
from .machine import Processes, SinkProcess
from .report import Figures, table


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--only", default="", help="regular expression for the names of contestants")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outtray-bench-")))
        sink_process = Processes(folder / "sink", {})
        stack.callback(sink_process.close)
        embedded = Services(folder / "embedded", SinkProcess(sink_process))
        field = [each for each in contestants(embedded) if re.search(options.only, each.name)]
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


def contestants(embedded: Services) -> list[Contestant]:
    found: list[Contestant] = [
        Direct("smtplib, 1 connection", embedded, connections=1),
        Direct("smtplib, 8 connections", embedded),
        Direct("Django's SMTP backend, 1 connection", embedded, connections=1, peer="django_smtp"),
    ]
    database_url, broker_url = os.environ.get("DATABASE_URL", ""), os.environ.get("CELERY_BROKER_URL", "")
    if database_url.startswith("postgres") and broker_url.startswith("redis"):
        services = Services(embedded.folder.with_name("services"), embedded.sink, database_url, broker_url)
        found += queues(services, "PostgreSQL")
        found += [TaskPerMail(f"one task per mail, {pool}", services, pool=pool) for pool in ("threads", "prefork")]
    else:
        print("*" * 78)
        print("* The rows on PostgreSQL and Redis are LEFT OUT. To have them, set           *")
        print("* DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...              *")
        print("*" * 78)
    return found + queues(embedded, "SQLite")


def queues(services: Services, where: str) -> list[Contestant]:
    found: list[Contestant] = [Outtray(f"Outtray, {where}", services)]
    for processes, threads in ((1, 8), (2, 4), (8, 1)):
        lock = services.folder / f"lock-{processes}"
        found.append(
            Command(
                f"django-post_office, {processes} x {threads}, {where}",
                services,
                variables={"BENCH_THREADS": str(threads)},
                peer="post_office",
                arguments=("send_queued_mail", "--processes", str(processes), "--lockfile", str(lock)),
            )
        )
    for processes in (1, 8):
        found.append(
            Command(
                f"django-mailer, {processes} x, {where}",
                services,
                peer="django_mailer",
                connections=processes,
                arguments=("send_mail",),
                processes=processes,
            )
        )
    return found


main()
