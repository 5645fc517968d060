"""Company options (S2, S3 and S15)."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages as notes
from django.core.exceptions import ValidationError
from django.forms import BoundField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from messaging.access import roles, second_factor
from messaging.company import options
from messaging.company.options import RULE_NAMES
from messaging.console.company import company_of
from messaging.console.forms.options import CompanyOptionsForm, rule_field
from messaging.console.presentation.audit import change_lines, changes_so_far
from messaging.console.presentation.options import MEANINGS, NOTICES, TOLD, rule_problem, waiting_in_queue
from messaging.lifecycle.waiting import STAYS
from messaging.models import AuditEntry, CompanyOptions, Message, NoticeKind

from .guard import admins_only, who


@dataclass(frozen=True)
class RuleRow:
    """One kind of notice: its fields, and what is wrong with who would be told."""

    kind: str
    title: str
    about: str
    is_on: BoundField
    to: list[tuple[BoundField, str]]
    window: BoundField
    warning: str


@dataclass(frozen=True)
class Meaning:
    """What the two options of the queue mean together."""

    title: str
    words: str
    is_now: bool


@admins_only
@require_http_methods(["GET", "HEAD", "POST"])
def company_options(request: HttpRequest) -> HttpResponse:
    """All of them as one form; POST saves them."""
    here = f"{request.scheme}://{request.get_host()}"
    if request.method != "POST":
        return _page(request, CompanyOptionsForm(here=here))
    form = CompanyOptionsForm(request.POST, here=here)
    if form.is_valid():
        try:
            changes = form.save_as(who(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            _note(request, changes)
            return redirect("setup-options")
    return _page(request, form, status=422)


def _note(request: HttpRequest, changes: list[AuditEntry]) -> None:
    if not changes:
        notes.info(request, "Nothing was changed.")
        return
    words = ["Saved, and in effect from now on, without a restart."]
    is_switched_on = any(change.field == "hold_mail" and change.after is True for change in changes)
    # While it is off, the page says so all the time.
    number = Message.objects.filter(STAYS).count() if is_switched_on else 0
    if number:
        words.append(waiting_in_queue(number))
    if second_factor.is_missing(who(request), options.options()):
        words.append("Your own role needs a second factor from now on: set it up next.")
    notes.success(request, " ".join(words))


def _waiting_words(company: CompanyOptions) -> str:
    """While email is not held: what becomes of the messages that wait all the same; "" where there is none."""
    number = 0 if company.hold_mail else Message.objects.filter(STAYS).count()
    return waiting_in_queue(number) if number else ""


def _page(request: HttpRequest, form: CompanyOptionsForm, status: int = 200) -> HttpResponse:
    company = company_of(request)
    in_effect = (company.record_mail, company.hold_mail)
    context: dict[str, Any] = {
        "form": form,
        "stored": CompanyOptions.objects.select_related("updated_by").first(),
        "meanings": [Meaning(*words, is_now=case == in_effect) for case, words in MEANINGS.items()],
        "waiting_words": _waiting_words(company),
        "rules": _rules(form),
        "overtaken": change_lines(form.overtaken),
        **changes_so_far(options.log(), request.GET),
    }
    return render(request, "setup/options.html", context, status=status)


def _rules(form: CompanyOptionsForm) -> list[RuleRow]:
    address = str(form["company_address"].value() or "").strip()
    admin_addresses = [user.email for user in roles.admins() if user.email]
    rows = []
    for kind in NoticeKind.values:
        fields = {name: form[rule_field(kind, name)] for name in RULE_NAMES}
        values = {name: field.value() for name, field in fields.items()}
        rows.append(
            RuleRow(
                kind,
                str(NoticeKind(kind).label),
                NOTICES[kind],
                fields["is_on"],
                [(fields[name], words) for name, words in TOLD.items()],
                fields["window_minutes"],
                rule_problem(values, address, admin_addresses),
            )
        )
    return rows
