"""Skeletons of messages in their rows; large ones are read in pieces, so that no process has all of one in memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, QuerySet, When

from messaging.content.octets import MOST_HELD, Octets, Span, Spool
from messaging.models import Message, MessageContent

PIECE = 4 * 65536
SMALL_CACHE = 100  # pages of SQLite
# The server unpacks the value once, whatever the number of its pieces: OFFSET 0 keeps it from doing so for each.
_PIECES = """
    SELECT substring(whole.skeleton FROM begin FOR %s)
    FROM (SELECT skeleton || ''::bytea AS skeleton FROM messaging_messagecontent WHERE message_id = %s OFFSET 0) whole
    CROSS JOIN LATERAL generate_series(1, length(whole.skeleton), %s) AS begin"""


def beside(messages: QuerySet[Message]) -> QuerySet[Message]:
    """The messages with their small skeletons, which `read` then needs no statement for."""
    return messages.annotate(small_skeleton=Case(When(size__lte=MOST_HELD, then="content__skeleton")))


def read(message: Message, size: int) -> Octets:
    """The skeleton of a message, which has about `size` octets. Raises OSError: no room to put a large one.

    A large one is copied into a file before the first octet is sent, because no server and no browser that is slow
    should keep a transaction open.
    """
    if "content" in message._state.fields_cache:
        return Octets.of(bytes(message.content.skeleton))
    if getattr(message, "small_skeleton", None) is not None:
        return Octets.of(bytes(message.small_skeleton))  # type: ignore[attr-defined]
    if size <= MOST_HELD:
        found = MessageContent.objects.values_list("skeleton", flat=True).get(message=message.pk)
        return Octets.of(bytes(found))
    spool = Spool(_pieces(message.pk), Path(settings.MEDIA_ROOT))
    if not spool.size:
        raise MessageContent.DoesNotExist
    return Octets([Span(spool, 0, spool.size)])


def insert(pk: int, skeleton: bytes) -> None:
    """Store the large skeleton of message `pk`, on PostgreSQL as octets beside the statement.

    Django would write them into it, as digits, and needs nine times their size.
    """
    connection.validate_no_broken_transaction()
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        statement = "INSERT INTO messaging_messagecontent (message_id, skeleton) VALUES (%s, %b)"
        cursor.execute(statement, [pk, skeleton])


def _pieces(pk: int) -> Iterator[bytes]:
    return _by_blob(pk) if connection.vendor == "sqlite" else _by_cursor(pk)


def _by_cursor(pk: int) -> Iterator[bytes]:
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(_PIECES, [PIECE, pk, PIECE])
        while row := cursor.fetchone():
            yield bytes(row[0])


def _by_blob(pk: int) -> Iterator[bytes]:
    row = _scalar("SELECT rowid FROM messaging_messagecontent WHERE message_id = %s", pk)
    if row is None:
        return
    usual = _scalar("PRAGMA cache_size")
    _scalar(f"PRAGMA cache_size = {SMALL_CACHE}")  # else each connection keeps as much of the text as it has room for
    try:
        blob = connection.connection.blobopen("messaging_messagecontent", "skeleton", row, readonly=True)
        with connection.wrap_database_errors, blob:
            while piece := blob.read(PIECE):
                yield piece
    finally:
        _scalar(f"PRAGMA cache_size = {usual}")


def _scalar(statement: str, *values: int) -> Any:
    with connection.cursor() as cursor:
        found = cursor.execute(statement, values or None).fetchone()
    return found and found[0]
