"""No one else on the machine reads what Outtray stores, whatever the umask and whatever is there already."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import local_env, private
from config.private import Place
from tests.database import scrubbed_environment
from tests.installation import ROOT, Installation
from tests.sizes import also_in_drills

# Root may do everything; without these rights it is a user like others.
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"] if os.geteuid() == 0 else []
needs_setpriv = pytest.mark.skipif(bool(AS_A_USER) and not shutil.which("setpriv"), reason="needs util-linux")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def open_to_others(folder):
    return [str(path) for path in (folder, *folder.rglob("*")) if path.lstat().st_mode & 0o077]


def close(path, **options):
    return private.close([Place("MEDIA_ROOT", path, **options)])


# --- A whole installation -----------------------------------------------------------------------------

USE_IT = """
from pathlib import Path
from django.conf import settings
from messaging.content import blobs
from messaging.queue import wake
from messaging.local.catcher import Catcher
from messaging.delivery.store import witness
blobs.put(b"an attachment")
witness.note("key", 1)
settings.CAUGHT_DIR.mkdir(exist_ok=True)
Catcher(settings.CAUGHT_DIR)._write("a.eml", b"mail")
wake.ask_for("sweep")
from django.contrib.sessions.models import Session
from django.utils import timezone
Session.objects.create(session_key="k", session_data="d", expire_date=timezone.now())
answer = sorted(path.name for path in settings.VAR_DIR.iterdir())
"""


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, *also_in_drills(0o000, 0o077)])
def test_what_processes_store_is_for_their_user_alone(tmp_path, umask):
    before = os.umask(umask)
    try:
        with Installation(tmp_path) as installation:
            made = installation.ask(USE_IT)
            assert {"outtray.sqlite3", "outtray.sqlite3-wal", "outtray.sqlite3-shm", "media", "broker", "caught"} <= {
                *made
            }
            assert open_to_others(tmp_path / "var") == []
            assert open_to_others(tmp_path / "witness") == []
    finally:
        os.umask(before)


@pytest.mark.slow
@pytest.mark.parametrize("umask", [0o022, *also_in_drills(0o000)])
def test_what_an_earlier_version_left_open_is_closed(tmp_path, umask):
    before = os.umask(umask)
    try:
        folders = {name: tmp_path / name for name in ("var", "media", "caught", "witness")}
        for folder in folders.values():
            (folder / "deep").mkdir(parents=True)
            (folder / "deep" / "file").write_text("x")
        (folders["var"] / "broker" / "queue").mkdir(parents=True)
        (folders["var"] / "broker" / "queue" / "1.celery.msg").write_text("{}")
        with sqlite3.connect(folders["var"] / "outtray.sqlite3") as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE a (b)")
            assert mode(folders["var"] / "outtray.sqlite3") == 0o644 & ~umask  # as SQLite makes it
            named = {"MEDIA_ROOT": "media", "CAUGHT_DIR": "caught", "WITNESS_DIR": "witness", "VAR_DIR": "var"}
            env = scrubbed_environment(**{name: str(folders[each]) for name, each in named.items()})
            found = subprocess.run(
                [sys.executable, "manage.py", "check"], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
            )
            assert "messaging.W004" not in found.stderr
            for name in ("", "-wal", "-shm"):
                assert mode(folders["var"] / f"outtray.sqlite3{name}") == 0o600
        for name in ("media", "caught", "witness"):
            assert open_to_others(folders[name]) == []
        assert mode(folders["var"]) == 0o700
        assert open_to_others(folders["var"] / "broker") == []
    finally:
        os.umask(before)


# --- One place ----------------------------------------------------------------------------------------


def test_what_is_not_ours_keeps_its_mode_within_a_closed_folder(tmp_path):
    (tmp_path / "of an administrator").write_text("")
    (tmp_path / "of an administrator").chmod(0o644)
    tmp_path.chmod(0o755)
    assert close(tmp_path, is_ours=False) == []
    assert mode(tmp_path) == 0o700
    assert mode(tmp_path / "of an administrator") == 0o644


def test_links_are_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    elsewhere.chmod(0o755)
    ours = tmp_path / "ours"
    ours.mkdir()
    ours.chmod(0o755)
    (ours / "link").symlink_to(elsewhere)
    (ours / "dead").symlink_to(tmp_path / "nowhere")
    assert close(ours) == []
    assert (mode(ours), mode(elsewhere)) == (0o700, 0o755)


@pytest.mark.parametrize("given", [0o2770, 0o2750])
def test_folder_that_was_given_to_its_group_stays_the_groups(tmp_path, given):
    tmp_path.chmod(given)
    file = tmp_path / "outtray.sqlite3"
    file.write_text("")
    file.chmod(0o664)
    assert private.close([Place("VAR_DIR", tmp_path), Place("DATABASE_URL", file)]) == []
    assert (mode(tmp_path), mode(file)) == (given, 0o660)
    before = os.umask(0)
    try:
        private.set_umask(tmp_path)
        assert os.umask(before) == 0o007
    finally:
        os.umask(before)


def test_folder_of_a_group_that_others_may_read_is_closed(tmp_path):
    tmp_path.chmod(0o2755)
    assert close(tmp_path) == []
    assert not mode(tmp_path) & 0o077


@pytest.mark.parametrize("path", ["/tmp", "/var/lib", "/"])
def test_folder_of_the_whole_machine_is_left_alone_and_said(path, monkeypatch):
    touched = []
    monkeypatch.setattr(Path, "chmod", lambda self, mode: touched.append(self))
    monkeypatch.setattr(os, "walk", lambda *args, **options: [])
    [words] = close(Path(path))
    assert words == f"MEDIA_ROOT is {path}, which others use as well. Give Outtray a folder of its own."
    assert touched == []


def test_file_system_that_keeps_no_permissions_is_said_and_stops_nothing(tmp_path, monkeypatch):
    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)  # as on FAT
    [words] = close(tmp_path)
    assert words.startswith(f"Other users of this machine can open {tmp_path} (MEDIA_ROOT), because its file system")


SAY = """
import sys
from pathlib import Path
from config import private
print(*private.close([private.Place("VAR_DIR", Path(sys.argv[1]))]))
"""


@needs_setpriv
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to another user")
def test_folder_of_another_user_is_said_with_what_to_do_and_stops_nothing(tmp_path):
    tmp_path.chmod(0o777)
    os.chown(tmp_path, 65534, 65534)
    command = [*AS_A_USER, sys.executable, "-c", SAY, str(tmp_path)]
    words = subprocess.check_output(command, cwd=ROOT, text=True, timeout=20).strip()
    assert words == (
        f"Other users of this machine can open {tmp_path} (VAR_DIR), and this process may not change that: "
        f"Operation not permitted. Its owner can: chmod 700 {tmp_path}"
    )


def test_file_that_cannot_be_closed_is_no_matter_within_a_closed_folder(tmp_path, monkeypatch):
    file = tmp_path / "outtray.sqlite3"
    file.write_text("")
    file.chmod(0o644)
    tmp_path.chmod(0o700)

    def refuse(self, mode):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    assert close(file) == []


# --- .env ---------------------------------------------------------------------------------------------


def test_keys_that_others_could_read_are_closed(tmp_path):
    path = tmp_path / ".env"
    path.write_text("SECRET_KEY=" + "k" * 50 + "\n")
    path.chmod(0o644)
    local_env.close(path)
    assert mode(path) == 0o600


def test_no_key_is_written_into_a_file_that_others_can_read(tmp_path, monkeypatch):
    path = tmp_path / ".env"
    path.write_text("PORT=9000\n")
    path.chmod(0o644)
    monkeypatch.setenv("ENV_FILE", str(path))
    monkeypatch.delenv("SECRET_KEY", raising=False)
    modes, complete = [], local_env.complete
    monkeypatch.setattr(local_env, "complete", lambda *each: modes.append(mode(path)) or complete(*each))
    local_env.main()
    assert modes == [0o600]
    assert "SECRET_KEY=" in path.read_text()


def test_migrations_are_written_for_all_who_have_the_source(tmp_path):
    code = "import sys; sys.argv = ['manage.py', 'makemigrations']; import config.settings, os; print(os.umask(0))"
    env = scrubbed_environment(DATABASE_URL="sqlite://:memory:", VAR_DIR=str(tmp_path))
    before = os.umask(0o022)
    try:
        assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, env=env, text=True).strip() == "18"
    finally:
        os.umask(before)
