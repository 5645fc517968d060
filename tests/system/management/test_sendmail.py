"""`manage.py sendmail` as a process."""

import os
import subprocess
import sys

from tests.database import ROOT, copy_sqlite

RAW = b"From: Office <office@example.com>\nTo: Ada <ada@example.com>, bob@example.com\nCc: Team: carl@example.com;\n"


def test_as_a_process_on_a_database_of_its_own(tmp_path):
    """The real thing: bytes through a pipe, the exit code of the process, and nothing on standard output."""
    environment = os.environ | {"VAR_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3"}
    environment |= {"MEDIA_ROOT": str(tmp_path / "media"), "DJANGO_SETTINGS_MODULE": "tests.settings"}

    def manage(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, input=stdin, capture_output=True, timeout=60)

    away = manage("sendmail", "-t", stdin=RAW)
    assert (away.returncode, b"Try again later" in away.stderr) == (75, True), "no tables yet"
    copy_sqlite(tmp_path / "own.sqlite3")
    hold = 'from messaging.company import options; options.save({"record_mail": True, "hold_mail": True}, by=None)'
    assert manage("shell", "-v0", "-c", hold).returncode == 0
    sent = manage("sendmail", "-t", "-i", "-fbounce@example.com", stdin=RAW + b"\xff\n.\nend\n")
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, b"", b"")
    refused = manage("sendmail", "nonsense", stdin=RAW)
    assert (refused.returncode, refused.stdout) == (67, b"")
    shown = manage(
        "shell", "-v0", "-c", "from messaging.models import Message as M; print(M.objects.get().reverse_path)"
    )
    assert shown.stdout.strip() == b"bounce@example.com"
