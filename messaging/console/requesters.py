"""Who asks, known before a request has a thread: the web server gives no user all of them (config/server.py)."""

import hashlib
from contextlib import suppress

from django.conf import settings
from django.http import HttpRequest, parse_cookie

REMEMBERED = 10_000  # sessions

_users: dict[bytes, int] = {}  # by the digest of the session's cookie, the oldest first


def remember(request: HttpRequest) -> None:
    """Note whose session it is, for the requests that come after this one."""
    cookie = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    if not cookie or request.user.pk is None:
        return
    _users[_digest(cookie)] = request.user.pk
    while len(_users) > REMEMBERED:
        with suppress(StopIteration, RuntimeError, KeyError):  # of another thread that does the same
            del _users[next(iter(_users))]


def user_of(cookies: str) -> int | None:
    """The number of the user whose session the header field Cookie names; None: no one whom this process has served."""
    cookie = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME, "")
    return _users.get(_digest(cookie)) if cookie else None


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
