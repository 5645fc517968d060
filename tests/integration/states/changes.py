"""What happens by itself, or to everything at once: time, pauses, restores, questions."""

import datetime as dt
import uuid

import pytest

from messaging import housekeeping
from messaging.intake import gate
from messaging.models import AccountPause, Message, Notice, Restore
from messaging.queue import actions, pausing, refusal_answers, restores
from tests.factories import OFFICE

from .delivery import given_back
from .model import Expected
from .offboarding import recalled
from .office import EXPIRE_DAYS, LEASE, SECOND, raw
from .orders import ordered

GAPS = {
    "now": dt.timedelta(), "lease": LEASE + SECOND, "two leases": 2 * LEASE + SECOND, "hours": dt.timedelta(hours=2),
    "days": dt.timedelta(days=EXPIRE_DAYS, hours=1),
}  # fmt: skip
KEPT = ("since", "versions", "fence", "recall", "last")  # by what was unknown since a restore


def pause(office, choose):
    pausing.pause(pausing.ALL, by=office.ada, why="Stocktaking")
    given_back(office, {row.account for row in office.messages.values()})
    pausing.resume(pausing.ALL, by=office.ada)


def sweep(office, choose, gap):
    """Time passes; the sweep was at work in between, or was not."""
    office.clock.goes_on(seconds=GAPS[gap].total_seconds())
    was_away = gap != "now" and choose([True, False])
    if gap != "now" and not was_away:
        housekeeping.sign_of_life(housekeeping.SWEEP, office.now - SECOND)
        office.swept = office.now
    swept(office)


def swept(office):
    now = office.now
    was_away = office.swept is not None and now - office.swept > LEASE
    housekeeping.sweep(now)
    office.swept = now
    for pk, row in office.messages.items():
        released = {"is_leased": False, "may_be_accepted": False, "lease_ends": None}
        if row.place == "sending" and row.lease_ends < now:
            if row.is_immediate:
                values = {
                    "why": "stopped",
                    "category": "network",
                    "not_before": None,
                    "recipients": dict.fromkeys(row.recipients, "failed"),
                }
                office.change(pk, "stop", status="failed", **values, **released)
            else:
                office.change(pk, "rescue", status="queued", **released)
        elif row.place == "in data" and row.lease_ends < now - LEASE:
            if was_away:
                row.lease_ends = now + LEASE
            else:
                rescued(office, pk, released)
        elif row.place == "held" and row.held_until is not None and row.held_until <= now:
            office.change(pk, "end of a hold", status="queued", held_until=None, hold_kind="", why="")
    recalled(office)
    last = now - dt.timedelta(days=EXPIRE_DAYS)
    for pk, row in office.messages.items():
        is_due_since = row.not_before is None or row.not_before < last
        if row.place in ("waiting", "timed") and row.since < last and is_due_since:
            expired = {"why": "expired", "category": "setup"}
            failed = {key: "failed" if value == "pending" else value for key, value in row.recipients.items()}
            office.change(pk, "expire", status="failed", not_before=None, recipients=failed, **expired)


def rescued(office, pk, released):
    row = office.messages[pk]
    recipients = dict(row.recipients)
    for address, words in row.heard.items():
        if words == "welcome":
            recipients[address] = "unknown"
        elif words == "no such mailbox" or row.is_immediate:
            recipients[address] = "failed"
    tries = row.tries + 1
    office.change(pk, "lose", status="unknown", recipients=recipients, tries=tries, not_before=None, **released)
    row.last |= row.heard
    office.explained(pk)


def restore(office, choose):
    """The database is one of a backup, and it is noticed."""
    office.patch.setattr(office.settings, "RESTORED", uuid.uuid4().hex)
    office.restored = {}
    for pk, row in office.messages.items():
        if row.status in ("queued", "held", "sending") and row.has("pending"):
            office.restored[pk] = row.copy()
            values = {"not_before": None, "held_until": None, "hold_kind": "", "handed_to": None, "status_before": ""}
            values |= {"is_leased": False, "may_be_accepted": False, "lease_ends": None, "why": "since-backup"}
            values |= {"category": "setup"}
            unknown = {key: "unknown" if value == "pending" else value for key, value in row.recipients.items()}
            office.change(pk, "restore", status="unknown", recipients=unknown, **values)
    swept(office)


def answer_restore(office, choose, what):
    row = restores.unanswered()
    restores.answer(row, Restore.Answer(what), by=office.ada)
    before = office.everything()
    for other in ("moved", "sent-since"):
        with pytest.raises(restores.AnsweredMeanwhile):
            restores.answer(row, Restore.Answer(other), by=office.ada)
        office.seen["refused", "answer", "restore"] += 1
    assert office.everything() == before
    for pk, stood in office.restored.items() if what == "moved" else ():
        now = office.messages[pk]
        if now.why == "since-backup" and now.status == "unknown":
            stood = {name: value for name, value in vars(stood).items() if name not in KEPT}
            office.change(pk, "moved", office.ada, **stood)
    office.restored = None


def reroute(office, choose):
    """The mail of a notice waits for an account that is at fault, and goes to one that works."""
    office.choose_options(hold=True)
    address = f"a@{office.next_number()}.example.com"
    given = gate.Submission(raw([address]), OFFICE, [address], None, office.now, urgent=True, category="notice")
    pk = gate.accept(given).pk
    Message.objects.filter(pk=pk).update(account=office.quentin)
    Notice.objects.create(kind="failed", at=office.now, mail_id=pk)
    office.messages[pk] = Expected("", None, {address: "pending"}, urgent=True)
    office.change(pk, "queue", None, status="queued", not_before=office.now, account=office.quentin.pk)
    until = office.now + LEASE
    pause = AccountPause.objects.create(account=office.quentin, kind="fault", since=office.now, until=until)
    swept(office)
    office.change(pk, "reroute", None, account=None, not_before=office.now)
    pause.delete()


def question(office, choose, answer):
    """The same unknown words refuse four, and a person is asked."""
    streak, made = _asked(office)
    for pk in made[1:] if choose([True, False]) else ():
        actions.retry(Message.objects.get(pk=pk), by=office.ada)
        ordered(office, pk, "retry", office.ada)
        made.remove(pk)
    if answer == "it was us":
        assert refusal_answers.it_was_us(streak, by=office.ada) == len(made)
    else:
        assert refusal_answers.go_on(streak, by=office.ada) == len(made)
    for pk in made:
        if answer == "it was us":
            values = office.anew(office.quentin.pk, office.now)
            values |= {"recipients": dict.fromkeys(office.messages[pk].recipients, "pending")}
            office.change(pk, "it was us", office.ada, **values)
        else:
            office.change(pk, "go on", office.ada)
            office.explained(pk)
    before = office.everything()
    for how in (refusal_answers.it_was_us, refusal_answers.go_on):
        with pytest.raises(actions.NotPossible):
            how(streak, by=office.ada)
    assert office.everything() == before
    office.seen["refused", "answer", "answered"] += 2


def _asked(office):
    """The question, and the messages that it is about."""
    office.choose_options(hold=True)
    made = []
    for _ in range(4):
        address = f"a@domain{office.next_number()}.example"  # each of another owner
        made.append(gate.accept(gate.Submission(raw([address]), OFFICE, [address])).pk)
        office.messages[made[-1]] = Expected("", None, {address: "pending"})
        office.change(made[-1], "queue", None, status="queued")
    streak = office.ask(made)
    given_back(office, [office.quentin.pk])
    for pk in made:
        row = office.messages[pk]
        office.change(pk, "claim", status="sending")
        values = {"tries": 1, "recipients": dict.fromkeys(row.recipients, "failed"), "account": office.quentin.pk}
        office.change(pk, "outcome", status="failed", why="refused-alike", category="setup", **values)
        row.is_asked_about = True
    return streak, made
