"""Which email settings will be used, and why.

Resolved value by value, the first layer that sets one wins: the `.opt` files of this server, the sending account's own
settings, the company's, the built-in default. Delivery, the test message, the review page and the setup pages all ask
`resolve`. A new layer is one more line in `_layers`.
"""

import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Field, Q

from messaging.company import windows
from messaging.models import EmailSettings, Phrase
from messaging.setup import opt_files, secret_destinations

from .fields import FOR_ANY_MAILBOX, LIMITS, NAMES, NEEDS, SECRETS, WAYS, column
from .opt_files import OptFiles
from .problems import Problem
from .secrets import LostKey, Secret, decrypt
from .servers import is_loopback

SendType = EmailSettings.SendType
AuthType = EmailSettings.AuthType
SignIn = EmailSettings.SignIn
Stored = Mapping[int | None, EmailSettings]  # by account

DEFAULT_PORTS = {AuthType.TLS_IMPLICIT: 465, AuthType.TLS_EXPLICIT: 587}


class Layer(StrEnum):
    """Where a value can come from, from the top."""

    OPT = "opt"
    ACCOUNT = "account"
    COMPANY = "company"
    BUILTIN = "built-in"


@dataclass(frozen=True)
class Value:
    """A value and the layer it comes from.

    `within` says more of the layer: the `.opt` file, the account's user name, of a built-in port its auth type.
    `beneath` is what lower layers say, from the top; `unused` is why one that is set is not used. A secret that is not
    the one in effect stays encrypted. `meant_for` is the place that a secret was entered for, where that is known, or a
    user name by its user.
    """

    value: Any
    layer: Layer
    within: str = ""
    beneath: tuple["Value", ...] = ()
    unused: str = ""
    meant_for: secret_destinations.Place | None = None

    @property
    def source(self) -> str:
        """Where it comes from, in words for the page."""
        match self.layer:
            case Layer.OPT:
                return self.within
            case Layer.ACCOUNT:
                return f"settings of {self.within}"
            case Layer.COMPANY:
                return "company settings"
        return f"usual port of {self.within}" if self.within else "built-in default"


@dataclass(frozen=True)
class Rate:
    """At most `number` messages within `period`, which is called `unit`."""

    number: int
    period: timedelta
    unit: str


RATES = {"per_minute": (timedelta(minutes=1), "minute"), "per_hour": (timedelta(hours=1), "hour")}


@dataclass(frozen=True)
class EmailSetup:
    """The settings that one sending account delivers with; `values` maps each of NAMES and LIMITS to its Value.

    `lost` are the secrets that cannot be read any more, `unfit` what would be in effect and is not possible, by name;
    `files` is what the `.opt` files of this server say.
    """

    values: dict[str, Value]
    lost: tuple[str, ...] = ()
    unfit: Mapping[str, Value] = field(default_factory=dict)
    files: OptFiles = field(default_factory=OptFiles)

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
        return self.secret("password")

    @property
    def sign_in(self) -> str:
        """One of SignIn; it counts only with send type 3."""
        return str(self.values["sign_in"].value)

    @property
    def uses_oauth(self) -> bool:
        """Whether the sign-in is with a token (XOAUTH2) in place of a password."""
        return self.signs_in and self.sign_in != SignIn.PASSWORD

    @property
    def ca_bundle(self) -> str:
        """PEM certificates trusted beside the system's; "" for none."""
        return str(self.values["ca_bundle"].value)

    @property
    def in_use(self) -> dict[str, Value]:
        """The values that count with this way to sign in, by name."""
        way = self.sign_in if self.signs_in else ""
        return {name: value for name, value in self.values.items() if name not in WAYS or way in WAYS[name]}

    def text(self, name: str) -> str:
        """The value of one of NAMES that has no property of its own; no secret."""
        assert name not in SECRETS
        return str(self.values[name].value)

    def secret(self, name: str) -> Secret:
        """The value of one of SECRETS, in the clear; "" when there is none or it cannot be read."""
        return Secret(self.values[name].value)

    @property
    def from_address(self) -> str:
        return str(self.values["from_address"].value)

    @property
    def ehlo_name(self) -> str:
        """What this machine calls itself; "" for the address that it has on the connection."""
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
    def place(self) -> secret_destinations.Place:
        """Where secrets that are entered now would go."""
        return _place(self.values)

    @property
    def signs_in(self) -> bool:
        """Whether AUTH is part of the dialogue (send type 3 of S11)."""
        return self.send_type == SendType.SMTP_AUTH

    def problems(self) -> list[Phrase]:
        """Why nothing can be delivered in bulk with these settings (see problems.py); empty when it can."""
        if self.files.errors:
            return [Phrase(Problem.FILE, file=error.file) for error in self.files.errors]
        if self.unfit:
            return [
                Phrase(Problem.NOT_POSSIBLE, name=name, value=str(value.value), whose=value.within)
                for name, value in self.unfit.items()
            ]
        if self.is_mapi:
            return [Phrase(Problem.MAPI, send_type=self.send_type)]
        found = []
        if not self.host:
            found.append(Phrase(Problem.NO_SERVER))
        if self.auth_type == AuthType.SSL:
            found.append(Phrase(Problem.SSL))
        if self.signs_in:
            found += self._sign_in_problems()
        unreadable = windows.problem(self.sending_window, self.time_zone)
        if unreadable is not None:
            found.append(Phrase(Problem.WINDOW, why=unreadable))
        return found

    @property
    def is_mapi(self) -> bool:
        """Whether messages are handed to the person's own mail program (send types 0 and 1 of S11)."""
        return self.send_type in (SendType.MAPI_OLD, SendType.MAPI)

    def _sign_in_problems(self) -> list[Phrase]:
        needed = NEEDS[self.sign_in]
        if self.sign_in == SignIn.OAUTH2:
            needed += ("refresh_token",) if self.values["refresh_token"].value else ("client_secret",)
        lost = [name for name in needed if name in self.lost]
        if lost:
            return [Phrase(Problem.LOST, names=lost)]
        found = []
        missing = [name for name in needed if not self.values[name].value]
        if missing == ["refresh_token"] and self.sign_in == SignIn.MICROSOFT_USER:
            found.append(Phrase(Problem.NOBODY_SIGNED_IN))
        elif moved := [name for name in missing if any(lower.unused for lower in self.values[name].beneath)]:
            found.append(Phrase(Problem.MOVED, names=moved))
        elif missing:
            found.append(Phrase(Problem.INCOMPLETE, names=missing))
        if self.uses_oauth and self.auth_type == AuthType.DEFAULT and self.host and not is_loopback(self.host):
            found.append(Phrase(Problem.TOKEN_IN_CLEAR))
        return found

    def warnings(self) -> list[str]:
        """What works but is worth a second look."""
        found = []
        in_clear = self.auth_type == AuthType.DEFAULT and not self.uses_oauth  # a token is refused there, see above
        if self.host and in_clear and not is_loopback(self.host):
            what = "The password and all mail travel" if self.signs_in else "All mail travels"
            found.append(
                f"{what} to {self.host} in the clear. Choose tls-explicit or tls-implicit if the server offers it."
            )
        usual = {465: AuthType.TLS_IMPLICIT, 587: AuthType.TLS_EXPLICIT}.get(self.port)
        if self.host and usual is not None and self.auth_type not in (usual, AuthType.SSL):
            found.append(f"Port {self.port} usually goes with {usual}, and the auth type is {self.auth_type}.")
        return found


def resolve(account: User | None) -> EmailSetup:
    """Resolve the settings of a sending account (S9); None is the company's own."""
    return resolve_each([account])[0]


def resolve_each(accounts: Sequence[User | None]) -> list[EmailSetup]:
    """Resolve the settings of several sending accounts, in their order; one statement."""
    ids = [account.pk for account in accounts if account is not None]
    rows = EmailSettings.objects.filter(Q(account=None) | Q(account__in=ids))
    stored = {row.account_id: row for row in rows}
    files = opt_files.read()
    return [_resolved(list(_layers(account, stored, files)), files) for account in accounts]


def _layers(account: User | None, stored: Stored, files: OptFiles) -> Iterator[dict[str, Value]]:
    """From the top: what each layer sets."""
    yield {name: Value(value, Layer.OPT, file) for name, (value, file) in files.values.items()}
    if account is not None:
        yield _from_row(stored.get(account.pk), Layer.ACCOUNT, account.get_username())
    yield _from_row(stored.get(None), Layer.COMPANY)
    yield {name: Value(value, Layer.BUILTIN) for name, value in _built_in().items()}


def place_of(row: EmailSettings, company: EmailSettings | None) -> dict[str, Any]:
    """The place that secrets entered in a layer are for, now: what it names, and else what lies beneath it. `company`
    is the company's layer where this is an account's.
    """
    layers = [_from_row(row, Layer.ACCOUNT), _from_row(company, Layer.COMPANY)]
    built_in = {name: Value(value, Layer.BUILTIN) for name, value in _built_in().items()}
    return _place(_open_values([*layers, built_in])[0])


def _place(values: Mapping[str, Value]) -> dict[str, Any]:
    return secret_destinations.place({part: values[part].value for part in secret_destinations.PARTS})


def _open_values(layers: Sequence[dict[str, Value]]) -> tuple[dict[str, Value], dict[str, Value]]:
    """What is in effect of all that is no secret, and what would be and is not possible."""
    values: dict[str, Value] = {}
    unfit = {}
    way = next(layer["sign_in"].value for layer in layers if "sign_in" in layer and not layer["sign_in"].unused)
    for name in (name for name in (*NAMES, *LIMITS) if name not in SECRETS):
        said = [layer[name] for layer in layers if name in layer]
        if said and said[0].unused:
            unfit[name] = said[0]
        if name == "username":
            said = [_judged_mailbox(value, way) for value in said]
        if name == "port":
            said.append(_usual_port(values["auth_type"]))
        chosen = next(value for value in said if not value.unused)
        values[name] = replace(chosen, beneath=tuple(value for value in said if value is not chosen))
    return values, unfit


def _judged_mailbox(username: Value, way: str) -> Value:
    """A user name, and why it is not used: its user entered it for another way to sign in than this one, by which they
    would get into the mailbox of whomever they name.
    """
    if way not in FOR_ANY_MAILBOX or username.meant_for is None or username.meant_for["sign_in"] == way:
        return username
    return replace(username, unused="not used: administrators say which mailbox is yours")


def _resolved(layers: Sequence[dict[str, Value]], files: OptFiles) -> EmailSetup:
    values, unfit = _open_values(layers)
    now = _place(values)
    lost = []
    for name in SECRETS:
        said = [_judged(name, number, layers, now) for number, layer in enumerate(layers) if name in layer]
        # An account whose own password is not for this place is not to sign in with the company's instead.
        has_own = any(value.layer == Layer.ACCOUNT for value in said)
        chosen = next(value for value in said if not value.unused and not (has_own and value.layer == Layer.COMPANY))
        others = tuple(value for value in said if value is not chosen)
        try:
            values[name] = replace(chosen, value=_readable(chosen), beneath=others)
        except LostKey:
            lost.append(name)
            values[name] = replace(chosen, value="", beneath=others)
    return EmailSetup({name: values[name] for name in (*NAMES, *LIMITS)}, tuple(lost), unfit, files)


def _judged(name: str, number: int, layers: Sequence[dict[str, Value]], now: secret_destinations.Place) -> Value:
    """A secret of a layer, and why it is not for the place that all layers together name."""
    secret = layers[number][name]
    if secret.layer == Layer.BUILTIN or not secret.value:
        return secret
    # What a file says is for what files and the company name: not for what an account names for itself.
    own = [layers[number], *layers[-2:]] if secret.layer == Layer.OPT else layers[number:]
    meant_for = secret.meant_for or _place(_open_values(own)[0])
    return replace(secret, unused=secret_destinations.why_not(name, meant_for, now))


def _readable(secret: Value) -> Secret:
    """Raises LostKey."""
    if secret.layer in (Layer.ACCOUNT, Layer.COMPANY):
        return decrypt(secret.value)
    return Secret(secret.value)


def _usual_port(auth_type: Value) -> Value:
    port = DEFAULT_PORTS.get(AuthType(auth_type.value), 25)
    return Value(port, Layer.BUILTIN, auth_type.value)


def _from_row(row: EmailSettings | None, layer: Layer, within: str = "") -> dict[str, Value]:
    """What a row sets; secrets stay encrypted here."""
    if row is None:
        return {}
    values = {name: getattr(row, column(name)) for name in (*NAMES, *LIMITS)}
    return {
        name: Value(value, layer, within, (), _why_unfit(row, name, value), row.secrets_for.get(name))
        for name, value in values.items()
        if value not in (None, "")
    }


@cache
def _field(name: str) -> "Field[Any, Any]":
    found = EmailSettings._meta.get_field(name)
    assert isinstance(found, Field)
    return found


def _why_unfit(row: EmailSettings, name: str, value: Any) -> str:
    """Why a stored value cannot be used, such as a choice of another version; "" when it can."""
    try:
        _field(column(name)).clean(value, row)
    except ValidationError:
        return "not used: it is not valid"
    return ""


def _built_in() -> dict[str, Any]:
    return dict.fromkeys((name for name in NAMES if name != "port"), "") | {
        "send_type": SendType.SMTP,
        "auth_type": AuthType.DEFAULT,
        "sign_in": SignIn.PASSWORD,
        "ehlo_name": _machine_name(),
        "max_connections": settings.LANES_PER_ACCOUNT,
        "messages_per_connection": settings.MESSAGES_PER_CONNECTION,
        "per_minute": 0,
        "per_hour": 0,
        "sending_window": windows.ALWAYS,
        "time_zone": settings.TIME_ZONE,
    }


_LABEL = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?", re.IGNORECASE)
_NAMES_OF_ANY_MACHINE = ("localhost", "localdomain", "arpa", "invalid")


NAMELESS_SECONDS = 600


def _machine_name() -> str:
    """This machine's full name; "" where it has none that says more than its address (RFC 5321 4.1.4).

    Asked once, as that may take a while; where it has none, every ten minutes, as a name server may have been away.
    """
    return _full_name(None) or _full_name(time.monotonic() // NAMELESS_SECONDS)


@lru_cache(maxsize=2)
def _full_name(period: float | None) -> str:
    name = socket.getfqdn().rstrip(".")
    labels = name.split(".")
    is_full = len(labels) > 1 and len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
    last = labels[-1].lower()
    return name if is_full and not last.isdigit() and last not in _NAMES_OF_ANY_MACHINE else ""
