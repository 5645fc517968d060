"""Many messages are locked in the order of their keys, so that no one waits in a circle.

Every pair of orders at the same time, on rows that lie on the disk in another order than that of their keys.
"""

import contextlib
import datetime as dt
import itertools
import random
import re
import threading
from dataclasses import dataclass, field

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from messaging import housekeeping, users
from messaging.access import roles
from messaging.company import options
from messaging.delivery.store import claims, ledger, restored_messages
from messaging.delivery.store.rescue import rescue
from messaging.intake import gate
from messaging.models import (
    AccountPause,
    Batch,
    CompanyOptions,
    Message,
    MessageEvent,
    Recipient,
    RefusalStreak,
    Restore,
    Schedule,
    SendAttempt,
)
from messaging.queue import actions, batches, offboarding, pausing, refusal_answers, restores
from messaging.scheduling import schedules
from tests import services
from tests.factories import make_user, set_up, submission
from tests.servers import MailServer
from tests.sizes import also_in_drills

MESSAGES = 3000  # of the pair whose circle needs many
FEW = 600  # of each pair in the drills
RECORDED = 300  # outcomes that a lane writes at one time
NOW = timezone.now()
AGO, LONG_AGO = NOW - dt.timedelta(hours=1), NOW - dt.timedelta(days=9)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.attack,
    pytest.mark.postgresql,
    pytest.mark.services,
    pytest.mark.skipif(connection.vendor != "postgresql", reason=services.NO_SERVICES),
    pytest.mark.django_db(transaction=True),
]


@dataclass
class Order:
    """An order for all messages at once: how these stand before, and what is ordered.

    `given` are columns of the messages (`batch` "confirmed": they are in a confirmed batch), `work` gets the Office;
    `recipients` is the status of those. `prepares` is done before, for a draft or a question.
    """

    given: dict
    work: object
    prepares: object = lambda office: None
    recipients: str = "pending"


@dataclass
class Office:
    """Who gives the orders, and what is there for all of them."""

    admin: object
    lea: object  # in whose name messages go out
    rows: int
    kept: dict = field(default_factory=dict)


WAITING = {"status": "queued", "created_at": LONG_AGO}
IN_BATCH = {"status": "queued", "batch": "confirmed", "not_before": AGO}
FAILED = {"status": "failed", "batch": "confirmed"}
HELD = {"status": "held", "hold_kind": "hold", "held_until": AGO}
CLAIMED = {"status": "sending", "lease_owner": "a", "lease_expires_at": NOW + dt.timedelta(hours=1), "fence": 1}
OF_LEA = {"status": "queued", "account": "lea", "not_before": AGO}
AHEAD = CLAIMED | {"lease_expires_at": NOW + dt.timedelta(days=1)}
LEFT = CLAIMED | {"lease_expires_at": LONG_AGO}


def draft(office, retry_of=None):
    batch = Batch.objects.create(
        created_by=office.admin, account=office.admin, created_at=NOW, retry_of=retry_of and office.kept["confirmed"]
    )
    office.kept["retry" if retry_of else "draft"] = batch
    put_in(batch, "chosen")


def put_in(batch, state):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messaging_batchitem (batch_id, message_id, state, outcome) "
            "SELECT %s, id, %s, '' FROM messaging_message ORDER BY id",
            [batch.pk, state],
        )


def ask(office):
    """The same words refused all of them, and a person is asked."""
    if "streak" in office.kept:
        return
    pause = AccountPause.objects.create(account=None, kind="doubt", since=NOW)
    streak = RefusalStreak.objects.create(account=None, last_at=NOW, asked_at=NOW, pause=pause, stage="rcpt")
    Recipient.objects.filter(message__status="failed").update(streak=streak)
    office.kept["streak"] = streak


def notice_a_restore(office):
    restore = Restore.objects.create(noticed_at=NOW)
    with transaction.atomic():
        restored_messages.make_unknown(restore, NOW)


def answer_the_restore(office):
    restore = Restore.objects.filter(answer="").last()
    if restore is not None:
        with contextlib.suppress(restores.AnsweredMeanwhile):
            restores.answer(restore, Restore.Answer.MOVED, by=office.admin)


def in_bulk(order):
    return lambda office: actions.carry_out_for_all(order(), Message.objects.all(), by=office.admin)


def answer(how):
    def work(office):
        with contextlib.suppress(actions.NotPossible):  # the other answered
            how(office.kept["streak"], by=office.admin)

    return work


def sweep(office):
    for _ in range(1 + office.rows // housekeeping.CHUNK):
        housekeeping.sweep(NOW)


def write_outcomes(office):
    """Several lanes have something to write at one time."""
    held = list(Message.objects.filter(lease_owner="a", status="sending").prefetch_related("recipients"))
    written = []
    for message in random.Random(1).sample(held, min(RECORDED, len(held))):
        attempt = SendAttempt(message=message, fence=1, started_at=NOW, finished_at=NOW, stage="end of data")
        for recipient in message.recipients.all():
            recipient.status = "accepted"
        decision = ledger.Decision("sent", 1)
        written.append(ledger.record_soon(message, attempt, message.recipients.all(), decision))
    for settle in written:
        with contextlib.suppress(ledger.LeaseLost):  # taken back
            settle()


def claim(office):
    for owner in ("b", "c", "d"):
        claims.take(None, owner, 400, NOW)


def renew(office):
    """A lane renews its leases, and after a jump of the clock all of them get their full time again."""
    claims.renew("a", NOW)
    claims.renew_all(NOW)


def rescue_again(office):
    """What may have been accepted gets a second lease's time after an outage."""
    rescue(NOW, lambda: True)


def deactivate(office):
    users.change(
        office.lea, {"is_active": False}, by=office.admin, decision=offboarding.Decision(offboarding.Choice.HOLD)
    )


def change_options(office):
    for number in range(20):
        options.save({"company_name": f"N{number}"}, by=office.admin)


def rename(office):
    """What is listed for a user by name goes with them."""
    for number in range(20):
        users.change(office.lea, {"username": f"lea{number}"}, by=office.admin)


def pause(office):
    for _ in range(20):
        pausing.pause(None, by=office.admin, why="wait")
        pausing.resume(None, by=office.admin)


NUMBERS = itertools.count()


def run_schedules(office):
    row = Schedule.objects.create(
        name=f"at night {next(NUMBERS)}",
        account=office.lea,
        since=NOW,
        times="02:00",
        days="1",
        time_zone="UTC",
        at_most=9,
        created_by=office.admin,
    )
    for _ in range(5):
        schedules.run_now(row, by=office.admin)
        schedules.save(row.pk, {"is_on": not row.is_on}, by=office.admin)
        row.refresh_from_db()
    schedules.delete(row, by=office.admin)


def write(office):
    for number in range(20):
        gate.accept(submission(f"new{number}@example.com", author=office.admin, not_before=NOW))


def activate(office):
    type(office.lea).objects.filter(pk=office.lea.pk).update(is_active=True)


ORDERS = {
    "confirm": Order(WAITING, lambda office: batches.confirm(office.kept["draft"], by=office.admin), draft),
    "confirm a retry": Order(
        FAILED,
        lambda office: batches.confirm(office.kept["retry"], by=office.admin),
        lambda office: draft(office, retry_of=True),
        "failed",
    ),
    "cancel a batch": Order(IN_BATCH, lambda office: batches.cancel(office.kept["confirmed"], by=office.admin)),
    "hold": Order(WAITING, in_bulk(lambda: actions.to_hold("wait"))),
    "release": Order(HELD, in_bulk(actions.to_release)),
    "cancel": Order(WAITING, in_bulk(actions.to_cancel)),
    "expiry": Order(WAITING, sweep),
    "end of holds": Order(HELD, sweep),
    "it was us": Order(FAILED, answer(refusal_answers.it_was_us), ask, "failed"),
    "go on": Order(FAILED, answer(refusal_answers.go_on), ask, "failed"),
    "pause": Order(CLAIMED, lambda office: claims.take_back(None, all_accounts=True)),
    "rescue": Order(LEFT, lambda office: [rescue(NOW) for _ in range(3)]),
    "renewal": Order(CLAIMED, renew),
    "rescue of leases that are ahead": Order(AHEAD, lambda office: rescue(NOW)),
    "rescue after an outage": Order(LEFT | {"may_be_accepted": True}, rescue_again),
    "outcomes": Order(CLAIMED, write_outcomes),
    "claim": Order(WAITING | {"not_before": AGO}, claim),
    "deactivation": Order(OF_LEA, deactivate, activate),
    "options": Order(WAITING, change_options),
    "another name": Order(WAITING, rename, activate),
    "pause of a person": Order(CLAIMED, pause),
    "schedules": Order(WAITING, run_schedules, activate),
    "writing": Order(WAITING, write),
    "a restore": Order(WAITING, notice_a_restore),
    "its answer": Order(WAITING, answer_the_restore, notice_a_restore),
}
# What the last event says of a message, as (status, whether it is in a batch); None: as it was before.
SAID = {
    "queued": (None, None), "in-batch": ("queued", True), "out-of-batch": ("queued", False), "held": ("held", False),
    "released": ("queued", None), "cancelled": ("cancelled", False), "expired": ("failed", False),
    "hold-ended": ("queued", None), "it-was-us": ("queued", None), "go-on": ("failed", None),
    "rescued": ("queued", None), "since-backup": ("unknown", None), "not-since-backup": (None, None),
}  # fmt: skip
LOCKS = re.compile(r'UPDATE "?messaging_message"?\b|messaging_message.* FOR UPDATE|LOCK TABLE', re.DOTALL)
NAMES = list(ORDERS)
PAIRS = {name: NAMES[place:] for place, name in enumerate(NAMES)}


@pytest.fixture
def office(db, rows):
    admin = make_user("boss", role="Administrator")
    roles.admit(admin, None)
    with MailServer() as server:
        set_up(server)
    CompanyOptions.objects.create(expire_days=5)
    Message.objects.bulk_create(
        Message(message_id=f"<{number}@t.example>", recipient_count=1, created_at=NOW) for number in range(rows)
    )
    Recipient.objects.bulk_create(
        Recipient(message_id=pk, address=f"c{pk}@example.com")
        for pk in Message.objects.order_by("pk").values_list("pk", flat=True)
    )
    with connection.cursor() as cursor:
        for model in (Message, Recipient):
            table, columns = model._meta.db_table, ", ".join(each.column for each in model._meta.concrete_fields)
            cursor.execute(f"DROP TABLE IF EXISTS saved_{table}")
            cursor.execute(f"CREATE TEMP TABLE saved_{table} AS SELECT {columns} FROM {table}")
    return Office(admin, make_user("lea"), rows)


def spread(office, one, other, seed):
    """The messages stand as one of the two orders wants them, and lie on the disk in any order."""
    Batch.objects.all().delete()
    RefusalStreak.objects.all().delete()
    AccountPause.objects.all().delete()
    office.kept = {"confirmed": Batch.objects.create(created_at=NOW, created_by=office.admin, status="confirmed")}
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE messaging_message CASCADE")
        chosen, values = _columns(office, Message, one.given, other.given)
        _refill(cursor, Message, chosen, values, f"md5(id || '{seed}')")
        chosen, values = _columns(office, Recipient, {"status": one.recipients}, {"status": other.recipients})
        _refill(cursor, Recipient, chosen, values, "id")
    put_in(office.kept["confirmed"], "released")
    one.prepares(office)
    if other is not one:
        other.prepares(office)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as the database does by itself: how it goes through rows depends on it


def _columns(office, model, given, or_given):
    """Each column as SQL: of the one kind of rows or of the other, by chance; and the values in there."""
    chosen, values = [], []
    key = "id" if model is Message else "message_id"
    for column in model._meta.concrete_fields:
        both = []
        for kind in (given, or_given):
            both.append(f"%s::{column.db_type(connection)}" if column.name in kind else column.column)
            values += [_stored(office, kind[column.name])] if column.name in kind else []
        either = f"CASE WHEN hashint8({key}) %% 2 = 0 THEN {both[0]} ELSE {both[1]} END"
        chosen.append(column.column if both == [column.column] * 2 else either)
    return chosen, values


def _stored(office, value):
    named = {"confirmed": office.kept["confirmed"], "lea": office.lea}
    return named[value].pk if value in named else value


def _refill(cursor, model, chosen, values, order):
    table, names = model._meta.db_table, ", ".join(each.column for each in model._meta.concrete_fields)
    cursor.execute(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(chosen)} FROM saved_{table} ORDER BY {order}", values
    )


class Start:
    """Lets two threads begin to lock messages at the same moment, whatever each has to do before."""

    def __init__(self):
        self.barrier = threading.Barrier(2)
        self.begun = threading.local()

    def __call__(self, execute, sql, params, many, context):
        if LOCKS.search(sql) and not hasattr(self.begun, "yes"):
            self.begun.yes = True
            with contextlib.suppress(threading.BrokenBarrierError):  # the other locks none, or waits for this one
                self.barrier.wait(0.5)
        return execute(sql, params, many, context)


def together(*works):
    """Each in a thread of its own, all at the same moment; the errors they raised."""
    start, errors = Start(), []

    def run(work):
        try:
            with connection.execute_wrapper(start):
                work()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def lost():
    """The messages that stand otherwise than what was done to them last says; those that a lane has since, aside."""
    found = []
    last = {}
    for event in MessageEvent.objects.order_by("pk"):
        last[event.message_id] = event.kind
    recorded = set(SendAttempt.objects.values_list("message_id", flat=True))
    for pk, status, batch, owner in Message.objects.values_list("pk", "status", "batch", "lease_owner"):
        if pk in last and pk not in recorded and not owner:
            said, is_in_batch = SAID[last[pk]]
            if said not in (None, status) or (is_in_batch is not None and (batch is not None) != is_in_batch):
                found.append((pk, last[pk], status, batch))
    return found


ALONE = [
    ("confirm", ["hold"], MESSAGES),
    ("deactivation", ["outcomes", "confirm"], FEW),
    ("renewal", ["pause", "renewal"], MESSAGES),
    ("a restore", ["hold"], FEW),
    ("another name", ["options", "schedules"], FEW),
]
ALL = [("confirm", ["hold"], MESSAGES), *((*pairs, FEW) for pairs in PAIRS.items())]


@pytest.mark.parametrize(("first", "others", "rows"), [*ALONE, *also_in_drills(*ALL)])
def test_nobody_waits_in_a_circle_and_no_change_is_lost(office, first, others):
    wrong = []
    for second in others:
        one, other = ORDERS[first], ORDERS[second]
        spread(office, one, other, f"{first} {second}")
        errors = together(lambda one=one: one.work(office), lambda other=other: other.work(office))
        deadlocks = [error for error in errors if isinstance(error, OperationalError)]
        wrong += [f"“{first}” and “{second}” wait for each other: {error}" for error in deadlocks]
        wrong += [f"“{first}” and “{second}”: {error!r}" for error in errors if error not in deadlocks]
        wrong += [f"“{first}” and “{second}”: {each}" for each in lost()[:3] if not errors]
    assert not wrong, "\n".join(wrong)
