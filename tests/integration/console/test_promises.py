"""What a page promises is still to come: another try only where one is planned, and no time that is past."""

import datetime as dt

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone

from messaging.company import options
from messaging.models import AccountPause, EmailSettings, Heartbeat, Notice, NoticeItem, Phrase, SendAttempt
from messaging.queue import actions, batches, pausing
from messaging.wording import moment
from tests.factories import draft_batch, hold_mail, make_mail, make_message, make_messages, put, said, set_up
from tests.fault_server import ACCEPT, CLOSE, FaultServer
from tests.letter_form import promised
from tests.pages import form_of, page_of, source, words
from tests.steps import run_lane, still_there

pytestmark = pytest.mark.django_db
WAIT = "it is tried again automatically"
LATER = "451 4.3.0 try later"
DONE = "There is nothing left to do here."


@pytest.fixture
def busy(db):
    """A server that has no time for anyone."""
    with FaultServer() as server:
        server.at("RCPT", LATER)
        set_up(server)
        yield server


def run_until_given_up(message, clock, tries):
    options.save({"max_tries": tries}, by=None)
    for _ in range(tries):
        run_lane(clock=clock)
        message.refresh_from_db()
        clock.now = message.not_before or clock.now


@pytest.fixture
def alive(db):
    """Worker and beat run: no banner says what goes on by itself once they do."""
    for name in ("sweep", "worker"):
        Heartbeat.objects.create(name=name, at=timezone.now())


def note(kind, at, **values):
    item = NoticeItem.objects.create(kind=kind, at=at, told_at=at, **values)
    item.notices.add(Notice.objects.create(kind=kind, at=at))


# --- Another try ---------------------------------------------------------------------------------------


def test_message_that_waits_for_its_next_try_says_so(office, busy, clock):
    message = make_message("c@example.com")
    run_lane(clock=clock)
    page = words(page_of(office, message))
    assert page.count(WAIT) == 2  # at the top and with the attempt
    assert "Tried again later" in page


def test_failed_message_says_what_to_do_and_promises_nothing(office, busy, clock):
    message = make_message("c@example.com")
    run_until_given_up(message, clock, 2)
    page = words(page_of(office, message))
    assert "Given up after 2 tries. Retry it in a while." in page
    assert WAIT not in page
    assert page.count("Refused for now") == page.count("Tried again later") == 1  # the last try, and the one before


@pytest.mark.parametrize("status", ["held", "cancelled", "sent", "queued"])
def test_message_that_is_not_tried_again_promises_nothing(office, busy, clock, status):
    message = make_message("c@example.com")
    run_lane(clock=clock)
    put(message, status=status, not_before=None)
    assert WAIT not in words(page_of(office, message))


def test_retried_message_promises_it_again(office, busy, clock):
    message = make_message("c@example.com")
    run_until_given_up(message, clock, 1)
    put(message, status="queued", not_before=clock.now)
    assert WAIT in words(page_of(office, message))


def test_failed_in_a_try_before_the_last_tells_of_that_try(office, mail_server, email_setup):
    message = make_message("a@example.com", "b@example.com")
    attempt = {"message": message, "fence": 1, "started_at": message.created_at}
    SendAttempt.objects.create(**attempt, outcome="permanent", reason=Phrase("no-mailbox"))
    SendAttempt.objects.create(**attempt, outcome="accepted", reason=Phrase("accepted"))
    put(message, status="failed", reason=Phrase("refused-earlier"))
    assert "Correct the address and send again." in words(page_of(office, message))


@pytest.mark.parametrize(
    ("stage", "reply"), [("RCPT", LATER), ("END", "452 4.3.1 no room"), ("MAIL", "421 4.7.0 slow down")]
)
def test_sendmail_with_code_75_promises_nothing(busy, sendmail, stage, reply):
    hold_mail(hold=False)
    busy.script.clear()
    busy.at(stage, reply)
    done = sendmail("c@example.com", stdin=make_mail("c@example.com").as_bytes())
    assert done.code == 75
    assert "by itself" not in done.err
    assert "etry it" in done.err


def test_django_and_the_page_of_a_new_message_promise_nothing(office, busy, queue_backend, alive):
    hold_mail(hold=False)
    with pytest.raises(OSError, match="try later") as raised:
        EmailMessage("x", "x", "office@brightwater.example", ["c@example.com"]).send()
    assert "by itself" not in str(raised.value)
    letter = {"sender": "Anna <anna@office.example>", "to": "c@example.com", "subject": "x", "text": "x", "do": "send"}
    page = words(office.post("/messages/new/", letter | promised(office)))
    assert "It was not sent." in page
    assert "automatically" not in page.replace("It goes out automatically then", "")


@pytest.mark.parametrize("is_over", [False, True])
def test_notice_of_a_pause_promises_nothing_once_it_is_over(admin, clock, alive, is_over):
    pause = AccountPause.objects.create(
        kind="fault", since=clock.now, reason=Phrase("no-setup"), ended_at=clock.now if is_over else None
    )
    item = NoticeItem.objects.create(
        kind="paused", at=clock.now, pause=pause, reason=Phrase("no-setup"), told_at=clock.now
    )
    item.notices.add(Notice.objects.create(kind="paused", at=clock.now))
    page = words(admin.get("/notices/"))
    assert ("sending resumes automatically" in page) == (not is_over)
    assert (DONE in page) == is_over


@pytest.mark.parametrize(
    ("status", "is_done"), [("failed", False), ("unknown", False), ("sent", True), ("queued", True)]
)
def test_notice_of_a_failure_asks_for_nothing_once_it_is_dealt_with(admin, clock, status, is_done):
    message = put(make_message("c@example.com"), status=status)
    note("failed", clock.now, message=message, reason=said("x"))
    assert (DONE in words(admin.get("/notices/"))) == is_done


# --- How often -----------------------------------------------------------------------------------------


def test_attempts_that_cost_no_try_are_told_alike_in_list_and_message(office, busy, clock):
    busy.at("MAIL", ["421 4.7.0 slow down", "421 4.7.0 slow down"])
    message = make_message("c@example.com")
    options.save({"max_tries": 1}, by=None)
    for _ in range(3):
        run_lane(clock=clock)
        clock.goes_on(hours=2)
    still_there()
    message.refresh_from_db()
    assert (message.status, message.tries, message.attempts.count()) == ("failed", 1, 3)
    assert "after 3 attempts (1 try)" in words(office.get("/messages/?status=failed"))
    page = words(page_of(office, message))
    assert "Send attempts 3 1 of them counts as a try: attempts stopped by the account’s setup" in page


@pytest.mark.parametrize(("tries", "told"), [(1, "after 1 try"), (2, "after 2 tries"), (0, "")])
def test_tries_in_the_list(office, email_setup, tries, told):
    message = make_message("c@example.com")
    for _ in range(tries):
        SendAttempt.objects.create(message=message, fence=1, started_at=message.created_at, outcome="transient")
    put(message, status="failed", tries=tries)
    page = words(office.get("/messages/?status=failed"))
    assert (told or "Your appointment") in page
    assert ("after" in page) == bool(told)
    assert "counts as a try" not in words(page_of(office, message))


# --- Times ---------------------------------------------------------------------------------------------


def test_try_whose_time_is_past_is_due(office, operator, busy, clock):
    message, *_ = make_messages(2, due=False)
    batch = draft_batch(message, by=operator)
    batches.confirm(batch, by=operator)
    run_lane(operator.pk, clock=clock)
    message.refresh_from_db()
    assert "next retry" in words(office.get(batch.get_absolute_url()))
    clock.now = message.not_before + dt.timedelta(minutes=4)
    page = words(office.get(batch.get_absolute_url()))
    assert "next retry" not in page
    assert "a retry is due now and waits for a free worker" in page
    assert "due now (try 2 of" in page
    assert "due now (try 2 of" in words(office.get("/messages/"))
    page = words(page_of(office, message))
    assert "Due since" in page
    assert "Next try" not in page
    clock.now = message.give_up_at + dt.timedelta(minutes=4)
    still_there()
    page = words(page_of(office, message))
    assert "The next try is the last one." in page
    assert "Tried until" not in page
    pausing.pause(operator, by=operator, why="Stocktaking")
    page = words(office.get(batch.get_absolute_url()))
    assert "a retry is due now." in page
    assert "Stocktaking" in page


def test_hold_whose_time_is_past_is_over(office, clock):
    until = clock.now.replace(hour=12, minute=4)
    clock.now = until + dt.timedelta(minutes=4)
    still_there()
    message = put(make_message("c@example.com"), status="held", held_until=until, reason=said("Stocktaking"))
    assert "ended at 12:04" in words(office.get("/messages/?status=held"))
    assert "Held until 12:04: that time has passed, and it goes back to the queue" in words(page_of(office, message))


def test_pause_whose_time_is_past_is_over(admin, operator, clock):
    until = clock.now.replace(hour=12, minute=4)
    clock.now = until - dt.timedelta(minutes=60)
    still_there()
    pausing.pause(pausing.ALL, by=operator, why="Stocktaking", until=until)
    assert "still paused" in words(admin.get("/sending/"))
    clock.now = until + dt.timedelta(minutes=4)
    still_there()
    page = source(admin.get("/sending/"))
    assert "All sending is on" in page
    assert "still paused</td>" not in page
    assert "its time" in page


# --- Nothing behind a word -----------------------------------------------------------------------------


def test_company_options_say_when_and_by_whom_they_were_changed(admin, operator):
    assert "Last changed" not in words(admin.get("/setup/options/"))
    options.save({"company_name": "Brightwater"}, by=operator)
    assert "Last changed" in words(admin.get("/setup/options/"))
    assert "Last changed." not in words(admin.get("/setup/options/"))
    assert "by Anna." in words(admin.get("/setup/options/"))


# --- A hold that outlasts the message's own time ---------------------------------------------------------

AT_ONCE = "it then goes out at once, because its own time, {due}, has passed."


def press(browser, page, url):
    return browser.post(url, form_of(page, action=url), follow=True)


@pytest.mark.parametrize(
    ("minutes", "then"),
    [
        (None, "Release it to put it back into the queue."),
        (60, "Release it to put it back into the queue; it goes out automatically at its own time, {due}."),
        (-5, "Release it to put it back into the queue; " + AT_ONCE),
    ],
    ids=["none", "to come", "past"],
)  # fmt: skip
def test_release_says_that_the_message_goes_out_at_its_own_time(office, operator, email_setup, minutes, then):
    hold_mail()
    message = make_message("a@example.com", due=False)
    put(message, not_before=timezone.now() + dt.timedelta(hours=1), account=operator)
    actions.hold(message, by=operator, why="Check")
    due = None if minutes is None else timezone.now() + dt.timedelta(minutes=minutes)
    put(message, not_before=due)
    told = then.format(due=due and moment(due))
    page = office.get(f"/messages/{message.pk}/")
    assert f"Held until it is released. Check. {told}" in words(page)
    assert (f"until released, due {moment(due)}" if due else "until released") in words(
        office.get("/messages/?status=held")
    )
    after = press(office, page, f"/messages/{message.pk}/release/")
    assert told.replace("Release it to put it back into", "Released: it is back in") in words(after)


def test_putting_back_a_draft_says_that_it_goes_out_at_once(office, operator):
    EmailSettings.objects.create(send_type=1)
    hold_mail()
    message = make_message("a@example.com", due=False)
    put(message, not_before=timezone.now() + dt.timedelta(hours=1), account=operator)
    actions.open_in_mail_program(message, by=operator)
    due = timezone.now() - dt.timedelta(minutes=5)
    put(message, not_before=due)
    page = office.get(f"/messages/{message.pk}/")
    then = AT_ONCE.format(due=moment(due))
    assert f"Once put back, it is in the queue; {then}" in words(page)
    after = press(office, page, f"/messages/{message.pk}/put-back/")
    assert f"Put back: the message is “Queued” again; {then} Delete the draft" in words(after)


def test_marked_as_sent_says_who_still_gets_it(office, operator):
    with FaultServer() as server:
        set_up(server)
        hold_mail()
        message = make_message("a@example.com", "b@example.com", "c@example.com")
        for address in ("b@example.com", "c@example.com"):
            server.at("RCPT", LATER, recipient=address)
        server.at("END", (ACCEPT, CLOSE))
        run_lane()
        page = office.get(f"/messages/{message.pk}/")
        rest = "It goes out at once to 2 recipients who have not had it yet."
        assert f"It will not be sent again to those who may have it. {rest}" in words(page)
        assert f"Marked as sent. {rest}" in words(press(office, page, f"/messages/{message.pk}/mark-as-sent/"))
