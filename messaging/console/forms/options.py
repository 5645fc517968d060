"""The form of the company options (S2, S3 and S15)."""

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.http import QueryDict

from messaging.access import roles
from messaging.audit import Area, ChangedMeanwhile
from messaging.company import options
from messaging.company.options import RULE_NAMES
from messaging.console.forms.helper import fields_alone
from messaging.console.presentation.options import CATEGORIES, LABELS
from messaging.delivery.outcomes import retry
from messaging.models import AuditEntry, CompanyOptions, NoticeKind, NoticeRule
from messaging.option_values import CATEGORY_LENGTH, MOST_CATEGORIES, NUMBERS, OFF, READERS, BadOption

from .generic import ModelForm
from .overtaken import OvertakenMixin, VersionField
from .zone import ZoneMixin

PLAIN = (
    "record_mail", "hold_mail", "urgent_claims", "max_tries", "retry_hours", "expire_days", "same_refusals",
    "company_name", "company_address", "console_url", "time_zone", "language", "operators_see_all", "idle_minutes",
    "session_hours",
)  # fmt: skip
MOST_MINUTES = 24 * 60
WINDOW = "Enter a number of minutes from 0 to 1440 (a day)."


class NumberOrOff(forms.IntegerField):
    """A number; "off" stands for 0."""

    def to_python(self, value: Any) -> int | None:
        is_off = isinstance(value, str) and value.strip().casefold() == OFF
        return 0 if is_off else super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        return OFF if value in (0, "0") else value


class CompanyOptionsForm(OvertakenMixin, ZoneMixin, ModelForm[CompanyOptions]):
    """All options but those about users' own settings, and a rule for each kind of notice.

    Args:
        here: the address at which the browser reached this console, as an example.
    """

    bypass = forms.MultipleChoiceField(
        choices=list(CATEGORIES.items()),
        required=False,
        label="Sent at once although email is held",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": "Choose from the list; others go into the field below."},
    )
    other_categories = forms.CharField(
        required=False,
        max_length=MOST_CATEGORIES * (CATEGORY_LENGTH + 2),
        label="Other categories that are not held",
        help_text="One per line, such as alarm. A program names the category of an email in the header field "
        "X-Outtray-Category.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
    )
    second_factor_roles = forms.MultipleChoiceField(
        choices=[(role, f"{role}s") for role in roles.ROLES],
        required=False,
        label=LABELS["second_factor_roles"],
        help_text="After their password these users enter a code from an authenticator app. A user who has not set "
        "it up does so right after signing in, before anything else.",
        widget=forms.CheckboxSelectMultiple,
    )
    version = VersionField()

    WHAT = "these options"

    class Meta:
        model = CompanyOptions
        fields = PLAIN
        field_classes = {"same_refusals": NumberOrOff}
        labels = {name: LABELS[name] for name in PLAIN}
        help_texts = {
            "record_mail": "Keeps every outbound email in the message list, with date and time sent or the reason for "
            "failure.",
            "hold_mail": "Needs “Record outbound email”: what is not recorded cannot wait.",
            "urgent_claims": "A way in and a category per line, such as sendmail password-reset; * means all of them. "
            "The ways in are backend (Django code) and sendmail. Email that names such a category without being listed "
            "here is accepted and treated like any other.",
            "expire_days": "Email that waits longer than that for a batch fails, and says why; it is not lost, and "
            "can be sent again. Held email keeps waiting. Empty: no limit.",
            "same_refusals": "If a mail server refuses this many messages in a row, each to a different domain and all "
            "in the same unfamiliar words, the account pauses, and an administrator is asked whether our setup is at "
            "fault. Enter 0 or off to switch this off.",
            "company_name": "Shown beside the menu and in the title of each page.",
            "company_address": "Where notices to the company go, such as office@example.com.",
            "console_url": "Used for links in notices, such as https://outtray.example.com.",
            "language": "How dates and times are written. The words of the console are British English.",
            "idle_minutes": "A user who does nothing for this long is signed out, after a warning. Pages that refresh "
            "automatically do not count. Forms sent afterwards are kept for a day, until they sign in again.",
            "session_hours": "After this many hours every user has to sign in again, however active.",
            "operators_see_all": "Off: they see only their own messages. Administrators see everything.",
        }
        widgets = {
            **{name: forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}) for name in NUMBERS},
            "urgent_claims": forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "class": "mono"}),
            "company_address": forms.TextInput(attrs={"inputmode": "email", "spellcheck": "false"}),
            "console_url": forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
            "time_zone": forms.TextInput(attrs={"list": "time-zones", "spellcheck": "false", "autocomplete": "off"}),
        }

    def __init__(self, data: QueryDict | None = None, *, here: str = "") -> None:
        row = options.options()
        super().__init__(data, instance=row)
        self.rules = options.notice_rules()
        self.seen = row.version
        self.overtaken = []
        ticked, others = _categories(row.urgent_categories)
        self.initial.update(version=row.version, bypass=ticked, other_categories="\n".join(others))
        self.initial["second_factor_roles"] = row.second_factor_roles.splitlines()
        self._offer_rules()
        self._say_what_empty_means(here)
        self.helper = fields_alone()

    def _offer_rules(self) -> None:
        for kind in NoticeKind.values:
            for name in RULE_NAMES:
                column = cast(Any, NoticeRule._meta.get_field(name))
                field = column.formfield()
                field.label = f"{NoticeKind(kind).label}: {column.verbose_name}"
                field.widget.attrs["class"] = "form-check-input"
                if name == "window_minutes":
                    attrs = {"inputmode": "numeric", "autocomplete": "off", "class": "form-control"}
                    field.widget = forms.TextInput(attrs=attrs)
                    field.validators.append(MaxValueValidator(MOST_MINUTES, WINDOW))
                    field.error_messages |= dict.fromkeys(("required", "invalid", "min_value", "max_value"), WINDOW)
                self.fields[rule_field(kind, name)] = field
                self.initial[rule_field(kind, name)] = getattr(self.rules[kind], name)

    def _say_what_empty_means(self, here: str) -> None:
        for name, words in NUMBERS.items():
            self.fields[name].error_messages |= dict.fromkeys(("required", "invalid", "min_value", "max_value"), words)
        tries, hours = retry.max_tries(), settings.RETRY_MAX_AGE / 3600
        self.fields["max_tries"].help_text = f"Empty: {tries}, as set on this server."
        self.fields["max_tries"].widget.attrs["placeholder"] = str(tries)
        self.fields[
            "retry_hours"
        ].help_text = f"How long a message is tried again after its first try. Empty: {hours:g}, as set on this server."
        self.fields["retry_hours"].widget.attrs["placeholder"] = f"{hours:g}"
        self.fields["expire_days"].widget.attrs["placeholder"] = "no limit"
        self.fields["console_url"].widget.attrs["placeholder"] = here
        self.fields["time_zone"].widget.attrs["placeholder"] = settings.TIME_ZONE
        self.fields[
            "time_zone"
        ].help_text = f"For all times shown here and in notices. Empty: {settings.TIME_ZONE}, as set on this server."

    # --- What may be entered ---------------------------------------------------------------------

    def clean_urgent_claims(self) -> str:
        return self._judged("urgent_claims")

    def clean_company_name(self) -> str:
        return self._judged("company_name")

    def clean_company_address(self) -> str:
        return self._judged("company_address")

    def clean_console_url(self) -> str:
        return self._judged("console_url")

    def clean_other_categories(self) -> str:
        return self._judged("urgent_categories", "other_categories")

    def _judged(self, option: str, field: str = "") -> str:
        try:
            return READERS[option](self.cleaned_data[field or option])
        except BadOption as bad:
            raise ValidationError(str(bad)) from bad

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("hold_mail") and not values.get("record_mail"):
            self.add_error(
                "hold_mail",
                "What is not recorded cannot be held. Tick “Record outbound email” as well, or untick this.",
            )
        if values["version"] != self.seen:
            self.add_error(None, self._overtaken(options.since(values["version"])))
        return values

    # --- Saving ----------------------------------------------------------------------------------

    def save_as(self, by: User) -> list[AuditEntry]:
        """Save as a new version; what changed.

        Raises:
            ValidationError: someone else saved the options since the form was shown; `overtaken` is what they changed,
                and the form can be saved over it. Nothing was written.
        """
        rules = {kind: {name: self.cleaned_data[rule_field(kind, name)] for name in RULE_NAMES} for kind in self.rules}
        try:
            return options.save(self._values(), by=by, seen=self.cleaned_data["version"], rules=rules)
        except ChangedMeanwhile as error:
            raise self._overtaken(error.changes) from error

    def _values(self) -> dict[str, Any]:
        """What is entered, by the names of options."""
        values = {name: self.cleaned_data[name] for name in PLAIN if name in self.cleaned_data}
        if {"bypass", "other_categories"} <= self.cleaned_data.keys():
            ticked = [name for name in CATEGORIES if name in self.cleaned_data["bypass"]]
            lines = [*ticked, *self.cleaned_data["other_categories"].splitlines()]
            values["urgent_categories"] = "\n".join(dict.fromkeys(lines))
        if "second_factor_roles" in self.cleaned_data:
            values["second_factor_roles"] = "\n".join(self.cleaned_data["second_factor_roles"])
        return values

    def _take_theirs(self, data: QueryDict) -> None:
        row, rules = options.options(), options.notice_rules()
        mine = {name: (value, getattr(row, name)) for name, value in self._values().items()}
        for kind, rule in rules.items():
            for name in RULE_NAMES:
                field = rule_field(kind, name)
                if field in self.cleaned_data:
                    mine[field] = (self.cleaned_data[field], getattr(rule, name))
        before = {_field_of(change): change.before for change in reversed(self.overtaken)}
        for field in before.keys() & mine.keys():
            value, now = mine[field]
            if options.as_kept(field, value) == before[field]:
                self._show(data, field, now)

    def _show(self, data: QueryDict, field: str, value: Any) -> None:
        """Let the form show `value`; categories are two fields."""
        if field == "urgent_categories":
            ticked, others = _categories(value)
            data.setlist("bypass", ticked)
            data["other_categories"] = "\n".join(others)
        elif field == "second_factor_roles":
            data.setlist(field, value.splitlines())
        else:
            self._put(data, field, value)


def rule_field(kind: str, name: str) -> str:
    """The form field of one part of a notice rule."""
    return f"{kind}_{name}"


def _field_of(change: AuditEntry) -> str:
    """The form field of what was changed; that of categories are two, see `_show`."""
    return rule_field(change.object_key, change.field) if change.area == Area.NOTICES else change.field


def _categories(text: str) -> tuple[list[str], list[str]]:
    """The built-in ones, and the others."""
    lines = [line.strip().lower() for line in text.splitlines() if line.strip()]
    return [line for line in lines if line in CATEGORIES], [line for line in lines if line not in CATEGORIES]
