"""Whose settings a page of Email Setup is about: the company's, a user's, or one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from .guard import admins_only, of_account, who


class Whose(StrEnum):
    """Whose settings; the value is the name of their page, and begins the names of the pages below it."""

    COMPANY = "setup-email"
    USER = "setup-user"
    OWN = "preferences-email"


@dataclass(frozen=True)
class Target:
    """The layer that a page shows and changes; `account` is None for the company's."""

    whose: Whose
    account: User | None = None

    def url(self, page: str = "") -> str:
        """The address of its page, or of a page below it: "check", "test", "sign-in"."""
        arguments = [self.account.get_username()] if self.account and self.whose == Whose.USER else []
        return reverse(f"{self.whose}-{page}" if page else self.whose, args=arguments)


def of_target(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page about settings: the view gets their `target`, which only administrators choose beside their own.

    The address says `whose`, and the `username` where they are a user's.
    """

    @admins_only
    def of_company(request: HttpRequest, /, **options: object) -> HttpResponseBase:
        return view(request, target=Target(Whose.COMPANY), **options)

    @admins_only
    @of_account
    def of_user(request: HttpRequest, /, account: User, **options: object) -> HttpResponseBase:
        return view(request, target=Target(Whose.USER, account), **options)

    def own(request: HttpRequest, /, **options: object) -> HttpResponseBase:
        return view(request, target=Target(Whose.OWN, who(request)), **options)

    pages = {Whose.COMPANY: of_company, Whose.USER: of_user, Whose.OWN: own}

    @wraps(view)
    def page(request: HttpRequest, /, *, whose: Whose, **options: object) -> HttpResponseBase:
        return pages[whose](request, **options)

    return page
