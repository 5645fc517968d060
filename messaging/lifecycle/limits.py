"""May an account send now: how many messages, over how many connections; if not, until when and why.

Asked by lanes and for what is sent at once, of the same rows: pauses, the sending window, messages per time and
connections at once. Each rule is here and nowhere else. `turn` lets those who send for one account ask one after
another, so that together they keep to what they were told.

What lies further ahead than anything puts it was written by a clock that was wrong, and counts as not there.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BooleanField, Count, ExpressionWrapper, Q, QuerySet

from messaging.company import windows
from messaging.models import AccountPause, ActiveLane, Message, PastTry, Phrase, Reason, SendAttempt
from messaging.setup.layers import RATES, EmailSetup, Rate

Kind = AccountPause.Kind
Status = Message.Status

ADVISORY_LOCK = 0x6F757472  # "outr": so that no one else's advisory locks on this database are ours
NO_LIMIT = 1_000_000
SKEW = timedelta(minutes=1)  # by which clocks of several machines may differ, or be corrected
LONGEST_WAIT = timedelta(days=1)  # that a server's words ask for (delivery.outcomes.wait_told)
LONGEST_CLOSED = timedelta(days=8)  # from one weekly opening to the next
LONGEST_PERIOD = max(period for period, _ in RATES.values())
PATIENCE = 10.0  # seconds that sending at once waits for one of the account's connections
POLL_SECONDS = 0.1
DEFAULT_GAPS = [900]  # seconds


class Wait(NamedTuple):
    """A limit that is reached or a window that is closed. `until` None: what others have at hand decides."""

    kind: AccountPause.Kind
    until: datetime | None
    reason: Phrase


class Leave(NamedTuple):
    """What a lane may claim: how many messages, only urgent ones, as the one that tries whether it works again.

    Of such a probe: since when the account is paused, and whether the message may be lost to it, its outcome unknown.
    """

    number: int = NO_LIMIT
    urgent_only: bool = False
    is_probe: bool = False
    waits: tuple[Wait, ...] = ()
    since: datetime | None = None
    is_costly: bool = False


NO_OBSTACLE = Leave()


MOST_SEATS = 2  # the other threads of a web process serve pages
MOST_WAITING = 2  # for a seat
SEAT_PATIENCE = 3.0  # seconds that a user waits for a seat: a server that is quick frees one meanwhile
_seated: list[str] = []  # who has one
_risen = threading.Condition()
_waiting = threading.BoundedSemaphore(MOST_WAITING)


class NotNow(Exception):
    """Nothing is sent at once now: because of a pause, or for `reason`."""

    def __init__(self, reason: Phrase | None = None, pause: AccountPause | None = None) -> None:
        super().__init__(reason or pause)
        self.reason = reason
        self.pause = pause


@contextmanager
def turn(account_id: int | None, *, alone: bool = True) -> Iterator[None]:
    """A transaction in which no one else is told what the account may send (`alone`).

    SQLite has one writer anyway. In a transaction of a caller's, which may last, PostgreSQL lets no one wait: what
    several such transactions send at one time is not seen by the others.
    """
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if alone and is_own and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_LOCK, account_id or 0])
        yield


# --- All in one ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """How an account stands at `now`: its pauses that hold, those that end when a try gets through, what it waits for.

    `free` is how many more messages its rates allow.
    """

    now: datetime
    pauses: Sequence[AccountPause]
    probed: Sequence[AccountPause]
    closed: Wait | None
    used_up: Wait | None
    free: int

    def leave(self) -> Leave:
        """What a lane may claim. A probe is given to one lane, and the next one is further off."""
        waits = tuple(wait for wait in (self.closed, self.used_up) if wait is not None)
        if self.free <= 0 or any(_stops(pause, urgent=True) for pause in self.pauses):
            return Leave(0, waits=waits)
        urgent_only = self.closed is not None or any(_stops(pause, urgent=False) for pause in self.pauses)
        if not self.probed:
            return Leave(self.free, urgent_only, waits=waits)
        is_probe = all(_take_probe(pause, self.now) for pause in self.probed)
        since = min(pause.since for pause in self.probed)
        return Leave(1 if is_probe else 0, urgent_only, is_probe, waits, since, self._unanswered is not None)

    def let_through(self, *, urgent: bool) -> None:
        """Let something be sent at once, or say why not.

        It has one try, and its sender is told of a fault: so it goes out where a lane would wait for a probe. Only a
        server that answers no one would leave its sender without an outcome.

        Raises:
            NotNow: a person paused, or outside the window, and it is not urgent; the server did not answer the last
                ones; or a rate is used up.
        """
        if not urgent:
            for pause in gravest_first(self.pauses):
                if pause.kind in AccountPause.BY_PEOPLE:
                    raise NotNow(pause=pause)
            if self.closed is not None:
                raise NotNow(self.closed.reason)
        if self._unanswered is not None and self._unanswered.is_in_force:
            raise NotNow(pause=self._unanswered)
        if self.used_up is not None:
            raise NotNow(self.used_up.reason)

    def try_for_answer(self) -> bool:
        """Let what is sent at once be the one that tries whether the server answers again, if there is a doubt.

        Returns:
            Whether it is that one.

        Raises:
            NotNow: another one is.
        """
        pause = self._unanswered
        if pause is not None and not _take_probe(pause, self.now):
            raise NotNow(pause=pause)
        return pause is not None

    def for_test(self) -> "Standing":
        """The same for a message that asks whether the server answers."""
        return replace(self, probed=[pause for pause in self.probed if pause.kind != Kind.UNANSWERED])

    @property
    def _unanswered(self) -> AccountPause | None:
        return next((pause for pause in self.probed if pause.kind == Kind.UNANSWERED), None)


def standing(account_id: int | None, setup: EmailSetup, now: datetime) -> Standing:
    """How an account stands, with its settings as they are now; within `turn`, it stays so until the end of that."""
    free, used_up = _allowance(account_id, setup.rates, now) if setup.rates else (NO_LIMIT, None)
    concerned = Q(account_id=account_id) | Q(kind__in=AccountPause.OF_EVERYBODY)
    # Mostly there is none, and Django builds the question in a fraction of what it takes to build the other one.
    rows = list(current_pauses(now).filter(concerned)) if AccountPause.objects.filter(concerned).exists() else []
    return Standing(
        now,
        [pause for pause in rows if pause.is_in_force],
        [pause for pause in rows if pause.kind in AccountPause.PROBED],
        _closed(setup, now),
        used_up,
        free,
    )


# --- Pauses --------------------------------------------------------------------------------------------

# The gravest first: what a person has to know before anything else.
ORDER = [
    Kind.RESTORED, Kind.ALL, Kind.PERSON, Kind.DOUBT, Kind.FAULT, Kind.UNANSWERED, Kind.BUSY, Kind.WINDOW, Kind.LIMIT,
]  # fmt: skip

OF_SETTINGS = (Kind.LIMIT, Kind.WINDOW)  # they come and go, and are no news


def gravest_first(found: Iterable[AccountPause]) -> list[AccountPause]:
    """Pauses in the order in which people want to hear of them."""
    return sorted(found, key=lambda pause: (ORDER.index(Kind(pause.kind)), pause.pk))


def in_force(now: datetime) -> Q:
    """Of pauses: whether its end, or the next try, is still to come."""
    to_come = Q(until__gt=now)
    for kind, longest in _longest().items():
        to_come &= ~Q(kind=kind, until__gt=now + longest + SKEW)
    return Q(until=None) | to_come


def current_pauses(now: datetime) -> QuerySet[AccountPause]:
    """The current pauses, each with `is_in_force`."""
    is_in_force = ExpressionWrapper(in_force(now), BooleanField())
    return AccountPause.objects.annotate(**{"is_in_force": is_in_force})  # noqa: PIE804  (mypy knows the name already)


def _longest() -> dict[AccountPause.Kind, timedelta]:
    """How far ahead `until` is put at the most where no person says it."""
    gap = timedelta(seconds=max(settings.PROBE_GAPS or DEFAULT_GAPS))
    return {
        Kind.FAULT: gap,
        Kind.UNANSWERED: gap,
        Kind.BUSY: max(gap, LONGEST_WAIT),
        Kind.LIMIT: LONGEST_PERIOD,
        Kind.WINDOW: LONGEST_CLOSED,
    }


def may_send(now: datetime) -> Callable[[int | None, bool], bool]:
    """Whether the pauses let an account (its key) send now: all its messages, or (True) the urgent ones."""
    rows = list(AccountPause.objects.filter(in_force(now)))

    def may(account_id: int | None, urgent: bool) -> bool:
        concerned = (row for row in rows if row.account_id == account_id or row.kind in AccountPause.OF_EVERYBODY)
        return not any(_stops(pause, urgent=urgent) for pause in concerned)

    return may


def _stops(pause: AccountPause, *, urgent: bool) -> bool:
    return not urgent or pause.kind in AccountPause.STOP_URGENT


def next_probe(failures: int, now: datetime) -> datetime:
    """When to try an account again after it has failed so many times in a row."""
    gaps = settings.PROBE_GAPS or DEFAULT_GAPS
    return now + timedelta(seconds=gaps[min(failures, len(gaps)) - 1])


def _take_probe(row: AccountPause, now: datetime) -> bool:
    due = AccountPause.objects.filter(pk=row.pk, until=row.until)
    return bool(due.update(failures=row.failures + 1, until=next_probe(row.failures + 1, now)))


# --- The sending window --------------------------------------------------------------------------------


def _closed(setup: EmailSetup, now: datetime) -> Wait | None:
    opens = windows.next_opening(setup.sending_window, setup.time_zone, now)
    if opens is None:
        return None
    reason = Phrase(Reason.OUTSIDE_WINDOW, window=setup.sending_window, zone=setup.time_zone)
    return Wait(Kind.WINDOW, opens, reason)


# --- Messages per time ---------------------------------------------------------------------------------


def leave_another(account_id: int | None, rates: Sequence[Rate], now: datetime) -> bool:
    """Whether the rates leave another transaction to a message that is at hand; within `turn`."""
    return _allowance(account_id, rates, now, asking=1)[0] > 0


def _allowance(
    account_id: int | None, rates: Sequence[Rate], now: datetime, asking: int = 0
) -> tuple[int, Wait | None]:
    """How many messages the account may take on now; none, and the limit that is reached.

    Counted are its transactions, recorded or not, and the messages it has at hand but for those `asking`. A message to
    many recipients may take several transactions: the server counts each.
    """
    at_hand = Message.objects.filter(status=Status.SENDING, account_id=account_id).count() - asking
    free = []
    for rate in rates:
        begun = _begun(account_id, now - rate.period, now)
        number = begun.count()
        free.append(rate.number - number - at_hand)
        if free[-1] <= 0:
            return 0, Wait(Kind.LIMIT, _next_free(begun, number, rate, now), _reached(rate))
    return min(free), None


def _begun(account_id: int | None, after: datetime, now: datetime) -> QuerySet[SendAttempt, datetime]:
    kept = SendAttempt.objects.filter(account_id=account_id, account_is_gone=False)
    kept = kept.filter(started_at__gt=after, started_at__lte=now + SKEW)
    gone = PastTry.objects.filter(account_id=account_id, at__gt=after, at__lte=now + SKEW)
    times = kept.order_by().values_list("started_at", flat=True)
    return times.union(gone.order_by().values_list("at", flat=True), all=True)


def _next_free(begun: QuerySet[SendAttempt, datetime], number: int, rate: Rate, now: datetime) -> datetime | None:
    """When enough of what was begun is old enough; None: what is at hand fills the rest, and may come back untried."""
    if number < rate.number:
        return None
    oldest = begun.order_by("-started_at")[rate.number - 1 : rate.number].first() or now
    return max(oldest + rate.period, now + timedelta(seconds=1))


def _reached(rate: Rate) -> Phrase:
    return Phrase(Reason.LIMIT_REACHED, number=rate.number, unit=rate.unit)


def delete(message: Message, now: datetime) -> None:
    """Delete a message of which nothing is to be kept, but for the times of its tries that count against a limit."""
    with transaction.atomic():
        tries = message.attempts.filter(started_at__gt=now - LONGEST_PERIOD, account_is_gone=False)
        PastTry.objects.bulk_create(
            PastTry(account_id=account_id, at=at) for account_id, at in tries.values_list("account_id", "started_at")
        )
        message.delete()


def forget(now: datetime) -> None:
    """Drop the times that count against no limit any more."""
    PastTry.objects.exclude(at__gt=now - LONGEST_PERIOD, at__lte=now + LONGEST_PERIOD).delete()


# --- Connections at once -------------------------------------------------------------------------------


def lease_end(now: datetime) -> datetime:
    """When a lease that is given or renewed now ends."""
    return now + timedelta(seconds=settings.LEASE_SECONDS)


def living(now: datetime) -> tuple[datetime, datetime]:
    """Between which times a lease ends whose owner may be alive; one that ends later is by a clock that was ahead."""
    return now, lease_end(now) + SKEW


def take_place(account_id: int | None, owner: str, at_most: int, now: datetime) -> bool:
    """Take one of the account's connections; False when `at_most` are taken."""
    with turn(account_id):
        ActiveLane.objects.filter(account_id=account_id, expires_at__lt=now).delete()
        if places_taken(account_id, now) >= at_most:
            return False
        ActiveLane.objects.create(owner=owner, account_id=account_id, expires_at=lease_end(now))
    return True


def wait_for_place(
    account_id: int | None, owner: str, at_most: int, clock: Callable[[], datetime], patience: float
) -> None:
    """Take one of the account's connections as soon as one is free.

    Raises:
        NotNow: none became free within `patience` seconds. (With SQLite none can while a caller's transaction lasts.)
    """
    nobody_else_can = connection.in_atomic_block and connection.vendor == "sqlite"
    give_up = time.monotonic() + (0 if nobody_else_can else patience)
    while not take_place(account_id, owner, at_most, clock()):
        if time.monotonic() >= give_up:
            raise NotNow(Phrase(Reason.NO_CONNECTION, number=at_most))
        time.sleep(POLL_SECONDS)


@contextmanager
def seat(who: str = "") -> Iterator[None]:
    """One of the few threads of this process that may wait for a mail server for a user who looks on.

    Args:
        who: for whom; they have one at a time, so that others find one. "": no one knows.

    Raises:
        NotNow: none of them was done within SEAT_PATIENCE, or others are waiting already.
    """
    with _risen:
        if not _is_free_for(who) and not _wait_for_seat(who):
            raise NotNow(Phrase(Reason.MANY_AT_ONCE))
        _seated.append(who)
    try:
        yield
    finally:
        with _risen:
            _seated.remove(who)
            _risen.notify_all()


def _is_free_for(who: str) -> bool:
    return len(_seated) < MOST_SEATS and not (who and who in _seated)


def _wait_for_seat(who: str) -> bool:
    if not _waiting.acquire(blocking=False):
        return False
    try:
        return _risen.wait_for(lambda: _is_free_for(who), SEAT_PATIENCE)
    finally:
        _waiting.release()


def renew_places(now: datetime, owner: str | None = None) -> None:
    """Put off the end of an owner's place, or of everyone's."""
    rows = ActiveLane.objects.all() if owner is None else ActiveLane.objects.filter(owner=owner)
    rows.update(expires_at=lease_end(now))


def free_place(owner: str) -> None:
    """The connection is closed, or about to be."""
    ActiveLane.objects.filter(owner=owner).delete()


def at_work(now: datetime) -> QuerySet[ActiveLane]:
    """Who has a connection: what a dead process left counts until it would have been renewed."""
    return ActiveLane.objects.filter(expires_at__range=living(now))


def places_taken(account_id: int | None, now: datetime) -> int:
    """How many of its connections an account uses."""
    return at_work(now).filter(account_id=account_id).count()


def places_taken_by_each(now: datetime) -> dict[int | None, int]:
    """How many of their connections accounts use; none where one is missing."""
    rows = at_work(now).order_by().values_list("account_id").annotate(Count("pk"))
    return dict(rows)
