"""Which email settings will be used, and why.

Resolved value by value, the first layer that sets one wins: the sending account's own settings, the company's, the
built-in default. Delivery, the test message, the review page and the setup pages all ask `resolve`. A new layer is
one more function in LAYERS.
"""

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q

from messaging.models import EmailSettings

from . import windows
from .secrets import LostKey, decrypt

SendType = EmailSettings.SendType
AuthType = EmailSettings.AuthType
Stored = Mapping[int | None, EmailSettings]  # by account

NAMES = ("send_type", "auth_type", "host", "port", "username", "password", "from_address", "ehlo_name")
LIMITS = ("max_connections", "messages_per_connection", "per_minute", "per_hour", "sending_window", "time_zone")
DEFAULT_PORTS = {AuthType.TLS_IMPLICIT: 465, AuthType.TLS_EXPLICIT: 587}


@dataclass(frozen=True)
class Value:
    """A resolved value and the layer it comes from, in words for the page."""

    value: Any
    source: str


@dataclass(frozen=True)
class Rate:
    """At most `number` messages within `period`, which is called `unit`."""

    number: int
    period: timedelta
    unit: str


RATES = {"per_minute": (timedelta(minutes=1), "minute"), "per_hour": (timedelta(hours=1), "hour")}


class Secret(str):
    """A password: usable as text, never shown by repr, a log line or an error page."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


@dataclass(frozen=True)
class EmailSetup:
    """The settings that one sending account delivers with; `values` maps each of NAMES and LIMITS to its Value."""

    values: dict[str, Value]
    lost_key: str = ""

    @property
    def send_type(self) -> int:
        return int(self.values["send_type"].value)

    @property
    def auth_type(self) -> str:
        return str(self.values["auth_type"].value)

    @property
    def host(self) -> str:
        return str(self.values["host"].value)

    @property
    def port(self) -> int:
        return int(self.values["port"].value)

    @property
    def username(self) -> str:
        return str(self.values["username"].value)

    @property
    def password(self) -> Secret:
        return Secret(self.values["password"].value)

    @property
    def from_address(self) -> str:
        return str(self.values["from_address"].value)

    @property
    def ehlo_name(self) -> str:
        return str(self.values["ehlo_name"].value)

    @property
    def max_connections(self) -> int:
        """How many connections the account may have open at once."""
        return int(self.values["max_connections"].value)

    @property
    def messages_per_connection(self) -> int:
        return int(self.values["messages_per_connection"].value)

    @property
    def rates(self) -> list[Rate]:
        """The limits of messages per time that are set, the shortest time first."""
        numbers = {name: int(self.values[name].value) for name in RATES}
        return [Rate(number, *RATES[name]) for name, number in numbers.items() if number]

    @property
    def sending_window(self) -> str:
        """As windows.py reads it, in the time zone of `time_zone`."""
        return str(self.values["sending_window"].value)

    @property
    def time_zone(self) -> str:
        return str(self.values["time_zone"].value)

    @property
    def server(self) -> str:
        host = self.host if ":" not in self.host or self.host.startswith("[") else f"[{self.host}]"
        return f"{host}:{self.port}"

    @property
    def signs_in(self) -> bool:
        """Whether AUTH is part of the dialogue (send type 3 of row S11)."""
        return self.send_type == SendType.SMTP_AUTH

    def problems(self) -> list[str]:
        """Why nothing can be delivered in bulk with these settings, each with what to change; empty when fine."""
        if self.send_type in (SendType.MAPI_OLD, SendType.MAPI):
            return [
                f"The send type is {self.send_type} (MAPI, Outlook), which hands over one message at a time and cannot "
                "send in bulk. Choose send type 2 or 3 (SMTP) in Email Setup."
            ]
        found = []
        if not self.host:
            found.append("No SMTP server is set. Enter one in Email Setup.")
        if self.auth_type == AuthType.SSL:
            found.append(
                "The auth type “ssl” means SSL 3.0, which this machine’s OpenSSL no longer has. "
                "Choose tls-implicit in Email Setup."
            )
        if self.lost_key:
            found.append(self.lost_key)
        elif self.signs_in and not (self.username and self.password):
            found.append("Send type 3 signs in, but the user name or the password is not set in Email Setup.")
        unreadable = windows.problem(self.sending_window, self.time_zone)
        if unreadable:
            found.append(f"The sending window cannot be read: {unreadable} Correct it in Email Setup.")
        return found

    def warnings(self) -> list[str]:
        """What works but is worth a second look."""
        if self.host and self.auth_type == AuthType.DEFAULT and not is_loopback(self.host):
            what = "The password and all mail travel" if self.signs_in else "All mail travels"
            return [f"{what} to {self.host} in the clear. Choose tls-explicit or tls-implicit if the server offers it."]
        return []


def resolve(account: User | None) -> EmailSetup:
    """Resolve the settings of a sending account (row S9); None is the company's own."""
    return resolve_each([account])[0]


def resolve_each(accounts: Sequence[User | None]) -> list[EmailSetup]:
    """Resolve the settings of several sending accounts, in their order; one statement."""
    ids = [account.pk for account in accounts if account is not None]
    rows = EmailSettings.objects.filter(Q(account=None) | Q(account__in=ids))
    stored = {row.account_id: row for row in rows}
    return [_resolved(account, stored) for account in accounts]


def _resolved(account: User | None, stored: Stored) -> EmailSetup:
    values: dict[str, Value] = {}
    lost_key = ""
    for layer in LAYERS:
        source, found = layer(account, stored)
        for name, value in found.items():
            if name in values or (name == "password" and value and _names_own_server(values, source)):
                continue
            if name == "password":
                try:
                    value = Secret(decrypt(value))
                except LostKey as error:
                    lost_key, value = str(error), ""
            values[name] = Value(value, source)
    if "port" not in values:
        port = DEFAULT_PORTS.get(AuthType(values["auth_type"].value), 25)
        values["port"] = Value(port, f"usual port of {values['auth_type'].value}")
    return EmailSetup({name: values[name] for name in (*NAMES, *LIMITS)}, lost_key)


def _names_own_server(values: dict[str, Value], source: str) -> bool:
    """Whether a higher layer named another server: the password of this layer is not for that one."""
    return "host" in values and values["host"].source != source


def _account_layer(account: User | None, stored: Stored) -> tuple[str, dict[str, Any]]:
    if account is None:
        return "", {}
    return f"settings of {account.get_username()}", _set_values(stored.get(account.pk))


def _company_layer(account: User | None, stored: Stored) -> tuple[str, dict[str, Any]]:
    return "company settings", _set_values(stored.get(None))


def _builtin_layer(account: User | None, stored: Stored) -> tuple[str, dict[str, Any]]:
    return "built-in default", {
        "send_type": SendType.SMTP,
        "auth_type": AuthType.DEFAULT,
        "host": "",
        "username": "",
        "password": "",
        "from_address": "",
        "ehlo_name": _machine_name(),
        "max_connections": settings.LANES_PER_ACCOUNT,
        "messages_per_connection": settings.MESSAGES_PER_CONNECTION,
        "per_minute": 0,
        "per_hour": 0,
        "sending_window": windows.ALWAYS,
        "time_zone": settings.TIME_ZONE,
    }


LAYERS: list[Callable[[User | None, Stored], tuple[str, dict[str, Any]]]] = [
    _account_layer,
    _company_layer,
    _builtin_layer,
]


def _set_values(row: EmailSettings | None) -> dict[str, Any]:
    """What a row sets; the password stays encrypted here."""
    if row is None:
        return {}
    columns = {name: "password_encrypted" if name == "password" else name for name in (*NAMES, *LIMITS)}
    values = {name: getattr(row, column) for name, column in columns.items()}
    return {name: value for name, value in values.items() if value not in (None, "")}


@cache
def _machine_name() -> str:
    """This machine's full name, or an address literal where it has none (RFC 5321 4.1.4)."""
    name = socket.getfqdn()
    return name if "." in name else "[127.0.0.1]"


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine, without asking DNS."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
