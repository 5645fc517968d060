"""Users: who may sign in, and in which role."""

from typing import Any

from django import forms
from django.contrib.auth.forms import UsernameField
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict

from messaging import users
from messaging.access import roles
from messaging.audit import ChangedMeanwhile
from messaging.console.forms.helper import fields_alone
from messaging.queue.offboarding import Decision

from .generic import ModelForm
from .overtaken import OvertakenMixin, VersionField

WHAT_FOR = {
    roles.VIEWER: "looks at messages and batches, and changes nothing",
    roles.OPERATOR: "writes, corrects, holds, sends and cancels messages",
    roles.ADMIN: "also changes the setup pages, and pauses sending",
}
NO_ROLE = ("", "No role – may sign in, but sees nothing")


class UserForm(OvertakenMixin, ModelForm[User]):
    """Name, address, role, and whether the user may sign in; `seen` is the version that these are of."""

    WHAT = "this user"
    version = VersionField()
    role = forms.ChoiceField(
        choices=[*((role, f"{role} – {words}") for role, words in WHAT_FOR.items()), NO_ROLE], required=False
    )

    class Meta:
        model = User
        fields = list(users.FIELDS)
        field_classes = {"username": UsernameField}  # it reads names as the sign-in does
        labels = {"username": "User name", "email": "Email address", "is_active": "May sign in"}
        help_texts = {"username": "To sign in with. Letters, digits and @ . + - _ only.", "is_active": ""}

    def __init__(self, *args: Any, seen: int = 0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seen = seen
        self.initial["version"] = self.seen
        self.overtaken = []
        self.helper = fields_alone()
        for field in self.fields.values():
            if field.widget.attrs.get("autocomplete") != "new-password":
                field.widget.attrs["autocomplete"] = "off"

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if name != self.initial.get("username") and (why := users.why_not_called(name, self.instance)):
            raise ValidationError(why)
        return name

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if self.instance.pk and values["version"] != self.seen:
            self.add_error(None, self._overtaken(users.changes_since(self.instance, values["version"])))
        return values

    def _take_theirs(self, data: QueryDict) -> None:
        account = User.objects.get(pk=self.instance.pk)
        before = {change.field: change.before for change in reversed(self.overtaken)}
        for name in before.keys() & self.cleaned_data.keys():
            if self.cleaned_data[name] == before[name]:
                self._put(data, name, roles.given(account) if name == "role" else getattr(account, name))

    def save_as(self, by: User, decision: Decision | None = None) -> users.Change:
        """Save what differs; what that was. Raises ValidationError, with the field that is wrong; and leaving's."""
        values = {name: self.cleaned_data[name] for name in (*users.FIELDS, "role")}
        try:
            return users.change(self.instance, values, by=by, decision=decision, seen=self.cleaned_data["version"])
        except ChangedMeanwhile as error:
            raise self._overtaken(error.changes) from error
        except users.NotAllowed as error:
            raise ValidationError({error.field: str(error)}) from error


class NewUserForm(UserForm):
    """A user to be made, with a password: typed, or made up where it is left empty."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Empty: one is made, and shown once.",
    )

    class Meta(UserForm.Meta):
        fields = [name for name in users.FIELDS if name != "is_active"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        del self.fields["version"]
        self.fields["role"].initial = roles.OPERATOR

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            validate_password(password)
        return password

    def make(self, by: User) -> tuple[User, str]:
        """The user, and the password where one was made up. Raises ValidationError: the password is too weak."""
        typed, values = self.cleaned_data["password"], self.cleaned_data
        password = typed or users.readable_password()
        user = users.create(
            values["username"],
            password,
            role=values["role"],
            email=values["email"],
            first_name=values["first_name"],
            last_name=values["last_name"],
            by=by,
        )
        return user, "" if typed else password
