"""Where users are signed in: for how long that holds, and what ends it.

Ended is ended: the row is deleted, and no request that is under way writes it again (store.py).
"""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from messaging.access.sign_in_throttling.client import UNKNOWN, address_of
from messaging.models import CompanyOptions, UserSession

NOTED_EACH = timedelta(seconds=30)  # a user who is active at one address costs one statement in that time
WARNED = timedelta(minutes=5)  # before the end
SKEW = timedelta(seconds=5)  # clocks of several machines differ
CHUNK = 500


class SessionEnded(Exception):
    """In plain words: why what was asked with a password is not done. Let it pass: the console leads to the sign-in."""


def ends_at(row: UserSession, company: CompanyOptions, now: datetime) -> datetime:
    """When a session ends if nothing is done until then; a time that lies ahead counts as now."""
    idle, most = _limits(company)
    return min(min(row.active_at, now) + idle, min(row.started_at, now) + most)


def is_idle(row: UserSession, company: CompanyOptions, now: datetime) -> bool:
    """Whether a session ends, or has ended, because nothing is done; else because it has gone on for so long."""
    idle, most = _limits(company)
    return min(row.active_at, now) + idle <= min(row.started_at, now) + most


def _limits(company: CompanyOptions) -> tuple[timedelta, timedelta]:
    return timedelta(minutes=company.idle_minutes), timedelta(hours=company.session_hours)


def time_left(row: UserSession, company: CompanyOptions, now: datetime) -> dict[str, int | bool]:
    """For browsers: `seconds` until the end, how many before it they `warn`, and whether activity puts it off
    (`may_stay`).
    """
    seconds = (ends_at(row, company, now) - now).total_seconds()
    warn = min(WARNED, _limits(company)[0] / 4).total_seconds()
    return {"seconds": max(0, int(seconds)), "warn": int(warn), "may_stay": is_idle(row, company, now)}


def note_use(row: UserSession, request: HttpRequest, now: datetime, *, is_active: bool) -> None:
    """The session is used from this address: by its user just now, or by a page that asks by itself.

    One that was ended meanwhile stays ended.
    """
    address = address_of(request)
    values: dict[str, Any] = {"address": address} if row.address not in ("", UNKNOWN, address) else {}
    if is_active and abs(now - row.active_at) >= NOTED_EACH:
        values = {"address": address, "active_at": now}
    if values:
        row.address, row.active_at = address, values.get("active_at", row.active_at)
        UserSession.objects.filter(pk=row.pk).update(**values)


def bring_back(row: UserSession, now: datetime) -> None:
    """What a clock that was ahead has dated counts from now, or it would hold for years."""
    if max(row.active_at, row.started_at) > now + SKEW:
        row.active_at, row.started_at = min(row.active_at, now), min(row.started_at, now)
        UserSession.objects.filter(pk=row.pk).update(active_at=row.active_at, started_at=row.started_at)


def live(user: User, company: CompanyOptions, now: datetime) -> QuerySet[UserSession]:
    """Where a user is signed in, the one that was active last first."""
    idle, most = _limits(company)
    return UserSession.objects.filter(
        user=user, expires_at__gt=now, active_at__gt=now - idle, started_at__gt=now - most
    ).order_by("-active_at", "-pk")


def end(user: User, pk: int) -> bool:
    """End one session of a user; whether there was one."""
    return UserSession.objects.filter(user=user, pk=pk).delete()[0] > 0


def end_all(user: User, *, but: UserSession | None = None) -> int:
    """End the sessions of a user for good, on all devices; how many there were.

    It takes the lock of the user's row, as a sign-in does at its end: one that is under way comes before or after.
    """
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        found = UserSession.objects.filter(user=user)
        return (found.exclude(pk=but.pk) if but is not None else found).delete()[0]


def confirm(user: User, here: UserSession | None) -> None:
    """Lock the row of a user who proved who they are, until the end of the transaction; what it rests on still holds.

    Who gives them another password, or ends their sessions, takes that lock: what is under way comes before or after.

    Args:
        user: as they were when their password was compared.
        here: the session in which they ask.

    Raises:
        Over: they have another password by now, or that session has ended.
    """
    now = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    if now is not None and now.password != user.password:
        raise SessionEnded("Your password was changed in the meantime. Sign in again.")
    if now is None or (here is not None and not UserSession.objects.filter(pk=here.pk, user=user).exists()):
        raise SessionEnded("You were signed out in the meantime. Sign in again.")


def row_of(request: HttpRequest) -> UserSession | None:
    """The session of a request, as it was when the request came in."""
    row: UserSession | None = getattr(getattr(request, "session", None), "row", None)
    return row


def begin(sender: Any, request: HttpRequest | None, user: User, **kwargs: Any) -> None:
    """Django's signal `user_logged_in`: from now on this session is that user's, at this address in this browser."""
    if request is not None and hasattr(request, "session"):
        browser = request.META.get("HTTP_USER_AGENT", "")[:300]
        request.session.begun = (address_of(request), browser)  # type: ignore[attr-defined]


def forget(now: datetime, company: CompanyOptions) -> None:
    """Drop the sessions that are over, and those of users who were deactivated past the console."""
    idle, most = _limits(company)
    over = Q(expires_at__lt=now) | Q(active_at__lt=now - idle) | Q(started_at__lt=now - most) | Q(user__is_active=False)
    _drop(UserSession.objects.filter(over).order_by("pk"))


def _drop(rows: QuerySet[UserSession]) -> None:
    while True:
        with transaction.atomic():
            found = list(rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)[:CHUNK])
            UserSession.objects.filter(pk__in=found).delete()
        if len(found) < CHUNK:
            return
