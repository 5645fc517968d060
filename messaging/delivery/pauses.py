"""An account whose set-up is at fault sends nothing until a probe succeeds; its messages wait, their tries unspent."""

import logging
from datetime import datetime

from django.db import transaction

from messaging.models import AccountPause

from .outcomes import Verdict
from .retry import next_probe

log = logging.getLogger(__name__)


def pause(account_id: int | None, verdict: Verdict, *, server: str, words: str, now: datetime) -> None:
    """Pause an account, or put its next probe further off when it is paused already."""
    with transaction.atomic():
        row, created = AccountPause.objects.select_for_update().get_or_create(
            account_id=account_id,
            defaults={"since": now, "failures": 0, "next_probe_at": now, "explanation": verdict.explanation},
        )
        row.failures += 1
        row.next_probe_at = next_probe(row.failures, now)
        row.server = server
        row.explanation = verdict.explanation
        row.advice = verdict.advice
        row.reply_text = words
        row.save()
    if created:
        log.warning("account %s paused: %s (%s)", account_id or "company", verdict.explanation, server)


def clear(account_id: int | None) -> None:
    """Let an account send again."""
    if AccountPause.objects.filter(account_id=account_id).delete()[0]:
        log.warning("account %s sends again", account_id or "company")


def may_send(account_id: int | None, now: datetime) -> bool:
    """Whether a lane may open a connection. When a probe is due, says yes to one lane and no to all others."""
    row = AccountPause.objects.filter(account_id=account_id).first()
    if row is None:
        return True
    due = AccountPause.objects.filter(pk=row.pk, next_probe_at=row.next_probe_at, next_probe_at__lte=now)
    return due.update(next_probe_at=next_probe(row.failures + 1, now)) == 1
