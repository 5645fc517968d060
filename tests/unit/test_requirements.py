"""docs/requirements.md: no row of the seed without a test, and none of the tests it names is missing."""

import ast
import re

import pytest

from tests.installation import ROOT

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "requirements.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| S")
]
NAMED = [
    (row[0], name) for row in ROWS for name in re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", row[3])
]  # fmt: skip
MENU = (ROOT / "templates" / "parts" / "_menu.html").read_text(encoding="utf-8")


def test_each_row_of_the_seed_is_there_once():
    assert [row[0] for row in ROWS] == [f"S{number}" for number in range(1, 16)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_row_says_what_where_and_names_a_test(row):
    _, asked_for, where, _ = row
    assert asked_for
    assert where
    assert [name for number, name in NAMED if number == row[0]]


@pytest.mark.parametrize(("row", "name"), NAMED)
def test_named_test_exists(row, name):
    path, _, function = name.partition("::")
    defined = [node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)]
    assert function in defined if function else any(each.startswith("test_") for each in defined)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_menu_words_are_those_of_the_menu(row):
    for place in re.findall(r"\*\*(.+?)\*\*", row[2]):
        for words in place.split(" > "):
            assert re.search(rf"[> ]{re.escape(words)}\s*(?:<|{{%)", MENU), words
