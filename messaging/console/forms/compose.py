"""The form of a message that a person writes, and of one that is edited before it is sent."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from messaging.access import policy
from messaging.compose.letters import as_typed, read_mailboxes
from messaging.console.forms.actions import LocalTimeField
from messaging.intake.addresses import Mailbox
from messaging.intake.errors import BadAddress
from messaging.models import CompanyOptions
from messaging.setup.layers import EmailSetup
from messaging.wording import person

LONGEST_SUBJECT = 998
LONGEST_MAILBOX = 300  # characters of a name, an address and a comma; times the number of recipients
LONGEST_DELAY = timedelta(days=3660)


class _Mailboxes(forms.CharField):
    """Mailboxes parted by commas, as a list; with completion where there is JavaScript."""

    def __init__(self, label: str) -> None:
        field = forms.TextInput(
            attrs={"class": "form-control", "autocomplete": "off", "spellcheck": "false", "data-complete": ""}
        )
        super().__init__(required=False, label=label, widget=field, strip=True)

    def clean(self, value: Any) -> Any:
        text = str(super().clean(value) or "")
        longest = LONGEST_MAILBOX * settings.MAX_RECIPIENTS
        if len(text) > longest:
            raise forms.ValidationError(
                f"{self.label} has {len(text):,} characters, and at most {longest:,} are allowed. Send it in several "
                "messages."
            )
        try:
            found = read_mailboxes(text)
        except BadAddress as error:
            raise forms.ValidationError(str(error)) from error
        if len(found) > settings.MAX_RECIPIENTS:
            raise forms.ValidationError(
                f"These are {len(found)} recipients, and at most {settings.MAX_RECIPIENTS} are allowed. "
                "Send it in several messages."
            )
        return found


class _Subject(forms.CharField):
    """One line."""

    def clean(self, value: Any) -> str:
        subject: str = super().clean(value)
        if any(ord(character) < 32 or ord(character) == 127 for character in subject):
            raise forms.ValidationError("The subject has a line break or another control character. Remove it.")
        if len(subject) > LONGEST_SUBJECT:
            raise forms.ValidationError(
                f"The subject has {len(subject):,} characters, and at most {LONGEST_SUBJECT} are allowed. Shorten it; "
                "the rest can go into the text."
            )
        return subject


class LetterForm(forms.Form):
    """Recipients, subject and text."""

    to = _Mailboxes("To")
    cc = _Mailboxes("Cc")
    bcc = _Mailboxes("Bcc")
    subject = _Subject(
        required=False, label="Subject", widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"})
    )
    no_subject = forms.BooleanField(
        required=False,
        label="Yes, without a subject",
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    text = forms.CharField(
        required=False,
        strip=False,
        label="Text",
        widget=forms.Textarea(attrs={"class": "form-control", "rows": 11, "dir": "auto"}),
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if any(name in self.errors for name in ("to", "cc", "bcc", "subject")):
            return given
        number = sum(len(given[name]) for name in ("to", "cc", "bcc"))
        if not number:
            self.add_error("to", "No recipients. Enter an email address.")
        elif number > settings.MAX_RECIPIENTS:
            self.add_error(
                "to",
                f"To, Cc and Bcc together are {number} recipients, and at most {settings.MAX_RECIPIENTS} are allowed. "
                "Send it in several messages.",
            )
        elif not given["subject"] and not given["no_subject"]:
            self.add_error("no_subject", "It has no subject. Send it without one?")
        return given

    @property
    def asks_for_subject(self) -> bool:
        """Whether the question is to be shown: it was asked, or answered already."""
        return "no_subject" in self.errors or bool(self["no_subject"].value())


class NewMessageForm(LetterForm):
    """With the sender, and the time to send it at."""

    sender = forms.ChoiceField(label="From", widget=forms.Select(attrs={"class": "form-select"}))
    at = LocalTimeField(
        required=False,
        label="Date and time",
        error_messages={"invalid": "This time could not be read. Choose a date and a time."},
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local", "class": "form-control"}),
    )
    field_order = ["sender"]

    def __init__(self, senders: list[Mailbox], *args: Any, wants_time: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.senders = {as_typed([mailbox]): mailbox for mailbox in senders}
        self.wants_time = wants_time
        self.fields["sender"].choices = [(text, text) for text in self.senders]  # type: ignore[attr-defined]
        self.fields["sender"].error_messages["invalid_choice"] = "You may not send from this address. Choose another."

    def clean_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["at"]
        if not self.wants_time:
            return None
        if at is None:
            raise forms.ValidationError("Enter the date and time to send it.")
        if not timezone.now() < at < timezone.now() + LONGEST_DELAY:
            raise forms.ValidationError("The time must be in the future, at most ten years from now.")
        return at


def senders_of(user: User, setup: EmailSetup, company: CompanyOptions) -> list[Mailbox]:
    """What a person may send from: the address of Email Setup, as the company or in person, and the own one."""
    name = person(user)
    found = []
    if address := policy.sender_in_effect(user, setup).value:
        found += [Mailbox(who, address) for who in (company.company_name, name) if who]
    if user.email:
        found.append(Mailbox(name, user.email))
    return list(dict.fromkeys(found))
