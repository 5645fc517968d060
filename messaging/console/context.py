"""What every page shows around its content: the menu, and what keeps mail from being sent."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from django.contrib.auth.models import User
from django.db.models import Exists, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from messaging import roles, sending
from messaging.delivery import refusal
from messaging.housekeeping import SWEEP, WORKER
from messaging.models import AccountPause, Heartbeat
from messaging.setup import opt_files

SILENT_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Role:
    """What the person at the browser may do, for templates."""

    request: HttpRequest

    @property
    def is_admin(self) -> bool:
        return roles.is_admin(cast(User, self.request.user))

    @property
    def may_view(self) -> bool:
        return self.request.user.is_authenticated and roles.may_view(self.request.user)

    @property
    def admins(self) -> QuerySet[User]:
        """Whom to ask."""
        return roles.admins()

    @property
    def may_operate(self) -> bool:
        return roles.may_operate(cast(User, self.request.user))


@dataclass(frozen=True)
class Obstacles:
    """Why nothing is being sent: what is paused, background processes that have not reported, and servers whose
    `.opt` files cannot be understood (by name, what is wrong with them).

    Limits and sending windows are what somebody wished, and no obstacles.

    `silent_since` is meaningful when `is_silent`; None then means that they never reported. With `worker_lives` it is
    beat alone that is silent.
    """

    pauses: list[AccountPause]
    is_silent: bool
    silent_since: datetime | None
    refusing: dict[str, list[str]] = field(default_factory=dict)
    worker_lives: bool = True


def console(request: HttpRequest) -> dict[str, object]:
    """Template context of every page; costs a query only where the page shows it."""
    return {"obstacles": SimpleLazyObject(obstacles), "role": Role(request)}


def obstacles() -> Obstacles:
    """One statement while all is well."""
    now = timezone.now()
    pauses = sending.holding(now).exclude(kind__in=sending.OF_SETTINGS)
    notes = refusal.notes(now)
    hearts = Heartbeat.objects.filter(name__in=[SWEEP, WORKER]).annotate(paused=Exists(pauses), noted=Exists(notes))
    beats = {heart.name: heart for heart in hearts}
    told = next(iter(beats.values()), None)
    found = [] if told is not None and not told.paused else sending.gravest_first(pauses)
    refusing = {} if told is not None and not told.noted else _noted(notes)
    alive = {name for name, heart in beats.items() if now - heart.at <= SILENT_AFTER}
    since = beats[SWEEP].at if SWEEP in beats else None
    here = opt_files.read()
    if here.errors:
        refusing[refusal.server_name()] = [str(error) for error in here.errors]
    # A worker sweeps; so it lives while beat makes it do that.
    return Obstacles(found, SWEEP not in alive, since, refusing, worker_lives=bool(alive))


def _noted(notes: QuerySet[Heartbeat]) -> dict[str, list[str]]:
    return {note.name.removeprefix(refusal.PREFIX): note.note.splitlines() for note in notes.order_by("name")}
