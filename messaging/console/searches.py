"""Searching for words reads every message, and an order for all that match writes many.

They are done in turn, so that the other pages have threads, processors and the database left.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse

from messaging.concurrency import Busy as NoTurn
from messaging.concurrency import ConcurrencyLimit

AT_ONCE = 1  # in a process
WAITING = 3
SECONDS = 5.0
IN_WORDS = ("q", "sender")
P = ParamSpec("P")


class Busy(NoTurn):
    """Too many searches are being made, and this one was not."""


class BusyOrdering(NoTurn):
    """Too many orders for all that match are being carried out, and this one was not."""


search_limit = ConcurrencyLimit(AT_ONCE, WAITING, SECONDS, Busy)
large_orders = ConcurrencyLimit(AT_ONCE, WAITING, SECONDS, BusyOrdering)


def in_turn(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A view that waits for its turn where it searches for words, or is an order for all that match."""

    @wraps(view)
    def waiting(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.POST.get("all_matching") == "1":
            wanted = large_orders
        elif any(request.GET.get(name) for name in IN_WORDS):
            wanted = search_limit
        else:
            return view(request, *args, **kwargs)
        with wanted.one(str(request.user.pk)):
            return view(request, *args, **kwargs)

    return waiting
