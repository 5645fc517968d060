"""Statements for many rows at once, which Django has no words for or takes longer to build than a server to answer.

The rows go along as one JSON array of arrays, so the text is the same for any number of them. One text for PostgreSQL
and SQLite, but for the words of `_rows` and `_value`.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Model

from messaging.models import Phrase

Names = tuple[str, ...]
Row = Sequence[Any]


class Statement(NamedTuple):
    """SQL text and its values."""

    text: str
    values: Sequence[Any]


def run_together(statements: Sequence[Statement]) -> list[tuple[Any, ...]]:
    """Run statements in one transaction; the rows of the first. On PostgreSQL that is one round trip.

    (psycopg sends several statements as one simple query; outside a transaction the server makes them one.)
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            values = [value for statement in statements for value in statement.values]
            cursor.execute("; ".join(statement.text for statement in statements), values)
            return list(cursor.fetchall())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(*statements[0])
        found = list(cursor.fetchall())
        for statement in statements[1:]:
            cursor.execute(*statement)
    return found


def lock_each(model: type[Model], ids: Sequence[int], names: Names, status: str) -> Statement:
    """Lock the rows of a status in the order of their keys, and read `names` of each after its key."""
    return Statement(_lock(model, names, connection.vendor), [_keys(ids), status])


def update_each(model: type[Model], names: Names, rows: Sequence[Row], where: str = "TRUE") -> list[Statement]:
    """Give each row its own values.

    Args:
        names: the fields.
        rows: primary key, the values in the order of `names`, and what more `where` needs.
        where: a condition on `new`, a row of `rows`; its values are {0}, {1} ...
    """
    if not rows:
        return []
    return [Statement(_update(model, names, where, connection.vendor), [_json(rows), _keys([row[0] for row in rows])])]


def insert_each(model: type[Model], names: Names, rows: Sequence[Row], where: str = "TRUE") -> list[Statement]:
    """Insert rows of the values of `names` (all that the table needs), and what more `where` needs."""
    return [Statement(_insert(model, names, where, connection.vendor), [_json(rows)])] if rows else []


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, default=_stored, ensure_ascii=False)


def _keys(ids: Sequence[int]) -> Any:
    return list(ids) if connection.vendor == "postgresql" else json.dumps(ids)


def _stored(value: Any) -> Any:
    if isinstance(value, Phrase):
        return value.as_row()
    assert isinstance(value, datetime)
    return str(connection.ops.adapt_datetimefield_value(value))


@lru_cache
def _lock(model: type[Model], names: Names, vendor: str) -> str:
    lock = " FOR UPDATE" if vendor == "postgresql" else ""  # SQLite took the write lock at BEGIN
    return (
        f"SELECT id, {', '.join(names)} FROM {model._meta.db_table} "  # noqa: S608
        f"WHERE {_among_keys('id', vendor)} AND status = %s ORDER BY id{lock}"
    )


@lru_cache
def _update(model: type[Model], names: Names, where: str, vendor: str) -> str:
    table = model._meta.db_table
    changes = ", ".join(
        f"{column} = {_value(place, of_type, vendor)}"
        for place, (column, of_type) in enumerate(_columns(model, names), 1)
    )
    return (
        f"UPDATE {table} SET {changes} FROM {_rows(vendor)} "  # noqa: S608
        f"WHERE {table}.id = {_value(0, 'bigint', vendor)} AND {_among_keys(f'{table}.id', vendor)} "
        f"AND {_filled(where, vendor)}"
    )


@lru_cache
def _insert(model: type[Model], names: Names, where: str, vendor: str) -> str:
    columns = _columns(model, names)
    values = ", ".join(_value(place, of_type, vendor) for place, (_, of_type) in enumerate(columns))
    return (
        f"INSERT INTO {model._meta.db_table} ({', '.join(column for column, _ in columns)}) "  # noqa: S608
        f"SELECT {values} FROM {_rows(vendor)} WHERE {_filled(where, vendor)}"
    )


def _rows(vendor: str) -> str:
    return "jsonb_array_elements(%s::jsonb) AS new" if vendor == "postgresql" else "json_each(%s) AS new"


def _among_keys(column: str, vendor: str) -> str:
    """Said once more as a list, PostgreSQL sees how few rows there are and does not read all of the table."""
    if vendor == "postgresql":
        return f"{column} = ANY(%s::bigint[])"
    return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608


def _value(place: int, of_type: str, vendor: str) -> str:
    if vendor != "postgresql":
        return f"json_extract(new.value, '$[{place}]')"
    return f"CAST(new.value ->> {place} AS {of_type})"


def _filled(where: str, vendor: str) -> str:
    """The condition with {0} as a whole number, {1:text} as a text ..."""
    parts = where.split("{")
    text = parts[0]
    for part in parts[1:]:
        inside, _, rest = part.partition("}")
        place, _, of_type = inside.partition(":")
        text += _value(int(place), of_type or "bigint", vendor) + rest
    return text


def _columns(model: type[Model], names: Names) -> list[tuple[str, str]]:
    """Column and type of each field."""
    fields: dict[str, Any] = {field.attname: field for field in model._meta.concrete_fields}
    return [(fields[name].column, fields[name].db_type(connection)) for name in names]
