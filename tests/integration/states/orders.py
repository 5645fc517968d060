"""What people order for messages, and what they are refused."""

import datetime as dt
import uuid
from functools import partial

import pytest
from django.db import transaction

from messaging.access import roles
from messaging.compose import editing
from messaging.intake import gate
from messaging.intake.addresses import Mailbox
from messaging.models import EmailSettings, Message
from messaging.queue import actions, batches, pausing
from tests.factories import make_user

from .delivery import given_back, leave_cancelled, new_addresses, plan, taken_at_once
from .model import IN_BULK, OFFERED, WRITTEN_AGAIN, Expected

FUNCTIONS = {
    "hold": partial(actions.hold, why="wait"), "release": actions.release, "cancel": actions.cancel,
    "retry": actions.retry, "send_again": actions.send_again, "mark_as_sent": actions.mark_as_sent,
    "try_now": actions.try_now, "hand_over": actions.open_in_mail_program, "write_again": actions.write_again,
    "sent_from_mail_program": actions.sent_from_mail_program, "put_back": actions.put_back,
}  # fmt: skip


BULK = {"hold": lambda: actions.to_hold("wait"), "release": actions.to_release, "cancel": actions.to_cancel}


def carry_out(office, choose, pk, order):
    row = office.messages[pk]
    person = choose([each for each in office.people if row.allows(order, by_mapi=each == office.mia)])
    message = Message.objects.get(pk=pk)
    if order == "edit":
        edit(office, choose, message, person)
        return
    more = {}
    if order == "hold":
        more["until"] = choose([None, office.now + dt.timedelta(hours=1)])
    FUNCTIONS[order](message, by=person, **more)
    ordered(office, pk, order, person, **more)


def ordered(office, pk, order, person, until=None):
    """In the model, what came of an order."""
    row = office.messages[pk]
    recipients, values = WHAT_COMES[order](office, row, person, until)
    if order in LEAVES:
        office.leave(pk, LEAVES[order])
    office.change(pk, order.replace("_", " "), person, recipients=recipients, **values)
    if order == "mark_as_sent":
        leave_cancelled(office, pk)


LEAVES = {"hold": "held", "cancel": "cancelled", "retry": "", "send_again": "", "hand_over": ""}
NOWHERE = {"handed_to": None, "hold_kind": "", "status_before": "", "why_before": ""}


def _held(office, row, person, until):
    values = {"status": "held", "hold_kind": "hold", "held_until": until, "why": "said", "category": "", "batch": None}
    return row.recipients, values | {"not_before": None if row.batch else row.not_before}


def _released(office, row, person, until):
    if row.has("pending"):
        return row.recipients, NOWHERE | {"status": "queued", "held_until": None, "why": "", "category": ""}
    return row.recipients, NOWHERE | {"status": "failed", "held_until": None, "why": row.why_before}


def _cancelled(office, row, person, until):
    values = {"status": "cancelled", "held_until": None, "not_before": None, "batch": None, "why": "", "category": ""}
    return row.recipients, NOWHERE | values


def _tried_now(office, row, person, until):
    return row.recipients, {"not_before": office.now}


def _queued_again(outcome):
    def come(office, row, person, until):
        return _with(row, outcome, "pending"), office.anew(person.pk, office.now)

    return come


def _with(row, before, now):
    return {address: now if outcome == before else outcome for address, outcome in row.recipients.items()}


def _marked_as_sent(office, row, person, until):
    recipients = _with(row, "unknown", "accepted")
    values = {"is_immediate": False, "not_before": None, "status": "sent", "why": "", "category": ""}
    if "pending" in recipients.values():
        values |= {"status": "queued", "not_before": office.now}
    elif "failed" in recipients.values():
        values |= {"status": "failed", "why": "recipient-refused", "category": "address"}
    return recipients, values


def _handed_over(office, row, person, until):
    values = {
        "status": "held", "hold_kind": "mail-program", "handed_to": person.pk, "batch": None, "why": "handed-over",
    }  # fmt: skip
    was = {} if row.place == "nobody's draft" else {"status_before": row.status, "why_before": row.why}
    return row.recipients, values | was


def _sent_elsewhere(office, row, person, until):
    values = {"status": "sent", "account": row.handed_to, "held_until": None, "not_before": None, "why": ""}
    return dict.fromkeys(row.recipients, "accepted"), NOWHERE | values | {"category": ""}


def _put_back(office, row, person, until):
    kept = {"hold_kind": "hold"} if row.status_before == "held" else {"held_until": None}
    return row.recipients, NOWHERE | {"status": row.status_before, "why": row.why_before} | kept


WHAT_COMES = {
    "hold": _held, "release": _released, "cancel": _cancelled, "try_now": _tried_now, "retry": _queued_again("failed"),
    "send_again": _queued_again("unknown"), "mark_as_sent": _marked_as_sent, "hand_over": _handed_over,
    "sent_from_mail_program": _sent_elsewhere, "put_back": _put_back,
}  # fmt: skip


def orphan(office, choose, pks):
    """A person has them as drafts, and then their account is deleted."""
    person = make_user(f"mona{office.next_number()}")
    EmailSettings.objects.create(account=person, send_type=1)
    for pk in pks:
        actions.open_in_mail_program(Message.objects.get(pk=pk), by=person)
        ordered(office, pk, "hand_over", person)
    office.check(whole=False)
    person.delete()
    for pk in pks:
        office.messages[pk].handed_to = None


def edit(office, choose, message, person):
    pk, row = message.pk, office.messages[message.pk]
    office.choose_options(hold=choose([True, True, False]))
    addresses = list(row.recipients)
    if row.is_asked_about or not addresses or choose([True, False]):
        addresses = new_addresses(office, choose)
    outcomes = {each: "failed" if row.refused_for_good(each) else "pending" for each in addresses}
    wanted = editing.Edit([Mailbox("", each) for each in addresses], [], [], f"Invoice {office.next_number()}")
    if row.versions:
        before = office.everything()
        with pytest.raises(editing.EditedMeanwhile):
            editing.apply(message, wanted, by=person, seen=row.versions - 1)
        assert office.everything() == before
        office.seen["edited meanwhile", row.place] += 1
    if row.status != "failed" and "pending" not in outcomes.values():
        before = office.everything()
        with pytest.raises(gate.Refused):
            editing.apply(message, wanted, by=person, seen=row.versions)
        assert office.everything() == before
        office.seen["nobody is left", row.place] += 1
        return
    assert editing.apply(message, wanted, by=person, seen=row.versions)
    row.versions += 1
    values = {"recipients": outcomes}
    is_queued_anew = row.status == "failed" and "pending" in outcomes.values()
    if is_queued_anew:
        office.leave(pk)
        waits = office.company["hold"] and not row.urgent
        account = None if waits or person == office.mia else person.pk
        values |= office.anew(account, None if waits else office.now)
    office.change(pk, "correct" if is_queued_anew else "edit", person, **values)


def refuse_all(office, choose, pks):
    """Each order that is not offered now is refused, for each message alone and in bulk, and changes nothing."""
    person = choose(office.people)
    setup = batches.resolve(person)
    before = office.everything()
    with transaction.atomic():
        for message in list(Message.objects.filter(pk__in=pks)):
            _refuse(office, message, person, setup)
        for order in IN_BULK:
            refused = [pk for pk in pks if not office.messages[pk].allows(order, by_mapi=person == office.mia)]
            tally = actions.carry_out_for_all(BULK[order](), Message.objects.filter(pk__in=refused), by=person)
            assert (tally.done, sum(tally.refused.values())) == (0, len(refused))
            for pk in refused:
                office.seen["refused", f"{order} in bulk", office.messages[pk].place] += 1
    assert office.everything() == before


def _refuse(office, message, person, setup):
    row, by_mapi = office.messages[message.pk], person == office.mia
    offered = actions.possible_actions(message, setup)
    assert set(offered) == row.offered(by_mapi=by_mapi), (row.place, offered)
    refused = [order for order in OFFERED if not row.allows(order, by_mapi=by_mapi)]
    for order in [*refused, *([] if row.place in WRITTEN_AGAIN else ["write_again"])]:
        with pytest.raises(actions.NotPossible):
            if order == "edit":
                wanted = editing.Edit([Mailbox("", "new@example.com")], [], [], "New")
                editing.apply(message, wanted, by=person, seen=row.versions)
            else:
                FUNCTIONS[order](message, by=person)
        office.seen["refused", order, row.place] += 1


def not_found(office, choose, pk):
    """Who does not see a message can order nothing for it."""
    person = choose([each for each in office.people if not office.sees(each, pk)])
    before = office.everything()
    order = choose(list(OFFERED)).replace("_", "-")
    answer = office.browser(person).post(f"/messages/{pk}/{order}/", {"why": "wait"})
    assert answer.status_code == 404
    assert office.everything() == before
    office.seen["404", office.messages[pk].place] += 1


def write_again(office, choose, pk):
    """The form of what was refused, sent once more: another message takes its place, whatever comes of that."""
    way = choose(["queued", "taken", "spam", "paused"])
    office.choose_options(hold=way == "queued", record=choose([True, False]))
    address = f"a@{office.next_number()}.example.com"
    form = {
        "sender": office.sender, "to": address, "subject": "Invoice", "text": "Dear customer", "key": uuid.uuid4().hex,
        "do": "queue" if way == "queued" else "send", "earlier": pk,
        "promised": "queue:waits" if way == "queued" else "send:at-once",
        "shown": "-".join(map(str, actions.shown_of(Message.objects.get(pk=pk)))),
    }  # fmt: skip
    if way == "paused":
        pausing.pause(office.olga, by=office.ada, why="Stocktaking")
        given_back(office, [office.olga.pk])
    elif way != "queued":
        plan(office, choose, [address], way)
    before = set(office.messages)
    answer = office.browser(office.olga).post("/messages/new/", form)
    assert answer.status_code == (422 if way in ("spam", "paused") else 302), answer.content.decode()[-3000:]
    if way == "paused":
        pausing.resume(office.olga, by=office.ada)
    [new] = set(Message.objects.values_list("pk", flat=True)) - before
    office.leave(pk)
    values = {"why": "written-again", "category": "", "batch": None}
    office.change(pk, "write again", office.olga, status="cancelled", **values)
    if way == "queued":
        office.messages[new] = Expected("", office.olga.pk, {address: "pending"})
        office.change(new, "queue", office.olga, status="queued")
    else:
        taken_at_once(office, new, office.olga, [address], way)
    office.seen["written again", way] += 1


def in_bulk(office, choose, order):
    person = choose(office.people)
    seen = {pk for pk in office.messages if office.sees(person, pk)}
    tally = actions.carry_out_for_all(BULK[order](), roles.visible_messages(person), by=person)
    done = [pk for pk in sorted(seen) if office.messages[pk].allows(order, by_mapi=False)]
    assert tally.done == len(done)
    assert sum(tally.refused.values()) == len(seen) - len(done)
    for pk in done:
        ordered(office, pk, order, person)
    office.seen[f"{order} in bulk", "done"] += len(done)


def change_rights(office, choose):
    office.choose_options(sees_all=not office.company["sees_all"])
