"""What became of a message that is sent at once, or handed to the queue, by the person who wrote it."""

from collections import defaultdict
from dataclasses import dataclass, field

from django.utils import timezone

from messaging.models import Message, Phrase
from messaging.submit import Outcome, State
from messaging.wording import whom

NAMED_AT_MOST = 50


@dataclass(frozen=True)
class NotSent:
    """Why a message was not sent, or not to everyone, for the page: the same reason once for all it was said of."""

    head: str
    explanation: str = ""
    advice: str = ""
    accepted: str = ""
    reasons: list[tuple[str, str, str]] = field(default_factory=list)
    may_queue: bool = False
    message: Message | None = None


def result_of(outcome: Outcome) -> Phrase:
    """What came of it, also for a user who sends the form again."""
    match outcome.state:
        case State.QUEUED:
            due = outcome.message.not_before
            if due is None:
                return Phrase("form-queued")
            return Phrase("form-due") if due <= timezone.now() else Phrase("form-timed", at=due)
        case State.SENT:
            return Phrase("form-sent", to=whom(outcome.accepted))
        case State.PARTLY:
            refused = [each.address for each in outcome.refused]
            return Phrase("form-partly", to=whom(outcome.accepted), refused=whom(refused))
        case State.UNKNOWN:
            return Phrase("form-unknown", why=outcome.reason)
    return Phrase("form-not-sent", why=outcome.reason)


def _named(addresses: list[str]) -> str:
    more = len(addresses) - NAMED_AT_MOST
    return ", ".join(addresses[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def not_sent(outcome: Outcome) -> NotSent:
    """Of an outcome that is not what was meant."""
    reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in outcome.refused:
        reasons[each.explanation, f"{each.reply.code or ''} {each.reply.said}".strip()].append(each.address)
    if not reasons and outcome.reply is not None:
        reasons[outcome.explanation, f"{outcome.reply.code or ''} {outcome.reply.said}".strip()] = []
    head = "It was sent to some recipients only." if outcome.accepted else "It was not sent."
    return NotSent(
        head,
        outcome.explanation,
        outcome.advice,
        _named(list(outcome.accepted)),
        [(why, words, _named(names)) for (why, words), names in reasons.items()],
        outcome.may_queue,
        outcome.message if outcome.is_recorded else None,
    )
