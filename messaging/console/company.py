"""The company's options for each page: its name, and its time zone and language for everything that is shown."""

from collections.abc import Callable
from typing import cast

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from messaging.models import CompanyOptions
from messaging.setup.options import local, options


class CompanyMiddleware:
    """Sets `request.company`, read when somebody asks for it, once per request.

    People who signed in see times and words as the company has them; monitors cost no statement. What was changed by
    another process is in effect with the next request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.company = SimpleLazyObject(options)  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return self.get_response(request)
        with local(company_of(request)):
            return self.get_response(request)


def company_of(request: HttpRequest) -> CompanyOptions:
    """The options as they were when this request came in."""
    return cast(CompanyOptions, request.company)  # type: ignore[attr-defined]
