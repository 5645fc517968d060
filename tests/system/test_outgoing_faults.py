"""A program that is killed while its mail is sent at once: nothing is lost to sight, and nothing goes out twice."""

import subprocess
import sys
import threading

import pytest

from tests.fault_server import ACCEPT, SILENCE, FaultServer
from tests.installation import ROOT, Installation
from tests.sizes import also_in_drills

RAW = b"From: office@example.com\nTo: ada@example.com\nSubject: Report\n\nDear Ada\n"


KILLED_AT = {
    "before the recipients": ("MAIL", SILENCE, "failed"),
    "before the content": ("DATA", SILENCE, "failed"),
    "after the content": ("END", (ACCEPT, SILENCE), "unknown"),
}


SET_UP = """
EmailSettings.objects.update_or_create(account=None, defaults={"send_type": 2, "host": "127.0.0.1", "port": %d})
from messaging.company import options
answer = bool(options.save({"record_mail": %s, "hold_mail": False}, by=None))
"""


SWEEP = """
from django.utils import timezone
from datetime import timedelta
from messaging import housekeeping
from messaging.delivery.lane import Lane
for seconds in range(10, 100, 10):
    housekeeping.sweep(timezone.now() + timedelta(seconds=seconds))
Lane(None).run()
answer = [list(row) for row in Message.objects.order_by("id").values_list("status", "reason__key")]
"""


@pytest.mark.process
@pytest.mark.parametrize("record", [True, *also_in_drills(False)])
def test_a_killed_program_leaves_a_true_row_and_nothing_goes_out_twice(tmp_path, record):
    with FaultServer() as server, Installation(tmp_path, LEASE_SECONDS="30", SWEEP_SECONDS="10") as installation:
        installation.ask(SET_UP % (server.port, record))
        for stage, behaviour, _ in KILLED_AT.values():
            kill_in(installation, server, stage, behaviour)
        handed_over = len(server.transactions)
        found = installation.ask(SWEEP)
        assert [status for status, _ in found] == [status for *_, status in KILLED_AT.values()]
        assert [reason for status, reason in found if status == "failed"] == ["stopped"] * 2
        assert len(server.transactions) == handed_over, "nothing was sent again"
        assert sum(each.accepted for each in server.transactions) == 1


def kill_in(installation, server, stage, behaviour):
    reached = threading.Event()

    def reach():
        reached.set()
        return behaviour

    server.at(stage, [reach])
    command = [sys.executable, "manage.py", "sendmail", "-t"]
    program = subprocess.Popen(command, cwd=ROOT, env=installation.env, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    program.stdin.write(RAW)
    program.stdin.close()
    assert reached.wait(60)
    program.kill()
    program.wait(10)
    program.stderr.close()
