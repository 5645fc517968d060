"""Where a user is signed in: their own page, what administrators see, and how much time is left."""

from dataclasses import dataclass

from django.contrib import messages as notes
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import User
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from messaging import users
from messaging.access import roles, sessions
from messaging.access.sessions import browsers
from messaging.console.caching import forget_all
from messaging.console.company import company_of
from messaging.console.filters import ids_in
from messaging.console.paging import Page, part_of
from messaging.console.session_end import tell_why
from messaging.models import UserSession
from messaging.wording import person

from .guard import admins_only, post_only, who

SESSIONS_PER_PAGE = 20


@dataclass(frozen=True)
class SessionRow:
    """A session of the list: its browser in words, and whether it is the one that asks."""

    session: UserSession
    browser: str
    is_here: bool


def page_of_sessions(request: HttpRequest, user: User) -> Page[SessionRow]:
    """Where a user is signed in: this session first, then by when they were active."""
    here = sessions.row_of(request)
    key = here.pk if here is not None else 0
    this_one_first = Case(When(pk=key, then=Value(0)), default=Value(1))
    found = sessions.live(user, company_of(request), timezone.now()).order_by(this_one_first, "-active_at", "-pk")
    page = part_of(found, request.GET.get("sessions_page"), size=SESSIONS_PER_PAGE)
    rows = [SessionRow(each, browsers.in_words(each.browser), each.pk == key) for each in page.rows]
    return Page(rows, page.number, page.pages, page.total, page.size)


@require_safe
def own(request: HttpRequest) -> HttpResponse:
    """My sessions."""
    return render(request, "sessions/list.html", {"sessions": page_of_sessions(request, who(request))})


@post_only
def end(request: HttpRequest) -> HttpResponse:
    """Sign out of one session (`session`), or everywhere."""
    if "session" not in request.POST:
        users.sign_out(who(request), by=who(request))
        return _signed_out(request)
    here = sessions.row_of(request)
    number = next(iter(ids_in([request.POST["session"]])), 0)
    ended = users.sign_out(who(request), by=who(request), session=number)
    if here is not None and number == here.pk:
        return _signed_out(request)
    if ended:
        notes.success(request, "That session is ended.")
    else:
        notes.info(request, "That session had already ended.")
    return redirect("preferences-sessions")


def _signed_out(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return forget_all(redirect("login"))


@admins_only
@post_only
def sign_out_user(request: HttpRequest, pk: int) -> HttpResponse:
    """End all sessions of a user."""
    user = get_object_or_404(User, pk=pk)
    number = users.sign_out(user, by=who(request))
    if user.pk == who(request).pk:
        return _signed_out(request)
    notes.success(
        request, f"{person(user)} is signed out everywhere." if number else f"{person(user)} was not signed in."
    )
    return redirect("setup-users-one", user.pk)


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def state(request: HttpRequest) -> HttpResponse:
    """How many seconds the session has, as JSON, and whether activity gives it more; POST is activity by itself."""
    row = sessions.row_of(request)
    if row is None or not request.user.is_authenticated:
        tell_why(request)
        return JsonResponse({"seconds": 0, "may_stay": False})
    return JsonResponse(sessions.time_left(row, roles.company_of(request.user), timezone.now()))
