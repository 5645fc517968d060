"""The rows of accepted messages, and the few statements that store them.

Every message that comes in waits for these, so they do without what Django builds for each. On PostgreSQL a small
message is one prepared statement, which is a transaction by itself and one round trip; anything else is copied
(COPY), under keys that are drawn in the same transaction. SQLite has no round trips to save.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models import Field, JSONField, Model
from django.db.models.expressions import DatabaseDefault
from psycopg.types.numeric import Int8

from messaging.content import skeletons
from messaging.models import Attachment, CompanyOptions, Message, MessageContent, MessageEvent, Recipient

FEW = 3  # recipients, attachments and events of a message that is one statement; each number of them is a statement
# What decides, of all options, what becomes of a message that comes in and is not sent at once.
DECISIVE = ("hold_mail", "urgent_categories", "urgent_claims")
_SAME = " AND ".join(f"{name} = {{}}" for name in DECISIVE)
# Where no options were ever saved the defaults hold, and they have no row to be compared with.
_AS_OF = f"coalesce((SELECT {_SAME} FROM messaging_companyoptions LIMIT 1), {{}})"  # noqa: S608


class Rows(NamedTuple):
    """The rows of one accepted message, not yet stored: `event` is how it came in, `notes` what was done to it."""

    message: Message
    content: MessageContent
    recipients: list[Recipient]
    attachments: list[Attachment]
    event: MessageEvent
    notes: Sequence[MessageEvent] = ()

    @property
    def children(self) -> tuple[Sequence[Model], ...]:
        """What there may be several of, in the order of CHILDREN."""
        return self.recipients, self.attachments, (self.event, *self.notes)


CHILDREN = (Recipient, Attachment, MessageEvent)


class OptionsChanged(Exception):
    """The company options are not those by which it was decided what becomes of the messages; nothing was stored."""


class CommitInDoubt(OperationalError):
    """The connection was lost over a statement that is a transaction: no one said whether it was committed."""


def insert(prepared: Sequence[Rows], as_of: CompanyOptions | None = None) -> list[Message]:
    """Store rows, all or none; only the messages are given their keys.

    Args:
        as_of: the options by which it was decided what becomes of them.

    Raises:
        OptionsChanged: they are others by now.
        CommitInDoubt
    """
    messages = [rows.message for rows in prepared]
    if connection.vendor == "postgresql" and len(prepared) == 1 and _is_small(prepared[0]):
        with _whole():
            _name(messages, _in_one_statement(prepared[0], as_of))
    else:
        with transaction.atomic():
            _compare(as_of)
            _name(messages, (_by_copy if connection.vendor == "postgresql" else _by_inserts)(prepared))
    return messages


def _name(messages: Sequence[Message], keys: Sequence[int]) -> None:
    """Give each its key, before the transaction is committed: a commit that fails may have taken place."""
    for message, key in zip(messages, keys, strict=True):
        message.pk = key
        message._state.adding, message._state.db = False, connection.alias


def _whole() -> AbstractContextManager[Any]:
    """What makes one statement whole: nothing, but a savepoint where a failure must leave what was done before."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def _is_small(rows: Rows) -> bool:
    return len(rows.content.skeleton) <= skeletons.PIECE and all(len(each) <= FEW for each in rows.children)


def _compared(as_of: CompanyOptions) -> list[Any]:
    """The values for _AS_OF."""
    return [*(getattr(as_of, name) for name in DECISIVE), as_of.pk is None]


def _compare(as_of: CompanyOptions | None) -> None:
    if as_of is None:
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + _AS_OF.format(*["%s"] * (len(DECISIVE) + 1)), _compared(as_of))
        if not cursor.fetchone()[0]:
            raise OptionsChanged


# --- Values ------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A column, and what makes of an attribute the value for it; None where that is the attribute itself."""

    name: str
    attribute: str
    type: str
    adapt: Callable[[Any], Any] | None


@lru_cache
def _columns(model: type[Model], vendor: str) -> tuple[_Column, ...]:
    """All but the key, and but the message of what belongs to one."""
    fields = [each for each in model._meta.concrete_fields if not each.primary_key and each.name != "message"]
    return tuple(_Column(str(each.column), each.attname, _type(each), _adapter(each, vendor)) for each in fields)


def _type(field: "Field[Any, Any]") -> str:
    """Without its length: a cast to that would cut in silence what is too long."""
    return str(field.db_type(connection)).partition("(")[0]


def _adapter(field: "Field[Any, Any]", vendor: str) -> Callable[[Any], Any] | None:
    ops = connection.ops
    if isinstance(field, JSONField):
        return lambda value: ops.adapt_json_value(value, field.encoder)
    if vendor != "postgresql":
        return ops.adapt_datetimefield_value if field.get_internal_type() == "DateTimeField" else None
    # The width of a number would be part of what a prepared statement is known by.
    return Int8 if _type(field) in ("smallint", "integer", "bigint") else None


def _values(row: Model) -> list[Any]:
    values = []
    for column in _columns(type(row), connection.vendor):
        value = getattr(row, column.attribute)
        if isinstance(value, DatabaseDefault):
            value = value.expression.value  # type: ignore[attr-defined]
            setattr(row, column.attribute, value)
        values.append(value if value is None or column.adapt is None else column.adapt(value))
    return values


# --- One statement (PostgreSQL) ------------------------------------------------------------------------


def _in_one_statement(rows: Rows, as_of: CompanyOptions | None) -> list[int]:
    counts = tuple(map(len, rows.children))
    values = _values(rows.message)
    if as_of is not None:
        values += _compared(as_of)
    values.append(rows.content.skeleton)
    for child in rows.children:
        for row in child:
            values += _values(row)
    connection.ensure_connection()
    is_alone = not connection.in_atomic_block
    try:
        with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
            found = cursor.execute(_statement(counts, as_of is not None), values, prepare=True).fetchone()
    except OperationalError as error:
        cause = error.__cause__
        # With a state it is the server that says so, and that it did not do it.
        if is_alone and isinstance(cause, psycopg.Error) and cause.sqlstate is None:
            raise CommitInDoubt(*error.args) from error
        raise
    if found is None:
        raise OptionsChanged
    return [found[0]]


@lru_cache
def _statement(counts: tuple[int, ...], is_compared: bool) -> str:
    """One that stores a message with so many of each of CHILDREN; the values go in the order of the text."""
    places = (f"${number}" for number in range(1, 2**15))
    names, given = _select(Message, places)
    where = f" WHERE {_AS_OF.format(*(next(places) for _ in (*DECISIVE, None)))}" if is_compared else ""
    steps = [
        f"new AS (INSERT INTO messaging_message ({names}) SELECT {given}{where} RETURNING id)",
        "content AS (INSERT INTO messaging_messagecontent (message_id, skeleton) "  # noqa: S608
        f"SELECT id, {next(places)}::bytea FROM new)",
    ]
    for model, count in zip(CHILDREN, counts, strict=True):
        if count:
            steps.append(_step(model, count, places))
    return f"WITH {', '.join(steps)} SELECT id FROM new"  # noqa: S608


def _step(model: type[Model], count: int, places: Iterator[str]) -> str:
    """The rows are given their keys in the order in which they stand."""
    selects = [_select(model, places) for _ in range(count)]
    names = selects[0][0]
    given = ", ".join(f"({place}, {values})" for place, (_, values) in enumerate(selects))
    table = model._meta.db_table
    return (
        f"{model._meta.model_name} AS (INSERT INTO {table} (message_id, {names}) "  # noqa: S608
        f"SELECT new.id, {names} FROM new, (VALUES {given}) AS given (place, {names}) ORDER BY place)"
    )


def _select(model: type[Model], places: Iterator[str]) -> tuple[str, str]:
    columns = _columns(model, "postgresql")
    names = ", ".join(f'"{column.name}"' for column in columns)
    return names, ", ".join(f"{next(places)}::{column.type}" for column in columns)


# --- Many rows ---------------------------------------------------------------------------------------


def _by_copy(prepared: Sequence[Rows]) -> list[int]:
    """As COPY takes them, in binary: half the octets, and no text to be read again."""
    with connection.cursor() as cursor:
        sequence = "pg_get_serial_sequence('messaging_message', 'id')"
        cursor.execute(f"SELECT nextval({sequence}) FROM generate_series(1, %s)", [len(prepared)])  # noqa: S608
        keys = sorted(key for (key,) in cursor.fetchall())
    _copy(Message, "id", ((key, rows.message) for key, rows in zip(keys, prepared, strict=True)))
    contents = [(key, rows.content) for key, rows in zip(keys, prepared, strict=True)]
    large = [(key, row.skeleton) for key, row in contents if len(row.skeleton) > skeletons.PIECE]
    _copy(MessageContent, "message_id", (each for each in contents if len(each[1].skeleton) <= skeletons.PIECE))
    for key, skeleton in large:
        skeletons.insert(key, bytes(skeleton))
    for model, given in _children(keys, prepared):
        if given:
            _copy(model, "message_id", given)
    return keys


def _copy(model: type[Model], key_name: str, rows: Iterable[tuple[int, Model]]) -> None:
    columns = _columns(model, "postgresql")
    names = ", ".join([key_name, *(f'"{column.name}"' for column in columns)])
    statement = f"COPY {model._meta.db_table} ({names}) FROM STDIN (FORMAT BINARY)"
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
        cursor.copy(statement) as copy,
    ):
        copy.set_types(["bigint", *(column.type for column in columns)])
        for key, row in rows:
            copy.write_row([key, *_values(row)])


def _children(keys: Sequence[int], prepared: Sequence[Rows]) -> Iterator[tuple[type[Model], list[tuple[int, Model]]]]:
    """Rows of each of CHILDREN, each with the key of its message."""
    for place, model in enumerate(CHILDREN):
        yield model, [(key, row) for key, rows in zip(keys, prepared, strict=True) for row in rows.children[place]]


def _by_inserts(prepared: Sequence[Rows]) -> list[int]:
    with connection.cursor() as cursor:
        # No one else draws keys meanwhile: a transaction has the only lock to write from its beginning.
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messaging_message'")
        last = (cursor.fetchone() or (0,))[0]
        keys = list(range(last + 1, last + 1 + len(prepared)))
        messages = [(key, *_values(rows.message)) for key, rows in zip(keys, prepared, strict=True)]
        cursor.executemany(_insert(Message, "id"), messages)
        contents = [(key, *_values(rows.content)) for key, rows in zip(keys, prepared, strict=True)]
        cursor.executemany(_insert(MessageContent, "message_id"), contents)
        for model, given in _children(keys, prepared):
            if given:
                cursor.executemany(_insert(model, "message_id"), [(key, *_values(row)) for key, row in given])
    return keys


@lru_cache
def _insert(model: type[Model], key_name: str) -> str:
    names = [key_name, *(f'"{column.name}"' for column in _columns(model, "sqlite"))]
    places = ", ".join(["%s"] * len(names))
    return f"INSERT INTO {model._meta.db_table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608
