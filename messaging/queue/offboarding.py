"""When a person may not send any more: what is under way in their name, and what becomes of it.

What is under way goes out with their account, although they cannot see or stop it. The administrator who deactivates
them, or takes the role away, decides: hold it, pass it on to another account, cancel it, or let it go (users.change
asks).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from messaging.access import roles
from messaging.delivery.store import claims
from messaging.lifecycle import transitions
from messaging.models import Batch, Message, MessageEvent, Phrase, Recall, Schedule
from messaging.queue import wake
from messaging.queue.actions import Order, carry_out_for_all
from messaging.queue.snapshots import Rows
from messaging.setup.layers import resolve_each
from messaging.wording import person

Choice = Recall.Choice
Status = Message.Status
NAMED = 5
CHUNK = 500


@dataclass(frozen=True)
class Group:
    """Messages that stand alike: how many, and the first of them."""

    number: int
    named: Sequence[Message]


class Lines(Rows):
    """The lines in the histories of what is under way: with what comes under way there is another one."""


@dataclass(frozen=True)
class UnderWay:
    """What is under way in a person's name, by how it stands; false when nothing is.

    `lines` were there before it was looked at: what is shown may be newer, never older.
    """

    lines: Lines
    queued: Group
    sending: Group
    held: Group
    drafts: Group
    unknown: Group
    batches: Sequence[Batch]
    schedules: Sequence[Schedule]

    def __bool__(self) -> bool:
        groups = (self.queued, self.sending, self.held, self.drafts, self.unknown)
        return any(group.number for group in groups) or bool(self.batches) or bool(self.schedules)


@dataclass(frozen=True)
class Decision:
    """What becomes of it; `successor` is the account that it is passed on to (None: the company's).

    `seen` is what the person was shown who decides; None: it is for whatever is under way by now.
    """

    choice: Recall.Choice
    successor: User | None = None
    seen: Lines | None = None


@dataclass(frozen=True)
class Outcome:
    """How many messages a decision was carried out for, and how many are being sent: for these, if they come back."""

    done: int
    sending: int


class Undecided(Exception):
    """Nothing was changed: something is under way in the person's name, and no one who saw all of it said what becomes
    of it.
    """

    def __init__(self, under_way: UnderWay) -> None:
        super().__init__("Something is under way in this user’s name. Say what should happen to it.")
        self.under_way = under_way


class BadSuccessor(Exception):
    """In plain words: why it cannot be passed on to that account."""


def under_way(user: User) -> UnderWay:
    """What goes out, or may, with the account of a person, and what of theirs only a person can settle."""
    schedules = Schedule.objects.filter(account=user, is_on=True)
    messages = Message.objects.filter(in_name_of(user.pk))
    return UnderWay(
        lines=_lines(user),
        queued=_group(messages.filter(status=Status.QUEUED)),
        sending=_group(messages.filter(status=Status.SENDING)),
        held=_group(messages.filter(status=Status.HELD, handed_to=None)),
        drafts=_group(messages.filter(status=Status.HELD, handed_to=user)),
        unknown=_group(messages.filter(status=Status.UNKNOWN)),
        batches=list(_batches(user)),
        schedules=list(schedules),
    )


def in_name_of(pk: int) -> Q:
    """The messages that are under way in the name of the person with that key.

    What waits for a batch is not: it goes out with the account of the person who runs that.
    """
    statuses = [Status.SENDING, Status.UNKNOWN]
    own = Q(status__in=statuses) | Q(status=Status.QUEUED, not_before__isnull=False) | Q(status=Status.HELD)
    return Q(account=pk, handed_to=None) & own | Q(status=Status.HELD, handed_to=pk)


def _lines(user: User) -> Lines:
    found = MessageEvent.objects.filter(message__in=Message.objects.filter(in_name_of(user.pk)).order_by()).order_by()
    return Lines(**found.aggregate(number=Count("pk"), last=Coalesce(Max("pk"), 0)))


def _group(messages: QuerySet[Message]) -> Group:
    named = list(messages.only("subject", "recipients_text", "not_before", "status").order_by("pk")[:NAMED])
    return Group(messages.count() if len(named) == NAMED else len(named), named)


def _queued(user: User) -> QuerySet[Message]:
    """Due, at a next try or at a time."""
    return Message.objects.filter(in_name_of(user.pk), status=Status.QUEUED)


def _sending(user: User) -> QuerySet[Message]:
    return Message.objects.filter(in_name_of(user.pk), status=Status.SENDING)


def _held(user: User) -> QuerySet[Message]:
    return Message.objects.filter(in_name_of(user.pk), status=Status.HELD, handed_to=None)


def _batches(user: User) -> QuerySet[Batch]:
    unfinished = Message.objects.filter(batch=OuterRef("pk"), status__in=[Status.QUEUED, Status.SENDING])
    return Batch.objects.filter(Exists(unfinished), status=Batch.Status.CONFIRMED, account=user)


def number_held(user: User) -> int:
    """How many messages under a person's account are held, and stay so when they may send again."""
    return _held(user).count()


def successors(user: User) -> list[User | None]:
    """The accounts that can send in place of a person's: people who may send, and the company (None)."""
    people = User.objects.filter(is_active=True).exclude(pk=user.pk).order_by("first_name", "username")
    accounts = [None, *filter(roles.may_operate, people)]
    return [each for each, setup in zip(accounts, resolve_each(accounts), strict=True) if not setup.problems()]


def settle(user: User, decision: Decision, *, is_inactive: bool, by: User) -> Outcome:
    """Carry out what was decided, within the transaction in which the person leaves.

    What a lane has claimed and not begun is taken back first. What is being sent at this moment is finished; should it
    come back for another try, `carry_on` sees to it.

    Raises:
        BadSuccessor: that account cannot send, or is theirs.
        Undecided: more is under way than was shown.
    """
    if decision.choice == Choice.PASS_ON and decision.successor not in successors(user):
        raise BadSuccessor("This account cannot send in their place. Choose another one.")
    if decision.choice == Choice.LET_GO:
        _compare(decision, user)
        return Outcome(0, 0)
    # All of them before one is changed: what a lane has claimed is not the first by its key.
    mine = Message.objects.filter(account=user, status__in=[Status.QUEUED, Status.SENDING, Status.HELD])
    list(transitions.lock(mine).values_list("pk"))
    _compare(decision, user)
    claims.take_back(user.pk, urgent_too=True)
    done = _carry_out(decision, user, is_inactive, by)
    sending = list(_sending(user).filter(is_immediate=False).values_list("pk", flat=True))
    Recall.objects.filter(message__in=sending).delete()
    Recall.objects.bulk_create(
        (
            Recall(message_id=pk, account=user, choice=decision.choice, successor=decision.successor,
                   is_inactive=is_inactive, by=by)
            for pk in sending
        ),
        batch_size=CHUNK,
    )  # fmt: skip
    # Once more: what a lane claimed after it was taken back may have come back before it was seen as being sent.
    done += _carry_out(decision, user, is_inactive, by)
    if decision.choice == Choice.PASS_ON:
        wake.wake_after_commit(decision.successor.pk if decision.successor else None)
    return Outcome(done, len(sending))


def _compare(decision: Decision, user: User) -> None:
    if decision.seen is not None and _lines(user).is_newer(decision.seen):
        raise Undecided(under_way(user))


def _carry_out(decision: Decision, user: User, is_inactive: bool, by: User) -> int:
    waiting = Q(pk__in=_queued(user).values("pk"))
    if decision.choice != Choice.HOLD:
        waiting |= Q(pk__in=_held(user).values("pk"))
    order = _order(decision, user, is_inactive)
    return carry_out_for_all(order, Message.objects.filter(waiting), by=by).done


def come_back() -> QuerySet[Recall]:
    """Of what was being sent when its person left, what is not any more."""
    return Recall.objects.exclude(message__status=Status.SENDING)


def carry_on() -> None:
    """See to what has come back for another try; what came of the rest is known."""
    for recall in come_back().select_related("account", "successor", "by")[:CHUNK]:
        with transaction.atomic():
            decision = Decision(Choice(recall.choice), recall.successor)
            if decision.successor is not None and not roles.may_operate(decision.successor):
                decision = Decision(Choice.HOLD)  # who was to send it has left meanwhile
            order = _order(decision, recall.account, recall.is_inactive)
            carry_out_for_all(order, _queued(recall.account).filter(pk=recall.message_id), by=recall.by)
            recall.delete()
            if decision.choice == Choice.PASS_ON:
                wake.wake_after_commit(decision.successor.pk if decision.successor else None)


def call_back(user: User) -> None:
    """What is still being sent is no one else's concern once the person may send again; within that transaction."""
    Recall.objects.filter(account=user).delete()


def _order(decision: Decision, user: User, is_inactive: bool) -> Order:
    why = Phrase("was-deactivated" if is_inactive else "may-not-send", account=person(user))
    match decision.choice:
        case Choice.HOLD:
            return Order(transitions.RECALL, {"reason": why, "held_until": None}, {"why": why})
        case Choice.CANCEL:
            return Order(transitions.CANCEL, {"reason": why}, {"why": why})
    successor = decision.successor
    return Order(transitions.PASS_ON, {"account": successor}, {"account": person(successor), "why": why})
