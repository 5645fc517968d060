"""What a person must say when holding or cancelling a message, or pausing sending."""

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from messaging.console import promise_field
from messaging.queue.pausing import LONGEST_REASON

CLOCKS_CHANGE = (
    "The clocks change then, so that time comes twice or not at all. Choose a time an hour earlier or later."
)


class LocalTimeField(forms.DateTimeField):
    """A time of the clock on the wall, in the company's time zone."""

    def to_python(self, value: Any) -> datetime | None:
        """Raises ValidationError, in plain words also where the clocks change."""
        try:
            found: datetime | None = super().to_python(value)
        except forms.ValidationError as error:
            if error.code == "ambiguous_timezone":
                raise forms.ValidationError(CLOCKS_CHANGE) from error
            raise
        return found


class _InWords(forms.Form):
    def in_words(self) -> str:
        """All errors as sentences."""
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class _UntilForm(_InWords):
    """A time `until`, in the zone that the page of the form names."""

    ANOTHER_ZONE = "The time zone is now {}. Look at the time again."

    @property
    def zone(self) -> str:
        return timezone.get_current_timezone_name()

    @property
    def promised(self) -> str:
        return promise_field.zone("until")

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and self.promised not in promise_field.of(self.data):
            raise forms.ValidationError(self.ANOTHER_ZONE.format(self.zone))
        return until


class HoldForm(_UntilForm):
    """Why, and optionally until when."""

    ANOTHER_ZONE = "It was not held: the time zone is now {}. Look at the time again."

    why = forms.CharField(
        max_length=400,
        label="Why",
        error_messages={"required": "It was not held: say why, so that others know."},
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "id": "hold-why"}),
    )
    until = LocalTimeField(
        required=False,
        label="Until (empty: until it is released)",
        error_messages={"invalid": "It was not held: the time could not be read."},
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "form-control", "id": "hold-until"}),
    )

    def clean_until(self) -> datetime | None:
        until = super().clean_until()
        if until is not None and not timezone.now() < until < timezone.now() + timedelta(days=3660):
            raise forms.ValidationError("It was not held: the time must be in the future, at most ten years from now.")
        return until


class CancelForm(_InWords):
    """Why, if someone wants to say."""

    why = forms.CharField(
        max_length=400,
        required=False,
        label="Why (optional)",
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "id": "cancel-why"}),
    )


class PauseForm(_UntilForm):
    """Why sending is paused, and optionally until when; messaging.queue.pausing says what a pause must be."""

    why = forms.CharField(
        required=False,
        label="Why",
        widget=forms.TextInput(
            attrs={"class": "form-control", "autocomplete": "off", "required": True, "maxlength": LONGEST_REASON}
        ),
    )
    until = LocalTimeField(
        required=False,
        label="Until",
        help_text="Empty: until it is resumed.",
        error_messages={"invalid": "This time could not be read. Choose a date and a time, or leave it empty."},
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local", "class": "form-control"}),
    )
