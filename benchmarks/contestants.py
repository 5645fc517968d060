"""Who is compared, and how each is started, loaded and let go."""

import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE

from .agent import Agent
from .machine import Processes, SinkProcess, postgres_database, redis_prefix, wait_for

CONNECTIONS = 8
PATIENCE = 600.0


@dataclass
class Drain:
    """What the sink saw of one run."""

    rate: float
    connections: int
    octets_each: float
    enqueue_seconds: float | None = None
    first_data_seconds: float | None = None


@dataclass
class Contestant:
    """Something that sends mail. Used as a context: inside it its processes exist, frozen until a run."""

    name: str
    folder: Path
    sink: SinkProcess
    connections: int = CONNECTIONS
    cleanup: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> "Contestant":
        with ExitStack() as cleanup:
            self.environment: dict[str, str] = {"PYTHONPATH": "", "ENV_FILE": os.devnull}
            self.prepare(cleanup)
            self.cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.cleanup.close()

    def processes(self, cleanup: ExitStack) -> Processes:
        self.own = Processes(self.folder / self.name, self.environment)
        cleanup.callback(self.own.close)
        return self.own

    def agent_of(self, peer: str) -> Agent:
        self.agent = Agent(self.own.start("-m", f"benchmarks.peers.{peer}.agent", stdin=PIPE, stdout=PIPE))
        return self.agent

    def prepare(self, cleanup: ExitStack) -> None:
        raise NotImplementedError

    def load(self, kind: str, run: str, count: int) -> float | None:
        """Get the messages ready to be sent; how long queueing them took, where there is a queue."""
        raise NotImplementedError

    def let_go(self) -> float | None:
        """Have them sent; the moment of the order, where somebody gives one."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until the contestant knows that it is done."""

    def drain(self, kind: str, run: str, count: int) -> Drain:
        """Send `count` messages and look at what the sink says. Raises Void when that is not each once."""
        with self.own.awake():
            enqueue_seconds = self.load(kind, run, count)
            self.sink.ask("reset")
            ordered = self.let_go()
            wait_for(lambda: self.sink.ask("read")["accepted"] >= count, f"{self.name}: {count} messages", PATIENCE)
            self.settle()
            seen = self.sink.ask("read")
            check_ledger(self.name, run, count, self.sink.ask("ledger"))
        return Drain(
            rate=(count - 1) / (seen["last_accept"] - seen["first_accept"]),
            connections=seen["connections"],
            octets_each=seen["octets"] / count,
            enqueue_seconds=enqueue_seconds,
            first_data_seconds=seen["first_data"] - ordered if ordered else None,
        )


class Void(Exception):
    """A contestant did not deliver each message once: its figure says nothing."""


def check_ledger(name: str, run: str, count: int, ledger: list[tuple[str, str, int]]) -> None:
    """Raises Void unless each message of a run arrived once at its recipient, and nothing else did."""
    expected = {(f"<{run}.{number}@bench.example>", f"customer.{number}@example.com"): 1 for number in range(count)}
    arrived = {(message_id, recipient): times for message_id, recipient, times in ledger}
    if arrived != expected:
        lost = len(expected.keys() - arrived.keys())
        times = Counter(arrived.values())
        raise Void(f"{name}: {lost} of {count} did not arrive; how often the others did: {dict(times)}")


class Raw(Contestant):
    def prepare(self, cleanup: ExitStack) -> None:
        self.processes(cleanup)
        self.agent_of("raw")

    def load(self, kind: str, run: str, count: int) -> None:
        self.agent.call("load", kind=kind, run=run, count=count)

    def let_go(self) -> None:
        self.agent.call("drain", port=self.sink.port, connections=self.connections)


@dataclass
class Outtray(Contestant):
    """The real worker and beat, by config.processes, on PostgreSQL with Redis or on the embedded default."""

    database_url: str = ""
    broker_url: str = ""

    def prepare(self, cleanup: ExitStack) -> None:
        self.environment |= {
            "VAR_DIR": str(self.folder / self.name / "var"),
            "DJANGO_SETTINGS_MODULE": "benchmarks.peers.outtray.settings",
            "SECRET_KEY": "benchmark-" + "k" * 50,
            "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
            "HTTPS": "off",
            "LANES_PER_ACCOUNT": str(self.connections),
        }
        if self.database_url:
            self.environment["DATABASE_URL"] = cleanup.enter_context(postgres_database(self.database_url))
            self.environment["CELERY_BROKER_URL"] = self.broker_url
            self.environment["BENCH_PREFIX"] = cleanup.enter_context(redis_prefix(self.broker_url))
        own = self.processes(cleanup)
        own.run("manage.py", "migrate", "-v0")
        self.agent_of("outtray").call("set_up", port=self.sink.port)
        self.worker = own.start("-m", "config.processes", "worker")
        own.start("-m", "config.processes", "beat")
        wait_for(lambda: self.agent.call("is_ready"), f"the worker of {self.name}")
        self.drain("small", "warm-up", 5 * self.connections)

    def load(self, kind: str, run: str, count: int) -> float:
        return float(self.agent.call("enqueue_at_once", kind=kind, run=run, count=count))

    def let_go(self) -> float:
        return float(self.agent.call("release"))

    def settle(self) -> None:
        wait_for(lambda: not self.agent.call("unsettled"), f"{self.name}: all recorded as sent")
