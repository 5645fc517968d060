"""A database that was restored from a backup, or moved: what an administrator says became of the mail since.

All sending is paused until then (delivery/store/restore_detection.py), and all that was unsent is unknown.
"""

from django.contrib.auth.models import User
from django.utils import timezone

from messaging import admission, audit
from messaging.audit import Area, Source, Subject
from messaging.delivery.store import restored_messages
from messaging.models import AccountPause, Restore
from messaging.queue import wake

Answer = Restore.Answer


class AnsweredMeanwhile(Exception):
    """Another administrator answered; nothing was done."""


def unanswered() -> Restore | None:
    """The latest restore that no one has answered; None when no restore keeps anything from being sent."""
    return Restore.objects.filter(answer="").order_by("-pk").first()


def answer(restore: Restore, what: Answer, *, by: User) -> int:
    """Say what became of the mail since the backup, and let sending resume; an earlier restore is asked about next.

    MOVED: every message that no one has acted on is again what it was. SENT_SINCE: they stay unknown, until a person
    decides about each.

    Returns:
        how many messages were put back.

    Raises:
        AnsweredMeanwhile: it has an answer, or is not the latest any more.
    """
    now = timezone.now()
    with admission.ordered_by(by):
        row = Restore.objects.select_for_update(of=("self",)).get(pk=restore.pk)
        if row != unanswered():
            raise AnsweredMeanwhile
        audit.record(Subject(Area.RESTORES, str(row.pk)), row, {"answer": what}, Source(by))
        row.answered_at, row.answered_by = now, by
        row.save()
        number = 0
        if what == Answer.MOVED:
            number = restored_messages.put_back(row, by, now)
        else:
            restored_messages.forget(row)
        if unanswered() is None:
            AccountPause.objects.filter(kind=AccountPause.Kind.RESTORED).update(ended_at=now, ended_by=by)
        wake.try_after_commit(wake.wake_all)
    return number
