"""Forms that are sent once: a second click, the back button and a replay find what became of the first."""

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from messaging.models import FormSubmission, Message, Phrase
from messaging.models.options import MOST_SESSION_HOURS

KEPT = timedelta(hours=MOST_SESSION_HOURS)  # as long as a browser may have the form and its session
ALL_STAGES = 2100.0  # seconds for which a server may be silent before the end of the data, at a scale of 1
RECORDING = 900.0  # to write down what came of it, while the database comes and goes
State = FormSubmission.State
BROKEN_OFF = Phrase("form-broken-off")


def new_key() -> str:
    """For the hidden field of a new form."""
    return uuid.uuid4().hex


def begin(key: str, *, by: User) -> FormSubmission | None:
    """Take a form's key; None when it was taken before, and then nothing may be sent."""
    try:
        with transaction.atomic():
            return FormSubmission.objects.create(key=key[:64], by=by, at=timezone.now())
    except IntegrityError:
        return None


def withdraw(row: FormSubmission) -> None:
    """Nothing was tried: the same form may be sent again."""
    row.delete()


def link(row: FormSubmission, message: Message) -> None:
    """Let the message tell what becomes of it, also when the process dies that sends it."""
    FormSubmission.objects.filter(pk=row.pk).update(message=message)


def end(row: FormSubmission, state: FormSubmission.State, told: Phrase) -> None:
    """Keep what came of it, and how that is told where no message is recorded."""
    FormSubmission.objects.filter(pk=row.pk).update(state=state, told=told)


def break_off(row: FormSubmission) -> None:
    """An error of this server ended it: no one knows what came of it."""
    end(row, State.BROKEN_OFF, BROKEN_OFF)


def message_to_show(row: FormSubmission) -> Message | None:
    """The message whose page tells what came of it; None while it is being sent, as it may be deleted after that."""
    is_being_sent = row.message is not None and row.message.status == Message.Status.SENDING
    return None if row.state == State.SENDING and is_being_sent else row.message


def what_became(row: FormSubmission) -> tuple[FormSubmission.State, Phrase | None]:
    """The state, and how it is told: None while it is being sent."""
    if row.state == State.SENDING and abs(timezone.now() - row.at) > longest():
        return State.BROKEN_OFF, BROKEN_OFF
    return State(row.state), row.told


def longest() -> timedelta:
    """As long as a server and the database may take for their answers; after that its process must have died."""
    server = ALL_STAGES * settings.SMTP_TIMEOUT_SCALE + settings.SMTP_FINAL_REPLY_TIMEOUT
    return timedelta(seconds=server + RECORDING)


def forget(now: datetime) -> None:
    """Drop the keys of forms that no one has open any more."""
    FormSubmission.objects.filter(at__lt=now - KEPT).delete()
