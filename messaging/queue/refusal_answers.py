"""What a person answers when the same words refused several messages: it was us, or it was not.

Either way the account sends again, and the answer holds for a day for these words (delivery/refusal_streaks.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, F, Max, QuerySet, Sum
from django.utils import timezone

from messaging import admission
from messaging.access import roles
from messaging.delivery.outcomes.meanings import MEANINGS
from messaging.delivery.refusal_streaks import of_streak, question
from messaging.lifecycle import transitions
from messaging.lifecycle.transitions import carry_out, leave_batch, lock, record_reply
from messaging.models import AccountPause, Batch, Message, Phrase, Reason, Recipient, RefusalStreak
from messaging.queue import wake
from messaging.queue.actions import NotPossible, lock_account

Answer = RefusalStreak.Answer
Status = Message.Status


def open_questions() -> QuerySet[RefusalStreak]:
    """What people are asked now, the oldest first."""
    asked = RefusalStreak.objects.filter(asked_at__isnull=False, answer="", ended_at=None)
    return asked.select_related("account").order_by("asked_at", "pk")


def mark_of(streak: RefusalStreak) -> str:
    """Which messages have failed in a question by now, in short: another one where they are others."""
    found = of_streak(streak, Status.FAILED).aggregate(Count("pk"), Max("pk"), Sum("pk"))
    return "-".join(str(number or 0) for number in found.values())


def it_was_us(streak: RefusalStreak, *, by: User, seen: str | None = None) -> int:
    """Queue what was refused again, with all its tries, for those whom the refusal was for; how many messages.

    They stay in their batch. The next refusal in these words within a day pauses the account at once.

    They go out with the same account as before, or with that of who answers, where its person may not send any more.

    Args:
        seen: the `mark_of` that the page had.

    Raises:
        NotPossible: no one is asked (any more), the account was deleted, or others have failed by now than were shown.
    """
    own = User.objects.filter(pk=streak.account_id).first() if streak.account_id else None
    account = own if streak.account_id is None or (own is not None and roles.may_send(own)) else by
    with lock_account(account, by=by), _answer(streak, Answer.IT_WAS_US, by, seen) as now:
        # Those that are queued wait for other recipients, who were to be tried later.
        found = lock(of_streak(streak, Status.FAILED, Status.QUEUED))
        rows = list(found.values_list("pk", "status"))
        refused = Recipient.objects.filter(streak=streak, message__in=[pk for pk, _ in rows])
        record_reply(transitions.RETRY, refused, now)
        failed = [pk for pk, status in rows if status == Status.FAILED]
        cancelled = Message.objects.filter(pk__in=failed, batch__status=Batch.Status.CANCELLED)
        leave_batch(list(cancelled.values_list("pk", flat=True)))
        cancelled.update(batch=None)
        carry_out(transitions.IT_WAS_US, failed, by=by, at=now, account=account, not_before=now)
        wake.wake_after_commit(account.pk if account else None)
    return len(failed)


def go_on(streak: RefusalStreak, *, by: User, seen: str | None = None) -> int:
    """The addresses or the messages were at fault: what failed stays so; how many messages.

    No one is asked about these words again for a day. `seen`, and what is raised, as in it_was_us.
    """
    with admission.ordered_by(by), _answer(streak, Answer.GO_ON, by, seen) as now:
        rows = list(lock(of_streak(streak, Status.FAILED)).values_list("pk", "reason"))
        by_reason: dict[Phrase | None, list[int]] = {}
        for pk, reason in rows:
            by_reason.setdefault(_alone(reason), []).append(pk)
        for reason, ids in by_reason.items():
            carry_out(transitions.GO_ON, ids, by=by, at=now, **_explained(reason))
    return len(rows)


def _alone(reason: Phrase | None) -> Phrase | None:
    """The reason before a message was one of several that were refused alike; None where it is the same."""
    if reason is None or reason.key != Reason.REFUSED_ALIKE:
        return None
    before = reason.params.get("reason")
    return before if isinstance(before, Phrase) else None


def _explained(reason: Phrase | None) -> dict[str, Any]:
    if reason is None:
        return {"reason": F("reason"), "reason_category": F("reason_category")}
    meaning = MEANINGS.get(reason.key)
    return {"reason": reason, "reason_category": meaning.category if meaning is not None else ""}


@contextmanager
def _answer(streak: RefusalStreak, answer: RefusalStreak.Answer, by: User, seen: str | None) -> Iterator[datetime]:
    """A transaction around one answer; without another open question the account sends again."""
    now = timezone.now()
    with transaction.atomic():
        try:
            streak.refresh_from_db(from_queryset=RefusalStreak.objects.select_for_update(of=("self",)))
        except RefusalStreak.DoesNotExist:
            raise NotPossible("The account was deleted in the meantime.") from None
        if not streak.is_asked:
            raise NotPossible("This question was answered in the meantime.")
        if seen is not None and seen != mark_of(streak):
            raise NotPossible("Other messages have failed this way since this page was loaded. Look at it again.")
        yield now
        streak.answer, streak.answered_at, streak.answered_by = answer, now, by
        streak.save(update_fields=["answer", "answered_at", "answered_by"])
        pauses = AccountPause.objects.filter(pk=streak.pause_id or 0)
        list(pauses.select_for_update(of=("self",)))  # first: another question may be put with it at this moment
        another = open_questions().filter(pause=streak.pause_id).first()
        if another is not None:
            pauses.update(reason=question(another), server=another.server, reply_text=another.reply_text)
        else:
            pauses.update(reason=question(streak), ended_at=now, ended_by=by)
            wake.wake_after_commit(streak.account_id)
