"""What is measured, in which order, and how much of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from .contestants import Command, Contestant, Direct, Drain, Outtray, Services, TaskPerMail

LIMIT = "smtplib, 8 connections"
CLICK = 10  # messages of a batch that is confirmed to see how soon the first one comes


@dataclass(frozen=True)
class Scenario:
    """Messages of a kind against a sink with so many milliseconds of latency."""

    kind: str
    latency: float
    messages: int

    @property
    def title(self) -> str:
        size = {"small": "2 KB", "report": "200 KB PDF reports"}[self.kind]
        return f"{size}, sink at {self.latency:g} ms"


QUICK = [Scenario("small", 0, 550), Scenario("small", 20, 160), Scenario("report", 0, 165)]
FULL = [
    Scenario("small", 0, 11_000),
    Scenario("small", 5, 2200),
    Scenario("small", 20, 1100),
    Scenario("report", 0, 550),
    Scenario("report", 5, 550),
    Scenario("report", 20, 330),
]


@dataclass
class Results:
    """Everything measured: a Drain per scenario, contestant and round, and Outtray's own figures."""

    drains: dict[Scenario, dict[str, list[Drain]]] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    clicks: dict[str, list[float]] = field(default_factory=dict)
    peaks: list[float] = field(default_factory=list)


def contestants(embedded: Services, *, full: bool) -> list[Contestant]:
    """All of them; in the small run those settings of each that the full one showed to be best."""
    found: list[Contestant] = [
        Direct("smtplib, 1 connection", embedded, "smtplib", connections=1),
        Direct(LIMIT, embedded, "smtplib"),
        Direct("Django's SMTP backend, 1 connection", embedded, "django", connections=1, peer="django_smtp"),
    ]
    services = real_services(embedded)
    if services:
        found += _queues(services, "PostgreSQL", full=full)
        for pool in ("prefork", "threads") if full else ("prefork",):
            found.append(TaskPerMail(f"one task per mail, {pool}", services, "task", pool=pool))
    return [*found, *_queues(embedded, "SQLite", full=full)]


def real_services(embedded: Services) -> Services | None:
    """PostgreSQL and Redis, if the environment names them."""
    database_url, broker_url = os.environ.get("DATABASE_URL", ""), os.environ.get("CELERY_BROKER_URL", "")
    if database_url.startswith("postgres") and broker_url.startswith("redis"):
        return Services(embedded.folder.with_name("services"), embedded.sink, database_url, broker_url)
    return None


def _queues(services: Services, where: str, *, full: bool) -> Iterator[Contestant]:
    yield Outtray(f"Outtray, {where}", services, f"outtray, {where}")
    for processes, threads in ((2, 4), (1, 8), (8, 1)) if full else ((2, 4),):
        lock = services.folder / f"lock-{processes}"
        yield Command(
            f"django-post_office, {processes} x {threads}, {where}",
            services,
            f"post_office, {where}",
            variables={"BENCH_THREADS": str(threads)},
            peer="post_office",
            arguments=("send_queued_mail", "--processes", str(processes), "--lockfile", str(lock)),
        )
    for processes in (1, 8) if full else (1,):
        yield Command(
            f"django-mailer, {processes} x, {where}",
            services,
            f"mailer, {where}",
            connections=processes,
            peer="django_mailer",
            arguments=("send_mail",),
            processes=processes,
        )


def measure(
    embedded: Services, field: list[Contestant], scenarios: list[Scenario], rounds: int, say: Callable[[str], None]
) -> Results:
    """Run it all: in each round every contestant has its turn."""
    results = Results(families={each.name: each.family for each in field})
    with ExitStack() as stack:
        for contestant in field:
            say(f"starting {contestant.name}")
            stack.enter_context(contestant)
        for scenario in scenarios:
            with _latency(embedded, scenario.latency):
                _drain(results, field, scenario, rounds, say)
        for contestant in field:
            if isinstance(contestant, Outtray):
                for number in range(2 * rounds + 1):
                    seconds = contestant.drain("small", f"click-{number}", CLICK).first_data_seconds
                    results.clicks.setdefault(contestant.name, []).append(seconds or 0.0)
    if any(isinstance(contestant, Outtray) for contestant in field):
        services = real_services(embedded) or embedded
        with Outtray("Outtray, one lane", services, connections=1) as lane:
            say("25 MB reports on one lane")
            results.peaks += [lane.peak_above_idle("huge", f"huge-{number}", 2) for number in range(rounds)]
    return results


def _drain(
    results: Results, field: list[Contestant], scenario: Scenario, rounds: int, say: Callable[[str], None]
) -> None:
    drains = results.drains.setdefault(scenario, {})
    for number in range(rounds):
        for contestant in field:
            count = contestant.count(scenario.messages, scenario.kind, scenario.latency)
            drain = contestant.drain(scenario.kind, f"{scenario.kind}-{scenario.latency:g}-{number}", count)
            drains.setdefault(contestant.name, []).append(drain)
            say(f"{scenario.title}, round {number + 1}: {contestant.name}: {drain.rate:.0f}/s")


@contextmanager
def _latency(services: Services, milliseconds: float) -> Iterator[None]:
    services.sink.ask(f"latency {milliseconds}")
    try:
        yield
    finally:
        services.sink.ask("latency 0")
