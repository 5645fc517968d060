"""What a browser may keep of the console: nothing that it shows again without asking, nor after the sign-out."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.views import LogoutView
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

Response = TypeVar("Response", bound=HttpResponseBase)


class PrivateMiddleware:
    """Pages are for one user, and asked for anew each time. What says more of itself is left alone."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-cache")
        return response


def forget_all(response: Response) -> Response:
    """With this answer the browser forgets what it kept of the console."""
    # Not the cookies: one of them tells this device as the user's own, and spares it from sign-in limits.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


class Logout(LogoutView):
    """The browser forgets what it kept of the console, so that *Back* shows nothing of it."""

    next_page = "login"

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """None that a request names: it may be this one, which has no page."""
        return ""

    def dispatch(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        response: HttpResponse = super().dispatch(request, *args, **options)
        return forget_all(response)
