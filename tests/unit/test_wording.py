"""Each key has its words, and one table has them."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from messaging.delivery.outcomes import meanings
from messaging.delivery.outcomes.reply import LocalError
from messaging.models import MessageEvent, Phrase, Reason
from messaging.queue import batches
from messaging.setup.problems import Problem
from messaging.wording import in_words
from messaging.wording.sentences import TABLES, WORDS

OWN_COLUMNS = {Reason.TOLD, Reason.SAID}  # their words are the parameter


def keys_in_the_code():
    """Each key that a phrase is made with, where it stands in the code as it is."""
    for file in Path("messaging").rglob("*.py"):
        if "migrations" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Phrase"
            if is_call and node.args and isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def test_no_two_meanings_have_one_key():
    found = {id(each): each.key for each in vars(meanings).values() if isinstance(each, meanings.Meaning)}
    assert sorted(found.values()) == sorted(meanings.MEANINGS)


def test_no_key_stands_in_two_tables():
    assert [key for key, number in Counter(key for table in TABLES for key in table).items() if number > 1] == []


@pytest.mark.parametrize("keys", [
    pytest.param(Reason, id="reasons"), pytest.param(MessageEvent.Kind, id="events"),
    pytest.param(LocalError, id="errors"), pytest.param(Problem, id="problems"),
    pytest.param(meanings.MEANINGS, id="meanings"), pytest.param(set(batches.SKIPPED.values()), id="skipped"),
])  # fmt: skip
def test_every_key_has_words(keys):
    assert len(keys) > 4
    assert {str(key) for key in keys} <= set(WORDS)


def test_every_key_in_the_code_has_words():
    keys = set(keys_in_the_code())
    assert len(keys) > 40
    assert len(keys) > 40
    assert keys <= set(WORDS)


def test_the_two_that_hold_words_say_them():
    assert {in_words(Phrase(key, words="As {it} was %s")) for key in OWN_COLUMNS} == {"As {it} was %s"}


@pytest.mark.parametrize(("row", "words"), [
    ({"key": "of-a-later-version", "number": 1}, "of-a-later-version"),
    ({"key": "later", "by": {"name": "x"}, "counts": [{"a": 1}]}, "later"),
    ({"key": "given-up", "number": 1}, "given-up"),
    ({"key": "given-up", "reason": {"key": "later"}, "tries": 3}, "later Given up after 3 tries."),
    ({"key": "all", "parts": [{"key": "later"}, {"key": "is-held"}]}, "later Held"),
    ({"key": "all"}, "all"), ({"key": "not-sent", "why": 7}, "not-sent"), ({"key": "paused"}, "paused"),
    ({"key": 5}, "5"), ({"words": "x"}, ""), ("x", ""), ([], ""), (7, ""),
])  # fmt: skip
def test_what_is_not_known_or_damaged_is_told_by_its_key(row, words):
    """A row of a later version, or of a program of someone’s own, stops nothing."""
    phrase = Phrase.of(row)
    assert in_words(phrase) == words
    assert json.loads(json.dumps(phrase.as_row())) == phrase.as_row()
