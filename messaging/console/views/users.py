"""Administration > Defaults > Users: who may sign in, in which role."""

from dataclasses import dataclass

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from messaging import roles, users
from messaging.console import audit_words
from messaging.console.forms.users import NewUserForm, UserForm
from messaging.wording import person

from .guard import admins_only, post_only, who

CHANGES_SHOWN = 25


@dataclass(frozen=True)
class Row:
    """One user of the list."""

    user: User
    role: str


@admins_only
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def all_users(request: HttpRequest) -> HttpResponse:
    """Everybody who may sign in; POST makes another one, and shows a password that was made up this one time."""
    if request.method != "POST":
        return _list(request, NewUserForm())
    form = NewUserForm(request.POST)
    if form.is_valid():
        try:
            user, password = form.make(who(request))
        except ValidationError as error:
            form.add_error("password", error)
        else:
            notes.success(request, f"{person(user)} was added.")
            return _shown_once(request, user, password) if password else redirect("setup-users")
    return _list(request, form, status=422)


def _list(request: HttpRequest, form: NewUserForm, status: int = 200) -> HttpResponse:
    found = User.objects.prefetch_related("groups")
    rows = [Row(user, roles.given(user)) for user in sorted(found, key=lambda user: person(user).casefold())]
    context = {"rows": rows, "form": form, "changes": audit_words.tell(users.log()[:CHANGES_SHOWN])}
    return render(request, "messaging/setup_users.html", context, status=status)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """One user; POST changes name, address, role and whether they may sign in."""
    user = get_object_or_404(User, pk=pk)
    form = UserForm(
        request.POST if request.method == "POST" else None, instance=user, initial={"role": roles.given(user)}
    )
    if request.method == "POST" and form.is_valid():
        try:
            number = form.save_as(who(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            notes.success(request, "Saved.") if number else notes.info(request, "Nothing was changed.")
            return redirect("setup-users")
    # As it is stored: a form that is refused has written into its user.
    context = {
        "account": User.objects.get(pk=pk),
        "form": form,
        "changes": audit_words.tell(users.log(user)[:CHANGES_SHOWN]),
    }
    return render(request, "messaging/setup_user.html", context, status=422 if form.errors else 200)


@admins_only
@never_cache
@post_only
def new_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Make up a new password, and show it this one time."""
    user = get_object_or_404(User, pk=pk)
    password = users.readable_password()
    users.set_password(user, password, by=who(request))
    return _shown_once(request, user, password)


def _shown_once(request: HttpRequest, user: User, password: str) -> HttpResponse:
    """Not kept anywhere: loading the page again shows it no more."""
    return render(request, "messaging/setup_user_password.html", {"account": user, "password": password})
