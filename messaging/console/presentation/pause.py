"""A pause of the history, as people read it."""

from datetime import datetime

from django.utils import timezone

from messaging.models import AccountPause


def pause_ended(pause: AccountPause) -> datetime | None:
    """Since when a pause of the history holds no more, also where no sweep has written it down yet."""
    is_over = pause.until is not None and pause.until <= timezone.now() and pause.kind not in AccountPause.PROBED
    return pause.ended_at or (pause.until if is_over else None)
