"""Between the password and the code: the session knows who it is, and opens nothing yet.

It holds for a few minutes, for the password that was entered, and for so many wrong codes.
"""

from dataclasses import asdict, dataclass

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from messaging.access import second_factor

KEY = "half_signed_in"  # in the session
SECONDS = 300
MOST_WRONG = 5


@dataclass
class HalfSignedIn:
    """Whose password was entered, at what second since 1970, its hash then, where to go afterwards, and wrong codes."""

    user: int
    at: float
    password: str
    next: str = ""
    wrong: int = 0


def begin(request: HttpRequest, user: User, next_page: str) -> None:
    """The password was right. The session gets another key, so that none is known from before."""
    request.session.cycle_key()
    _write(request, HalfSignedIn(user.pk, timezone.now().timestamp(), user.get_session_auth_hash(), next_page))


def read(request: HttpRequest) -> HalfSignedIn | None:
    """What the session knows; None: no password was entered here."""
    kept = request.session.get(KEY)
    return HalfSignedIn(**kept) if kept else None


def user_of(half: HalfSignedIn) -> User | None:
    """Who may enter the code; None: it took too long, or the user was deactivated or has another password."""
    if abs(timezone.now().timestamp() - half.at) > SECONDS:
        return None
    user = User.objects.filter(pk=half.user, is_active=True).first()
    is_same = user is not None and constant_time_compare(user.get_session_auth_hash(), half.password)
    return user if is_same else None


def count_wrong(request: HttpRequest, half: HalfSignedIn) -> bool:
    """A code was wrong; whether that was the last one."""
    half.wrong += 1
    if half.wrong >= MOST_WRONG:
        end(request)
        return True
    _write(request, half)
    return False


def end(request: HttpRequest) -> None:
    """Forget who it is."""
    request.session.pop(KEY, None)


def enter(request: HttpRequest, user: User, app: int | None) -> bool:
    """Sign a user in whose password was right, and a code of `app` if they have one; False: they have another now."""
    with second_factor.held(user) as now:
        if now != app:
            return False
        end(request)
        login(request, user)
        request.session.save()  # while it is held
    return True


def _write(request: HttpRequest, half: HalfSignedIn) -> None:
    request.session[KEY] = asdict(half)
