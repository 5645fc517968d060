"""Every way in which a message changes its state: from where, to where, by whom, what it writes and what is told of it.

Persons, batches, schedules, housekeeping and rescue carry out the same rows of TABLE with the same function. A lane
writes what it heard by delivery/store/ledger.py, under its claim, and a restore by delivery/store/restored_messages.py;
TABLE has their rows as well, and a test keeps a message from changing in any other way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When

from messaging.access import roles
from messaging.lifecycle.many_keys import placeholders, with_keys
from messaging.models import Batch, BatchItem, Category, Message, MessageEvent, Phrase, Reason, Recipient

Status = Message.Status
HoldKind = Message.HoldKind
Kind = MessageEvent.Kind
Outcome = Recipient.Status
CHUNK = 5000  # rows in a statement, well below SQLite's limit of parameters


class Who(StrEnum):
    """Who may order a transition."""

    PERSON = "a person"
    PROGRAM = "a program"  # a way in
    BATCH = "a batch"  # of a person, a schedule or a command
    CLOCK = "housekeeping"
    LANE = "a lane"


class Leaves(Enum):
    """What is written down for the batch that a message leaves; STAYS: it stays in it."""

    STAYS = "stays"
    AS_IT_WAS = "as it was"  # its status before
    HELD = Status.HELD.value
    CANCELLED = Status.CANCELLED.value


# --- Columns -----------------------------------------------------------------------------------------

UNCLAIMED: dict[str, Any] = {
    "lease_owner": "",
    "lease_expires_at": None,
    "may_be_accepted": False,
    "attempt_snapshot": None,
}
NOT_HELD: dict[str, Any] = {
    "hold_kind": "", "held_until": None, "handed_to": None, "status_before": "", "reason_before": None,
}  # fmt: skip
UNEXPLAINED: dict[str, Any] = {"reason": None, "reason_category": "", "notified_at": None}
# Queued as if for the first time: its tries so far no longer count.
ANEW: dict[str, Any] = UNEXPLAINED | {"tries": 0, "max_tries": None, "give_up_at": None, "is_immediate": False}
# Back in the queue, where it waits for a batch.
FOR_A_BATCH: dict[str, Any] = {"not_before": None, "account": None}


_LEFT = Recipient.objects.filter(message=OuterRef("pk"), status=Outcome.PENDING)
# Queued, as long as anyone is left to send it to; one that failed waits for a person's order to retry.
_WITHOUT_HOLD = Case(When(Exists(_LEFT), then=Value(Status.QUEUED)), default=Value(Status.FAILED))
_IN_MAIL_PROGRAM = {"hold_kind": HoldKind.MAIL_PROGRAM}
_MAY_SEND = Q(account=None) | Q(Exists(roles.senders().filter(pk=OuterRef("account"))))
# Back in the queue it keeps its time; but in the name of a person who may not send any more it does not go out by
# itself: it waits for a batch.
_AT_ITS_TIME = {"not_before": Case(When(_MAY_SEND, then=F("not_before")), default=None)}


# --- Transitions -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Transition:
    """One way in which a message changes.

    `event` is its line in the history; None where an attempt says what happened, or nothing did yet. Without `targets`
    the state stays. `writes` are columns and their values, `given` the columns whose values the one who orders it
    knows. `heard` are the outcomes of recipients that change, and to what. `of_draft`: only what a person has as a
    draft in a mail program, and nothing else may happen to that.
    """

    name: str
    sources: tuple[Status, ...]
    targets: tuple[Status, ...]
    who: tuple[Who, ...]
    event: Kind | None = None
    writes: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    heard: tuple[tuple[Outcome, ...], Outcome] | None = None
    leaves: Leaves = Leaves.STAYS
    of_draft: bool = False

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each (from, to) that it leads over; "" is a message that is new."""
        if not self.targets:
            return [(source, source) for source in self.sources]
        return [(source, target) for source in self.sources or ("",) for target in self.targets]

    def allows(self, message: Message) -> bool:
        """Whether the message, as its row is at hand, may change so."""
        return message.status in self.sources and (message.handed_to_id is not None) == self.of_draft


_NEW: tuple[Status, ...] = ()
_SAME: tuple[Status, ...] = ()
_PEOPLE, _LANE, _CLOCK = (Who.PERSON,), (Who.LANE,), (Who.CLOCK,)

# Written by the gate, which makes the rows.
QUEUE = Transition("queue", _NEW, (Status.QUEUED, Status.HELD, Status.FAILED), (Who.PROGRAM, Who.PERSON), Kind.QUEUED)
TAKE = Transition("send at once", _NEW, (Status.SENDING, Status.FAILED), (Who.PROGRAM, Who.PERSON), Kind.TAKEN)

# Written by a lane, under its claim.
CLAIM = Transition("claim", (Status.QUEUED,), (Status.SENDING,), _LANE)
DELIVER = Transition(
    "outcome", (Status.SENDING,), (Status.SENT, Status.FAILED, Status.UNKNOWN, Status.QUEUED), _LANE
)  # fmt: skip
GIVE_BACK = Transition(
    "give back", (Status.SENDING,), (Status.QUEUED,), (Who.LANE, Who.PERSON),
    writes=UNCLAIMED | {"status": Status.QUEUED},
)  # fmt: skip

# Decided for a lane that stopped.
RESCUE = Transition(
    "rescue", (Status.SENDING,), (Status.QUEUED,), _CLOCK, Kind.RESCUED, UNCLAIMED | {"status": Status.QUEUED}
)  # fmt: skip
STOP = Transition(
    "stop", (Status.SENDING,), (Status.FAILED,), _CLOCK, Kind.STOPPED,
    UNCLAIMED | {"status": Status.FAILED, "not_before": None, "reason": Phrase(Reason.STOPPED),
                 "reason_category": Category.NETWORK},
    heard=((Outcome.PENDING,), Outcome.FAILED),
)  # fmt: skip
LOSE = Transition(
    "lose", (Status.SENDING,), (Status.UNKNOWN,), _CLOCK,
    writes=UNCLAIMED | {"status": Status.UNKNOWN, "not_before": None, "tries": F("tries") + 1},
    given=("reason", "reason_category"),
)  # fmt: skip

# Ordered by a person.
HOLD = Transition(
    "hold", (Status.QUEUED,), (Status.HELD,), _PEOPLE, Kind.HELD,
    # A time that a program asked for outlives the hold; the order of a batch does not.
    {"status": Status.HELD, "hold_kind": HoldKind.HOLD, "reason_category": "",
     "not_before": Case(When(batch=None, then=F("not_before")), default=None)},
    given=("reason", "held_until"), leaves=Leaves.HELD,
)  # fmt: skip
RELEASE = Transition(
    "release", (Status.HELD,), (Status.QUEUED, Status.FAILED), _PEOPLE, Kind.RELEASED,
    # What failed before it was handed over, to a person whose account was deleted since, has failed as it had.
    NOT_HELD | _AT_ITS_TIME
    | {"status": _WITHOUT_HOLD, "reason": Case(When(Exists(_LEFT), then=None), default=F("reason_before")),
       "reason_category": Case(When(Exists(_LEFT), then=Value("")), default=F("reason_category")),
       "notified_at": Case(When(Exists(_LEFT), then=None), default=F("notified_at"))},
)  # fmt: skip
CANCEL = Transition(
    "cancel", (Status.QUEUED, Status.HELD), (Status.CANCELLED,), _PEOPLE, Kind.CANCELLED,
    NOT_HELD | {"status": Status.CANCELLED, "not_before": None, "reason_category": ""},
    given=("reason",), leaves=Leaves.CANCELLED,
)  # fmt: skip
TRY_NOW = Transition("try now", (Status.QUEUED,), _SAME, _PEOPLE, Kind.TRY_NOW, given=("not_before",))
RETRY = Transition(
    "retry", (Status.FAILED,), (Status.QUEUED,), _PEOPLE, Kind.RETRY, ANEW | {"status": Status.QUEUED},
    given=("account", "not_before"), heard=((Outcome.FAILED,), Outcome.PENDING), leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
SEND_AGAIN = Transition(
    "send again", (Status.UNKNOWN,), (Status.QUEUED,), _PEOPLE, Kind.SEND_AGAIN, ANEW | {"status": Status.QUEUED},
    given=("account", "not_before"), heard=((Outcome.UNKNOWN,), Outcome.PENDING), leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
MARK_AS_SENT = Transition(
    "mark as sent", (Status.UNKNOWN,), (Status.SENT, Status.QUEUED, Status.FAILED), _PEOPLE, Kind.MARKED_AS_SENT,
    {"is_immediate": False}, given=("status", "not_before", "sent_at", "reason", "reason_category", "notified_at"),
    heard=((Outcome.UNKNOWN,), Outcome.ACCEPTED),
)  # fmt: skip
EDIT = Transition("edit", (Status.QUEUED, Status.HELD, Status.FAILED), _SAME, _PEOPLE, Kind.EDITED)
CORRECT = Transition(
    "correct", (Status.FAILED,), (Status.QUEUED,), _PEOPLE, Kind.EDITED, ANEW | {"status": Status.QUEUED},
    given=("account", "not_before", "reason", "reason_category"), leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
WRITE_AGAIN = Transition(
    "write again", (Status.FAILED,), (Status.CANCELLED,), _PEOPLE, Kind.WRITTEN_AGAIN,
    {"status": Status.CANCELLED, "reason": Phrase(Reason.WRITTEN_AGAIN), "reason_category": ""},
    leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
HAND_OVER = Transition(
    "hand over", (Status.QUEUED, Status.HELD, Status.FAILED), (Status.HELD,), _PEOPLE, Kind.HANDED_OVER,
    # Handed over once more, after the account of the first person was deleted, it keeps what it was at first.
    {"status": Status.HELD, "hold_kind": HoldKind.MAIL_PROGRAM,
     "status_before": Case(When(**_IN_MAIL_PROGRAM, then=F("status_before")), default=F("status")),
     "reason_before": Case(When(**_IN_MAIL_PROGRAM, then=F("reason_before")), default=F("reason"))},
    given=("handed_to", "reason"), leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
SENT_FROM_MAIL_PROGRAM = Transition(
    "sent from mail program", (Status.HELD,), (Status.SENT,), _PEOPLE, Kind.SENT_FROM_MAIL_PROGRAM,
    NOT_HELD | {"status": Status.SENT, "not_before": None, "reason": None, "reason_category": ""},
    given=("sent_at", "account"),
    heard=((Outcome.PENDING, Outcome.FAILED, Outcome.UNKNOWN), Outcome.ACCEPTED), of_draft=True,
)  # fmt: skip
PUT_BACK = Transition(
    "put back", (Status.HELD,), (Status.QUEUED, Status.HELD, Status.FAILED), _PEOPLE, Kind.PUT_BACK,
    _AT_ITS_TIME
    | {"status": F("status_before"), "reason": F("reason_before"), "status_before": "", "reason_before": None,
     "handed_to": None,
     "hold_kind": Case(When(status_before=Status.HELD, then=Value(HoldKind.HOLD)), default=Value("")),
     "held_until": Case(When(status_before=Status.HELD, then=F("held_until")), default=None)},
    of_draft=True,
)  # fmt: skip
IT_WAS_US = Transition(
    "it was us", (Status.FAILED,), (Status.QUEUED,), _PEOPLE, Kind.IT_WAS_US, ANEW | {"status": Status.QUEUED},
    given=("account", "not_before"),
)  # fmt: skip
PASS_ON = Transition(
    "pass on", (Status.QUEUED, Status.HELD), _SAME, _PEOPLE, Kind.PASSED_ON, given=("account",)
)  # fmt: skip
# Of an account whose person left: released, it waits for a batch, and does not go out at once in their name.
RECALL = replace(HOLD, name="recall", writes={**HOLD.writes, "not_before": None})
GO_ON = Transition(
    "go on", (Status.FAILED,), _SAME, _PEOPLE, Kind.GO_ON, given=("reason", "reason_category")
)  # fmt: skip

# Ordered by a batch, which a person, a schedule or a command runs.
IN_BATCH = Transition(
    "process", (Status.QUEUED,), (Status.QUEUED,), (Who.BATCH,), Kind.IN_BATCH, ANEW | {"status": Status.QUEUED},
    given=("account", "not_before", "batch"),
)  # fmt: skip
RETRY_IN_BATCH = Transition(
    "retry in a batch", (Status.QUEUED, Status.FAILED), (Status.QUEUED,), (Who.BATCH,), Kind.IN_BATCH,
    ANEW | {"status": Status.QUEUED}, given=("account", "not_before", "batch"),
    heard=((Outcome.FAILED,), Outcome.PENDING), leaves=Leaves.AS_IT_WAS,
)  # fmt: skip
OUT_OF_BATCH = Transition(
    "take out of the batch", (Status.QUEUED, Status.SENDING), (Status.QUEUED,), (Who.BATCH, Who.LANE),
    Kind.OUT_OF_BATCH, UNCLAIMED | FOR_A_BATCH | {"status": Status.QUEUED}, leaves=Leaves.CANCELLED,
)  # fmt: skip

# Due by the clock.
END_HOLD = Transition(
    "end of a hold", (Status.HELD,), (Status.QUEUED,), _CLOCK, Kind.HOLD_ENDED,
    NOT_HELD | _AT_ITS_TIME | {"status": Status.QUEUED, "reason": None},
)  # fmt: skip
EXPIRE = Transition(
    "expire", (Status.QUEUED,), (Status.FAILED,), _CLOCK, Kind.EXPIRED,
    {"status": Status.FAILED, "not_before": None, "reason_category": Category.SETUP}, given=("reason",),
    heard=((Outcome.PENDING,), Outcome.FAILED),
)  # fmt: skip
REROUTE = Transition(
    "reroute", (Status.QUEUED,), _SAME, _CLOCK, Kind.REROUTED, given=("account", "not_before")
)  # fmt: skip

# Written by delivery/store/restored_messages.py.
SET_ASIDE = Transition(
    "restore", (Status.QUEUED, Status.HELD, Status.SENDING), (Status.UNKNOWN,), _CLOCK, Kind.SINCE_BACKUP
)  # fmt: skip
TAKE_UP = Transition(
    "moved", (Status.UNKNOWN,), (Status.QUEUED, Status.HELD, Status.SENDING), _PEOPLE, Kind.NOT_SINCE_BACKUP
)  # fmt: skip

TABLE = (
    QUEUE, TAKE, CLAIM, DELIVER, GIVE_BACK, RESCUE, STOP, LOSE, HOLD, RELEASE, CANCEL, TRY_NOW, RETRY, SEND_AGAIN,
    MARK_AS_SENT, EDIT, CORRECT, WRITE_AGAIN, HAND_OVER, SENT_FROM_MAIL_PROGRAM, PUT_BACK, PASS_ON, RECALL, IT_WAS_US,
    GO_ON, IN_BATCH, RETRY_IN_BATCH, OUT_OF_BATCH, END_HOLD, EXPIRE, REROUTE, SET_ASIDE, TAKE_UP,
)  # fmt: skip


# --- Carrying out ------------------------------------------------------------------------------------


def lock(messages: QuerySet[Message], *, skip_locked: bool = False) -> QuerySet[Message]:
    """Lock rows in the order of their keys: everyone does so, and so no one waits in a circle.

    Args:
        skip_locked: leave out those that are locked, for work that comes back to them.
    """
    return messages.order_by("pk").select_for_update(of=("self",), skip_locked=skip_locked)


def carry_out(
    transition: Transition,
    ids: Sequence[int],
    *,
    by: User | None,
    at: datetime,
    params: Mapping[str, Any] | None = None,
    heard: Mapping[str, Any] | None = None,
    **given: Any,
) -> None:
    """Change messages that are locked and that the transition allows, and write it down in the history of each.

    Args:
        params: what the words of the event need, as in Phrase.
        heard: columns of the recipients whose outcome changes.
        given: the columns that the transition names so.
    """
    if set(given) != set(transition.given):
        raise TypeError(f"“{transition.name}” needs {transition.given}, and was given {tuple(given)}")
    if by is None and transition.who == _PEOPLE:
        raise TypeError(f"“{transition.name}” is ordered by a person")
    values = ({} if transition.leaves == Leaves.STAYS else {"batch": None}) | {**transition.writes, **given}
    for part in _parts(ids):
        if transition.leaves != Leaves.STAYS:
            leave_batch(part, "" if transition.leaves == Leaves.AS_IT_WAS else transition.leaves.value)
        if transition.heard is not None:
            record_reply(transition, Recipient.objects.filter(message__in=part), at, heard)
        if values:
            with_keys(Message.objects.all(), part).update(**values)
        if transition.event is not None:
            _write_down(Phrase(transition.event, **(params or {})), part, by, at)
        if transition.leaves == Leaves.STAYS and Status.QUEUED in transition.targets and "batch" not in given:
            leave_cancelled_batch(part, at)


def record_reply(
    transition: Transition, recipients: QuerySet[Recipient], at: datetime, more: Mapping[str, Any] | None = None
) -> None:
    """Change the outcomes of recipients as the transition says."""
    assert transition.heard is not None
    outcomes, outcome = transition.heard
    decided = {"streak": None} if outcome == Outcome.PENDING else {"decided_at": at}
    recipients.filter(status__in=outcomes).update(status=outcome, **decided, **(more or {}))


def leave_batch(ids: Sequence[int], outcome: str = "") -> None:
    """Write down, for the report of the batch that messages are about to leave, what became of them there: `outcome`,
    or their status.
    """
    own = Message.objects.filter(pk=OuterRef("message_id"))
    # Batch by batch: joined with the messages, it takes minutes for thousands that are new to the planner's statistics.
    for batch_id, chosen in _by_batch(Message.objects.filter(pk__in=ids)).items():
        BatchItem.objects.filter(batch=batch_id, message__in=chosen, outcome="").update(
            outcome=Value(outcome) if outcome else Subquery(own.values("status")[:1]),
            reason=Subquery(own.values("reason")[:1]),
        )


def leave_cancelled_batch(ids: Iterable[int], at: datetime) -> None:
    """What is queued again after its batch was cancelled waits for another batch, not for its next try."""
    back = Message.objects.filter(pk__in=ids, status=Status.QUEUED, batch__status=Batch.Status.CANCELLED)
    with transaction.atomic():
        for batch_id, chosen in _by_batch(lock(back)).items():
            carry_out(OUT_OF_BATCH, chosen, by=None, at=at, params={"batch": batch_id})


def _by_batch(messages: QuerySet[Message]) -> dict[int, list[int]]:
    """The keys of messages by that of the batch they are in; those in none are left out."""
    found: dict[int, list[int]] = {}
    for pk, batch_id in messages.values_list("pk", "batch_id"):
        if batch_id is not None:
            found.setdefault(batch_id, []).append(pk)
    return found


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


_EVENT = f"""INSERT INTO {MessageEvent._meta.db_table} (message_id, at, by_id, kind, params)
    SELECT id, %s, %s, %s, %s FROM {Message._meta.db_table} WHERE id IN ({{}}) ORDER BY id"""  # noqa: S608


def _write_down(what: Phrase, ids: Sequence[int], by: User | None, at: datetime) -> None:
    """The same line in the history of each message, in one statement."""
    event = MessageEvent.of(what, at=at, by=by)
    columns = {column.attname: column for column in MessageEvent._meta.concrete_fields}
    row = [
        columns[name].get_db_prep_save(getattr(event, name), connection) for name in ("at", "by_id", "kind", "params")
    ]
    with connection.cursor() as cursor:
        cursor.execute(_EVENT.format(placeholders(ids)), [*row, *ids])
