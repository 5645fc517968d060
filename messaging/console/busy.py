"""The answer to whom there is no room for at the moment."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from messaging.passwords import Busy


class BusyMiddleware:
    """Says "try again" where too many passwords are being checked, at whichever page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, Busy):
            return None
        response = render(request, "messaging/busy.html", status=503)
        response["Retry-After"] = "5"
        return response
