"""The table of transitions: complete, drawn in the docs, and the only place that changes a state."""

import ast
import re
from pathlib import Path

import pytest

from messaging.lifecycle import transitions
from messaging.lifecycle.transitions import TABLE, Leaves, Transition, Who
from messaging.models import Message
from tests.picture import PAGE, PLACE, draw

Status = Message.Status
MESSAGING = Path("messaging")
WRITE_STATES = {"lifecycle", "migrations", "demo"}  # a demo makes up a history


def test_each_transition_is_in_the_table_once():
    made = [value for value in vars(transitions).values() if isinstance(value, Transition)]
    assert sorted(map(id, made)) == sorted(map(id, TABLE))
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_picture_in_the_docs_is_drawn_from_the_table():
    found = PLACE.search(PAGE.read_text(encoding="utf-8"))
    assert found is not None
    assert found.group() == draw(TABLE), "`make states` draws it anew"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_what_is_ordered_leaves_an_event(row):
    """Only what a lane does under its claim is told by an attempt, or changes nothing that anyone has to know."""
    assert row.event is not None or Who.LANE in row.who or row is transitions.LOSE


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_message_that_has_ended_changes_by_an_order_alone(row):
    ended = {Status.SENT, Status.FAILED, Status.UNKNOWN, Status.CANCELLED}
    if ended & set(row.sources):
        assert {Who.LANE, Who.CLOCK}.isdisjoint(row.who)


def test_nothing_leads_out_of_sent_or_cancelled():
    assert not [row.name for row in TABLE if {Status.SENT, Status.CANCELLED} & set(row.sources)]


def test_lanes_alone_send():
    leading = {row.name for row in TABLE if Status.SENDING in row.targets}
    assert leading == {"claim", "send at once", "moved"}


@pytest.mark.parametrize("row", [row for row in TABLE if row.writes or row.given], ids=lambda row: row.name)
def test_columns_of_other_states_are_emptied(row):
    """What belongs to one state goes when the message leaves it."""
    written = {**row.writes, **dict.fromkeys(row.given)}
    assert row.sources
    if Status.SENDING in row.sources:
        assert set(transitions.UNCLAIMED) <= set(written)
    if Status.HELD in row.sources and row.targets and Status.HELD not in row.targets:
        assert set(transitions.NOT_HELD) <= set(written)
    if row.targets in ((Status.CANCELLED,), (Status.HELD,)) and Status.QUEUED in row.sources:
        assert row.leaves != Leaves.STAYS


# --- The only place ----------------------------------------------------------------------------------


def modules():
    for path in sorted(MESSAGING.rglob("*.py")):
        if path.relative_to(MESSAGING).parts[0] not in WRITE_STATES:
            yield path, path.read_text(encoding="utf-8")


def updates(tree):
    """Calls of `.update(…)`, with the names of what they write; "**" for what is not said there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
            yield node, {keyword.arg or "**" for keyword in node.keywords}


def test_no_other_module_writes_the_state_of_a_message():
    found = []
    for path, text in modules():
        for node, names in updates(ast.parse(text)):
            about = ast.unparse(node)
            if "status" in names and "Status" in about and not re.search(r"Recipient|recipients|[Bb]atch", about):
                found.append(f"{path}:{node.lineno} {about}")
    assert not found


def test_what_waits_is_said_in_one_place():
    """Queued and in no batch: no one puts these two together but lifecycle/waiting.py."""
    found = []
    for path, text in modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if "QUEUED" in said.get("status", "") and said.get("batch") == "None":
                    found.append(f"{path}:{node.lineno}")
    assert not found


def test_messages_are_locked_in_one_place():
    """In the order of their keys; rescue, which waits for no one, skips what others have locked."""
    found = []
    for path, text in modules():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and node.attr == "select_for_update":
                about = ast.unparse(node.value)
                if re.search(r"\bMessage\.objects|messages?\b", about.replace("messaging", "")):
                    found.append(f"{path}:{node.lineno} {about}")
    assert not found
