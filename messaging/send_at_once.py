"""Sending at once while a user looks on, who is told the outcome, or after a while that it comes later.

The work is done in a thread of its own, so no page waits as long as a mail server may take. Before the final dot it has
little time: when that is over nothing was handed over, and the queue is offered. After the dot only the server's answer
tells whether the message was taken, so the thread waits for it as long as any lane does, and the user does not.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from django.conf import settings
from django.db import connection, connections

from messaging import submit
from messaging.connection_check import PATIENCE
from messaging.intake.gate import Submission
from messaging.models import Message
from messaging.queue.actions import Replaced
from messaging.queue.promises import Promise
from messaging.submit import Outcome

log = logging.getLogger(__name__)

BEFORE_DATA = 20.0  # seconds from the beginning until the final dot is sent
LOOKS_ON = 25.0  # seconds that the user waits for the outcome
THREAD = "send at once"


class Onlooker:
    """The user who waits: they leave, or stay until they are told, and never something in between.

    Args:
        has_gone: whether their browser has ended the connection, so no answer can reach them.
    """

    def __init__(self, has_gone: Callable[[], bool]) -> None:
        self._has_gone = has_gone
        self._lock = threading.Lock()
        self._stays: bool | None = None

    def leave(self) -> bool:
        """They go; False when they are about to be told."""
        return not self._decide(stays=False)

    def stays(self) -> bool:
        """Whether they are still there, and so will be told."""
        return self._decide(stays=not self._has_gone())

    def _decide(self, *, stays: bool) -> bool:
        with self._lock:
            if self._stays is None:
                self._stays = stays
            return self._stays


def submit_watched(
    submission: Submission,
    stored: Callable[[Message], None],
    keep: Callable[[Outcome], None],
    break_off: Callable[[Exception], None],
    *,
    queue_instead: bool = False,
    promised: Promise | None = None,
    in_place_of: Replaced | None = None,
    has_gone: Callable[[], bool] = lambda: False,
) -> Outcome | None:
    """Queue a message or send it at once, as submit.submit does; None: what becomes of it is known later.

    Args:
        stored: called with the message in the transaction that stores it.
        keep: called with the outcome, in the thread that sends, before anyone else is told of it; where nothing is
            recorded, in the transaction that deletes the message.
        break_off: called with the error that ended it when the user has left.
        has_gone: asked when the outcome is known: whether no answer can reach the user any more.

    Raises:
        Refused, NotPossible, DatabaseError: as submit.submit.
    """
    onlooker = Onlooker(has_gone)
    patience = replace(PATIENCE, final_reply=settings.SMTP_FINAL_REPLY_TIMEOUT).within(BEFORE_DATA)

    def work() -> Outcome:
        [outcome] = submit.submit(
            [submission], is_watched=True, stays=onlooker.stays, queue_instead=queue_instead, promised=promised,
            patience=patience, in_place_of=in_place_of, stored=stored, keep=keep,
        )  # fmt: skip
        return outcome

    if queue_instead or connection.in_atomic_block:  # what is in a transaction no other thread sees
        return work()
    future: Future[Outcome] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            if not onlooker.stays() and isinstance(error, Exception):
                log.exception("a message that no one waited for any more")
                break_off(error)
            future.set_exception(error)
        finally:
            connections.close_all()

    try:
        threading.Thread(target=run, name=THREAD, daemon=True).start()
    except RuntimeError:  # this machine has no thread left
        return work()
    try:
        return future.result(LOOKS_ON)
    except TimeoutError:
        if not future.done() and onlooker.leave():
            return None
        return future.result()


def is_at_work() -> bool:
    """Whether a message is being sent in this process: before it ends, the outcome is worth a wait."""
    return any(thread.name == THREAD for thread in threading.enumerate())
