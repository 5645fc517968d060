"""A sentence as rows keep it: a key and parameters. The words are made when it is shown, see messaging/wording."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.fields.json import KeyTransform

Words = str | Callable[..., str]  # with {parameters}, or a function of them
ALL = "all"  # of several phrases


class Phrase:
    """A key, and what the words of that key need: text, numbers, lists, times (kept in ISO 8601), other phrases.

    Phrase("expired", days=3) is kept as {"key": "expired", "days": 3}.
    """

    __slots__ = ("key", "params")

    def __init__(self, key: str, /, **params: Any) -> None:
        self.key = str(key)
        self.params = {name: _kept(value) for name, value in params.items()}

    @classmethod
    def of(cls, row: Any) -> "Phrase":
        """The phrase that was kept as `row`. Whatever another version kept can be read, and kept as it is."""
        if not isinstance(row, dict):
            return cls("", value=row)
        params = {name: _read(value) for name, value in row.items() if name != "key"}
        return cls(row.get("key", ""), **params)

    @classmethod
    def all(cls, parts: Iterable["Phrase"]) -> "Phrase | None":
        """Several as one: each is told after the other; None where there are none."""
        found = list(parts)
        return cls(ALL, parts=found) if len(found) > 1 else next(iter(found), None)

    def as_row(self) -> dict[str, Any]:
        """What is kept of it, in an order that is always the same."""
        return {"key": self.key} | self.params_as_row()

    def params_as_row(self) -> dict[str, Any]:
        """The same without the key."""
        return {name: _as_row(self.params[name]) for name in sorted(self.params)}

    def render(self, words: Mapping[str, Words]) -> str:
        """In words, by a table of them; its key where they do not fit: it is another version's, or damaged."""
        params = {name: _rendered(value, words) for name, value in self.params.items()}
        try:
            if self.key == ALL:
                return " ".join(params["parts"])
            made = words[self.key]
            return made.format_map(params) if isinstance(made, str) else str(made(**params))
        except (LookupError, TypeError, ValueError, AttributeError):
            return self.key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Phrase) and self.key == other.key and self.params == other.params

    def __hash__(self) -> int:
        return hash((self.key, json.dumps(self.as_row(), sort_keys=True)))

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.params.items())
        return f"Phrase({self.key!r}{given})"


class PhraseError(Exception):
    """An error that is told by a phrase, which a row may keep; `words` has those of its keys."""

    words: Mapping[str, Words] = {}

    def __init__(self, phrase: Phrase) -> None:
        super().__init__(phrase.render(self.words))
        self.phrase = phrase


def _kept(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        return _text(value)
    return [_kept(each) for each in value] if isinstance(value, list | tuple) else value


def _text(value: str) -> str:
    """A text that every database keeps: PostgreSQL keeps no NUL, and a lone surrogate cannot be encoded."""
    if "\0" in value or not value.isascii():
        value = value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return str(value)


def _as_row(value: Any) -> Any:
    if isinstance(value, Phrase):
        return value.as_row()
    return [_as_row(each) for each in value] if isinstance(value, list) else value


def _read(value: Any) -> Any:
    if isinstance(value, dict) and isinstance(value.get("key"), str):
        return Phrase.of(value)
    return [_read(each) for each in value] if isinstance(value, list) else value


def _rendered(value: Any, words: Mapping[str, Words]) -> Any:
    if isinstance(value, Phrase):
        return value.render(words)
    return [_rendered(each, words) for each in value] if isinstance(value, list) else value


class _Compact(json.JSONEncoder):
    """As short as it can be, and as SQLite itself writes JSON: rows are grouped by the text on SQLite."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options | {"separators": (",", ":"), "ensure_ascii": False})

    def default(self, value: Any) -> Any:
        return value.as_row() if isinstance(value, Phrase) else super().default(value)


if TYPE_CHECKING:
    _JSONField = models.JSONField[Phrase | None, Phrase | None]
else:
    _JSONField = models.JSONField


class PhraseField(_JSONField):
    """A column for a phrase; NULL where there is nothing to say."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"null": True, "blank": True} | options | {"encoder": _Compact})

    def deconstruct(self) -> Any:
        """As a column of JSON, so that migrations need not know phrases."""
        name, _, args, options = super().deconstruct()
        del options["encoder"]
        return name, "django.db.models.JSONField", args, options

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        return found if isinstance(expression, KeyTransform) else self.to_python(found)

    def to_python(self, value: Any) -> Any:
        return value if value is None or isinstance(value, Phrase) else Phrase.of(value)

    def value_to_string(self, obj: models.Model) -> Any:
        value = self.value_from_object(obj)
        return value.as_row() if isinstance(value, Phrase) else value
