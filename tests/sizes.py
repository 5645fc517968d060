"""How much is tried. TESTS says which of these run; `make` has a target for each.

suite: everything, sharp and short: `make test`.
quick: of the unit and integration tests each once, with the first of its cases, without those marked `slow`.
drills: what is marked `drill`: the slow tests, and the cases that the suite leaves out; and what is marked `attack`.
soak: what is marked `soak`, and once more, longer, what is marked `sized` or tries examples of hypothesis.
"""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import services

TESTS = os.environ.get("TESTS", "suite")
MARKS = {"suite": {"suite"}, "quick": {"suite"}, "drills": {"drill", "attack"}, "soak": {"soak", "sized", "hypothesis"}}
NOT_QUICK = {"slow", "process", "services", "browser"}
# What takes longest begins first, so that no process of the run is left alone with it in the end.
ORDER = ["browser", "system", "upgrade", "integration", "unit"]
# A busy machine may slow an example, never fail it.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}

settings.register_profile("suite", max_examples=40, derandomize=True, **PATIENT)
settings.register_profile("soak", max_examples=5000, print_blob=True, **PATIENT)
settings.load_profile("soak" if TESTS == "soak" else "suite")


def several(few, many):
    """`few` in the suite, `many` in the soak; a test that asks is marked `sized`."""
    return many if TESTS == "soak" else few


def also_in_drills(*cases, needs=None):
    """More cases of a test, as parameters, which the suite leaves out; `needs` is one more mark.

    A tuple stands for several arguments.
    """
    marks = [pytest.mark.drill, *([needs] if needs else [])]
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks) for case in cases]


def sampled(cases):
    """Many cases that are alike: every third in the suite, the others in the drills."""
    return [case if number % 3 == 0 else also_in_drills(case)[0] for number, case in enumerate(cases)]


# What an installation runs on. Where the real services are there, the suite leaves the embedded default to the drills.
STACKS = [
    pytest.param("embedded", marks=[] if services.missing() else pytest.mark.drill),
    pytest.param("services", marks=pytest.mark.services),
]


def matrix(*axes):
    """Every combination, as parameters of a test; the suite has each value of each axis in one of them at least.

    A tuple stands for several arguments.
    """
    axes = [[value if isinstance(value, tuple) else (value,) for value in axis] for axis in axes]
    chosen = {tuple(number % len(axis) for axis in axes) for number in range(max(map(len, axes)))}
    found = []
    for places in itertools.product(*[range(len(axis)) for axis in axes]):
        arguments = [value for axis, place in zip(axes, places, strict=True) for value in axis[place]]
        found.append(pytest.param(*arguments, marks=[] if places in chosen else [pytest.mark.drill]))
    return found


def choose(items):
    """The tests that run now, in the order in which they begin."""
    chosen = [item for item in items if _marks(item) & MARKS[TESTS]]
    if TESTS == "quick":
        first_cases = {}
        for item in filter(_is_quick, chosen):
            first_cases.setdefault(item.nodeid.partition("[")[0], item)
        chosen = first_cases.values()
    return sorted(chosen, key=lambda item: ORDER.index(_kind(item)))


def _marks(item):
    marks = {mark.name for mark in item.iter_markers()}
    return marks if marks & {"drill", "soak"} else marks | {"suite"}


def _is_quick(item):
    return _kind(item) in ("unit", "integration") and not _marks(item) & NOT_QUICK


def _kind(item):
    return Path(item.location[0]).parts[1]
