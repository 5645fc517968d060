"""Figures as tables: medians, spread, ratios round by round, targets met or not."""

import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median

from .contestants import Drain
from .machine import ROOT
from .plan import CLICK, LIMIT, Results, Scenario

PAGE = ROOT / "docs" / "benchmarks.md"
START, STOP = "<!-- figures: written by make bench ARGS=--write -->", "<!-- end of figures -->"
PACKAGES = ("Django", "celery", "psycopg", "redis", "django-post-office", "django-mailer")


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Median and, in brackets, the lowest and the highest."""
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Each run against the base's run of the same round, so that a drift of the machine hits both."""
    return [value / reference for value, reference in zip(values, base, strict=True)]


def verdict(values: Sequence[float], target: float, *, at_least: bool) -> str:
    """Whether the median meets a target."""
    met = median(values) >= target if at_least else median(values) <= target
    return "met" if met else "**not met**"


def report(results: Results) -> str:
    """All tables, as Markdown."""
    parts = [_targets(results)]
    parts += [_scenario(scenario, drains) for scenario, drains in results.drains.items()]
    return "\n".join(parts)


def write(text: str) -> None:
    """Put the tables between the markers of docs/benchmarks.md; what is written around them stays."""
    page = PAGE.read_text()
    before, after = page.partition(START)[0], page.partition(STOP)[2]
    PAGE.write_text(f"{before}{START}\n\n{text}\n{STOP}{after}")


def machine() -> str:
    """When, where, with what and how this was measured."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%d %B %Y}; {os.cpu_count()} cores, {platform.machine()}, {platform.system()}; "
        f"Python {platform.python_version()}, {versions}.\n"
        f"Command: `make bench{_arguments()}`.\n"
    )


def _arguments() -> str:
    return f' ARGS="{" ".join(sys.argv[1:])}"' if sys.argv[1:] else ""


# --- Tables ------------------------------------------------------------------------------------------


def _scenario(scenario: Scenario, drains: dict[str, list[Drain]]) -> str:
    lines = [
        f"### {scenario.title}",
        "",
        f"Median (lowest–highest) of {len(drains[LIMIT])} rounds; messages per second, as the sink saw them.",
        "",
        f"| | drain | of {LIMIT} | queue one by one | queue in one call | connections | statements per message |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    limit = _column(drains[LIMIT], "rate")
    for name, runs in drains.items():
        cells = [
            spread(_column(runs, "rate")),
            spread(ratios(_column(runs, "rate"), limit), ".2f"),
            _or_dash(_column(runs, "each_rate")),
            _or_dash(_column(runs, "at_once_rate")),
            _or_dash(_column(runs, "connections")),
            _or_dash(_column(runs, "statements_each"), ".2f"),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _column(runs: Sequence[Drain], name: str) -> list[float]:
    """One value of each run, without those that have none."""
    return [value for value in (getattr(run, name) for run in runs) if value is not None]


def _or_dash(values: Sequence[float], form: str = ".0f") -> str:
    return spread(values, form) if values else "–"


# --- Targets -----------------------------------------------------------------------------------------


def _targets(results: Results) -> str:
    lines = ["### Targets", "", "| what | target | measured | |", "|---|---:|---:|---|"]
    for what, target, at_least, form, values in _measured_targets(results):
        sign = "≥" if at_least else "≤"
        result = verdict(values, target, at_least=at_least) if values else "not measured"
        lines.append(f"| {what} | {sign} {target:g} | {_or_dash(values, form)} | {result} |")
    return "\n".join(lines) + "\n"


def _measured_targets(results: Results) -> list[tuple[str, float, bool, str, list[float]]]:
    """(what, target, whether more is better, format, values) for each target of the project that is measured here."""
    small = _drains(results, "small", 0)
    slow = _drains(results, "small", 20)
    reports = _drains(results, "report", 0)

    def against(base: str) -> list[float]:
        ours, others = _best(results, small, "outtray, PostgreSQL"), _best(results, small, base)
        return ratios(_column(ours, "rate"), _column(others, "rate")) if ours and others else []

    def limit(drains: dict[str, list[Drain]]) -> list[float]:
        ours = _best(results, drains, "outtray, PostgreSQL")
        return ratios(_column(ours, "rate"), _column(drains[LIMIT], "rate")) if ours else []

    clicks = [1000 * seconds for seconds in results.clicks.get("Outtray, PostgreSQL", [])]
    statements = _column(_best(results, small, "outtray, PostgreSQL"), "statements_each")
    return [
        ("drain, 2 KB, 0 ms: times django-post_office", 5, True, ".2f", against("post_office, PostgreSQL")),
        ("drain, 2 KB, 0 ms: times one task per mail", 5, True, ".2f", against("task")),
        (f"drain, 2 KB, 0 ms: of {LIMIT}", 0.5, True, ".2f", limit(small)),
        (f"drain, 2 KB, 20 ms: of {LIMIT}", 0.9, True, ".2f", limit(slow)),
        (f"drain, 200 KB reports, 0 ms: of {LIMIT}", 0.6, True, ".2f", limit(reports)),
        ("25 MB reports: a lane's peak above idle, MB", 60, False, ".0f", results.peaks),
        *_queueing(results),
        (f"click on confirm ({CLICK} messages) to first DATA, ms", 300, False, ".0f", clicks),
        ("SQL statements per delivered message", 3, False, ".2f", statements),
    ]  # fmt: skip


def _queueing(results: Results) -> list[tuple[str, float, bool, str, list[float]]]:
    """The same for what queues: one by one against its `send`, in one call against its `send_many`."""
    found: list[tuple[str, float, bool, str, list[float]]] = []
    for what, kind, rate, target in (
        ("queue one by one", "small", "each_rate", 1.5),
        ("queue in one call", "small", "at_once_rate", 1.5),
        ("queue 200 KB reports one by one", "report", "each_rate", 0.9),
    ):
        drains = _drains(results, kind, 0)
        for where in ("PostgreSQL", "SQLite"):
            ours, theirs = (_best(results, drains, f"{family}, {where}") for family in ("outtray", "post_office"))
            values = ratios(_column(ours, rate), _column(theirs, rate)) if ours and theirs else []
            found.append((f"{what}, {where}: times django-post_office", target, True, ".2f", values))
    return found


def _drains(results: Results, kind: str, latency: float) -> dict[str, list[Drain]]:
    found = [drains for each, drains in results.drains.items() if (each.kind, each.latency) == (kind, latency)]
    return found[0] if found else {}


def _best(results: Results, drains: dict[str, list[Drain]], family: str) -> list[Drain]:
    """The runs of that member of a family that drained fastest."""
    members = [runs for name, runs in drains.items() if results.families[name] == family]
    return max(members, key=lambda runs: median(run.rate for run in runs), default=[])
