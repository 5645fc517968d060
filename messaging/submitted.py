"""Forms that are sent once: a second click, the back button and a replay find what became of the first."""

import uuid
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from messaging.models import Message, Submitted

KEPT = timedelta(days=2)
# The longest that a server may take for an answer; after that its process must have died.
LONGEST = timedelta(minutes=15)
NOT_SENT = "Not sent: "
BROKE_OFF = (
    "Whether it was sent is not known: an error of this server broke it off. Look for it in the message queue, and ask "
    "the recipient before you send it again."
)


def new_key() -> str:
    """For the hidden field of a new form."""
    return uuid.uuid4().hex


def begin(key: str, *, by: User) -> Submitted | None:
    """Take a form's key; None when it was taken before, and then nothing may be sent."""
    try:
        with transaction.atomic():
            return Submitted.objects.create(key=key[:64], by=by, at=timezone.now())
    except IntegrityError:
        return None


def withdraw(row: Submitted) -> None:
    """Nothing was tried: the same form may be sent again."""
    row.delete()


def end(row: Submitted, words: str, message: Message | None = None) -> None:
    """Say what came of it."""
    Submitted.objects.filter(pk=row.pk).update(words=words[:500], message=message)


def what_became(row: Submitted) -> str:
    """In words; "" while it is being sent."""
    if not row.words and timezone.now() - row.at > LONGEST:
        return BROKE_OFF
    return row.words


def forget(now: datetime) -> None:
    """Drop the keys of forms that nobody has open any more."""
    Submitted.objects.filter(at__lt=now - KEPT).delete()
