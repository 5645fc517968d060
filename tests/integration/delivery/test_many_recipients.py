"""A server that takes only so many recipients at a time gets all of them, in several transactions, in one go."""

from contextlib import suppress

import pytest
from django.core.mail import EmailMessage

from messaging import housekeeping
from messaging.delivery.lane import Lane
from messaging.delivery.smtp.transaction import Connection
from messaging.delivery.store import claims
from messaging.models import AccountPause, Message, MessageEvent, Recipient
from messaging.queue import actions
from tests.factories import hold_mail, make_message, set_up
from tests.fault_server import ACCEPT, CLOSE, OK
from tests.integration.faults.invariants import check_invariants
from tests.rows import statuses
from tests.steps import AN_HOUR, elsewhere, in_threads, run_lane, sweeps

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("queue_backend")]


def people(count):
    return [f"c{number}@example.com" for number in range(count)]


def send_mail(recipients):
    """What Django code sends at once; what it returns."""
    return EmailMessage("News", "Dear all", "office@brightwater.example", recipients).send()


def got(server):
    """Who has the message, as often as they have it."""
    return sorted(address for _, address in server.ledger.elements())


def sizes(server):
    return [len(transaction.recipients) for transaction in server.accepted]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("record", [True, False])
def test_sent_at_once_to_250_where_the_server_takes_100(server, record, pipelining):
    hold_mail(record=record, hold=False)
    server.most_recipients, server.pipelining = 100, pipelining
    assert send_mail(people(250)) == 1
    assert sizes(server) == [100, 100, 50]
    assert server.ledger.total() == len(server.ledger) == 250
    assert {message.message_id for message in server.accepted} == {server.accepted[0].message_id}
    assert [message.status for message in Message.objects.all()] == (["sent"] if record else [])
    assert server.connections == 1


def test_queued_for_250_where_the_server_takes_100(server):
    server.most_recipients = 100
    message, other = make_message(*people(250)), make_message("other@example.com")
    run_lane()
    assert statuses(message, other) == ["sent", "sent"]
    assert sizes(server) == [100, 100, 50, 1]
    assert message.tries == 1
    assert [attempt.outcome for attempt in message.attempts.all()] == ["transient", "transient", "accepted"]
    check_invariants(server, queued=[message, other], beside=[other])


def test_limit_that_the_server_announces_is_kept_without_trying(server):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS MAILMAX=50 RCPTMAX=2")
    message = make_message(*people(5))
    run_lane()
    assert statuses(message) == ["sent"]
    assert sizes(server) == [2, 2, 1]
    assert len(server.heard("RCPT")) == 5


def test_limit_that_was_met_is_kept_on_the_same_connection(server):
    server.most_recipients = 2
    run_lane_with(make_message(*people(4)), make_message(*people(4)))
    assert len(server.heard("RCPT")) == 4 + 2 + 4, "of each message no more than fit, once that is known"


def run_lane_with(*messages):
    run_lane()
    assert statuses(*messages) == ["sent"] * len(messages)


MX_SAID = "450 4.5.3 <x@evil.example>: unverified address: host mx.evil.example[192.0.2.1] said: 452 4.5.3 no"
OTHERS = {
    "last": ["a@example.com", "x@evil.example"],
    "in the middle": ["a@example.com", "x@evil.example", "b@example.com"],
    "two": ["a@example.com", "x@evil.example", "y@evil.example"],
    "before one who is dead": ["a@example.com", "x@evil.example", "dead@example.com"],
}


@pytest.mark.parametrize("reply", ["452 4.5.3 too many recipients", MX_SAID, "552 no more"])
@pytest.mark.parametrize("recipients", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("pipelining", [True, False])
def test_one_recipient_whom_the_server_finds_too_many_makes_no_room_smaller(server, reply, recipients, pipelining):
    server.pipelining = pipelining
    for address in ("x@evil.example", "y@evil.example"):
        server.at("RCPT", reply, recipient=address)
    server.at("RCPT", "550 5.1.1 no such user", recipient="dead@example.com")
    make_message(*recipients)
    message = make_message(*people(60))
    run_lane()
    assert statuses(message) == ["sent"]
    assert sizes(server)[1:] == [60]


@pytest.mark.parametrize("reply", ["452 4.5.3 too many recipients", "452 too many recipients", "451 4.5.3 later"])
def test_one_after_the_other_where_the_server_takes_no_two(server, reply):
    for address in people(3)[1:]:
        server.at("RCPT", [reply], recipient=address)
    message = make_message(*people(3))
    run_lane()
    assert statuses(message) == ["sent"]
    assert sum(sizes(server)) == 3
    assert server.connections == 1


def test_server_that_finds_one_recipient_too_many_is_not_asked_without_end(server):
    server.at("RCPT", "452 4.5.3 too many recipients")
    message = make_message(*people(3))
    run_lane()
    assert statuses(message) == ["queued"]
    assert message.attempts.count() == 1
    check_invariants(server, queued=[message], beside=[])


def test_who_is_refused_or_put_off_on_the_way_is_told_in_the_end(server):
    server.most_recipients = 2
    server.at("RCPT", "550 5.1.1 no such user", recipient="c0@example.com")
    server.at("RCPT", "450 4.2.1 mailbox busy", recipient="c1@example.com")
    message = make_message(*people(6))
    run_lane()
    assert statuses(message) == ["queued"], "one of them is tried again"
    assert dict(message.recipients.values_list("address", "status")) == {
        "c0@example.com": "failed",
        "c1@example.com": "pending",
    } | dict.fromkeys(people(6)[2:], "accepted")
    assert message.tries == 1
    server.mend()
    run_lane(after=AN_HOUR)
    assert statuses(message) == ["failed"]
    assert [recipient for recipient, times in server.ledger.items() if times > 1] == []
    assert server.ledger.total() == 5


# Said of one recipient while others are served: about the account in words, and yet not about the account.
OF_ONE = [
    "450 4.7.25 Client host rejected: cannot find your reverse hostname",
    "454 4.7.1 <c0@example.com>: Relay access denied",
    "450 4.7.1 too many messages, try again in 2 hours",
    "554 5.7.1 <c0@example.com>: Relay access denied",
]


@pytest.mark.parametrize("refusal", OF_ONE)
def test_what_is_said_of_one_while_others_are_served_is_decided_with_those_put_off_in_the_end(server, refusal):
    is_final = refusal.startswith("5")
    server.at("RCPT", refusal, recipient="c0@example.com")
    server.at("RCPT", "452 4.5.3 too many recipients", recipient="c2@example.com")
    message, other = make_message(*people(3)), make_message("other@example.com")
    run_lane()
    assert statuses(message, other) == ["queued", "sent"]
    assert list(message.recipients.values_list("status", flat=True)) == [
        "failed" if is_final else "pending",
        "accepted",
        "pending",
    ]
    assert (message.tries, message.attempts.count()) == (1, 2), (
        "each transaction is recorded, and together they are one try"
    )
    assert not AccountPause.objects.exists()
    server.mend()
    run_lane(after=3 * AN_HOUR)
    assert statuses(message) == ["failed" if is_final else "sent"]
    assert server.ledger.total() == 4 - is_final, "no one got it twice"


@pytest.mark.parametrize("record", [True, False])
def test_refusal_beside_too_many_recipients_raises_nothing_where_one_has_the_message(server, record):
    hold_mail(record=record, hold=False)
    server.at("RCPT", OF_ONE[0], recipient="c0@example.com")
    server.at("RCPT", "452 4.5.3 too many recipients", recipient="c2@example.com")
    assert send_mail(people(3)) == 1
    assert [transaction.recipients for transaction in server.accepted] == [["c1@example.com"]]
    assert list(Recipient.objects.values_list("status", flat=True)) == (
        ["failed", "accepted", "failed"] if record else []
    )


def test_what_fails_after_all_is_told_to_whoever_sent_it_at_once(server):
    hold_mail(hold=False)
    server.most_recipients = 2
    server.at("END", ["250 2.0.0 taken", "451 4.3.0 later"])
    assert send_mail(people(5)) == 1, "as Django has it, where someone has it"
    message = Message.objects.get()
    assert message.status == "failed"
    assert list(message.recipients.values_list("status", flat=True)) == ["accepted"] * 2 + ["failed"] * 3
    before = len(server.transactions)
    sweeps()
    run_lane()
    assert len(server.transactions) == before


def test_connection_lost_between_two_transactions_costs_nobody_anything(server):
    server.most_recipients = 2
    server.at("BETWEEN", [CLOSE])
    message = make_message(*people(4))
    run_lane()
    assert statuses(message) == ["sent"]
    check_invariants(server, queued=[message], beside=[])


def test_outcome_unknown_of_the_second_part_is_that_of_its_recipients_alone(server):
    server.most_recipients = 2
    server.at("END", ["250 2.0.0 taken", (ACCEPT, CLOSE)])
    message = make_message(*people(4))
    run_lane()
    assert statuses(message) == ["unknown"]
    assert list(message.recipients.values_list("status", flat=True)) == ["accepted"] * 2 + ["unknown"] * 2
    check_invariants(server, queued=[message], beside=[])


# --- Refused as any would be ---------------------------------------------------------------------------

AS_ANY = ["554 5.7.1 Relay access denied", "450 4.7.1 you send too fast, slow down"]


@pytest.mark.parametrize("refusal", AS_ANY)
@pytest.mark.parametrize("bad", [[0], [0, 1], [1], [2]])
@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("record", [True, False])
def test_what_is_said_of_some_keeps_no_one_else_from_being_asked_for(server, refusal, bad, limit, record):
    server.at("EHLO", f"250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX={limit}")
    for number in bad:
        server.at("RCPT", refusal, recipient=people(3)[number])
    if not record:
        hold_mail(hold=False, record=False)
        assert send_mail(people(3)) == 1
    else:
        message = make_message(*people(3))
        run_lane()
        assert message.attempts.count() == -(-3 // limit)
        assert [each.status for each in message.recipients.all()] == [
            ("failed" if refusal.startswith("5") else "pending") if number in bad else "accepted" for number in range(3)
        ]
        message.refresh_from_db()
        assert message.tries == 1
    assert got(server) == [address for number, address in enumerate(people(3)) if number not in bad]
    assert not AccountPause.history.exists()


@pytest.mark.parametrize("refusal", AS_ANY)
def test_account_whose_server_refuses_everyone_asks_for_a_few_and_then_for_others(server, clock, refusal):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("RCPT", refusal)
    message = make_message(*people(8))
    clock.goes_on(seconds=1)
    asked = []
    for _ in range(3):
        run_lane(clock=clock)
        assert (statuses(message), message.tries) == (["queued"], 0)
        asked.append(len(server.heard("RCPT")))
        clock.now = AccountPause.objects.get().until
    assert asked == [3, 6, 9]
    assert set(message.recipients.values_list("status", flat=True)) == {"pending"}
    assert len(set(server.heard("RCPT")[:8])) == 8, "each time others"
    server.mend()
    run_lane(clock=clock)
    assert statuses(message) == ["sent"], "what was said while the account was at fault is said of no recipient"
    assert got(server) == people(8)
    assert not AccountPause.objects.exists()


def test_those_who_are_refused_as_any_would_be_do_not_keep_the_others_waiting_for_long(server, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    for address in people(8)[:6]:
        server.at("RCPT", AS_ANY[0], recipient=address)
    message = make_message(*people(8))
    clock.goes_on(seconds=1)
    for _ in range(3):
        run_lane(clock=clock)
        clock.goes_on(minutes=2)
    assert got(server) == people(8)[6:]
    assert statuses(message) == ["failed"]
    assert not AccountPause.objects.exists()


def test_refusal_as_of_any_that_met_our_limit_ends_no_pause(server, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("RCPT", AS_ANY[0])
    set_up(server, per_minute=3)
    message = make_message(*people(8))
    clock.goes_on(seconds=1)
    run_lane(clock=clock)
    assert AccountPause.objects.filter(kind="fault").exists()
    set_up(server, per_minute=1)
    clock.goes_on(minutes=2)
    run_lane(clock=clock)
    assert len(server.heard("RCPT")) == 4
    assert AccountPause.objects.filter(kind="fault").exists()
    assert statuses(message) == ["queued"]


# --- Limits ------------------------------------------------------------------------------------------


def test_each_transaction_asks_the_limit_and_the_rest_waits_for_it(server, clock):
    server.most_recipients = 2
    set_up(server, per_minute=3)
    message, other = make_message(*people(8)), make_message("other@example.com")
    run_lane(clock=clock)
    assert sizes(server) == [2, 2, 1], "what was claimed beside it keeps its turn"
    assert statuses(message, other) == ["queued", "sent"]
    assert (message.tries, message.attempts.count()) == (0, 2)
    assert AccountPause.objects.get().kind == "limit"
    clock.goes_on(seconds=61)
    run_lane(clock=clock)
    assert statuses(message) == ["sent"]
    assert (message.tries, sizes(server)) == (1, [2, 2, 1, 2, 2])
    check_invariants(server, queued=[message, other], beside=[other])


@pytest.mark.slow
def test_lanes_with_messages_to_many_keep_to_the_limit_together(server, clock):
    server.most_recipients = 1
    set_up(server, per_minute=7, max_connections=3)
    messages = [make_message(*people(6)) for _ in range(3)]
    for begun in (7, 14, 18):
        assert not in_threads(3, lambda: run_lane(clock=clock))
        run_lane(clock=clock)
        assert len(server.transactions) == begun
        clock.goes_on(seconds=61)
    assert statuses(*messages) == ["sent"] * 3
    check_invariants(server, queued=messages, beside=[])


def test_probe_that_reaches_the_limit_has_got_through(server, clock):
    server.at("MAIL", ["554 5.7.1 Relay access denied"])
    server.most_recipients = 2
    set_up(server, per_minute=2)
    message = make_message(*people(6))
    run_lane(clock=clock)
    assert AccountPause.objects.get().kind == "fault"
    clock.goes_on(seconds=61)
    run_lane(clock=clock)
    assert (statuses(message), sizes(server)) == (["queued"], [2, 2])
    assert [pause.kind for pause in AccountPause.objects.all()] == ["limit"]


class Killed(BaseException):
    """The process is gone."""


# --- Broken off between two transactions -------------------------------------------------------------


def at_our_limit(server, monkeypatch):
    set_up(server, per_minute=1)


def by_a_person(server, monkeypatch):
    def pauses():
        claims.take_back(None)  # what a pause does to what was not begun

    server.at("MAIL", [OK, lambda: elsewhere(pauses)()] * 10)


def by_a_server_that_wants_it_slower(server, monkeypatch):
    server.at("MAIL", [OK, "450 4.7.1 too many messages, slow down"] * 10)


def by_a_server_that_takes_no_new_connection(server, monkeypatch):
    server.most_messages = 1
    server.at("GREETING", [OK, "554 5.3.2 not now"] * 10)


def by_a_process_that_dies(server, monkeypatch):
    really_transact, calls = Lane._transact, []

    def transact(lane, *arguments):
        calls.append(1)
        if len(calls) % 2 == 0:
            raise Killed
        return really_transact(lane, *arguments)

    monkeypatch.setattr(Lane, "_transact", transact)
    monkeypatch.setattr("messaging.delivery.store.claims.give_back", lambda owner: 0)
    monkeypatch.setattr("messaging.lifecycle.limits.free_place", lambda owner: None)


BREAKS_OFF = [
    at_our_limit,
    by_a_person,
    by_a_server_that_wants_it_slower,
    by_a_server_that_takes_no_new_connection,
    by_a_process_that_dies,
]


def lanes_run_until(is_so, clock, gap=5):
    """Lane after lane, minutes apart, each of which may die."""
    for _ in range(30):
        with suppress(Killed):
            run_lane(clock=clock)
        if is_so():
            return
        housekeeping.sweep(clock.goes_on(minutes=gap))
    raise AssertionError("it never is")


@pytest.mark.slow
@pytest.mark.parametrize("break_off", BREAKS_OFF)
def test_who_is_put_off_in_a_try_that_is_broken_off_waits_until_the_others_were_asked(
    server, clock, monkeypatch, break_off
):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    for address in people(2):
        server.at("RCPT", "452 4.2.2 mailbox full", recipient=address)
    server.at("RCPT", "550 5.1.1 no such user", recipient="c2@example.com")
    message = make_message(*people(5))
    break_off(server, monkeypatch)

    lanes_run_until(lambda: statuses(message) == ["queued"] and message.tries, clock)
    assert got(server) == people(5)[3:]
    heard = [reply["reply_code"] for attempt in message.attempts.all() for reply in attempt.recipients]
    assert heard.count(452) == 2, "each was asked once"
    outcomes = list(message.recipients.order_by("address").values_list("status", flat=True))
    assert outcomes == ["pending"] * 2 + ["failed"] + ["accepted"] * 2
    assert (message.tries, str(message.reason.key)) == (1, "mailbox-full")
    assert message.not_before >= clock.now + AN_HOUR, "a full mailbox is left alone for an hour"
    assert message.give_up_at > message.not_before

    server.mend()
    lanes_run_until(lambda: statuses(message) == ["failed"], clock, gap=20)
    assert got(server) == [*people(2), *people(5)[3:]]
    check_invariants(server, queued=[message], beside=[])


@pytest.mark.slow
def test_messages_behind_one_that_is_broken_off_again_and_again_are_sent(server, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("RCPT", "452 4.2.2 mailbox full", recipient="c0@example.com")
    set_up(server, per_minute=1)
    make_message(*people(3))
    others = [make_message(f"other{number}@example.com") for number in range(3)]
    lanes_run_until(lambda: statuses(*others) == ["sent"] * 3, clock, gap=2)
    assert len(server.heard("RCPT")) == 3 + 3


def announces_one(server):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")


def refuses_the_first_for_now_and_finds_the_others_too_many(server):
    server.at("RCPT", ["451 4.2.0 later", *["452 4.5.3 too many recipients"] * 11] + ["451 4.2.0 later"] * 11)


@pytest.mark.parametrize("behaves", [announces_one, refuses_the_first_for_now_and_finds_the_others_too_many])
def test_each_transaction_asks_for_a_few_and_keeps_what_was_said_of_these(server, behaves):
    """Else a message for a thousand keeps the replies of a million, and judges as many."""
    behaves(server)
    message = make_message(*people(12))
    run_lane()
    asked = len(server.heard("RCPT"))
    assert asked <= 2 * 12
    assert sum(len(attempt.recipients) for attempt in message.attempts.all()) == asked
    check_invariants(server, queued=[message], beside=[])


def rcpts(server):
    return len(server.heard("RCPT"))


def test_one_recipient_whom_another_server_finds_too_many_takes_no_room_from_the_others(server):
    server.most_recipients = 20
    server.at("RCPT", ["450 4.5.3 host mx said: 452 4.5.3 too many recipients"], recipient="c0@example.com")
    message = make_message(*people(60))
    run_lane()
    assert (statuses(message), max(sizes(server)), len(sizes(server)) < 6) == (["sent"], 20, True), sizes(server)


@pytest.mark.parametrize("ends", ["each turn", "each connection"])
def test_what_was_learnt_of_a_message_outlasts_a_lane_and_a_connection(server, ends):
    server.most_recipients = 1
    if ends == "each connection":
        set_up(server, messages_per_connection=1)
    message = make_message(*people(20))
    while statuses(message) != ["sent"]:
        before = len(server.accepted)
        Lane(None, stop=lambda before=before: ends == "each turn" and len(server.accepted) > before).run()
        assert len(server.accepted) > before
    assert rcpts(server) == 20 + 19
    check_invariants(server, queued=[message], beside=[])


def test_a_signature_that_had_to_go_is_told_once_for_all_turns_of_a_message(server, monkeypatch):
    announces_one(server)
    genuine = Connection.transact

    def transact(*arguments):
        result = genuine(*arguments)
        result.unsigned = ("office.example",)
        return result

    monkeypatch.setattr(Connection, "transact", transact)
    message = make_message(*people(4))
    while statuses(message) != ["sent"]:
        before = len(server.accepted)
        Lane(None, stop=lambda before=before: len(server.accepted) > before).run()
    assert message.events.filter(kind=MessageEvent.Kind.UNSIGNED).count() == 1


@pytest.mark.parametrize("ends", ["stop", "turn"])
def test_a_lane_ends_between_two_transactions_of_a_message_and_the_next_one_continues(server, ends):
    """Else a message of a thousand such recipients keeps the lane from all other accounts, and a worker from ending."""
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    message = make_message(*people(6))

    def has_to_end():
        if ends == "turn" and server.accepted:
            lane.turn_ends = 0.0
        return ends == "stop" and len(server.accepted) == 2

    lane = Lane(None, stop=has_to_end)
    lane.run()
    assert (statuses(message), len(got(server))) == (["queued"], 2)
    message.refresh_from_db()
    assert message.tries == 0, "the try is not over"
    run_lane()
    message.refresh_from_db()
    assert (statuses(message), message.tries) == (["sent"], 1)
    assert got(server) == people(6)
    check_invariants(server, queued=[message], beside=[])


def test_message_that_was_taken_back_between_two_transactions_asks_no_one_more(server, clock, monkeypatch):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("RCPT", "452 4.2.2 mailbox full")
    by_a_person(server, monkeypatch)
    message = make_message(*people(4))
    run_lane(clock=clock, stop=lambda: len(server.heard("RCPT")) > 1)
    assert (statuses(message), len(server.heard("RCPT"))) == (["queued"], 2)


@pytest.mark.slow
def test_an_order_to_try_now_asks_also_who_was_put_off_in_a_try_that_was_broken_off(server, clock, operator):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("RCPT", ["452 4.2.2 mailbox full"], recipient="c0@example.com")
    set_up(server, per_minute=1)
    message = make_message(*people(2))
    run_lane(clock=clock)
    clock.goes_on(minutes=2)
    actions.try_now(message, by=operator)
    lanes_run_until(lambda: statuses(message) == ["sent"], clock, gap=2)
    assert message.tries == 1


@pytest.mark.slow
def test_next_try_asks_first_whom_no_server_answered_in_the_one_before(server, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    server.at("END", "452 4.2.2 one of them has a full mailbox")
    make_message(*people(3))
    for number in range(3):
        run_lane(clock=clock)
        assert server.transactions[-1].recipients == [people(3)[number]]
        clock.goes_on(days=1)


def test_worker_that_dies_in_the_content_leaves_unknown_only_who_was_asked_for(server, monkeypatch, clock):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=2")
    message = make_message(*people(4))

    def hand_over(connection, client, content, may_end):
        assert may_end()
        raise Killed

    monkeypatch.setattr(Connection, "_hand_over", hand_over)
    with pytest.raises(Killed):
        run_lane()
    for _ in range(3):
        housekeeping.sweep(clock.goes_on(hours=1))
    assert statuses(message) == ["unknown"]
    assert list(Recipient.objects.values_list("status", flat=True)) == ["unknown"] * 2 + ["pending"] * 2


@pytest.mark.parametrize(("once", "put_off"), [(False, "pending"), (True, "failed")])
def test_worker_that_dies_in_the_second_part_leaves_as_they_are_those_put_off_before(
    server, monkeypatch, clock, once, put_off
):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=2")
    server.at("RCPT", "450 4.2.1 later", recipient="c0@example.com")
    message = make_message(*people(4))
    Message.objects.update(is_immediate=once)
    really_hand_over, calls = Connection._hand_over, []

    def hand_over(connection, client, content, may_end):
        calls.append(1)
        if len(calls) == 1:
            return really_hand_over(connection, client, content, may_end)
        assert may_end()
        raise Killed

    monkeypatch.setattr(Connection, "_hand_over", hand_over)
    with pytest.raises(Killed):
        run_lane()
    for _ in range(3):
        housekeeping.sweep(clock.goes_on(hours=1))
    assert statuses(message) == ["unknown"]
    assert list(Recipient.objects.values_list("status", flat=True)) == [put_off, "accepted", "unknown", "unknown"]


@pytest.mark.parametrize(("once", "status", "others"), [(False, "queued", "pending"), (True, "failed", "failed")])
def test_worker_that_dies_between_two_transactions_leaves_what_is_known(
    server, monkeypatch, once, status, others, clock
):
    server.most_recipients = 2
    message = make_message(*people(4))
    Message.objects.update(is_immediate=once)
    really_transact, calls = Lane._transact, []

    def transact(lane, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return really_transact(lane, *arguments)

    monkeypatch.setattr(Lane, "_transact", transact)
    monkeypatch.setattr("messaging.delivery.store.claims.give_back", lambda owner: 0)
    with pytest.raises(Killed):
        run_lane()
    message.refresh_from_db()
    assert (message.status, message.may_be_accepted) == ("sending", False)
    housekeeping.sweep(clock.goes_on(hours=1))
    assert statuses(message) == [status]
    assert list(Recipient.objects.values_list("status", flat=True)) == ["accepted"] * 2 + [others] * 2
    assert server.ledger.total() == 2
