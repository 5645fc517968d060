"""How much is tried: sharp and short in the suite, long in `make soak`.

TESTS=soak runs what is marked `soak`, and once more, longer, what is marked `sized` or tries examples of hypothesis.
TESTS=drills runs what is marked `drill`. Without it the suite runs: all that is marked neither way.
"""

import itertools
import os

import pytest
from hypothesis import HealthCheck, settings

TESTS = os.environ.get("TESTS", "suite")
MARKS = {"suite": ["suite"], "drills": ["drill"], "soak": ["soak", "sized", "hypothesis"]}
# A busy machine may slow an example, never fail it.
PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}

settings.register_profile("suite", max_examples=40, derandomize=True, **PATIENT)
settings.register_profile("soak", max_examples=5000, print_blob=True, **PATIENT)
settings.load_profile("soak" if TESTS == "soak" else "suite")


def several(few, many):
    """`few` in the suite, `many` in the soak; a test that asks is marked `sized`."""
    return many if TESTS == "soak" else few


def matrix(*axes):
    """Every combination, as parameters of a test; the suite has each value of each axis in one of them at least.

    A tuple stands for several arguments.
    """
    axes = [[value if isinstance(value, tuple) else (value,) for value in axis] for axis in axes]
    chosen = {tuple(number % len(axis) for axis in axes) for number in range(max(map(len, axes)))}
    found = []
    for places in itertools.product(*[range(len(axis)) for axis in axes]):
        arguments = [value for axis, place in zip(axes, places, strict=True) for value in axis[place]]
        found.append(pytest.param(*arguments, marks=[] if places in chosen else [pytest.mark.soak]))
    return found


def is_chosen(item):
    """Whether a test belongs to what runs now."""
    marks = {mark.name for mark in item.iter_markers()}
    if not marks & {"drill", "soak"}:
        marks.add("suite")
    return bool(marks & set(MARKS[TESTS]))
