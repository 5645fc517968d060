"""The audit log in words: what was changed, how, and by whom. The rows hold none of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.http import QueryDict

from messaging.access.sign_in_throttling import SIGN_IN
from messaging.audit import Action, Area
from messaging.console.paging import part_of
from messaging.models import AuditEntry, NoticeKind, Phrase, Restore, Schedule
from messaging.queue import selection
from messaging.scheduling import timetable
from messaging.scheduling.schedules import WHEN
from messaging.setup import certificates, fields
from messaging.wording import changed, in_words, person

from . import options
from .settings import sending_account, setting_value

LABELS: dict[str, Mapping[str, str]] = {
    Area.EMAIL: fields.LABELS,
    Area.OPTIONS: options.LABELS,
    Area.NOTICES: options.RULE_LABELS,
    Area.USERS: {
        "username": "Sign-in name", "first_name": "First name", "last_name": "Last name", "email": "Email",
        "is_active": "Active", "role": "Role", "password": "Sign-in password", "under_way": "What was under way",
        "sign_in": "Sign-in",
        "second_factor": "Second factor", "recovery_codes": "Recovery codes",
        "recovery_codes_left": "Recovery codes left", "signed_out": "Sessions",
    },
    Area.SCHEDULES: {
        "name": "Name", "kind": "When", "minutes": "Every … minutes", "times": "Times", "days": "Days",
        "crontab": "Crontab expression", "time_zone": "Time zone", "filter": "Which messages",
        "account": "Sending account", "at_most": "Messages per run", "missed": "A missed run", "is_on": "On or off",
    },
    Area.RESTORES: {"answer": "What became of it"},
}  # fmt: skip
SECRETS: dict[str, str] = {
    Action.SECRET_SET: "set",
    Action.SECRET_CHANGED: "changed",
    Action.SECRET_REMOVED: "removed",
}
PER_PAGE = 25
LANGUAGES = {"en-gb": "English (United Kingdom)", "en-us": "English (United States)"}
YES_NO = {True: "yes", False: "no"}
ON_OFF = {True: "on", False: "off"}


@dataclass(frozen=True)
class ChangeLine:
    """An entry as pages tell it: who did it, to which object, to what of it, and how."""

    entry: AuditEntry
    by: str
    whose: str
    what: str
    words: str


def change_lines(entries: Iterable[AuditEntry], schedules: Mapping[int, str] | None = None) -> list[ChangeLine]:
    """Entries in words.

    Args:
        schedules: the names that schedules have now, by number; others are called as they were.
    """
    names = {str(number): name for number, name in (schedules or {}).items()}
    return [ChangeLine(each, done_by(each), _whose(each, names), label(each), describe(each)) for each in entries]


def changes_so_far(
    log: QuerySet[AuditEntry], asked: QueryDict, schedules: Mapping[int, str] | None = None
) -> dict[str, Any]:
    """A page of a log, for a page of the console: what parts/_changes.html needs. `schedules` as in change_lines."""
    page = part_of(log, asked.get("changes_page"), size=PER_PAGE)
    return {"changes": change_lines(page.rows, schedules), "changes_page": page}


def done_by(entry: AuditEntry) -> str:
    """Who did it: by the name they have now, and by their user name when they were deleted."""
    return person(entry.by, entry.by_name or ("unknown" if entry.via == SIGN_IN else "a command"))


def _whose(entry: AuditEntry, names: Mapping[str, str]) -> str:
    return names.get(entry.object_key) or entry.object_name or f"no. {entry.object_key}"


def label(entry: AuditEntry) -> str:
    """What of the object was changed: “Server”, “Permanent failures: notices”."""
    if entry.action == Action.CREATED:
        return {Area.USERS: "Added", Area.RESTORES: "Noticed"}.get(Area(entry.area), "Made")
    if entry.action == Action.DELETED:
        return "Deleted"
    name = LABELS.get(entry.area, {}).get(entry.field, entry.field)
    if entry.area == Area.NOTICES:
        return f"{dict(NoticeKind.choices).get(entry.object_key, entry.object_key)}: {name}"
    return name


def describe(entry: AuditEntry) -> str:
    """What a change did: "switched on", "from “a” to “b”", "set to “b”", "emptied, it was “a”"; of a secret "set"."""
    if entry.action in SECRETS:
        return SECRETS[entry.action]
    if entry.action == Action.CREATED:
        words = _whole(entry.area, entry.after)
        return f"as {words}" if entry.area == Area.USERS else words
    if entry.action == Action.DELETED:
        return f"it was “{_whole(entry.area, entry.before)}”"
    if entry.area == Area.USERS and entry.field == "under_way":
        return _left(entry.after)
    if entry.area == Area.USERS and entry.field == "sign_in":
        return _sign_in(entry.after)
    if entry.area == Area.USERS and entry.field == "signed_out":
        return _signed_out(entry.after)
    if entry.area in (Area.OPTIONS, Area.NOTICES) and isinstance(entry.after, bool):
        return f"switched {ON_OFF[entry.after]}"
    before, after = (_value(entry.area, entry.field, value) for value in (entry.before, entry.after))
    if entry.area == Area.SCHEDULES and not after:
        return f"it was “{before}”"
    return changed(before, after)


def _whole(area: str, values: Any) -> str:
    """An object that was made or deleted."""
    if _is_worded(values):
        return str(values["words"])
    if area == Area.USERS:
        return str(values["role"] or "no role")
    if area == Area.RESTORES:
        return f"{in_words(Phrase(values['evidence']))} Unsent messages: {values['unsent']:,}"
    schedule = Schedule(**{name: values[name] for name in WHEN if name in values})
    return f"{values['name']}: {timetable.in_words(schedule)}, {ON_OFF[values['is_on']]}"


LEFT = {"hold": "held", "pass-on": "passed on to", "cancel": "cancelled", "let-go": "let go"}


def _left(what: Any) -> str:
    """What became of what was under way in the name of a user: "held: 3 messages, and 1 that was being sent"."""
    done = str(LEFT.get(what["choice"], what["choice"]))
    if what["choice"] == "pass-on":
        done = f"{done} {what['to']['name'] if what.get('to') else 'the company'}"
    if what["choice"] == "let-go":
        return done
    number = "1 message" if what["messages"] == 1 else f"{what['messages']:,} messages"
    sending = f", and {what['sending']:,} being sent if it comes back" if what["sending"] else ""
    return f"{done}: {number}{sending}"


def _sign_in(what: Any) -> str:
    """What strangers tried, or an administrator ended: "delayed after 5 wrong passwords from 203.0.113.7"."""
    if what["what"] == "cleared":
        return "delay ended"
    place = f"from {what['from']}" if what["from"] else "from several addresses"
    tries = f"after {what['tries']:,} wrong {what.get('door', 'password')}s"
    return f"successful {place} {tries}" if what["what"] == "entered" else f"delayed {tries} {place}"


def _signed_out(what: Any) -> str:
    """Which sessions were ended: "ended everywhere: 3"."""
    return f"ended everywhere: {what['number']:,}" if what["all"] else "one ended"


def _is_worded(value: Any) -> bool:
    """Whether version 0.1.0 kept it in words that could not be read back."""
    return isinstance(value, dict) and "words" in value


def _value(area: str, field: str, value: Any) -> str:
    """A value as people read it; "" for none."""
    if _is_worded(value):
        return str(value["words"])
    match area:
        case Area.EMAIL if value not in (None, ""):
            return certificates.in_words(value) if field == "ca_bundle" else setting_value(field, value)
        case Area.OPTIONS if field == "same_refusals":
            return str(value or ON_OFF[False])
        case Area.OPTIONS if field == "language":
            return str(LANGUAGES.get(value, value))
        case Area.RESTORES:
            return str(dict(Restore.Answer.choices).get(value, value))
        case Area.USERS:
            return YES_NO[value] if isinstance(value, bool) else str(value or "none")
        case Area.SCHEDULES:
            return _of_schedule(field, value)
    return ", ".join(value) if isinstance(value, list) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return ON_OFF[value]
    return "" if value is None else str(value)


def _of_schedule(field: str, value: Any) -> str:
    match field:
        case "account":
            return sending_account(None) if value is None else value["name"]
        case "filter":
            return selection.in_words(value)
        case "kind" | "missed":
            choices = Schedule.Kind.choices if field == "kind" else Schedule.Missed.choices
            return str(dict(choices).get(value, value))
        case "days":
            return timetable.days_in_words(value)
    return _plain(value)
