"""What every page shows around its content: the menu, and what keeps mail from being sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from messaging import sending
from messaging.housekeeping import SWEEP
from messaging.models import AccountPause, Heartbeat

SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Obstacles:
    """Why nothing is being sent: what is paused, and background processes that have not reported.

    Limits and sending windows are what somebody wished, and no obstacles.

    `silent_since` is meaningful when `is_silent`; None then means that they never reported.
    """

    pauses: list[AccountPause]
    is_silent: bool
    silent_since: datetime | None


def console(request: HttpRequest) -> dict[str, object]:
    """Template context of every page; costs a query only where the page shows it."""
    return {"obstacles": SimpleLazyObject(obstacles)}


def obstacles() -> Obstacles:
    """One statement while all is well."""
    now = timezone.now()
    pauses = sending.holding(now).exclude(kind__in=sending.OF_SETTINGS)
    beat = Heartbeat.objects.filter(name=SWEEP).annotate(paused=Exists(pauses)).first()
    found = [] if beat is not None and not beat.paused else sending.gravest_first(pauses)
    is_silent = beat is None or now - beat.at > SILENT_AFTER
    return Obstacles(found, is_silent, beat.at if beat else None)
