"""The workflow for GitHub does what .ci/run does, on each Python, with the services of docker-compose.yml."""

import re

import pytest
import yaml

from tests.installation import ROOT
from tests.unit.test_makefile import SUPPORTED

TEXT = (ROOT / ".github/workflows/ci.yml").read_text()
WORKFLOW = yaml.safe_load(TEXT)
JOB = WORKFLOW["jobs"]["run"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
[COMMAND] = [step for step in JOB["steps"] if "run" in step]


def test_runs_what_has_to_hold_before_a_change_lands_and_nothing_else():
    assert list(WORKFLOW["jobs"]) == ["run"]
    assert COMMAND["run"] == ".ci/run"


def test_runs_on_each_supported_python():
    assert JOB["strategy"]["matrix"] == {"python": SUPPORTED}
    [setup] = [step for step in JOB["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


@pytest.mark.parametrize("service", ["database", "broker"])
def test_services_are_those_of_production(service):
    assert JOB["services"][service]["image"] == COMPOSE["services"][service]["image"]
    assert "--health-cmd" in JOB["services"][service]["options"]


def test_services_are_where_they_are_looked_for():
    given = dict(re.findall(r'(\w+)="\$\{\1:-(.+?)\}"', (ROOT / ".ci/run").read_text()))

    assert COMMAND["env"] == given
    ports = [re.search(r":(\d+)/", url)[1] for url in given.values()]
    assert [service["ports"] for service in JOB["services"].values()] == [[f"{port}:{port}"] for port in ports]


def test_actions_are_pinned_to_commits():
    used = re.findall(r"uses: (.*)", TEXT)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


def test_may_only_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB
    for step in JOB["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
