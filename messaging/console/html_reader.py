"""HTML of messages is read in processes apart: what one document costs, no other page pays for (decision 13)."""

import hashlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings

from messaging import concurrency
from messaging.console import html_process
from messaging.console.html_body import MAX_HTML, Clean, NotShown

log = logging.getLogger(__name__)

AT_ONCE = 2  # processes of this process
WAITING = 6
OF_ONE = 4  # of these places one user has so many: each tab with a message takes one
MODULE = html_process.__name__
REMEMBERED = 1_000  # documents that took too long
PATIENCE = 20.0  # seconds for an answer, and for a turn: a busy machine gives the processor to others first


class Busy(concurrency.Busy):
    """Too many documents are being read."""


class Ended(Exception):
    """The document took too much time or memory, and its process was ended."""


_limit = concurrency.ConcurrencyLimit(AT_ONCE, WAITING, PATIENCE, Busy, OF_ONE)
_idle: list[subprocess.Popen[bytes]] = []
_too_long: dict[bytes, None] = {}  # digests of requests, the oldest first
os.register_at_fork(after_in_child=_idle.clear)


def clean(html: str, who: str = "") -> Clean:
    """The body as a document for its frame, without inline images. Raises NotShown and Busy.

    Args:
        who: opens it; a user has only so many turns at a time.
    """
    if len(html) > MAX_HTML:
        raise NotShown
    try:
        found = _asked({"clean": html}, who)
    except Ended as error:
        raise NotShown from error
    if not found:
        raise NotShown
    return Clean(**found)


def texts_of(documents: Sequence[str], who: str = "") -> list[str]:
    """What is between the tags of each; nothing where that takes too much to find. Raises Busy."""
    try:
        texts: list[str] = _asked({"texts": documents}, who)["texts"]
    except Ended:
        return [""] * len(documents)
    return texts


def _asked(request: dict[str, Any], who: str) -> dict[str, Any]:
    """Raises Ended and Busy. What took too long once is not tried again: it would at each opening and reload."""
    digest = hashlib.sha256(json.dumps(request).encode()).digest()
    with _turn_for(digest, who), _process() as process:
        assert process.stdin and process.stdout
        try:
            html_process.write(process.stdin, request)
            # Nothing comes before the whole answer is known, and then all of it.
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                raise TimeoutError
            found: dict[str, Any] = html_process.read(process.stdout)
        except (OSError, EOFError, ValueError) as error:
            log.warning("Reading the HTML of a message was ended: it took too much time or memory")
            if _took_too_long(process):
                _remember(digest)
            raise Ended from error
        return found


@contextmanager
def _turn_for(digest: bytes, who: str) -> Iterator[None]:
    """A turn, if the document needs one: it may be known by now, too, from those before it. Raises Ended and Busy."""
    if digest in _too_long:
        raise Ended
    with _limit.one(who):
        if digest in _too_long:
            raise Ended
        yield


def _took_too_long(process: subprocess.Popen[bytes]) -> bool:
    """Whether its own limit ended it, which goes by processor time, and not a machine that is busy or full."""
    with suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=1) == -signal.SIGPROF
    return False


def _remember(digest: bytes) -> None:
    _too_long[digest] = None
    while len(_too_long) > REMEMBERED:
        with suppress(StopIteration, RuntimeError, KeyError):  # of another thread that does the same
            del _too_long[next(iter(_too_long))]


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    """One that is idle, or a new one; it is kept for the next document unless this one ended it."""
    process = _taken() or _started()
    try:
        yield process
    except BaseException:
        process.kill()
        process.communicate()
        raise
    _idle.append(process)


def _taken() -> subprocess.Popen[bytes] | None:
    with suppress(IndexError):
        while True:
            process = _idle.pop()
            if process.poll() is None:
                return process
    return None


def _started() -> subprocess.Popen[bytes]:
    """With none of this process's variables: a parser that is taken over finds no keys."""
    return subprocess.Popen(  # noqa: S603 (this Python, and a module of ours)
        [sys.executable, "-m", MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=settings.BASE_DIR,
        env={"LANG": "C.UTF-8"},
    )
