"""Who may call a view, and how; refusals in the house style."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib import messages as notes
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

from messaging.access import roles, second_factor
from messaging.console.filters import query_of
from messaging.console.form_refill import ACCOUNT_KEY

P = ParamSpec("P")
# Pages about one's own account, for users without a role as well.
SECURITY, SET_UP = "preferences-security", "preferences-security-set-up"
OWN = (
    "logout", "preferences-password", "preferences-sessions", "preferences-sessions-end", SECURITY, SET_UP,
    f"{SECURITY}-codes", f"{SECURITY}-off",
)  # fmt: skip
LONGEST_QUERY = 8000  # the web server takes no longer address (config/server.py, LONGEST_START_LINE)
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def who(request: HttpRequest) -> User:
    """The person at the browser; LoginRequiredMiddleware lets no one else through."""
    return cast(User, request.user)


def is_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of the page (and not for a whole one, as it does on the way back)."""
    htmx: HtmxDetails | None = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.history_restore_request


def clean_url(request: HttpRequest) -> str:
    """The address of a list without the filters that are empty, for the browser's address bar."""
    query = query_of(request.GET)
    return f"{request.path}?{query}" if query else request.path


def post_only(view: View[P]) -> View[P]:
    """An action: anything but POST changes nothing and is told so (405)."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **options: P.kwargs) -> HttpResponseBase:
        if request.method != "POST":
            response = render(request, "405.html", status=405)
            response["Allow"] = "POST"
            return response
        return view(request, *args, **options)

    return guarded


def _only(may: Callable[[User], bool], words: str) -> Callable[[View[P]], View[P]]:
    def guard(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **options: P.kwargs) -> HttpResponseBase:
            if not may(who(request)):
                raise PermissionDenied(words)
            return view(request, *args, **options)

        return guarded

    return guard


def admins_only(view: View[P]) -> View[P]:
    """Setup pages; others get the house's 403."""
    return _only(roles.is_admin, "Only an administrator can see and change this page.")(view)


def operators_only(view: View[P]) -> View[P]:
    """Whatever changes, sends or writes messages."""
    words = "With your role you may look at messages, but not change or send them."
    return _only(roles.may_operate, words)(view)


def of_account(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page about the user whose name is in its address: the view gets the user as `account`.

    User names change hands. A form says by key whom its page was about (setup/_whose.html); where another user has the
    name by now, nothing is done.
    """

    @wraps(view)
    def guarded(request: HttpRequest, /, *, username: str, **options: object) -> HttpResponseBase:
        account = get_object_or_404(User, username=username)
        if request.POST.get(ACCOUNT_KEY, str(account.pk)) == str(account.pk):
            return view(request, account=account, **options)
        words = "Nothing was done: “%s” is now the name of another user. Open the settings of the user you mean."
        notes.warning(request, words % username)
        url = reverse("setup-email-users")
        client: HttpResponse = HttpResponseClientRedirect(url) if is_part(request) else redirect(url)
        return client

    return guarded


class RoleMiddleware:
    """No one without a role sees anything but their own account: views that forget to ask are not open to all."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., object], *args: object) -> None:
        """Raises PermissionDenied."""
        is_open = _name_of(request) in OWN or not getattr(view, "login_required", True)
        if request.user.is_authenticated and not is_open and not roles.may_view(who(request)):
            raise PermissionDenied("You have no role here yet.")


class SecondFactorMiddleware:
    """A user whose role needs a second factor, and who has none, sets it up before anything else."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., object], *args: object) -> HttpResponse | None:
        """Lead a user there who wants to see a page; nothing is done that was to be done (403)."""
        is_open = _name_of(request) in ("logout", SET_UP) or not getattr(view, "login_required", True)
        if is_open or not request.user.is_authenticated or not second_factor.is_missing(who(request)):
            return None
        if getattr(request, "htmx", False):
            client: HttpResponse = HttpResponseClientRedirect(reverse(SET_UP))
            return client
        if request.method in ("GET", "HEAD"):
            return redirect(f"{reverse(SET_UP)}?{urlencode({'next': request.get_full_path()})}")
        return render(request, "second_factor/needed.html", status=403)


def _name_of(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return match.url_name if match is not None else None


def passed_on(request: HttpRequest) -> QueryDict:
    """The list's filter, which a form passes on as `filter`."""
    try:
        return QueryDict(request.POST.get("filter", ""))
    except TooManyFieldsSent:
        return QueryDict()


def back_to(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect after an action, keeping the list's filter that the form passed on."""
    query = query_of(passed_on(request))
    if len(query) > LONGEST_QUERY:  # no page had it: what was done is told without
        query = ""
    return HttpResponseRedirect(f"{url}?{query}" if query else url)
