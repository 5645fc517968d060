"""Searching for words reads every message: in turn, so that the other pages have threads and processors left."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse, QueryDict

from messaging.turns import Busy as NoTurn
from messaging.turns import Turns

AT_ONCE = 1  # in a process
WAITING = 3
SECONDS = 5.0
IN_WORDS = ("q", "sender")
P = ParamSpec("P")


class Busy(NoTurn):
    """Too many searches are being made, and this one was not."""


turns = Turns(AT_ONCE, WAITING, SECONDS, Busy)


def in_turn(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """A view that waits for its turn where it was asked to search: by its address, or for all that match."""

    @wraps(view)
    def waiting(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        asked = QueryDict(request.POST.get("filter", "")) if request.POST.get("all_matching") == "1" else request.GET
        if not any(asked.get(name) for name in IN_WORDS):
            return view(request, *args, **kwargs)
        with turns.one():
            return view(request, *args, **kwargs)

    return waiting
