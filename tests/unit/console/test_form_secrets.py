"""What a form that is kept after its session had ended leaves out: every password and code of the console."""

import pytest
from django import forms

from messaging.access.kept_forms import SECRET
from messaging.setup.fields import SECRETS
from tests.unit.console.test_form_lengths import all_forms

NAMES = {
    name
    for _, form in all_forms()
    for name, field in form.base_fields.items()
    if isinstance(field.widget, forms.PasswordInput) or field.widget.attrs.get("autocomplete") == "one-time-code"
}


def test_there_are_some():
    assert {"password", "old_password", "code"} <= NAMES


@pytest.mark.parametrize("name", sorted({*NAMES, *SECRETS, "codes-password", "off-code"}))
def test_every_secret_is_left_out(name):
    assert SECRET.search(name)


@pytest.mark.parametrize("name", ["to", "cc", "subject", "text", "key", "kept", "version", "host", "crontab", "name"])
def test_what_is_no_secret_is_kept(name):
    assert not SECRET.search(name)
