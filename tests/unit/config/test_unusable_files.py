"""A file or folder that cannot be used ends every start with one line: which variable, which file, what to do."""

import os
import sqlite3
import subprocess
import sys

import pytest

from tests.database import copy_sqlite, scrubbed_environment
from tests.installation import ROOT, free_ports
from tests.sizes import also_in_drills

from .test_private import AS_A_USER, needs_setpriv

pytestmark = [pytest.mark.slow, needs_setpriv]

PROCESSES = {
    "manage.py runlocal": 1,
    "manage.py migrate": 1,
    "manage.py sendmail a@example.com": os.EX_TEMPFAIL,
    "-m config.processes web": 1,
    "-m gunicorn config.wsgi --bind 127.0.0.1:0 --no-control-socket": 3,
    "-m celery -A config worker": 1,
    "-m celery -A config beat": 1,
    "manage.py catchmail": 1,
}


def read_only_folder(var):
    var.chmod(0o555)
    return {}, "VAR_DIR cannot be used: this user may not write to"


def read_only_around(var):
    var.chmod(0o555)
    return {"VAR_DIR": str(var / "new")}, "VAR_DIR cannot be used: no folder"


def read_only_file(var):
    database(var).chmod(0o444)
    return {}, "VAR_DIR leads to the database file"


def no_database(var):
    database(var).write_bytes(b"anything at all, and no database" * 300)
    return {}, "it is no SQLite database"


def overwritten(var):
    with database(var).open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 8000)
    return {}, "it is damaged"


def cut_off(var):
    os.truncate(database(var), 5000)
    return {}, "it is damaged"


def a_folder(var):
    (var / "outtray.sqlite3").mkdir()
    return {}, "this is no file"


def too_long(var):
    folder = var / ("x" * 240) / ("y" * 240)
    folder.mkdir(parents=True)
    return {"DATABASE_URL": f"sqlite:///{folder}/{'z' * 40}"}, "DATABASE_URL leads to the database file"


def too_long_name(var):
    return {"VAR_DIR": str(var / ("x" * 500))}, "VAR_DIR is"


def database(var):
    path = var / "outtray.sqlite3"
    with sqlite3.connect(path) as made:
        for number in range(20):
            made.execute(f"CREATE TABLE t{number} (a TEXT)")
    made.close()
    return path


FAULTS = (
    read_only_folder, read_only_around, read_only_file, no_database, overwritten, cut_off, a_folder, too_long,
    too_long_name,
)  # fmt: skip
CASES = [(fault, "manage.py runlocal") for fault in FAULTS] + [(no_database, each) for each in [*PROCESSES][1:]]
REST = [(fault, each) for fault in FAULTS for each in PROCESSES if (fault, each) not in CASES]


def start(arguments, var, variables, before=()):
    ports = dict(zip(("PORT", "CATCHER_PORT"), map(str, free_ports(2)), strict=True))
    env = scrubbed_environment(
        **({"VAR_DIR": str(var), "WITNESS_DIR": str(var.parent / "witness")} | ports | variables)
    )
    command = [*AS_A_USER, *before, sys.executable, *arguments.split()]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, input="")


@pytest.mark.parametrize(
    ("fault", "arguments"), [*CASES, *also_in_drills(*REST)], ids=lambda each: getattr(each, "__name__", each)
)
def test_start_ends_with_one_line_and_no_traceback(fault, arguments, tmp_path):
    var = tmp_path / "var"
    var.mkdir()
    variables, words = fault(var)
    try:
        ended = start(arguments, var, variables)
    finally:
        var.chmod(0o755)
    lines = [line for line in (ended.stdout + ended.stderr).splitlines() if not line.startswith("[")]  # gunicorn's own
    assert len(lines) == 1, ended.stderr
    assert words in lines[0]
    named = variables.get("DATABASE_URL", "").removeprefix("sqlite:///") or variables.get("VAR_DIR", str(var))
    assert named[:60] in lines[0]
    code = os.EX_CONFIG if fault is too_long_name and PROCESSES[arguments] == os.EX_TEMPFAIL else PROCESSES[arguments]
    assert ended.returncode == code


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ("manage.py catchmail", "CAUGHT_DIR"),
        ("manage.py runlocal", "CAUGHT_DIR"),
        ("manage.py catchmail --dir", "--dir"),
    ],
)
def test_folder_of_the_catcher_that_cannot_be_written(tmp_path, arguments, name):
    (tmp_path / "var").mkdir()
    caught = tmp_path / "caught"
    caught.mkdir()
    caught.chmod(0o555)
    is_option = name == "--dir"
    ended = start(
        f"{arguments} {caught}" if is_option else arguments,
        tmp_path / "var",
        {} if is_option else {"CAUGHT_DIR": str(caught)},
    )
    assert ended.returncode == 1
    [line] = (ended.stdout + ended.stderr).splitlines()
    assert line.startswith(f"{name} cannot be used: this user may not write to {caught}.")


def test_database_that_is_locked_for_a_moment_is_no_broken_one(tmp_path):
    var = tmp_path / "var"
    var.mkdir()
    with sqlite3.connect(database(var)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ended = start("manage.py check", var, {})
    assert ended.returncode == 0, ended.stderr


# --- Full disks -----------------------------------------------------------------------------------------


def with_room_for(kilobytes):
    """What begins a command whose files cannot grow beyond that."""
    return ["/bin/bash", "-c", f'ulimit -f {kilobytes}; exec "$0" "$@"']


def test_disk_without_room_for_the_static_files(tmp_path):
    copy_sqlite(tmp_path / "var" / "outtray.sqlite3")
    ended = start("manage.py runlocal", tmp_path / "var", {}, before=with_room_for(100))
    assert ended.returncode == 1
    [line] = (ended.stdout + ended.stderr).splitlines()
    assert line.startswith("A file ") and "cannot be written: File too large. Make room" in line


def test_letters_that_the_output_does_not_know_end_no_command(tmp_path):
    copy_sqlite(tmp_path / "var" / "outtray.sqlite3")
    ended = start("manage.py createoperator Zoë --admin --generate", tmp_path / "var", {"PYTHONIOENCODING": "ascii"})
    assert ended.stdout.startswith("Zo\\xeb can sign in with this password: "), ended.stderr


# --- Variables that are set to nothing ----------------------------------------------------------------


def make_run(tmp_path, text, **variables):
    """What `make run` does first; the settings that follow from it."""
    file = tmp_path / ".env"
    file.write_bytes(text)
    env = scrubbed_environment(ENV_FILE=str(file), VAR_DIR=str(tmp_path / "var"), **variables)
    for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "HTTPS"):
        env.pop(name) if name not in variables else None
    code = "import config.settings as s; print(len(s.SECRET_KEY) > 31, len(s.FIELD_ENCRYPTION_KEYS))"
    steps = [["config/local_env.py"], ["-c", code]]
    done = [
        subprocess.run([sys.executable, *each], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
        for each in steps
    ]
    return file, done


@pytest.mark.parametrize(
    "empty", [b"SECRET_KEY=\nFIELD_ENCRYPTION_KEYS=\n", b"export SECRET_KEY=''\n", b'SECRET_KEY=""']
)
def test_make_run_fills_in_a_key_that_a_template_left_empty(tmp_path, empty):
    file, (made, read) = make_run(tmp_path, empty)
    assert (made.returncode, read.stdout, read.stderr) == (0, "True 1\n", "")
    assert file.read_bytes().startswith(empty)


def test_other_variable_that_is_set_to_nothing_is_named_with_its_file(tmp_path):
    file, (_, read) = make_run(tmp_path, b"TIME_ZONE=\n")
    assert read.stderr == (
        f"TIME_ZONE is set to nothing in {file}. Give it a value, or leave it out to have the default.\n"
    )


def test_env_file_that_is_no_text_is_named(tmp_path):
    file, (made, _) = make_run(tmp_path, b"PORT=\xff\n")
    assert made.returncode == 1
    assert made.stderr == f"ENV_FILE: {file} cannot be read: it is no text in UTF-8. Correct it, or move it away.\n"


def test_empty_secret_key_of_the_environment_says_how_to_make_one(tmp_path):
    _, (_, read) = make_run(tmp_path, b"", SECRET_KEY="")
    [line] = read.stderr.splitlines()
    assert line.startswith("SECRET_KEY is set to nothing. Set it to a long random text")
