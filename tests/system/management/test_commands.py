"""Management commands as processes: what they end with, and what they say on standard error."""

import json
import subprocess
import sys

import pytest

from tests import services
from tests.database import ROOT
from tests.installation import Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    with Installation(tmp_path_factory.mktemp("commands")) as installation:
        installation.manage("seed_demo", "--messages", "400", "--months", "2", "--seed", "1")
        yield installation


def ended(process):
    """Its exit code, and the lines on standard error."""
    return process.returncode, process.stderr.decode().splitlines()


def test_export_ends_quietly_when_its_reader_has_enough(installation):
    command = f"{sys.executable} manage.py export_messages | head -n 2; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", command], cwd=ROOT, env=installation.env, capture_output=True, timeout=60)
    assert ended(process) == (0, [])
    assert [json.loads(line)["id"] for line in process.stdout.splitlines()] == [1, 2]


def test_export_to_a_full_disk_is_told(installation):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = subprocess.run(
            [sys.executable, "manage.py", "export_messages"],
            cwd=ROOT, env=installation.env, stdout=full, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip
    code, [line] = ended(process)
    assert code == 1
    assert "Not everything was written: [Errno 28] No space left on device" in line


def without_room(installation, *arguments):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=installation.env, stdout=full, stderr=subprocess.PIPE, timeout=60,
        )  # fmt: skip


@pytest.mark.parametrize("arguments", [["set_option"], ["seed_demo", "--messages", "1"], ["set_option", "--help"]])
def test_output_that_cannot_be_written_is_told(installation, arguments):
    line = "The output cannot be written: No space left on device. Check what was done before you call it again."
    assert ended(without_room(installation, *arguments)) == (1, [line])


def test_output_that_is_not_read_to_its_end_is_told(installation):
    command = f"{sys.executable} manage.py set_option | true; exit ${{PIPESTATUS[0]}}"
    process = subprocess.run(["bash", "-c", command], cwd=ROOT, env=installation.env, capture_output=True, timeout=60)
    line = "The output cannot be written: Broken pipe. Check what was done before you call it again."
    assert ended(process) == (1, [line])


def test_no_one_is_made_whose_password_cannot_be_told(installation):
    code, [line] = ended(without_room(installation, "createoperator", "bob", "--generate"))
    assert code == 1
    assert line.startswith("The output cannot be written: ")
    assert ended(installation.manage("createoperator", "bob", "--generate")) == (0, [])


def test_password_that_cannot_be_told_is_not_given(installation):
    installation.manage("createoperator", "carol", "--password-stdin", input=b"correct horse battery 9\n")
    ask = "from django.contrib.auth.models import User\nanswer = User.objects.get(username='carol').password"
    before = installation.ask(ask)
    assert without_room(installation, "createoperator", "carol", "--new-password", "--generate").returncode == 1
    assert installation.ask(ask) == before


@pytest.mark.parametrize("arguments", [
    "export_messages --batch 99999999999999999999999", "export_messages --batch -1", "seed_demo --messages 0",
    "seed_demo --messages 1 --months nan", "seed_demo --messages 1 --months inf", "seed_demo --messages 1 --months 1e9",
    "seed_demo --messages 1 --months -1", "seed_demo --messages 99999999999999999999999", "catchmail --port 99999999",
    "catchmail --port -1",
])  # fmt: skip
def test_number_that_makes_no_sense_is_told(installation, arguments):
    process = installation.manage(*arguments.split(), check=False)
    code, lines = ended(process)
    assert code in (1, 2)
    assert "Traceback" not in str(lines)
    assert len([line for line in lines if "rror" in line]) == 1, lines


def test_options_are_set_and_kept(installation):
    assert ended(installation.manage("set_option", "record_outbound_email", "on")) == (0, [])
    code, [line] = ended(installation.manage("set_option", "record_outbound_email", "sometimes", check=False))
    assert (code, line) == (1, "CommandError: record_outbound_email can be on or off, and not “sometimes”.")
    assert installation.ask("from messaging.company.options import options\nanswer = options().record_mail") is True


@pytest.mark.parametrize("command", ["export_messages", "set_option record_outbound_email on", "process_queue"])
def test_without_tables_each_ends_with_one_line(tmp_path, command):
    installation = Installation(tmp_path)  # its database is not made
    (tmp_path / "var").mkdir()
    code, lines = ended(installation.manage(*command.split(), check=False))
    assert code == 1
    assert len(lines) == 1, lines
    assert "no such table" in lines[0]


@pytest.mark.skipif(bool(services.missing()), reason=services.NO_SERVICES)
def test_database_that_takes_no_writes_is_told_in_one_line(tmp_path):
    """As a standby, or one that is being moved."""
    with Installation(tmp_path, **services.urls()) as installation:
        installation.env["DATABASE_URL"] += "?options=-c%20default_transaction_read_only%3Don"
        code, lines = ended(installation.manage("set_option", "record_outbound_email", "on", check=False))
    assert code == 1
    assert len(lines) == 1, lines
    assert lines[0].startswith("The database does not answer as it should: cannot execute ")
