"""The short version of `make chaos`: twenty kills on each stack."""

import pytest

from tests.system.chaos.harness import Run, installation_for

pytestmark = [pytest.mark.process, pytest.mark.drill, pytest.mark.timeout(600)]


@pytest.mark.parametrize("stack", ["embedded", pytest.param("services", marks=pytest.mark.services)])
def test_worker_killed_at_random_loses_nothing_sends_nothing_twice_and_says_so(stack, tmp_path):
    with installation_for(stack, tmp_path) as installation:
        run = Run(installation, kills=20, seed=20, backlog=24, delay=0.03, hurry=True)
        verdict = run.run()
    print("\n".join(run.report(verdict)))
    assert verdict.findings == []
    assert verdict.statuses["sent"] > len(run.accepted) // 2
