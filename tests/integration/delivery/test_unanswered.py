"""A server that never answers the final dot: after a few messages the account waits, and tries one now and then."""

import datetime as dt
from collections import Counter

import pytest

from messaging import housekeeping, submit
from messaging.access import roles
from messaging.company import options
from messaging.delivery.store import ledger
from messaging.models import AccountPause, Message, NoticeItem, UnansweredStreak
from messaging.notices import mail, text
from messaging.queue import pausing
from messaging.wording import advice, in_words
from tests.factories import hold_mail, make_messages, make_user, set_up, submission
from tests.fault_server import ACCEPT, CLOSE, RESET, SILENCE, FaultServer
from tests.pages import source
from tests.rows import states
from tests.steps import TIGHT, elsewhere, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

TAKEN = "250 2.0.0 taken"


def run(**options):
    return run_lane(patience=TIGHT, **options)


def pause():
    return AccountPause.objects.get(kind="unanswered")


def is_paused():
    return AccountPause.objects.filter(kind="unanswered").exists()


def at_next_try(clock):
    clock.now = pause().until


# --- When it pauses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "no_answer",
    [SILENCE, CLOSE, RESET, (ACCEPT, CLOSE), "whatever", "354 go", b"2" * 9000 + b"\r\n"],
    ids=["silence", "close", "reset", "takes it and closes", "garbage", "354", "endless line"],
)
def test_after_three_messages_the_others_wait(server, no_answer):
    make_messages(8)
    server.at("END", no_answer)
    run()
    assert Counter(states()) == {"unknown": 3, "queued": 5}
    assert set(Message.objects.filter(status="queued").values_list("tries", flat=True)) == {0}
    assert run() == 0
    assert len(server.transactions) == 3


@pytest.mark.parametrize("answer", [TAKEN, "451 4.3.0 try later", "554 5.6.0 not this one"])
def test_an_answer_between_them_says_that_the_server_answers(server, answer):
    make_messages(12)
    server.at("END", [(ACCEPT, CLOSE), (ACCEPT, CLOSE), answer] * 4)
    run()
    assert Counter(states())["unknown"] == 8
    assert not is_paused()


def test_what_never_came_to_the_dot_says_nothing_about_it(server):
    make_messages(6)
    server.at("RCPT", "550 5.1.1 no such user", recipient="c1@example.com")
    server.at("END", CLOSE)
    run()
    assert states() == ["unknown", "failed", "unknown", "unknown", "queued", "queued"]


def test_a_refused_recipient_beside_an_accepted_one_hides_no_answer(server):
    make_messages(2)
    mixed = submission("a@example.com", "gone@example.com")
    server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    server.at("END", [CLOSE, CLOSE, TAKEN, CLOSE, CLOSE])
    run()
    hold_mail(hold=False)
    [outcome] = submit.submit([mixed])
    assert outcome.state == "partly"
    hold_mail()
    make_messages(3)
    run()
    assert not is_paused(), "two, an answer, two and then an answer"


def test_a_421_to_the_dot_is_an_answer_and_slows_down_as_before(server):
    make_messages(4)
    server.at("END", "421 4.3.2 closing")
    run()
    assert states() == ["queued"] * 4
    assert not is_paused()


def test_who_does_not_answer_data_has_nothing_and_is_tried_again(server):
    make_messages(4)
    server.at("DATA", SILENCE)
    run()
    assert set(states()) == {"queued"}
    assert not any(each.octets for each in server.transactions)


def test_another_server_is_counted_by_itself(server):
    make_messages(4)
    server.at("END", CLOSE)
    run(stop=lambda: Counter(states())["unknown"] == 2)
    with FaultServer() as other:
        set_up(other)
        other.at("END", [CLOSE, CLOSE])
        run()
    assert Counter(states()) == {"unknown": 4}
    assert not is_paused()
    assert set(UnansweredStreak.objects.values_list("messages", flat=True)) == {2}


def test_several_lanes_at_once_count_together_and_lose_no_more_than_they_have_in_hand(server):
    set_up(server, max_connections=3)
    make_messages(30)
    server.at("END", SILENCE)
    assert not in_threads(3, run)
    assert 3 <= Counter(states())["unknown"] <= 5
    assert Counter(states())["queued"] >= 25
    assert run() == 0


def test_while_another_lane_is_answered_nobody_waits(server):
    """A long message is looked at for long, and small ones pass meanwhile."""
    set_up(server, max_connections=2)
    make_messages(12)

    def another_passes():
        before = states().count("sent")
        run_lane(stop=lambda: states().count("sent") > before)

    server.at("END", [lambda: (elsewhere(another_passes)(), CLOSE)[1], TAKEN] * 4)
    run_lane(stop=lambda: not server.script["END", ""])
    assert states().count("unknown") == 4 and states().count("sent") >= 4
    assert not is_paused()


def test_an_answer_while_several_wait_together_counts_for_each_of_them(server):
    """They begin together and time out together, so nothing is answered between the first and the last of them."""
    set_up(server, max_connections=4)
    make_messages(20)

    def until_the_fourth():
        run_lane(stop=lambda: len(server.transactions) >= 4)

    server.at("END", [lambda: (elsewhere(until_the_fourth)(), CLOSE)[1]] * 3 + [TAKEN])
    until_the_fourth()
    assert Counter(states()) == {"unknown": 3, "sent": 1, "queued": 16}
    assert not is_paused()


def test_lanes_that_were_answered_a_moment_ago_lose_one_more_round_at_most(server):
    """The server goes silent while they wait: each may have begun before its last answer."""
    set_up(server, max_connections=4)
    make_messages(40)

    def until_the_fourth():
        run_lane(stop=lambda: len(server.transactions) >= 4)

    server.at("END", [lambda: (elsewhere(until_the_fourth)(), CLOSE)[1]] * 3 + [TAKEN] + [CLOSE] * 36)
    until_the_fourth()
    assert not in_threads(3, run)
    assert Counter(states())["sent"] == 1
    assert 5 <= Counter(states())["unknown"] <= 3 + 5
    assert is_paused()
    assert run() == 0


def test_count_and_outcome_are_written_together(server, monkeypatch):
    make_messages(1)
    server.at("END", CLOSE)

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    monkeypatch.setattr(ledger, "record", kill)
    with pytest.raises(Killed):
        run()
    assert not UnansweredStreak.objects.exists()
    assert states() == ["sending"]


def test_a_streak_by_a_clock_that_was_wrong_counts_no_more(server, clock):
    make_messages(6)
    server.at("END", [CLOSE, CLOSE])
    begun, clock.now = clock.now, clock.now + dt.timedelta(days=400)
    run(clock=clock, stop=lambda: not server.script["END", ""])
    clock.now = begun
    server.at("END", [CLOSE, TAKEN, CLOSE, TAKEN])
    run(clock=clock)
    assert not is_paused()


def test_a_pause_by_a_clock_that_was_wrong_is_over_with_it(server, clock):
    make_messages(5)
    server.at("END", [CLOSE] * 3)
    begun, clock.now = clock.now, clock.now + dt.timedelta(days=400)
    run(clock=clock)
    assert is_paused()
    clock.now = begun
    housekeeping.sweep(clock.now)
    make_messages(1)
    run(clock=clock)
    assert states()[-1] == "sent" and not is_paused()


# --- How it ends ---------------------------------------------------------------------------------------


def test_one_message_tries_it_less_and_less_often_until_one_is_answered(server, clock, settings):
    make_messages(9)
    server.at("END", CLOSE)
    run(clock=clock)
    gaps = []
    for lost in (4, 5, 6):
        gaps.append((pause().until - clock.now).total_seconds())
        at_next_try(clock)
        run(clock=clock)
        assert Counter(states())["unknown"] == lost, "a try costs one message"
    assert gaps == settings.PROBE_GAPS[:3]
    server.mend()
    at_next_try(clock)
    run(clock=clock)
    assert Counter(states()) == {"unknown": 6, "sent": 3}
    assert not is_paused()
    assert AccountPause.history.get().ended_at == clock.now


@pytest.mark.parametrize("answer", ["451 4.3.0 try later", "554 5.6.0 no", "421 4.3.2 closing"])
def test_an_answer_of_any_kind_ends_it(server, clock, answer):
    make_messages(5)
    server.at("END", [CLOSE] * 3 + [answer])
    run(clock=clock)
    at_next_try(clock)
    run(clock=clock)
    assert not is_paused()


def test_a_try_that_never_came_to_the_dot_leaves_it_to_the_next_message(server, clock):
    make_messages(7)
    server.at("END", [CLOSE] * 3)
    server.at("RCPT", "550 5.1.1 no such user", recipient="c3@example.com")
    server.at("RCPT", "550 5.1.1 no such user", recipient="c4@example.com")
    run(clock=clock)
    at_next_try(clock)
    run(clock=clock)
    assert states() == ["unknown"] * 3 + ["failed"] * 2 + ["sent"] * 2
    assert not is_paused()


def test_urgent_messages_wait_too_as_they_would_only_become_unknown(server):
    make_messages(4)
    server.at("END", CLOSE)
    run()
    make_messages(1, urgent=True)
    run()
    assert Counter(states()) == {"unknown": 3, "queued": 2}


def test_no_urgent_message_is_what_tries_it_while_another_is_due(server, clock):
    make_messages(4)
    server.at("END", [CLOSE] * 4)
    run(clock=clock)
    make_messages(2, urgent=True)
    at_next_try(clock)
    run(clock=clock)
    assert states() == ["unknown"] * 4 + ["queued"] * 2
    at_next_try(clock)
    run(clock=clock)
    assert states() == ["unknown"] * 4 + ["sent"] * 2


def test_an_administrator_lets_it_be_tried_now(server, admin, woken):
    make_messages(5)
    server.at("END", [CLOSE] * 3)
    run()
    assert "Try now" in source(admin.get("/sending/"))
    admin.post("/sending/company/try-now/")
    assert woken == [None]
    run()
    assert Counter(states()) == {"unknown": 3, "sent": 2}


def test_a_test_message_goes_through_and_ends_it(server, admin):
    make_messages(4)
    server.at("END", [CLOSE] * 3)
    run()
    page = b"".join(admin.post("/setup/email/test/", {"recipient": "me@example.com"})).decode()
    assert "The mail server accepted the test message" in page
    assert not is_paused()


def test_what_becomes_of_the_account_becomes_of_the_count(server, operator):
    set_up(server)
    messages = make_messages(2)
    Message.objects.filter(pk__in=[each.pk for each in messages]).update(account=operator)
    server.at("END", CLOSE)
    run(account_id=operator.pk)
    assert UnansweredStreak.objects.get().account == operator
    operator.delete()
    assert not UnansweredStreak.objects.exists()


def test_an_old_count_is_forgotten(server, clock):
    make_messages(1)
    server.at("END", CLOSE)
    run(clock=clock)
    housekeeping.sweep(clock.now)
    assert UnansweredStreak.objects.exists()
    for _ in range(32):
        housekeeping.sweep(clock.goes_on(days=1))
    housekeeping.tidy(clock.now)
    assert not UnansweredStreak.objects.exists()


# --- What is sent at once ------------------------------------------------------------------------------


def send_at_once(**options):
    [outcome] = submit.submit([submission("ada@example.com")], patience=TIGHT, **options)
    return outcome


@pytest.mark.parametrize("record", [True, False])
def test_what_is_sent_at_once_counts_and_then_the_queue_is_offered(server, clock, record):
    hold_mail(record=record, hold=False)
    server.at("END", CLOSE)
    assert [send_at_once().state for _ in range(3)] == ["unknown"] * 3
    held_back = send_at_once()
    assert (held_back.state, held_back.may_queue) == ("failed", True)
    assert "did not answer" in held_back.explanation
    assert len(server.transactions) == 3, "it was not sent, and is not unknown"
    at_next_try(clock)
    assert send_at_once().state == "unknown", "one tries it when it is time"
    assert send_at_once().state == "failed"
    server.mend()
    at_next_try(clock)
    assert [send_at_once().state for _ in range(2)] == ["sent", "sent"]
    assert not is_paused()


@pytest.mark.parametrize(
    ("stage", "reply"),
    [("GREETING", "554 5.3.2 no"), ("MAIL", "421 4.3.2 closing"), ("RCPT", "550 5.1.1 unknown"), ("DATA", SILENCE)],
)
@pytest.mark.parametrize("record", [True, False])
def test_what_is_sent_at_once_and_never_came_to_the_dot_leaves_the_try_to_the_queue(
    server, clock, stage, reply, record
):
    hold_mail(record=record, hold=False)
    make_messages(4)
    server.at("END", [CLOSE] * 3)
    run(clock=clock)
    at_next_try(clock)
    server.at(stage, reply)
    for _ in range(4):
        assert send_at_once().state == "failed"
        assert (pause().failures, pause().until) == (1, clock.now)
    server.mend()
    assert run(clock=clock) == 1
    assert Counter(states())["sent"] == 1
    assert not is_paused()


def test_what_was_sent_at_once_without_trying_it_gives_no_try_back(server, clock, admin):
    make_messages(3)
    server.at("END", CLOSE)
    run(clock=clock)
    at_next_try(clock)
    make_messages(1)
    run(clock=clock)
    before = pause().failures, pause().until
    assert before[0] == 2
    server.at("RCPT", "550 5.1.1 no such user")
    b"".join(admin.post("/setup/email/test/", {"recipient": "me@example.com"}))
    assert (pause().failures, pause().until) == before


def test_an_answer_of_which_nothing_is_recorded_counts(server, clock):
    hold_mail(record=False, hold=False)
    server.at("END", [CLOSE, CLOSE, TAKEN, CLOSE, CLOSE])
    for state in ("unknown", "unknown", "sent", "unknown", "unknown"):
        assert send_at_once().state == state
        clock.goes_on(seconds=1)
    assert not is_paused()


def test_a_refusal_at_the_dot_of_which_nothing_is_recorded_counts(server, clock):
    hold_mail(record=False, hold=False)
    server.at("END", [CLOSE, CLOSE, "554 5.6.0 no", CLOSE, CLOSE])
    for state in ("unknown", "unknown", "failed", "unknown", "unknown"):
        assert send_at_once().state == state
        clock.goes_on(seconds=1)
    assert not is_paused()


# --- What is told --------------------------------------------------------------------------------------


def test_pages_say_what_is_the_matter_and_what_to_do(server, admin):
    make_messages(5)
    server.at("END", CLOSE)
    run()
    why = "The mail server did not answer after 3 messages in a row were handed over, so it is not known whether it "
    why += "took them."
    assert in_words(pause().reason) == why
    assert "log" in advice(pause().reason) and "unknown" in advice(pause().reason)
    for page in ("/sending/", "/messages/", f"/messages/{Message.objects.filter(status='queued').first().pk}/"):
        text = source(admin.get(page))
        assert "did not answer after 3 messages in a row" in text, page
        assert "server’s log" in text, page
    assert "next try" in source(admin.get("/sending/"))


def test_the_history_says_what_began_and_ended_it(server, admin, clock):
    make_messages(4)
    server.at("END", [CLOSE] * 3)
    run(clock=clock)
    at_next_try(clock)
    run(clock=clock)
    history = source(admin.get("/sending/")).partition("Pauses so far")[2]
    assert "a mail server that did not answer" in history
    assert "a try that got through" in history


def test_administrators_are_told_and_no_notice_goes_by_that_account(server, clock):
    chief = make_user("chief", "chief@office.example", role=roles.ADMIN)
    options.save({"company_address": "office@brightwater.example"}, by=chief)
    make_messages(4)
    server.at("END", CLOSE)
    run(clock=clock)
    housekeeping.sweep(clock.now)
    item = NoticeItem.objects.get(kind="paused")
    assert item.reason == pause().reason
    assert mail.working_account() is None
    assert "server’s log" in text.next_step([item])


def test_overview_of_all_pages_counts_it_as_an_obstacle(server, admin):
    make_messages(4)
    server.at("END", CLOSE)
    run()
    assert [row.kind for row in pausing.holding_account(None, pause().since)] == ["unanswered"]
    assert [row.kind for row in pausing.holding_account(None, pause().since, urgent=True)] == ["unanswered"]
