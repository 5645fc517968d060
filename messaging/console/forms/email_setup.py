"""The forms of Email Setup (seed row S8): the company's layer, and the test message."""

from typing import Any, cast

from crispy_forms.helper import FormHelper
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError

from messaging.intake.addresses import envelope_address, reverse_path
from messaging.intake.errors import BadAddress
from messaging.models import EmailSettings
from messaging.setup import changes, windows
from messaging.setup.fields import LIMITS, NAMES, OAUTH, SECRETS
from messaging.setup.layers import DEFAULT_PORTS
from messaging.setup.servers import CONTROL, BadServer, is_address, server_name

AuthType = EmailSettings.AuthType
SendType = EmailSettings.SendType
# What to say of a number that is none, or out of the range that the model has.
NUMBERS = {
    "port": "Enter a number from 1 to 65535.",
    "max_connections": "Enter a number from 1 to 100. With none nothing would be sent: to stop sending, pause it.",
    "messages_per_connection": "Enter a number from 1 to 100000.",
    "per_minute": "Enter a number from 0 (no limit) to 1000000.",
    "per_hour": "Enter a number from 0 (no limit) to 10000000.",
}
HELP = {
    "max_connections": "How many connections to the mail server may be open at the same time.",
    "messages_per_connection": "After so many messages the connection is closed and a new one opened.",
    "per_minute": "What is over it goes out later, with the time shown; it never fails for that. 0 is no limit.",
    "per_hour": "0 is no limit.",
    "sending_window": f"{windows.HELP} Outside it messages wait; urgent ones go out.",
    "time_zone": "Of the sending window, such as Europe/Berlin.",
}
PLAIN = [name for name in NAMES if name not in (*SECRETS, *OAUTH, "sign_in", "ca_bundle")]
CHANGED_MEANWHILE = "Somebody else changed these settings while you had them open. Load the page again to see them."


class EmailSetupForm(forms.ModelForm):
    """One layer of email settings. Writes that layer and nothing else; an empty field falls through (seed row S13)."""

    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    field_order = [*NAMES, *LIMITS]
    forget_password = forms.BooleanField(required=False, label="Forget the stored password")

    class Meta:
        model = EmailSettings
        fields = [*PLAIN, *LIMITS, "version"]
        help_texts = HELP
        widgets = {
            "version": forms.HiddenInput(),
            "host": forms.TextInput(attrs={"placeholder": "mail.example.com", "spellcheck": "false"}),
            **{name: forms.TextInput(attrs={"inputmode": "numeric"}) for name in NUMBERS},
            "username": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
            "from_address": forms.TextInput(attrs={"placeholder": "office@example.com", "spellcheck": "false"}),
            "ehlo_name": forms.TextInput(attrs={"spellcheck": "false"}),
            "sending_window": forms.TextInput(
                attrs={"placeholder": "Mon-Fri 07:00-19:00", "spellcheck": "false", "autocomplete": "off"}
            ),
            "time_zone": forms.TextInput(
                attrs={
                    "list": "time-zones",
                    "placeholder": "Europe/Berlin",
                    "spellcheck": "false",
                    "autocomplete": "off",
                }
            ),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["version"].required = False
        self.initial["version"] = self.instance.version if self.instance.pk else 0
        cast(forms.ChoiceField, self.fields["send_type"]).choices = [("", "Not set"), *SendType.choices]
        cast(forms.ChoiceField, self.fields["auth_type"]).choices = [("", "Not set"), *AuthType.choices]
        self.fields["port"].widget.attrs["placeholder"] = self._usual_port()
        for name, words in NUMBERS.items():
            self.fields[name].error_messages |= dict.fromkeys(("invalid", "min_value", "max_value"), words)
        stored = self._stored_password = bool(self.instance.password_encrypted)
        self.fields["password"].help_text = (
            "A password is stored. Leave empty to keep it." if stored else "No password is stored."
        )
        if not stored:
            del self.fields["forget_password"]
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True

    def _usual_port(self) -> str:
        if not self.instance.auth_type:
            return "25, 465 or 587"
        return str(DEFAULT_PORTS.get(AuthType(self.instance.auth_type), 25))

    def clean_auth_type(self) -> str:
        auth_type = str(self.cleaned_data["auth_type"])
        if auth_type == AuthType.SSL:
            raise ValidationError(
                "“ssl” means SSL 3.0, which this machine’s OpenSSL no longer has, and no modern server either. "
                "Choose tls-implicit instead."
            )
        return auth_type

    def clean_host(self) -> str:
        return _server_name(self.cleaned_data["host"])

    def clean_ehlo_name(self) -> str:
        name = self.cleaned_data["ehlo_name"]
        return _server_name(name) if name and not _is_literal(name) else name

    def clean_sending_window(self) -> str:
        window = _one_line(self.cleaned_data["sending_window"])
        try:
            windows.parse(window)
        except windows.BadWindow as bad:
            raise ValidationError(str(bad)) from bad
        return window

    def clean_time_zone(self) -> str:
        name = self.cleaned_data["time_zone"]
        try:
            return windows.zone_named(name).key if name else ""
        except windows.BadWindow as bad:
            raise ValidationError(str(bad)) from bad

    def clean_username(self) -> str:
        return _one_line(self.cleaned_data["username"])

    def clean_password(self) -> str:
        return _one_line(self.cleaned_data["password"])

    def clean_from_address(self) -> str:
        address = self.cleaned_data["from_address"]
        try:
            return reverse_path(address) if address else ""
        except BadAddress as error:
            raise ValidationError(str(error)) from error

    def clean(self) -> dict[str, Any]:
        """A stored password is for the server it was entered for: whoever names another one has to know it."""
        values = super().clean() or self.cleaned_data
        keeps_password = self._stored_password and not values.get("password") and not values.get("forget_password")
        if keeps_password and "host" in self.changed_data and not self.has_error("host"):
            self.add_error("password", "Enter the password again, because the server is another one now.")
        return values

    def save_as(self, by: User) -> None:
        """Save the layer as a new version.

        Raises:
            ValidationError: somebody else saved it since the form was shown, or no encryption key; nothing was written.
        """
        values = {name: self.cleaned_data[name] for name in (*PLAIN, *LIMITS)}
        if self.cleaned_data["password"] or self.cleaned_data.get("forget_password"):
            values["password"] = self.cleaned_data["password"]
        try:
            changes.save(None, values, by=by, seen=self.cleaned_data["version"] or 0)
        except changes.ChangedMeanwhile as error:
            raise ValidationError(CHANGED_MEANWHILE) from error
        except ImproperlyConfigured as error:
            raise ValidationError(f"The password cannot be stored safely on this server. {error}") from error


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
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True

    def clean_recipient(self) -> str:
        try:
            return envelope_address(self.cleaned_data["recipient"])
        except BadAddress as error:
            raise ValidationError(str(error)) from error


def _server_name(name: str) -> str:
    """Raises ValidationError."""
    try:
        return server_name(name)
    except BadServer as bad:
        raise ValidationError(str(bad)) from bad


def _is_literal(name: str) -> bool:
    """An address literal (RFC 5321 4.1.3), which EHLO allows in place of a name."""
    return name.startswith("[") and name.endswith("]") and is_address(name[1:-1].removeprefix("IPv6:"))


def _one_line(text: str) -> str:
    if CONTROL.search(text):
        raise ValidationError("Line breaks and control characters are not possible here.")
    return text
