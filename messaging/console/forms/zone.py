"""The time zone that a form asks for."""

from typing import Any

from django.core.exceptions import ValidationError

from messaging.option_values import BadOption, time_zone


class ZoneMixin:
    """For a form with a field `time_zone`, which may stay empty."""

    cleaned_data: dict[str, Any]

    def clean_time_zone(self) -> str:
        try:
            return time_zone(self.cleaned_data["time_zone"])
        except BadOption as bad:
            raise ValidationError(str(bad)) from bad
