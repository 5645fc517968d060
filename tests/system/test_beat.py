"""Beat that starts before its database: it waits, says so in a line, and begins by itself."""

import signal

import pytest

from tests.database import copy_sqlite
from tests.installation import BEAT, WORKER, Installation, wait_for

pytestmark = [pytest.mark.process, pytest.mark.slow]

AWAY = "postgres://outtray@127.0.0.1:1/outtray"


def said(installation):
    return (installation.folder / "0-beat.log").read_text()


def test_database_that_is_not_migrated_yet_is_waited_for(tmp_path):
    with Installation(tmp_path) as installation:
        file = tmp_path / "var" / "outtray.sqlite3"
        file.unlink()
        installation.start(BEAT)
        assert wait_for(lambda: "beat waits for the database" in said(installation)), said(installation)
        file.unlink()
        copy_sqlite(file)
        assert wait_for(lambda: installation.ask("answer = Heartbeat.objects.filter(name='beat').exists()"))
        assert "Traceback" not in said(installation)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_beat_that_waits_ends_when_it_is_told_to(tmp_path, number):
    with Installation(tmp_path, DATABASE_URL=AWAY) as installation:
        beat = installation.start(BEAT)
        assert wait_for(lambda: "beat waits for the database" in said(installation)), said(installation)
        installation.stop(beat, number, timeout=10)
        assert "Traceback" not in said(installation)


def test_worker_says_in_a_line_that_the_database_is_away(tmp_path):
    with Installation(tmp_path, DATABASE_URL=AWAY) as installation:
        worker = installation.start(WORKER)
        log = installation.folder / "0-worker.log"
        assert wait_for(lambda: "sweep waits for the database" in log.read_text()), log.read_text()
        installation.stop(worker)
        assert "Traceback" not in log.read_text()
