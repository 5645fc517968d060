"""A backup made at work and restored later: what went out since is not sent again without a person's order."""

import shutil
import signal
import sqlite3
import subprocess

import pytest

from tests.installation import BEAT, WORKER, wait_for
from tests.services import NO_PROGRAMS
from tests.sizes import STACKS, also_in_drills
from tests.system.chaos.harness import Office, installation_for, settle
from tests.system.chaos.sink import Sink
from tests.system.chaos.verdict import compare

pytestmark = pytest.mark.process


class Backup:
    """Of an installation's database, made while everything runs, and restored as people do it."""

    def __init__(self, installation):
        self.installation = installation
        self.file = installation.folder / "backup"
        if installation.database:
            if not shutil.which("pg_dump") or not shutil.which("pg_restore"):
                pytest.skip(NO_PROGRAMS)
            self._run("pg_dump", "--format=custom", "--file", self.file)
        else:
            with sqlite3.connect(self.file) as backup, installation.connect() as database:
                database.backup(backup)

    def restore(self, way):
        if self.installation.database:
            if way == "anew":
                database = self.installation.database
                with self.installation.server() as server:
                    server.execute(f"DROP DATABASE {database} WITH (FORCE)")
                    server.execute(f"CREATE DATABASE {database}")
            self._run("pg_restore", "--clean", "--if-exists", "--no-owner", self.file)
        else:
            file = self.installation.folder / "var" / "outtray.sqlite3"
            for beside in ("-wal", "-shm"):
                file.with_name(file.name + beside).unlink(missing_ok=True)
            if way == "anew":
                file.unlink()
            shutil.copyfile(self.file, file)  # into the file that is there, if there is one

    def _run(self, program, *arguments):
        url = self.installation.env["DATABASE_URL"]
        subprocess.run([program, "--dbname", url, *arguments], check=True, timeout=110)


def kill(installation, processes):
    for process in [*processes, installation.inside]:
        installation.stop(process, signal.SIGKILL)
    installation.inside = None


def start(installation):
    return [installation.start(command) for command in (WORKER, BEAT)]


def sent(sink, number):
    return wait_for(lambda: len(sink.ledger) >= number, seconds=90, every=0.01)


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize(("count", "way"), [(60, "in place"), *also_in_drills((300, "in place"), (120, "anew"))])
def test_restored_backup_sends_nothing_twice(stack, count, way, tmp_path):
    with Sink(delay=0.004) as sink, installation_for(stack, tmp_path, CLAIM_SIZE="20") as installation:
        office = Office(installation)
        office.set_up(port=sink.port, accounts=2)
        processes = start(installation)
        accepted = office.fill(count=count, seed=1)
        waiting = office.fill(count=9, seed=2, let_go=False)
        assert sent(sink, count // 10), "the worker sends nothing"
        backup = Backup(installation)
        assert sent(sink, count // 2), "the worker does not go on"
        kill(installation, processes)
        assert wait_for(lambda: not sink.conversations), "the server does not finish what it has"
        before = len(sink.ledger)
        backup.restore(way)

        start(installation)
        assert wait_for(office.restores_noticed, seconds=60), "no one noticed"
        new = office.fill(count=9, seed=3)
        office.sweep()
        assert len(sink.ledger) == before, "something was sent before a person had answered"
        unknown = office.counts()["unknown"]
        assert unknown >= len(waiting)

        office.answer(what="sent-since")
        assert settle(office, between=office.sweep), f"moving: {office.counts()}"
        assert len(sink.ledger) > before, "new mail does not go out"
        told = compare(accepted | waiting | new, office.snapshot(), list(sink.ledger))
        assert told.findings == []

        orders = office.decide(seed=4, share=0.3)
        assert settle(office, between=office.sweep), f"moving: {office.counts()}"
        assert compare(accepted | waiting | new, office.snapshot(), list(sink.ledger), orders).findings == []
        assert len(office.restores_noticed()) == 1


@pytest.mark.parametrize("stack", STACKS)
def test_backup_of_a_claim_that_its_worker_did_not_live_to_finish_sends_nothing_twice(stack, tmp_path):
    """Nothing was claimed after the backup, so no mark tells that it is an earlier state."""
    with Sink() as sink, installation_for(stack, tmp_path, LANES_PER_ACCOUNT="1") as installation:
        office, accepted = Office(installation), {}
        office.set_up(port=sink.port, accounts=1)
        for name in ("first", "second", "last"):
            if name != "second":
                sink.freezes[f"{name}@brightwater.example"] = "MAIL"
            accepted |= office.fill_one(
                reverse_path=f"{name}@brightwater.example", account="account0", recipients=[f"ok-{name}@example.com"]
            )
        processes = start(installation)
        assert wait_for(lambda: sink.frozen), "nothing is sent"
        backup = Backup(installation)
        sink.let_go("first@brightwater.example")
        assert wait_for(lambda: len(sink.ledger) == 2 and sink.stages() == ["MAIL"]), "the claim does not go on"
        kill(installation, processes)
        sink.let_go("last@brightwater.example")
        backup.restore("in place")

        start(installation)
        assert wait_for(office.restores_noticed, seconds=60), "no one noticed"
        assert office.counts()["unknown"] == 3
        office.answer(what="sent-since")
        office.sweep()
        assert compare(accepted, office.snapshot(), list(sink.ledger)).findings == []
