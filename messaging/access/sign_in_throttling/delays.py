"""Who is delayed at signing in, for administrators."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib.auth.models import User
from django.db.models import Q

from messaging.access.sign_in_throttling import (
    ADDRESS,
    KEPT,
    KNOWN_DEVICE,
    PLACE,
    account_of,
    is_of_all,
    limit_of,
    wait,
)
from messaging.models import SignInTries

MOST = 200
PLACES_SHOWN = 3


@dataclass
class Delay:
    """What was tried of a user, or of any user from one address (`user` None), in the last day.

    `until` is when the last delay ends; None: it has ended. `places` are addresses and "known device", at most
    PLACES_SHOWN; there are `more`.
    """

    user: User | None
    since: datetime
    tries: int = 0
    until: datetime | None = None
    places: list[str] = field(default_factory=list)
    more: int = 0


def found(users: Iterable[User], now: datetime) -> list[Delay]:
    """The delays of these users and of addresses, those first that were tried last."""
    of_digest = {account_of(user.get_username()): user for user in users}
    enough = Q(account="", tries__gte=ADDRESS.free) | Q(account__in=of_digest, tries__gte=PLACE.free)
    delays: dict[str, Delay] = {}
    for row in SignInTries.objects.filter(enough, last_at__gte=now - KEPT).order_by("-last_at")[:MOST]:
        if is_of_all(row) and row.tries < limit_of(row).free:
            continue
        _add(delays.setdefault(row.account or row.place, Delay(of_digest.get(row.account), row.since)), row, now)
    return list(delays.values())


def _add(delay: Delay, row: SignInTries, now: datetime) -> None:
    delay.since = min(delay.since, row.since)
    if (left := wait(row, now)).total_seconds() > 0:
        delay.until = max(delay.until or now, now + left)
    if is_of_all(row):  # the same tries once more, and those of addresses that had few
        delay.tries = max(delay.tries, row.tries)
        return
    delay.tries = max(delay.tries, row.tries) if not row.account else delay.tries + row.tries
    place = KNOWN_DEVICE.strip() if row.place.startswith(KNOWN_DEVICE) else row.place
    if len(delay.places) < PLACES_SHOWN:
        delay.places.append(place)
    else:
        delay.more += 1
