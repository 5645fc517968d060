"""What administrators decide about users' own email settings."""

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction

from messaging import users
from messaging.audit import ChangedMeanwhile
from messaging.company import options
from messaging.console.forms.generic import ModelForm
from messaging.console.forms.helper import fields_alone
from messaging.console.forms.overtaken import VersionField
from messaging.models import CompanyOptions
from messaging.option_values import READERS, BadOption

OF_USERS = ("users_may_edit", "user_servers", "users_any_sender", "user_senders")


class UserServersForm(ModelForm[CompanyOptions]):
    """Whether users may edit their own settings, and which servers they may name."""

    names = VersionField()  # who was called what when the form was shown: lines of senders name users

    class Meta:
        model = CompanyOptions
        fields = [*OF_USERS, "version"]
        labels = {
            "users_may_edit": "Users may change their own email settings",
            "user_servers": "Servers they may name, beside the company’s own",
            "users_any_sender": "Users may send from any address",
            "user_senders": "Addresses they may send from, beside their own",
        }
        help_texts = {
            "users_may_edit": "Under Preferences > Email. Administrators always may.",
            "user_servers": "One per line: smtp.example.com, *.example.com, or with a port of its own "
            "mail.example.com:2525. Without a port: 25, 465 and 587.",
            "users_any_sender": "Off: as From address users may choose their own email address and those below. "
            "An address that an administrator chose for a user stays.",
            "user_senders": "A user name and an address per line: anna accounts@example.com; * means all users.",
        }
        widgets = {
            "version": forms.HiddenInput(),
            **dict.fromkeys(
                ("user_servers", "user_senders"),
                forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "mono"}),
            ),
        }

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, instance=options.options())
        self.fields["version"].required = False
        self.initial["names"] = users.newest_entry()
        self.helper = fields_alone()

    def clean_user_servers(self) -> str:
        return self._judged("user_servers")

    def clean_user_senders(self) -> str:
        return self._judged("user_senders")

    def _judged(self, option: str) -> str:
        try:
            return READERS[option](self.cleaned_data[option])
        except BadOption as bad:
            raise ValidationError(str(bad)) from bad

    def save_as(self, by: User) -> None:
        """Save as a new version.

        Raises:
            ValidationError: another user saved it since the form was shown, or a name in it is another user’s by now;
                nothing was written.
        """
        values = {name: self.cleaned_data[name] for name in OF_USERS}
        try:
            with transaction.atomic():
                CompanyOptions.objects.select_for_update(of=("self",)).first()  # as long as that, no user is renamed
                self._check_names(values["user_senders"])
                options.save(values, by=by, seen=self.cleaned_data["version"] or 0)
        except ChangedMeanwhile as error:
            raise ValidationError(
                "Another user changed this while you had it open. Load the page again to see it."
            ) from error

    def _check_names(self, senders: str) -> None:
        renamed = users.renamed_since(self.cleaned_data["names"])
        for line in senders.splitlines():
            name = line.partition(" ")[0]
            if name in renamed:
                raise ValidationError(
                    f"“{name}” may not be the user you mean: a user was renamed after this page was loaded. "
                    "Load it again, and look at Users."
                )
