"""Statements for many rows at once that Django has no words for, or takes longer to build than a server to answer.

The same text serves PostgreSQL and SQLite; it is built once per number of rows.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Model

ROWS_PER_STATEMENT = 500
Names = tuple[str, ...]
Row = Sequence[Any]


class Statement(NamedTuple):
    """SQL text and its values."""

    text: str
    values: list[Any]


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
    return Statement(_lock(model, names, len(ids), connection.vendor), [status, *ids])


def update_each(model: type[Model], names: Names, rows: Sequence[Row], where: str = "TRUE") -> list[Statement]:
    """Give each row its own values: UPDATE ... FROM (VALUES ...) AS new.

    Args:
        names: the fields.
        rows: primary key, the values in the order of `names`, and what more `where` needs.
        where: a condition on `new`; its columns are column1, column2 ...
    """
    return [
        Statement(_update(model, names, where, len(part), len(part[0]), connection.vendor), _flat(part))
        for part in _parts(rows)
    ]


def insert_each(model: type[Model], names: Names, rows: Sequence[Row], where: str = "TRUE") -> list[Statement]:
    """Insert rows of the values of `names` (all that the table needs), and what more `where` needs."""
    return [
        Statement(_insert(model, names, where, len(part), len(part[0]), connection.vendor), _flat(part))
        for part in _parts(rows)
    ]


def _parts(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[start : start + ROWS_PER_STATEMENT] for start in range(0, len(rows), ROWS_PER_STATEMENT)]


def _flat(rows: Sequence[Row]) -> list[Any]:
    return [_stored(value) for row in rows for value in row]


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value


@lru_cache(maxsize=256)
def _lock(model: type[Model], names: Names, number: int, vendor: str) -> str:
    lock = " FOR UPDATE" if vendor == "postgresql" else ""  # SQLite took the write lock at BEGIN
    return (
        f"SELECT id, {', '.join(names)} FROM {_table(model)} "  # noqa: S608
        f"WHERE status = %s AND id IN ({', '.join(['%s'] * number)}) ORDER BY id{lock}"
    )


@lru_cache(maxsize=256)
def _update(model: type[Model], names: Names, where: str, number: int, width: int, vendor: str) -> str:
    fields = enumerate(_fields(model, names), start=2)
    changes = ", ".join(f"{_quoted(field.column)} = {_new(field, place, vendor)}" for place, field in fields)
    return (
        f"UPDATE {_table(model)} SET {changes} FROM ({_values(number, width)}) AS new "  # noqa: S608
        f"WHERE {_table(model)}.id = new.column1 AND {where}"
    )


@lru_cache(maxsize=256)
def _insert(model: type[Model], names: Names, where: str, number: int, width: int, vendor: str) -> str:
    fields = _fields(model, names)
    columns = ", ".join(_quoted(field.column) for field in fields)
    values = ", ".join(_new(field, place, vendor) for place, field in enumerate(fields, start=1))
    return (
        f"INSERT INTO {_table(model)} ({columns}) "  # noqa: S608
        f"SELECT {values} FROM ({_values(number, width)}) AS new WHERE {where}"
    )


def _values(number: int, width: int) -> str:
    row = f"({', '.join(['%s'] * width)})"
    return f"VALUES {', '.join([row] * number)}"


def _new(field: Any, place: int, vendor: str) -> str:
    """A column of VALUES; PostgreSQL takes one that is all NULL for text and wants to be told otherwise."""
    column = f"new.column{place}"
    return f"CAST({column} AS {field.db_type(connection)})" if vendor == "postgresql" else column


def _fields(model: type[Model], names: Names) -> list[Any]:
    fields: dict[str, Any] = {field.attname: field for field in model._meta.concrete_fields}
    return [fields[name] for name in names]


def _table(model: type[Model]) -> str:
    return _quoted(model._meta.db_table)


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
