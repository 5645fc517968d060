"""The broker of one machine (no Redis): processes that write and read wake-ups at the same moment."""

import json
import subprocess
import sys
import time

import pytest

from tests.installation import ROOT
from tests.sizes import several

OPEN = """
import sys
from kombu import Connection
import config
folder = sys.argv[1]
options = {"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "/control"}
broker = Connection("filesystem://localhost", transport_options=options)
queue = broker.SimpleQueue("celery")
"""
COUNT = several(12, 100)
WRITER = f"""
for number in range({COUNT}):
    queue.put({{"number": number, "text": "x" * 4_000_000}})
"""
READER = f"""
for number in range({COUNT}):
    queue.get(timeout=20).ack()
"""
TAKE_ONE = """
import json
queue.put({"whole": True})
print(json.dumps(queue.get(timeout=20).payload))
"""


def _start(code, folder):
    return subprocess.Popen(
        [sys.executable, "-c", OPEN + code, str(folder)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.sized
def test_a_wake_up_is_seen_only_when_it_is_written_whole(tmp_path):
    processes = [_start(READER, tmp_path), _start(WRITER, tmp_path)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "left out" not in errors
    assert not list(tmp_path.glob("*.msg"))


def test_a_damaged_wake_up_is_left_out_and_the_worker_goes_on(tmp_path):
    (tmp_path / f"{time.time_ns()}_0.celery.msg").write_bytes(b"")
    found = subprocess.run(
        [sys.executable, "-c", OPEN + TAKE_ONE, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert json.loads(found.stdout) == {"whole": True}, found.stderr
    assert "cannot be read, and is left out" in found.stderr
