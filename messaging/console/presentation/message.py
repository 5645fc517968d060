"""How a message stands, what to do next, and what each attempt came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from messaging.access import roles
from messaging.company.options import retry_limits
from messaging.console.history import History, Recipients, gravest_first
from messaging.console.paging import Page
from messaging.delivery.outcomes.retry import max_tries
from messaging.models import AccountPause, AttemptOutcome, Batch, Message, MessageEvent, Reason, Recipient, SendAttempt
from messaging.wording import advice, in_words, moment, person, sentence, state, waits

from .reply import has_other_replies

Status = Message.Status
REPLIES = 20  # of an attempt that are shown with it


@dataclass(frozen=True)
class Standing:
    """How a message stands, and what to do next ("" where there is nothing to do or say)."""

    headline: str
    advice: str = ""


def next_try(message: Message) -> str:
    """When it moves by itself: "next try 14:05 (3 of 8)"; "" when it waits for someone."""
    if message.handed_to_id is not None:
        return "as a draft"
    if message.status == Status.HELD:
        until = _until(message.held_until)
        return f"{until}, due {moment(message.not_before)}" if message.not_before else until
    if message.status != Status.QUEUED or message.not_before is None:
        return ""
    is_due = message.not_before <= timezone.now()
    if message.tries:
        which = _which_try(message)
        return f"due now (try {which})" if is_due else f"next try {moment(message.not_before)} ({which})"
    if is_due:
        return "due now"
    return f"from {moment(message.not_before)}"


def _until(end: datetime | None) -> str:
    """Of a hold; one that is over ends with the next sweep, and may be seen before."""
    if end is None:
        return "until released"
    return f"until {moment(end)}" if end > timezone.now() else f"ended at {moment(end)}"


def _which_try(message: Message) -> str:
    """Which try comes next, of how many after what was heard last: "3 of 8"."""
    most = message.max_tries or max_tries(limits=retry_limits())
    return f"{message.tries + 1} of {max(most, message.tries + 1)}"


def never_tried(message: Message) -> str:
    """What stands in place of the attempts of a message that has none."""
    match message.status:
        case Status.SENT:
            return "It was not sent from here."
        case Status.UNKNOWN:
            return "No attempt is recorded here."
        case Status.FAILED | Status.CANCELLED:
            return "It was not tried."
    return "It has not been tried yet."


def tries_so_far(message: Any) -> str:
    """Of a row of a list, with `attempt_count`: “after 3 tries”, or “after 3 attempts (1 try)” where some cost none."""
    tries = f"{message.tries} {'try' if message.tries == 1 else 'tries'}"
    if message.attempt_count in (0, message.tries):
        return f"after {tries}" if message.tries else ""
    attempts = f"{message.attempt_count} attempt{'' if message.attempt_count == 1 else 's'}"
    return f"after {attempts} ({tries if message.tries else 'no try'})"


def counted_as_tries(message: Message, attempts: int) -> str:
    """Why the attempts on a message's page are more than its tries; "" where they are not."""
    if attempts <= message.tries or message.status == Status.SENT:
        return ""
    counted = {0: "None of them counts as a try", 1: "1 of them counts as a try"}
    words = counted.get(message.tries, f"{message.tries} of them count as tries")
    others = "attempts stopped by the account’s setup or the server’s pace do not count, nor do those before a Retry"
    return f"{words}: {others}."


def standing(message: Message, history: History, pauses: Sequence[AccountPause] = ()) -> Standing:
    """The first thing to read on a message's page; `pauses` keep it from being sent, the gravest first."""
    todo = todo_about(message, history.failing)
    why = sentence(in_words(message.reason))
    match message.status:
        case Status.QUEUED:
            return _paused(message, pauses) or _queued(message, todo)
        case Status.HELD if message.handed_to is not None:
            return _handed_over(message, message.handed_to)
        case Status.HELD:
            return _held(message, why)
        case Status.SENDING:
            return Standing("It is being handed to the mail server now.", "Load this page again to see the outcome.")
        case Status.SENT:
            said = _said_by_person(message, history)
            words = f"{said}," if said else "Accepted by the mail server"
            return Standing(f"{words} {moment(message.sent_at)}".strip(" ,") + ".")
        case Status.FAILED:
            return Standing(why or "It was refused.", _failed(todo, history.recipients))
        case Status.UNKNOWN:
            return Standing(why or "It is not known whether it arrived.", todo)
    return Standing(why or "Taken out of the queue for good.")


def _held(message: Message, why: str) -> Standing:
    until = message.held_until
    if until is not None and until <= timezone.now():
        is_over = "that time has passed, and it goes back to the queue as soon as a worker is free"
        return Standing(
            f"Held until {moment(until)}: {is_over}. {why}".strip(),
            f"Release it to put it back at once{once_queued(message)}.",
        )
    end = f"until {moment(until)}" if until else "until it is released"
    advice = f"Release it to put it back into the queue{once_queued(message)}."
    return Standing(f"Held {end}. {why}".strip(), advice)


def once_queued(message: Message) -> str:
    """What follows once it is back in the queue, where that is more than waiting for a batch."""
    due, account = message.not_before, message.account
    if due is None or (account is not None and not roles.may_send(account)):
        return ""
    if due > timezone.now():
        return f"; it goes out automatically at its own time, {moment(due)}"
    return f"; it then goes out at once, because its own time, {moment(due)}, has passed"


def todo_about(message: Message, failing: SendAttempt | None) -> str:
    """What to do after the last attempt that was not accepted: it promises another try only while one is planned."""
    if message.status == Status.UNKNOWN or (message.reason is not None and message.reason.key == Reason.REFUSED_ALIKE):
        return advice(message.reason, is_over=True)
    if failing is None:
        return ""
    match message.status:
        case Status.QUEUED if message.not_before is not None:
            starts_anew = not message.tries and failing.outcome == AttemptOutcome.PERMANENT
            return "" if starts_anew else advice(failing.reason)
        case Status.FAILED:
            return advice(failing.reason, is_over=True)
    return ""


@dataclass(frozen=True)
class AttemptLine:
    """An attempt on the page of its message: its outcome as `badge` and label, what to do about it now, and what its
    recipients were told, where that says more: `replies` are some of `number`.
    """

    row: SendAttempt
    badge: str
    label: str
    todo: str
    replies: list[dict[str, Any]]
    number: int


def attempt_lines(message: Message, attempts: Page[SendAttempt], failing: SendAttempt | None) -> list[AttemptLine]:
    """A page of the attempts of a message, the latest first; `failing` is the last that was not accepted."""
    todo = todo_about(message, failing)
    if message.reason is not None and message.reason.key == Reason.SINCE_BACKUP:
        todo = ""  # which no attempt is about
    moves = message.status in (Status.QUEUED, Status.SENDING)
    return [
        _attempt_line(row, todo if row == failing else "", is_tried_again=moves or attempts.first + place > 1)
        for place, row in enumerate(attempts.rows)
    ]


def _attempt_line(attempt: SendAttempt, todo: str, *, is_tried_again: bool) -> AttemptLine:
    replies = attempt.recipients if has_other_replies(attempt) else []
    shown = gravest_first(replies)[:REPLIES] if len(replies) > REPLIES else replies
    return AttemptLine(attempt, *_outcome(attempt, is_tried_again=is_tried_again), todo, shown, len(replies))


def _outcome(attempt: SendAttempt, *, is_tried_again: bool) -> tuple[str, str]:
    match attempt.outcome:
        case AttemptOutcome.TRANSIENT:
            return ("retrying", "Tried again later") if is_tried_again else ("failed", "Refused for now")
        case AttemptOutcome.SETUP:
            return "held", "Set-up at fault"
        case AttemptOutcome.PERMANENT:
            return "failed", "Refused"
    return attempt.outcome, attempt.get_outcome_display()


def released(message: Message) -> str:
    """What a release has come to."""
    if message.status != Status.QUEUED:
        return f"Released: it is “{message.get_status_display()}”, as it was before."
    return f"Released: it is back in the queue{once_queued(message)}."


def rest_of(message: Message, counts: Mapping[str, int]) -> str:
    """What follows for those who have not had an unknown message, once it is marked as sent; "" for none."""
    number = counts.get(Recipient.Status.PENDING, 0)
    if not number:
        return ""
    waits = message.batch is not None and message.batch.status == Batch.Status.CANCELLED
    goes = "It waits in the queue for" if waits else "It goes out at once to"
    who = "1 recipient" if number == 1 else f"{number:,} recipients"
    return f"{goes} {who} who have not had it yet."


def _handed_over(message: Message, holder: User) -> Standing:
    handed_over = message.events.filter(kind=MessageEvent.Kind.HANDED_OVER).order_by("-pk")
    since = handed_over.values_list("at", flat=True).first()
    when = f" at {moment(since)}" if since else ""
    headline = f"Handed over to {person(holder)}’s mail program{when}. No one has said yet that it was sent."
    before = sentence(in_words(message.reason_before))
    then = "" if message.status_before == Status.HELD else once_queued(message)
    back = f"Once put back, it is in the queue{then}." if then else ""
    return Standing(headline, " ".join(filter(None, [f"Before that: {before}" if before else "", back])))


def _said_by_person(message: Message, history: History) -> str:
    """How a person says that it was sent; "" when a mail server said so."""
    accepted = AttemptOutcome.ACCEPTED
    is_on_page = any(attempt.outcome == accepted for attempt in history.attempts.rows)
    if is_on_page or (history.attempts.pages > 1 and message.attempts.filter(outcome=accepted).exists()):
        return ""
    said = message.recipients.filter(said__isnull=False).first()
    return in_words(said.said) if said else ""


def _paused(message: Message, pauses: Sequence[AccountPause]) -> Standing | None:
    """Why it waits beyond its own time; None when nothing keeps it."""
    due, now = message.not_before, timezone.now()
    if due is None:
        return None
    holding = [pause for pause in pauses if due <= now or pause.until is None or pause.until > due]
    if not holding:
        return None
    todo = advice(holding[0].reason) if holding[0].kind in AccountPause.PROBED else ""
    others = [state(pause) for pause in holding[1:]]
    own = _queued(message, "") if message.tries or due > now else Standing("")
    return Standing(waits(holding[0]), " ".join(filter(None, [todo, *others, own.headline, own.advice])))


def _queued(message: Message, todo: str) -> Standing:
    if message.not_before is None:
        return Standing(
            "Waits in the queue for Batch Message Processing.", "Choose it in a batch, or let a schedule take it."
        )
    when = next_try(message)
    if message.tries:
        last = _last_try(message.give_up_at)
        headline = f"{sentence(in_words(message.reason))} {when[:1].upper()}{when[1:]}."
        return Standing(headline.strip(), f"{todo} {last}".strip())
    if message.not_before <= timezone.now():
        return Standing("It is due and goes out as soon as a worker is free.")
    return Standing(f"It goes out automatically {when}.")


def _last_try(give_up_at: datetime | None) -> str:
    if give_up_at is None:
        return ""
    if give_up_at <= timezone.now():
        return "The next try is the last one."
    return f"It is tried until {moment(give_up_at)}."


def _failed(todo: str, recipients: Recipients) -> str:
    accepted = recipients.counts.get(Recipient.Status.ACCEPTED, 0)
    if not accepted:
        return todo
    only_others = f"{accepted:,} of {recipients.total:,} recipients accepted it; a retry goes to the others only."
    return f"{todo} {only_others}".strip()
