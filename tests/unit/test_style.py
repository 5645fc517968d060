"""docs/style.md: words that a reader of the console never meets, nor one of the code and its documentation.

And the lines of a template, which are for a person as well.
"""

import ast
import io
import re
import tokenize

import pytest

from tests.installation import ROOT

NOWHERE = r"nobody|somebody|anybody|everybody|whoever|mend(?:s|ed)?|for ever"
NOT_SHOWN = r"by (?:itself|themselves)|(?:go|goes|went) on\b(?! the)|e-mails?|who runs the mail server|log in|click"
NOT_WRITTEN = re.compile(rf"\b(?:{NOWHERE})\b", re.IGNORECASE)
NOT_OURS = re.compile(rf"\b(?:{NOWHERE}|{NOT_SHOWN})\b", re.IGNORECASE)
PAGES = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")} - {ROOT / "docs" / "style.md"})
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
MODULES = [
    path for folder in ("messaging", "config") for path in sorted((ROOT / folder).rglob("*.py"))
    if "migrations" not in path.parts and "demo" not in path.parts
]  # fmt: skip
LONGEST_LINE = 140  # of a template
COMMENT = re.compile(r"{#.*?#}|{% comment %}.*?{% endcomment %}", re.DOTALL)


def name(path):
    return str(path.relative_to(ROOT))


def sentences(source):
    """The strings of a module that may be shown: of more than one word, and no docstrings."""
    tree = ast.parse(source)
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
        if " " in node.value.strip() and (node.value[:1].isupper() or "." in node.value)
    ]


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_template_has_our_words(path):
    text = COMMENT.sub("", path.read_text("utf-8"))
    assert NOT_OURS.findall(text) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_template_has_lines_that_a_person_can_read(path):
    lines = path.read_text("utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_module_shows_our_words(path):
    assert [each for each in sentences(path.read_text("utf-8")) if NOT_OURS.search(each)] == []


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_comments_and_docstrings_have_our_words(path):
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline)
    remarks = [each.string for each in tokens if each.type == tokenize.COMMENT or each.string.startswith('"""')]
    assert [each for each in remarks if NOT_WRITTEN.search(each)] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_page_has_our_words(path):
    assert NOT_WRITTEN.findall(path.read_text("utf-8")) == []
