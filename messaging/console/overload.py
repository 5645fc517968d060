"""The answers to requests that got no turn, and to those that the database gave up or put off."""

import logging
import sys
from collections.abc import Callable

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views import defaults

from messaging import concurrency
from messaging.access import passwords
from messaging.console import html_reader, searches
from messaging.delivery.store.group_commit import is_kept_waiting, is_read_only

log = logging.getLogger(__name__)

# The heading, and why.
WORDS: dict[type[concurrency.Busy], tuple[str, str]] = {
    passwords.Busy: (
        "Too many sign-ins at the moment", "The server is checking as many passwords as it can.",
    ),
    searches.Busy: (
        "Too many searches at the moment", "The server is making as many searches as it can.",
    ),
    searches.BusyOrdering: (
        "Too many large changes at the moment", "The server is still changing many other messages at once.",
    ),
    html_reader.Busy: (
        "Too many messages are being opened at the moment", "The server is reading as many messages as it can.",
    ),
}  # fmt: skip
LOCKED = ("The database is busy", "A large change is being written.")
READ_ONLY = ("The database accepts no changes at the moment", "It is being moved, or another server takes over.")
QUERY_CANCELED = "57014"  # PostgreSQL's code for a statement over its time


class BusyMiddleware:
    """Says "try again" where too many ask for the same costly work, and "too long" where the database gave up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, concurrency.Busy):
            return _try_again(request, *WORDS[type(error)])
        if isinstance(error, OperationalError) and getattr(error.__cause__, "sqlstate", "") == QUERY_CANCELED:
            log.error("%s was ended: a statement took longer than it may", request.path)
            return render(request, "503.html", status=503)
        return _put_off(request, error)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500, which is told of errors outside of views, too."""
    error = sys.exc_info()[1]
    return (_put_off(request, error) if error is not None else None) or defaults.server_error(request)


def _put_off(request: HttpRequest, error: BaseException) -> HttpResponse | None:
    """The answer where the database could not write; None where that is not what is wrong."""
    if is_read_only(error):
        return _try_again(request, *READ_ONLY)
    return _try_again(request, *LOCKED) if is_kept_waiting(error) else None


def _try_again(request: HttpRequest, heading: str, why: str) -> HttpResponse:
    response = render(request, "errors/busy.html", {"heading": heading, "why": why}, status=503)
    response["Retry-After"] = "5"
    return response
