"""Decide about messages whose worker stopped: back in the queue, or unknown."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.dateparse import parse_datetime

from messaging.delivery.outcomes.meanings import WORKER_STOPPED
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.store import claims
from messaging.lifecycle import limits, transitions
from messaging.lifecycle.transitions import carry_out
from messaging.models import AttemptOutcome, Message, Phrase, Recipient, SendAttempt

log = logging.getLogger(__name__)

NOT_ASKED_FOR = Reply(Stage.RCPT, None, "", LocalError.MORE_RECIPIENTS)

Status = Message.Status


def rescue(now: datetime, was_away: Callable[[], bool] = lambda: False) -> tuple[int, int]:
    """Decide about messages whose lease ended: their worker stopped or lost the database.

    One that may have been accepted gets a second lease's time, and all of it again if `was_away` says that no one
    could renew or write until now: a worker that knows the outcome may still be waiting to write it.

    A lease by a clock that was ahead ends as one that is given now: its worker may be alive, and renews it.

    Returns:
        (back in the queue, unknown): never handed over; possibly accepted.
    """
    second_lease = now - timedelta(seconds=settings.LEASE_SECONDS)
    ended = Q(may_be_accepted=False, lease_expires_at__lt=now) | Q(
        may_be_accepted=True, lease_expires_at__lt=second_lease
    )
    ahead = Q(lease_expires_at__gt=limits.living(now)[1])
    sending = Message.objects.filter(status=Status.SENDING)
    if not sending.filter(ended | ahead).exists():
        return 0, 0
    claims.put_off(sending.filter(ahead), now)
    expired = sending.filter(ended)
    if was_away():
        claims.put_off(expired.filter(may_be_accepted=True), now)
        expired = expired.filter(may_be_accepted=False)
    with transaction.atomic():
        messages = list(expired.order_by("pk").select_for_update(skip_locked=True, of=("self",))[:1000])
        requeued = [message.pk for message in messages if not message.may_be_accepted and not message.is_immediate]
        carry_out(transitions.RESCUE, requeued, by=None, at=now)
        # What was sent at once and not told may be sent by other means by now, so a person decides.
        stopped = [message.pk for message in messages if not message.may_be_accepted and message.is_immediate]
        carry_out(transitions.STOP, stopped, by=None, at=now)
        unknown = [message for message in messages if message.may_be_accepted]
        for message in unknown:
            _leave_unknown(message, now)
    if messages:
        log.warning("leases ended: %d back in the queue, %d unknown", len(requeued), len(unknown))
    return len(requeued), len(unknown)


def _leave_unknown(message: Message, now: datetime) -> None:
    attempt = _last_words(message)
    attempt.finished_at = now
    attempt.stage = Stage.END
    attempt.outcome = AttemptOutcome.UNKNOWN
    attempt.category, attempt.reason = WORKER_STOPPED.category, Phrase(WORKER_STOPPED.key)
    attempt.save()
    refused = {reply["address"]: reply for reply in attempt.recipients if reply["outcome"] != AttemptOutcome.UNKNOWN}
    addressed = {reply["address"] for reply in attempt.recipients}
    for recipient in message.recipients.filter(status=Recipient.Status.PENDING):
        reply = refused.get(recipient.address)
        if addressed and recipient.address not in addressed:  # put off in a transaction before, or not asked for yet
            if not message.is_immediate:
                continue
            recipient.status = Recipient.Status.FAILED
            if recipient.reply_code is None and recipient.said is None:
                recipient.said = NOT_ASKED_FOR.detail
        elif reply is None:
            recipient.status = Recipient.Status.UNKNOWN
        else:
            recipient.reply_code, recipient.enhanced_code = reply["reply_code"], reply["enhanced_code"]
            recipient.reply_text = reply["reply_text"]
            recipient.said = Phrase.of(reply["said"]) if reply.get("said") else None
            # What was sent at once has one try.
            if reply["outcome"] == AttemptOutcome.PERMANENT or message.is_immediate:
                recipient.status = Recipient.Status.FAILED
        recipient.decided_at = now
        recipient.save()
    carry_out(transitions.LOSE, [message.pk], by=None, at=now, reason=attempt.reason, reason_category=attempt.category)


def _last_words(message: Message) -> SendAttempt:
    """The attempt that its worker did not live to record."""
    said = message.attempt_snapshot or {}
    started_at = parse_datetime(said.get("started_at", "")) or message.lease_expires_at
    assert started_at is not None
    return SendAttempt(
        message=message,
        account=message.account,
        account_is_gone=message.account_id is None and said.get("account") is not None,
        batch=message.batch,
        fence=message.fence,
        started_at=started_at,
        server=said.get("server", ""),
        tls=said.get("tls", ""),
        recipients=said.get("recipients", []),
    )
