"""What the browser is told of sign-in limits, whatever page asked for a password or a code."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from messaging.access.sign_in_throttling import Door, TooSoon, devices


class SignInMiddleware:
    """Answers a try that came too soon by 429, and gives the device on which a user signed in its cookie."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        devices.mark(request, response)
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, TooSoon):
            return None
        context = {"until": error.until, "wait": in_words(error.seconds), "is_code": error.door == Door.CODE}
        response = render(request, "429.html", context, status=429)
        response["Retry-After"] = str(error.seconds)
        response["Cache-Control"] = "no-store"
        return response


def in_words(seconds: int) -> str:
    """How long to wait: "1 second", "40 seconds", "6 minutes"."""
    if seconds > 90:
        return f"{-(-seconds // 60)} minutes"
    return "1 second" if seconds == 1 else f"{seconds} seconds"
