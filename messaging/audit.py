"""The audit log: who changed which setting of what, from what to what, and from where.

A setting is changed by `record`, within the transaction that saves its row. Values are kept as the fields store them
(AuditEntry names the exceptions) and never as words; console/presentation/audit.py makes those when an entry is shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Max, QuerySet
from django.utils import timezone

from messaging.models import AuditEntry

Action = AuditEntry.Action
Area = AuditEntry.Area


class ChangedMeanwhile(Exception):
    """It was saved by another person since it was read; nothing was written. `changes` is what they changed."""

    def __init__(self, changes: Iterable[AuditEntry] = ()) -> None:
        super().__init__("Another user changed these settings in the meantime.")
        self.changes = list(changes)


@dataclass(frozen=True)
class Subject:
    """What is changed: an area of settings, and which object of it. `name` stays readable when the object is gone."""

    area: Area
    key: str = ""
    name: str = ""


@dataclass(frozen=True)
class Source:
    """Who changes it (None is a command), and through which command (empty: the console)."""

    by: User | None
    via: str = ""


def as_kept(name: str, value: Any) -> Any:
    """The value of a field as the log keeps it; areas with fields of other types have a function of their own."""
    return value.value if isinstance(value, Enum) else value


def record(
    subject: Subject,
    row: Any,
    values: Mapping[str, Any],
    source: Source,
    *,
    version: int = 0,
    kept: Callable[[str, Any], Any] = as_kept,
) -> list[AuditEntry]:
    """Set those values of a row that differ, and write an entry for each; the caller saves the row.

    Args:
        values: by field; for a secret that the caller has set, what became of it (`of_secret`).
        version: the object's version after the change; 0: it has none.
        kept: turns a field's value into what the log keeps.

    Returns:
        What changed, in the order of `values`; empty where nothing did.
    """
    found = []
    for name, value in values.items():
        if isinstance(value, Action):
            found.append(AuditEntry(field=name, action=value))
        elif (before := getattr(row, name)) != value:
            setattr(row, name, value)
            found.append(AuditEntry(field=name, before=kept(name, before), after=kept(name, value)))
    return _write(found, subject, source, version)


def created(subject: Subject, values: Mapping[str, Any], source: Source, *, version: int = 0) -> None:
    """Write that an object was made, with the values of its fields."""
    entry = AuditEntry(action=Action.CREATED, after={name: as_kept(name, value) for name, value in values.items()})
    _write([entry], subject, source, version)


def deleted(subject: Subject, values: Mapping[str, Any], source: Source, *, version: int = 0) -> None:
    """Write that an object was deleted, with what the values of its fields were."""
    entry = AuditEntry(action=Action.DELETED, before={name: as_kept(name, value) for name, value in values.items()})
    _write([entry], subject, source, version)


def of_secret(*, was_stored: bool, is_stored: bool) -> Action:
    """What became of a secret that was changed."""
    if not is_stored:
        return Action.SECRET_REMOVED
    return Action.SECRET_CHANGED if was_stored else Action.SECRET_SET


def _write(entries: list[AuditEntry], subject: Subject, source: Source, version: int) -> list[AuditEntry]:
    now = timezone.now()
    for entry in entries:
        for value in (entry.before, entry.after):
            _check(value)
        entry.area, entry.object_key, entry.object_name = subject.area, subject.key, subject.name
        entry.by, entry.by_name = source.by, source.by.get_username() if source.by else ""
        entry.via, entry.version, entry.at = source.via, version, now
    return AuditEntry.objects.bulk_create(entries)


def _check(value: Any) -> None:
    """Raises TypeError: it is no plain value. So nothing that hides itself, such as a Secret, gets into the log."""
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            _check(part)
    elif value is not None and type(value) not in (bool, int, str):
        raise TypeError(f"The audit log keeps no {type(value).__name__}.")


# --- Read -------------------------------------------------------------------------------------------------


def log(*areas: Area, key: str | None = None) -> QuerySet[AuditEntry]:
    """What was changed in these areas (with `key`: of one object), the latest first."""
    found = AuditEntry.objects.filter(area__in=areas).select_related("by").order_by("-pk")
    return found if key is None else found.filter(object_key=key)


def version_of(area: Area, key: str) -> int:
    """The version that the last change left of an object which has no column for it."""
    return log(area, key=key).aggregate(latest=Max("version"))["latest"] or 0


def since(version: int, *areas: Area, key: str | None = None) -> QuerySet[AuditEntry]:
    """What was changed after a version, in its order."""
    return log(*areas, key=key).filter(version__gt=version).order_by("pk")
