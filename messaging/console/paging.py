"""Numbered pages over rows whose number is already known."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet

T = TypeVar("T")
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Page(Generic[T]):
    """Rows `first` to `last` (from 1) of `total`, on page `number` of `pages`."""

    rows: list[T]
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
    number, pages = _nearest(wanted, total, size)
    start = (number - 1) * size
    found = list(rows.filter(pk__in=ids.values("pk")[start : start + size])) if total else []
    return Page(found, number, pages, total, size)


def part_of(rows: QuerySet[M], wanted: str | None, *, size: int) -> Page[M]:
    """The same of rows that no one has counted: nearly always they fit on one page, and need not be."""
    first = list(rows[: size + 1])
    if len(first) <= size:
        return Page(first, 1, 1, len(first), size)
    total = rows.count()
    if _number(wanted) > 1:
        return page_of(rows, rows, wanted, total=total, size=size)
    number, pages = _nearest(wanted, total, size)
    return Page(first[:size], number, pages, total, size)


def page_of_list(rows: list[T], wanted: str | None, *, size: int) -> Page[T]:
    """The same of what is in memory."""
    number, pages = _nearest(wanted, len(rows), size)
    return Page(rows[(number - 1) * size : number * size], number, pages, len(rows), size)


def _nearest(wanted: str | None, total: int, size: int) -> tuple[int, int]:
    """The page that is shown, and of how many."""
    pages = max(1, -(-total // size))
    return min(max(_number(wanted), 1), pages), pages


def _number(wanted: str | None) -> int:
    try:
        return int(wanted or 1)
    except ValueError:
        return 1
