"""Email Setup (S8, S9): the company's layer, each account's own, and one's own preferences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from messaging.access import policy, roles
from messaging.console import audit_words
from messaging.console.forms.email_setup import EmailSetupForm, TestMessageForm
from messaging.console.forms.user_servers import UserServersForm
from messaging.console.paging import page_of_list
from messaging.console.words import setting_value
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import changes
from messaging.setup.fields import LABELS, LIMITS, OAUTH, OF_USERS, WAYS
from messaging.setup.layers import EmailSetup, Layer, Value, resolve, resolve_each
from messaging.setup.servers import is_listed
from messaging.wording import person

from .guard import admins_only, of_account, who

ACCOUNTS_PER_PAGE = 100
GROUPS = (
    ("server", "Server", ("send_type", "auth_type", "host", "port", "ca_bundle")),
    ("sign-in", "Sign-in", ("sign_in", "username", "password", *OAUTH)),
    ("sender", "Sender", ("from_address", "ehlo_name")),
    ("limits", "Limits", LIMITS),
)


@dataclass(frozen=True)
class Said:
    """What one layer says of a field, in words; `change` is who changed it last, where that is known."""

    value: str
    source: str
    note: str = ""
    change: AuditEntry | None = None


@dataclass(frozen=True)
class Row:
    """A field (none where it cannot be changed here), the value in effect and what lies beneath.

    `ways` are the ways to sign in that it belongs to, for the page to show it with; `locked` is the `.opt` file that
    sets it.
    """

    name: str
    label: str
    field: BoundField | None
    forget: BoundField | None
    file: BoundField | None
    in_effect: Said
    beneath: list[Said]
    ways: str
    locked: str


@dataclass(frozen=True)
class Group:
    """Rows under one heading."""

    key: str
    title: str
    rows: list[Row]


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def email_setup(request: HttpRequest) -> HttpResponse:
    """The company's settings as one form; POST saves them."""
    return _layer_page(request, "setup-email", None)


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
@of_account
def user_setup(request: HttpRequest, account: User) -> HttpResponse:
    """One account's own settings, for administrators."""
    return _layer_page(request, "setup-user", account)


@require_http_methods(["GET", "HEAD", "POST"])
def my_setup(request: HttpRequest) -> HttpResponse:
    """One's own settings; those who may not change them see what is in effect, and why."""
    return _layer_page(request, "preferences-email", who(request))


def _layer_page(request: HttpRequest, place: str, account: User | None) -> HttpResponse:
    """One layer's page; `place` is the name of its address."""
    setup = resolve(account)
    editor = who(request)
    may_edit = policy.may_edit(editor, account)
    if request.method != "POST":
        form = EmailSetupForm(account=account, editor=editor, setup=setup) if may_edit else None
        return _page(request, place, account, setup, form)
    if not may_edit:
        raise PermissionDenied("Your administrator has not allowed users to change their own email settings.")
    form = EmailSetupForm(request.POST, request.FILES, account=account, editor=editor, setup=setup)
    if form.is_valid():
        try:
            changed = form.save_as(editor)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            _note(request, account, changed)
            return redirect(_url(place, account))
    return _page(request, place, account, setup, form, status=422)


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
    request: HttpRequest,
    place: str,
    account: User | None,
    setup: EmailSetup,
    form: EmailSetupForm | None,
    status: int = 200,
) -> HttpResponse:
    context: dict[str, Any] = {
        "form": form,
        "account": account,
        "is_own": place == "preferences-email",
        "setup": setup,
        "groups": _groups(account, setup, form, who(request)),
        "problems": setup.problems(),
        "warnings": setup.warnings(),
        "stored": EmailSettings.objects.filter(account=account).select_related("updated_by").first(),
        "overtaken": audit_words.tell(form.overtaken if form else ()),
        **audit_words.so_far(changes.log(account), request.GET),
        "test_form": TestMessageForm(initial={"recipient": who(request).email}),
        "page_url": _url(place, account),
        "check_url": _url(f"{place}-check", account),
        "test_url": _url(f"{place}-test", account),
        "sign_in_url": _url(f"{place}-sign-in", account),
    }
    return render(request, "messaging/setup_email.html", context, status=status)


def _url(name: str, account: User | None) -> str:
    args = [account.get_username()] if account is not None and name.startswith("setup-user") else []
    return reverse(name, args=args)


def _groups(account: User | None, setup: EmailSetup, form: EmailSetupForm | None, viewer: User) -> list[Group]:
    changed = {Layer.COMPANY: changes.latest(None), Layer.ACCOUNT: changes.latest(account) if account else {}}

    def said(name: str, value: Value) -> Said:
        is_lost = name in setup.lost and value is setup.values[name]
        words = "cannot be read" if is_lost else setting_value(name, value.value)
        return Said(words, value.source, value.unused, changed.get(value.layer, {}).get(name))

    def field(part: str) -> BoundField | None:
        return form[part] if form and part in form.fields else None

    def row(name: str) -> Row:
        value = policy.sender_in_effect(account, setup) if name == "from_address" else setup.values[name]
        return Row(
            name,
            LABELS[name],
            field(name),
            field(f"forget_{name}"),
            field(f"{name}_file"),
            said(name, value),
            [said(name, lower) for lower in value.beneath if lower.value not in ("", None)],
            " ".join(WAYS.get(name, ())),
            value.source if value.layer == Layer.OPT else "",
        )

    def is_shown(name: str) -> bool:
        if form is None:
            return name in setup.in_use and (name in OF_USERS or setup.values[name].layer != Layer.BUILTIN)
        return roles.is_admin(viewer) or name in OF_USERS or setup.values[name].layer != Layer.BUILTIN

    return [Group(key, title, [row(name) for name in names if is_shown(name)]) for key, title, names in GROUPS]


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
    return render(request, "messaging/setup_email_users.html", context, status=422 if form.errors else 200)


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
