"""Signing in."""

from typing import Any

from crispy_forms.helper import FormHelper
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import method_decorator
from django_htmx.http import HttpResponseClientRefresh


class SignIn(AuthenticationForm):
    """Django's form, drawn by crispy-forms."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.helper = FormHelper()
        self.helper.form_tag = False
        self.helper.disable_csrf = True
        for field in self.fields.values():
            field.required = True
        self.fields["username"].label = "User name"


@method_decorator(login_not_required, name="dispatch")
class Login(LoginView):
    template_name = "messaging/login.html"
    authentication_form = SignIn
    redirect_authenticated_user = True

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponseBase:
        # A part of a page asked for after the session ended: load the page, so that it asks to sign in.
        if getattr(request, "htmx", False):
            response: HttpResponse = HttpResponseClientRefresh()
            return response
        return super().dispatch(request, *args, **options)
