"""The form of a message that is edited: what a person did not touch stays, also as others changed it meanwhile."""

from typing import Any

from django import forms
from django.http import QueryDict

from messaging.compose.editing import UNREAD
from messaging.compose.letters import as_typed, plain
from messaging.compose.versions import Current
from messaging.console.forms.compose import LetterForm

NAMES = ("to", "cc", "bcc", "subject", "text")
THEIRS = "theirs"


class _Untouched(forms.Field):
    """A field that shows what is there already, which needs no check and is not read again from what was shown."""

    def __init__(self, field: forms.Field, value: Any) -> None:
        super().__init__(required=False, label=field.label, widget=field.widget)
        self.value = value

    def clean(self, value: Any) -> Any:
        return self.value


class EditedForm(LetterForm):
    """`base` is the message as the form was shown with it, `now` as it is: the form is brought up to that.

    Fields that still say what they said are taken from `now`. `touched` are the others, `conflicts` those of them that
    another user changed as well, and differently; they keep what was typed unless `take-NAME` says "theirs".
    """

    def __init__(self, now: Current, base: Current | None = None, data: QueryDict | None = None) -> None:
        present = shown(now)
        self.touched: list[str] = []
        self.conflicts: list[str] = []
        if base is None or data is None:
            super().__init__(initial=present | {"no_subject": not now.subject})
            return
        before = shown(base)
        self.touched = [name for name in NAMES if _is_touched(name, data, before, present)]
        self.conflicts = [name for name in self.touched if not _same(name, before[name], present[name])]
        data = data.copy()
        untouched = [name for name in NAMES if name not in self.touched]
        for name in untouched:
            data[name] = present[name]
        if "subject" in untouched and not now.subject:
            data["no_subject"] = "on"
        super().__init__(data)
        for name in untouched:
            self.fields[name] = _Untouched(self.fields[name], getattr(now, name))

    def clean(self) -> dict[str, Any]:
        # No one being named is no fault of a person who did not touch the recipients.
        return super().clean() if self.touched else self.cleaned_data


def shown(current: Current) -> dict[str, str]:
    """What the form's fields say of a message."""
    recipients = {name: as_typed(getattr(current, name)) for name in ("to", "cc", "bcc")}
    return recipients | {"subject": current.subject, "text": current.text}


def _is_touched(name: str, data: QueryDict, before: dict[str, str], present: dict[str, str]) -> bool:
    if data.get(f"take-{name}") == THEIRS or (name == "text" and name not in data):  # a text that stays has no field
        return False
    typed = data.get(name, "")
    return not _same(name, typed, before[name]) and not _same(name, typed, present[name])


def _same(name: str, one: str, other: str) -> bool:
    return _comparable(name, one) == _comparable(name, other)


def _comparable(name: str, text: str) -> str:
    """Without what is lost between a page and its answer: kinds of line ends, blanks around a line (of any kind)."""
    text = plain(text.replace("\0", UNREAD))
    return text.rstrip("\n") if name == "text" else text.replace("\n", "").strip()
