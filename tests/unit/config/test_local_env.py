"""The keys of this machine, which `make run` writes to `.env`."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from config import local_env
from tests.installation import ROOT


def test_keys_are_written_once_and_private(tmp_path):
    path = tmp_path / ".env"
    assert local_env.complete(path, {}) == ["SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "HTTPS"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert local_env.complete(path, {}) == []
    assert path.read_text() == text


def test_what_the_file_or_the_environment_says_stays(tmp_path):
    path = tmp_path / ".env"
    path.write_text("PORT=9000\nexport SECRET_KEY=mine")
    assert local_env.complete(path, {"HTTPS": "on"}) == ["FIELD_ENCRYPTION_KEYS"]
    assert path.read_text().startswith("PORT=9000\nexport SECRET_KEY=mine\nFIELD_ENCRYPTION_KEYS=")


def test_what_stands_in_a_file_of_its_own_is_set(tmp_path):
    (tmp_path / ".env").write_text("FIELD_ENCRYPTION_KEYS_FILE=/run/secrets/keys\n")
    assert local_env.complete(tmp_path / ".env", {"SECRET_KEY_FILE": "/run/secrets/key"}) == ["HTTPS"]


def test_no_file_is_made_of_a_device():
    assert local_env.complete(Path(os.devnull), {}) == []


def test_no_file_is_made_of_a_name_that_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENV_FILE", "$MY_FILE")
    local_env.main()
    assert list(tmp_path.iterdir()) == []


def test_needs_only_the_standard_library(tmp_path):
    command = [sys.executable, "-S", "-I", "config/local_env.py"]
    subprocess.run(command, cwd=ROOT, env={"ENV_FILE": str(tmp_path / ".env")}, check=True, timeout=20)
    assert (tmp_path / ".env").exists()
