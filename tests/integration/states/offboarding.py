"""A person may not send any more, and it is decided what becomes of what is under way in their name."""

from collections import namedtuple

import pytest

from messaging import users
from messaging.access import roles
from messaging.queue import offboarding

from .delivery import given_back
from .office import BACK

Recalled = namedtuple("Recalled", "choice successor why")
LEAVING = (
    ("was-deactivated", {"is_active": False}),
    ("may-not-send", {"role": roles.VIEWER}),
    ("may-not-send", {"role": ""}),
)


def leave(office, choose, choice):
    lea, (why, change) = office.lea, choose(LEAVING)
    successor = choose([None, office.olga, office.ada]) if choice == "pass-on" else None
    decision = offboarding.Decision(offboarding.Choice(choice), successor)
    is_asked = _is_under_way(office, lea.pk)
    if is_asked:
        _refuse(office, choice, change)
    left = users.change(lea, change, by=office.ada, decision=decision).left
    office.has_left = True
    assert (left is not None) == is_asked
    office.seen["left", choice] += 1
    if choice == "let-go" or not is_asked:
        return
    given_back(office, [lea.pk], urgent_too=True)
    recall = Recalled(choice, successor and successor.pk, why)
    mine = {pk: row for pk, row in office.messages.items() if row.account == lea.pk}
    for pk, row in mine.items():
        if row.status == "sending" and not row.is_immediate:
            row.recall = recall
        elif _goes_out(row) or (choice != "hold" and row.place in ("held", "nobody's draft")):
            _settle(office, pk, recall)


def _goes_out(row):
    return row.status == "queued" and row.not_before is not None


def _is_under_way(office, account):
    rows = [row for row in office.messages.values() if row.account == account]
    if any(row.status in ("sending", "unknown") or _goes_out(row) or row.place in _HELD for row in rows):
        return True
    unfinished = {row.batch for row in office.messages.values() if row.status in ("queued", "sending")}
    return any(
        batch.account == account and batch.status == "confirmed" and pk in unfinished
        for pk, batch in office.batches.items()
    )


_HELD = ("held", "nobody's draft")


def _refuse(office, choice, change):
    """Without a decision, or with one that cannot be carried out, nothing is changed."""
    before = office.everything()
    with pytest.raises(offboarding.Undecided):
        users.change(office.lea, change, by=office.ada)
    office.seen["refused", "leave", "undecided"] += 1
    if choice == "pass-on":
        wrong = offboarding.Decision(offboarding.Choice(choice), office.mia)  # who sends with a mail program
        with pytest.raises(offboarding.BadSuccessor):
            users.change(office.lea, change, by=office.ada, decision=wrong)
        office.seen["refused", "leave", "bad successor"] += 1
    office.lea.refresh_from_db()
    assert office.lea.is_active and roles.may_operate(office.lea)
    assert office.everything() == before


def _settle(office, pk, recall):
    if recall.choice == "pass-on":
        office.change(pk, "pass on", office.ada, account=recall.successor)
        return
    office.leave(pk, "held" if recall.choice == "hold" else "cancelled")
    values = {"why": recall.why, "category": "", "batch": None, "not_before": None, "held_until": None}
    if recall.choice == "hold":
        office.change(pk, "recall", office.ada, status="held", hold_kind="hold", **values)
    else:
        values |= {"hold_kind": "", "handed_to": None, "status_before": "", "why_before": ""}
        office.change(pk, "cancel", office.ada, status="cancelled", **values)


def recalled(office):
    """In the model, what was being sent when its person left, and is not any more."""
    for pk, row in office.messages.items():
        if row.recall is not None and row.status != "sending":
            if row.account == office.lea.pk and _goes_out(row):
                _settle(office, pk, row.recall)
                office.seen["recalled", row.recall.choice] += 1
            row.recall = None


def come_back(office, choose):
    """They may send again: what was held stays held."""
    users.change(office.lea, BACK, by=office.ada)
    office.has_left = False
    office.seen["came back",] += 1
