"""Rows by thousands of keys. As parameters of `pk__in` these take the processor for longer than the statement does."""

from collections.abc import Sequence
from typing import TypeVar

from django.db.models import BooleanField, Model, QuerySet
from django.db.models.expressions import RawSQL

M = TypeVar("M", bound=Model)


def with_keys(rows: QuerySet[M], ids: Sequence[int], column: str = "") -> QuerySet[M]:
    """Those of some rows that have one of these keys: their own, or in the column that is named."""
    table = rows.model._meta
    condition = f"{table.db_table}.{column or table.pk.column} IN ({placeholders(ids)})"
    return rows.filter(RawSQL(condition, tuple(ids), output_field=BooleanField()))  # noqa: S611


def placeholders(ids: Sequence[int]) -> str:
    """The places of keys in a statement."""
    return ", ".join(["%s"] * len(ids))
