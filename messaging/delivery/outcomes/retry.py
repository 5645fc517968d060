"""When again: a message, and an account that was turned away (RFC 5321 4.5.4.1)."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from messaging.company.options import RetryLimits
from messaging.delivery.outcomes.verdict import Kind, Pace, Verdict
from messaging.models import Category

MINUTE, HOUR = 60, 3600

# Seconds between tries where the reason is known, before the general ones of settings.RETRY_GAPS continue.
KNOWN_GAPS: dict[Kind, Sequence[int]] = {
    Kind.GREYLISTING: (5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE),
    Kind.REST_AT_ONCE: (1, 5 * MINUTE, 15 * MINUTE),
    Kind.BROKEN_OFF: (MINUTE, 5 * MINUTE, 15 * MINUTE),
    Kind.STORE_AWAY: (5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 20 * HOUR),
    Kind.MAILBOX_BUSY: (15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR),
}
# The only tries there are: someone should look at the address the same day, and a full mailbox needs its owner.
LAST_GAPS: dict[Kind, Sequence[int]] = {
    Kind.IN_DOUBT: (5 * MINUTE, 30 * MINUTE, 2 * HOUR),
    Kind.MAILBOX_FULL: (HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR),
}
# A server that took it for spam, or minds our set-up, takes quick tries for more of it.
UNWELCOME_GAPS = (30 * MINUTE, 2 * HOUR, 6 * HOUR)

# Seconds between probes of an account that its server wants slower.
PACE_GAPS: dict[Pace, Sequence[int]] = {
    Pace.UNTOLD: (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE),
    Pace.MINUTES: (MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE),
    Pace.HOURS: (HOUR, 2 * HOUR, 4 * HOUR),
}


NO_LIMITS = RetryLimits()
ONCE = RetryLimits(max_tries=1)


def max_tries(verdict: Verdict | None = None, limits: RetryLimits = NO_LIMITS) -> int:
    """How many tries a message has at most: the first, and one after each gap."""
    return len(_gaps(verdict, limits)) + 1


def give_up_at(first_try: datetime, limits: RetryLimits = NO_LIMITS) -> datetime:
    """The end of the time in which a message is tried."""
    return first_try + timedelta(seconds=limits.max_age or settings.RETRY_MAX_AGE)


def next_try(
    tries: int, verdict: Verdict, now: datetime, last: datetime, limits: RetryLimits = NO_LIMITS
) -> datetime | None:
    """When to try again after `tries` spent tries; None when they are used up, or it would be after `last`.

    A tenth of jitter keeps a thousand messages refused together from coming back together.
    """
    gaps = _gaps(verdict, limits)
    if tries > len(gaps):
        return None
    gap = gaps[tries - 1]
    if verdict.wait:
        general = settings.RETRY_GAPS[min(tries, len(settings.RETRY_GAPS)) - 1]
        gap = max(general, int(verdict.wait.total_seconds()))
    again = now + timedelta(seconds=gap * random.uniform(1.0, 1.1))  # noqa: S311
    return again if again <= last else None


def slow_down_until(verdict: Verdict, failures: int, now: datetime, *, is_sure: bool) -> datetime:
    """How long an account leaves a server alone that wants it slower, for the `failures`th time in a row.

    Where it is not sure that it concerns the account, it is tried again within minutes, whatever the server asks for.
    """
    if not is_sure:
        return now + timedelta(seconds=_gap(PACE_GAPS[Pace.UNTOLD], failures))
    return now + max(timedelta(seconds=_gap(PACE_GAPS[verdict.pace], failures)), verdict.wait)


def _gaps(verdict: Verdict | None, limits: RetryLimits) -> Sequence[int]:
    gaps = _known_gaps(verdict)
    if limits.max_tries is None:
        return gaps
    is_last = verdict is not None and verdict.kind in LAST_GAPS
    more = [] if is_last else [gaps[-1] if gaps else HOUR] * (limits.max_tries - 1 - len(gaps))
    return [*gaps, *more][: limits.max_tries - 1]


def _known_gaps(verdict: Verdict | None) -> Sequence[int]:
    general: list[int] = settings.RETRY_GAPS
    if verdict is None:
        return general
    if verdict.kind in LAST_GAPS:
        return LAST_GAPS[verdict.kind]
    is_unwelcome = verdict.category in (Category.POLICY, Category.SETUP)
    known = KNOWN_GAPS.get(verdict.kind, UNWELCOME_GAPS if is_unwelcome else ())
    return [*known, *general[len(known) :]]


def _gap(gaps: Sequence[int], number: int) -> int:
    return gaps[min(number, len(gaps)) - 1]
