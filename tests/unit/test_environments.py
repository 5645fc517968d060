"""What `make` does on a machine that is not as it was left."""

import shutil
import subprocess

import pytest

from tests.installation import ROOT


@pytest.mark.parametrize("venv", [".venv", ".venv-audit"])
def test_environment_whose_python_has_gone_is_made_again(tmp_path, venv):
    """As after an upgrade of the system."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/requirements.txt", tmp_path / ".ci")
    for each in (".venv", ".venv-audit"):
        (tmp_path / each / "bin").mkdir(parents=True)
        (tmp_path / each / "bin/python").symlink_to(shutil.which("python3") if each != venv else "python3.0")
        for stamp in ("run", "test", "audit"):
            (tmp_path / each / f"{stamp}.stamp").touch()
    done = subprocess.run(["make", "-n", "run", "audit"], cwd=tmp_path, capture_output=True, text=True)
    assert f"-m venv {venv}\n" in done.stdout, done.stderr
    assert f"{venv}/bin/python -m pip install" in done.stdout
    python = tmp_path / venv / "bin/python"
    assert python.exists() or not python.is_symlink()  # `make -n` may have made it, and left no link to nowhere
