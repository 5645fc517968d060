"""Figures as a table: medians, spread, ratios round by round, targets met or not."""

from collections.abc import Sequence
from statistics import median

Figures = dict[str, list[float]]


def spread(values: Sequence[float], form: str = ".0f") -> str:
    """Median and, in brackets, the lowest and the highest."""
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def ratios(values: Sequence[float], base: Sequence[float]) -> list[float]:
    """Each run against the base's run of the same round, so that a drift of the machine hits both."""
    return [value / reference for value, reference in zip(values, base, strict=True)]


def table(title: str, figures: Figures, against: str) -> str:
    """A Markdown table of one measurement."""
    lines = [f"### {title}", "", f"| | median (min–max) | of {against} |", "|---|---:|---:|"]
    base = figures.get(against)
    for name, values in figures.items():
        ratio = spread(ratios(values, base), ".2f") if base else "–"
        lines.append(f"| {name} | {spread(values)} | {ratio} |")
    return "\n".join(lines) + "\n"
