"""The final dot that a server leaves unanswered: each such message is unknown, so after a few in a row the others wait.

`note` is called within the transaction that writes the outcome. Answers between them are looked up in the ledger, at
the next message that has none: who is answered pays nothing.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Coalesce

from messaging.delivery import pauses
from messaging.delivery.outcomes.reply import Stage
from messaging.delivery.store import claims
from messaging.delivery.store.ledger import LONGEST_TRY
from messaging.models import AttemptOutcome, SendAttempt, UnansweredStreak

from .pauses import MOST_LOOKED_AT
from .refusal_streaks import FORGOTTEN_AFTER

MOST = 3  # one may be chance, and so may two


def note(attempt: SendAttempt, now: datetime) -> bool:
    """Count a message that was not answered after the final dot; whether that pauses its account. Within a transaction.

    What lanes of the account have claimed and not begun is taken from them.
    """
    account_id = attempt.account_id
    streak, _ = UnansweredStreak.objects.select_for_update(of=("self",)).get_or_create(
        account_id=account_id, server=attempt.server, defaults={"last_at": now}
    )
    if _is_over(streak, attempt.started_at, now):
        streak.messages, streak.last_at = 0, now
    streak.messages += 1
    streak.last_at = max(streak.last_at, now)
    streak.save(update_fields=["messages", "last_at"])
    if streak.messages < MOST:
        return False
    heard = pauses.Heard(attempt.server, attempt.reply_text, attempt.said)
    pauses.pause_unanswered(account_id, streak.messages, heard, now)
    # Not before the pause is committed: a lane that asked for leave earlier may still claim.
    transaction.on_commit(lambda: claims.take_back(account_id, urgent_too=True), robust=True)
    return True


def _is_over(streak: UnansweredStreak, begun_at: datetime, now: datetime) -> bool:
    is_there = now - FORGOTTEN_AFTER < streak.last_at <= now + LONGEST_TRY
    # Several lanes time out together: what was answered while they waited came before the first of them was counted.
    # So one message of each lane counts anew where the server falls silent, and no more: what begins then counts.
    return not is_there or _has_answered_since(streak, min(streak.last_at, begun_at), now)


def _has_answered_since(streak: UnansweredStreak, since: datetime, now: datetime) -> bool:
    begun = SendAttempt.objects.filter(account_id=streak.account_id, account_is_gone=False, server=streak.server)
    begun = begun.filter(started_at__gt=since - LONGEST_TRY)
    ended = begun.filter(finished_at__gt=since, finished_at__lte=now + LONGEST_TRY).order_by("-started_at")
    others = ended.exclude(outcome=AttemptOutcome.UNKNOWN)
    if others.filter(stage=Stage.END).exists():
        return True
    # One that speaks of a refused recipient says at which stage that was; the others may have been accepted.
    replies = others.values_list("recipients", flat=True)[:MOST_LOOKED_AT]
    return any(reply.get("stage") == Stage.END for each in replies for reply in each)


def forget(now: datetime) -> None:
    """Drop what nothing came of."""
    UnansweredStreak.objects.filter(last_at__lte=now - FORGOTTEN_AFTER).delete()


# --- Where nothing is recorded ------------------------------------------------------------------------


def with_ends_unanswered(attempts: QuerySet[SendAttempt]) -> QuerySet[SendAttempt]:
    """Attempts annotated with `ends_unanswered`: whether unanswered messages of their account are being counted."""
    counted = UnansweredStreak.objects.annotate(key=Coalesce("account_id", 0))
    counted = counted.filter(key=Coalesce(OuterRef("account_id"), 0), server=OuterRef("server"))
    return attempts.annotate(ends_unanswered=Exists(counted))


def end_counting(account_id: int | None, server: str) -> None:
    """An answer that the ledger does not keep came between them."""
    UnansweredStreak.objects.filter(account_id=account_id, server=server).delete()
