"""One batch never burns the address book: the same unknown words for several domains pause, and a person is asked."""

import datetime as dt
from collections import Counter

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import housekeeping, submit
from messaging.company import options
from messaging.console.preflight import refused_before
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, BatchItem, EmailSettings, Message, Recipient, RefusalStreak, SendAttempt
from messaging.queue import batches, refusal_answers
from messaging.queue.actions import NotPossible
from messaging.setup import changes
from messaging.wording import in_words
from tests.factories import browser_of, confirmed_batch, fitting, make_message, make_user, set_up, submission
from tests.fault_server import CLOSE, FaultServer
from tests.rows import states, status, statuses
from tests.steps import in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

NO = "550 Zugriff verweigert (ref {})"
DEAD = "550 5.1.1 No such user"


@pytest.fixture
def server():
    with FaultServer() as running:
        set_up(running)
        yield running


@pytest.fixture
def boss(db):
    return make_user("boss", role="Administrator", first_name="Berta")


def refuse(server, stage="RCPT", words=NO):
    """Every message in the same words, but for a number."""
    numbers = iter(range(8840, 9999))
    server.at(stage, lambda: words.format(f"{next(numbers)}-2"))


def queue(number, first=0, **values):
    """Messages to as many domains."""
    return [make_message(f"kunde@domain{place}.example", **values) for place in range(first, first + number)]


def answer(boss, which):
    """Press a button on the Sending page."""
    streak = RefusalStreak.objects.get(asked_at__isnull=False, answer="", ended_at=None)
    given = {"question": streak.pk, "failed": refusal_answers.mark_of(streak)}
    response = browser_of(boss).post(f"/sending/company/{which}/", given, follow=True)
    assert response.status_code == 200
    return response


def is_paused():
    return AccountPause.objects.filter(kind="doubt").exists()


# --- When it pauses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("MAIL", "550 Zugang gesperrt {}"),
        ("RCPT", NO),
        ("RCPT", "550 5.1.1 Zugriff verweigert {}"),
        ("RCPT", "550-Zugriff\n550 {} verweigert für <kunde@irgendwo.example>"),
        ("DATA", "554 nicht jetzt und nicht hier {}"),
        ("END", "554 5.7.1 Änderung abgelehnt {}"),
    ],
)
def test_fifth_domain_refused_in_the_same_unknown_words_pauses_the_account(server, stage, words):
    refuse(server, stage, words)
    messages = queue(8)
    run_lane()
    assert Counter(statuses(*messages)) == {"failed": 5, "queued": 3}
    assert is_paused()
    assert {message.tries for message in messages[5:]} == {0}
    assert {(each.reason_category, in_words(each.reason)) for each in messages[:5]} == {
        ("setup", "Refused in the same words as 4 other messages: the fault may be ours.")
    }
    assert not refused_before([f"kunde@domain{place}.example" for place in range(5)]), "no address is blackened"
    pause = AccountPause.objects.get()
    refused = "The mail server refused 5 messages to 5 domains in the same words."
    assert in_words(pause.reason) == f"{refused} The fault may be ours."
    asked = len(server.heard("MAIL"))
    run_lane()
    assert len(server.heard("MAIL")) == asked, "it is quiet until a person has answered"


@pytest.mark.parametrize("to_copy", [NO.format(1), "452 4.2.2 mailbox full"])
def test_refusals_of_one_recipient_after_another_count_as_those_of_all_at_once(server, boss, to_copy):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    refuse(server)
    server.at("RCPT", to_copy, recipient="archive@ours.example")
    messages = [make_message(f"kunde@domain{number}.example", "archive@ours.example") for number in range(12)]
    run_lane()
    assert is_paused()
    assert len(server.heard("MAIL")) <= 10
    assert not refused_before([f"kunde@domain{number}.example" for number in range(12)]) or "452" in to_copy
    assert set(statuses(*messages[5:])) == {"queued"}
    assert {message.tries for message in messages[5:]} == {0}
    server.mend()
    answer(boss, "it-was-us")
    run_lane()
    assert set(statuses(*messages[5:])) == {"sent"}


def test_what_is_sent_at_once_to_one_after_another_fails_where_a_person_is_asked(server):
    people = [f"a@domain{number}.example" for number in range(3)]
    options.save({"record_mail": True, "same_refusals": 2}, by=None)
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    refuse(server)
    list(submit.submit([submission(*people)]))
    assert not is_paused(), "it is one message"
    list(submit.submit([submission(*people)]))
    assert is_paused()
    assert states() == ["failed"] * 2
    assert len(server.heard("MAIL")) == 6


def test_message_of_which_one_recipient_after_another_is_refused_waits_whole_while_a_person_is_asked(server, boss):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    refuse(server)
    queue(5)
    run_lane()
    late = make_message(*(f"a@late{number}.example" for number in range(3)), urgent=True)
    run_lane()
    assert (statuses(late), late.tries) == (["queued"], 0)
    assert set(late.recipients.values_list("status", flat=True)) == {"pending"}
    server.mend()
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    run_lane(after=dt.timedelta(hours=1))
    assert statuses(late) == ["sent"]
    assert late.tries == 1


def test_recipient_whom_one_transaction_let_past_ends_it_for_the_whole_message(server):
    server.at("EHLO", "250-fault.example\n250-PIPELINING\n250 LIMITS RCPTMAX=1")
    refuse(server)
    server.at("RCPT", "250 ok", recipient="copy@ours.example")
    for number in range(8):
        make_message(f"kunde@domain{number}.example", "copy@ours.example")
    run_lane()
    assert states() == ["failed"] * 8
    assert not is_paused()


@pytest.mark.parametrize("domain", ["evil.example", "evil.co.uk"])
def test_subdomains_of_one_owner_are_one_domain(server, domain):
    refuse(server)
    messages = [make_message(f"x@s{number}.{domain}") for number in range(8)]
    run_lane()
    assert set(statuses(*messages)) == {"failed"}
    assert not is_paused()


def test_recipients_who_are_named_without_their_domain_are_refused_in_the_same_words(server):
    for place, name in enumerate(["anna", "ben", "cleo", "dora", "emil"]):
        server.at("RCPT", f"550 {name} darf hier nicht", recipient=f"{name}@domain{place}.example")
        make_message(f"{name}@domain{place}.example")
    run_lane()
    assert is_paused()


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param({"MAIL": ["250 ok"] * 9, "RCPT": [DEAD] * 9}, id="words that are known"),
        pytest.param({"RCPT": [f"550 {word} verweigert" for word in "abcdefghi"]}, id="different words"),
        pytest.param({"RCPT": [f"45{number % 2} Zugriff verweigert" for number in range(9)]}, id="for now only"),
        pytest.param({"RCPT": [*["550 Nein danke"] * 4, "250 ok", *["550 Nein danke"] * 4]}, id="accepted between"),
        pytest.param({"END": [*["554 Nein danke"] * 4, "250 ok", *["554 Nein danke"] * 4]}, id="taken between"),
        pytest.param({"RCPT": [*["550 Nein danke"] * 4, "250 ok", *["550 Nein danke"] * 4], "END": ["554 nie"]},
                     id="let past between"),
    ],
)  # fmt: skip
def test_what_says_nothing_about_us_pauses_nobody(server, refused):
    for stage, replies in refused.items():
        server.at(stage, replies)
    queue(9)
    run_lane()
    assert not is_paused()
    assert "sending" not in states()
    assert len(server.heard("MAIL")) == 9


def test_dead_mailboxes_at_one_domain_do_not_stop_a_batch(server):
    refuse(server)
    for place in range(12):
        make_message(f"kunde{place}@one.example")
    run_lane()
    assert states() == ["failed"] * 12
    assert not is_paused()


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "END"])
def test_message_counts_once_however_many_it_is_for(server, stage):
    """It is for those whom one person named."""
    refuse(server, stage, "554 Nein danke {}")
    make_message(*(f"c@domain{place}.example" for place in range(9)))
    run_lane()
    assert not is_paused()
    copies = [make_message(f"c@domain{place}.example", "copy@ours.example") for place in range(4)]
    run_lane()
    assert is_paused()
    assert statuses(*copies) == ["failed"] * 4


def test_recipient_who_is_let_past_ends_it(server):
    refuse(server)
    server.at("RCPT", "250 ok", recipient="a@good.example")
    queue(4)
    mixed = make_message("a@good.example", "b@bad.example")
    run_lane()
    queue(4, first=4)
    run_lane()
    assert status(mixed) == "failed"
    assert mixed.recipients.get(address="a@good.example").status == "accepted"
    assert not is_paused()


def test_one_message_that_is_enough_by_the_company_option_says_so(server):
    options.save({"same_refusals": 1}, by=None)
    refuse(server)
    one = make_message("a@one.example", "b@two.example")
    run_lane()
    assert status(one) == "failed"
    assert in_words(one.reason) == "Its recipients were refused in the same words: the fault may be ours."


def test_refusals_that_others_lie_between_still_count(server):
    """Known refusals and those for now are no acceptance."""
    no = "550 Zugriff verweigert"
    server.at("RCPT", [no, DEAD, no, "451 later", no, "550 anders", no, DEAD, no])
    queue(10)
    run_lane()
    assert is_paused()
    assert len(server.heard("MAIL")) == 9


@pytest.mark.parametrize(("option", "failed", "paused"), [(3, 3, True), (1, 1, True), (0, 8, False)])
def test_company_option_says_how_many(server, option, failed, paused):
    options.save({"same_refusals": option}, by=None)
    refuse(server)
    queue(8)
    run_lane()
    assert states().count("failed") == failed
    assert is_paused() == paused


def test_other_accounts_count_for_themselves_and_go_on(server, operator):
    refuse(server)
    queue(4)
    Message.objects.update(account=operator)
    queue(4)
    run_lane(operator.pk)
    run_lane()
    assert not is_paused()
    queue(1, first=50)
    run_lane()
    assert list(AccountPause.objects.values_list("account", "kind")) == [(None, "doubt")]


def killed(*args):
    raise SystemExit


def test_attempt_that_ends_after_a_crash_counts_once(server, monkeypatch):
    """What is counted is what was written: the transaction is one."""
    refuse(server)
    messages = queue(5)
    with monkeypatch.context() as patch:
        patch.setattr("messaging.delivery.store.ledger.record", killed)
        with pytest.raises(SystemExit):
            run_lane()
    assert not RefusalStreak.objects.exists()
    run_lane()
    assert statuses(*messages) == ["failed"] * 5
    assert RefusalStreak.objects.get().refusals == 5


@pytest.mark.slow
def test_several_lanes_fail_as_many_as_one(server):
    refuse(server)
    queue(40)
    assert not in_threads(4, run_lane)
    assert Counter(states()) == {"failed": 5, "queued": 35}
    assert AccountPause.objects.count() == 1
    assert set(Message.objects.filter(status="queued").values_list("tries", flat=True)) == {0}
    assert RefusalStreak.objects.get().refusals == 5


def test_result_in_the_same_words_while_a_person_is_asked_is_put_back_untried(server):
    refuse(server)
    others, late = queue(5), make_message("late@domain99.example", due=False)
    lane = Lane(None)
    lane.claim_size = 1
    Message.objects.filter(pk=late.pk).update(not_before=timezone.now() - dt.timedelta(hours=1))

    def meanwhile():
        assert not in_threads(1, run_lane)
        return "550 Zugriff verweigert (ref 1)"

    server.at("RCPT", meanwhile, recipient="late@domain99.example")
    lane.run()
    assert statuses(*others) == ["failed"] * 5
    late.refresh_from_db()
    assert (late.status, late.tries) == ("queued", 0)
    assert not late.recipients.exclude(status="pending").exists()


# --- Who waits, and who does not ------------------------------------------------------------------------


def test_urgent_mail_goes_out_and_comes_back_untried_when_refused_in_the_same_words(server):
    refuse(server)
    queue(5)
    run_lane()
    urgent = make_message("kunde@domain77.example", urgent=True, category="password-reset")
    run_lane()
    assert (status(urgent), urgent.tries) == ("queued", 0)
    assert urgent.not_before > timezone.now(), "it does not hammer the server"
    server.mend()
    run_lane(after=dt.timedelta(hours=1))
    assert status(urgent) == "sent"
    assert is_paused(), "only a person ends it"


def test_what_is_sent_at_once_counts_fails_and_is_told(server):
    options.save({"record_mail": True}, by=None)
    refuse(server)
    told = [list(submit.submit([submission(f"kunde@domain{place}.example")])) for place in range(6)]
    assert [found[0].state for found in told] == ["failed"] * 6
    assert is_paused()
    assert told[5][0].explanation == "Refused in the same words as 5 other messages: the fault may be ours."
    assert Recipient.objects.filter(streak__isnull=False).count() == 6


def test_what_a_deleted_user_sent_is_no_acceptance_of_the_company(server, ben):
    refuse(server)
    queue(4)
    run_lane()
    with FaultServer() as own:
        EmailSettings.objects.create(account=ben, host="127.0.0.1", port=own.port)
        make_message("kunde@bens.example")
        Message.objects.filter(status="queued").update(account=ben)
        run_lane(ben.pk)
        assert own.accepted
    ben.delete()
    queue(1, first=4)
    run_lane()
    assert is_paused()


def test_without_recording_an_acceptance_between_counts_although_nothing_is_kept(server):
    server.at("RCPT", [*["550 Nein danke"] * 4, "250 ok", *["550 Nein danke"] * 4])
    for place in range(9):
        list(submit.submit([submission(f"kunde@domain{place}.example")]))
    assert not Message.objects.exists()
    assert not is_paused()
    list(submit.submit([submission("kunde@last.example")]))
    assert not is_paused()
    server.at("RCPT", "550 Nein danke")
    list(submit.submit([submission(f"kunde@more{place}.example") for place in range(5)]))
    assert is_paused()


def test_nobody_who_is_served_pays_for_it(server):
    queue(1)
    run_lane()
    queue(3)
    with CaptureQueriesContext(connection) as asked:
        run_lane()
    assert states() == ["sent"] * 4
    assert not [query for query in asked if "refusalstreak" in query["sql"]]


def test_neither_time_nor_a_saved_email_setup_answers(server, clock, woken):
    refuse(server)
    queue(6)
    run_lane(clock=clock)
    changes.save(None, {"ehlo_name": "other.example"}, by=None)
    clock.goes_on(days=40)
    woken.clear()
    housekeeping.sweep(clock.now)
    housekeeping.tidy(clock.now)
    assert is_paused()
    assert not woken
    make_message("kunde@domain9.example", urgent=True)
    housekeeping.sweep(clock.now)
    assert woken == [None], "only for what is urgent"


def test_where_nothing_is_recorded_the_answer_still_lets_sending_go_on(server, boss):
    refuse(server)
    list(submit.submit([submission(f"kunde@domain{place}.example") for place in range(5)]))
    assert not Message.objects.exists()
    assert "No record was kept of these messages" in browser_of(boss).get("/sending/").text
    assert ">Sending as the company is on again." in answer(boss, "it-was-us").text
    assert not is_paused()


# --- The answers -----------------------------------------------------------------------------------------


def test_it_was_us_sends_all_of_it_anew_in_its_batch(server, boss, woken):
    refuse(server)
    batch = confirmed_batch(None, *(f"kunde@domain{place}.example" for place in range(8)))
    run_lane()
    server.mend()
    answer(boss, "it-was-us")
    assert not is_paused()
    assert None in woken
    first = Message.objects.earliest("pk")
    assert (first.status, first.tries, first.reason, first.account) == ("queued", 0, None, None)
    assert first.events.get(kind="it-was-us").by == boss
    run_lane()
    assert states() == ["sent"] * 8
    assert batches.report(batch).counts["sent"] == 8
    assert set(server.ledger.values()) == {1}
    ended = AccountPause.history.get(kind="doubt")
    assert ended.ended_by == boss
    assert "Answer: it was us." in in_words(ended.reason)


def test_after_it_was_us_the_first_repetition_pauses_again_and_costs_no_try(server, boss, clock):
    refuse(server)
    queue(6)
    run_lane(clock=clock)
    answer(boss, "it-was-us")
    run_lane(clock=clock)
    assert is_paused()
    assert states() == ["queued"] * 6
    assert set(Message.objects.values_list("tries", flat=True)) == {0}
    assert "still refuses messages in the same words" in in_words(AccountPause.objects.get().reason)
    answer(boss, "it-was-us")
    server.mend()
    run_lane(clock=clock)
    assert states() == ["sent"] * 6
    clock.goes_on(hours=25)
    refuse(server)
    late = queue(1)
    run_lane(clock=clock)
    assert statuses(*late) == ["failed"]
    assert not is_paused(), "a day later it is as if it had never been"


def test_message_that_alone_is_minded_fails_in_the_end_although_it_was_us(server, boss, clock):
    refuse(server)
    queue(5)
    run_lane(clock=clock)
    answer(boss, "it-was-us")
    server.mend()
    refuse_one = "kunde@domain0.example"
    server.at("RCPT", "550 Zugriff verweigert (ref 5)", recipient=refuse_one)
    for place in range(4):
        run_lane(clock=clock)
        clock.goes_on(seconds=1)
        queue(1, first=100 + place)
        if is_paused():
            answer(boss, "it-was-us")
    assert Message.objects.get(recipients__address=refuse_one).status == "failed"
    assert not is_paused()


def test_go_on_leaves_them_failed_and_does_not_ask_again_that_day(server, boss, clock):
    refuse(server)
    queue(12)
    run_lane(clock=clock)
    answer(boss, "go-on")
    assert not is_paused()
    run_lane(clock=clock)
    assert states() == ["failed"] * 12
    assert not is_paused()
    assert set(Message.objects.values_list("reason_category", flat=True)) == {"address"}
    assert len(refused_before([f"kunde@domain{place}.example" for place in range(12)])) == 12
    assert Message.objects.filter(events__kind="go-on", events__by=boss).count() == 5
    clock.goes_on(hours=25)
    queue(6, first=20)
    run_lane(clock=clock)
    assert is_paused(), "the next day it is asked again"


def test_two_questions_at_a_time_are_answered_one_by_one(server, boss):
    options.save({"same_refusals": 2}, by=None)
    no = {"RCPT": "550 Zugriff verweigert", "END": "554 Nein danke"}
    server.at("RCPT", no["RCPT"])
    queue(2)
    run_lane()
    server.mend()
    server.at("END", no["END"])
    for place in range(2):
        make_message(f"kunde@urgent{place}.example", urgent=True)
    run_lane()
    first, second = refusal_answers.open_questions()
    assert AccountPause.objects.count() == 1
    page = browser_of(boss).get("/sending/").text
    assert all(words[4:] in page for words in no.values())
    refusal_answers.go_on(second, by=boss)
    assert is_paused()
    assert in_words(AccountPause.objects.get().reason).endswith("The fault may be ours.")
    refusal_answers.it_was_us(first, by=boss)
    assert not is_paused()
    assert Counter(states()) == {"queued": 2, "failed": 2}


def test_who_was_refused_beside_others_who_were_to_be_tried_later_is_tried_with_them(server, boss):
    options.save({"same_refusals": 2}, by=None)
    server.at("RCPT", "550 Zugriff verweigert")
    server.at("RCPT", "451 later", recipient="a@later.example")
    mixed = make_message("a@later.example", "b@one.example")
    run_lane()
    queue(1)
    run_lane()
    assert statuses(mixed) == ["queued"]
    answer(boss, "it-was-us")
    assert set(mixed.recipients.values_list("status", flat=True)) == {"pending"}
    server.mend()
    run_lane(after=dt.timedelta(hours=1))
    assert states() == ["sent", "sent"]
    assert set(server.ledger.values()) == {1}


def test_answer_that_comes_second_is_told_so_and_changes_nothing(server, boss):
    refuse(server)
    queue(5)
    run_lane()
    streak = RefusalStreak.objects.get()
    answer(boss, "go-on")
    page = browser_of(boss).post("/sending/company/it-was-us/", {"question": streak.pk}, follow=True)
    assert "answered in the meantime" in page.text
    assert states() == ["failed"] * 5


@pytest.mark.parametrize("answered", [refusal_answers.it_was_us, refusal_answers.go_on])
def test_answer_for_an_account_that_was_deleted_meanwhile_is_told_so(server, boss, operator, answered):
    refuse(server)
    queue(5)
    Message.objects.update(account=operator)
    run_lane(operator.pk)
    streak = RefusalStreak.objects.get()
    operator.delete()
    with pytest.raises(NotPossible, match="The account was deleted in the meantime"):
        answered(streak, by=boss)


def test_what_a_person_dealt_with_meanwhile_is_left_alone(server, boss):
    refuse(server)
    messages = queue(5)
    run_lane()
    browser_of(boss).post(f"/messages/{messages[0].pk}/retry/")
    Message.objects.filter(pk=messages[1].pk).update(**fitting(status="cancelled"))
    answer(boss, "it-was-us")
    assert statuses(*messages) == ["queued", "cancelled", "queued", "queued", "queued"]
    assert messages[0].account == boss, "it goes as the one who retried it"


def test_batch_that_was_cancelled_does_not_get_them_back(server, boss, operator):
    refuse(server)
    batch = confirmed_batch(None, *(f"kunde@domain{place}.example" for place in range(8)))
    run_lane()
    batches.cancel(batch, by=operator)
    server.mend()
    answer(boss, "it-was-us")
    run_lane()
    assert Counter(states()) == {"sent": 5, "queued": 3}
    assert Counter(BatchItem.objects.values_list("outcome", flat=True)) == {"failed": 5, "cancelled": 3}


# --- Told ------------------------------------------------------------------------------------------------


def test_process_queue_says_what_it_waits_for(server, capsys):
    refuse(server)
    queue(7, due=False)
    with pytest.raises(SystemExit) as end:
        call_command("process_queue")
    out = capsys.readouterr().out
    assert end.value.code == 1
    assert "5 failed: Refused in the same words as 4 other messages: the fault may be ours." in out
    assert "2 messages are not sent yet" in out
    assert "refused 5 messages to 5 domains in the same words" in out


def test_administrators_are_notified(server, boss):
    refuse(server)
    queue(5)
    run_lane()
    housekeeping.sweep(timezone.now())
    housekeeping.sweep(timezone.now() + dt.timedelta(minutes=2))
    page = browser_of(boss).get("/notices/").text
    assert "The mail server refused 5 messages to 5 domains in the same words." in page
    housekeeping.sweep(timezone.now() + dt.timedelta(minutes=20))
    page = browser_of(boss).get("/notices/").text
    assert "Their failure may be our fault. An administrator has to answer on Sending" in page
    assert "Correct what is wrong" not in page, "before there is an answer, no one knows what is"


def test_notice_goes_rather_through_an_account_that_nobody_doubts(server, boss):
    refuse(server)
    boss.email = "boss@office.example"
    boss.save()
    queue(5)
    run_lane()
    for minutes in (0, 2):
        housekeeping.sweep(timezone.now() + dt.timedelta(minutes=minutes))
    notice = Message.objects.get(category="notice")
    assert notice.account is None, "there is no other, and urgent mail goes out"
    run_lane()
    assert status(notice) == "queued"
    changes.save(boss, {"host": "mail.other.example"}, by=boss)
    housekeeping.sweep(timezone.now() + dt.timedelta(minutes=3))
    notice.refresh_from_db()
    assert notice.account == boss


def test_a_broken_connection_is_no_refusal(server):
    server.at("RCPT", CLOSE)
    queue(6)
    run_lane()
    assert not AccountPause.objects.filter(kind="doubt").exists()
    assert not SendAttempt.objects.filter(outcome="permanent").exists()


# --- A clock that was ahead ----------------------------------------------------------------------------

AHEAD = dt.timedelta(days=400)


def test_what_was_accepted_in_the_future_ends_no_streak(server):
    make_message("kunde@accepted.example")
    run_lane()
    SendAttempt.objects.update(started_at=timezone.now() + AHEAD, finished_at=timezone.now() + AHEAD)
    refuse(server)
    queue(5)
    run_lane()
    assert is_paused()


def test_refusals_of_the_future_are_not_counted_with_those_of_now(server):
    refuse(server)
    queue(4)
    run_lane()
    RefusalStreak.objects.update(last_at=timezone.now() + AHEAD)
    queue(1, first=4)
    run_lane()
    assert not is_paused()
    queue(4, first=5)
    run_lane()
    assert is_paused()


def test_answer_of_the_future_holds_no_longer(server, boss):
    refuse(server)
    queue(5)
    run_lane()
    answer(boss, "go-on")
    RefusalStreak.objects.update(answered_at=timezone.now() + AHEAD)
    queue(5, first=5)
    run_lane()
    assert is_paused()
