"""What a lane writes down: that a message may be accepted from now on, and what came of it.

Every write names the claim, and nothing is written for one that is someone else's by now. What several lanes of a
process have to write at one time is committed together (group_commit.py), on PostgreSQL in one round trip.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import OperationalError, connection
from django.db.models import QuerySet
from django.utils import timezone

from messaging.delivery.outcomes.reply import Stage
from messaging.delivery.store.group_commit import GroupCommit
from messaging.delivery.store.sql import insert_each, lock_each, run_together, update_each
from messaging.lifecycle.limits import lease_end
from messaging.lifecycle.transitions import GIVE_BACK, UNCLAIMED, leave_cancelled_batch
from messaging.models import AttemptOutcome, Message, Notice, Phrase, Recipient, SendAttempt

Status = Message.Status
# Seconds to wait with a known outcome for a database that is away: longer than any lease, because the fence tells
# whether it may still be written.
DATABASE_PATIENCE = 600.0
LONGEST_TRY = timedelta(hours=1)  # an attempt that ended after a moment began no longer before it
MESSAGE_STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.END)
STANDING = ("status", "tries", "not_before", "give_up_at", "max_tries", "reason_category", "reason", "sent_at")
WRITTEN = (*STANDING, *UNCLAIMED)
HEARD = ("status", "reply_code", "enhanced_code", "reply_text", "said", "decided_at")
ATTEMPT = tuple(field.attname for field in SendAttempt._meta.concrete_fields if not field.primary_key)


class LeaseLost(Exception):
    """Someone else decides about this message by now; forget it."""


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

    @property
    def goes_on(self) -> bool:
        """Whether the claim outlasts the attempt: there are further transactions."""
        return bool(self.values["status"] == Status.SENDING)


def start_data(message: Message, attempt: SendAttempt, now: datetime) -> None:
    """Commit, before any content is sent, that the message may be accepted from now on.

    Raises:
        LeaseLost: the claim is not ours any more.
        DatabaseError: the database is away for longer than a lease, or at fault.
    """
    attempt_snapshot = {
        "account": attempt.account_id,
        "batch": attempt.batch_id,
        "started_at": attempt.started_at.isoformat(),
        "server": attempt.server,
        "tls": attempt.tls,
        "recipients": attempt.recipients,
    }
    values = {name: getattr(message, name) for name in STANDING} | {
        "lease_owner": message.lease_owner,
        "lease_expires_at": lease_end(now),
        "may_be_accepted": True,
        "attempt_snapshot": attempt_snapshot,
    }
    change = _Change(message, values)
    future = _commit(change)
    try:
        _settle(change, future, settings.LEASE_SECONDS)
    except OperationalError:
        if not future.cancelled():
            # It may be written yet, and nothing will be sent: written behind it, this takes it back. What is sent at
            # once does not go back to the queue: its sender is told, and its lease ends as one that was not begun.
            not_begun = {"may_be_accepted": False, "attempt_snapshot": None}
            back = not_begun if message.is_immediate else GIVE_BACK.writes
            _commit(_Change(message, {**values, **back}))
        raise
    message.may_be_accepted = True


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
    if decision.status == Status.SENDING:  # the claim stays, see _Change.goes_on
        values |= {"lease_owner": message.lease_owner, "lease_expires_at": lease_end(attempt.finished_at)}
    change = _Change(message, values, attempt, list(recipients))
    future = _commit(change)
    return lambda: _settle(change, future)


def _commit(change: _Change) -> "Future[bool]":
    if not connection.in_atomic_block:
        return _together.submit(change)
    # Within a caller's transaction no one else can write for us.
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
    attempts: dict[bool, list[list[Any]]] = {True: [], False: []}
    for change, attempt in over:
        attempts[change.goes_on].append([*_of(attempt, ATTEMPT), *_claim_of(change)])
    recipients = [
        (recipient.pk, *_of(recipient, HEARD), *_claim_of(change))
        for change, _ in over
        for recipient in change.recipients
    ]
    messages = [(change.message.pk, *change.values.values(), *_claim_of(change)) for change in changes]
    statements = [
        lock_each(Message, [change.message.pk for change in changes], ("lease_owner", "fence"), Status.SENDING),
        *update_each(Recipient, HEARD, recipients, _held(len(HEARD) + 1)),
        *insert_each(SendAttempt, ATTEMPT, attempts[False], _held(len(ATTEMPT))),
        *insert_each(SendAttempt, ATTEMPT, attempts[True], f"{_held(len(ATTEMPT))} AND {_unwritten()}"),
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


@cache
def _unwritten() -> str:
    """The condition that an attempt, which does not end its claim, is not there yet: its commit was made and only the
    answer was lost. Each transaction of a claim is for other recipients.
    """
    types = {"message_id": "bigint", "fence": "bigint", "started_at": "timestamptz", "recipients": "jsonb"}
    alike = (f"written.{name} = {{{ATTEMPT.index(name)}:{of_type}}}" for name, of_type in types.items())
    return f"NOT EXISTS (SELECT 1 FROM {SendAttempt._meta.db_table} AS written WHERE {' AND '.join(alike)})"  # noqa: S608


_together: GroupCommit[_Change] = GroupCommit(_write, DATABASE_PATIENCE)


def is_notice(message: Message) -> bool:
    """Whether a message is the mail of one of our own notices, and not what a program calls one."""
    return message.category == "notice" and Notice.objects.filter(mail=message).exists()


def is_refused_alone(message: Message) -> bool:
    """Whether the account's server has twice taken other messages between refusals of this one, as it would any, the
    last of which is not written yet.

    Once may be chance: a fault that was fixed and came back. Twice, and it is this message that the server minds. What
    was refused beside that, as the probe of a quiet account, tells nothing either way.
    """
    refused = SendAttempt.objects.filter(message=message, stage__in=MESSAGE_STAGES)
    refused = refused.exclude(outcome=AttemptOutcome.ACCEPTED)
    accepted = SendAttempt.objects.filter(outcome=AttemptOutcome.ACCEPTED)
    taken = accepted.filter(account_id=message.account_id, account_is_gone=False)
    before = None  # the present refusal
    for _ in range(2):
        taken_at = _last(taken if before is None else taken.filter(started_at__lte=before))
        before = taken_at and _last(refused.filter(started_at__lt=taken_at))
        if before is None:
            return False
    return True


def _last(attempts: QuerySet[SendAttempt]) -> datetime | None:
    return attempts.order_by("-started_at").values_list("started_at", flat=True).first()


def refused_alone_since(account_id: int | None, since: datetime) -> int | None:
    """The one message (its key) that was refused as any would be since a moment; None: several, or the account was."""
    ended = SendAttempt.objects.filter(account_id=account_id, account_is_gone=False, finished_at__gte=since)
    refused = ended.filter(started_at__gt=since - LONGEST_TRY, outcome=AttemptOutcome.SETUP)
    last = refused.order_by("-started_at").only("message_id", "stage").first()
    if last is None or last.stage not in MESSAGE_STAGES:
        return None
    others = refused.exclude(message_id=last.message_id, stage__in=MESSAGE_STAGES)
    return None if others.exists() else last.message_id
