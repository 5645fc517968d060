"""A form that someone else saved while a person had it open."""

from collections.abc import Iterable
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict

from messaging.console.filters import ids_in
from messaging.models import AuditEntry


class VersionField(forms.Field):
    """The version that a form was shown with; 0, which is before every other, where its page named none."""

    def __init__(self) -> None:
        super().__init__(required=False, widget=forms.HiddenInput())

    def clean(self, value: Any) -> Any:
        return next(iter(ids_in([str(value or "")])), 0)


class OvertakenMixin:
    """For a form over something with versions: the second person sees what the first changed, loses nothing typed, and
    may save again. `seen` is the version it stands on, `overtaken` what others changed since it was shown.
    """

    WHAT = "these settings"
    data: Any
    seen: int
    overtaken: list[AuditEntry]

    def _overtaken(self, theirs: Iterable[AuditEntry]) -> ValidationError:
        """The error to raise; from then on the form stands on what the others saved."""
        self.overtaken = list(theirs)
        data = cast(QueryDict, self.data).copy()
        data["version"] = str(max([self.seen, *(change.version for change in self.overtaken)]))
        self._take_theirs(data)
        self.data = data
        return ValidationError(
            f"Another user changed {self.WHAT} while you had them open, and your changes are not saved yet. Look at "
            "what they changed. Where you both changed the same thing, Save again keeps yours."
        )

    @staticmethod
    def _put(data: QueryDict, field: str, value: Any) -> None:
        """Let the form show `value` in a field."""
        if value is False:
            data.pop(field, None)
        else:
            data[field] = "on" if value is True else "" if value is None else str(value)

    def _take_theirs(self, data: QueryDict) -> None:
        """Fields that still say what they said before the others changed them were not touched here."""
        raise NotImplementedError
