"""Email Setup (seed row S8), the company's layer, and its test message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages as notes
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from messaging import probe
from messaging.console.forms.email_setup import EmailSetupForm, TestMessageForm
from messaging.console.words import setting_value
from messaging.intake.errors import Refused
from messaging.models import EmailSettings
from messaging.setup import windows
from messaging.setup.fields import LIMITS, NAMES
from messaging.setup.layers import EmailSetup, resolve

from .guard import admins_only, post_only, who


@dataclass(frozen=True)
class Row:
    """A field, and beside it the value in effect and where it comes from."""

    field: BoundField
    value: str
    source: str


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def email_setup(request: HttpRequest) -> HttpResponse:
    """The company's settings as one form; POST saves them."""
    stored = EmailSettings.objects.filter(account=None).first() or EmailSettings()
    if request.method != "POST":
        return _page(request, EmailSetupForm(instance=stored))
    form = EmailSetupForm(request.POST, instance=stored)
    if form.is_valid():
        try:
            form.save_as(who(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            notes.success(request, "Saved. The next connection to the mail server uses these settings.")
            return redirect("setup-email")
    return _page(request, form, status=422)


@admins_only
@post_only
def send_test(request: HttpRequest) -> HttpResponse:
    """Send the test message with the saved settings, and show what was said."""
    form = TestMessageForm(request.POST)
    result = None
    if form.is_valid():
        try:
            result = probe.send_test_message(None, form.cleaned_data["recipient"], who(request))
        except Refused as error:
            form.add_error(None, str(error))
    stored = EmailSettings.objects.filter(account=None).first() or EmailSettings()
    status = 200 if result else 422
    return _page(request, EmailSetupForm(instance=stored), status=status, test_form=form, result=result)


def _page(request: HttpRequest, form: EmailSetupForm, status: int = 200, **more: Any) -> HttpResponse:
    setup = resolve(None)
    context = {
        "form": form,
        "rows": _rows(form, setup, NAMES),
        "limits": _rows(form, setup, LIMITS),
        "time_zones": windows.zone_names(),
        "setup": setup,
        "problems": setup.problems(),
        "warnings": setup.warnings(),
        "stored": EmailSettings.objects.filter(account=None).select_related("updated_by").first(),
        "test_form": TestMessageForm(initial={"recipient": who(request).email}),
    } | more
    return render(request, "messaging/setup_email.html", context, status=status)


def _rows(form: EmailSetupForm, setup: EmailSetup, names: Sequence[str]) -> list[Row]:
    values = {name: setup.values[name] for name in names if name in form.fields}
    return [Row(form[name], setting_value(name, value.value), value.source) for name, value in values.items()]
