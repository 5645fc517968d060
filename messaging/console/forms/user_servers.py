"""What administrators decide about users' own email settings."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError

from messaging.audit import ChangedMeanwhile
from messaging.console.forms.helper import fields_alone
from messaging.models import CompanyOptions
from messaging.option_values import BadOption, user_servers
from messaging.setup import options


class UserServersForm(forms.ModelForm):
    """Whether users may edit their own settings, and which servers they may name."""

    class Meta:
        model = CompanyOptions
        fields = ["users_may_edit", "user_servers", "version"]
        labels = {
            "users_may_edit": "Users may change their own email settings",
            "user_servers": "Servers they may name, beside the company’s own",
        }
        help_texts = {
            "users_may_edit": "Under Preferences > Email. Administrators always may.",
            "user_servers": "One per line: smtp.example.com, *.example.com, or with a port of its own "
            "mail.example.com:2525. Without a port: 25, 465 and 587.",
        }
        widgets = {
            "version": forms.HiddenInput(),
            "user_servers": forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
        }

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, instance=options.options())
        self.fields["version"].required = False
        self.helper = fields_alone()

    def clean_user_servers(self) -> str:
        try:
            return user_servers(self.cleaned_data["user_servers"])
        except BadOption as bad:
            raise ValidationError(str(bad)) from bad

    def save_as(self, by: User) -> None:
        """Save as a new version.

        Raises:
            ValidationError: somebody else saved it since the form was shown; nothing was written.
        """
        try:
            options.save(
                {name: self.cleaned_data[name] for name in ("users_may_edit", "user_servers")},
                by=by,
                seen=self.cleaned_data["version"] or 0,
            )
        except ChangedMeanwhile as error:
            raise ValidationError(
                "Somebody else changed this while you had it open. Load the page again to see it."
            ) from error
