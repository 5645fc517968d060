"""How often a password may be tried: guessing is slow, and keeps no one out who knows theirs.

Every door that checks a password, or a code, does it through `counted`. A try counts before it is checked, under a lock
in the database, so that many at once and several processes get no more of them; the right answer takes it back.

- An account at an address (PLACE) waits longer and longer. Another address has a count of its own, and so has a known
  device: a stranger keeps no user out.
- An account over all addresses (ACCOUNT) gets few tries from unknown devices, however many addresses they come from.
- An address over all accounts (ADDRESS) gets few as well, for a password that is tried on many names.

Names that no user has are counted alike. Decision 10 says why each is as it is.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from types import SimpleNamespace
from typing import TypeVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from messaging import audit
from messaging.access import passwords
from messaging.access.sign_in_throttling import devices
from messaging.access.sign_in_throttling.client import UNKNOWN, address_of
from messaging.audit import Area, Source, Subject
from messaging.content.normal_forms import normalize
from messaging.models import AuditEntry, SignInTries

T = TypeVar("T")


class Door(StrEnum):
    """What is tried; each has counts of its own."""

    PASSWORD = "password"  # noqa: S105  (a name, no password)
    CODE = "code"


@dataclass(frozen=True)
class Limit:
    """So many tries are free; then each is followed by a delay twice as long as the one before, up to the longest."""

    free: int
    longest: timedelta

    def delay(self, tries: int) -> timedelta:
        """How long to wait after so many tries."""
        if tries < self.free:
            return timedelta()
        return min(FIRST_DELAY * (1 << min(tries - self.free, 20)), self.longest)


FIRST_DELAY = timedelta(seconds=5)
PLACE = Limit(5, timedelta(minutes=15))
ACCOUNT = Limit(50, timedelta(minutes=5))
CODES = Limit(20, timedelta(minutes=15))  # instead of ACCOUNT: there are only a million, and three are right
ADDRESS = Limit(100, timedelta(minutes=1))
SHARE = 10  # tries of one address that count for ACCOUNT: no address reaches that limit alone
KEPT = timedelta(days=1)  # after the last try, a count begins anew
SKEW = timedelta(seconds=5)
MOST_ROWS = 100_000
TRIMMED_EACH = 1000  # rows
CHUNK = 5000
TOLD_EACH = timedelta(hours=1)  # at most one audit entry of a kind per user
SIGN_IN = "sign-in"
KNOWN_DEVICE = "known device "


class TooSoon(Exception):
    """Refused without a look at what was typed; `until` is when the next try is taken. The console answers 429."""

    def __init__(self, wait: timedelta, door: Door) -> None:
        super().__init__("too many wrong tries")
        self.door = door
        self.seconds = max(1, ceil(wait.total_seconds()))
        self.until = timezone.now() + wait


@dataclass(frozen=True)
class _Try:
    """One try: who, where, the keys of its counts, and their last tries before it."""

    door: Door
    name: str
    account: str
    place: str
    at: datetime
    before: dict[tuple[str, str], datetime] = field(default_factory=dict)


def counted(request: HttpRequest | None, name: str, check: Callable[[], T], *, door: Door = Door.PASSWORD) -> T:
    """Let a user try a password, or a code of a second factor, if it is not too soon.

    Args:
        request: says from which address and device; None: neither is known.
        name: the user name, as typed. It need not exist.
        check: compares what was typed; its answer is true if it is right. A long comparison belongs in here: no
            lock is held and no transaction open meanwhile. A try whose check raises an error is not counted.
        door: what is tried. `Door.CODE` for codes: they have counts of their own, and CODES for ACCOUNT. For codes
            `name` is the name of the user whose password was right before.

    Returns:
        What `check` answered.

    Raises:
        TooSoon: `check` was not called. Let it pass: the console's middleware answers with 429 and Retry-After.
    """
    this = _count(request, name, door)
    try:
        with _asked_by(this):
            answer = check()
    except Exception:
        _take_back(this)
        raise
    if answer:
        _forgive(this)
    return answer


def _asked_by(this: _Try) -> AbstractContextManager[None]:
    if this.place.startswith(KNOWN_DEVICE):
        return passwords.asked_by(this.account)
    return passwords.asked_by_stranger(this.account, "" if this.place == UNKNOWN else this.place)


def account_of(name: str) -> str:
    """The digest of a name, as it is looked up when someone signs in: in that case of its letters, in any form that
    Unicode takes for the same; 32 characters.

    No two users have one in common: a user who enters with one name takes back no try at the other. What is typed in
    another case is the name of no one, or of another user, and enters nowhere else.
    """
    return salted_hmac("messaging.access.sign_in_throttling", normalize("NFKC", name)).hexdigest()[:32]


def limit_of(row: SignInTries) -> Limit:
    """Which limit holds for a count."""
    if not row.account:
        return ADDRESS
    if row.place:
        return PLACE
    return CODES if row.door == Door.CODE else ACCOUNT


def is_of_all(row: SignInTries) -> bool:
    """Whether it is the count of an account over all addresses."""
    return bool(row.account) and not row.place


def wait(row: SignInTries, now: datetime) -> timedelta:
    """How long until the next try of a count; not above zero: none."""
    return limit_of(row).delay(row.tries) - max(now - row.last_at, timedelta())


# --- Count ------------------------------------------------------------------------------------------------


def _count(request: HttpRequest | None, name: str, door: Door) -> _Try:
    address, device = address_of(request), devices.known(request, name)
    this = _Try(door, name, account_of(name), KNOWN_DEVICE + device if device else address, timezone.now())
    _refuse(_rows(this), this.at, door)  # a flood of refused tries takes no lock
    with transaction.atomic():
        made = _lock(this)
        now = timezone.now()
        rows = list(_rows(this))
        _refuse(rows, now, door)
        this = _Try(door, name, this.account, this.place, now, {_key(row): row.last_at for row in rows})
        _add(rows, now)
        _tell_delay(this, rows)
    if any(pk % TRIMMED_EACH == 0 for pk in made):
        _trim()
    return this


def _keys(this: _Try) -> list[tuple[str, str]]:
    """Account and place of each count of a try, in the order in which they are locked."""
    if this.place.startswith(KNOWN_DEVICE):
        return [(this.account, this.place)]
    of_address = [] if this.place == UNKNOWN else [("", this.place)]
    return [*of_address, (this.account, ""), (this.account, this.place)]


def _key(row: SignInTries) -> tuple[str, str]:
    return row.account, row.place


def _rows(this: _Try) -> QuerySet[SignInTries]:
    wanted = Q()
    for account, place in _keys(this):
        wanted |= Q(account=account, place=place)
    return SignInTries.objects.filter(wanted, door=this.door).order_by("account", "place")


def _lock(this: _Try) -> list[int]:
    """Make the counts that are missing and lock all, in one statement; the keys of their rows."""
    rows = [
        SignInTries(door=this.door, account=account, place=place, since=this.at, last_at=this.at)
        for account, place in _keys(this)
    ]
    unique = ["account", "place", "door"]
    made = SignInTries.objects.bulk_create(rows, update_conflicts=True, unique_fields=unique, update_fields=["door"])
    return [row.pk for row in made]


def _refuse(rows: Iterable[SignInTries], now: datetime, door: Door) -> None:
    """Raises TooSoon. Counts from a clock that was ahead are brought back to now, or they would hold for years."""
    rows = list(rows)
    if ahead := [row for row in rows if row.last_at > now + SKEW]:
        for row in ahead:
            row.last_at = now
        SignInTries.objects.filter(pk__in=[row.pk for row in ahead]).update(last_at=now, since=now)
    longest = max((wait(row, now) for row in rows), default=timedelta())
    if longest > timedelta():
        raise TooSoon(longest, door)


def _add(rows: list[SignInTries], now: datetime) -> None:
    of_place = next(row for row in rows if limit_of(row) is PLACE)
    for row in (of_place, *(row for row in rows if row is not of_place)):  # its share depends on what it has now
        if row.tries == 0 or now - row.last_at > KEPT:
            row.tries, row.since = 0, now
        if not is_of_all(row) or of_place.tries <= SHARE:
            row.tries += 1
            row.last_at = now
    SignInTries.objects.bulk_update(rows, ["tries", "since", "last_at"])


# --- Take back --------------------------------------------------------------------------------------------


def _forgive(this: _Try) -> None:
    """The right answer was given: what was tried before it, here and for this account, is no guessing."""
    with transaction.atomic():
        rows = list(_rows(this).select_for_update())
        of_place = next((row for row in rows if limit_of(row) is PLACE), None)
        if of_place is None:  # another right answer was quicker
            return
        _tell_entered(this, rows)
        _subtract(this, rows, of_place.tries)
        of_place.delete()


def _take_back(this: _Try) -> None:
    """It could not be checked: it was no try."""
    with transaction.atomic():
        _subtract(this, list(_rows(this).select_for_update()), 1)


def _subtract(this: _Try, rows: list[SignInTries], tries: int) -> None:
    for row in rows:
        less = min(tries, SHARE) if is_of_all(row) else tries
        row.tries = max(row.tries - less, 0)
        if row.last_at == this.at:  # else someone tried since
            row.last_at = this.before.get(_key(row), row.last_at)
    SignInTries.objects.bulk_update(rows, ["tries", "last_at"])


def clear(name: str) -> int:
    """End every delay of a user, at all doors; how many counts there were."""
    return _end(SignInTries.objects.filter(account=account_of(name)))


def clear_address(address: str) -> int:
    """End the delay of an address over all accounts; how many counts there were."""
    return _end(SignInTries.objects.filter(account="", place=address))


def _end(rows: QuerySet[SignInTries]) -> int:
    with transaction.atomic():
        found = list(rows.select_for_update().order_by("account", "place").values_list("pk", flat=True))
        return SignInTries.objects.filter(pk__in=found).delete()[0]


def forget(now: datetime) -> None:
    """Drop what was tried so long ago that it counts no more."""
    _drop(SignInTries.objects.filter(last_at__lt=now - KEPT))


def _trim() -> None:
    """A flood of names from many addresses fills no disk: what was tried least, and longest ago, goes first."""
    extra = SignInTries.objects.count() - MOST_ROWS
    if extra > 0:
        _drop(SignInTries.objects.order_by("tries", "last_at"), extra)


def _drop(rows: QuerySet[SignInTries], most: int | None = None) -> int:
    """Delete rows but those that are counted at this moment: to wait for them might be a deadlock."""
    dropped = 0
    while most is None or dropped < most:
        number = CHUNK if most is None else min(CHUNK, most - dropped)
        with transaction.atomic():
            found = list(rows.select_for_update(skip_locked=True).values_list("pk", flat=True)[:number])
            dropped += SignInTries.objects.filter(pk__in=found).delete()[0]
        if len(found) < number:
            break
    return dropped


# --- Tell -------------------------------------------------------------------------------------------------


def _tell_delay(this: _Try, rows: list[SignInTries]) -> None:
    """In the audit log of a user whose delay begins with this try."""
    begins = [row for row in rows if row.account and row.tries == limit_of(row).free and row.last_at == this.at]
    if begins:
        row = begins[0]
        _tell(this, "delayed", row.tries, row.place, None)


def _tell_entered(this: _Try, rows: list[SignInTries]) -> None:
    """In the audit log of a user who came in after so many wrong tries that there was a delay."""
    failed = max(row.tries for row in rows if row.account) - 1
    if failed >= PLACE.free:
        _tell(this, "entered", failed, this.place, this.name)


def _tell(this: _Try, what: str, tries: int, place: str, by: str | None) -> None:
    """One entry an hour of each kind at most: strangers cannot fill the log."""
    user = User.objects.filter(username=normalize("NFKC", this.name)).first()
    if user is None:
        return
    entries = AuditEntry.objects.filter(area=Area.USERS, object_key=str(user.pk), field="sign_in")
    recent = entries.filter(at__gt=this.at - TOLD_EACH).values_list("after", flat=True)
    if any(after and after["what"] == what for after in recent):
        return
    shown = KNOWN_DEVICE.strip() if place.startswith(KNOWN_DEVICE) else place
    kept: dict[str, str | int] = {"what": what, "tries": tries, "from": shown}
    if this.door != Door.PASSWORD:
        kept["door"] = this.door.value
    record(Subject(Area.USERS, str(user.pk), user.get_username()), kept, Source(user if by else None, SIGN_IN))


def record(subject: Subject, kept: dict[str, str | int], source: Source) -> None:
    """Write what happened to sign-ins of a user, or from an address, into the audit log."""
    audit.record(subject, SimpleNamespace(sign_in=None), {"sign_in": kept}, source)
