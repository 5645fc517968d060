"""Encrypt every stored secret again with the first of FIELD_ENCRYPTION_KEYS."""

from argparse import ArgumentParser
from collections import Counter
from enum import Enum, auto
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model

from messaging.models import AccessToken, EmailSettings
from messaging.setup.fields import LABELS, SECRETS, column
from messaging.setup.secrets import LostKey, check_keys, renewed

CHUNK = 500
COLUMNS: list[tuple[type[Model], str, str]] = [
    *((EmailSettings, column(name), LABELS[name]) for name in SECRETS),
    (AccessToken, "token_encrypted", "Access token of a sign-in"),
    (AccessToken, "refresh_token_encrypted", "Refresh token of a sign-in"),
]

# Parts of the data of a second factor.
PARTS = {"secret": "Key of a second factor", "seed": "Recovery codes"}


class _Result(Enum):
    RENEWED = auto()
    CURRENT = auto()
    LOST = auto()
    CHANGED = auto()


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again with the first of FIELD_ENCRYPTION_KEYS. To change keys: put the new one "
        "first, restart all processes, run this, take the old one out, restart again. "
        "Exit code 1: some cannot be read with any key; it names them."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_keys()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        dry_run = options["dry_run"]
        results: Counter[_Result] = Counter()
        for model, name, label in COLUMNS:
            for row in model._default_manager.exclude(**{name: ""}).order_by("pk").iterator(CHUNK):
                results[result := _renew(row, name, dry_run=dry_run)] += 1
                if result == _Result.LOST:
                    self.stdout.write(f"Cannot be read with any key: {label}, {row}. It has to be entered again.")
        for row in Authenticator.objects.select_related("user").order_by("pk").iterator(CHUNK):
            for name in PARTS.keys() & row.data.keys():
                results[result := _renew_part(row.pk, name, dry_run=dry_run)] += 1
                if result == _Result.LOST:
                    whose = f"{PARTS[name]}, {row.user}"
                    self.stdout.write(f"Cannot be read with any key: {whose}. An administrator has to reset it.")
        self.stdout.write(_summary(results, dry_run=dry_run))
        if results[_Result.LOST]:
            raise SystemExit(1)


def _renew(row: Model, name: str, *, dry_run: bool) -> _Result:
    stored = getattr(row, name)
    try:
        anew = renewed(stored)
    except LostKey:
        return _Result.LOST
    if anew is None:
        return _Result.CURRENT
    # Only over what was read: a secret that was saved in the meantime stays.
    same = type(row)._default_manager.filter(pk=row.pk, **{name: stored})
    return _Result.RENEWED if dry_run or same.update(**{name: anew}) else _Result.CHANGED


def _renew_part(pk: int, name: str, *, dry_run: bool) -> _Result:
    """Under its lock: beside the key the row counts codes, which may be entered meanwhile."""
    with transaction.atomic():
        row = Authenticator.objects.select_for_update().filter(pk=pk).first()
        if row is None:
            return _Result.CHANGED
        try:
            anew = renewed(row.data[name])
        except LostKey:
            return _Result.LOST
        if anew is None:
            return _Result.CURRENT
        if not dry_run:
            row.data[name] = anew
            row.save(update_fields=["data"])
        return _Result.RENEWED


def _summary(results: Counter[_Result], *, dry_run: bool) -> str:
    verb = "would be" if dry_run else "were"
    words = [
        f"{results[_Result.RENEWED]} {verb} encrypted again",
        f"{results[_Result.CURRENT]} are encrypted with the first key already",
        f"{results[_Result.LOST]} cannot be read",
    ]
    if results[_Result.CHANGED]:
        words.append(f"{results[_Result.CHANGED]} changed in the meantime: run this again")
    return f"Secrets: {', '.join(words)}."
