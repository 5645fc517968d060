"""What becomes of a message once a button is pressed, as its page says before: that is done, or nothing.

What a page says depends on the company's options and on settings, which others may change while it is open. It is
compared where it is carried out, with what is found there.
"""

from enum import StrEnum
from typing import NamedTuple

from django.contrib.auth.models import User

from messaging.models import Message
from messaging.queue.actions import NotPossible, Sender, sender_for


class Promise(StrEnum):
    """What becomes of a message. It goes out of the queue automatically with an account: OWN is its user's."""

    AT_ONCE = "at-once"
    WAITS = "waits"  # in the queue, for Batch Message Processing
    OWN = "own"
    COMPANY = "company"


class NotAsPromised(NotPossible):
    """Something else than its page said would become of it now; nothing was done."""

    def __init__(self) -> None:
        super().__init__("What this does has changed since you opened the page. Look at it again.")


class Going(NamedTuple):
    """How a message goes out that is put into the queue now: with whose settings, or why it waits where none can."""

    promise: Promise
    sender: Sender


def from_queue(by: User, *, holds: bool) -> Going:
    """How a message of this person goes out of the queue; `holds`: the company holds mail like it."""
    if holds:
        return Going(Promise.WAITS, Sender(None))
    sender = sender_for(by)
    if sender.problem is not None:
        return Going(Promise.WAITS, sender)
    return Going(Promise.COMPANY if sender.account is None else Promise.OWN, sender)


def of(message: Message) -> Promise:
    """What becomes of a message as it is put into the queue."""
    if message.not_before is None:
        return Promise.WAITS
    return Promise.OWN if message.account == message.author else Promise.COMPANY


def compare(promised: Promise | None, now: Promise) -> None:
    """Raises NotAsPromised; None: no page promised anything."""
    if promised is not None and promised != now:
        raise NotAsPromised
