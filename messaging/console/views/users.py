"""Administration > Defaults > Users: who may sign in, in which role."""

from dataclasses import dataclass

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from messaging import users
from messaging.access import roles, second_factor
from messaging.access.sign_in_throttling import delays
from messaging.console.forms.offboarding import MORE, UNASKED, LeavingForm
from messaging.console.forms.users import NewUserForm, UserForm
from messaging.console.paging import page_of_list
from messaging.console.presentation.audit import change_lines, changes_so_far
from messaging.queue import offboarding
from messaging.wording import person

from .guard import admins_only, post_only, who
from .sessions import page_of_sessions

USERS_PER_PAGE = 100
LONGEST_ADDRESS = 64


@dataclass(frozen=True)
class UserRow:
    """One user of the list."""

    user: User
    role: str
    has_second_factor: bool


@admins_only
@never_cache
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def all_users(request: HttpRequest) -> HttpResponse:
    """Everyone who may sign in; POST makes another one, and shows a password that was made up this one time."""
    if request.method != "POST":
        return _list(request, NewUserForm())
    form = NewUserForm(request.POST)
    if form.is_valid():
        try:
            user, password = form.make(who(request))
        except ValidationError as error:
            form.add_error(None if hasattr(error, "error_dict") else "password", error)
        else:
            notes.success(request, f"{person(user)} was added.")
            return _shown_once(request, user, password) if password else redirect("setup-users")
    return _list(request, form, status=422)


def _list(request: HttpRequest, form: NewUserForm, status: int = 200) -> HttpResponse:
    found = User.objects.select_related("signed_in").prefetch_related("groups")
    holders = set(roles.with_second_factor().values_list("user_id", flat=True))
    by_name = sorted(found, key=lambda user: person(user).casefold())
    page = page_of_list(by_name, request.GET.get("users_page"), size=USERS_PER_PAGE)
    rows = [UserRow(user, roles.given(user), user.pk in holders) for user in page.rows]
    delayed = delays.found(found, timezone.now())
    context = {"rows": rows, "page": page, "form": form, "delays": delayed}
    context |= changes_so_far(users.log(), request.GET)
    return render(request, "users/list.html", context, status=status)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, pk: int) -> HttpResponse:
    """One user; POST changes name, address, role and whether they may sign in.

    Where that takes from them the right to send, and something is under way in their name, it is asked what becomes of
    it, and nothing is saved before that is said.
    """
    version = users.version_of(pk)  # first: what is shown may be newer than it says, never older
    user = get_object_or_404(User, pk=pk)
    given = request.POST if request.method == "POST" else None
    form = UserForm(given, instance=user, initial={"role": roles.given(user)}, seen=version)
    if request.method != "POST":
        return _one(request, user, form)
    asked = LeavingForm(request.POST, offboarding.successors(user)) if "leaving-asked" in request.POST else None
    is_valid = form.is_valid()
    if asked is not None and not asked.is_valid():
        return _one(request, user, form, asked)
    if is_valid:
        try:
            change = form.save_as(who(request), asked.decision if asked is not None else None)
        except ValidationError as error:
            form.add_error(None, error)
        except offboarding.Undecided:
            if asked is not None and asked.decision is not None:
                asked.add_error("choice", MORE)
            return _one(request, user, form, asked or LeavingForm(None, offboarding.successors(user)))
        except offboarding.BadSuccessor as error:
            assert asked is not None
            asked.add_error("successor", str(error))
            return _one(request, user, form, asked)
        else:
            _tell(request, User.objects.get(pk=pk), change)
            return redirect("setup-users")
    return _one(request, user, form, asked)


def _one(request: HttpRequest, user: User, form: UserForm, asked: LeavingForm | None = None) -> HttpResponse:
    """The page of a user; with `asked`, the question is put."""
    # As it is stored: a form that is refused has written into its user.
    account = User.objects.get(pk=user.pk)
    if asked is not None and asked.is_bound and not asked.errors and not asked.decision:
        asked.add_error("choice", UNASKED)
    context = {
        "account": account,
        "sessions": page_of_sessions(request, account),
        "has_second_factor": roles.with_second_factor().filter(user=account).exists(),
        "form": form,
        "asked": asked,
        "under_way": offboarding.under_way(account) if asked is not None or not roles.may_send(account) else None,
        "overtaken": change_lines(form.overtaken),
        **changes_so_far(users.log(account), request.GET),
    }
    return render(request, "users/detail.html", context, status=422 if form.errors or asked else 200)


def _tell(request: HttpRequest, account: User, change: users.Change) -> None:
    """What was saved, and what became of what was under way."""
    if not change.entries:
        notes.info(request, "Nothing was changed.")
        return
    left = change.left
    words = ["Saved."]
    if left is not None and left.done:
        words.append(f"{_messages(left.done)} dealt with as you chose; the history of each says so.")
    if left is not None and left.sending:
        words.append(
            f"{_messages(left.sending)} being sent at this moment: that cannot be stopped. What comes back for another "
            "try is dealt with as you chose."
        )
    undone = _undone(change)
    if undone and (number := offboarding.number_held(account)):
        words.append(
            f"{_messages(number)} still held under this account: {undone} is not undone. Release or cancel what "
            "is held in the message queue."
        )
    (notes.warning if len(words) > 2 or (undone and len(words) > 1) else notes.success)(request, " ".join(words))


def _undone(change: users.Change) -> str:
    """What was done to a user who may send again now; "" where none was."""
    if not change.may_send_again:
        return ""
    is_activated = any(entry.field == "is_active" for entry in change.entries)
    return "deactivating" if is_activated else "taking the role away"


def _messages(number: int) -> str:
    return "1 message is" if number == 1 else f"{number:,} messages are"


@admins_only
@never_cache
@post_only
def new_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Make up a new password, and show it this one time; for one's own, the old one is asked for."""
    user = get_object_or_404(User, pk=pk)
    if user.pk == who(request).pk:
        return redirect("preferences-password")
    password = users.readable_password()
    users.set_password(user, password, by=who(request))
    return _shown_once(request, user, password)


@admins_only
@post_only
def end_delay(request: HttpRequest) -> HttpResponse:
    """Let a user (`user`), or all users of an address (`address`), try to sign in again at once."""
    address = request.POST.get("address", "").replace("\0", "")[:LONGEST_ADDRESS]
    if address:
        users.end_delay_of(address, by=who(request))
        notes.success(request, f"Sign-ins from {address} are no longer delayed.")
    else:
        number = request.POST.get("user", "")
        user = get_object_or_404(
            User, pk=int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0
        )
        users.end_delay(user, by=who(request))
        notes.success(request, f"{person(user)} can try to sign in again at once.")
    return redirect("setup-users")


@admins_only
@post_only
def reset_second_factor(request: HttpRequest, pk: int) -> HttpResponse:
    """For a user who lost it; one's own is switched off with password and code."""
    user = get_object_or_404(User, pk=pk)
    if user.pk == who(request).pk:
        return redirect("preferences-security")
    if second_factor.reset(user, by=who(request)):
        notes.success(request, f"{person(user)} is signed out, and signs in with the password alone.")
    else:
        notes.info(request, "Nothing was changed.")
    return redirect("setup-users-one", user.pk)


def _shown_once(request: HttpRequest, user: User, password: str) -> HttpResponse:
    """Not kept anywhere: loading the page again shows it no more."""
    return render(request, "users/new_password.html", {"account": user, "password": password})
