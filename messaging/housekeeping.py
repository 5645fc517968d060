"""What has to happen every few seconds, whoever asks for it and however often."""

from datetime import datetime, timedelta

from django.db.models import Q

from messaging import wake
from messaging.delivery import claims
from messaging.models import Batch, Heartbeat, Message, MessageEvent

SWEEP = "sweep"
DRAFTS_KEPT = timedelta(days=1)


def sweep(now: datetime) -> None:
    """Rescue ended leases, end holds, wake lanes for what is due, drop forgotten drafts, leave a sign of life.

    Idempotent: two beats or a task delivered three times do no more than one.
    """
    claims.rescue(now)
    _end_holds(now)
    for account_id in claims.due_accounts(now):
        wake.wake(account_id)
    Batch.objects.filter(status=Batch.Status.DRAFT, created_at__lt=now - DRAFTS_KEPT).delete()
    Heartbeat.objects.update_or_create(name=SWEEP, defaults={"at": now})


def _end_holds(now: datetime) -> None:
    ended = Message.objects.filter(Q(status=Message.Status.HELD), held_until__lte=now)
    for message in ended[:500]:
        if ended.filter(pk=message.pk).update(status=Message.Status.QUEUED, held_until=None, reason=""):
            MessageEvent.objects.create(message=message, at=now, what="Hold ended: back in the queue")
