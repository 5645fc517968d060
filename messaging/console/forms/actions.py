"""What a person must say when holding or cancelling a message."""

from datetime import datetime, timedelta

from django import forms
from django.utils import timezone


class _InWords(forms.Form):
    def in_words(self) -> str:
        """All errors as sentences."""
        return " ".join(str(error) for errors in self.errors.values() for error in errors)


class HoldForm(_InWords):
    """Why, and optionally until when."""

    why = forms.CharField(
        max_length=400,
        label="Why",
        error_messages={"required": "It was not held: say why, so that others know."},
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "id": "hold-why"}),
    )
    until = forms.DateTimeField(
        required=False,
        label="Until (empty: until somebody releases it)",
        error_messages={"invalid": "It was not held: the time could not be read."},
        widget=forms.DateTimeInput(attrs={"type": "datetime-local", "class": "form-control", "id": "hold-until"}),
    )

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        if until is not None and not timezone.now() < until < timezone.now() + timedelta(days=3660):
            raise forms.ValidationError("It was not held: the time must be in the future, at most ten years from now.")
        return until


class CancelForm(_InWords):
    """Why, if somebody wants to say."""

    why = forms.CharField(
        max_length=400,
        required=False,
        label="Why (optional)",
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off", "id": "cancel-why"}),
    )
