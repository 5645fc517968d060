"""What is looked up, or else made, is kept apart by a constraint: two who ask at one moment get the same row."""

import ast
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import UniqueConstraint

# Each place by its file and the model, with what it looks rows up by.
PLACES = {
    ("delivery/store/restore_detection.py", "AccountPause"): {"account", "kind"},
    ("delivery/store/restore_detection.py", "Lineage"): {"pk"},
    ("delivery/pauses.py", "AccountPause"): {"account", "kind"},
    ("delivery/refusal_streaks.py", "RefusalStreak"): {"account", "stage", "wording"},
    ("delivery/unanswered.py", "UnansweredStreak"): {"account", "server"},
    ("housekeeping.py", "Heartbeat"): {"name"},
    ("notices/__init__.py", "NoticesSeen"): {"user"},
    ("access/roles.py", "Group"): {"name"},
    ("scheduling/schedules.py", "ScheduleRun"): {"schedule", "due_at"},
    ("queue/pausing.py", "AccountPause"): {"account", "kind"},
    ("setup/oauth/tokens.py", "AccessToken"): {"pk"},
}
# Where the model is named elsewhere.
HIDDEN = {"rows": "RefusalStreak", "limits": "AccountPause", "_orders_on": "AccountPause"}
LOOKS_UP = ("get_or_create", "update_or_create", "aget_or_create", "aupdate_or_create")


def model_of(call):
    """The first name of the expression that the method is called on."""
    node = call.func
    while not isinstance(node, ast.Name):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return HIDDEN.get(node.id, node.id)


def places():
    root = Path("messaging")
    for file in sorted(root.rglob("*.py")):
        if "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LOOKS_UP:
                yield str(file.relative_to(root)), model_of(node)


def test_the_table_has_each_place_and_no_other():
    assert set(places()) == PLACES.keys()


@pytest.mark.parametrize(("place", "fields"), PLACES.items(), ids=[" ".join(place) for place in PLACES])
def test_what_rows_are_looked_up_by_is_unique(place, fields):
    model = apps.get_model("auth" if place[1] == "Group" else "messaging", place[1])
    assert {"pk"} == fields or frozenset(fields) in unique_together(model)


def unique_together(model):
    """The sets of fields that a constraint keeps apart, also where it holds for the current rows alone."""
    yield from (frozenset({field.name}) for field in model._meta.fields if field.unique)
    for constraint in model._meta.constraints:
        if isinstance(constraint, UniqueConstraint):
            yield frozenset({*constraint.fields, *map(named, constraint.expressions)})


def named(expression):
    """The field of an expression such as Coalesce("account", 0)."""
    return expression.name if hasattr(expression, "name") else named(expression.get_source_expressions()[0])
