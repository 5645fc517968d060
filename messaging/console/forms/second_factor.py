"""Codes of the second factor."""

from typing import Any

from django import forms
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from messaging.access import roles, second_factor
from messaging.access.sign_in_throttling import Door, counted
from messaging.setup.secrets import LostKey

from .helper import fields_alone

LONGEST_CODE = 40  # however many blanks and dashes are typed
LOST = (
    "This server can no longer read your second factor. Ask an administrator to reset it; the sole "
    "administrator does it with manage.py createoperator."
)
WRONG = "This code is wrong or has already been used. Enter the one that the app shows now, or an unused recovery code."


def code_field(label: str, help_text: str = "") -> forms.CharField:
    """Six digits of an app, or eight of a recovery code."""
    attrs = {"autocomplete": "one-time-code", "inputmode": "numeric", "spellcheck": "false"}
    return forms.CharField(
        label=label, max_length=LONGEST_CODE, help_text=help_text, widget=forms.TextInput(attrs=attrs)
    )


class CodeForm(forms.Form):
    """The second step of a sign-in."""

    code = code_field("Code", "Six digits from your authenticator app, or one of your recovery codes.")

    def __init__(self, *args: Any, user: User, request: HttpRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user, self.request = user, request
        self.is_wrong = False
        self.helper = fields_alone()
        self.fields["code"].widget.attrs["autofocus"] = True

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        self._check(code)
        return code

    def _check(self, code: str) -> None:
        """Raises sign_ins.TooSoon as well."""
        name = self.user.get_username()
        try:
            is_right = counted(self.request, name, lambda: second_factor.check(self.user, code), door=Door.CODE)
        except LostKey as error:
            raise ValidationError(LOST) from error
        self.is_wrong = not is_right
        if self.is_wrong:
            raise ValidationError(WRONG)


class ProofForm(CodeForm):
    """Password and code, before the second factor is changed. The code is looked at once the password is right."""

    code = code_field("Code", "From your authenticator app, or one of your recovery codes.")
    password = forms.CharField(
        label="Your password",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order: tuple[str, ...] = ("password", "code")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.fields["code"].widget.attrs["autofocus"]

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        found = authenticate(self.request, username=self.user.get_username(), password=password)
        if found is None or found.pk != self.user.pk:
            raise ValidationError("This is not your password.")
        self.user.password = found.password  # what was compared, for sessions.confirm
        return password

    def clean_code(self) -> str:
        code: str = self.cleaned_data["code"]
        if "password" in self.cleaned_data:
            self._check(code)
        return code


class SetUpForm(ProofForm):
    """The first code of an app. Who has another app already enters a code of that one as well, as `code`."""

    first = code_field("Code that the app shows now", "Six digits. They change every half minute.")
    field_order = ("first", "password", "code")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["code"].label = "Code from the app you have used so far, or a recovery code"
        self.fields["code"].help_text = ""
        if not roles.has_second_factor(self.user):
            del self.fields["code"]
