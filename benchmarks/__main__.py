"""`make bench`: Outtray, its peers and the limit, one after the other, round after round."""

import argparse
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .contestants import Services
from .machine import Processes, SinkProcess
from .plan import FULL, QUICK, contestants, measure, real_services
from .report import machine, report, write

LEFT_OUT = """\
******************************************************************************
* The rows on PostgreSQL and Redis are LEFT OUT. To have them, set           *
* DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...              *
******************************************************************************"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything; without it a selection of about 3 minutes")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each contestant in each scenario")
    parser.add_argument("--only", default="", metavar="PATTERN", help="contestants whose name matches, and the limit")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="outtray-bench-")))
        sink_process = Processes(folder / "sink", {})
        stack.callback(sink_process.close)
        embedded = Services(folder / "embedded", SinkProcess(sink_process))
        if real_services(embedded) is None:
            print(LEFT_OUT)
        field = contestants(embedded, full=options.full)
        field = [each for each in field if each.family == "smtplib" or re.search(options.only, each.name)]
        say = lambda line: print(line, flush=True)  # noqa: E731
        results = measure(embedded, field, FULL if options.full else QUICK, options.rounds, say)
    text = f"{machine()}\n{report(results)}"
    print(text)
    if real_services(embedded) is None:
        print(LEFT_OUT)
    if options.write:
        write(text)


main()
