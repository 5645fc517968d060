"""The company's options for each page: its name, and its time zone and language for everything that is shown."""

from collections.abc import Callable
from typing import cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import SimpleLazyObject

from messaging.access import roles
from messaging.company.options import local, options
from messaging.models import CompanyOptions


class CompanyMiddleware:
    """Sets `request.company`, read with the person, or when someone asks for it.

    People who signed in see times and words as the company has them; monitors cost no statement. What was changed by
    another process is in effect with the next request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.company = SimpleLazyObject(lambda: _company_of(request))  # type: ignore[attr-defined]
        if not request.user.is_authenticated:
            return self.get_response(request)
        with local(company_of(request)):
            return self.get_response(request)


def _company_of(request: HttpRequest) -> CompanyOptions:
    user = request.user
    return roles.company_of(user) if isinstance(user, User) else options()


def company_of(request: HttpRequest) -> CompanyOptions:
    """The options as they were when this request came in."""
    return cast(CompanyOptions, request.company)  # type: ignore[attr-defined]
