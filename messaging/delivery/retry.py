"""When again."""

import random
from datetime import datetime, timedelta

from django.conf import settings


def max_tries() -> int:
    """How many tries a message has: the first, and one after each gap."""
    return len(settings.RETRY_GAPS) + 1


def next_try(tries: int, now: datetime) -> datetime | None:
    """When to try again after `tries` spent tries; None when they are used up.

    A tenth of jitter keeps a thousand messages refused together from coming back together.
    """
    if tries >= max_tries():
        return None
    return now + timedelta(seconds=settings.RETRY_GAPS[tries - 1] * random.uniform(1.0, 1.1))  # noqa: S311


def next_probe(failures: int, now: datetime) -> datetime:
    """When to probe an account again after `failures` set-up failures in a row."""
    gaps = settings.PROBE_GAPS or [900]
    return now + timedelta(seconds=gaps[min(failures, len(gaps)) - 1])
