"""The judge of the kill harness finds what it is there to find."""

import pytest

from tests.system.chaos.sink import Acceptance
from tests.system.chaos.verdict import compare

KILL = (10.0, 1)


def attempt(outcome, started=1.0, **recipients):
    addresses = {f"{name}@example.com": told for name, told in (recipients or {"a": outcome}).items()}
    return {"started": started, "outcome": outcome, "explained": True, "recipients": addresses}


def row(status, *attempts, reason="", **recipients):
    addresses = {f"{name}@example.com": told for name, told in recipients.items()}
    return {
        "message_id": "<1@t>", "status": status, "reason": reason, "sent_at": status == "sent",
        "recipients": addresses, "attempts": list(attempts),
    }  # fmt: skip


SENT = row("sent", attempt("accepted"), a="accepted")
UNKNOWN = row("unknown", attempt("unknown"), reason="The worker stopped.", a="unknown")
FAILED = row("failed", attempt("permanent"), reason="No such user.", a="failed")


def arrival(*names, digest="d", at=2.0, message_id="<1@t>"):
    return Acceptance(message_id, tuple(f"{name}@example.com" for name in names or "a"), digest, at)


def judge(found, *ledger, recipients="a", **options):
    accepted = {"<1@t>": {"recipients": [f"{name}@example.com" for name in recipients], "digest": "d"}}
    return compare(accepted, [found] if found else [], list(ledger), **options)


def order(verb):
    return [{"verb": verb, "message_id": "<1@t>", "recipients": ["a@example.com"]}]


@pytest.mark.parametrize(
    ("verdict", "finding"),
    [
        (judge(None), "lost"),
        (judge(SENT), "lost"),
        (judge(row("sent", attempt("accepted"), a="accepted"), arrival(), recipients="ab"), "lost"),
        (judge(SENT, arrival(), arrival(at=3.0)), "duplicates"),
        (judge(UNKNOWN, arrival(), arrival(at=3.0), kills=[KILL]), "duplicates"),
        (judge(SENT, arrival(), arrival(at=3.0), orders=order("retry")), "duplicates"),
        (judge(FAILED, arrival()), "untrue"),
        (judge(row("queued", a="pending"), arrival()), "untrue"),
        (judge(row("queued", a="pending")), "waiting"),
        (judge(row("sending", a="pending")), "waiting"),
        (judge(row("sent", attempt("accepted"), a="failed"), arrival()), "untrue"),
        (judge(row("failed", attempt("permanent"), a="failed")), "untrue"),
        (judge(row("unknown", reason="Because.", a="unknown"), kills=[KILL]), "untrue"),
        (judge(row("sent", a="accepted"), arrival()), "untrue"),
        (judge(SENT, arrival(digest="other")), "damaged"),
        (judge(SENT, arrival(), arrival(message_id="<2@t>")), "damaged"),
        (judge(SENT, arrival("a", "b")), "damaged"),
        (judge(UNKNOWN, kills=[(10.0, 0)]), "too_many_unknown"),
        (judge(UNKNOWN, kills=[(0.5, 1)]), "too_many_unknown"),
    ],
)
def test_finding(verdict, finding):
    assert getattr(verdict, finding), verdict.findings


@pytest.mark.parametrize(
    "verdict",
    [
        judge(SENT, arrival()),
        judge(FAILED),
        judge(UNKNOWN, kills=[KILL]),
        judge(UNKNOWN, arrival(), kills=[KILL]),
        judge(row("sent", attempt("unknown"), a="accepted"), orders=order("mark_as_sent"), kills=[KILL]),
        judge(
            row("sent", attempt("unknown"), attempt("accepted", started=20.0), a="accepted"),
            arrival(), arrival(at=21.0), orders=order("send_again"), kills=[KILL],
        ),
        judge(
            row("failed", attempt("accepted", a="accepted", b="permanent"), reason="No.", a="accepted", b="failed"),
            arrival(), recipients="ab",
        ),
    ],
)  # fmt: skip
def test_nothing_to_find(verdict):
    assert verdict.findings == []
