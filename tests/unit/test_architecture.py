"""What import-linter cannot say: it does not look into a library's subpackages."""

import ast
from pathlib import Path

import pytest

WITHOUT_HTTP = ["delivery", "setup", "models", "content", "queue/batches.py", "queue/actions.py", "intake"]


@pytest.mark.parametrize("place", WITHOUT_HTTP)
def test_only_the_console_knows_http(place):
    path = Path("messaging") / place
    for file in path.rglob("*.py") if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith(("django.http", "django.shortcuts")), file
