"""What a lane writes down: that a message may be accepted from now on, and what came of it.

Every write names the claim, and nothing is written for one that is somebody else's by now. What several lanes of a
process have to write at one time is committed together (group_commit.py), on PostgreSQL in one round trip.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from django.utils import timezone

from messaging.lifecycle.transitions import GIVE_BACK, UNCLAIMED, leave_cancelled_batch
from messaging.models import AttemptOutcome, Message, Phrase, Recipient, SendAttempt

from . import claims
from .group_commit import GroupCommit
from .reply import Stage
from .sql import insert_each, lock_each, run_together, update_each

Status = Message.Status
# Seconds to wait with a known outcome for a database that is away: longer than any lease, because the fence tells
# whether it may still be written.
DATABASE_PATIENCE = 600.0
MESSAGE_STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END)
STANDING = ("status", "tries", "not_before", "give_up_at", "max_tries", "reason_category", "reason", "sent_at")
WRITTEN = (*STANDING, *UNCLAIMED)
HEARD = ("status", "reply_code", "enhanced_code", "reply_text", "said", "decided_at")
ATTEMPT = tuple(field.attname for field in SendAttempt._meta.concrete_fields if not field.primary_key)


class LeaseLost(Exception):
    """Somebody else decides about this message by now; forget it."""


@dataclass(frozen=True)
class Decision:
    """What to write on the message row: its new state, and when again."""

    status: str
    tries: int
    not_before: datetime | None = None
    category: str = ""
    reason: Phrase | None = None
    give_up_at: datetime | None = None
    max_tries: int | None = None


@dataclass(frozen=True)
class _Change:
    """What a lane has to write about one message it holds: what WRITTEN names, and the attempt when it is over."""

    message: Message
    values: dict[str, Any]
    attempt: SendAttempt | None = None
    recipients: Sequence[Recipient] = ()


def start_data(message: Message, attempt: SendAttempt, now: datetime) -> None:
    """Commit, before any content is sent, that the message may be accepted from now on.

    Raises:
        LeaseLost: the claim is not ours any more.
        DatabaseError: the database is away for longer than a lease, or at fault.
    """
    handover = {
        "account": attempt.account_id,
        "batch": attempt.batch_id,
        "started_at": attempt.started_at.isoformat(),
        "server": attempt.server,
        "tls": attempt.tls,
        "recipients": attempt.recipients,
    }
    values = {name: getattr(message, name) for name in STANDING} | {
        "lease_owner": message.lease_owner,
        "lease_expires_at": claims.lease_end(now),
        "in_data": True,
        "handover": handover,
    }
    change = _Change(message, values)
    future = _commit(change)
    try:
        _settle(change, future, settings.LEASE_SECONDS)
    except OperationalError:
        if not future.cancelled():
            # It may be written yet, and nothing will be sent: written behind it, this takes it back. What is sent at
            # once does not go back to the queue: whoever sent it is told, and its lease ends as one that was not begun.
            not_begun = {"in_data": False, "handover": None}
            back = not_begun if message.once else GIVE_BACK.writes
            _commit(_Change(message, {**values, **back}))
        raise
    message.in_data = True


def record(message: Message, attempt: SendAttempt, recipients: Iterable[Recipient], decision: Decision) -> None:
    """Commit the outcome of an attempt: message, changed recipients and attempt, all or nothing.

    Raises:
        LeaseLost: the claim is not ours any more; nothing is written.
        IntegrityError: the account or the batch of the attempt is gone.
    """
    record_soon(message, attempt, recipients, decision)()


def record_soon(
    message: Message, attempt: SendAttempt, recipients: Iterable[Recipient], decision: Decision
) -> Callable[[], None]:
    """Like `record`, but returns at once; call what it returns to wait. What is started later is committed later."""
    assert attempt.finished_at is not None
    values = {
        "status": decision.status,
        "tries": decision.tries,
        "not_before": decision.not_before,
        "give_up_at": decision.give_up_at,
        "max_tries": decision.max_tries,
        "reason_category": decision.category,
        "reason": decision.reason,
        "sent_at": attempt.finished_at if decision.status == Status.SENT else message.sent_at,
        **UNCLAIMED,
    }
    if decision.status == Status.SENDING:  # the claim stays: there are further transactions
        values |= {"lease_owner": message.lease_owner, "lease_expires_at": claims.lease_end(attempt.finished_at)}
    change = _Change(message, values, attempt, list(recipients))
    future = _commit(change)
    return lambda: _settle(change, future)


def _commit(change: _Change) -> "Future[bool]":
    if not connection.in_atomic_block:
        return _together.submit(change)
    # Within a caller's transaction nobody else can write for us.
    future: Future[bool] = Future()
    future.set_result(_write([change])[0])
    return future


def _settle(change: _Change, future: "Future[bool]", seconds: float | None = None) -> None:
    try:
        was_held = future.result(seconds)
    except FutureTimeoutError as error:
        future.cancel()
        raise OperationalError("the database is away") from error
    if not was_held:
        raise LeaseLost(f"message {change.message.pk}, fence {change.message.fence}")


def _write(changes: Sequence[_Change]) -> list[bool]:
    """Write what several lanes have to say in one transaction; of each, whether its claim still held."""
    over = [(change, change.attempt) for change in changes if change.attempt is not None]
    attempts = [(*_of(attempt, ATTEMPT), *_claim_of(change)) for change, attempt in over]
    recipients = [
        (recipient.pk, *_of(recipient, HEARD), *_claim_of(change))
        for change, _ in over
        for recipient in change.recipients
    ]
    messages = [(change.message.pk, *change.values.values(), *_claim_of(change)) for change in changes]
    statements = [
        lock_each(Message, [change.message.pk for change in changes], ("lease_owner", "fence"), Status.SENDING),
        *update_each(Recipient, HEARD, recipients, _held(len(HEARD) + 1)),
        *insert_each(SendAttempt, ATTEMPT, attempts, _held(len(ATTEMPT))),
        *update_each(Message, WRITTEN, messages, _held(len(WRITTEN) + 1)),  # last: it ends the claims
    ]
    owned = set(run_together(statements))
    held = [_claim_of(change) in owned for change in changes]
    for change, is_held in zip(changes, held, strict=True):
        if is_held and change.values["status"] == Status.QUEUED and change.message.batch_id:
            leave_cancelled_batch([change.message.pk], timezone.now())
    return held


def _of(row: Any, names: Sequence[str]) -> list[Any]:
    return [getattr(row, name) for name in names]


def _claim_of(change: _Change) -> tuple[int, str, int]:
    return change.message.pk, change.message.lease_owner, change.message.fence


@cache
def _held(first: int) -> str:
    """The condition that the claim in the values from `first` (message, owner, fence) still holds."""
    # A value and not EXISTS: that would be planned as a join, over an index full of what was sent a moment ago.
    return (
        f"(SELECT claimed.lease_owner = {{{first + 1}:text}} AND claimed.fence = {{{first + 2}}} "  # noqa: S608
        f"AND claimed.status = '{Status.SENDING}' FROM messaging_message AS claimed WHERE claimed.id = {{{first}}})"
    )


_together: GroupCommit[_Change] = GroupCommit(_write, DATABASE_PATIENCE)


def is_minded_alone(message: Message) -> bool:
    """Whether the account's server took other messages each time after it had refused this one as it would any.

    Once may be chance: a fault that was mended and came back. Twice, and it is this message that the server minds.
    """
    refused = SendAttempt.objects.filter(message=message, stage__in=MESSAGE_STAGES)
    refused = refused.exclude(outcome=AttemptOutcome.ACCEPTED).order_by("-id")
    times = list(refused.values_list("started_at", flat=True)[:2])
    accepted = SendAttempt.objects.filter(outcome=AttemptOutcome.ACCEPTED)
    taken = accepted.filter(account_id=message.account_id, account_is_gone=False)
    return (
        len(times) == 2
        and taken.filter(started_at__gt=times[0]).exists()
        and taken.filter(started_at__gt=times[1], started_at__lte=times[0]).exists()
    )
