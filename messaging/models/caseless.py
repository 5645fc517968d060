"""Lookups without regard to case (icontains, iexact ...) for every letter on SQLite, whose LIKE knows ASCII's alone.

A text with other letters is looked for with GLOB, which has classes of characters: "*m[Üü][Ll]" and "*M[Üü][Ll]". The
first letter stands by itself in a pattern of its own, because SQLite finds a plain letter fast. PostgreSQL compares
both sides in capitals, and needs none of this.
"""

from typing import Any

from django.db.models import CharField, TextField
from django.db.models.lookups import IContains, IEndsWith, IExact, IStartsWith


class _Caseless:
    """`before` and `after` are what a pattern has around the text."""

    before = after = ""
    rhs: Any

    def as_sqlite(self: Any, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        if not isinstance(self.rhs, str) or self.rhs.isascii():
            as_usual: tuple[str, list[Any]] = super().as_sql(compiler, connection)  # type: ignore[misc]
            return as_usual
        lhs, values = self.process_lhs(compiler, connection)
        patterns = [f"{self.before}{pattern}{self.after}" for pattern in patterns_of(self.rhs)]
        sql = " OR ".join([f"{lhs} GLOB %s"] * len(patterns))
        return f"({sql})", [value for pattern in patterns for value in (*values, pattern)]


@CharField.register_lookup
@TextField.register_lookup
class _Contains(_Caseless, IContains):
    before = after = "*"


@CharField.register_lookup
@TextField.register_lookup
class _StartsWith(_Caseless, IStartsWith):
    after = "*"


@CharField.register_lookup
@TextField.register_lookup
class _EndsWith(_Caseless, IEndsWith):
    before = "*"


@CharField.register_lookup
@TextField.register_lookup
class _Exact(_Caseless, IExact):
    pass


def patterns_of(text: str) -> list[str]:
    """GLOB patterns of which one fits a text that differs in case at most; `text` is not empty."""
    rest = "".join(map(_class_of, text[1:]))
    return [f"{_plain(letter)}{rest}" for letter in _cases_of(text[0])]


def _cases_of(letter: str) -> list[str]:
    found = {letter, letter.lower(), letter.upper(), letter.upper().lower(), letter.lower().upper()}
    return sorted(each for each in found if len(each) == 1)


def _class_of(letter: str) -> str:
    cases = _cases_of(letter)
    return f"[{''.join(cases)}]" if len(cases) > 1 else _plain(letter)


def _plain(letter: str) -> str:
    return f"[{letter}]" if letter in "*?[" else letter
