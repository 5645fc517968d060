"""What a person answers when the same words refused several messages: it was us, or go on.

Either way the account sends again, and the answer holds for a day for these words (delivery/streaks.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from messaging import wake
from messaging.delivery.meanings import MEANINGS
from messaging.delivery.streaks import change_each, of_streak, question
from messaging.models import AccountPause, Batch, Message, MessageEvent, Phrase, Reason, Recipient, RefusalStreak
from messaging.queue import NotPossible, anew, leave_batch

Answer = RefusalStreak.Answer
Kind = MessageEvent.Kind
Status = Message.Status


def open_questions() -> QuerySet[RefusalStreak]:
    """What people are asked now, the oldest first."""
    asked = RefusalStreak.objects.filter(asked_at__isnull=False, answer="", ended_at=None)
    return asked.select_related("account").order_by("asked_at", "pk")


def it_was_us(streak: RefusalStreak, *, by: User) -> int:
    """Queue what was refused again, with all its tries, for those whom the refusal was for; how many messages.

    They stay in their batch. The next refusal in these words within a day pauses the account at once.

    Raises:
        NotPossible: nobody is asked (any more).
    """
    with _answer(streak, Answer.IT_WAS_US, by) as now:
        failed = _locked(of_streak(streak, Status.FAILED))
        refused = Recipient.objects.filter(streak=streak, status=Recipient.Status.FAILED)
        waiting = of_streak(streak, Status.QUEUED).values("pk")  # for others, who were to be tried later
        refused.filter(Q(message__in=failed) | Q(message__in=waiting)).update(
            status=Recipient.Status.PENDING, streak=None
        )
        rows = Message.objects.filter(pk__in=failed)
        staying = list(rows.filter(batch__status=Batch.Status.CONFIRMED).values_list("pk", flat=True))
        leaving = sorted(set(failed) - set(staying))
        leave_batch(Message.objects.filter(pk__in=leaving).exclude(batch=None))
        values = anew(streak.account, now)
        change_each(leaving, **values)
        del values["batch"]
        change_each(staying, **values)
        _write_events(failed, Kind.IT_WAS_US, by, now)
    return len(failed)


def go_on(streak: RefusalStreak, *, by: User) -> int:
    """The addresses or the messages were at fault: what failed stays so; how many messages.

    Nobody is asked about these words again for a day.

    Raises:
        NotPossible: nobody is asked (any more).
    """
    with _answer(streak, Answer.GO_ON, by) as now:
        failed = _locked(of_streak(streak, Status.FAILED))
        by_reason: dict[Phrase, list[int]] = {}
        for pk, reason in Message.objects.filter(pk__in=failed).values_list("pk", "reason"):
            if reason is not None and reason.key == Reason.REFUSED_ALIKE:
                by_reason.setdefault(reason.params["reason"], []).append(pk)
        for reason, ids in by_reason.items():
            meaning = MEANINGS.get(reason.key)
            change_each(ids, reason=reason, reason_category=meaning.category if meaning is not None else "")
        _write_events(failed, Kind.GO_ON, by, now)
    return len(failed)


@contextmanager
def _answer(streak: RefusalStreak, answer: RefusalStreak.Answer, by: User) -> Iterator[datetime]:
    """A transaction around one answer; without another open question the account sends again."""
    now = timezone.now()
    with transaction.atomic():
        streak.refresh_from_db(from_queryset=RefusalStreak.objects.select_for_update(of=("self",)))
        if not streak.is_asked:
            raise NotPossible("This question was answered meanwhile.")
        yield now
        streak.answer, streak.answered_at, streak.answered_by = answer, now, by
        streak.save(update_fields=["answer", "answered_at", "answered_by"])
        pauses = AccountPause.objects.filter(pk=streak.pause_id or 0)
        list(pauses.select_for_update(of=("self",)))  # first: another question may be put with it at this moment
        pauses.update(reason=question(streak))
        if not open_questions().filter(pause=streak.pause_id).exists():
            pauses.update(ended_at=now, ended_by=by)
            wake.wake_after_commit(streak.account_id)


def _locked(messages: QuerySet[Message]) -> list[int]:
    """Their keys; locked in the order of the keys, so that nobody waits in a circle."""
    return list(messages.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))


def _write_events(ids: list[int], what: MessageEvent.Kind, by: User, now: datetime) -> None:
    MessageEvent.objects.bulk_create(
        (MessageEvent.of(Phrase(what), message_id=pk, at=now, by=by) for pk in ids), batch_size=1000
    )
