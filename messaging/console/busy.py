"""The answers to requests that got no turn, and to those whose statement took too long."""

import logging
from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from messaging import passwords, turns
from messaging.console import searches

log = logging.getLogger(__name__)

PAGES = {passwords.Busy: "messaging/busy.html", searches.Busy: "messaging/busy_searching.html"}
QUERY_CANCELED = "57014"  # PostgreSQL's code for a statement over its time


class BusyMiddleware:
    """Says "try again" where too many ask for the same costly work, and "too long" where the database gave up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, turns.Busy):
            response = render(request, PAGES[type(error)], status=503)
            response["Retry-After"] = "5"
            return response
        if isinstance(error, OperationalError) and getattr(error.__cause__, "sqlstate", "") == QUERY_CANCELED:
            log.error("%s was ended: a statement took longer than it may", request.path)
            return render(request, "503.html", status=503)
        return None
