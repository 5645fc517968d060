"""What a person may do to one message. Every change is conditional on the state it was offered in, and is recorded."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, Value, When
from django.utils import timezone

from messaging import roles, wake
from messaging.models import Batch, BatchItem, Category, Message, MessageEvent, Phrase, Reason, Recipient
from messaging.setup.layers import EmailSetup, resolve
from messaging.wording import in_words, person

Status = Message.Status
HoldKind = Message.HoldKind
Kind = MessageEvent.Kind
NOT_HANDED_OVER: dict[str, Any] = {"handed_to": None, "hold_kind": "", "status_before": "", "reason_before": None}
GIVES_AWAY = (Status.QUEUED, Status.HELD, Status.FAILED)  # to a person's mail program
TAKEN = (Recipient.Status.ACCEPTED, Recipient.Status.UNKNOWN)  # by a server, certainly or maybe
CHUNK = 1000  # messages that are changed in one transaction
AS_DRAFT = "draft"  # in a Tally: in somebody's mail program
# Queued, as long as somebody is left to send it to; one that failed waits for a person's order to retry.
_LEFT = Recipient.objects.filter(message=OuterRef("pk"), status=Recipient.Status.PENDING)
_WITHOUT_HOLD = Case(When(Exists(_LEFT), then=Value(Status.QUEUED)), default=Value(Status.FAILED))


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
    with _change(message, [Status.UNKNOWN], by, Phrase(Kind.MARKED_AS_SENT)) as change:
        now = timezone.now()
        message.recipients.filter(status=Recipient.Status.UNKNOWN).update(
            status=Recipient.Status.ACCEPTED, decided_at=now, reply_text="",
            said=Phrase("marked-as-sent-by", by=by.get_username()),
        )  # fmt: skip
        if message.recipients.filter(status=Recipient.Status.PENDING).exists():
            # Others were asked to come back later, and have not had it.
            change(status=Status.QUEUED, not_before=now, once=False, reason=None, reason_category="", notified_at=None)
            wake.wake_after_commit(message.account_id)
        elif message.recipients.filter(status=Recipient.Status.FAILED).exists():
            refused = Phrase(Reason.RECIPIENT_REFUSED)
            change(status=Status.FAILED, reason=refused, reason_category=Category.ADDRESS)
        else:
            change(status=Status.SENT, sent_at=now, reason=None, reason_category="")


def send_again(message: Message, *, by: User) -> None:
    """A person takes the risk of a duplicate for an unknown message: same Message-ID, only to those not accepted."""
    _requeue(message, [Status.UNKNOWN], Recipient.Status.UNKNOWN, by, Kind.SEND_AGAIN)


def retry(message: Message, *, by: User) -> None:
    """Try a failed message again, only for those who have not accepted it."""
    _requeue(message, [Status.FAILED], Recipient.Status.FAILED, by, Kind.RETRY)


def write_again(message: Message, *, by: User) -> None:
    """The author of what failed at once sends it as another message: nobody retries this one beside it."""
    with _change(message, [Status.FAILED], by, Phrase(Kind.WRITTEN_AGAIN)) as change:
        change(status=Status.CANCELLED, reason=Phrase(Reason.WRITTEN_AGAIN), reason_category="")


def not_written_again(message: Message, *, by: User, reason: Phrase | None, category: str) -> None:
    """The other message was not taken: this one is what it was."""
    with _change(message, [Status.CANCELLED], by, Phrase(Kind.NOT_WRITTEN_AGAIN)) as change:
        change(status=Status.FAILED, reason=reason, reason_category=category)


def _requeue(message: Message, states: list[str], recipients: str, by: User, what: MessageEvent.Kind) -> None:
    with _change(message, states, by, Phrase(what)) as change:
        if not message.recipients.exclude(status=Recipient.Status.ACCEPTED).exists():
            raise NotPossible("This message has no recipient left to send to. Have it written again with an address.")
        _check_setup(message, by, by)
        message.recipients.filter(status=recipients).update(status=Recipient.Status.PENDING, streak=None)
        leave_batch(Message.objects.filter(pk=message.pk))
        change(**anew(by, timezone.now()))
        wake.wake_after_commit(by.pk)


def anew(account: User | None, not_before: datetime | None, batch: Batch | None = None) -> dict[str, Any]:
    """The columns of a message that is queued as if for the first time: its tries so far no longer count."""
    return {
        "status": Status.QUEUED, "account": account, "not_before": not_before, "batch": batch, "tries": 0,
        "max_tries": None, "give_up_at": None, "once": False, "reason": None, "reason_category": "",
        "notified_at": None,
    }  # fmt: skip


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
    with _change(message, [Status.QUEUED], by, Phrase(Kind.TRY_NOW)) as change:
        if message.not_before is None:
            raise NotPossible("This message waits for Batch Message Processing. Choose it there.")
        _check_setup(message, message.account, by)
        change(not_before=timezone.now())
        wake.wake_after_commit(message.account_id)


# --- Hold, release and cancel: for one message and for many --------------------------------------------


@dataclass(frozen=True)
class Order:
    """What a person orders for a message: in which states it may be given, and what it writes.

    `leaves` is the outcome written down for the batch that the message leaves; "" where it is in none. Whoever has the
    message as a draft in a mail program is asked first, unless `states` say that nobody has.
    """

    states: tuple[str, ...]
    what: Phrase
    values: Mapping[str, Any]
    leaves: str = ""

    def refusal(self, message: Message) -> str:
        """Why it cannot be carried out now, in plain words; "" when it can."""
        if message.status not in self.states:
            return f"The message is “{message.get_status_display()}” by now. Look at it again."
        return _has_it(message.handed_to) if message.handed_to is not None else ""


def to_hold(why: str, until: datetime | None = None) -> Order:
    """Keep queued messages from every batch and schedule, until a time or until released."""
    # A time that a program asked for outlives the hold; the order of a batch does not.
    not_before = Case(When(batch=None, then=F("not_before")), default=None)
    values = {"status": Status.HELD, "hold_kind": HoldKind.HOLD, "held_until": until, "not_before": not_before,
              "batch": None, "reason": Phrase(Reason.SAID, words=why), "reason_category": ""}  # fmt: skip
    return Order((Status.QUEUED,), Phrase(Kind.HELD, why=why), values, leaves=Status.HELD)


def to_release() -> Order:
    """Put held messages back into the queue, where they wait for a batch or for the time they were given."""
    values = NOT_HANDED_OVER | {"status": _WITHOUT_HOLD, "held_until": None, "reason": None}
    return Order((Status.HELD,), Phrase(Kind.RELEASED), values)


def to_cancel(why: str = "") -> Order:
    """Take messages that have not gone out of the queue for good."""
    values = NOT_HANDED_OVER | {
        "status": Status.CANCELLED, "held_until": None, "not_before": None, "batch": None,
        "reason": Phrase(Reason.SAID, words=why) if why else None, "reason_category": "",
    }  # fmt: skip
    what = Phrase(Kind.CANCELLED, why=why) if why else Phrase(Kind.CANCELLED)
    return Order((Status.QUEUED, Status.HELD), what, values, leaves=Status.CANCELLED)


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
    with _change(message, [*order.states], by, order.what) as change:
        if words := order.refusal(message):
            raise NotPossible(words)
        if order.leaves:
            leave_batch(Message.objects.filter(pk=message.pk), outcome=order.leaves)
        change(**order.values)


@dataclass
class Tally:
    """What came of an order for many: how many it was carried out for; how many it was not, by status or AS_DRAFT."""

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def carry_out_for_all(order: Order, messages: QuerySet[Message], *, by: User) -> Tally:
    """The same as for each message alone, with the same events and the same words for its batch, some at a time.

    Each CHUNK is a transaction of its own: lanes go on in between. Which messages are meant is asked once, before.
    """
    tally = Tally()
    ids = list(messages.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), CHUNK):
        with transaction.atomic():
            # Locked in the order of the keys, as lanes and batches do it, so that nobody waits in a circle.
            found = Message.objects.filter(pk__in=ids[start : start + CHUNK]).select_for_update(of=("self",))
            rows = found.select_related("handed_to").only("status", "handed_to").order_by("pk")
            possible = []
            for message in rows:
                if not order.refusal(message):
                    possible.append(message.pk)
                else:
                    tally.refused[AS_DRAFT if message.handed_to_id is not None else message.status] += 1
            _carry_out_for(possible, order, by)
            tally.done += len(possible)
    return tally


def _carry_out_for(ids: list[int], order: Order, by: User) -> None:
    now = timezone.now()
    chosen = Message.objects.filter(pk__in=ids)
    if order.leaves:
        leave_batch(chosen.exclude(batch=None), outcome=order.leaves)
    chosen.update(**order.values)
    MessageEvent.objects.bulk_create(MessageEvent.of(order.what, message_id=pk, at=now, by=by) for pk in ids)


# --- Send types 0 and 1: the person's own mail program -----------------------------------------------


def hand_over(message: Message, *, by: User) -> None:
    """Give one message to the person's own mail program as a draft (row S11); nothing here sends it meanwhile.

    A message that somebody has already is not handed over: a draft goes to everybody it names.
    """
    with _change(message, [*GIVES_AWAY], by, Phrase(Kind.HANDED_OVER, to=person(by))) as change:
        obstacle = why_not_handed_over(message, resolve(by))
        if obstacle:
            raise NotPossible(obstacle)
        leave_batch(Message.objects.filter(pk=message.pk))
        change(
            status=Status.HELD, hold_kind=HoldKind.MAIL_PROGRAM, handed_to=by, batch=None,
            reason=Phrase(Reason.HANDED_OVER, to=person(by)), status_before=message.status,
            reason_before=message.reason,
        )  # fmt: skip


def sent_from_mail_program(message: Message, *, by: User) -> None:
    """A person says that the draft was sent. It is never sent from here again."""
    with _change(message, [Status.HELD], by) as change:
        holder = _holder(message)
        now = timezone.now()
        message.recipients.exclude(status=Recipient.Status.ACCEPTED).update(
            status=Recipient.Status.ACCEPTED, decided_at=now, reply_code=None, enhanced_code="", reply_text="",
            said=Phrase("sent-from", holder=person(holder)),
        )  # fmt: skip
        change(
            Phrase(Kind.SENT_FROM_MAIL_PROGRAM, holder=person(holder)),
            **NOT_HANDED_OVER, status=Status.SENT, sent_at=now, account=holder, held_until=None, not_before=None,
            reason=None, reason_category="",
        )  # fmt: skip


def put_back(message: Message, *, by: User) -> None:
    """The draft was not sent: the message is again what it was before it was handed over."""
    with _change(message, [Status.HELD], by) as change:
        what = Phrase(Kind.PUT_BACK, holder=person(_holder(message)))
        before = {"status": message.status_before, "reason": message.reason_before}
        if message.status_before == Status.HELD:
            before["hold_kind"] = HoldKind.HOLD
        change(what, **NOT_HANDED_OVER | before)


def _holder(message: Message) -> User:
    """Whose mail program has the message as a draft. Raises NotPossible when nobody's has (any more)."""
    if message.handed_to is None:
        raise NotPossible("The message is in nobody’s mail program by now. Look at it again.")
    return message.handed_to


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
    recipients = message.recipients.all()
    if not recipients:
        return "This message names nobody to send it to. Have it written again with an address."
    if any(recipient.status in TAKEN for recipient in recipients):
        return "Some recipients have this message already, and a draft would go to all of them again."
    return ""


def waiting() -> QuerySet[Message]:
    """Queued messages that go nowhere by themselves: they wait for a batch, or for a person."""
    return Message.objects.filter(status=Status.QUEUED, not_before=None, batch=None)


def is_waiting(message: Message) -> bool:
    """Whether a message is among them."""
    return message.status == Status.QUEUED and message.not_before is None and message.batch_id is None


# --- What is offered ---------------------------------------------------------------------------------


def possible_actions(message: Message, setup: EmailSetup | None = None) -> list[str]:
    """Names of the functions above that make sense for the message now, the likeliest first.

    `setup` are the settings of the person who asks; without them nothing is handed over.
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
    if setup is not None and not why_not_handed_over(message, setup):
        return ["hand_over", *(name for name in actions if name != "retry")]
    return actions


def leave_batch(messages: QuerySet[Message], outcome: str = "") -> None:
    """Write down, for the report of the batch that messages are about to leave, what became of them there."""
    own = Message.objects.filter(pk=OuterRef("message_id"))
    BatchItem.objects.filter(message__in=messages, batch=F("message__batch"), outcome="").update(
        outcome=Value(outcome) if outcome else Subquery(own.values("status")[:1]),
        reason=Subquery(own.values("reason")[:1]),
    )


@contextmanager
def _change(message: Message, states: list[str], by: User, what: Phrase | None = None) -> Iterator[Callable[..., None]]:
    """A transaction around one person's change: refused when the message left the states it was offered in.

    `message` is as it is now, and locked, within it. What is yielded writes the new values and the event: `what`, or
    one given first.
    """

    def write(what: Phrase | None = what, **values: Any) -> None:
        assert what is not None
        Message.objects.filter(pk=message.pk).update(**values)
        MessageEvent.of(what, message=message, at=timezone.now(), by=by).save()

    with transaction.atomic():
        message.refresh_from_db(from_queryset=Message.objects.select_for_update(of=("self",)))
        if message.status not in states:
            raise NotPossible(f"The message is “{message.get_status_display()}” by now. Look at it again.")
        yield write
    message.refresh_from_db()
