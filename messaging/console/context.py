"""What every page shows around its content: the menu, and what keeps mail from being sent."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from django.contrib.auth.models import User
from django.db.models import Count, Exists, IntegerField, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from messaging import notices
from messaging.access import roles, second_factor, sessions
from messaging.delivery import opt_file_block
from messaging.health import SILENT_AFTER
from messaging.housekeeping import BEAT, SWEEP, WORKER
from messaging.lifecycle import limits
from messaging.lifecycle.limits import OF_SETTINGS, gravest_first
from messaging.models import AccountPause, Heartbeat, Notice
from messaging.queue import pausing
from messaging.setup import opt_files
from messaging.wording import in_words

MOST_UNSEEN = 99


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
    def must_set_up(self) -> bool:
        """Whether they see nothing before they have a second factor."""
        return second_factor.is_missing(cast(User, self.request.user))

    @property
    def time_left(self) -> dict[str, int | bool] | None:
        """How long the session lasts, for the warning; None: no one is signed in."""
        row = sessions.row_of(self.request)
        return sessions.time_left(row, roles.company_of(cast(User, self.request.user)), timezone.now()) if row else None

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
    `.opt` files cannot be understood (by name, what is wrong with them); and how many notices the person has not seen.

    `restored` is the pause after a restore, told apart from the others. Limits and sending windows are what someone
    wished, and no obstacles.

    `silent_since` is when both were last seen at work; None: never. It is meaningful when `is_silent` or `is_busy`:
    both live, and the worker has no time for anything but sending. With `worker_lives` or `beat_lives` it is the other
    that is silent; with both, nothing that beat orders reaches the worker.
    """

    pauses: list[AccountPause]
    restored: AccountPause | None
    is_silent: bool
    silent_since: datetime | None
    refusing: dict[str, list[str]] = field(default_factory=dict)
    worker_lives: bool = True
    beat_lives: bool = True
    is_busy: bool = False
    unseen_notices: int = 0


def console(request: HttpRequest) -> dict[str, object]:
    """Template context of every page; costs a query only where the page shows it."""
    return {"obstacles": SimpleLazyObject(lambda: obstacles(cast(User, request.user))), "role": Role(request)}


def obstacles(person: User | None = None) -> Obstacles:
    """One statement while all is well, the number of a person's unseen notices in it."""
    now = timezone.now()
    pauses = pausing.holding(now).exclude(kind__in=OF_SETTINGS)
    notes = opt_file_block.notes(now)
    unseen = _number(notices.unseen(person)) if person is not None else Value(0)
    hearts = Heartbeat.objects.filter(name__in=[SWEEP, WORKER, BEAT])
    hearts = hearts.annotate(paused=Exists(pauses), noted=Exists(notes), unseen=unseen)
    beats = {heart.name: heart for heart in hearts}
    told = next(iter(beats.values()), None)
    found = [] if told is not None and not told.paused else gravest_first(pauses)
    refusing = {} if told is not None and not told.noted else _noted(notes)
    alive = {name for name, heart in beats.items() if abs(now - heart.at) <= SILENT_AFTER}
    since = beats[SWEEP].at if SWEEP in beats and beats[SWEEP].at <= now else None
    here = opt_files.read()
    if here.errors:
        refusing[opt_file_block.server_name()] = [str(error) for error in here.errors]
    restored = next((pause for pause in found if pause.kind == AccountPause.Kind.RESTORED), None)
    is_swept = SWEEP in alive  # by a worker, because beat lives
    worker_lives = is_swept or WORKER in alive
    # Only then it costs a statement. (A beat of an earlier version leaves no sign of its own.)
    may_be_busy = not is_swept and WORKER in alive and (BEAT in alive or BEAT not in beats)
    is_busy = may_be_busy and limits.at_work(now).exists()
    return Obstacles(
        [pause for pause in found if pause is not restored],
        restored=restored,
        is_silent=not is_swept and not is_busy,
        silent_since=since,
        refusing=refusing,
        worker_lives=worker_lives,
        beat_lives=is_swept or is_busy or BEAT in alive,
        is_busy=is_busy,
        unseen_notices=told.unseen if told else 0,
    )


def _number(unseen: QuerySet[Notice]) -> Coalesce:
    """How many, to one more than are shown."""
    some = Notice.objects.filter(pk__in=unseen.order_by("pk").values("pk")[: MOST_UNSEEN + 1])
    counted = some.order_by().annotate(all=Value(1)).values("all").annotate(number=Count("pk")).values("number")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


def _noted(notes: QuerySet[Heartbeat]) -> dict[str, list[str]]:
    return {
        note.name.removeprefix(opt_file_block.PREFIX): list(map(in_words, opt_file_block.errors_of(note)))
        for note in notes.order_by("name")
    }
