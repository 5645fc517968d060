"""Who may call a view, and how; refusals in the house style."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, cast

from django.contrib.auth.models import User
from django.contrib.auth.views import LogoutView, PasswordChangeView
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django_htmx.middleware import HtmxDetails

from messaging import roles
from messaging.console.filters import query_of

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def who(request: HttpRequest) -> User:
    """The person at the browser; LoginRequiredMiddleware lets nobody else through."""
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
    def guarded(request: HttpRequest, *args: P.args, **options: P.kwargs) -> HttpResponseBase:
        if request.method != "POST":
            response = render(request, "messaging/405.html", status=405)
            response["Allow"] = "POST"
            return response
        return view(request, *args, **options)

    return guarded


def _only(may: Callable[[User], bool], words: str) -> Callable[[View[P]], View[P]]:
    def guard(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **options: P.kwargs) -> HttpResponseBase:
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
    words = "With your role you may look at messages, and not change or send them."
    return _only(roles.may_operate, words)(view)


class RoleMiddleware:
    """Nobody without a role sees anything but their own account: views that forget to ask are not open to all."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., object], *args: object) -> None:
        """Raises PermissionDenied."""
        is_own = issubclass(getattr(view, "view_class", type(None)), (LogoutView, PasswordChangeView))
        is_open = is_own or not getattr(view, "login_required", True)
        if request.user.is_authenticated and not is_open and not roles.may_view(who(request)):
            raise PermissionDenied("You have no role here yet.")


def back_to(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect after an action, keeping the list's filter that the form passed on as `filter`."""
    query = query_of(QueryDict(request.POST.get("filter", "")))
    return HttpResponseRedirect(f"{url}?{query}" if query else url)
