"""Save a layer of Email Setup, and know who changed what.

Only this module writes a layer: as a new version, each changed field into the log, secrets never told. Connections
that are open go on with what they have; the next one is opened with what was saved.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from messaging.models import AccountPause, EmailSettings, SettingChange

from . import certificates
from .fields import LIMITS, NAMES, SECRETS, column
from .secrets import LostKey, Secret, decrypt, encrypt


class ChangedMeanwhile(Exception):
    """Somebody else saved the layer since it was read; nothing was written. `changes` is what they changed."""

    def __init__(self, changes: Iterable[SettingChange] = ()) -> None:
        super().__init__("Somebody else changed these settings meanwhile.")
        self.changes = list(changes)


def save(
    account: User | None, values: Mapping[str, Any], *, by: User | None, seen: int | None = None, via: str = ""
) -> list[SettingChange]:
    """Set fields of one layer, and let accounts that are paused try at once.

    Args:
        account: whose layer; None is the company's.
        values: by field name (NAMES, LIMITS), secrets in the clear; "" or None empties a field, others stay.
        by: who; None is a command.
        seen: the version that this is based on, 0 where there was no layer yet; None saves over whatever is there.
        via: the command, where it was not the form.

    Returns:
        What changed; where nothing did, nothing is written and the version stays.

    Raises:
        ChangedMeanwhile: the layer has another version by now.
        ImproperlyConfigured: there is a secret to store, and no key to encrypt it with.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            row = _layer(account).select_for_update(of=("self",)).first() or EmailSettings(account=account, version=0)
            if seen is not None and seen != row.version:
                raise ChangedMeanwhile(since(account, seen))
            changes = [change for name, value in values.items() if (change := _set(row, name, value)) is not None]
            if not changes:
                if any(values.get(name) for name in SECRETS):  # entered again: it is to be tried again
                    _let_paused_accounts_try(account, now)
                return []
            row.version += 1
            row.updated_by = by
            row.save()
            for change in changes:
                change.account, change.whose = account, account.get_username() if account else ""
                change.version, change.at, change.by, change.via = row.version, now, by, via
            SettingChange.objects.bulk_create(changes)
            _let_paused_accounts_try(account, now)
    except IntegrityError as error:  # two people make the layer at the same moment
        raise ChangedMeanwhile(since(account, 0)) from error
    return changes


def _layer(account: User | None) -> QuerySet[EmailSettings]:
    return EmailSettings.objects.filter(account=account)


def _set(row: EmailSettings, name: str, value: Any) -> SettingChange | None:
    """Set one field; None when it is so already."""
    stored = getattr(row, column(name))
    value = value if value is not None or name not in EMPTY_TEXT else ""
    if name in SECRETS:
        value = Secret(value or "")  # an error report must not tell it
        if same_secret(stored, value):
            return None
        words = ("stored" if stored else "", ("changed" if stored else "stored") if value else "")
        setattr(row, column(name), encrypt(value))
    else:
        if stored == value:
            return None
        words = (in_words(name, stored), in_words(name, value))
        setattr(row, name, value)
    return SettingChange(name=name, before=words[0], after=words[1])


EMPTY_TEXT = frozenset(
    name for name in (*NAMES, *LIMITS) if not EmailSettings._meta.get_field(column(name)).null
)  # where empty is "" and not NULL


def same_secret(stored: str, value: str) -> bool:
    """Whether what is stored encrypted is `value`; what cannot be read is not."""
    try:
        return bool(stored) == bool(value) and decrypt(stored) == value
    except LostKey:
        return False


def in_words(name: str, value: Any) -> str:
    """A value as the log keeps it; no secret."""
    if value in (None, ""):
        return ""
    return certificates.summary(value) if name == "ca_bundle" else str(value)


def _let_paused_accounts_try(account: User | None, now: datetime) -> None:
    """Something was corrected: let every account that it concerns try now, by its new limits."""
    concerned = AccountPause.objects.all() if account is None else AccountPause.objects.filter(account=account)
    concerned.filter(kind__in=AccountPause.PROBED, until__gt=now).update(until=now)
    concerned.filter(kind__in=(AccountPause.Kind.LIMIT, AccountPause.Kind.WINDOW)).delete()


# --- The log -------------------------------------------------------------------------------------------


def log(account: User | None) -> QuerySet[SettingChange]:
    """Every change of a layer, the latest first."""
    own = Q(account=account) if account is not None else Q(account=None, whose="")  # not that of a deleted account
    return SettingChange.objects.filter(own, name__in=(*NAMES, *LIMITS)).select_related("by").order_by("-pk")


def since(account: User | None, version: int) -> QuerySet[SettingChange]:
    """What was changed after a version, in its order."""
    return log(account).filter(version__gt=version).order_by("pk")


def latest(account: User | None) -> dict[str, SettingChange]:
    """By field, who changed it last; fields that nobody changed are not in it."""
    last = log(account).order_by().values("name").annotate(last=Max("pk")).values("last")
    return {change.name: change for change in SettingChange.objects.filter(pk__in=last).select_related("by")}
