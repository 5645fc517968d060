"""Change one of the company's options (S3), as the page Company options does."""

from argparse import ArgumentParser
from typing import Any, cast

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import models

from messaging.audit import ChangedMeanwhile
from messaging.company import options
from messaging.management import arguments
from messaging.models import CompanyOptions
from messaging.option_values import NUMBERS, OFF, OFF_AS_ZERO, READERS, BadOption

EMPTY = '""'
RECORD, HOLD = "record_outbound_email", "hold_recorded_email"
# What the command calls an option: as the page does, where the field has a shorter name.
FIELDS = {RECORD: "record_mail", HOLD: "hold_mail"} | {
    name: name for name in options.NAMES if name not in ("record_mail", "hold_mail")
}


class Command(BaseCommand):
    help = (
        f"Change one of the company's options; without arguments, show them. {RECORD} and {HOLD} are on or off. "
        f"Lists have commas; {EMPTY} empties what may be empty."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of {', '.join(FIELDS)}")
        parser.add_argument("value", nargs="?", type=arguments.text, metavar="VALUE")

    def handle(self, *args: Any, **chosen: Any) -> None:
        name, text = chosen["name"], chosen["value"]
        company = options.options()
        if name is None:
            for each, field in FIELDS.items():
                self.stdout.write(f"{each} {_of(each, getattr(company, field)) or EMPTY}")
            return
        if name not in FIELDS:
            raise CommandError(f"There is no option “{name}”. Choose from {', '.join(FIELDS)}.")
        if text is None:
            raise CommandError(f"Say what {name} is to be{_possible(name, ': ')}.")
        value, before = _read(name, text), getattr(company, FIELDS[name])
        _check(company, name, value)
        if value == before:
            self.stdout.write(f"{name} is {_of(name, before) or 'empty'} already.")
            return
        try:
            options.save({FIELDS[name]: value}, by=None, seen=company.version, via="set_option")
        except ChangedMeanwhile as error:
            raise CommandError(f"Nothing was written. {error} Run this again.") from error
        self.stdout.write(f"{name}: {_of(name, before) or 'empty'} -> {_of(name, value) or 'empty'}")


def _read(name: str, text: str) -> Any:
    """The value of an option as its field keeps it. Raises CommandError."""
    field = _field(name)
    if isinstance(field, models.BooleanField) or field.choices:
        found = {_shown(value): value for value in _choices(field)}.get(text.strip().lower())
        if found is None:
            raise CommandError(f"{name} can be {_possible(name)}, and not “{text}”.")
        return found
    if name in OFF_AS_ZERO and text.strip().casefold() == OFF:
        return 0
    try:
        if FIELDS[name] in READERS:
            is_list = FIELDS[name] in options.ONE_PER_LINE
            return READERS[FIELDS[name]](text.replace(",", "\n") if is_list else text)
        return field.clean(text.strip() or None if field.null else text, None)
    except BadOption as error:
        raise CommandError(f"{name}: {error}") from error
    except ValidationError as error:
        raise CommandError(f"{name}: {NUMBERS.get(name) or ' '.join(error.messages)}") from error


def _check(company: CompanyOptions, name: str, value: Any) -> None:
    """Raises CommandError: what is held has to be recorded."""
    if name == HOLD and value and not company.record_mail:
        raise CommandError(f"What is not recorded cannot be held. Switch {RECORD} on first.")
    if name == RECORD and not value and company.hold_mail:
        raise CommandError(f"What is not recorded cannot be held. Switch {HOLD} off first.")


def _field(name: str) -> "models.Field[Any, Any]":
    return cast("models.Field[Any, Any]", CompanyOptions._meta.get_field(FIELDS[name]))


def _choices(field: "models.Field[Any, Any]") -> list[Any]:
    return [True, False] if isinstance(field, models.BooleanField) else [value for value, _ in field.flatchoices]


def _possible(name: str, before: str = "") -> str:
    """What an option can be, "on or off"; "" where that cannot be listed."""
    found = " or ".join(_shown(value) for value in _choices(_field(name)))
    return before + found if found else ""


def _of(name: str, value: Any) -> str:
    """The value of an option, in words."""
    return OFF if name in OFF_AS_ZERO and value == 0 else _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else ",".join(str(value).splitlines())
