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


def _run(code, folder):
    return subprocess.run(
        [sys.executable, "-c", OPEN + code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("text", ['{"headers": {}}', '{"headers": {}, "properties": {}, "body": "e30="}', '"x"', "[]"])
def test_what_is_no_wake_up_is_left_out(tmp_path, text):
    (tmp_path / "1700000000000_0_x.celery.msg").write_text(text)
    found = _run(TAKE_ONE, tmp_path)
    assert json.loads(found.stdout) == {"whole": True}, found.stderr
    assert "cannot be read, and is left out" in found.stderr


@pytest.mark.parametrize("octets", [b"", b"\0" * 40, b"\xff\xfe", b'[["celery", "", "cel', b"[1]", b"{}"])
def test_table_that_a_power_cut_left_damaged_is_made_again(tmp_path, octets):
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "celery.exchange").write_bytes(octets)
    found = _run(TAKE_ONE, tmp_path)
    assert json.loads(found.stdout) == {"whole": True}, found.stderr


WITH_NO_ROOM = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5, resource.RLIM_INFINITY))
"""


@pytest.mark.parametrize("code", [WITH_NO_ROOM + OPEN, OPEN + WITH_NO_ROOM + 'queue.put({"new": True})'])
def test_disk_that_was_full_leaves_nothing_half_written(tmp_path, code):
    full = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert "File too large" in full.stderr
    assert {file.name for file in tmp_path.rglob("*") if file.is_file()} <= {".lock", "celery.exchange"}
    found = _run(TAKE_ONE, tmp_path)
    assert json.loads(found.stdout) == {"whole": True}, found.stderr


MANY = 20_000
TAKE_FRESH = """
import json, time
taken = queue.get(timeout=20)
taken.ack()
print(json.dumps(taken.payload))
print(time.process_time())
"""


def _wake_up(expires, number=0):
    return json.dumps(
        {
            "body": "e30=", "content-type": "application/json", "content-encoding": "utf-8",
            "headers": {"expires": expires},
            "properties": {"delivery_tag": str(number), "body_encoding": "base64",
                           "delivery_info": {"exchange": "", "routing_key": "celery"}},
        }
    )  # fmt: skip


@pytest.mark.slow
def test_wake_ups_that_expired_meanwhile_hold_nobody_up(tmp_path):
    for number in range(MANY):
        (tmp_path / f"1700000000000_{number}.celery.msg").write_text(_wake_up("2024-01-01T00:00:00+00:00", number))
    fresh = _wake_up(None).replace("e30=", "eyJmcmVzaCI6IHRydWV9")
    (tmp_path / f"{time.time_ns() // 1_000_000}_0_x.celery.msg").write_text(fresh)
    found = subprocess.run(
        [sys.executable, "-c", OPEN + TAKE_FRESH, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    payload, seconds = found.stdout.splitlines()
    assert json.loads(payload) == {"fresh": True}, found.stderr
    assert float(seconds) < 20, "a listing for each of them takes minutes"
    assert not list(tmp_path.glob("*.msg"))


PUT_AGAIN = """
broker.default_channel._tidied_at -= 61
queue.put({"new": True})
"""


def test_wake_ups_that_nobody_takes_are_dropped_by_those_who_write(tmp_path):
    for expires in (1700000000000, 0):
        (tmp_path / f"1700000000000_{expires}_x.celery.msg").write_text(_wake_up(None))
    (tmp_path / ".1700000000000_0_y").write_text("half wri")
    subprocess.run([sys.executable, "-c", OPEN + PUT_AGAIN, str(tmp_path)], cwd=ROOT, check=True, timeout=60)
    left = sorted(file.name for file in tmp_path.iterdir() if file.is_file())
    assert len(left) == 2, left
    assert left[0] == "1700000000000_0_x.celery.msg", "what has no end stays"
