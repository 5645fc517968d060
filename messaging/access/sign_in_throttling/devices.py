"""Known devices: browsers in which a user has signed in, told by a signed cookie that a new password ends."""

import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.crypto import constant_time_compare, salted_hmac

from messaging.access.sign_in_throttling.client import address_of
from messaging.models import SignedIn

COOKIE = "device"
SALT = "messaging.access.sign_in_throttling.devices"
KEPT_SECONDS = 180 * 24 * 3600
MOST_USERS = 5  # of one browser: those who signed in last
JUST_SIGNED_IN = "just_signed_in"  # an attribute of the request

# The number of a user, a random name of the device, and a digest of the password hash that it was made under.
Entry = tuple[int, str, str]


def known(request: HttpRequest | None, name: str) -> str:
    """The device, where it is known to the user of that name; "" otherwise. Costs a statement only with a cookie."""
    entries = _entries(request)
    if not entries:
        return ""
    user = User.objects.filter(username=name).only("pk", "password").first()
    return _device(entries, user) if user is not None else ""


def note(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Django's signal `user_logged_in`: a user came in through all doors."""
    row = SignedIn(user=user, address=address_of(request))
    SignedIn.objects.bulk_create([row], update_conflicts=True, unique_fields=["user"], update_fields=["address"])
    remember(request, user)


def remember(request: HttpRequest | None, user: User) -> None:
    """The device of this request is known to a user from its answer on."""
    if request is not None:
        setattr(request, JUST_SIGNED_IN, user)


def mark(request: HttpRequest, response: HttpResponseBase) -> None:
    """Give the browser its cookie, where a user has just signed in."""
    user: User | None = getattr(request, JUST_SIGNED_IN, None)
    if user is None:
        return
    entries = _entries(request)
    device = _device(entries, user) or secrets.token_hex(8)
    others = [entry for entry in entries if entry[0] != user.pk]
    value = signing.dumps([(user.pk, device, _digest(user)), *others][:MOST_USERS], salt=SALT)
    response.set_cookie(
        COOKIE, value, max_age=KEPT_SECONDS, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )


def _entries(request: HttpRequest | None) -> list[Entry]:
    value = request.COOKIES.get(COOKIE, "") if request is not None else ""
    if not value:
        return []
    try:
        return [(pk, device, digest) for pk, device, digest in signing.loads(value, salt=SALT, max_age=KEPT_SECONDS)]
    except signing.BadSignature:
        return []


def _device(entries: list[Entry], user: User) -> str:
    fitting = (
        device for pk, device, digest in entries if pk == user.pk and constant_time_compare(digest, _digest(user))
    )
    return next(fitting, "")


def _digest(user: User) -> str:
    return salted_hmac(SALT, user.password).hexdigest()[:16]
