"""Pause and resume sending, all of it or that of one account; and how it stands.

Whatever is paused waits in the queue, its tries unspent; urgent messages go out although a person paused.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from django.contrib.auth.models import User
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from messaging import admission
from messaging.delivery import pauses
from messaging.delivery.store import claims
from messaging.lifecycle import limits
from messaging.lifecycle.limits import OF_SETTINGS, gravest_first
from messaging.models import AccountPause, Batch, EmailSettings, Message, Phrase, Reason
from messaging.queue import wake
from messaging.queue.actions import NotPossible
from messaging.setup.layers import EmailSetup, resolve_each
from messaging.wording import person, state

Kind = AccountPause.Kind
Status = Message.Status

LONGEST_REASON = 300
LONGEST_PAUSE = timedelta(days=3660)


class Everybody(Enum):
    """All sending, in the place of one account."""

    ALL = "all"


ALL = Everybody.ALL
Whose = User | None | Everybody  # None is the company's account


class BadPause(ValueError):
    """What was asked for is no pause: why, in plain words; `field` is the argument that is wrong."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


# --- What people order ---------------------------------------------------------------------------------


class AnotherPause(NotPossible):
    """It is paused, but not by the pause that a person was shown."""

    def __init__(self, pause: AccountPause) -> None:
        super().__init__(f"This is not the pause that you were shown. {state(pause)} Look at it again.")


def pause(whose: Whose, *, by: User, why: str, until: datetime | None = None, seen: str | None = None) -> AccountPause:
    """Stop sending at the next message boundary, until a time or until it is resumed.

    Pausing again changes reason and time. By the same person it stays one pause; someone else's takes its place, so
    that each says truly who ordered it and since when.

    Args:
        seen: the mark of the pause that the person was shown, "" for none; None changes whatever there is.

    Raises:
        AnotherPause: there is another one by now.
        BadPause: no reason, one of several lines or of more than 300 characters, or a time that is not ahead.
    """
    now = timezone.now()
    why = _checked_reason(why)
    _check_time(until, now)
    pauses.end_due(now)
    reason = Phrase(Reason.SAID, words=why)
    wanted = {"since": now, "until": until, "by": by, "reason": reason}
    with admission.ordered_by(by):
        row, created = (
            _orders_on(whose)
            .select_for_update(of=("self",))
            .get_or_create(account=_account(whose), kind=_kind(whose), defaults=wanted)
        )
        if not created:
            _compare(row, seen)
        if not created and row.by_id == by.pk:
            row.until, row.reason = until, reason
            row.save(update_fields=["until", "reason"])
        elif not created:
            _end(AccountPause.objects.filter(pk=row.pk), by, now)
            row = AccountPause.objects.create(account=_account(whose), kind=_kind(whose), **wanted)
        # Not before the pause is committed: a lane that asked for leave earlier may still claim.
        wake.try_after_commit(lambda: claims.take_back(_key(_account(whose)), all_accounts=whose is ALL))
    return row


def resume(whose: Whose, *, by: User, seen: str | None = None) -> bool:
    """End a person's pause and wake the lanes; False when there was none (any more).

    Args:
        seen: the mark of the pause that the person was shown; None ends whichever there is.

    Raises:
        AnotherPause: there is another one by now.
    """
    with admission.ordered_by(by):
        row = _orders_on(whose).select_for_update(of=("self",)).first()
        if row is None:
            return False
        _compare(row, seen)
        _end(AccountPause.objects.filter(pk=row.pk), by, timezone.now())
        if isinstance(whose, Everybody):
            wake.try_after_commit(wake.wake_all)
        else:
            wake.wake_after_commit(_key(whose))
    return True


def try_now(account: User | None, *, by: User | None = None) -> bool:
    """Let one lane try at once whether a set-up fault, or the server's wish to go slower, is over.

    Returns:
        False when the account does not wait for such a try (any more).
    """
    now = timezone.now()
    with admission.ordered_by(by):
        waiting = AccountPause.objects.filter(account=account, kind__in=AccountPause.PROBED)
        if not waiting.update(until=now):
            return False
        wake.wake_after_commit(_key(account))
    return True


def _compare(row: AccountPause, seen: str | None) -> None:
    if seen is not None and row.mark != seen:
        raise AnotherPause(row)


def _orders_on(whose: Whose) -> QuerySet[AccountPause]:
    return AccountPause.objects.filter(account=_account(whose), kind=_kind(whose))


def _account(whose: Whose) -> User | None:
    return None if isinstance(whose, Everybody) else whose


def _key(account: User | None) -> int | None:
    return account.pk if account is not None else None


def _kind(whose: Whose) -> AccountPause.Kind:
    return Kind.ALL if isinstance(whose, Everybody) else Kind.PERSON


def _end(rows: QuerySet[AccountPause], by: User, now: datetime) -> int:
    return rows.update(ended_at=now, ended_by=by)


def _checked_reason(why: str) -> str:
    why = why.strip()
    if not why:
        raise BadPause("why", "Say why, so that others know.")
    if re.search(r"[\x00-\x1f\x7f\x85\u2028\u2029]", why):
        raise BadPause("why", "Say why in one line, without line breaks and control characters.")
    if len(why) > LONGEST_REASON:
        raise BadPause("why", f"Say why in at most {LONGEST_REASON} characters; these are {len(why)}.")
    return why


def _check_time(until: datetime | None, now: datetime) -> None:
    if until is None:
        return
    if until <= now:
        raise BadPause("until", "This time has passed. Choose a time in the future, or leave it empty.")
    if until > now + LONGEST_PAUSE:
        raise BadPause("until", "Choose a time within the next ten years, or leave it empty.")


# --- How it stands -------------------------------------------------------------------------------------


def holding(now: datetime) -> QuerySet[AccountPause]:
    """The pauses that keep something from being sent at `now`, with the people they name."""
    still = limits.in_force(now) | Q(kind__in=AccountPause.PROBED)
    return AccountPause.objects.filter(still).select_related("account", "by")


def holding_account(account: User | None, now: datetime, *, urgent: bool = False) -> list[AccountPause]:
    """What keeps an account's messages (or its urgent ones) from being sent, the gravest first."""
    found = holding(now).filter(Q(account=account) | Q(kind__in=AccountPause.OF_EVERYBODY))
    return gravest_first(found.filter(kind__in=AccountPause.STOP_URGENT) if urgent else found)


def after_restore() -> AccountPause | None:
    """The pause of all sending after a restore (messaging/queue/restores.py), if there is one."""
    return AccountPause.objects.filter(kind=Kind.RESTORED).first()


def so_far() -> QuerySet[AccountPause]:
    """Every pause that is kept, the latest first; limits and windows are no news and not among them."""
    rows = AccountPause.history.exclude(kind__in=OF_SETTINGS)
    return rows.select_related("account", "by", "ended_by").order_by("-since", "-pk")


@dataclass(frozen=True)
class AccountState:
    """How one sending account stands.

    `waiting` messages wait for a time, `due` ones for a lane, `sending` ones are being sent over `lanes` connections.
    """

    account: User | None
    setup: EmailSetup
    pauses: list[AccountPause] = field(default_factory=list)
    waiting: int = 0
    due: int = 0
    sending: int = 0
    lanes: int = 0

    @property
    def paused_by_person(self) -> AccountPause | None:
        return next((pause for pause in self.pauses if pause.kind == Kind.PERSON), None)

    @property
    def can_try_now(self) -> bool:
        """Whether a try at once would be one: no one paused, nothing else holds."""
        return bool(self.pauses) and all(pause.kind in AccountPause.PROBED for pause in self.pauses)


@dataclass(frozen=True)
class Overview:
    """How sending stands as a whole: the pauses of all of it, if there are any, and each account, the company first.

    `pause` is a person's, `restored` that after a restore.
    """

    pause: AccountPause | None
    restored: AccountPause | None
    accounts: list[AccountState]


def overview() -> Overview:
    """Every account that has settings of its own, messages with it, or a pause; six statements."""
    now = timezone.now()
    found = gravest_first(holding(now))
    whole = {pause.kind: pause for pause in found if pause.kind in AccountPause.OF_EVERYBODY}
    own = [pause for pause in found if pause.kind not in AccountPause.OF_EVERYBODY]
    counts, lanes = _counts(now), limits.places_taken_by_each(now)
    own_settings = EmailSettings.objects.values_list("account_id", flat=True)
    ids = {*counts, *lanes, *(pause.account_id for pause in own), *own_settings}
    users = User.objects.filter(pk__in=[pk for pk in ids if pk is not None])
    accounts = [None, *sorted(users, key=lambda user: person(user).casefold())]
    states = []
    for account, setup in zip(accounts, resolve_each(accounts), strict=True):
        key = _key(account)
        mine = [row for row in own if row.account_id == key]
        states.append(AccountState(account, setup, mine, **counts.get(key, {}), lanes=lanes.get(key, 0)))
    return Overview(whole.get(Kind.ALL), whole.get(Kind.RESTORED), states)


def _counts(now: datetime) -> dict[int | None, dict[str, int]]:
    queued = Q(status=Status.QUEUED)
    with_accounts = Message.objects.filter((queued & Q(not_before__isnull=False)) | Q(status=Status.SENDING))
    rows = with_accounts.exclude(queued & Q(batch__status=Batch.Status.CANCELLED)).order_by().values("account_id")
    counted = rows.annotate(
        waiting=Count("pk", filter=queued & Q(not_before__gt=now)),
        due=Count("pk", filter=queued & Q(not_before__lte=now)),
        sending=Count("pk", filter=Q(status=Status.SENDING)),
    )
    names = ("waiting", "due", "sending")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in counted.values_list("account_id", *names)}
