"""The rows of accepted messages, and the few statements that store them.

Every message that comes in waits for these, so they do without what Django builds for each. On PostgreSQL a small
message is one prepared statement, which is a transaction by itself and one round trip; anything else is copied
(COPY), under keys that are drawn in the same transaction. SQLite has no round trips to save.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import psycopg
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import DateTimeField, Field, JSONField, Model
from django.db.models.expressions import DatabaseDefault
from psycopg.types.numeric import Int8

from messaging.content import skeletons
from messaging.models import Attachment, CompanyOptions, Message, MessageContent, MessageEvent, Recipient

FEW = 3  # recipients, attachments and events of a message that is one statement; each number of them is a statement
# What PostgreSQL says of a prepared statement that a pooler took to another connection: 26000, 42P05.
NOT_KEPT = ("26000", "42P05")
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
        _insert_alone(prepared[0], as_of)
    else:
        with transaction.atomic():
            _compare(as_of)
            keys = (_by_copy if connection.vendor == "postgresql" else _by_inserts)(prepared)
            # Before the commit: one that fails may have taken place.
            for message, key in zip(messages, keys, strict=True):
                give_key(message, key)
    return messages


def give_key(message: Message, key: int) -> None:
    """Let a message know that it is stored, and where."""
    message.pk = key
    message._state.adding, message._state.db = False, connection.alias


def _is_small(rows: Rows) -> bool:
    return not _is_large(rows.content) and all(len(each) <= FEW for each in rows.children)


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
    """All columns except the key and, of what belongs to a message, that of the message."""
    fields = [each for each in model._meta.concrete_fields if not each.primary_key and each.name != "message"]
    return tuple(_Column(str(each.column), each.attname, _type(each), _adapter(each, vendor)) for each in fields)


def _type(field: "Field[Any, Any]") -> str:
    """Without its length: a cast to that would cut in silence what is too long."""
    return str(field.db_type(connection)).partition("(")[0]


def _adapter(field: "Field[Any, Any]", vendor: str) -> Callable[[Any], Any] | None:
    ops = connection.ops
    if isinstance(field, JSONField):
        return lambda value: ops.adapt_json_value(value, field.encoder)
    if isinstance(field, DateTimeField):
        return lambda value: ops.adapt_datetimefield_value(field.get_prep_value(value))
    if vendor != "postgresql":
        return None
    # The width of a number would be part of what a prepared statement is known by.
    return Int8 if _type(field) in ("smallint", "integer", "bigint") else None


def _values(row: Model) -> list[Any]:
    """The values of its columns. Those that the database would have by itself are given to the row as well."""
    values = []
    for column in _columns(type(row), connection.vendor):
        value = getattr(row, column.attribute)
        if isinstance(value, DatabaseDefault):
            value = value.expression.value  # type: ignore[attr-defined]
            setattr(row, column.attribute, value)
        values.append(value if value is None or column.adapt is None else column.adapt(value))
    return values


# --- One statement (PostgreSQL) ------------------------------------------------------------------------


def _insert_alone(rows: Rows, as_of: CompanyOptions | None) -> None:
    try:
        with _whole():
            _in_one_statement(rows, as_of)
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) not in NOT_KEPT:
            raise
        connection.connection.prepare_threshold = None  # from now on it is planned anew each time
        with _whole():
            _in_one_statement(rows, as_of)


def _whole() -> AbstractContextManager[Any]:
    """What makes one statement whole: nothing, but a savepoint where a failure must leave what was done before."""
    return nullcontext() if _is_a_transaction() else transaction.atomic()


def _is_a_transaction() -> bool:
    """Whether a statement is one by itself."""
    return bool(connection.get_autocommit()) and not connection.in_atomic_block


def _in_one_statement(rows: Rows, as_of: CompanyOptions | None) -> None:
    counts = tuple(map(len, rows.children))
    values = _values(rows.message)
    if as_of is not None:
        values += _compared(as_of)
    values.append(rows.content.skeleton)
    for child in rows.children:
        for row in child:
            values += _values(row)
    connection.validate_no_broken_transaction()
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    is_a_transaction = _is_a_transaction()
    try:
        with connection.wrap_database_errors, psycopg.RawCursor(connection.connection) as cursor:
            found = cursor.execute(_statement(counts, as_of is not None), values, prepare=True).fetchone()
    except OperationalError as error:
        if is_a_transaction and connection.connection.closed:
            raise CommitInDoubt(*error.args) from error
        raise
    if found is None:
        raise OptionsChanged
    give_key(rows.message, found[0])


@lru_cache
def _statement(counts: tuple[int, ...], is_compared: bool) -> str:
    """One that stores a message with so many of each of CHILDREN; the values go in the order of the text."""
    places = (f"${number}" for number in range(1, 2**15))
    names, given = _select(Message, places)
    where = f" WHERE {_AS_OF.format(*islice(places, len(DECISIVE) + 1))}" if is_compared else ""
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
    with connection.cursor() as cursor:
        sequence = "pg_get_serial_sequence('messaging_message', 'id')"
        cursor.execute(f"SELECT nextval({sequence}) FROM generate_series(1, %s)", [len(prepared)])  # noqa: S608
        keys = sorted(key for (key,) in cursor.fetchall())
    _copy(Message, "id", [(key, rows.message) for key, rows in zip(keys, prepared, strict=True)])
    contents = [(key, rows.content) for key, rows in zip(keys, prepared, strict=True)]
    _copy(MessageContent, "message_id", [each for each in contents if not _is_large(each[1])])
    for key, row in contents:
        if _is_large(row):
            skeletons.insert(key, bytes(row.skeleton))
    for model, given in _children(keys, prepared):
        _copy(model, "message_id", given)
    return keys


def _is_large(content: MessageContent) -> bool:
    return len(content.skeleton) > skeletons.PIECE


def _copy(model: type[Model], key_name: str, rows: Sequence[tuple[int, Model]]) -> None:
    """As text: in binary, a number that is too large for its column would be cut in silence."""
    if not rows:
        return
    names = ", ".join([key_name, *(f'"{column.name}"' for column in _columns(model, "postgresql"))])
    statement = f"COPY {model._meta.db_table} ({names}) FROM STDIN"
    with (
        connection.wrap_database_errors,
        psycopg.Cursor(connection.connection) as cursor,
        cursor.copy(statement) as copy,
    ):
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
