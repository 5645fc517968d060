"""The one kind of statement that Django has no words for."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.models import Model

ROWS_PER_STATEMENT = 1000


def update_each(model: type[Model], rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Give each row its own values in one statement: UPDATE ... FROM (VALUES ...), on PostgreSQL and SQLite alike.

    (Django's bulk_update writes a CASE per column and row, which costs more than all the rest of a delivery.)

    Args:
        rows: primary key and values by field name, the same fields in each row.
    """
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        _update(model, rows[start : start + ROWS_PER_STATEMENT])


def _update(model: type[Model], rows: Sequence[tuple[int, dict[str, Any]]]) -> None:
    columns: dict[str, Any] = {field.name: field for field in model._meta.concrete_fields}
    fields = [columns[name] for name in rows[0][1]]
    key = columns["id"]
    quote = connection.ops.quote_name
    table = quote(model._meta.db_table)
    changes = ", ".join(f"{quote(field.column)} = {_new(field, place)}" for place, field in enumerate(fields, start=2))
    row = "(" + ", ".join(["%s"] * (len(fields) + 1)) + ")"
    statement = (
        f"UPDATE {table} SET {changes} FROM (VALUES {', '.join([row] * len(rows))}) AS new "  # noqa: S608
        f"WHERE {table}.{quote(key.column)} = new.column1"
    )
    values = []
    for row_id, new in rows:
        values.append(row_id)
        values += [field.get_db_prep_save(new[field.name], connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def _new(field: Any, place: int) -> str:
    """A column of VALUES; PostgreSQL takes one that is all NULL for text and wants to be told otherwise."""
    if connection.vendor == "postgresql":
        return f"CAST(new.column{place} AS {field.db_type(connection)})"
    return f"new.column{place}"
