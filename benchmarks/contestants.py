"""Who is compared, and how each is started, loaded and let go."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from subprocess import PIPE, Popen
from typing import Self

from .agent import Agent
from .machine import Processes, SinkProcess, forget_peak, memory, postgres_database, redis_prefix, wait_for
from .statements import total

CONNECTIONS = 8
PATIENCE = 600.0
ONE_BY_ONE = 11  # one message in so many is queued by itself, the others in one call


@dataclass
class Services:
    """Where contestants find what they need; no URL means the embedded default."""

    folder: Path
    sink: SinkProcess
    database_url: str = ""
    broker_url: str = ""


@dataclass
class Drain:
    """One run: messages a second as the sink saw them, and what it took.

    `each_rate` and `at_once_rate` are messages queued in a second, one by one and in one call; `first_data_seconds`
    from the order to the first DATA at the sink; `statements_each` SQL statements of the senders per message.
    """

    rate: float
    connections: int
    octets_each: float
    each_rate: float | None = None
    at_once_rate: float | None = None
    first_data_seconds: float | None = None
    statements_each: float | None = None


@dataclass
class Contestant:
    """Something that sends mail. Used as a context: inside it its processes exist, frozen until a run."""

    name: str
    services: Services
    family: str = ""
    connections: int = CONNECTIONS
    variables: dict[str, str] = field(default_factory=dict)
    cleanup: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            folder = self.services.folder / re.sub(r"\W+", "-", self.name)
            self.own = Processes(folder, {"VAR_DIR": str(folder), "BENCH_SMTP_PORT": str(self.services.sink.port)})
            self.own.environment |= self.variables
            cleanup.callback(self.own.close)
            self.prepare(cleanup)
            self.cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.cleanup.close()

    def count(self, messages: int, kind: str, latency: float) -> int:
        """How many messages of a scenario are its share: by connections where each waits, so that no turn is long."""
        return max(2, messages * self.connections // CONNECTIONS) if latency else messages

    def start_agent(self, peer: str) -> None:
        self.agent = Agent(self.own.start("-m", f"benchmarks.peers.{peer}.agent", stdin=PIPE, stdout=PIPE))

    def prepare(self, cleanup: ExitStack) -> None:
        raise NotImplementedError

    def load(self, kind: str, run: str, count: int) -> tuple[float | None, float | None]:
        """Get the messages ready; how many were queued in a second, one by one and in one call, if there is a queue."""
        raise NotImplementedError

    def let_go(self) -> float | None:
        """Have them sent; the moment of the order, where someone gives one."""
        raise NotImplementedError

    def settle(self) -> None:
        """Wait until the contestant knows that it is done."""

    def statements(self) -> int | None:
        """SQL statements of the sending processes so far."""
        return None

    def drain(self, kind: str, run: str, count: int) -> Drain:
        """Send `count` messages and look at what the sink says. Raises Void when that is not each once."""
        sink = self.services.sink
        with self.own.awake():
            each_rate, at_once_rate = self.load(kind, run, count)
            statements = self.statements()
            sink.ask("reset")
            ordered = self.let_go()
            wait_for(lambda: sink.ask("read")["accepted"] >= count, f"{self.name}: {count} messages", PATIENCE)
            self.settle()
            seen = sink.ask("read")
            check_ledger(self.name, run, count, sink.ask("ledger"))
            if statements is not None:
                statements = (self.statements() or 0) - statements
        return Drain(
            rate=(count - 1) / (seen["last_accept"] - seen["first_accept"]),
            connections=seen["connections"],
            octets_each=seen["octets"] / count,
            each_rate=each_rate,
            at_once_rate=at_once_rate,
            first_data_seconds=seen["first_data"] - ordered if ordered else None,
            statements_each=None if statements is None else statements / count,
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


@dataclass
class Direct(Contestant):
    """Sends from its own memory: the limit, and Django's backend. `peer` is its folder."""

    peer: str = "raw"

    def count(self, messages: int, kind: str, latency: float) -> int:
        """More where it is so fast that a turn would be too short to measure."""
        return messages * 5 if kind == "small" and not latency else super().count(messages, kind, latency)

    def prepare(self, cleanup: ExitStack) -> None:
        self.start_agent(self.peer)

    def load(self, kind: str, run: str, count: int) -> tuple[None, None]:
        self.agent.call("load", kind=kind, run=run, count=count)
        return None, None

    def let_go(self) -> None:
        self.agent.call("drain", port=self.services.sink.port, connections=self.connections)


@dataclass
class Queue(Contestant):
    """A Django project with a queue in a fresh database (or in Redis)."""

    peer: str = ""

    def prepare(self, cleanup: ExitStack) -> None:
        own, services = self.own, self.services
        self.counted = own.folder / "statements"
        self.counted.mkdir()
        own.environment["DJANGO_SETTINGS_MODULE"] = f"benchmarks.peers.{self.peer}.settings"
        if services.database_url:
            own.environment["DATABASE_URL"] = cleanup.enter_context(postgres_database(services.database_url))
            own.environment["CELERY_BROKER_URL"] = services.broker_url
            own.environment["BENCH_PREFIX"] = cleanup.enter_context(redis_prefix(services.broker_url))
        self.migrate()
        self.start_agent(self.peer)

    def migrate(self) -> None:
        self.own.run("-m", "django", "migrate", "-v0")

    def start_sending(self, *arguments: str) -> "Popen[bytes]":
        """Start a process whose statements count."""
        return self.own.start(*arguments, variables={"BENCH_STATEMENTS": str(self.counted)})

    def load(self, kind: str, run: str, count: int) -> tuple[float, float]:
        """The first part one by one, the rest in one call."""
        part = max(1, count // ONE_BY_ONE)
        each = self.agent.call("enqueue_each", kind=kind, run=run, count=part, first=0)
        at_once = self.agent.call("enqueue_at_once", kind=kind, run=run, count=count - part, first=part)
        return part / each, (count - part) / at_once

    def settle(self) -> None:
        wait_for(lambda: not self.agent.call("unsettled"), f"{self.name}: all recorded as sent")

    def statements(self) -> int:
        return total(self.counted)


@dataclass
class Outtray(Queue):
    """The real worker and beat, by config.processes, on PostgreSQL with Redis or on the embedded default."""

    peer: str = "outtray"

    def prepare(self, cleanup: ExitStack) -> None:
        self.own.environment |= {
            "ENV_FILE": os.devnull,
            "SECRET_KEY": "benchmark-" + "k" * 50,
            "FIELD_ENCRYPTION_KEYS": "A" * 43 + "=",
            "HTTPS": "off",
            "WITNESS_DIR": f"{self.own.environment['VAR_DIR']}/witness",
            "LANES_PER_ACCOUNT": str(self.connections),
        }
        super().prepare(cleanup)
        self.agent.call("set_up", port=self.services.sink.port)
        self.worker = self.start_sending("-m", "config.processes", "worker")
        self.start_sending("-m", "config.processes", "beat")
        wait_for(lambda: self.agent.call("is_ready"), f"the worker of {self.name}")
        self.drain("small", "warm-up", 5 * self.connections)

    def let_go(self) -> float:
        return float(self.agent.call("release"))

    def peak_above_idle(self, kind: str, run: str, count: int) -> float:
        """Megabytes that the worker needs for messages of a kind on top of what it has when idle; Linux only."""
        let_go = self.let_go
        idle = 0

        def remember() -> float:
            nonlocal idle
            idle = memory(self.worker.pid, "VmRSS")
            forget_peak(self.worker.pid)
            return let_go()

        self.let_go = remember  # type: ignore[method-assign]
        try:
            self.drain(kind, run, count)
        finally:
            self.let_go = let_go  # type: ignore[method-assign]
        return (memory(self.worker.pid, "VmHWM") - idle) / 1e6


@dataclass
class Command(Queue):
    """A queue that a management command empties, as cron would start it; `arguments` are the command's."""

    arguments: Sequence[str] = ()
    processes: int = 1

    def let_go(self) -> None:
        self.started = [self.start_sending("-m", "django", *self.arguments) for _ in range(self.processes)]

    def settle(self) -> None:
        for process in self.started:
            process.wait(PATIENCE)
            self.own.running.remove(process)
        super().settle()


@dataclass
class TaskPerMail(Queue):
    """A Celery worker with a task per mail. `pool` is Celery's; it stands still while the tasks are queued."""

    peer: str = "task_per_mail"
    pool: str = "prefork"

    def migrate(self) -> None:
        """There is no database in it."""

    def prepare(self, cleanup: ExitStack) -> None:
        super().prepare(cleanup)
        worker = ("-m", "celery", "--quiet", "-A", "benchmarks.peers.task_per_mail", "worker", "--loglevel", "WARNING")
        pool = ("--pool", self.pool, "--concurrency", str(self.connections))
        self.worker = self.start_sending(*worker, *pool, "--without-gossip", "--without-mingle", "--without-heartbeat")
        self.drain("small", "warm-up", 5 * self.connections)

    def load(self, kind: str, run: str, count: int) -> tuple[float, float]:
        os.killpg(self.worker.pid, SIGSTOP)
        return super().load(kind, run, count)

    def let_go(self) -> None:
        os.killpg(self.worker.pid, SIGCONT)

    def settle(self) -> None:
        """The sink has seen all of it, and no one else keeps an account."""
