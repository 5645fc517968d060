"""The kill harness.

    python -m tests.system.chaos [--kills 200] [--stack services|embedded|both] [--seed N]

Without --stack it runs both where the services are named, and otherwise the embedded one, and says so loudly.

Exit code 1: something was lost, sent twice, untrue, damaged or never came to rest. 2: a stack was asked for whose
services are not named.
"""

import random
import sys
from argparse import ArgumentParser

from tests import services
from tests.system.chaos.harness import run_stack

LEFT_OUT = """\
************************************************************************
* Kills on real PostgreSQL and Redis are LEFT OUT. To run them, set    *
* DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...        *
************************************************************************"""
STACKS = {"services": ["services"], "embedded": ["embedded"], "both": ["services", "embedded"]}


def main():
    parser = ArgumentParser(
        prog="python -m tests.system.chaos", description="Kill the worker while it delivers; count."
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stack", choices=STACKS)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    missing = services.missing()
    if missing and options.stack in ("services", "both"):
        print(f"The services are not named: set {' and '.join(missing)}, or STACK=embedded.", file=sys.stderr)
        return 2
    stacks = STACKS[options.stack or ("embedded" if missing else "both")]
    is_less = missing and not options.stack
    if is_less:
        say(LEFT_OUT)
    good = [run_stack(stack, options.kills, options.seed, say) for stack in stacks]
    if is_less:
        say(LEFT_OUT)
    return 0 if all(good) else 1


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
