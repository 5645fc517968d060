"""Texts too large for memory are sent as they were accepted: read, and encoded where need be, in pieces."""

import errno
import tracemalloc

import pytest
from django.db import connection

from messaging.content import assembly, skeletons
from messaging.models import Message, MessageContent
from tests import big_texts
from tests.factories import make_message, set_up
from tests.fault_server import CLOSE, FaultServer
from tests.integration.faults.invariants import check_invariants
from tests.rows import parsed, statuses
from tests.steps import AN_HOUR, run_lane

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SIZE = 12_000_000
MOST = 8_000_000  # octets in memory


@pytest.fixture(params=[True, False], ids=["8BITMIME", "7-bit"])
def server(request):
    with FaultServer(eightbit=request.param, keep=1 << 26) as running:
        set_up(running)
        yield running


def texts(raw):
    """What its parts say, as a mail program reads them, those of an attached message too."""
    leaves = [part for part in parsed(raw).walk() if not part.is_multipart()]
    return [(part.get_content_type(), part.get_content().replace("\r\n", "\n").rstrip("\n")) for part in leaves]


@pytest.mark.parametrize("kind", big_texts.KINDS)
def test_a_big_text_arrives_as_it_was_written(server, kind):
    raw = big_texts.raw(kind, 3_000_000)
    message = make_message("ada@example.com", raw=raw)
    stored = b"".join(assembly.assemble(message))
    run_lane()
    assert statuses(message) == ["sent"]
    (arrived,) = server.accepted
    assert texts(arrived.content) == texts(raw)
    if server.eightbit:
        assert arrived.content == stored
    else:
        assert arrived.content.isascii()
        assert max(map(len, arrived.content.split(b"\r\n"))) <= 998
    check_invariants(server, queued=[message])


def peak_of(work):
    """Octets in Python's memory at most while it runs, the server's buffers among them."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["plain", "russian", "nested", "attached"])
@pytest.mark.parametrize("eightbit", [True, False], ids=["8BITMIME", "7-bit"])
def test_memory_stays_flat_with_a_big_text(kind, eightbit):
    with FaultServer(eightbit=eightbit, keep=4096) as server:
        set_up(server)
        message = make_message("ada@example.com", raw=big_texts.raw(kind, SIZE))
        peak = peak_of(run_lane)
        assert statuses(message) == ["sent"]
    assert peak < MOST, f"{peak / 1e6:.1f} MB at the peak"


def test_what_was_claimed_together_is_not_in_memory_together():
    with FaultServer(keep=4096) as server:
        set_up(server)
        messages = [make_message(f"c{number}@example.com", raw=big_texts.raw("plain", 900_000)) for number in range(16)]
        peak = peak_of(run_lane)
        assert set(statuses(*messages)) == {"sent"}
    assert peak < MOST, f"{peak / 1e6:.1f} MB at the peak"


def test_a_big_text_is_sent_again_whole_after_it_was_cut_off(server):
    message = make_message("ada@example.com", raw=big_texts.raw("nested", 3_000_000))
    server.at("CONTENT", [CLOSE])
    run_lane()
    run_lane(after=AN_HOUR)
    assert statuses(message) == ["sent"]
    assert texts(server.accepted[0].content) == texts(big_texts.raw("nested", 3_000_000))


def test_a_full_disk_is_waited_out(server, monkeypatch):
    def full(pieces, folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    big, small = make_message("a@example.com", raw=big_texts.raw("plain", 3_000_000)), make_message("b@example.com")
    with monkeypatch.context() as patch:
        patch.setattr(skeletons, "Spool", full)
        run_lane()
    assert statuses(big, small) == ["queued", "sent"]
    run_lane(after=AN_HOUR)
    assert statuses(big, small) == ["sent", "sent"]


def test_a_big_text_that_is_gone_is_not_sent_as_an_empty_message(server):
    message = make_message("ada@example.com", raw=big_texts.raw("plain", 3_000_000))
    MessageContent.objects.all().delete()
    run_lane()
    assert server.accepted == []
    assert statuses(message) != ["sent"]


def test_reading_a_big_text_leaves_the_connection_as_it_was():
    message = make_message("ada@example.com", raw=big_texts.raw("plain", 3_000_000))
    message = Message.objects.get(pk=message.pk)
    cache = "PRAGMA cache_size" if connection.vendor == "sqlite" else "SHOW work_mem"
    with connection.cursor() as cursor:
        before = cursor.execute(cache).fetchone()
        assert len(assembly.skeleton_of(message)) == message.size
        assert cursor.execute(cache).fetchone() == before
    assert not connection.in_atomic_block
