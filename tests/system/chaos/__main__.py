"""The kill harness.

    python -m tests.system.chaos [--kills 200] [--stack services|embedded|both] [--seed N]

Exit code 1: something was lost, sent twice, untrue, damaged or never came to rest. 2: the services are not named.
"""

import random
import sys
from argparse import ArgumentParser

from tests import services
from tests.system.chaos.harness import run_stack

STACKS = {"services": ["services"], "embedded": ["embedded"], "both": ["services", "embedded"]}


def main():
    parser = ArgumentParser(
        prog="python -m tests.system.chaos", description="Kill the worker while it delivers; count."
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stack", choices=STACKS, default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    stacks = STACKS[options.stack]
    missing = services.missing()
    if "services" in stacks and missing:
        print(f"The services are not named: set {' and '.join(missing)}, or choose --stack embedded.")
        return 2
    good = [run_stack(stack, options.kills, options.seed, lambda line: print(line, flush=True)) for stack in stacks]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
