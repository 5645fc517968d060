"""What came of an order for many messages, and of each message of a batch."""

from collections.abc import Mapping, Sequence

from django.contrib.auth.models import User

from messaging.console.filters import MOST_COUNTED
from messaging.models import MessageVersion
from messaging.queue import actions

RESULT_WORDS = {
    "sent": "Sent",
    "failed": "Failed",
    "unknown": "Unknown",
    "skipped": "Skipped",
    "held": "Held",
    "cancelled": "Taken out",
    "retrying": "Will be tried again",
    "sending": "Sending",
    "waiting": "Waiting",
    "chosen": "Chosen",
}
EDITS_NAMED = 5  # of those that kept messages from being released
ORDERED = {"hold": "held", "release": "released", "cancel": "cancelled"}
ALREADY = ("held", "sent", "failed", "cancelled", "queued")


def done_for_many(action: str, done: int, refused: Mapping[str, int]) -> str:
    """What came of an order for many: “12 held; 3 could not be: 2 are being sent, 1 is sent already.”"""
    number = sum(refused.values())
    words = f"{done:,} {ORDERED[action]}" if done else f"None was {ORDERED[action]}"
    if not number:
        return f"{words}."
    why = ", ".join(f"{count:,} {_stands(status, count)}" for status, count in sorted(refused.items()))
    return f"{words}; {number:,} could not be: {why}."


def had_matched(total: int, met: int) -> str:
    """How many messages an order was given for, where another number was met; `total` 0 is unknown."""
    if not total or total == met or total >= MOST_COUNTED:
        return ""
    return f"When the list was loaded, {total:,} matched the filter."


def unseen_edits(edits: Sequence[MessageVersion], reader: User) -> str:
    """Who edited which of the messages that were left alone for that: “Ben edited “Invoice 3”.”; "" for none."""
    if not edits:
        return ""
    named = [f"{actions.named(edit.by, reader)} edited “{edit.message}”" for edit in edits[:EDITS_NAMED]]
    more = f"; {len(edits) - EDITS_NAMED} more were edited" if len(edits) > EDITS_NAMED else ""
    return f"{'; '.join(named)}{more}. Look at {'it' if len(edits) == 1 else 'them'} and choose again."


def _stands(status: str, number: int) -> str:
    be = "is" if number == 1 else "are"
    if status in ALREADY:
        return f"{be} {status} already"
    rest = {
        "sending": f"{be} being sent",
        "unknown": f"{'has' if number == 1 else 'have'} an unknown outcome, to be decided first",
        "edited": f"{'was' if number == 1 else 'were'} edited after the list was loaded",
        "changed": f"{'has' if number == 1 else 'have'} changed since the list was loaded",
        "kept": f"{be} being changed elsewhere at the moment (choose again)",
        "draft": f"{be} a draft in a mail program" if number == 1 else "are drafts in mail programs",
    }
    return rest[status]
