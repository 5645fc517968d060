"""What comes in and is delivered, each move with what the model says of it."""

import datetime as dt

from messaging import submit
from messaging.delivery.lane import Lane
from messaging.intake import gate
from messaging.models import Message
from messaging.queue import pausing
from tests.factories import OFFICE

from .model import Expected
from .office import LEASE, SECOND, TRIES, raw
from .server import ENDS, HEARD, Killed


def new_addresses(office, choose):
    return [f"{name}@{office.next_number()}.example.com" for name in choose([["a"], ["a", "b"], ["a", "b"]])]


def come_in(office, choose, way, number=1):
    author = choose([None, *office.people, *([] if office.has_left else [office.lea])])
    letters = [[] if way == "nobody" else new_addresses(office, choose) for _ in range(number)]
    at = office.now + choose([SECOND, dt.timedelta(hours=3)]) if way == "timed" else None
    why = "wait" if way == "held" else ""
    given = [
        gate.Submission(raw(to), OFFICE, to, author, at, urgent=way == "urgent", hold_reason=why) for to in letters
    ]
    if way in ("held", "nobody"):
        made = list(map(gate.accept, given))
    else:
        office.choose_options(hold=True)
        made = [outcome.message for outcome in submit.submit(given)]
    values = {"status": "queued"}
    if way in ("timed", "urgent"):
        account = author if author != office.mia else None
        values |= {"not_before": at or office.now, "account": account and account.pk}
    if way == "held":
        values = {"status": "held", "hold_kind": "hold", "why": "said"}
    if way == "nobody":
        values = {"status": "failed", "why": "no-address", "category": "address"}
    for message, to in zip(made, letters, strict=True):
        row = Expected("", author and author.pk, dict.fromkeys(to, "pending"), urgent=way == "urgent")
        office.messages[message.pk] = row
        office.crowd.append(message.pk)
        office.change(message.pk, "queue", author, **values)


def at_once(office, choose, way):
    author = choose([None, *([] if office.has_left else [office.lea]), office.olga, office.ada])
    addresses = [] if way == "nobody" else ["a@{0}.example.com", "b@{0}.example.com"]
    number = office.next_number()
    addresses = [each.format(number) for each in addresses]
    office.choose_options(hold=False, record=way != "unrecorded")
    plan(office, choose, addresses, choose([*ENDS, "some"]) if way == "unrecorded" else way)
    before = set(Message.objects.values_list("pk", flat=True))
    if way == "paused":
        pausing.pause(author, by=office.ada, why="Stocktaking")
        given_back(office, [author and author.pk])
    given = gate.Submission(raw(addresses), OFFICE, addresses, author)
    try:
        [outcome] = office.killing(lambda: list(submit.submit([given], is_watched=True)))
    except Killed:
        outcome = None
    if way == "paused":
        pausing.resume(author, by=office.ada)
    made = set(Message.objects.values_list("pk", flat=True)) - before
    unknown = office.server.end == "lost" and not office.server.fault and "welcome" in heard(office, addresses).values()
    if way == "unrecorded" and not unknown:
        assert not made
        return
    [pk] = made
    taken_at_once(office, pk, author, addresses, way, was_killed=outcome is None)


def taken_at_once(office, pk, author, addresses, way, *, was_killed=False):
    """In the model, what was sent at once: not tried, killed, or as the server said."""
    row = Expected("", author and author.pk, dict.fromkeys(addresses, "pending"))
    office.messages[pk] = row
    office.crowd.append(pk)
    if way in ("nobody", "paused"):
        office.events.append((pk, "ended-early", None))
        values = {"status": "failed", "why": "no-address", "category": "address"}
        if way == "paused":
            values |= {"is_immediate": True, "recipients": dict.fromkeys(addresses, "failed")}
            values |= {"why": "not-sent", "category": "setup"}
        office.change(pk, "send at once", author, **values)
        return
    account = author and author.pk
    leased = {"is_leased": True, "lease_ends": office.now + LEASE, "is_immediate": True, "account": account}
    office.change(pk, "send at once", author, status="sending", **leased)
    if was_killed:
        if way == "kill after":
            row.may_be_accepted, row.heard = True, heard(office, addresses)
        return
    record(office, pk)
    if not office.server.fault:
        office.faults.discard(account)


def plan(office, choose, addresses, way):
    """What the server will say: to all alike, or to some this and to some that."""
    server = office.server
    server.rcpt, server.end, server.fault, server.kill = {}, "taken", way == "fault", ""
    if way in ENDS:
        server.end = way
    elif way in HEARD:
        server.rcpt = dict.fromkeys(addresses, way)
    elif way == "some":
        server.end = choose(["taken", "taken", *ENDS])
        server.rcpt = {address: choose([*HEARD, "welcome", "welcome"]) for address in addresses}
    elif way == "partly lost":
        server.end, server.rcpt = "lost", dict.fromkeys(addresses[::2], "no such mailbox")
    elif way == "later and lost":
        server.end, server.rcpt = "lost", dict.fromkeys(addresses[::2], "later")
    elif way.startswith("kill"):
        server.kill = way.removeprefix("kill ")
        if way == "kill after" and len(addresses) > 1:
            server.rcpt = {addresses[0]: choose([*HEARD, "welcome"])}


def heard(office, addresses):
    return {address: office.server.rcpt.get(address, "welcome") for address in addresses}


def record(office, pk):
    """In the model, the server has said of a message what is planned."""
    row, server = office.messages[pk], office.server
    released = {"is_leased": False, "may_be_accepted": False, "lease_ends": None}
    pending = [address for address, outcome in row.recipients.items() if outcome == "pending"]
    if server.fault:
        office.faults |= set() if row.is_immediate else {row.account}
        if row.is_immediate:
            failed = row.recipients | dict.fromkeys(pending, "failed")
            values = {"status": "failed", "tries": row.tries + 1, "not_before": None, "recipients": failed}
            office.change(pk, "outcome", **values, **released)
        else:
            office.change(pk, "outcome", status="queued", **released)
        office.explained(pk)
        return
    row.last |= heard(office, pending)
    tries = row.tries + 1
    is_last = row.is_immediate or tries >= TRIES
    outcomes = dict(row.recipients)
    said = heard(office, pending)
    is_handed_over = "welcome" in said.values()
    for address, words in said.items():
        outcomes[address] = ENDS[server.end] if words == "welcome" and is_handed_over else HEARD[words]
        if outcomes[address] == "pending" and is_last:
            outcomes[address] = "failed"
    gravest = next((each for each in ("unknown", "pending", "failed") if each in outcomes.values()), "accepted")
    status = {"pending": "queued", "accepted": "sent"}.get(gravest, gravest)
    values = {"status": status, "tries": tries, "recipients": outcomes, "not_before": None, **released}
    is_cancelled = row.batch is not None and office.batches[row.batch].status == "cancelled"
    if status == "queued" and not is_cancelled:
        values["not_before"] = office.later(pk)
    office.change(pk, "outcome", **values)
    leave_cancelled(office, pk)
    office.explained(pk)


def due(office):
    """The messages that a lane of each account would take, in its order."""
    found = {}
    for pk, row in office.messages.items():
        is_cancelled = row.batch is not None and office.batches[row.batch].status == "cancelled"
        is_kept = is_cancelled or row.recall is not None
        if row.status == "queued" and row.not_before is not None and row.not_before <= office.now and not is_kept:
            found.setdefault(row.account, []).append(pk)
    for pks in found.values():
        pks.sort(key=lambda pk: (not office.messages[pk].urgent, office.messages[pk].not_before, pk))
    return found


def lane(office, choose, account, way):
    pks = due(office)[account]
    addresses = [
        address for pk in pks for address, outcome in office.messages[pk].recipients.items() if outcome == "pending"
    ]
    if way.startswith("kill"):
        addresses = pending_of(office.messages[pks[0]])
    plan(office, choose, addresses, way)
    is_probe = account in office.faults
    if is_probe:
        assert pausing.try_now(next((each for each in [*office.people, office.quentin] if each.pk == account), None))
    run = Lane(account, clock=lambda: office.now)
    try:
        office.killing(run.run)
    except Killed:
        assert office.server.kill
    claimed = pks[: 1 if is_probe else 4] if office.server.kill or office.server.fault else pks
    for pk in claimed:
        office.change(pk, "claim", status="sending", is_leased=True, lease_ends=office.now + LEASE)
    if office.server.kill:
        first = office.messages[pks[0]]
        if office.server.kill == "after" and "welcome" in heard(office, pending_of(first)).values():
            first.may_be_accepted, first.heard = True, heard(office, pending_of(first))
        return
    for place, pk in enumerate(claimed):
        if office.server.fault and place:
            office.change(pk, "give back", status="queued", is_leased=False, lease_ends=None)
        else:
            record(office, pk)
    if not office.server.fault:
        office.faults.discard(account)


def pending_of(row):
    return [address for address, outcome in row.recipients.items() if outcome == "pending"]


def leave_cancelled(office, pk):
    """In the model, what is queued again after its batch was cancelled waits for another."""
    row = office.messages[pk]
    if row.place == "in batch" and office.batches[row.batch].status == "cancelled":
        office.leave(pk, "cancelled")
        office.change(pk, "take out of the batch", status="queued", batch=None, not_before=None, account=None)


def given_back(office, accounts, *, urgent_too=False):
    """In the model, a pause takes back what lanes have claimed and not begun."""
    for pk, row in office.messages.items():
        may = urgent_too or not row.urgent
        if row.place == "sending" and row.account in accounts and not row.is_immediate and may:
            office.change(pk, "give back", status="queued", is_leased=False, lease_ends=None)
