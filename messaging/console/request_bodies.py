"""What a request brings is received before it is looked at who asks: that may take as long as the sender likes."""

from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, QueryDict, UnreadablePostError
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, resolve

# The pages whose forms have files; their views say how large these may be.
WITH_FILES = ("message-new", "message-edit", "setup-email", "setup-user", "preferences-email")


class BodyMiddleware:
    """Reads the form of every request; where no file belongs in it, one that is too large is refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "POST":
            if _is_too_large(request):
                request.user = AnonymousUser()  # who asks is not looked at
                return render(request, "413.html", status=413)
            with suppress(UnreadablePostError):  # the browser is gone; without its token nothing is done
                _form_of(request)
        return self.get_response(request)


def _form_of(request: HttpRequest) -> QueryDict:
    return request.POST


def _is_too_large(request: HttpRequest) -> bool:
    """Django looks only at what is no file."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    length = request.META.get("CONTENT_LENGTH") or "0"
    return most is not None and length.isdecimal() and int(length) > most and not _takes_files(request)


def _takes_files(request: HttpRequest) -> bool:
    try:
        return resolve(request.path_info).url_name in WITH_FILES
    except Resolver404:
        return False
