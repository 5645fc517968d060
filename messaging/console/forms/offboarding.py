"""What becomes of what is under way in a user's name, when they may not send any more."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import User

from messaging.console.filters import ids_in
from messaging.queue.offboarding import Choice, Decision, Lines
from messaging.wording import person

COMPANY = "company"
CHOICES = {
    Choice.HOLD: "Hold it – a person releases or cancels it later",
    Choice.PASS_ON: "Pass it on – it goes out with another account",
    Choice.CANCEL: "Cancel it – none of it goes out any more",
    Choice.LET_GO: "Let it go – it goes out in this user’s name as planned",
}
MORE = "Nothing was saved yet: more is under way than you were shown. Look at it and choose again."
UNASKED = "Nothing was saved yet. Choose what should happen to it."


class LeavingForm(forms.Form):
    """One of Choice; with pass-on, to which account. Without any choice there is no decision.

    `asked` is what was shown as under way, as offboarding.Lines; where the form does not say, nothing.
    """

    asked = forms.CharField(required=False, widget=forms.HiddenInput)
    choice = forms.ChoiceField(
        label="What should happen to it?",
        choices=list(CHOICES.items()),
        widget=forms.RadioSelect,
        required=False,
        error_messages={"invalid_choice": UNASKED},
    )
    successor = forms.ChoiceField(
        label="The account it is passed on to", required=False, widget=forms.Select(attrs={"class": "form-select"})
    )

    def __init__(self, data: Mapping[str, Any] | None, successors: Sequence[User | None], **options: Any) -> None:
        super().__init__(data, prefix="leaving", **options)
        self.successors = {str(each.pk) if each else COMPANY: each for each in successors}
        choice, successor = self.fields["choice"], self.fields["successor"]
        assert isinstance(choice, forms.ChoiceField)
        assert isinstance(successor, forms.ChoiceField)
        successor.choices = [("", "Choose an account"), *((key, _named(each)) for key, each in self.successors.items())]
        successor.error_messages["invalid_choice"] = "This account cannot send in their place. Choose another one."
        if not self.successors:
            choice.choices = [each for each in CHOICES.items() if each[0] != Choice.PASS_ON]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("choice") == Choice.PASS_ON and not cleaned.get("successor") and "successor" not in self.errors:
            self.add_error("successor", "Choose the account that it is passed on to.")
        return cleaned

    @property
    def decision(self) -> Decision | None:
        """Of a valid form; None where nothing was chosen."""
        choice = self.cleaned_data["choice"]
        if not choice:
            return None
        to = self.successors[self.cleaned_data["successor"]] if choice == Choice.PASS_ON else None
        shown = ids_in(self.cleaned_data["asked"].split("-"))
        return Decision(Choice(choice), to, Lines(*shown) if len(shown) == 2 else Lines())


def _named(account: User | None) -> str:
    return person(account) if account is not None else "The company"
