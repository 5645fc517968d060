"""Sending: what goes out, what keeps it, and the buttons to pause and resume."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from messaging.access import roles
from messaging.company.windows import ALWAYS
from messaging.console.filters import ids_in
from messaging.console.forms.actions import PauseForm
from messaging.console.paging import Page, page_of, page_of_list
from messaging.console.presentation.settings import setting_value
from messaging.delivery.refusal_streaks import of_streak
from messaging.lifecycle.limits import OF_SETTINGS, gravest_first
from messaging.models import AccountPause, Message, Phrase, RefusalStreak
from messaging.queue import actions, pausing, refusal_answers
from messaging.queue.pausing import ALL, AccountState, Everybody, Whose
from messaging.setup.fields import LABELS, LIMITS
from messaging.setup.layers import EmailSetup
from messaging.wording import in_words, moment, person, state

from .guard import post_only, who

PAUSES_PER_PAGE = 20
ACCOUNTS_PER_PAGE = 50
NAMED = 10
COMPANY = "company"
LONGEST_ID = 18  # digits that a key of the database surely has room for


@dataclass(frozen=True)
class Limit:
    """A limit in force: its name, its value in words and the layer it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Question:
    """What an administrator is asked: whether it is us that a mail server refuses in the same words.

    `number` messages have failed so, of those that the person may see, `number_once` of them sent at once; `named` are
    some of them; `mark` stands for all that have failed so.
    """

    streak: RefusalStreak
    number: int
    number_once: int
    named: list[Message]
    mark: str

    @property
    def is_repeated(self) -> bool:
        """Whether it was answered before: that it was us."""
        return self.streak.answered_at is not None

    @property
    def key(self) -> str:
        """Names the account in addresses."""
        return _key(self.streak.account)


@dataclass(frozen=True)
class SendingRow:
    """One sending account on the page.

    `key` names it in addresses, `what` on buttons; `limits` are told in short by `summary`; `form` pauses it;
    `questions` wait for an answer.
    """

    key: str
    what: str
    state: AccountState
    problems: list[Phrase]
    limits: list[Limit]
    summary: str
    can_try_now: bool
    form: PauseForm
    questions: list[Question]


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """How sending stands, as a whole and per account, and the pauses so far."""
    return _page(request)


@post_only
def act(request: HttpRequest, whose: str, action: str) -> HttpResponse:
    """Pause, resume or try an account (or all sending) now, or answer; back to the page, which says what came of it."""
    if action not in ACTIONS:
        raise Http404
    if not roles.is_admin(who(request)):
        raise PermissionDenied("Only an administrator can pause and resume sending.")
    try:
        return ACTIONS[action](request, _whose(whose))
    except actions.NotPossible as error:
        notes.warning(request, str(error))
        return redirect("sending")


def _pause(request: HttpRequest, whose: Whose) -> HttpResponse:
    form = PauseForm(request.POST, auto_id=f"{_key(whose)}-%s")
    if form.is_valid():
        why, until = form.cleaned_data["why"], form.cleaned_data["until"]
        try:
            pause = pausing.pause(whose, by=who(request), why=why, until=until, seen=_seen(request))
        except pausing.BadPause as bad:
            form.add_error(bad.field, str(bad))
        except pausing.AnotherPause as another:
            form.add_error("why", str(another))
        else:
            end = moment(pause.until) or "it is resumed"
            notes.success(request, f"{_name(whose)} is paused until {end}. Urgent messages are still sent.")
            return redirect("sending")
    return _page(request, {_key(whose): form}, status=422)


def _resume(request: HttpRequest, whose: Whose) -> HttpResponse:
    if pausing.resume(whose, by=who(request), seen=_seen(request)):
        notes.success(request, _resumed(whose))
    else:
        notes.info(
            request, f"{_name(whose)} was no longer paused: another user resumed it first, or its time had passed."
        )
    return redirect("sending")


def _seen(request: HttpRequest) -> str:
    """The mark of the pause that the page showed; "" where it showed none."""
    return request.POST.get("pause", "")


def _try_now(request: HttpRequest, whose: Whose) -> HttpResponse:
    if isinstance(whose, Everybody):
        raise Http404
    if not pausing.try_now(whose, by=who(request)):
        notes.info(request, f"{_name(whose)} is no longer waiting for a try.")
    elif any(pause.kind in AccountPause.BY_PEOPLE for pause in pausing.holding_account(whose, timezone.now())):
        notes.warning(request, f"{_name(whose)} is paused: it is tried once sending is resumed.")
    else:
        notes.success(request, "It is tried now, with the next message that is due.")
    return redirect("sending")


def _it_was_us(request: HttpRequest, whose: Whose) -> HttpResponse:
    number = refusal_answers.it_was_us(_asked(request, whose), by=who(request), seen=_failed(request))
    several = f"{number:,} messages are queued again with all their tries. "
    what = {0: "", 1: "1 message is queued again with all its tries. "}.get(number, several)
    notes.success(request, f"{what}{_resumed(whose)}")
    return redirect("sending")


def _go_on(request: HttpRequest, whose: Whose) -> HttpResponse:
    number = refusal_answers.go_on(_asked(request, whose), by=who(request), seen=_failed(request))
    what = {0: "", 1: "1 message stays failed. "}.get(number, f"{number:,} messages stay failed. ")
    notes.success(request, f"{what}{_resumed(whose)} Refusals in these words do not pause it again for a day.")
    return redirect("sending")


def _failed(request: HttpRequest) -> str:
    """The mark of the messages that the page named."""
    return request.POST.get("failed", "")


def _asked(request: HttpRequest, whose: Whose) -> RefusalStreak:
    """The question that is answered. Raises NotPossible where it is not asked of that account."""
    wanted = ids_in([request.POST.get("question", "")])
    found = RefusalStreak.objects.filter(pk__in=wanted, account=None if isinstance(whose, Everybody) else whose)
    streak = found.select_related("account").first()
    if streak is None or isinstance(whose, Everybody):
        raise actions.NotPossible("This question is no longer open.")
    return streak


ACTIONS: dict[str, Callable[[HttpRequest, Whose], HttpResponse]] = {
    "pause": _pause,
    "resume": _resume,
    "try-now": _try_now,
    "it-was-us": _it_was_us,
    "go-on": _go_on,
}


def _whose(key: str) -> Whose:
    if key == ALL.value:
        return ALL
    if key == COMPANY:
        return None
    if not key.isascii() or not key.isdigit() or len(key) > LONGEST_ID:
        raise Http404
    return get_object_or_404(User, pk=int(key))


def _key(whose: Whose) -> str:
    if isinstance(whose, Everybody):
        return whose.value
    return str(whose.pk) if whose is not None else COMPANY


def _name(whose: Whose) -> str:
    return "All sending" if isinstance(whose, Everybody) else f"Sending as {person(whose, 'the company')}"


def _resumed(whose: Whose) -> str:
    """What came of the end of a pause: another one may be left."""
    now = timezone.now()
    if isinstance(whose, Everybody):
        found = [pause for pause in pausing.holding(now) if pause.kind in AccountPause.OF_EVERYBODY]
    else:
        found = [pause for pause in pausing.holding_account(whose, now) if pause.kind not in OF_SETTINGS]
    left = next(iter(gravest_first(found)), None)
    return f"{_name(whose)} is on again." if left is None else f"{_name(whose)} still waits. {state(left)}"


def _page(request: HttpRequest, forms: Mapping[str, PauseForm] = {}, status: int = 200) -> HttpResponse:
    """The page; `forms` are those that were refused, by key."""
    found = pausing.overview()
    so_far = pausing.so_far()
    questions = _questions(request, found)
    accounts = _accounts(request, found, forms)
    context = {
        "whole": found.pause,
        "whole_form": forms.get(ALL.value) or _form(ALL.value, found.pause),
        "restored": found.restored,
        "rows": [
            _row(state, bool(found.pause or found.restored), forms, questions.get(state.account, []))
            for state in accounts.rows
        ],
        "asked": [each for several in questions.values() for each in several],
        "accounts": accounts,
        "history": page_of(so_far, so_far, request.GET.get("page"), total=so_far.count(), size=PAUSES_PER_PAGE),
        "admins": roles.admins().order_by("first_name", "username"),
    }
    return render(request, "sending/accounts.html", context, status=status)


def _accounts(request: HttpRequest, found: pausing.Overview, forms: Mapping[str, PauseForm]) -> Page[AccountState]:
    """A page of the accounts: where they are many, the company first, then those that something holds up; or the page
    of the form that was refused.
    """
    states = found.accounts
    if len(states) > ACCOUNTS_PER_PAGE:
        states = sorted(states, key=lambda state: (state.account is not None, not state.pauses))
    refused = (place for place, state in enumerate(states) if _key(state.account) in forms)
    wanted = request.GET.get("accounts_page")
    if (place := next(refused, None)) is not None:
        wanted = str(place // ACCOUNTS_PER_PAGE + 1)
    return page_of_list(states, wanted, size=ACCOUNTS_PER_PAGE)


def _questions(request: HttpRequest, found: pausing.Overview) -> dict[User | None, list[Question]]:
    """What is asked, by account; a statement only where something is."""
    if not any(pause.kind == AccountPause.Kind.DOUBT for state in found.accounts for pause in state.pauses):
        return {}
    asked: dict[User | None, list[Question]] = {}
    for streak in refusal_answers.open_questions():
        failed = roles.visible_messages(who(request)).filter(
            pk__in=of_streak(streak, Message.Status.FAILED).values("pk")
        )
        named = list(failed.order_by("pk").only("subject", "recipients_text")[:NAMED])
        counts = failed.aggregate(all=Count("pk"), once=Count("pk", filter=Q(is_immediate=True)))
        asked.setdefault(streak.account, []).append(
            Question(streak, counts["all"], counts["once"], named, refusal_answers.mark_of(streak))
        )
    return asked


def _form(key: str, pause: AccountPause | None) -> PauseForm:
    """The form that pauses, or changes the pause there is."""
    initial = {"why": in_words(pause.reason), "until": pause.until} if pause else {}
    return PauseForm(initial=initial, auto_id=f"{key}-%s")


def _row(state: AccountState, is_paused: bool, forms: Mapping[str, PauseForm], questions: list[Question]) -> SendingRow:
    key, values = _key(state.account), state.setup.values
    return SendingRow(
        key=key,
        what=f"sending as {person(state.account, 'the company')}",
        state=state,
        problems=state.setup.problems(),
        limits=[Limit(LABELS[name], setting_value(name, values[name].value), values[name].source) for name in LIMITS],
        summary=_in_short(state.setup),
        can_try_now=state.can_try_now and not is_paused,
        form=forms.get(key) or _form(key, state.paused_by_person),
        questions=questions,
    )


def _in_short(setup: EmailSetup) -> str:
    """What limits an account most, in a line."""
    rates = [f"{rate.number:,} per {rate.unit}" for rate in setup.rates]
    window = [f"{setup.sending_window} ({setup.time_zone})"] if setup.sending_window != ALWAYS else []
    return ", ".join([*rates, *window]) or "none but the connections"
