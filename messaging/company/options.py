"""The company's options: what they are now, and who changed them. Each is read at the moment when it counts."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone, translation

from messaging import admission, audit
from messaging.audit import Area, ChangedMeanwhile, Source, Subject
from messaging.company import windows
from messaging.models import AuditEntry, CompanyOptions, NoticeKind, NoticeRule

NAMES = tuple(
    field.name
    for field in CompanyOptions._meta.concrete_fields
    if field.name not in ("id", "version", "updated_at", "updated_by")
)
ONE_PER_LINE = ("urgent_categories", "urgent_claims", "user_servers", "user_senders", "second_factor_roles")
# Where programs come in that name a category themselves, as in Submission.via.
BACKEND = "backend"
WAYS_IN = (BACKEND, "sendmail")
ANY = "*"
STAYS_FRESH = 1.0  # seconds for which a program that hands in many messages goes by what it read
RULE_NAMES = ("is_on", "to_author", "to_admins", "to_company", "window_minutes")
# S15: who has no address is the office's business; the author of a message wants to know what became of it.
DEFAULT_RULES: dict[str, dict[str, Any]] = {
    NoticeKind.FAILED: {"to_author": True},
    NoticeKind.UNKNOWN: {"to_author": True},
    NoticeKind.PAUSED: {"window_minutes": 1},
    NoticeKind.NO_ADDRESS: {"to_company": True},
}


class _LastRead(NamedTuple):
    """The options as this process read them last, a moment of time.monotonic() ago."""

    company: CompanyOptions
    at: float


_last_read: _LastRead | None = None


def options() -> CompanyOptions:
    """What administrators decided; an unsaved row with the defaults before they decided anything."""
    global _last_read
    # Written out because every message that comes in asks for it, and Django takes a millisecond to build it.
    saved = CompanyOptions.objects.raw(f"SELECT * FROM {CompanyOptions._meta.db_table} LIMIT 1")  # noqa: S608
    company = next(iter(saved), None) or CompanyOptions(version=0)
    _last_read = _LastRead(copy(company), time.monotonic())
    return company


def last_read() -> CompanyOptions | None:
    """The options as they were a moment ago, not to be changed; None where they have to be read.

    For decisions that are stored under the condition that they still hold (intake/rows.py).
    """
    last = _last_read
    return last.company if last is not None and time.monotonic() - last.at < STAYS_FRESH else None


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


def may_claim(company: CompanyOptions, via: str, category: str) -> bool:
    """Whether mail that comes in this way may name a category that is not held, and is not held for it.

    Code of this installation that calls `outgoing` itself (`via` is "") is Django code, as behind the backend.
    """
    way = via or BACKEND
    return not {f"{way} {category}", f"{way} {ANY}"}.isdisjoint(company.urgent_claims.splitlines())


def save(
    values: Mapping[str, Any],
    *,
    by: User | None,
    seen: int | None = None,
    rules: Mapping[str, Mapping[str, Any]] | None = None,
    via: str = "",
) -> list[AuditEntry]:
    """Change options (NAMES) and notice rules (kind -> RULE_NAMES), as a new version, into the audit log.

    Args:
        seen: the version that this is based on, 0 where nothing was saved yet; None saves over whatever is there.
        via: the command, where it was not the form.

    Returns:
        What changed; where nothing did, nothing is written and the version stays.

    Raises:
        ChangedMeanwhile: the options have another version by now; nothing was written.
    """
    source = Source(by, via)
    try:
        with admission.ordered_by(by, *_who_see_less(values)):
            row = CompanyOptions.objects.select_for_update(of=("self",)).first() or CompanyOptions(pk=1, version=0)
            if seen is not None and row.version != seen:
                raise ChangedMeanwhile(since(seen))
            version = row.version + 1
            found = audit.record(Subject(Area.OPTIONS), row, values, source, version=version, kept=as_kept)
            stored = notice_rules() if rules else {}
            for kind, wanted in (rules or {}).items():
                rule = stored[kind]
                of_rule = audit.record(Subject(Area.NOTICES, kind), rule, wanted, source, version=version)
                if of_rule:
                    rule.save()
                found += of_rule
            if found:
                row.version, row.updated_by = version, by
                row.save(force_insert=version == 1)
            return found
    except IntegrityError as error:  # two people save the first version at the same moment
        raise ChangedMeanwhile(since(seen or 0)) from error


def _who_see_less(values: Mapping[str, Any]) -> QuerySet[User]:
    """Whose orders for the messages of others are carried out before, or not at all (admission.py)."""
    is_less = values.get("operators_see_all") is False and options().operators_see_all
    return User.objects.filter(is_active=True) if is_less else User.objects.none()


def as_kept(name: str, value: Any) -> Any:
    """The value of an option as the audit log keeps it."""
    return value.splitlines() if name in ONE_PER_LINE else audit.as_kept(name, value)


def log() -> QuerySet[AuditEntry]:
    """Every change of the options and notice rules, the latest first."""
    return audit.log(Area.OPTIONS, Area.NOTICES)


def since(version: int) -> QuerySet[AuditEntry]:
    """What was changed after a version, in its order."""
    return audit.since(version, Area.OPTIONS, Area.NOTICES)


@dataclass(frozen=True)
class RetryLimits:
    """How often and how long (seconds) a message is tried at most; None: as settings say."""

    max_tries: int | None = None
    max_age: int | None = None


def retry_limits() -> RetryLimits:
    """The limits in force now."""
    company = options()
    return RetryLimits(company.max_tries, company.retry_hours and company.retry_hours * 3600)
