"""A database that was restored from a backup, or moved: what an administrator says became of the mail since.

All sending is paused until then (delivery/lineage.py), and all that was unsent is unknown.
"""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from messaging import audit, wake
from messaging.audit import Area, Source, Subject
from messaging.delivery import claims, set_aside
from messaging.models import AccountPause, Restore

Answer = Restore.Answer


class AnsweredMeanwhile(Exception):
    """Another administrator answered; nothing was done."""


def unanswered() -> Restore | None:
    """The latest restore that nobody has answered; None when sending goes on, as far as restores are concerned."""
    return Restore.objects.filter(answer="").order_by("-pk").first()


def answer(restore: Restore, what: Answer, *, by: User) -> int:
    """Say what became of the mail since the backup, and let sending go on; an earlier restore is asked about next.

    MOVED: every message that nobody has acted on is again what it was. SENT_SINCE: they stay unknown, until a person
    decides about each.

    Returns:
        how many messages were put back.

    Raises:
        AnsweredMeanwhile: it has an answer, or is not the latest any more.
    """
    now = timezone.now()
    with transaction.atomic():
        row = Restore.objects.select_for_update(of=("self",)).get(pk=restore.pk)
        if row != unanswered():
            raise AnsweredMeanwhile
        audit.record(Subject(Area.RESTORES, str(row.pk)), row, {"answer": what}, Source(by))
        row.answered_at, row.answered_by = now, by
        row.save()
        number = 0
        if what == Answer.MOVED:
            number = set_aside.put_back(row, by, now)
        else:
            set_aside.forget(row)
        if unanswered() is None:
            AccountPause.objects.filter(kind=AccountPause.Kind.RESTORED).update(ended_at=now, ended_by=by)
        transaction.on_commit(_wake_whoever_may)
    return number


def _wake_whoever_may() -> None:
    for account_id in claims.due_accounts(timezone.now()):
        wake.wake(account_id)
