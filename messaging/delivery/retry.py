"""When again."""

import random
from datetime import datetime, timedelta

from django.conf import settings

from messaging.models import Category

from .outcomes import Verdict

# Seconds to wait at least, by category: who was refused as unknown, full or spam for now does not change in seconds.
SHORTEST_GAP = {Category.ADDRESS: 600, Category.POLICY: 600}


def max_tries() -> int:
    """How many tries a message has: the first, and one after each gap."""
    return len(settings.RETRY_GAPS) + 1


def give_up_at(first_try: datetime) -> datetime:
    """The end of the time in which a message is tried."""
    return first_try + timedelta(seconds=settings.RETRY_MAX_AGE)


def next_try(tries: int, verdict: Verdict, now: datetime, last: datetime) -> datetime | None:
    """When to try again after `tries` spent tries; None when they are used up, or it would be after `last`.

    A tenth of jitter keeps a thousand messages refused together from coming back together.
    """
    if tries >= max_tries():
        return None
    gap = settings.RETRY_GAPS[tries - 1]
    wanted = verdict.wait.total_seconds() or SHORTEST_GAP.get(Category(verdict.category), 0)
    again = now + timedelta(seconds=max(gap, wanted) * random.uniform(1.0, 1.1))  # noqa: S311
    return again if again <= last else None


def next_probe(failures: int, now: datetime) -> datetime:
    """When to probe an account again after `failures` set-up failures in a row."""
    gaps = settings.PROBE_GAPS or [900]
    return now + timedelta(seconds=gaps[min(failures, len(gaps)) - 1])
