"""Save a layer of Email Setup, and know who changed what.

Only this module writes a layer: as a new version, each changed field into the audit log, secrets never told.
Connections that are open keep what they have; the next one is opened with what was saved.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.db.models import Max, QuerySet
from django.utils import timezone

from messaging import admission, audit
from messaging.audit import Action, Area, ChangedMeanwhile, Source, Subject
from messaging.models import AccountPause, AuditEntry, EmailSettings

from . import certificates, secret_destinations
from .fields import LIMITS, NAMES, SECRETS, column
from .layers import place_of
from .secrets import LostKey, Secret, decrypt, encrypt


def save(
    account: User | None,
    values: Mapping[str, Any],
    *,
    by: User | None,
    seen: int | None = None,
    via: str = "",
    meant_for: secret_destinations.Place | None = None,
) -> list[AuditEntry]:
    """Set fields of one layer, and let accounts that are paused try at once.

    Args:
        account: whose layer; None is the company's.
        values: by field name (NAMES, LIMITS), secrets in the clear; "" or None empties a field, others stay.
        by: who; None is a command.
        seen: the version that this is based on, 0 where there was no layer yet; None saves over whatever is there.
        via: the command, where it was not the form.
        meant_for: the place that the secrets among the values were entered for; None: the one that is named now. What
            lies beneath the layer may name another than when someone entered them.

    Returns:
        What changed; where nothing did, nothing is written and the version stays.

    Raises:
        ChangedMeanwhile: the layer has another version by now.
        ImproperlyConfigured: there is a secret to store, and no key to encrypt it with.
    """
    now = timezone.now()
    try:
        with admission.ordered_by(by):
            row = _layer(account).select_for_update(of=("self",)).first() or EmailSettings(account=account, version=0)
            if seen is not None and seen != row.version:
                raise ChangedMeanwhile(since(account, seen))
            company = None if account is None else _layer(None).first()
            _bind_all(row, company)
            found = audit.record(
                _subject(account),
                row,
                _tellable(row, values),
                Source(by, via),
                version=row.version + 1,
                kept=as_kept,
            )
            if any(each.field == "from_address" for each in found):
                row.chose_from_address = by is not None and by == account
            if any(each.field == "username" for each in found):
                row.secrets_for.pop("username", None)
                if row.username and by is not None and by == account:  # it opens no mailbox by other means than theirs
                    row.secrets_for["username"] = place_of(row, company)
            given = [name for name in SECRETS if values.get(name)]
            row.secrets_for = {name: place for name, place in row.secrets_for.items() if getattr(row, column(name))}
            row.secrets_for |= dict.fromkeys(given, (meant_for or place_of(row, company)) if given else {})
            if found:
                row.version += 1
                row.updated_by = by
                row.save()
            elif given and row.pk:
                row.save(update_fields=["secrets_for"])
            if found or any(values.get(name) for name in SECRETS):  # one that is entered again is to be tried again
                _let_paused_accounts_try(account, now)
    except IntegrityError as error:  # two people make the layer at the same moment
        raise ChangedMeanwhile(since(account, 0)) from error
    return found


def _bind_all(row: EmailSettings, company: EmailSettings | None) -> None:
    """Write down for which place the secrets were entered that are stored without it, before that place changes: those
    of the layer, and of the layers above the company's.
    """
    if row.account_id is None and row.pk:
        for above in EmailSettings.objects.exclude(account=None).select_for_update(of=("self",)).order_by("pk"):
            if _bind(above, row):
                above.save(update_fields=["secrets_for"])
    _bind(row, company)


def _bind(row: EmailSettings, company: EmailSettings | None) -> bool:
    """Whether there was one to bind."""
    loose = [name for name in SECRETS if getattr(row, column(name)) and name not in row.secrets_for]
    if loose:
        row.secrets_for |= dict.fromkeys(loose, place_of(row, company))
    return bool(loose)


def _layer(account: User | None) -> QuerySet[EmailSettings]:
    return EmailSettings.objects.filter(account=account)


def _subject(account: User | None) -> Subject:
    return Subject(Area.EMAIL, str(account.pk), account.get_username()) if account else Subject(Area.EMAIL)


def _tellable(row: EmailSettings, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for `audit.record`; secrets that differ are set here, encrypted, and it learns what became of them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name not in SECRETS:
            found[name] = "" if value is None and name in EMPTY_TEXT else value
        elif action := _set_secret(row, name, Secret(value or "")):  # an error report must not tell it
            found[name] = action
    return found


def _set_secret(row: EmailSettings, name: str, value: Secret) -> Action | None:
    """Set a secret; what became of it, None when it is so already."""
    stored = getattr(row, column(name))
    if same_secret(stored, value):
        return None
    setattr(row, column(name), encrypt(value))
    return audit.of_secret(was_stored=bool(stored), is_stored=bool(value))


EMPTY_TEXT = frozenset(
    name for name in (*NAMES, *LIMITS) if not EmailSettings._meta.get_field(column(name)).null
)  # where empty is "" and not NULL


def same_secret(stored: str, value: str) -> bool:
    """Whether what is stored encrypted is `value`; what cannot be read is not."""
    try:
        return bool(stored) == bool(value) and decrypt(stored) == value
    except LostKey:
        return False


def as_kept(name: str, value: Any) -> Any:
    """The value of a field as the audit log keeps it."""
    return certificates.facts(value) if name == "ca_bundle" and value else audit.as_kept(name, value)


def _let_paused_accounts_try(account: User | None, now: datetime) -> None:
    """Something was corrected: let every account that it concerns try now, by its new limits."""
    concerned = AccountPause.objects.all() if account is None else AccountPause.objects.filter(account=account)
    concerned.filter(kind__in=AccountPause.PROBED, until__gt=now).update(until=now)
    concerned.filter(kind__in=(AccountPause.Kind.LIMIT, AccountPause.Kind.WINDOW)).delete()


# --- The log -------------------------------------------------------------------------------------------


def log(account: User | None) -> QuerySet[AuditEntry]:
    """Every change of a layer, the latest first."""
    return audit.log(Area.EMAIL, key=_subject(account).key)


def since(account: User | None, version: int) -> QuerySet[AuditEntry]:
    """What was changed after a version, in its order."""
    return audit.since(version, Area.EMAIL, key=_subject(account).key)


def latest(account: User | None) -> dict[str, AuditEntry]:
    """By field, who changed it last; fields that no one changed are not in it."""
    last = log(account).order_by().values("field").annotate(last=Max("pk")).values("last")
    return {entry.field: entry for entry in AuditEntry.objects.filter(pk__in=last).select_related("by")}
