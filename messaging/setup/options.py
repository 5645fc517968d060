"""The company's options: what they are now, and who changed them. Whoever acts on one reads it at that moment."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone, translation

from messaging.models import CompanyOptions, NoticeKind, NoticeRule, SettingChange

from . import windows
from .changes import ChangedMeanwhile

NAMES = tuple(
    field.name
    for field in CompanyOptions._meta.concrete_fields
    if field.name not in ("id", "version", "updated_at", "updated_by")
)
# Email Setup has a field of that name, too, and one log is kept of both.
LOGGED_AS = {"time_zone": "company time_zone"}
RULE_NAMES = ("is_on", "to_author", "to_admins", "to_company", "window_minutes")
# Seed row S15: who has no address is the office's business; whoever wrote a message wants to know what became of it.
DEFAULT_RULES: dict[str, dict[str, Any]] = {
    NoticeKind.FAILED: {"to_author": True},
    NoticeKind.UNKNOWN: {"to_author": True},
    NoticeKind.PAUSED: {"window_minutes": 1},
    NoticeKind.NO_ADDRESS: {"to_company": True},
}


def options() -> CompanyOptions:
    """What administrators decided; an unsaved row with the defaults before they decided anything."""
    # Written out because every message that comes in asks for it, and Django takes a millisecond to build it.
    saved = CompanyOptions.objects.raw(f"SELECT * FROM {CompanyOptions._meta.db_table} LIMIT 1")  # noqa: S608
    return next(iter(saved), None) or CompanyOptions(version=0)


def zone(company: CompanyOptions) -> tzinfo:
    """The company's time zone; this server's, where none was chosen or its name is not known here."""
    try:
        return windows.zone_named(company.time_zone) if company.time_zone else timezone.get_default_timezone()
    except windows.BadWindow:
        return timezone.get_default_timezone()


@contextmanager
def local(company: CompanyOptions | None = None) -> Iterator[CompanyOptions]:
    """Times and words within it are those of the company: its time zone, its language.

    Args:
        company: its options, where they were read already.
    """
    company = company or options()
    with timezone.override(zone(company)), translation.override(company.language or settings.LANGUAGE_CODE):
        yield company


def notice_rules() -> dict[str, NoticeRule]:
    """Who is told about what, by kind."""
    saved = {rule.kind: rule for rule in NoticeRule.objects.all()}
    return {kind: saved.get(kind) or NoticeRule(kind=kind, **DEFAULT_RULES[kind]) for kind in NoticeKind.values}


def urgent_categories(company: CompanyOptions) -> frozenset[str]:
    """Categories of mail that are not held."""
    return frozenset(line.strip().lower() for line in company.urgent_categories.splitlines() if line.strip())


def save(
    values: Mapping[str, Any],
    *,
    by: User | None,
    seen: int | None = None,
    rules: Mapping[str, Mapping[str, Any]] | None = None,
    via: str = "",
) -> list[SettingChange]:
    """Change options (NAMES) and notice rules (kind -> RULE_NAMES), as a new version, into the log of changes.

    Args:
        seen: the version that this is based on, 0 where nothing was saved yet; None saves over whatever is there.
        via: the command, where it was not the form.

    Returns:
        What changed; where nothing did, nothing is written and the version stays.

    Raises:
        ChangedMeanwhile: the options have another version by now; nothing was written.
    """
    try:
        with transaction.atomic():
            row = CompanyOptions.objects.select_for_update(of=("self",)).first() or CompanyOptions(pk=1, version=0)
            if seen is not None and row.version != seen:
                raise ChangedMeanwhile(since(seen))
            changes = _set(row, values, "")
            changed_rules = []
            for kind, wanted in (rules or {}).items():
                rule = notice_rules()[kind]
                of_rule = _set(rule, wanted, f"notice {kind} ")
                changes += of_rule
                changed_rules += [rule] if of_rule else []
            if not changes:
                return []
            is_new = row.version == 0
            row.version, row.updated_by = row.version + 1, by
            row.save(force_insert=is_new)
            for rule in changed_rules:
                rule.save()
            now = timezone.now()
            for change in changes:
                change.version, change.at, change.by, change.via = row.version, now, by, via
            return SettingChange.objects.bulk_create(changes)
    except IntegrityError as error:  # two people save the first version at the same moment
        raise ChangedMeanwhile(since(seen or 0)) from error


def _set(row: CompanyOptions | NoticeRule, values: Mapping[str, Any], prefix: str) -> list[SettingChange]:
    changes = []
    for name, value in values.items():
        before = getattr(row, name)
        if value != before:
            setattr(row, name, value)
            logged_as = f"{prefix}{name}" if prefix else LOGGED_AS.get(name, name)
            changes.append(SettingChange(name=logged_as, before=told(before), after=told(value)))
    return changes


def told(value: Any) -> str:
    """A value as the log keeps it."""
    return "" if value is None else str(value)


def log() -> QuerySet[SettingChange]:
    """Every change of the options and notice rules, the latest first."""
    names = [
        *(LOGGED_AS.get(name, name) for name in NAMES),
        *(f"notice {kind} {name}" for kind in NoticeKind.values for name in RULE_NAMES),
    ]
    return SettingChange.objects.filter(whose="", account=None, name__in=names).select_related("by").order_by("-pk")


def since(version: int) -> QuerySet[SettingChange]:
    """What was changed after a version, in its order."""
    return log().filter(version__gt=version).order_by("pk")


@dataclass(frozen=True)
class RetryLimits:
    """How often and how long (seconds) a message is tried at most; None: as settings say."""

    max_tries: int | None = None
    max_age: int | None = None


def retry_limits() -> RetryLimits:
    """The limits in force now."""
    company = options()
    return RetryLimits(company.max_tries, company.retry_hours and company.retry_hours * 3600)
