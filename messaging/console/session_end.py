"""When a session is over: its user is led to the sign-in and back, and nothing that they typed is lost.

Background refreshes say so themselves, by the header X-Background: they keep no one signed in. Nothing else is
believed that says so.
"""

from collections.abc import Callable
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.contrib import messages as notes
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import Resolver404, resolve
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views import csrf
from django_htmx.http import HttpResponseClientRedirect, HttpResponseClientRefresh

from messaging.access import kept_forms, roles, sessions
from messaging.admission import AdmissionEnded
from messaging.models import CompanyOptions, KeptForm

from . import requesters
from .form_refill import fill_in

BACKGROUND = "X-Background"
ASK_BY_THEMSELVES = {  # the parts of pages, by the names of their addresses, and how
    "session": "GET", "batch-progress": "GET", "batch-items": "GET",
    "setup-email-sign-in": "POST", "setup-user-sign-in": "POST", "preferences-email-sign-in": "POST",
}  # fmt: skip
KEPT = "kept"  # in the address of a page that is to be filled in
LONGEST_PAGE = 2000
WHY_OVER = "over_because"  # attributes of the request
AGAIN = "filled_in_again"


class Sessions(SessionMiddleware):
    """Django's own; a session that was ended while the request was under way is no error of the user."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        try:
            return super().process_response(request, response)
        except SessionInterrupted:
            return _ended_meanwhile(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, AdmissionEnded) and error.is_over:  # found where its order was to be carried out
            request.session.flush()
            request.user = AnonymousUser()
            return to_sign_in(request)
        if isinstance(error, sessions.SessionEnded):
            notes.warning(request, str(error))
            return _ended_meanwhile(request)
        return _ended_meanwhile(request) if isinstance(error, UpdateError) else None


def _ended_meanwhile(request: HttpRequest) -> HttpResponse:
    response = _lead(request, _sign_in_at(page_of(request)))
    response.delete_cookie(
        settings.SESSION_COOKIE_NAME, settings.SESSION_COOKIE_PATH, samesite=settings.SESSION_COOKIE_SAMESITE
    )
    return response


class Limits:
    """Ends sessions that are over, and notes who is active."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        why = _look_at(request)
        setattr(request, WHY_OVER, why)
        requesters.remember(request)
        response = self.get_response(request)
        if why:
            response.headers["Clear-Site-Data"] = '"cache"'
        return response


def _look_at(request: HttpRequest) -> str:
    """Why the session is over, in words; "" while it is not."""
    user, now = request.user, timezone.now()
    if not user.is_authenticated:
        if SESSION_KEY in request.session:  # of a user who was deactivated: it must not revive
            request.session.flush()
        return ""
    row = sessions.row_of(request)
    if row is None:
        return ""
    sessions.bring_back(row, now)
    company = roles.company_of(user)
    if sessions.ends_at(row, company, now) > now:
        sessions.note_use(row, request, now, is_active=not _asks_by_itself(request))
        roles.admit(user, row.pk)
        return ""
    request.session.flush()
    request.user = AnonymousUser()
    return _why_over(sessions.is_idle(row, company, now), company)


def _asks_by_itself(request: HttpRequest) -> bool:
    if BACKGROUND not in request.headers:
        return False
    try:
        name = resolve(request.path_info).url_name
    except Resolver404:
        return False
    return name is not None and ASK_BY_THEMSELVES.get(name) == request.method


def _why_over(is_idle: bool, company: CompanyOptions) -> str:
    if is_idle:
        return f"You were signed out, because you did nothing for {_number(company.idle_minutes, 'minute')}."
    return f"You were signed out: after {_number(company.session_hours, 'hour')} you sign in again."


def _number(number: int, unit: str) -> str:
    return f"{number:,} {unit}" if number == 1 else f"{number:,} {unit}s"


class SignInRequired(LoginRequiredMiddleware):
    """Django's own, but nothing that was typed is lost, and no part of a page becomes a sign-in form."""

    def handle_no_permission(self, request: HttpRequest, view_func: object) -> HttpResponse:  # type: ignore[override]
        tell_why(request)
        return to_sign_in(request)


def tell_why(request: HttpRequest) -> None:
    """Say at the sign-in why the session is over, where this request found that."""
    why = getattr(request, WHY_OVER, "")
    if why:
        notes.info(request, why)


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in, and afterwards back to where the user was, with what they had typed."""
    page = page_of(request)
    row = _keep(request)
    if row is not None:
        notes.info(request, "What you typed is kept for a day. Sign in, and it is there again.")
        page = _with_kept(page or request.path, row)
    return _lead(request, _sign_in_at(page))


def page_of(request: HttpRequest) -> str:
    """The page at which the user is; "" where that is not known, or too long for an address to come back to."""
    is_part = request.headers.get("HX-Request") == "true"
    if request.method in ("GET", "HEAD") and not is_part:
        page = request.get_full_path()
        return page if len(page) <= LONGEST_PAGE else ""
    here = request.headers.get("HX-Current-URL" if is_part else "Referer", "")
    if not url_has_allowed_host_and_scheme(here, {request.get_host()}, require_https=request.is_secure()):
        return ""
    parts = urlsplit(here)
    page = f"{parts.path}?{parts.query}" if parts.query else parts.path
    # A path that begins with two slashes is another site where it stands alone.
    is_path = page.startswith("/") and url_has_allowed_host_and_scheme(page, None)
    is_page = is_path and len(page) <= LONGEST_PAGE and parts.path != resolve_url(settings.LOGIN_URL)
    return page if is_page else ""


def _sign_in_at(page: str) -> str:
    """The address of the sign-in that leads there, or else to the message queue."""
    page = page or resolve_url(settings.LOGIN_REDIRECT_URL)
    return f"{resolve_url(settings.LOGIN_URL)}?{urlencode({'next': page}, safe='/')}"


def _lead(request: HttpRequest, url: str) -> HttpResponse:
    """There with the whole page: htmx would put what it gets into a part of this one."""
    if request.headers.get("HX-Request") != "true":
        return HttpResponseRedirect(url)
    led: HttpResponse = HttpResponseClientRefresh() if request.method == "GET" else HttpResponseClientRedirect(url)
    return led


def _keep(request: HttpRequest) -> KeptForm | None:
    """Keep what was typed, if it is a form that was made for a user here."""
    owner = kept_forms.owner_of(request.POST.get(kept_forms.OWNER, "")) if request.method == "POST" else None
    if owner is None or request.path == resolve_url("logout"):
        return None
    # What htmx sends while a user types goes elsewhere than the form does.
    is_part = request.headers.get("HX-Request") == "true"
    path = urlsplit(page_of(request)).path if is_part else request.path
    files = [file.name or "" for each in request.FILES for file in request.FILES.getlist(each)]
    return kept_forms.keep(owner, path, dict(request.POST.lists()), files)


def _with_kept(page: str, row: KeptForm) -> str:
    parts = urlsplit(page)
    query = "&".join(
        [*(part for part in parts.query.split("&") if part and not part.startswith(f"{KEPT}=")), f"{KEPT}={row.key}"]
    )
    return f"{parts.path}?{query}"


# --- A form whose token is of another session ---------------------------------------------------------------


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """The user signed in again in another tab, or had no session any more: nothing is done, and nothing is lost.

    Only the user's own forms, which no one else can make, get another answer than 403.
    """
    owner = kept_forms.owner_of(request.POST.get(kept_forms.OWNER, ""))
    user = request.user
    if owner is not None and not user.is_authenticated:
        return to_sign_in(request)
    if owner is not None and owner.user == user.pk:
        row = _keep(request)
        page = page_of(request) or request.path
        return _lead_whole(request, _with_kept(page, row) if row is not None else page)
    if request.path == resolve_url(settings.LOGIN_URL) and _is_from_here(request):
        return HttpResponseRedirect(request.get_full_path())
    return csrf.csrf_failure(request, reason)


def _lead_whole(request: HttpRequest, url: str) -> HttpResponse:
    if request.headers.get("HX-Request") == "true":
        led: HttpResponse = HttpResponseClientRedirect(url)
        return led
    return HttpResponseRedirect(url)


def _is_from_here(request: HttpRequest) -> bool:
    return request.headers.get("Origin") == f"{request.scheme}://{request.get_host()}"


# --- The form again -----------------------------------------------------------------------------------------


class FormsAgain:
    """Fills in the form that was kept for the user, on the page that is asked for with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        row: KeptForm | None = getattr(request, AGAIN, None)
        if row is None:
            return response
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith("text/html"):
            is_its_page = kept_forms.is_of(row, request.path)
            filled = fill_in(response.content.decode(), request.path, row.path, row.fields) if is_its_page else None
            if filled is not None:
                response.content = filled.encode()
                return response
        typed = {name: values for name, values in row.fields.items() if name != kept_forms.OWNER and any(values)}
        return render(request, "sign_in/kept_form.html", {"typed": typed})

    def process_view(self, request: HttpRequest, view: object, *args: object) -> None:
        key = request.GET.get(KEPT, "") if request.method == "GET" else ""
        user = request.user
        if not key or not user.is_authenticated:
            return
        row = kept_forms.find(key, user)
        if row is None:
            return
        setattr(request, AGAIN, row)
        words = ["This was not done, because you were signed out. What you typed is here again: check it, and send it."]
        if row.files:
            words.append(f"Pick these files again: {', '.join(row.files)}.")
        if row.had_secret:
            words.append("Enter passwords again.")
        notes.warning(request, " ".join(words))


def form_again(request: HttpRequest) -> QueryDict | None:
    """A form that is shown again, as it was sent; None: this page shows none."""
    row: KeptForm | None = getattr(request, AGAIN, None)
    if row is None:
        return None
    form = QueryDict(mutable=True)
    for name, values in row.fields.items():
        form.setlist(name, values)
    return form


def typed_again(request: HttpRequest, name: str) -> list[str]:
    """What a form that is shown again had in a field."""
    form = form_again(request)
    return form.getlist(name) if form is not None else []
