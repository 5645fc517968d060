"""The time zone that a form asks for."""

from typing import Any

from django.core.exceptions import ValidationError

from messaging.setup import windows


class ZoneMixin:
    """For a form with a field `time_zone`, which may stay empty."""

    cleaned_data: dict[str, Any]

    def clean_time_zone(self) -> str:
        name = self.cleaned_data["time_zone"]
        try:
            return windows.zone_named(name).key if name else ""
        except windows.BadWindow as bad:
            raise ValidationError(str(bad)) from bad
