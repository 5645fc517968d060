"""What a person answers when the same words refused several messages: it was us, or go on.

Either way the account sends again, and the answer holds for a day for these words (delivery/streaks.py).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from messaging import wake
from messaging.delivery.meanings import MEANINGS
from messaging.delivery.streaks import CHUNK, change_each, of_streak, question
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
        NotPossible: nobody is asked (any more), or the account was deleted.
    """
    with _answer(streak, Answer.IT_WAS_US, by) as now:
        # Those that are queued wait for other recipients, who were to be tried later.
        rows = list(_locked(of_streak(streak, Status.FAILED, Status.QUEUED)).values_list("pk", "status"))
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            refused = Recipient.objects.filter(streak=streak, status=Recipient.Status.FAILED)
            refused.filter(message__in=[pk for pk, _ in part]).update(status=Recipient.Status.PENDING, streak=None)
            _queue_again([pk for pk, status in part if status == Status.FAILED], streak, by, now)
    return sum(status == Status.FAILED for _, status in rows)


def _queue_again(ids: list[int], streak: RefusalStreak, by: User, now: datetime) -> None:
    chosen = Message.objects.filter(pk__in=ids)
    staying = list(chosen.filter(batch__status=Batch.Status.CONFIRMED).values_list("pk", flat=True))
    leave_batch(chosen.exclude(batch=None).exclude(pk__in=staying))
    values = anew(streak.account, now)
    chosen.exclude(pk__in=staying).update(**values)
    del values["batch"]
    chosen.filter(pk__in=staying).update(**values)
    _write_events(ids, Kind.IT_WAS_US, by, now)


def go_on(streak: RefusalStreak, *, by: User) -> int:
    """The addresses or the messages were at fault: what failed stays so; how many messages.

    Nobody is asked about these words again for a day.

    Raises:
        NotPossible: nobody is asked (any more), or the account was deleted.
    """
    with _answer(streak, Answer.GO_ON, by) as now:
        rows = list(_locked(of_streak(streak, Status.FAILED)).values_list("pk", "reason"))
        by_reason: dict[Phrase, list[int]] = {}
        for pk, reason in rows:
            if reason is not None and reason.key == Reason.REFUSED_ALIKE:
                before = reason.params.get("reason")
                if isinstance(before, Phrase):
                    by_reason.setdefault(before, []).append(pk)
        for reason, ids in by_reason.items():
            meaning = MEANINGS.get(reason.key)
            change_each(ids, reason=reason, reason_category=meaning.category if meaning is not None else "")
        _write_events([pk for pk, _ in rows], Kind.GO_ON, by, now)
    return len(rows)


@contextmanager
def _answer(streak: RefusalStreak, answer: RefusalStreak.Answer, by: User) -> Iterator[datetime]:
    """A transaction around one answer; without another open question the account sends again."""
    now = timezone.now()
    with transaction.atomic():
        try:
            streak.refresh_from_db(from_queryset=RefusalStreak.objects.select_for_update(of=("self",)))
        except RefusalStreak.DoesNotExist:
            raise NotPossible("The account was deleted meanwhile.") from None
        if not streak.is_asked:
            raise NotPossible("This question was answered meanwhile.")
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


def _locked(messages: QuerySet[Message]) -> QuerySet[Message]:
    """In the order of the keys, so that nobody waits in a circle."""
    return messages.select_for_update(of=("self",)).order_by("pk")


def _write_events(ids: list[int], what: MessageEvent.Kind, by: User, now: datetime) -> None:
    MessageEvent.objects.bulk_create(
        (MessageEvent.of(Phrase(what), message_id=pk, at=now, by=by) for pk in ids), batch_size=CHUNK
    )
