"""Messages as other programs read them: one dictionary each, made for JSON.

`outcome` of a recipient is pending, accepted, failed or unknown; `stage` of an attempt is one of delivery.reply.Stage,
its `outcome` accepted, transient, permanent, setup or unknown. Times are ISO 8601 in UTC, and within a sentence in the
time zone in force. What there is none of is null (`author`: a user name; `code`, `enhanced`) or, where it is a text, an
empty one (`reason`, `subject`, `text`).
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import connection, transaction
from django.db.models import Model, QuerySet

from messaging.models import Message, Recipient, SendAttempt
from messaging.wording import in_words

CHUNK = 2000  # rows that are in memory at a time


def each(messages: QuerySet[Message]) -> Generator[dict[str, Any]]:
    """The messages in the order of their ids, as they are at one moment, in three statements and constant memory.

    The iterator has to be closed: it reads in a transaction.
    """
    ids = messages.order_by().values("pk") if messages.query.where else None
    names = ("pk", "message_id", "status", "reason", "author__username", "subject")
    with snapshot():
        recipients = _Rows(Recipient, ids, "address", "status")
        attempts = _Rows(
            SendAttempt, ids, "started_at", "stage", "reply_code", "enhanced_code", "reply_text", "said", "outcome"
        )
        for pk, message_id, status, reason, author, subject in (
            messages.order_by("pk").values_list(*names).iterator(chunk_size=CHUNK)
        ):
            yield {
                "id": pk,
                "message_id": message_id,
                "status": status,
                "reason": in_words(reason),
                "author": author,
                "subject": subject,
                "recipients": [{"address": address, "outcome": outcome} for _, address, outcome in recipients.of(pk)],
                "attempts": [_attempt(*row) for row in attempts.of(pk)],
            }


def _attempt(
    _: int, started: Any, stage: str, code: int | None, enhanced: str, text: str, said: Any, outcome: str
) -> dict[str, Any]:
    return {
        "started": started.isoformat(),
        "stage": stage,
        "code": code,
        "enhanced": enhanced or None,
        "text": text or in_words(said),
        "outcome": outcome,
    }


class _Rows:
    """Rows that belong to messages, read along with these: both come in the order of the messages' ids."""

    def __init__(self, model: type[Model], ids: Any, *names: str) -> None:
        rows = model._default_manager.all() if ids is None else model._default_manager.filter(message__in=ids)
        found = rows.order_by("message_id", "pk").values_list("message_id", *names).iterator(chunk_size=CHUNK)
        self._groups = groupby(found, key=itemgetter(0))
        self._next = next(self._groups, None)

    def of(self, pk: int) -> list[tuple[Any, ...]]:
        """Those of a message; asked for in the order of the ids."""
        while self._next is not None and self._next[0] < pk:
            self._next = next(self._groups, None)
        if self._next is None or self._next[0] != pk:
            return []
        found = list(self._next[1])
        self._next = next(self._groups, None)
        return found


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read within it is of one moment. No one who writes waits for it."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")  # not IMMEDIATE, as all else here: that takes the one writer's place
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
