"""What has to happen every few seconds, however often it is asked for."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery, Value

from messaging import notices
from messaging.access import kept_forms, sessions, sign_in_throttling
from messaging.company.options import options, retry_limits
from messaging.compose import form_submissions
from messaging.content import blobs, uploads
from messaging.delivery import opt_file_block, pauses, refusal_streaks, unanswered
from messaging.delivery.outcomes import retry
from messaging.delivery.outcomes.reply import sign_in_failed
from messaging.delivery.outcomes.verdict import judge
from messaging.delivery.store import claims, restore_detection
from messaging.delivery.store.group_commit import is_away, is_locked
from messaging.delivery.store.rescue import rescue
from messaging.lifecycle import limits, transitions
from messaging.lifecycle.waiting import FREE
from messaging.models import (
    AccessToken,
    AccountPause,
    Attachment,
    Batch,
    CompanyOptions,
    FormSubmission,
    Heartbeat,
    KeptForm,
    Message,
    MessageEvent,
    MessageVersion,
    Notice,
    NoticeItem,
    Phrase,
    Reason,
    RefusalStreak,
    ScheduleRun,
    SendAttempt,
    SignInTries,
    Upload,
    UserSession,
)
from messaging.queue import batches, offboarding, wake
from messaging.scheduling import schedules
from messaging.setup import opt_files
from messaging.setup.layers import resolve_each
from messaging.setup.oauth import tokens

log = logging.getLogger(__name__)

SWEEP = "sweep"
CHUNK = 500  # messages in one sweep
EXPIRES = "expires"
RECALLED = "recalled"
WORKER = "worker"
BEAT = "beat"
DRAFTS_KEPT = timedelta(days=1)
PAUSES_KEPT = timedelta(days=90)
TOKENS_KEPT = timedelta(days=200)  # no provider keeps a sign-in that long which no one uses
SIGN_IN_UNUSED = timedelta(hours=20)
TOKEN_AHEAD = timedelta(hours=1)
BLOBS_KEPT = timedelta(days=1)
BLOBS = "blobs"
CLOCK = "clock"  # the sign of life of the clock itself: when it was last found put forward or back
STEADY = timedelta(days=1)
# What retention, and the wait of a notice, is measured by.
DATED: tuple[tuple[QuerySet[Any], str], ...] = (
    (Batch.objects.filter(status__in=batches.DRAFTS), "created_at"),
    (Batch.objects.filter(status=Batch.Status.CANCELLED, confirmed_at=None), "cancelled_at"),
    (Message.objects.filter(FREE), "created_at"),
    (AccountPause.history.all(), "ended_at"),
    (Heartbeat.objects.exclude(name=CLOCK), "at"),
    (Notice.objects.all(), "at"),
    (NoticeItem.objects.all(), "told_at"),
    (NoticeItem.objects.filter(told_at=None), "at"),  # else it waits for that time to be told
    (RefusalStreak.objects.all(), "last_at"),
    (RefusalStreak.objects.all(), "answered_at"),
    (RefusalStreak.objects.all(), "ended_at"),
    (ScheduleRun.objects.all(), "started_at"),
    (SignInTries.objects.all(), "last_at"),
    (FormSubmission.objects.all(), "at"),
    (Upload.objects.all(), "at"),
    (KeptForm.objects.all(), "at"),
    (UserSession.objects.all(), "active_at"),
    (UserSession.objects.all(), "started_at"),
)


class ClockWatch:
    """Notices when this machine's clock was put forward or back, by comparing it with one that cannot be."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def has_jumped(self, now: datetime, ticks: float) -> bool:
        """Whether the clock did not advance like `ticks` (seconds of time.monotonic) since it was last asked."""
        before, self._last = self._last, (now, ticks)
        if before is None:
            return False
        return abs((now - before[0]).total_seconds() - (ticks - before[1])) > settings.LEASE_SECONDS / 3


def sweep(now: datetime, *, clock_jumped: bool = False) -> None:
    """Rescue ended leases, end holds and pauses, fail what waited too long, wake lanes for what is due, leave a sign of
    life, run schedules that no one woke, see to notices; nine statements.

    Idempotent: two beats or a task delivered three times do no more than one. After a jump of the clock no one's lease
    has ended because of it: all get their full time again, and the living renew theirs. What a time decides for good
    waits for the next sweep: by then the clock may be right again. So does a message that is locked: none is waited
    for, or one that stays locked would stop all sending.
    """
    restore_detection.check(now)  # before anything else: what the others do with a restored database would not be true
    if clock_jumped:
        _see_to_jump(now)
    by_time = [lambda: _end_waiting(now), lambda: pauses.end_due(now)]
    later = [lambda: schedules.run_due(now), lambda: notices.look_after(now)]
    _each(
        lambda: opt_file_block.note_errors(opt_files.read(), now),
        lambda: rescue(now, lambda: _was_away(now)),
        lambda: _show_sweep(now),
        *([] if clock_jumped else by_time),
        lambda: _wake_lanes(now),
        *([] if clock_jumped else later),
    )


def _see_to_jump(now: datetime) -> None:
    log.warning("the clock was put forward or back; all leases get their full time again")
    claims.renew_all(now)
    _bring_forward(now)


def _show_sweep(now: datetime) -> None:
    """Leave the sweep's sign of life; where the one before lies in the future, or days ago, note it of the clock."""
    swept = Heartbeat.objects.filter(name=SWEEP)
    if swept.filter(at__range=(now - STEADY, now + _outage())).update(at=now):
        return
    before = swept.values_list("at", flat=True).first()
    if before is not None and before > now:  # before this process began, so that it could not see it
        _see_to_jump(now)
    if before is not None and abs(now - before) > STEADY:
        log.warning("the last sweep was at %s: nothing is deleted until the clock has been steady for a day", before)
        sign_of_life(CLOCK, now)
    sign_of_life(SWEEP, now)


def _was_away(now: datetime) -> bool:
    """Whether there was an outage until now, of the database or of everything."""
    before = Heartbeat.objects.filter(name=SWEEP).values_list("at", flat=True).first()
    return before is not None and now - before > _outage()


def _outage() -> timedelta:
    return timedelta(seconds=max(settings.LEASE_SECONDS, 3 * settings.SWEEP_SECONDS))


def _each(*parts: Callable[[], object]) -> None:
    """One after the other: what makes one fail, such as a row that no one thought of, keeps no other from its work.

    Raises:
        DatabaseError: the database is away, and would be for the others as well.
    """
    for part in parts:
        try:
            part()
        except Exception as error:
            if is_away(error) and not is_locked(error):
                raise
            log.exception("a part of housekeeping failed; the others continue")


def _wake_lanes(now: datetime) -> None:
    wake.wake_all(now)


def sign_of_life(name: str, now: datetime) -> None:
    """Leave word that a process works: WORKER and BEAT live; SWEEP is both at work, unless the worker is too busy."""
    if not Heartbeat.objects.filter(name=name).update(at=now):
        Heartbeat.objects.bulk_create([Heartbeat(name=name, at=now)], ignore_conflicts=True)


def tidy(now: datetime) -> None:
    """Once more cancel what a crash left, give beat what it lacks of schedules, and once a day use each sign-in. Drop
    forgotten drafts, old pauses, runs, notices, notes and tokens, and attachment files that nothing names.

    What is dropped is gone: none of it while the clock may be wrong.
    """
    in_time = _past(now) if is_clock_steady(now) else []
    waiting = [_cancel_the_rest, schedules.repair, lambda: _bring_forward(now)]
    _each(*waiting, *in_time, lambda: _distrust_tokens(now), lambda: _keep_signed_in(now))


def _past(now: datetime) -> list[Callable[[], object]]:
    """What drops what is old enough."""
    return [
        lambda: _bring_back(now),
        lambda: opt_file_block.forget(now),
        lambda: schedules.forget(now),
        lambda: notices.forget(now),
        lambda: refusal_streaks.forget(now),
        lambda: unanswered.forget(now),
        lambda: limits.forget(now),
        lambda: AccountPause.history.filter(ended_at__lt=now - PAUSES_KEPT).delete(),
        lambda: batches.forget(now - DRAFTS_KEPT),
        lambda: AccessToken.objects.filter(updated_at__lt=now - TOKENS_KEPT).delete(),
        lambda: uploads.forget(now),
        lambda: form_submissions.forget(now),
        lambda: sign_in_throttling.forget(now),
        lambda: kept_forms.forget(now),
        lambda: sessions.forget(now, options()),
        lambda: _forget_blobs(now),
    ]


def is_clock_steady(now: datetime) -> bool:
    """Whether sweeps have gone on for a day, and the clock was not put forward or back by a day meanwhile.

    A machine that was off for longer looks the same as one whose clock is wrong: it waits for a day as well.
    """
    found = dict(Heartbeat.objects.filter(name__in=[SWEEP, CLOCK]).values_list("name", "at"))
    if SWEEP in found and abs(now - found[SWEEP]) > STEADY:
        return False
    return not (CLOCK in found and timedelta() <= now - found[CLOCK] < STEADY)


def _bring_back(now: datetime) -> None:
    """What a clock that was ahead has dated counts from now, or it would be kept for years."""
    for rows, name in DATED:
        rows.filter(**{f"{name}__gt": now + STEADY}).update(**{name: now})


def _bring_forward(now: datetime) -> None:
    """What waits for a time that a clock which was ahead gave it: it is due at once where it was ordered then, and
    after the same gap where it was tried then. The times that people and programs ask for stay.
    """
    ahead = now + limits.SKEW
    ordered = MessageEvent.objects.filter(
        message=OuterRef("pk"), at__gt=ahead,
        at__range=(OuterRef("not_before") - limits.SKEW, OuterRef("not_before") + limits.SKEW),
    )  # fmt: skip
    last_try = SendAttempt.objects.filter(message=OuterRef("pk")).order_by("-pk").values("finished_at")[:1]
    waiting = Message.objects.filter(status=Message.Status.QUEUED, not_before__gt=ahead)
    waiting = waiting.annotate(is_ordered=Exists(ordered), tried_at=Subquery(last_try))
    # Only what a try put off lies behind it: no message is tried before the time that was asked for.
    waiting = waiting.filter(Q(is_ordered=True) | Q(tried_at__gt=ahead, tried_at__lte=F("not_before")))
    with transaction.atomic():
        ids = list(transitions.lock(waiting, skip_locked=True).values_list("pk", flat=True))
        rows = waiting.filter(pk__in=ids).values_list("pk", "is_ordered", "not_before", "tried_at", "give_up_at")
        last = retry.give_up_at(now, retry_limits()) if ids else now
        for pk, is_ordered, not_before, tried_at, give_up_at in rows:
            gap = timedelta() if is_ordered else not_before - tried_at
            Message.objects.filter(pk=pk).update(not_before=now + gap, give_up_at=give_up_at and min(give_up_at, last))


def _distrust_tokens(now: datetime) -> None:
    """A token that came while the clock was ahead looks fresh for years: it is renewed."""
    ahead = AccessToken.objects.filter(updated_at__gt=now + TOKEN_AHEAD)
    ahead.update(updated_at=now - SIGN_IN_UNUSED, expires_at=None, renewing_until=None)


def _cancel_the_rest() -> None:
    """Of batches whose cancelling was cut off."""
    left = Batch.objects.filter(status=Batch.Status.CANCELLED, messages__status=Message.Status.QUEUED)
    for batch in left.distinct():
        batches.cancel(batch, by=None)


def _forget_blobs(now: datetime) -> None:
    """Once a day, remove attachment bodies that no message, version or upload names any more."""
    last, created = Heartbeat.objects.get_or_create(name=BLOBS, defaults={"at": now})
    if not created and now - BLOBS_KEPT < last.at <= now:
        return
    Heartbeat.objects.filter(name=BLOBS).update(at=now)
    number = blobs.forget_unused(now - BLOBS_KEPT, _named_blobs)
    if number:
        log.info("%d files of attachments were removed that nothing names any more", number)


def _named_blobs() -> Iterator[str]:
    """In the order in which a name may be passed on: from an upload to a message, and from there to its version."""
    yield from Upload.objects.values_list("sha256", flat=True).iterator()
    yield from Attachment.objects.values_list("sha256", flat=True).iterator()
    for rows in MessageVersion.objects.values_list("attachments", flat=True).iterator():
        yield from (row["sha256"] for row in rows)


def _keep_signed_in(now: datetime) -> None:
    """Renew what no mail has renewed today: an unused sign-in ends, and a failure is known before night.

    On failure the account pauses as if a lane had met it.
    """
    accounts = [None, *User.objects.filter(is_active=True, email_settings__isnull=False)]
    for account, setup in zip(accounts, resolve_each(accounts), strict=True):
        if not setup.uses_oauth or setup.problems():
            continue
        renewed = tokens.renewed_at(setup)
        if renewed is not None and renewed > now - SIGN_IN_UNUSED:
            continue
        try:
            tokens.access_token(setup, now)
        except tokens.SignInFailed as failed:
            reply = sign_in_failed(failed)
            heard = pauses.Heard(setup.server, reply.text, reply.detail)
            pauses.pause(account.pk if account else None, judge(reply), heard, now)


def _end_waiting(now: datetime) -> None:
    """End the holds that are over, fail what waited longer than Company options allow, and see to what was being sent
    when its person left.

    One statement finds all that and reads that option.
    """
    holds = _holds_over(now)
    limit = CompanyOptions.objects.exclude(expire_days=None).annotate(what=Value(EXPIRES))
    recalled = offboarding.come_back().annotate(what=Value(RECALLED))
    found = limit.values_list("expire_days", "what").union(
        holds.order_by().values_list("pk", "status"), recalled.values_list("pk", "what"), all=True
    )
    rows = list(found.order_by()[:CHUNK])
    if any(what == RECALLED for _, what in rows):
        offboarding.carry_on()
    if ended := [pk for pk, what in rows if pk and what == Message.Status.HELD]:
        _end_holds(holds.filter(pk__in=ended), now)
    for days, what in rows:
        if days and what == EXPIRES:
            _expire(days, now)


def _holds_over(now: datetime) -> QuerySet[Message]:
    # Not those in a mail program, also where its user was deleted: the draft may have been sent, so a person decides.
    ended = Message.objects.filter(status=Message.Status.HELD, held_until__lte=now)
    return ended.exclude(hold_kind=Message.HoldKind.MAIL_PROGRAM)


def _end_holds(ended: QuerySet[Message], now: datetime) -> None:
    with transaction.atomic():
        ids = list(transitions.lock(ended, skip_locked=True).values_list("pk", flat=True))
        transitions.carry_out(transitions.END_HOLD, ids, by=None, at=now)


def _expire(days: int, now: datetime) -> None:
    """Fail what waits for that many days. Each order since then, which leaves an event, gives it as many again.

    Notices of it are made where failures are looked for.
    """
    last = now - timedelta(days=days)
    waiting = Message.objects.filter(FREE, created_at__lt=last)
    waiting = waiting.filter(Q(not_before=None) | Q(not_before__lt=last))
    orders = MessageEvent.objects.filter(message=OuterRef("pk"), at__range=(last, now + limits.SKEW))
    waiting = waiting.exclude(Exists(orders))
    ids = list(waiting.order_by("created_at").values_list("pk", flat=True)[:CHUNK])
    if not ids:
        return
    with transaction.atomic():
        # Locked: what a batch or a lane takes at this moment is its own.
        expired = list(transitions.lock(waiting.filter(pk__in=ids), skip_locked=True).values_list("pk", flat=True))
        reason = Phrase(Reason.EXPIRED, days=days)
        transitions.carry_out(transitions.EXPIRE, expired, by=None, at=now, params={"days": days}, reason=reason)
