"""Every template that is named is there, and every template that is there is named."""

import ast
import re

import pytest
from django.template.loader import get_template

from tests.installation import ROOT

FOLDER = ROOT / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))
BY_DJANGO = {"400.html", "403.html", "403_csrf.html", "404.html", "500.html"}
NAME = re.compile(r"[\w/]+\.html")
NAMING = re.compile(r"{% (?:include|extends) (\S+)")


def named_in_code():
    for path in [*(ROOT / "messaging").rglob("*.py"), *(ROOT / "config").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
                yield node.value


def named_in_templates():
    for name in TEMPLATES:
        yield from NAMING.findall((FOLDER / name).read_text("utf-8"))


def test_all_that_are_named_are_there_and_none_is_left_over():
    inside = {each.strip('"') for each in named_in_templates()}
    assert sorted({*named_in_code(), *inside, *BY_DJANGO}) == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_can_be_read(name):
    assert get_template(name).origin.name == str(FOLDER / name)


@pytest.mark.parametrize("name", TEMPLATES)
def test_is_sent_without_its_indentation_and_keeps_its_lines(name):
    lines = (FOLDER / name).read_text("utf-8").split("\n")
    assert get_template(name).template.source.split("\n") == [line.lstrip() for line in lines]
