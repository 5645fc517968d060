"""What a person may do to one message. Every change is conditional on the state it was offered in, and is recorded."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from messaging import roles, wake
from messaging.lifecycle import transitions
from messaging.lifecycle.transitions import Transition
from messaging.models import Category, Message, Phrase, Reason, Recipient
from messaging.setup.layers import EmailSetup, resolve
from messaging.wording import in_words, person

Status = Message.Status
GIVES_AWAY = transitions.HAND_OVER.sources  # to a person's mail program
TAKEN = (Recipient.Status.ACCEPTED, Recipient.Status.UNKNOWN)  # by a server, certainly or maybe
CHUNK = 1000  # messages that are changed in one transaction
SENDS = ("try_now", "retry", "send_again")  # with the settings of an account
AS_DRAFT = "draft"  # in a Tally: in a person's mail program


class NotPossible(Exception):
    """In plain words: why this cannot be done (any more); `phrases` are the same for a row, where there are any."""

    def __init__(self, words: str = "", phrases: Sequence[Phrase] = ()) -> None:
        super().__init__(words or " ".join(map(in_words, phrases)))
        self.phrases = phrases


# --- Whose messages ----------------------------------------------------------------------------------


def visible_to(user: User) -> QuerySet[Message]:
    """The messages a person may see, and so act on: everybody's, or those they are the author of."""
    return Message.objects.all() if roles.sees_all(user) else Message.objects.filter(author=user)


# --- Sending on --------------------------------------------------------------------------------------


def mark_as_sent(message: Message, *, by: User) -> None:
    """A person knows that an unknown message arrived."""
    with lock_account(by), _change(message, transitions.MARK_AS_SENT, by) as change:
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


def send_again(message: Message, *, by: User) -> None:
    """A person takes the risk of a duplicate for an unknown message: same Message-ID, only to those not accepted."""
    _requeue(message, transitions.SEND_AGAIN, by)


def retry(message: Message, *, by: User) -> None:
    """Try a failed message again, only for those who have not accepted it."""
    _requeue(message, transitions.RETRY, by)


def write_again(message: Message, *, by: User) -> None:
    """The author of what failed at once sends it as another message: nobody retries this one beside it.

    Within the transaction that stores the other one.
    """
    with _change(message, transitions.WRITE_AGAIN, by) as change:
        change()


def _requeue(message: Message, transition: Transition, by: User) -> None:
    with lock_account(by), _change(message, transition, by) as change:
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


def try_now(message: Message, *, by: User) -> None:
    """Do not wait for the next try (or the time it was put off to)."""
    with lock_account(by), _change(message, transitions.TRY_NOW, by) as change:
        if message.not_before is None:
            raise NotPossible("This message waits for Batch Message Processing. Choose it there.")
        _take_over(message, by)
        _check_setup(message, message.account, by)
        change(not_before=timezone.now())
        wake.wake_after_commit(message.account_id)


@contextmanager
def lock_account(account: User | None) -> Iterator[None]:
    """A transaction within which nobody takes from an account the right to send. Begun before messages are locked, as
    users.change does.

    Raises:
        NotPossible: it may not send (any more).
    """
    with transaction.atomic():
        if account is not None:
            row = User.objects.select_for_update(no_key=True).filter(pk=account.pk).first()
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
    """See to_hold; raises NotPossible."""
    _carry_out(to_hold(why, until), message, by)


def release(message: Message, *, by: User) -> None:
    """See to_release; raises NotPossible."""
    _carry_out(to_release(), message, by)


def cancel(message: Message, *, by: User, why: str = "") -> None:
    """See to_cancel; raises NotPossible."""
    _carry_out(to_cancel(why), message, by)


def _carry_out(order: Order, message: Message, by: User) -> None:
    with _change(message, order.transition, by) as change:
        change(order.params, **order.given)


@dataclass
class Tally:
    """What came of an order for many: how many it was carried out for; how many it was not, by status or AS_DRAFT."""

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def carry_out_for_all(order: Order, messages: QuerySet[Message], *, by: User) -> Tally:
    """The same as for each message alone, with the same events and the same words for its batch, some at a time.

    Each CHUNK is a transaction of its own: lanes work in between. Which messages are meant is asked once, before.
    """
    tally = Tally()
    ids = list(messages.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic():
            rows = transitions.lock(Message.objects.filter(pk__in=ids[start : start + CHUNK]))
            possible = []
            for message in rows.only("status", "handed_to"):
                if order.transition.allows(message):
                    possible.append(message.pk)
                else:
                    tally.refused[AS_DRAFT if message.handed_to_id is not None else message.status] += 1
            transitions.carry_out(
                order.transition, possible, by=by, at=timezone.now(), params=order.params, **order.given
            )
            tally.done += len(possible)
    return tally


# --- Send types 0 and 1: the person's own mail program -----------------------------------------------


def hand_over(message: Message, *, by: User) -> None:
    """Give one message to the person's own mail program as a draft (row S11); nothing here sends it meanwhile.

    A message that somebody has already is not handed over: a draft goes to everybody it names.
    """
    with _change(message, transitions.HAND_OVER, by) as change:
        obstacle = why_not_handed_over(message, resolve(by))
        if obstacle:
            raise NotPossible(obstacle)
        to = person(by)
        change({"to": to}, handed_to=by, reason=Phrase(Reason.HANDED_OVER, to=to))


def sent_from_mail_program(message: Message, *, by: User) -> None:
    """A person says that the draft was sent. It is never sent from here again."""
    with _change(message, transitions.SENT_FROM_MAIL_PROGRAM, by) as change:
        holder = message.handed_to
        said = Phrase("sent-from", holder=person(holder))
        heard = {"reply_code": None, "enhanced_code": "", "reply_text": "", "said": said}
        change({"holder": person(holder)}, heard=heard, sent_at=timezone.now(), account=holder)


def put_back(message: Message, *, by: User) -> None:
    """The draft was not sent: the message is again what it was before it was handed over."""
    with _change(message, transitions.PUT_BACK, by) as change:
        change({"holder": person(message.handed_to)})


def _has_it(holder: User) -> str:
    return (
        f"{person(holder)}’s mail program has it as a draft, and it may have been sent from there. "
        "Say first what became of it: Sent from my mail program, or Put back."
    )


def _check_setup(message: Message, account: User | None, by: User) -> None:
    """Refuse what would only pause the account: with these settings it cannot send."""
    problems = resolve(account).problems()
    if problems:
        words = list(map(in_words, problems))
        if not why_not_handed_over(message, resolve(by)):
            words.append("Or open it in your mail program, and send it from there.")
        raise NotPossible(" ".join(words))


def why_not_handed_over(message: Message, setup: EmailSetup) -> str:
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
        return "This message names nobody to send it to. Have it written again with an address."
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
    return actions if why_not_handed_over(message, setup) else ["hand_over", *actions]


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
def _change(message: Message, transition: Transition, by: User) -> Iterator[Callable[..., None]]:
    """A transaction around one person's change: refused when the message left the states it was offered in.

    `message` is as it is now, and locked, within it. What is yielded carries it out; it takes what the event's words
    need, and what transitions.carry_out does.
    """

    def change(params: Mapping[str, Any] | None = None, **given: Any) -> None:
        transitions.carry_out(transition, [message.pk], by=by, at=timezone.now(), params=params, **given)

    with transaction.atomic():
        message.refresh_from_db(from_queryset=transitions.lock(Message.objects.all()))
        if not transition.allows(message):
            raise NotPossible(_why_not(transition, message))
        yield change
    message.refresh_from_db()


def _why_not(transition: Transition, message: Message) -> str:
    if message.status not in transition.sources:
        return f"The message is “{message.get_status_display()}” by now. Look at it again."
    if message.handed_to is not None:
        return _has_it(message.handed_to)
    return "The message is in nobody’s mail program by now. Look at it again."
