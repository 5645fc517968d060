"""What a person may do to one message. Every change is conditional on the state it was offered in, and is recorded."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.db.models import Max, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from messaging import admission
from messaging.access import roles
from messaging.delivery.store.group_commit import is_kept_waiting
from messaging.lifecycle import transitions
from messaging.lifecycle.transitions import Transition
from messaging.models import Category, Message, MessageVersion, Phrase, Reason, Recipient
from messaging.queue import wake
from messaging.queue.chunks import in_chunks
from messaging.queue.snapshots import Snapshot
from messaging.setup.layers import EmailSetup, resolve
from messaging.wording import in_words, person, whom

Status = Message.Status
GIVES_AWAY = transitions.HAND_OVER.sources  # to a person's mail program
TAKEN = (Recipient.Status.ACCEPTED, Recipient.Status.UNKNOWN)  # by a server, certainly or maybe
CHUNK = 1000  # messages that are changed in one transaction
SENDS = ("try_now", "retry", "send_again")  # with the settings of an account
# In a Tally: in a person's mail program; edited, or another one in any other way, since it was shown.
AS_DRAFT, EDITED, CHANGED, KEPT = "draft", "edited", "changed", "kept"
LOOK = "Look at it and choose again."


class NotPossible(Exception):
    """In plain words: why this cannot be done (any more); `phrases` are the same for a row, where there are any."""

    def __init__(self, words: str = "", phrases: Sequence[Phrase] = ()) -> None:
        super().__init__(words or " ".join(map(in_words, phrases)))
        self.phrases = phrases


class NotReplaced(NotPossible):
    """No other message takes the place of this failed one: in plain words why."""

    def __init__(self, message: Message, words: str) -> None:
        super().__init__(words)
        self.message = message


class Shown(NamedTuple):
    """What a person was shown of a message that they order something for: how often it had been edited and tried, and
    how many lines its history had; None: the form does not say.
    """

    edits: int = 0
    attempts: int | None = None
    events: int | None = None


class Replaced(NamedTuple):
    """A failed message that another one takes the place of, and what its author was shown of it."""

    message: Message
    seen: Shown | None = None


def shown_of(message: Message) -> Shown:
    """What there is to show of a message now."""
    edits = message.versions.aggregate(last=Coalesce(Max("number"), 0))["last"]
    return Shown(edits, message.attempts.count(), message.events.count())


# --- Sending on --------------------------------------------------------------------------------------


def mark_as_sent(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """A person knows that an unknown message arrived."""
    with _change(message, transitions.MARK_AS_SENT, by, seen, sender=by) as change:
        now = timezone.now()
        outcomes = set(message.recipients.values_list("status", flat=True))
        values: dict[str, Any] = {"not_before": None, "sent_at": None, "reason": None, "reason_category": "",
                                  "notified_at": message.notified_at}  # fmt: skip
        if Recipient.Status.PENDING in outcomes:
            # Others were asked to come back later, and have not had it.
            values |= {"status": Status.QUEUED, "not_before": now, "notified_at": None}
        elif Recipient.Status.FAILED in outcomes:
            refused = Phrase(Reason.RECIPIENT_REFUSED)
            values |= {"status": Status.FAILED, "reason": refused, "reason_category": Category.ADDRESS}
        else:
            values |= {"status": Status.SENT, "sent_at": now}
        said = Phrase("marked-as-sent-by", by=by.get_username())
        change(heard={"reply_text": "", "said": said}, **values)
        if values.get("status") == Status.QUEUED:
            _take_over(message, by)
            wake.wake_after_commit(message.account_id)


def send_again(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """A person takes the risk of a duplicate for an unknown message: same Message-ID, only to those not accepted."""
    _requeue(message, transitions.SEND_AGAIN, by, seen)


def retry(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """Try a failed message again, only for those who have not accepted it."""
    _requeue(message, transitions.RETRY, by, seen)


def write_again(message: Message, *, by: User, seen: Shown | None = None, to: Collection[str] = ()) -> None:
    """The author of what failed at once sends it as another message: no one retries this one beside it.

    Within the transaction that stores the other one, which goes to the addresses `to`.

    Raises:
        NotReplaced: it has not failed (any more), is another one than was shown, or one of `to` has had it.
    """
    try:
        with _change(message, transitions.WRITE_AGAIN, by, seen) as change:
            wanted = {address.casefold() for address in to}
            taken = message.recipients.filter(status__in=TAKEN).order_by("pk").values_list("address", flat=True)
            if twice := [address for address in taken if address.casefold() in wanted]:
                raise NotPossible(f"It has gone to {in_words(whom(twice))} already. Send it to the others only.")
            change()
    except NotPossible as error:
        raise NotReplaced(message, str(error)) from error


def _requeue(message: Message, transition: Transition, by: User, seen: Shown | None) -> None:
    with _change(message, transition, by, seen, sender=by) as change:
        if not message.recipients.exclude(status=Recipient.Status.ACCEPTED).exists():
            raise NotPossible("This message has no recipient left to send to. Have it written again with an address.")
        _check_setup(message, by, by)
        change(account=by, not_before=timezone.now())
        wake.wake_after_commit(by.pk)


class Sender(NamedTuple):
    """Whose settings a message goes out with by itself (None: the company's); or why it cannot."""

    account: User | None
    problem: Phrase | None = None


def sender_for(author: User | None) -> Sender:
    """The author's account, or the company's where that one's settings cannot send."""
    found: list[Phrase] = []
    for account in dict.fromkeys((author, None)):
        problems = resolve(account).problems()
        if not problems:
            return Sender(account)
        found += problems
    return Sender(None, found[0])


def try_now(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """Do not wait for the next try (or the time it was put off to)."""
    with _change(message, transitions.TRY_NOW, by, seen, sender=by) as change:
        if message.not_before is None:
            raise NotPossible("This message waits for Batch Message Processing. Choose it there.")
        _take_over(message, by)
        _check_setup(message, message.account, by)
        change(not_before=timezone.now())
        wake.wake_after_commit(message.account_id)


@contextmanager
def lock_account(account: User | None, *, by: User | None) -> Iterator[None]:
    """A transaction within which no one takes from an account the right to send, nor from `by`, who orders what is done
    in it, theirs. Begun before messages are locked, as users.change does.

    Raises:
        NotPossible: the account may not send (any more); admission.AdmissionEnded.
    """
    with transaction.atomic():
        rows = admission.confirm(by, account)
        if account is not None:
            row = rows.get(account.pk)
            if row is None or not roles.may_send(row):
                raise NotPossible(phrases=[Phrase("may-not-send", account=person(account))])
        yield


def _take_over(message: Message, by: User) -> None:
    """Let a queued message of a person who may not send any more go out with the account of who orders it."""
    left = message.account
    if left is None or roles.may_send(left):
        return
    why = Phrase("was-deactivated" if not left.is_active else "may-not-send", account=person(left))
    params = {"account": person(by), "why": why}
    transitions.carry_out(transitions.PASS_ON, [message.pk], by=by, at=timezone.now(), params=params, account=by)
    message.account = by


# --- Hold, release and cancel: for one message and for many --------------------------------------------


@dataclass(frozen=True)
class Order:
    """A transition that a person orders for one message or for many, with what it needs to be carried out."""

    transition: Transition
    given: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


def to_hold(why: str, until: datetime | None = None) -> Order:
    """Keep queued messages from every batch and schedule, until a time or until released."""
    given = {"reason": Phrase(Reason.SAID, words=why), "held_until": until}
    return Order(transitions.HOLD, given, {"why": why})


def to_release() -> Order:
    """Put held messages back into the queue, where they wait for a batch or for the time they were given."""
    return Order(transitions.RELEASE)


def to_cancel(why: str = "") -> Order:
    """Take messages that have not gone out of the queue for good."""
    given = {"reason": Phrase(Reason.SAID, words=why) if why else None}
    return Order(transitions.CANCEL, given, {"why": why} if why else {})


def hold(message: Message, *, by: User, why: str, until: datetime | None = None) -> None:
    """See to_hold; whatever the message is by now. Raises NotPossible."""
    _carry_out(to_hold(why, until), message, by, None)


def release(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """See to_release; raises NotPossible."""
    _carry_out(to_release(), message, by, seen)


def cancel(message: Message, *, by: User, why: str = "", seen: Shown | None = None) -> None:
    """See to_cancel; raises NotPossible."""
    _carry_out(to_cancel(why), message, by, seen)


def _carry_out(order: Order, message: Message, by: User, seen: Shown | None) -> None:
    with _change(message, order.transition, by, seen) as change:
        change(order.params, **order.given)


@dataclass
class Tally:
    """What came of an order for many: how many it was carried out for; how many it was not, by status, AS_DRAFT,
    EDITED, CHANGED or KEPT; and of the edited the edits that the person has not seen, the latest of each message.
    """

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unseen: list[MessageVersion] = field(default_factory=list)


def carry_out_for_all(
    order: Order,
    messages: QuerySet[Message],
    *,
    by: User,
    seen: Mapping[int, int] | None = None,
    since: Snapshot | None = None,
) -> Tally:
    """The same as for each message alone, with the same events and the same words for its batch, some at a time.

    Each CHUNK is a transaction of its own: lanes work in between. Which messages are meant is asked once, before.

    Args:
        seen: the versions that were shown of these messages, by their keys, 0 where none is given; None: whatever they
            are by now.
        since: what there was when they were shown; what is another one by now is left out.
    """
    tally = Tally()
    ids = list(messages.order_by("pk").values_list("pk", flat=True))
    left = len(ids)
    for part in in_chunks(ids, CHUNK):
        try:
            with admission.ordered_by(by):
                found = _carry_out_part(order, part, by, seen, since)
        except admission.AdmissionEnded as error:
            raise admission.AdmissionEnded(is_over=error.is_over, done=tally.done) from error
        except DatabaseError as error:
            if not (tally.done and is_kept_waiting(error)):
                raise
            tally.refused[KEPT] += left
            break
        left -= len(part)
        tally.done += found.done
        tally.refused += found.refused
        tally.unseen += found.unseen
    return tally


def _carry_out_part(
    order: Order, part: Sequence[int], by: User, seen: Mapping[int, int] | None, since: Snapshot | None
) -> Tally:
    tally = Tally()
    rows = transitions.lock(Message.objects.filter(pk__in=part))
    locked = list(rows.only("status", "handed_to"))
    keys = [message.pk for message in locked]
    unseen = {} if seen is None else edits_unseen(keys, seen)
    changed = set() if since is None else since.changed(keys)
    possible = []
    for message in locked:
        if not order.transition.allows(message):
            tally.refused[AS_DRAFT if message.handed_to_id is not None else message.status] += 1
        elif message.pk in unseen:
            tally.refused[EDITED] += 1
            tally.unseen.append(unseen[message.pk])
        elif message.pk in changed:
            tally.refused[CHANGED] += 1
        else:
            possible.append(message.pk)
    transitions.carry_out(order.transition, possible, by=by, at=timezone.now(), params=order.params, **order.given)
    tally.done = len(possible)
    return tally


def edits_unseen(ids: Sequence[int], seen: Mapping[int, int]) -> dict[int, MessageVersion]:
    """The last edit of each of these messages that was edited after the version that was shown of it."""
    rows = MessageVersion.objects.filter(message__in=ids).select_related("message", "by").order_by("number")
    rows = rows.only("number", "message__subject", "by__username", "by__first_name", "by__last_name")
    return {row.message_id: row for row in rows if row.number > seen.get(row.message_id, 0)}


# --- Send types 0 and 1: the person's own mail program -----------------------------------------------


def open_in_mail_program(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """Give one message to the person's own mail program as a draft (S11); nothing here sends it meanwhile.

    A message that someone has already is not handed over: a draft goes to everyone it names.
    """
    with _change(message, transitions.HAND_OVER, by, seen) as change:
        obstacle = why_not_opened_in_mail_program(message, resolve(by))
        if obstacle:
            raise NotPossible(obstacle)
        to = person(by)
        change({"to": to}, handed_to=by, reason=Phrase(Reason.HANDED_OVER, to=to))


def sent_from_mail_program(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """A person says that the draft was sent. It is never sent from here again."""
    with _change(message, transitions.SENT_FROM_MAIL_PROGRAM, by, seen) as change:
        holder = message.handed_to
        said = Phrase("sent-from", holder=person(holder))
        heard = {"reply_code": None, "enhanced_code": "", "reply_text": "", "said": said}
        change({"holder": person(holder)}, heard=heard, sent_at=timezone.now(), account=holder)


def put_back(message: Message, *, by: User, seen: Shown | None = None) -> None:
    """The draft was not sent: the message is again what it was before it was handed over."""
    with _change(message, transitions.PUT_BACK, by, seen) as change:
        change({"holder": person(message.handed_to)})


def _has_it(holder: User) -> str:
    return (
        f"{person(holder)}’s mail program has it as a draft, and it may have been sent from there. "
        "First say what happened to it: choose Sent from my mail program, or Put back."
    )


def _check_setup(message: Message, account: User | None, by: User) -> None:
    """Refuse what would only pause the account: with these settings it cannot send."""
    problems = resolve(account).problems()
    if problems:
        words = list(map(in_words, problems))
        if not why_not_opened_in_mail_program(message, resolve(by)):
            words.append("Or open it in your mail program, and send it from there.")
        raise NotPossible(" ".join(words))


def why_not_opened_in_mail_program(message: Message, setup: EmailSetup) -> str:
    """Why a person with these settings cannot open the message in a mail program; "" when it can be."""
    if not setup.is_mapi:
        return "Your email settings send over SMTP; only send types 0 and 1 (MAPI) open a message in a mail program."
    if message.status not in GIVES_AWAY:
        return f"The message is “{message.get_status_display()}”."
    if message.handed_to is not None:
        return _has_it(message.handed_to)
    if message.status == Status.QUEUED and message.batch_id is not None:
        return f"The message is being processed in batch {message.batch_id}. Cancel what is left of that batch first."
    recipients = message.recipients.order_by()
    if not recipients.exists():
        return "This message has no recipients. Have it written again with an address."
    if recipients.filter(status__in=TAKEN).exists():
        return "Some recipients have this message already, and a draft would go to all of them again."
    return ""


# --- What is offered ---------------------------------------------------------------------------------


def possible_actions(message: Message, setup: EmailSetup | None = None) -> list[str]:
    """Names of the functions above that make sense for the message now, the likeliest first.

    `setup` are the settings of the person who asks: what send types 0 and 1 cannot do is not offered. Without them
    nothing is handed over.
    """
    if message.handed_to_id is not None:
        return ["sent_from_mail_program", "put_back"]
    waits_for_time = message.not_before is not None
    actions = {
        Status.QUEUED: [*(["try_now"] if waits_for_time else []), "hold", "cancel"],
        Status.HELD: ["release", "cancel"],
        Status.UNKNOWN: ["mark_as_sent", "send_again"],
        Status.FAILED: ["retry"] if message.recipient_count else [],
    }.get(Status(message.status), [])
    if setup is None:
        return actions
    if why_not_sent(message, setup):
        actions = [name for name in actions if name not in SENDS]
    return actions if why_not_opened_in_mail_program(message, setup) else ["hand_over", *actions]


def why_not_sent(message: Message, setup: EmailSetup) -> str:
    """Why send types 0 and 1 (MAPI) cannot do one of SENDS for a person with these settings, in words; "" when they
    can, or have nothing to do with it. What is only incomplete is told when it is tried: the person can complete it.
    """
    match message.status:
        case Status.QUEUED if message.not_before is not None:
            sender = resolve(message.account)
        case Status.UNKNOWN | Status.FAILED if message.recipient_count:
            sender = setup
        case _:
            return ""
    return " ".join(map(in_words, sender.problems())) if sender.is_mapi else ""


@contextmanager
def _change(
    message: Message, transition: Transition, by: User, seen: Shown | None, *, sender: User | None = None
) -> Iterator[Callable[..., None]]:
    """A transaction around one person's change: refused when the message left the states it was offered in, or is
    another one than the person was shown (`seen`; None: whatever it is by now).

    `message` is as it is now, and locked, within it; `sender` is an account that keeps the right to send. What is
    yielded carries it out; it takes what the event's words need, and what transitions.carry_out does.
    """

    def change(params: Mapping[str, Any] | None = None, **given: Any) -> None:
        transitions.carry_out(transition, [message.pk], by=by, at=timezone.now(), params=params, **given)

    with lock_account(sender, by=by):
        message.refresh_from_db(from_queryset=transitions.lock(Message.objects.all()))
        if not transition.allows(message):
            raise NotPossible(_why_not(transition, message))
        if seen is not None and (why := _what_else(message, transition, by, seen)):
            raise NotPossible(f"{why} {LOOK}")
        yield change
    message.refresh_from_db()


def _what_else(message: Message, transition: Transition, by: User, seen: Shown) -> str:
    """In what a locked message is another one than it was shown; "" where it is the same."""
    if edit := edits_unseen([message.pk], {message.pk: seen.edits}).get(message.pk):
        return f"{named(edit.by, by)} edited this message while you had it open."
    events = message.events.select_related("by").order_by("pk")
    later = [] if seen.events is None else list(events[seen.events :])
    for event in later:
        if event.kind == transition.event:
            has = "have" if event.by == by else "has"
            return f"{named(event.by, by)} {has} already done this."
    if seen.attempts is not None and message.attempts.count() > seen.attempts:
        return "It has been tried again since you opened this page."
    return "This message has changed since you opened this page." if later else ""


def named(who: User | None, reader: User) -> str:
    """Who did something to a message, as the one who reads it is told."""
    return "You" if who == reader else person(who, "A deleted user")


def _why_not(transition: Transition, message: Message) -> str:
    if message.status not in transition.sources:
        return f"The message is now “{message.get_status_display()}”. Look at it again."
    if message.handed_to is not None:
        return _has_it(message.handed_to)
    return "The message is no longer a draft in a mail program. Look at it again."
