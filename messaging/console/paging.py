"""Numbered pages over rows whose number is already known."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Page(Generic[M]):
    """Rows `first` to `last` (from 1) of `total`, on page `number` of `pages`."""

    rows: list[M]
    number: int
    pages: int
    total: int
    size: int

    @property
    def first(self) -> int:
        return (self.number - 1) * self.size + 1 if self.rows else 0

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1 if self.rows else 0


def page_of(ids: QuerySet[M], rows: QuerySet[M], wanted: str | None, *, total: int, size: int = 50) -> Page[M]:
    """One page of `ids`, read as `rows`, in the order of `rows`; what is no page number means the nearest one.

    The page is found by primary keys alone, so a far page costs an index walk and not a walk over all rows.
    """
    pages = max(1, -(-total // size))
    number = min(max(_number(wanted), 1), pages)
    start = (number - 1) * size
    found = list(rows.filter(pk__in=ids.values("pk")[start : start + size])) if total else []
    return Page(found, number, pages, total, size)


def _number(wanted: str | None) -> int:
    try:
        return int(wanted or 1)
    except ValueError:
        return 1
