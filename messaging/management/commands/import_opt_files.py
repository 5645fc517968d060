"""Take the `.opt` files of a folder into the company's settings, once (S10)."""

import sys
from argparse import ArgumentParser
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from messaging.audit import ChangedMeanwhile
from messaging.models import EmailSettings
from messaging.setup import changes, opt_files, secret_destinations
from messaging.setup.fields import LABELS, SECRETS, column
from messaging.setup.layers import place_of
from messaging.setup.opt_files import OptFiles


@dataclass(frozen=True)
class Difference:
    """A field that the files would change: what it is now and what it would be, in words."""

    name: str
    before: str
    after: str
    file: str

    def __str__(self) -> str:
        return f"{LABELS[self.name]}: {self.before} -> {self.after}  ({self.file})"


class Command(BaseCommand):
    help = "Take the .opt files of a folder into the company's settings, once. Shows what changes, and asks first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path, help="the folder with the .opt files")
        parser.add_argument("--dry-run", action="store_true", help="only show what would change")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        files = _read(options["folder"])
        for name in files.ignored:
            self.stdout.write(f"Not read: {name}")
        stored = EmailSettings.objects.filter(account=None).first() or EmailSettings(version=0)
        found = _differences(stored, files)
        if not found:
            self.stdout.write(_nothing_to_do(files))
            return
        for difference in found:
            self.stdout.write(str(difference))
        for warning in _warnings(files):
            self.stdout.write(f"Warning: {warning}")
        number = "1 value" if len(found) == 1 else f"{len(found)} values"
        if options["dry_run"]:
            self.stdout.write(f"{number} would be taken into the company settings. Nothing was written.")
            return
        if not options["yes"]:
            self._ask(number)
        values = {name: value for name, (value, _) in files.values.items()}
        _save({difference.name: values.get(difference.name) for difference in found}, stored.version)
        self.stdout.write(f"{number} taken into the company settings.")
        if settings.EMAIL_OPT_DIR is not None:
            folder = settings.EMAIL_OPT_DIR
            self.stdout.write(f"While EMAIL_OPT_DIR points to {folder}, the .opt files there still win on this server.")

    def _ask(self, number: str) -> None:
        """Raises CommandError unless the person at the terminal agrees."""
        if not sys.stdin.isatty():
            raise CommandError("Nothing was written: there is no terminal to ask on. Add --yes to take them.")
        self.stdout.write(
            f"Take {'this' if number == '1 value' else 'these'} {number} into the company settings? [y/N]"
        )
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandError("Nothing was written.")


def _read(folder: Path) -> OptFiles:
    files = opt_files.read(folder)
    if files.errors:
        raise CommandError("\n".join(["Nothing was written. Fix these first:", *map(str, files.errors)]))
    return files


def _nothing_to_do(files: OptFiles) -> str:
    if files.values:
        return "Nothing to do: the company settings say the same already."
    return "Nothing to do: there are no .opt files of Email Setup in this folder."


def _differences(stored: EmailSettings, files: OptFiles) -> list[Difference]:
    found = []
    for name in LABELS:
        if name not in files.values:
            continue
        value, file = files.values[name]
        before = getattr(stored, column(name))
        if name in SECRETS:
            if not changes.same_secret(before, value):
                found.append(Difference(name, *(("stored", "changed") if before else ("none", "stored")), file))
        elif before != value:
            found.append(Difference(name, "none" if before in (None, "") else str(before), str(value), file))
    taken = copy(stored)
    for difference in found:
        if difference.name not in SECRETS:
            setattr(taken, difference.name, files.values[difference.name][0])
    for name in SECRETS:
        why = secret_destinations.why_not(
            name, place_of(stored, None), place_of(taken, None), secret_destinations.PARTS
        )
        if why and getattr(stored, column(name)) and name not in files.values:
            found.append(Difference(name, "stored", "none", why.removeprefix("not used: ")))
    return found


def _warnings(files: OptFiles) -> list[str]:
    values = {name: value for name, (value, _) in files.values.items()}
    words = []
    if values.get("send_type") in (EmailSettings.SendType.MAPI_OLD, EmailSettings.SendType.MAPI):
        words.append(f"send type {values['send_type']} (MAPI, Outlook) cannot send in bulk. Choose 2 or 3 (SMTP).")
    if values.get("auth_type") == EmailSettings.AuthType.SSL:
        words.append("auth type ssl is SSL 3.0, which this machine’s OpenSSL no longer has. Choose tls-implicit.")
    return words


def _save(values: dict[str, Any], seen: int) -> None:
    try:
        changes.save(None, values, by=None, seen=seen, via="import_opt_files")
    except ChangedMeanwhile as error:
        raise CommandError(f"Nothing was written. {error} Run this again to see the difference.") from error
    except ImproperlyConfigured as error:
        raise CommandError(f"Nothing was written: the password cannot be stored safely. {error}") from error
