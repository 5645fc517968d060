"""Signing in, and one's own password."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages as notes
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve, reverse_lazy
from django.utils.decorators import method_decorator

from messaging import users
from messaging.access import sessions
from messaging.access.sign_in_throttling import counted, devices
from messaging.console import half_signed_in
from messaging.console.forms.helper import fields_alone

OF_THE_SIGN_IN = ("login", "login-code", "logout")


class SignIn(AuthenticationForm):
    """Django's form, drawn by crispy-forms."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.helper = fields_alone()
        for field in self.fields.values():
            field.required = True
        self.fields["username"].label = "User name"


@method_decorator(login_not_required, name="dispatch")
class Login(LoginView):
    template_name = "sign_in/sign_in.html"
    authentication_form = SignIn
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """The page of ours that the sign-in leads to; "" for none, and for those that lead back here."""
        page: str = super().get_redirect_url()
        try:
            name = resolve(urlsplit(page).path).url_name
        except (Resolver404, ValueError):
            return ""
        return "" if name in OF_THE_SIGN_IN else page

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        if half_signed_in.enter(self.request, user, None):
            return redirect(self.get_success_url())
        half_signed_in.begin(self.request, user, self.get_redirect_url())
        return redirect("login-code")


class NewPassword(PasswordChangeForm):
    """Django's form in plain words, drawn by crispy-forms."""

    def __init__(self, *args: Any, request: HttpRequest, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request = request
        self.helper = fields_alone()
        self.fields["old_password"].label = "Your password now"
        self.fields["new_password2"].label = "The new password once more"
        self.fields["new_password2"].help_text = ""

    def clean_old_password(self) -> str:
        """Raises sign_ins.TooSoon: guessing is no quicker here than at the sign-in."""
        typed: str = self.cleaned_data["old_password"]
        if not counted(self.request, self.user.get_username(), lambda: self.user.check_password(typed)):
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return typed

    def save(self, commit: bool = True) -> User:
        here = sessions.row_of(self.request)
        users.set_password(self.user, self.cleaned_data["new_password1"], by=self.user, here=here)
        return self.user


class OwnPassword(PasswordChangeView):
    """Everyone who may sign in changes their own password, whatever their role."""

    template_name = "sign_in/password.html"
    form_class = NewPassword
    success_url = reverse_lazy("preferences-password")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        """Raises sessions.SessionEnded."""
        response = super().form_valid(form)
        notes.success(self.request, "Your password was changed. You are signed out everywhere else.")
        devices.remember(self.request, form.user)
        return response

    def form_invalid(self, form: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)
