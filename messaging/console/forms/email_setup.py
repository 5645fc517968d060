"""The form of one layer of Email Setup (S8, S9), and that of its test message."""

import json
from collections.abc import Callable
from copy import copy
from typing import Any, cast

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db.models import TextChoices
from django.http import QueryDict

from messaging.access import policy, roles
from messaging.audit import ChangedMeanwhile
from messaging.company import windows
from messaging.console.forms.helper import fields_alone
from messaging.console.presentation.settings import setting_value
from messaging.intake import typed_addresses
from messaging.intake.errors import BadAddress
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import certificates, changes, secret_destinations, servers
from messaging.setup.certificates import BadBundle
from messaging.setup.fields import FOR_ANY_MAILBOX, LABELS, LIMITS, NAMES, OF_USERS, SECRETS, column, label_within
from messaging.setup.layers import DEFAULT_PORTS, RATES, EmailSetup, Layer, Value, place_of, resolve
from messaging.setup.secrets import Secret
from messaging.setup.servers import CONTROL, BadServer, is_address

from .generic import ModelForm
from .overtaken import OvertakenMixin, VersionField
from .zone import ZoneMixin

AuthType = EmailSettings.AuthType
SendType = EmailSettings.SendType
SignIn = EmailSettings.SignIn

OPEN = [name for name in (*NAMES, *LIMITS) if name not in SECRETS]
# Longer than one line, and usually a file that someone was given.
FILES = {"ca_bundle": ".pem,.crt,.cer", "service_account": ".json"}
MAX_FILE = 200_000  # octets
# What to say of a number that is none, or out of the range that the model has.
NUMBERS = {
    "port": "Enter a number from 1 to 65535.",
    "max_connections": "Enter a number from 1 to 100. To stop sending, pause it instead.",
    "messages_per_connection": "Enter a number from 1 to 100000.",
    "per_minute": "Enter a number from 0 (no limit) to 1000000.",
    "per_hour": "Enter a number from 0 (no limit) to 10000000.",
}
HELP = {
    "tenant": "Directory (tenant) ID, or the organisation’s domain.",
    "client_id": "Application (client) ID, as the provider gave it.",
    "token_url": "Empty for Microsoft 365 and Google. Another provider: its token endpoint, https://…",
    "scope": "Usually empty: Outtray knows what the provider needs for SMTP.",
    "ca_bundle": "Only for a mail server whose certificate comes from an authority of your own. Trusted in addition "
    "to the system’s.",
    "from_address": "The test message comes from it.",
    "ehlo_name": "What this server calls itself; its full name unless set.",
    "max_connections": "How many connections to the mail server may be open at the same time.",
    "messages_per_connection": "After this many messages the connection is closed and a new one opened.",
    "per_minute": "Messages over the limit go out later, at a time that is shown; they do not fail for that. 0 means "
    "no limit.",
    "per_hour": "0 means no limit.",
    "sending_window": f"{windows.HELP} Outside it, messages wait; urgent ones still go out.",
    "time_zone": "For the sending window, such as Europe/Berlin.",
}
EXAMPLES = {
    "host": "mail.example.com",
    "tenant": "office.example",
    "token_url": "https://login.example.com/oauth2/token",
    "from_address": "office@example.com",
    "sending_window": "Mon-Fri 07:00-19:00",
    "time_zone": "Europe/Berlin",
}


class _SecretArea(forms.Textarea):
    """For a secret of several lines: no page shows again what was typed."""

    def format_value(self, value: Any) -> str:
        return ""


class EmailSetupForm(OvertakenMixin, ZoneMixin, ModelForm[EmailSettings]):
    """One layer of email settings. Writes that layer and nothing else; an empty field falls through (S13).

    Args:
        account: whose layer; None is the company's.
        editor: who edits; people who are no administrators get the fields that they may set.
        setup: the resolved settings of the account. What an `.opt` file sets is not part of the form.
    """

    class Meta:
        model = EmailSettings
        fields = [*OPEN, "version"]
        help_texts = HELP
        labels = {name: LABELS[name] for name in OPEN}
        widgets = {
            "version": forms.HiddenInput(),
            "ca_bundle": forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
            **{name: forms.TextInput(attrs={"inputmode": "numeric"}) for name in NUMBERS},
            **{
                name: forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"})
                for name in OPEN
                if name not in (*NUMBERS, "ca_bundle", "send_type", "auth_type", "sign_in")
            },
        }

    def __init__(
        self, data: Any = None, files: Any = None, *, account: User | None, editor: User, setup: EmailSetup
    ) -> None:
        row = EmailSettings.objects.filter(account=account).first() or EmailSettings(account=account, version=0)
        super().__init__(data and _completed(data, row), files, instance=row)
        self.account, self.editor, self.setup = account, editor, setup
        self.layer = Layer.COMPANY if account is None else Layer.ACCOUNT
        self.fields["version"].required = False
        self.initial["version"] = self.seen = row.version
        self.overtaken = []
        self.company = EmailSettings.objects.filter(account=None).first() if account else None
        self.fields["company_version"] = VersionField()
        self.initial["company_version"] = self.company.version if self.company else 0
        self._offer_secrets(row)
        self._offer_files()
        allowed = [*NAMES, *LIMITS] if roles.is_admin(editor) else OF_USERS
        self.names = [name for name in (*NAMES, *LIMITS) if name in allowed and name not in setup.files.values]
        for name in (*NAMES, *LIMITS):
            if name not in self.names:
                for part in (name, f"forget_{name}", f"{name}_file"):
                    self.fields.pop(part, None)
        self._say_what_empty_means()
        self.helper = fields_alone()

    # --- What is offered -------------------------------------------------------------------------

    def _offer_secrets(self, row: EmailSettings) -> None:
        for name in SECRETS:
            is_stored = bool(getattr(row, column(name)))
            what = label_within(name)
            words = f"A {what} is stored. Leave empty to keep it." if is_stored else f"No {what} is stored."
            if name in self.setup.lost and self.setup.values[name].layer == self.layer:
                words = f"The stored {what} cannot be read with the keys of this server. Enter it again."
            self.fields[name] = forms.CharField(
                required=False,
                strip=False,
                max_length=1000 if name != "service_account" else MAX_FILE,
                label=LABELS[name],
                help_text=words,
                widget=_SecretArea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"})
                if name == "service_account"
                else forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
            )
            if is_stored:
                self.fields[f"forget_{name}"] = forms.BooleanField(required=False, label=f"Forget the stored {what}")

    def _offer_files(self) -> None:
        for name, kinds in FILES.items():
            self.fields[f"{name}_file"] = forms.FileField(
                required=False, label=f"… or choose a file ({kinds.replace(',', ', ')})",
                widget=forms.FileInput(attrs={"accept": kinds}),
            )  # fmt: skip

    def _say_what_empty_means(self) -> None:
        for name, words in NUMBERS.items():
            if name in self.fields:
                self.fields[name].error_messages |= dict.fromkeys(("invalid", "min_value", "max_value"), words)
        choices: dict[str, Any] = {"send_type": SendType, "auth_type": AuthType, "sign_in": SignIn}
        for name, kinds in choices.items():
            if name not in self.fields:
                continue
            field = cast(forms.ChoiceField, self.fields[name])
            field.choices = [("", f"Not set: {kinds(self.fallback(name).value).label}"), *self._choices(kinds)]
            field.widget.attrs["data-fallback"] = self.fallback(name).value
        for name in OPEN:
            if name in self.fields and isinstance(self.fields[name].widget, forms.TextInput):
                value = self.fallback(name).value
                shown = setting_value(name, value) if value or name in RATES else EXAMPLES.get(name, "")
                self.fields[name].widget.attrs["placeholder"] = shown
        if "time_zone" in self.fields:
            self.fields["time_zone"].widget.attrs["list"] = "time-zones"
        if "port" in self.fields and self.fallback("port").layer == Layer.BUILTIN:
            ports = {kind: DEFAULT_PORTS.get(kind, 25) for kind in AuthType}
            self.fields["port"].widget.attrs["data-ports"] = json.dumps(ports)

    def _choices(self, kinds: type[TextChoices]) -> list[tuple[Any, str]]:
        if kinds is SignIn and not roles.is_admin(self.editor):
            offered = {SignIn.PASSWORD.value, SignIn.MICROSOFT_USER.value, self.instance.sign_in}
            return [(way.value, str(way.label)) for way in SignIn if way.value in offered]
        return list(kinds.choices)

    def fallback(self, name: str) -> Value:
        """What the field falls back to when this layer leaves it empty."""
        value = self.setup.values[name]
        order = list(Layer)
        below = [found for found in (value, *value.beneath) if order.index(found.layer) > order.index(self.layer)]
        return next(found for found in below if not found.unused)

    # --- What may be entered ---------------------------------------------------------------------

    def clean_host(self) -> str:
        return _checked(servers.server_name, self.cleaned_data["host"])

    def clean_ehlo_name(self) -> str:
        name = self.cleaned_data["ehlo_name"]
        return name if _is_literal(name) else _checked(servers.server_name, name)

    def clean_token_url(self) -> str:
        return _checked(servers.sign_in_url, self.cleaned_data["token_url"])

    def clean_sending_window(self) -> str:
        window = _one_line(self.cleaned_data["sending_window"])
        try:
            windows.parse(window)
        except windows.BadWindow as bad:
            raise ValidationError(str(bad)) from bad
        return window

    def clean_from_address(self) -> str:
        address = self.cleaned_data["from_address"]
        try:
            return typed_addresses.one(address) if address not in ("", "<>") else ""
        except BadAddress as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if (values.get("version") or 0) != self.seen:
            self.add_error(None, self._overtaken(changes.since(self.account, values.get("version") or 0)))
        for name in ("username", "password", "tenant", "client_id", "client_secret", "refresh_token", "scope"):
            if name in values:
                self._check(name, _one_line)
        for name in FILES:
            self._take_file(name)
        for name in SECRETS:
            if name in values:
                values[name] = Secret(values[name])  # an error report must not tell it
        self._check("ca_bundle", lambda text: _checked(certificates.check_bundle, text) if text else "")
        self._check("service_account", _service_account)
        self._check_secrets_stay_home()
        if not roles.is_admin(self.editor):
            self._check_server_is_allowed()
            self._check_mailbox_is_given()
            self._check_sender_is_own()
        return values

    def _check(self, name: str, check: Callable[[str], str]) -> None:
        if name not in self.cleaned_data:
            return
        try:
            self.cleaned_data[name] = check(self.cleaned_data[name])
        except ValidationError as error:
            self.add_error(name, error)

    def _take_file(self, name: str) -> None:
        """A file that was chosen takes the place of what is in the text field."""
        file: UploadedFile[bytes] | None = self.cleaned_data.get(f"{name}_file")
        if file is None:
            return
        if (file.size or 0) > MAX_FILE:
            self.add_error(name, f"The file is larger than {MAX_FILE:,} octets.")
            return
        data = file.read()
        self.cleaned_data[name] = certificates.as_pem(data) if name == "ca_bundle" else data.decode("utf-8", "replace")

    def _check_secrets_stay_home(self) -> None:
        """A stored secret is for the place it was entered for: a person who names another one has to know it."""
        if any(self.has_error(part) for part in secret_destinations.PARTS):
            return
        stored = EmailSettings.objects.filter(account=self.account).first() or EmailSettings(account=self.account)
        entered = copy(stored)
        for part in secret_destinations.PARTS:
            if part in self.cleaned_data:
                setattr(entered, part, self.cleaned_data[part])
        before, after = place_of(stored, self.company), place_of(entered, self.company)
        self.place = after
        if self.cleaned_data["company_version"] != self.initial["company_version"]:
            self._ask_again_for_the_company_moved(after)
        for name in SECRETS:
            keeps = f"forget_{name}" in self.fields and not self.cleaned_data.get(f"forget_{name}")
            # What has moved already is not asked for: it is not used, and the page says so.
            part = (
                secret_destinations.moved(name, before, after, secret_destinations.PARTS)
                if keeps and not self.cleaned_data.get(name)
                else ""
            )
            if part:
                self.add_error(
                    name, f"Enter the {label_within(name)} again, because {secret_destinations.AGAIN[part]}."
                )

    def _ask_again_for_the_company_moved(self, now: secret_destinations.Place) -> None:
        """A secret was typed for the server on the page, and what the company says beneath may be another by now."""
        for name in SECRETS:
            if self.cleaned_data.get(name):
                words = f"Enter the {label_within(name)} again if it is for {now['host']}, port {now['port']}."
                self.add_error(name, f"The company’s settings have changed since this page was shown. {words}")
        self.data = self.data.copy()
        self.data["company_version"] = str(self.initial["company_version"])

    def _check_server_is_allowed(self) -> None:
        names_one = any(self.cleaned_data.get(name) for name in ("host", "port"))
        is_another = not {"host", "port", "auth_type"}.isdisjoint(self.changed_data)  # not what an administrator set
        if not names_one or not is_another or self.has_error("host") or self.has_error("port"):
            return
        auth_type = self.cleaned_data.get("auth_type") or self.setup.auth_type
        usual = self.fallback("port")
        by_choice = DEFAULT_PORTS.get(AuthType(auth_type), 25)
        port = self.cleaned_data.get("port") or (by_choice if usual.layer == Layer.BUILTIN else usual.value)
        host = self.cleaned_data.get("host") or self.fallback("host").value
        try:
            policy.check_server(host, int(port), policy.user_servers(resolve(None)))
        except BadServer as bad:
            self.add_error("host" if self.cleaned_data.get("host") else "port", str(bad))

    def _check_mailbox_is_given(self) -> None:
        """An application or a service account signs in as whomever the user name says: administrators say it."""
        way = self.cleaned_data.get("sign_in") or self.fallback("sign_in").value
        is_another = not {"username", "sign_in"}.isdisjoint(self.changed_data)
        if is_another and way in FOR_ANY_MAILBOX and self.cleaned_data.get("username"):
            words = f"With “{SignIn(way).label}” administrators say which mailbox is yours. Leave it as it was."
            self.add_error("username", words)

    def _check_sender_is_own(self) -> None:
        address = self.cleaned_data.get("from_address")
        if not address or "from_address" not in self.changed_data or policy.may_send_from(self.editor, address):
            return
        own = ", ".join(policy.own_addresses(self.editor)) or "none so far"
        self.add_error(
            "from_address", f"You may send from your own addresses only: {own}. An administrator can allow others."
        )

    # --- Saving ----------------------------------------------------------------------------------

    def save_as(self, by: User) -> list[AuditEntry]:
        """Save the layer as a new version; what changed.

        Raises:
            ValidationError: someone else saved it since the form was shown (`overtaken` is what they changed, and the
                form can be saved over it), or there is no encryption key. Nothing was written.
        """
        given = [name for name in self.names if name in OPEN or self._is_given(name)]
        values = {name: self.cleaned_data[name] for name in given}
        try:
            return changes.save(
                self.account, values, by=by, seen=self.cleaned_data["version"] or 0, meant_for=self.place
            )
        except ChangedMeanwhile as error:
            raise self._overtaken(error.changes) from error
        except ImproperlyConfigured as error:
            raise ValidationError(f"The password cannot be stored safely on this server. {error}") from error

    def _take_theirs(self, data: QueryDict) -> None:
        row = EmailSettings.objects.filter(account=self.account).first()
        before = {change.field: change.before for change in reversed(self.overtaken)}
        for name in before.keys() & self.cleaned_data.keys() & set(self.names) - set(SECRETS):
            if changes.as_kept(name, self.cleaned_data[name]) == before[name]:
                self._put(data, name, getattr(row, name, None))

    def _is_given(self, secret: str) -> bool:
        return bool(self.cleaned_data[secret] or self.cleaned_data.get(f"forget_{secret}"))


class TestMessageForm(forms.Form):
    """To whom the test message goes."""

    recipient = forms.CharField(
        max_length=320,
        label="Send it to",
        error_messages={"required": "Enter the address that the test message should go to."},
        widget=forms.TextInput(attrs={"inputmode": "email", "autocomplete": "email", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.helper = fields_alone()

    def clean_recipient(self) -> str:
        try:
            return typed_addresses.one(self.cleaned_data["recipient"])
        except BadAddress as error:
            raise ValidationError(str(error)) from error


def _completed(data: QueryDict, row: EmailSettings) -> QueryDict:
    """What was posted, with what is stored in the fields that the page did not have: an `.opt` file may have set them
    when it was opened. They stay as they are."""
    whole = data.copy()
    for name in OPEN:
        if name not in whole:
            value = getattr(row, name)
            whole[name] = "" if value is None else str(value)
    return whole


def _checked(check: Callable[[str], str], text: str) -> str:
    """Raises ValidationError."""
    try:
        return check(text)
    except (BadServer, BadBundle) as bad:
        raise ValidationError(str(bad)) from bad


def _service_account(text: str) -> str:
    """The JSON key of a Google service account. Raises ValidationError."""
    if not text:
        return ""
    try:
        key = json.loads(text)
    except ValueError as error:
        raise ValidationError("This is not the JSON key of a service account: it cannot be read.") from error
    wanted = ("client_email", "private_key")
    if not isinstance(key, dict) or key.get("type") != "service_account" or not all(key.get(name) for name in wanted):
        raise ValidationError(
            "This is not the JSON key of a service account. Google’s console makes one under Service accounts > Keys."
        )
    return text


def _is_literal(name: str) -> bool:
    """An address literal (RFC 5321 4.1.3), which EHLO allows in place of a name."""
    return name.startswith("[") and name.endswith("]") and is_address(name[1:-1].removeprefix("IPv6:"))


def _one_line(text: str) -> str:
    if CONTROL.search(text):
        raise ValidationError("Line breaks and control characters are not allowed here.")
    return text
