"""What has to happen every few seconds, whoever asks for it and however often."""

from datetime import datetime, timedelta

from django.db.models import Q

from messaging import batches, wake
from messaging.delivery import claims
from messaging.models import Batch, Heartbeat, Message, MessageEvent

SWEEP = "sweep"
DRAFTS_KEPT = timedelta(days=1)


def sweep(now: datetime) -> None:
    """Rescue ended leases, end holds, wake lanes for what is due, leave a sign of life; five statements when idle.

    Idempotent: two beats or a task delivered three times do no more than one.
    """
    claims.rescue(now)
    _end_holds(now)
    for account_id in claims.due_accounts(now):
        wake.wake(account_id)
    if not Heartbeat.objects.filter(name=SWEEP).update(at=now):
        Heartbeat.objects.get_or_create(name=SWEEP, defaults={"at": now})


def tidy(now: datetime) -> None:
    """Drop forgotten drafts of batches; take out what a crash left in cancelled ones."""
    Batch.objects.filter(status=Batch.Status.DRAFT, created_at__lt=now - DRAFTS_KEPT).delete()
    left = Batch.objects.filter(status=Batch.Status.CANCELLED, messages__status=Message.Status.QUEUED)
    for batch in left.distinct():
        batches.cancel(batch, by=None)


def _end_holds(now: datetime) -> None:
    ended = Message.objects.filter(Q(status=Message.Status.HELD), held_until__lte=now)
    for message in ended[:500]:
        if ended.filter(pk=message.pk).update(status=Message.Status.QUEUED, held_until=None, reason=""):
            MessageEvent.objects.create(message=message, at=now, what="Hold ended: back in the queue")
