"""An account whose set-up is at fault sends nothing until a probe succeeds; its messages wait, their tries unspent."""

import logging
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from messaging.models import AccountPause

from .outcomes import Verdict
from .retry import next_probe

log = logging.getLogger(__name__)


class Leave(StrEnum):
    """Whether a lane may open a connection."""

    YES = "yes"
    PROBE = "as a probe"
    NO = "no"


def pause(account_id: int | None, verdict: Verdict, *, server: str, words: str, now: datetime) -> None:
    """Pause an account. Lanes that meet the same fault together, or a probe that fails, do not count it again."""
    with transaction.atomic():
        row, created = AccountPause.objects.select_for_update(of=("self",)).get_or_create(
            account_id=account_id,
            defaults={"since": now, "next_probe_at": next_probe(1, now), "explanation": verdict.explanation},
        )
        row.server = server
        row.explanation = verdict.explanation
        row.advice = verdict.advice
        row.reply_text = words
        row.save(update_fields=["server", "explanation", "advice", "reply_text"])
    if created:
        log.warning("account %s paused: %s (%s)", account_id or "company", verdict.explanation, server)


def clear(account_id: int | None) -> None:
    """Let an account send again."""
    if AccountPause.objects.filter(account_id=account_id).delete()[0]:
        log.warning("account %s sends again", account_id or "company")


def probe_at_once(now: datetime) -> None:
    """Something was corrected: let every paused account try now."""
    AccountPause.objects.filter(next_probe_at__gt=now).update(next_probe_at=now)


def leave_to_send(account_id: int | None, now: datetime) -> Leave:
    """YES unless the account is paused; when a probe is due, PROBE to one lane, and the next probe is further off."""
    row = AccountPause.objects.filter(account_id=account_id).first()
    if row is None:
        return Leave.YES
    due = AccountPause.objects.filter(pk=row.pk, next_probe_at=row.next_probe_at, next_probe_at__lte=now)
    failures = row.failures + 1
    taken = due.update(failures=failures, next_probe_at=next_probe(failures, now))
    return Leave.PROBE if taken else Leave.NO
