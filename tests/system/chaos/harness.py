"""Kills the real worker again and again while it delivers, and compares what arrived with what the database says."""

import random
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests import services
from tests.installation import BEAT, WORKER, Installation
from tests.system.chaos.sink import STAGES, Sink
from tests.system.chaos.verdict import compare

# Two leases and a sweep of beat, twice, with a machine that has other things to do.
PATIENCE = 90
VARIABLES = {
    "LEASE_SECONDS": "2",
    "SWEEP_SECONDS": "1",
    "CLAIM_SIZE": "4",
    "LANES_PER_ACCOUNT": "3",
    "LANE_TURN_SECONDS": "5",
    "RETRY_GAPS": "1,1,1,1,1,1",
    "PROBE_GAPS": "1",
}


class Office:
    """Calls functions of inside.py within an installation: `office.fill(count=3, seed=1)`."""

    def __init__(self, installation):
        self.installation = installation

    def __getattr__(self, name):
        return partial(self.installation.call, "tests.system.chaos.inside", name)


def settle(office, seconds=PATIENCE, between=lambda: None):
    """Wait until nothing moves by itself any more, and call `between` while waiting; whether it came to rest."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        between()
        if not office.counts()["moving"]:
            return True
        time.sleep(0.3)
    return False


@dataclass
class Kill:
    """One kill: when (seconds since 1970), how its moment was chosen, and where each open connection was."""

    at: float
    aim: str
    stages: list[str]


@dataclass
class Run:
    """A run of the harness on one installation.

    Args:
        kills: how often the worker is killed.
        seed: of the moments, the messages and the server's delays.
        backlog: messages kept waiting.
        delay: see Sink.
        persons: whether someone decides about unknown and failed messages between the kills.
        hurry: sweep in the end as a second beat would, instead of waiting for the next tick of the first.
    """

    installation: Installation
    kills: int
    seed: int
    backlog: int = 60
    delay: float = 0.06
    persons: bool = True
    hurry: bool = False
    say: object = staticmethod(lambda line: None)
    done: list[Kill] = field(default_factory=list)
    accepted: dict = field(default_factory=dict)
    orders: list = field(default_factory=list)

    def run(self):
        """Returns the verdict."""
        self.chance = random.Random(self.seed)
        with Sink(delay=self.delay, seed=self.seed) as self.sink:
            self.office = office = Office(self.installation)
            office.set_up(port=self.sink.port, accounts=2)
            self.worker, self.beat = self.installation.start(WORKER), self.installation.start(BEAT)
            for number in range(1, self.kills + 1):
                self._fill_up(number)
                self._kill_once(number)
                if self.persons and number % 8 == 0:
                    self.orders += office.decide(seed=self.seed + number, share=0.3)
                if number % 10 == 0:
                    self.say(f"  {number} kills, {len(self.accepted)} messages, {len(self.sink.ledger)} accepted")
            settle(office, between=office.sweep if self.hurry else lambda: None)
            time.sleep(0.5)
            kills = [(kill.at, len(kill.stages)) for kill in self.done]
            return compare(
                self.accepted, office.snapshot(), list(self.sink.ledger), self.orders, kills, dict(self.sink.replied)
            )

    def _fill_up(self, number):
        missing = self.backlog - self.office.counts()["moving"]
        if missing > self.backlog // 4:
            self.accepted |= self.office.fill(count=missing, seed=self.seed * 1000 + number)

    def _kill_once(self, number):
        """Kill the worker at a random moment of a kind chosen at random, and start it again at once."""
        killed = threading.Event()

        def kill():
            stages = self.sink.stages()
            self.done.append(Kill(time.time(), aim, stages))
            self.worker.send_signal(signal.SIGKILL)
            killed.set()

        aim = self.chance.choices(["start", "any time", *STAGES], [2, 6, *[1] * (len(STAGES) - 1), 4])[0]
        if aim in STAGES:
            # A few milliseconds after the server reached that stage, with some luck and in another conversation.
            self.sink.at(aim, self.chance.randint(1, 25), self.chance.uniform(0, 0.006), kill)
        else:
            begun = threading.Event()
            if aim == "any time":
                self.sink.at("EHLO", 1, 0, begun.set)
                begun.wait(10)
            time.sleep(self.chance.uniform(0, 1.5))
            self.sink.loop.call_soon_threadsafe(kill)
        if not killed.wait(10):
            self.sink.aim = None
            self.sink.loop.call_soon_threadsafe(kill)
            killed.wait(10)
        self.worker.wait(10)
        self.worker = self.installation.start(WORKER)
        if number % 10 == 5:
            self.installation.stop(self.beat, signal.SIGKILL)
            self.beat = self.installation.start(BEAT)

    # --- The report ------------------------------------------------------------------------------

    def report(self, verdict):
        """What is printed in the end."""
        statuses, given = verdict.statuses, Counter(order["verb"] for order in self.orders)
        stages = Counter(stage for kill in self.done for stage in kill.stages)
        idle = sum(not kill.stages for kill in self.done)
        most = max(verdict.unknown_per_kill, default=0)
        lines = [
            f"kills {len(self.done)}, messages {len(self.accepted)}, sent {statuses['sent']}, "
            f"failed {statuses['failed']}, unknown {statuses['unknown']}, still waiting {len(verdict.waiting)}",
            f"accepted by the server {len(self.sink.ledger)}; orders of persons: {_told(given) or 'none'}",
            f"lost {len(verdict.lost)}, silent duplicates {len(verdict.duplicates)}, untrue {len(verdict.untrue)}, "
            f"damaged {len(verdict.damaged)}",
            f"unknown per kill: at most {most}, {sum(verdict.unknown_per_kill) / max(1, len(self.done)):.2f} on "
            f"average; kills with more than connections: {len(verdict.too_many_unknown)}",
            f"what the unknown were: {_told(verdict.unknown_by_truth) or 'none'}",
            "connections broken, by what they had come to: "
            + _told({stage: stages[stage] for stage in [*STAGES, *sorted(stages.keys() - set(STAGES))]}),
            f"kills without any connection open (before the first claim, or between two): {idle}",
            "moments: " + _told(Counter(kill.aim for kill in self.done)),
        ]
        return lines + verdict.findings[:40]


def _told(counts):
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def installation_for(stack, folder, **variables):
    """An installation of a stack: "services" are those that the environment names, "embedded" needs none."""
    urls = services.urls() if stack == "services" else {}
    return Installation(Path(folder), **urls, **(VARIABLES | variables))


def run_stack(stack, kills, seed, say):
    """Run and report on one stack; whether nothing was found."""
    say(f"{stack}: {kills} kills, seed {seed}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="outtray-chaos-") as folder, installation_for(stack, folder) as here:
        run = Run(here, kills, seed, say=say)
        verdict = run.run()
    for line in run.report(verdict):
        say(f"{stack}: {line}")
    say(f"{stack}: {time.monotonic() - started:.0f} s")
    return not verdict.findings
