"""Email Setup (S8, S9): the company's layer, each account's own, and one's own preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from messaging.access import policy, roles
from messaging.console.forms.email_setup import EmailSetupForm, TestMessageForm
from messaging.console.forms.user_servers import UserServersForm
from messaging.console.paging import page_of_list
from messaging.console.presentation.audit import change_lines, changes_so_far
from messaging.console.presentation.settings import setting_groups, setting_value
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import changes
from messaging.setup.fields import LABELS
from messaging.setup.layers import EmailSetup, Layer, resolve, resolve_each
from messaging.setup.servers import is_listed
from messaging.wording import person

from .guard import admins_only, who
from .target import Target, Whose, of_target

ACCOUNTS_PER_PAGE = 100


@of_target
@require_http_methods(["GET", "HEAD", "POST"])
def email_setup(request: HttpRequest, *, target: Target) -> HttpResponse:
    """One layer of settings as a form, which POST saves; who may not change them sees what is in effect, and why."""
    setup = resolve(target.account)
    editor = who(request)
    may_edit = policy.may_edit(editor, target.account)
    if request.method != "POST":
        form = EmailSetupForm(account=target.account, editor=editor, setup=setup) if may_edit else None
        return _page(request, target, setup, form)
    if not may_edit:
        raise PermissionDenied("Your administrator has not allowed users to change their own email settings.")
    form = EmailSetupForm(request.POST, request.FILES, account=target.account, editor=editor, setup=setup)
    if form.is_valid():
        try:
            changed = form.save_as(editor)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            _note(request, target.account, changed)
            return redirect(target.url())
    return _page(request, target, setup, form, status=422)


def _note(request: HttpRequest, account: User | None, changed: list[AuditEntry]) -> None:
    """What saving did; of a field that was emptied, what it falls back to."""
    if not changed:
        notes.info(request, "Nothing was changed.")
        return
    words = ["Saved. The next connection to the mail server uses these settings."]
    values = resolve(account).values
    for change in changed:
        if change.is_emptied:
            value = values[change.field]
            shown = setting_value(change.field, value.value)
            words.append(f"{LABELS[change.field]} falls back to “{shown}” ({value.source}).")
    notes.success(request, " ".join(words))


def _page(
    request: HttpRequest, target: Target, setup: EmailSetup, form: EmailSetupForm | None, status: int = 200
) -> HttpResponse:
    account = target.account
    context: dict[str, Any] = {
        "form": form,
        "account": account,
        "is_own": target.whose == Whose.OWN,
        "setup": setup,
        "groups": setting_groups(account, setup, form, who(request)),
        "problems": setup.problems(),
        "warnings": setup.warnings(),
        "stored": EmailSettings.objects.filter(account=account).select_related("updated_by").first(),
        "overtaken": change_lines(form.overtaken if form else ()),
        **changes_so_far(changes.log(account), request.GET),
        "test_form": TestMessageForm(initial={"recipient": who(request).email}),
        "page_url": target.url(),
        "check_url": target.url("check"),
        "test_url": target.url("test"),
        "sign_in_url": target.url("sign-in"),
    }
    return render(request, "setup/email.html", context, status=status)


# --- Who may edit, and everyone's settings --------------------------------------------------------------


@dataclass(frozen=True)
class AccountRow:
    """A user and the settings that their mail would use; `own` are the labels of the fields set for them alone,
    `other_sender` is the From address set for them where it is none of theirs, which counts if not `is_withdrawn`.
    """

    account: User
    setup: EmailSetup
    own: Sequence[str]
    is_listed: bool
    other_sender: str
    is_withdrawn: bool


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def users(request: HttpRequest) -> HttpResponse:
    """Which settings each account would send with; whether users may edit theirs, and which servers they may name."""
    form = UserServersForm(request.POST) if request.method == "POST" else UserServersForm()
    if request.method == "POST" and form.is_valid():
        try:
            form.save_as(who(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            notes.success(request, "Saved.")
            return redirect("setup-email-users")
    accounts = sorted(User.objects.filter(is_active=True), key=lambda user: person(user).casefold())
    page = page_of_list(accounts, request.GET.get("page"), size=ACCOUNTS_PER_PAGE)
    context = {"form": form, "page": page, "rows": _account_rows(page.rows)}
    return render(request, "setup/email_users.html", context, status=422 if form.errors else 200)


def _account_rows(accounts: list[User]) -> list[AccountRow]:
    patterns = policy.user_servers(resolve(None))
    admins = set(roles.admins().values_list("pk", flat=True))
    rows = []
    for account, setup in zip(accounts, resolve_each(accounts), strict=True):
        own = [LABELS[name] for name, value in setup.values.items() if value.layer == Layer.ACCOUNT]
        names_own = setup.values["host"].layer == Layer.ACCOUNT
        listed = not names_own or is_listed(setup.host, setup.port, patterns)
        sender = setup.values["from_address"]
        is_own = sender.layer != Layer.ACCOUNT or policy.may_send_from(account, str(sender.value))
        other = "" if is_own else str(sender.value)
        is_withdrawn = bool(other) and policy.is_withdrawn(account, sender)
        rows.append(AccountRow(account, setup, own, listed or account.pk in admins, other, is_withdrawn))
    return rows
