"""HTML is read in a process apart, so a document that beats the check of its weight stops no page but its own."""

import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.conf import settings

from messaging import concurrency
from messaging.console import html_reader
from messaging.console.html_body import NotShown
from tests.factories import make_message
from tests.pages import source

pytestmark = pytest.mark.django_db

TANGLED = "<p>" + "".join(f"<b {n}>" for n in range(300)) + "<p>x" * 20_000  # gigabytes, and many seconds
FOR_EVER = "<p>for ever"


@pytest.fixture
def unweighed(monkeypatch):
    """Whatever gets past the check of its weight."""
    _end_idle()
    monkeypatch.setattr(html_reader, "MODULE", "tests.unweighed_html")
    monkeypatch.setattr(html_reader, "_too_long", {})
    yield
    _end_idle()


def _end_idle():
    while html_reader._idle:
        process = html_reader._idle.pop()
        process.kill()
        process.communicate()


def the_idle_one():
    html_reader.clean("<p>one")
    return html_reader._idle[-1]


@pytest.mark.slow
@pytest.mark.parametrize("html", [TANGLED, FOR_EVER], ids=["memory", "time"])
def test_a_document_that_takes_too_much_is_not_shown_and_costs_this_process_nothing(office, unweighed, html):
    heavy = make_message("b@example.com", body="", html=html, due=False)
    office.get("/messages/")  # templates are read once
    begun = time.process_time()
    page = office.get(f"/messages/{heavy.pk}/")
    frame = office.get(f"/messages/{heavy.pk}/html/")
    assert time.process_time() - begun < 1.0
    assert page.status_code == 200
    assert "too complicated to be shown here" in source(page)
    assert frame.status_code == 404
    light = make_message("b@example.com", body="", html="<p>Fish", due=False)
    assert "<p>Fish" in office.get(f"/messages/{light.pk}/html/").content.decode()


@pytest.mark.slow
def test_a_document_that_took_too_long_once_is_not_tried_again(office, unweighed, caplog):
    heavy = make_message("b@example.com", body="", html=FOR_EVER, due=False)
    for _ in range(3):
        assert "too complicated to be shown here" in source(office.get(f"/messages/{heavy.pk}/"))
        assert office.get(f"/messages/{heavy.pk}/html/").status_code == 404
    assert caplog.messages.count("Reading the HTML of a message was ended: it took too much time or memory") == 1


@pytest.mark.slow
def test_who_waits_with_a_document_that_takes_too_long_does_not_try_it_again(unweighed, monkeypatch):
    started = []
    begin = html_reader._started
    monkeypatch.setattr(html_reader, "_started", lambda: started.append(1) or begin())
    monkeypatch.setattr(html_reader, "_took_too_long", lambda process: True)  # also on a machine that is very busy
    monkeypatch.setattr(html_reader, "_limit", concurrency.ConcurrencyLimit(1, 6, 60.0, html_reader.Busy, 4))
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(_is_not_shown, [FOR_EVER] * 4))
    assert len(started) == 1


def _is_not_shown(html):
    with pytest.raises(NotShown):
        html_reader.clean(html)
    return True


def test_a_process_that_died_or_was_frozen_is_replaced(monkeypatch):
    dead = the_idle_one()
    dead.kill()
    dead.wait()
    assert "<p>two</p>" in html_reader.clean("<p>two").document

    frozen = the_idle_one()
    monkeypatch.setattr(html_reader, "PATIENCE", 0.2)
    os.kill(frozen.pid, signal.SIGSTOP)
    with pytest.raises(NotShown):
        html_reader.clean("<p>three")
    assert frozen.poll() is not None
    monkeypatch.undo()
    assert "<p>four</p>" in html_reader.clean("<p>four").document


def test_one_process_reads_all_that_comes_one_after_the_other():
    first = the_idle_one()
    for _ in range(5):
        assert the_idle_one() is first


def test_a_process_is_told_no_secret_and_can_take_no_more_memory_than_its_limit():
    pid = the_idle_one().pid
    assert Path(f"/proc/{pid}/environ").read_text() == "LANG=C.UTF-8\0"
    assert resource.prlimit(pid, resource.RLIMIT_AS) == (512 * 2**20,) * 2


@pytest.fixture
def no_turn_left(monkeypatch):
    monkeypatch.setattr(html_reader._limit, "seconds", 0.05)
    with ExitStack() as stack:
        for _ in range(html_reader.AT_ONCE):
            stack.enter_context(html_reader._limit.one())
        yield


@pytest.mark.parametrize("text", ["Fish today", ""])
def test_message_opens_without_its_layout_where_too_many_are_being_opened(office, no_turn_left, text):
    message = make_message("b@example.com", body=text, html="<p>Fish <img src=http://example.com/a.png>", due=False)
    answer = office.get(f"/messages/{message.pk}/")
    page = source(answer)
    assert answer.status_code == 200
    assert "The layout (HTML) could not be read: too many messages are being opened at the moment." in page
    assert f'<a href="/messages/{message.pk}/">Open it again</a>' in page
    assert "<iframe" not in page and "too large or too complicated" not in page
    assert ("Fish today" in page) == bool(text)


def test_frame_of_a_message_asks_to_try_again_where_too_many_are_being_opened(office, no_turn_left):
    message = make_message("b@example.com", body="", html="<p>Fish", due=False)
    answer = office.get(f"/messages/{message.pk}/html/")
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert "Too many messages are being opened" in answer.content.decode()


def test_the_process_ends_with_the_one_that_asks():
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import django; django.setup()\n"
            "from messaging.console import html_reader\n"
            "html_reader.clean('<p>x'); print(html_reader._idle[0].pid, flush=True); input()",
        ],
        cwd=settings.BASE_DIR,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pid = int(parent.stdout.readline())
    assert "html_process" in Path(f"/proc/{pid}/cmdline").read_text()
    parent.kill()
    parent.communicate()
    until = time.monotonic() + 30
    while is_running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_running(pid)


def is_running(pid):
    """No one may collect what is left of an orphan in a container, so a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
