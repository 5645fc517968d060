"""Eight lanes with a message of 49 MB each, of 8-bit text, at the same time: the worker holds little of them."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.machine import forget_peak, memory
from tests import big_texts, services
from tests.big_texts import LANES, OCTETS
from tests.fault_server import OK, FaultServer
from tests.installation import WORKER, Installation, wait_for
from tests.rows import parsed
from tests.sizes import STACKS

pytestmark = [pytest.mark.process, pytest.mark.drill, pytest.mark.timeout(900)]

MOST = 60_000_000  # octets above those of an idle worker
SET_UP = """
EmailSettings.objects.update_or_create(
    account=None, defaults={{"send_type": 2, "host": "127.0.0.1", "port": {port}, "ehlo_name": "t.example"}})
answer = None
"""


@pytest.fixture(scope="module", params=STACKS)
def installation(request, tmp_path_factory):
    urls = services.urls() if request.param == "services" else {}
    with Installation(tmp_path_factory.mktemp("big"), LEASE_SECONDS="30", **urls) as made:
        made.worker = made.start(WORKER)
        yield made


def send(installation, server, kind, size=OCTETS):
    """Queue them and have them sent, while none is done before all have come; the peak above idle, and what came."""
    installation.ask("Message.objects.all().delete()\nanswer = None")
    together = threading.Barrier(LANES)

    def wait_for_the_others():
        together.wait(300)
        return OK

    server.at("END", [wait_for_the_others] * LANES)
    before = len(server.transactions)
    installation.call("tests.big_texts", "queue", kind=kind, size=size)
    idle = memory(installation.worker.pid, "VmRSS")
    forget_peak(installation.worker.pid)
    installation.call("tests.big_texts", "wake")
    assert wait_for(lambda: len(server.accepted) == before + LANES, 300), server.commands[-20:]
    peak = memory(installation.worker.pid, "VmHWM") - idle
    left = "answer = Message.objects.exclude(status='sent').count()"
    assert wait_for(lambda: installation.ask(left) == 0), "not recorded as sent"
    return peak, server.transactions[before:]


@pytest.mark.parametrize("kind, eightbit", [
    ("plain", True), ("plain", False), ("russian", False), ("nested", True), ("nested", False), ("attached", False),
])  # fmt: skip
def test_worker_stays_small_with_eight_big_texts_at_once(installation, kind, eightbit):
    with FaultServer(eightbit=eightbit, keep=1 << 28) as server:
        server.loop.set_default_executor(ThreadPoolExecutor(LANES))
        installation.ask(SET_UP.format(port=server.port))
        send(installation, server, "plain", 2000)
        peak, arrived = send(installation, server, kind)
        assert all(message.ended for message in arrived)
        bodies = {hashlib.sha256(message.content.partition(b"\r\nDate:")[2]).hexdigest() for message in arrived}
        assert len(bodies) == 1, "the same message to all"
        content = arrived[0].content
        assert eightbit or content.isascii()
        assert texts(content) == texts(big_texts.raw(kind))
    assert peak <= MOST, f"{peak / 1e6:.1f} MB above idle"


def texts(raw):
    """What all parts say, as the standard library reads them, those of an attached message too."""
    found = []
    for part in parsed(raw).walk():
        if not part.is_multipart():
            found.append((part.get_content_type(), part.get_filename(), said(part.get_content())))
    return found


def said(text):
    digest = hashlib.sha256()
    octets = text.replace("\r\n", "\n").rstrip("\n").encode()
    digest.update(octets)
    return digest.hexdigest()
