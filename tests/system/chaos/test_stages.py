"""The worker killed exactly before, during and after a transaction: one kill, a message frozen at each stage.

Each message has an account, and so a connection, of its own. Behind it, another one of the account is claimed and not
begun.
"""

import signal
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.installation import WORKER, wait_for
from tests.sizes import STACKS
from tests.system.chaos.harness import Office, installation_for, settle
from tests.system.chaos.sink import Sink
from tests.system.chaos.verdict import compare

LARGE = 6_000_000  # octets: more than the socket buffers take, so that the worker still holds a part
STAGES = ["MAIL", "RCPT", "DATA", "content", "dot", "reply"]


@contextmanager
def nothing_can_be_committed(installation):
    """Hold the lock that a commit of an outcome needs."""
    lock = "LOCK TABLE messaging_message IN EXCLUSIVE MODE" if installation.database else "BEGIN IMMEDIATE"
    connection = installation.connect()
    connection.execute(lock)
    yield
    connection.rollback()
    connection.close()


class AfterTheKill:
    """What the database and the server's ledger say of each stage's message, once nothing moves any more."""

    def __init__(self, verdict, rows, ledger):
        self.verdict = verdict
        arrived = Counter(address for entry in ledger for address in entry.recipients)
        self.found = {}
        for row in rows:
            (address,) = row["recipients"]
            self.found[address.partition("@")[0]] = row["status"], arrived[address]


@pytest.fixture(scope="module", params=STACKS)
def after_the_kill(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    with Sink() as sink, installation_for(request.param, folder, LEASE_SECONDS="1") as installation:
        office, accepted = Office(installation), {}
        office.set_up(port=sink.port, accounts=len(STAGES))
        for number, stage in enumerate(STAGES):
            account, attached = f"account{number}", LARGE if stage == "content" else 0
            sink.freezes[f"{stage}@brightwater.example"] = "accepted" if stage == "reply" else stage
            for name, path in ((f"ok-{stage}", f"{stage}@brightwater.example"), (f"ok-behind-{stage}", "")):
                accepted |= office.fill_one(
                    reverse_path=path, account=account, recipients=[f"{name}@example.com"], attached=attached
                )
        worker = installation.start(WORKER)
        assert wait_for(lambda: len(sink.frozen) == len(STAGES)), f"frozen: {sink.frozen}"
        with nothing_can_be_committed(installation):
            sink.let_go("reply@brightwater.example")
            assert wait_for(lambda: "accepted" not in sink.stages()), "the reply is on its way"
            wait_for(lambda: False, seconds=0.3)  # it is heard, and its outcome waits for the lock
            installation.stop(worker, signal.SIGKILL)
        for path in list(sink.frozen):
            sink.let_go(path)
        # A lease of a second is for the worker that is killed: on a busy machine the other would lose its own.
        del installation.env["LEASE_SECONDS"]
        installation.start(WORKER)
        assert settle(office, seconds=40, between=office.sweep), f"moving: {office.counts()}"
        rows = office.snapshot()
        yield AfterTheKill(compare(accepted, rows, list(sink.ledger)), rows, sink.ledger)


def test_killed_before_the_content_it_is_sent_exactly_once_afterwards(after_the_kill):
    assert after_the_kill.found["ok-MAIL"] == ("sent", 1)
    assert after_the_kill.found["ok-RCPT"] == ("sent", 1)


@pytest.mark.parametrize("stage", ["DATA", "content"])
def test_killed_before_the_end_of_data_it_is_sent_exactly_once_afterwards(after_the_kill, stage):
    assert after_the_kill.found[f"ok-{stage}"] == ("sent", 1)


def test_killed_between_the_final_dot_and_the_reply_it_is_unknown_and_not_sent_again(after_the_kill):
    assert after_the_kill.found["ok-dot"] == ("unknown", 1)


def test_killed_between_the_reply_and_the_commit_it_is_not_sent_again(after_the_kill):
    # Sent, where PostgreSQL had the whole transaction already and committed it for the dead.
    assert after_the_kill.found["ok-reply"] in (("unknown", 1), ("sent", 1))


def test_claimed_and_not_begun_it_is_sent_exactly_once_afterwards(after_the_kill):
    assert {after_the_kill.found[f"ok-behind-{stage}"] for stage in STAGES} == {("sent", 1)}


def test_nothing_is_lost_sent_twice_or_untrue(after_the_kill):
    verdict = after_the_kill.verdict
    assert (verdict.lost, verdict.duplicates, verdict.untrue, verdict.damaged, verdict.waiting) == ([], [], [], [], [])
    assert verdict.statuses["unknown"] <= len(STAGES), "at most one per connection"
