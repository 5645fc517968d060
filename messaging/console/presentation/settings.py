"""Settings of Email Setup in words: their values, where each comes from, and what lies beneath."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.forms import BaseForm, BoundField

from messaging.access import policy, roles
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import certificates, changes
from messaging.setup.fields import LABELS, LIMITS, OAUTH, OF_USERS, SECRETS, WAYS
from messaging.setup.layers import RATES, EmailSetup, Layer, Value
from messaging.wording import person

GROUPS = (
    ("server", "Server", ("send_type", "auth_type", "host", "port", "ca_bundle")),
    ("sign-in", "Sign-in", ("sign_in", "username", "password", *OAUTH)),
    ("sender", "Sender", ("from_address", "ehlo_name")),
    ("limits", "Limits", LIMITS),
)


@dataclass(frozen=True)
class Shown:
    """What one layer says of a field, in words; `change` is who changed it last, where that is known."""

    value: str
    source: str
    note: str = ""
    change: AuditEntry | None = None


@dataclass(frozen=True)
class SettingRow:
    """A field (none where it cannot be changed here), the value in effect and what lies beneath.

    `ways` are the ways to sign in that it belongs to, for the page to show it with; `locked` is the `.opt` file that
    sets it.
    """

    name: str
    label: str
    field: BoundField | None
    forget: BoundField | None
    file: BoundField | None
    in_effect: Shown
    beneath: list[Shown]
    ways: str
    locked: str


@dataclass(frozen=True)
class SettingGroup:
    """Rows under one heading."""

    key: str
    title: str
    rows: list[SettingRow]


def sending_account(user: User | None) -> str:
    """Whose email settings are used."""
    return person(user, "The company")


def setting_value(name: str, value: Any) -> str:
    """A setting's value as people read it; a secret is never told."""
    if name in SECRETS:
        return "stored" if value else "none"
    if name == "ca_bundle":
        return certificates.summary(value) if "-----BEGIN" in value else value or "the system’s alone"
    if name == "ehlo_name" and not value:
        return "its address on the connection"
    if name in ("sign_in", "send_type"):
        choices = EmailSettings.SignIn if name == "sign_in" else EmailSettings.SendType
        return str(dict(choices.choices).get(value, value))  # what another version stored has no label here
    if name in RATES:
        return f"{int(value):,}" if int(value or 0) else "no limit"
    return str(value) or "none"


def setting_groups(account: User | None, setup: EmailSetup, form: BaseForm | None, viewer: User) -> list[SettingGroup]:
    """The rows of a layer's page, as the viewer may see them; without a form they are read only."""
    changed = {Layer.COMPANY: changes.latest(None), Layer.ACCOUNT: changes.latest(account) if account else {}}

    def shown(name: str, value: Value) -> Shown:
        is_lost = name in setup.lost and value is setup.values[name]
        words = "cannot be read" if is_lost else setting_value(name, value.value)
        return Shown(words, value.source, value.unused, changed.get(value.layer, {}).get(name))

    def field(part: str) -> BoundField | None:
        return form[part] if form and part in form.fields else None

    def row(name: str) -> SettingRow:
        value = policy.sender_in_effect(account, setup) if name == "from_address" else setup.values[name]
        return SettingRow(
            name,
            LABELS[name],
            field(name),
            field(f"forget_{name}"),
            field(f"{name}_file"),
            shown(name, value),
            [shown(name, lower) for lower in value.beneath if lower.value not in ("", None)],
            " ".join(WAYS.get(name, ())),
            value.source if value.layer == Layer.OPT else "",
        )

    def is_shown(name: str) -> bool:
        if form is None:
            return name in setup.in_use and (name in OF_USERS or setup.values[name].layer != Layer.BUILTIN)
        return roles.is_admin(viewer) or name in OF_USERS or setup.values[name].layer != Layer.BUILTIN

    return [SettingGroup(key, title, [row(name) for name in names if is_shown(name)]) for key, title, names in GROUPS]
