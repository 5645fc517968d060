"""Which Python `make` takes, that the places which name the supported ones agree, and who else runs its checks."""

import re
import subprocess
import sys
import tomllib
from shlex import quote

import pytest
import yaml

from tests.installation import ROOT

SUPPORTED = ["3.11", "3.12", "3.13"]


def python_of(folder, name, version):
    """A program that calls itself Python of this version; asked for a virtual environment, it makes a folder."""
    given = tuple(int(part) for part in version.split("."))
    path, code = folder / name, folder / f"{name}.txt"
    code.write_text(
        f"""
import os, sys
if sys.argv[1] == "--version":
    print("Python {version}")
elif sys.argv[1] == "-c":
    sys.version_info = {given}
    exec(sys.argv[2])
else:
    os.makedirs(sys.argv[3] + "/" + {name!r})
"""
    )
    path.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} {quote(str(code))} "$@"\n')
    path.chmod(0o755)
    return str(path)


def make_environment(tmp_path, *pythons):
    environment = tmp_path / "environment"
    command = ["make", f"VENV={environment}", f"PYTHON={' '.join(pythons)}", f"{environment}/bin/python"]
    scrubbed = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}  # no MAKEFLAGS of the make that runs this test
    done = subprocess.run(command, cwd=ROOT, env=scrubbed, capture_output=True, text=True, timeout=60)
    return done, [each.name for each in environment.glob("*")]


@pytest.mark.parametrize("version", [f"{each}.4" for each in SUPPORTED])
def test_takes_each_supported_python(tmp_path, version):
    done, made_by = make_environment(tmp_path, python_of(tmp_path, "python", version))

    assert done.returncode == 0, done.stderr
    assert made_by == ["python"]


def test_takes_the_first_that_is_supported(tmp_path):
    older, newer = python_of(tmp_path, "older", "3.10.9"), python_of(tmp_path, "newer", "3.14.0")
    first, second = python_of(tmp_path, "first", "3.12.0"), python_of(tmp_path, "second", "3.13.0")

    _, made_by = make_environment(tmp_path, str(tmp_path / "nowhere"), older, newer, first, second)

    assert made_by == ["first"]


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0"])
def test_refuses_any_other_in_one_line(tmp_path, version):
    done, made_by = make_environment(tmp_path, python_of(tmp_path, "python", version))

    assert done.returncode != 0
    [line] = done.stdout.splitlines()
    assert "needs Python 3.11, 3.12 or 3.13" in line
    assert f"Python {version}" in line
    assert made_by == []


def test_all_places_name_the_same_pythons():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classified = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in project["classifiers"]]

    assert [each[1] for each in classified if each] == SUPPORTED
    assert project["requires-python"] == ">=3.11,<3.14"
    for name in ("README.md", "CONTRIBUTING.md", "docs/operations.md"):
        assert "Python 3.11, 3.12 or 3.13" in (ROOT / name).read_text(), name


def test_pre_commit_runs_the_checks_of_make_check_and_fetches_nothing():
    [repo] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    checks = re.search(r"^CHECKS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()

    assert repo["repo"] == "local"
    assert [hook["id"] for hook in repo["hooks"]] == checks
    for hook in repo["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"] == f"make --no-print-directory {hook['id']}"
        assert hook["pass_filenames"] is False  # a type or an import may break in a file that was not changed
        assert re.compile(hook["files"])
