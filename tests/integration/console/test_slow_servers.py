"""Users press Send while their mail server takes its time: each page comes in time, and what it says is so."""

import datetime as dt
import re
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.utils import timezone

from messaging import connection_check, housekeeping, send_at_once
from messaging.delivery.store.rescue import rescue
from messaging.lifecycle import limits
from messaging.models import ActiveLane, Message, NoticeItem
from messaging.setup.secrets import encrypt
from tests.factories import browser_of, hold_mail, make_user, set_up
from tests.fault_server import ACCEPT, CLOSE, SILENCE, Drip, FaultServer, Pause
from tests.installation import wait_for
from tests.pages import source
from tests.rows import states
from tests.sizes import also_in_drills
from tests.steps import run_lane

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

URL = "/messages/new/"
USUAL = {
    "GREETING": "220 fault.example", "EHLO": "250 fault.example", "STARTTLS": "220 go", "AUTH": "235 welcome",
    "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go",
}  # fmt: skip
STALLS = [
    *((stage, how) for stage in ("GREETING", "RCPT", "DATA") for how in ("silent", "drips")),
    *((stage, how) for stage in ("HANDSHAKE", "CONTENT") for how in ("silent",)),
]
MORE = [(stage, how) for stage in ("EHLO", "STARTTLS", "AUTH", "MAIL") for how in ("silent", "drips")]


@pytest.fixture
def little_time(monkeypatch):
    """Before the data, in the place of 20 seconds; the user stays for the outcome, however busy this machine is."""
    monkeypatch.setattr(send_at_once, "BEFORE_DATA", 0.5)
    monkeypatch.setattr(send_at_once, "LOOKS_ON", 100)


@pytest.fixture
def leaves_soon(monkeypatch):
    """The user, in the place of 25 seconds; the dialogue has the time it needs."""
    monkeypatch.setattr(send_at_once, "BEFORE_DATA", 100)
    monkeypatch.setattr(send_at_once, "LOOKS_ON", 0.5)


@pytest.fixture
def threads():
    """Nothing that was begun goes on beyond the test."""
    yield
    assert wait_for(lambda: not send_at_once.is_at_work())


def press_send(user, **values):
    values = {
        "sender": f"{user.first_name} <{user.email}>", "to": "b@example.com", "subject": "Your invoice",
        "text": "Dear customer,\n", "key": uuid.uuid4().hex, "do": "send",
        "promised": "send:at-once queue:own",
    } | values  # fmt: skip
    try:
        return browser_of(user).post(URL, values)
    finally:
        connections.close_all()


def stall(server, stage, how):
    silence = Pause(60) if stage == "CONTENT" else SILENCE  # which would read all of it
    server.at(stage, silence if how == "silent" else Drip(USUAL[stage], seconds=0.3))


@pytest.fixture
def slow(authority):
    with FaultServer(tls=authority.server_context(), auth=["PLAIN"]) as server:
        secure = {"auth_type": "tls-explicit", "send_type": 3, "username": "u", "password_encrypted": encrypt("p")}
        set_up(server, max_connections=8, **secure)
        yield server


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize(("stage", "how"), [*STALLS, *also_in_drills(*MORE)])
def test_before_the_data_the_time_is_short_and_the_queue_is_offered(
    slow, operator, little_time, threads, stage, how, record
):
    hold_mail(record=record, hold=False)
    stall(slow, stage, how)
    files = [SimpleUploadedFile("large.bin", b"x" * 8_000_000)] if stage == "CONTENT" else []
    answer = press_send(operator, files=files)
    shown = source(answer)
    assert answer.status_code == 422
    assert "Put in the queue instead" in shown and "It was not sent." in shown
    assert states() == (["failed"] if record else [])
    assert not any(each.ended for each in slow.transactions)
    assert not ActiveLane.objects.exists()
    slow.mend()
    earlier = re.search(r'name="earlier" value="(\d+)"', shown)
    assert press_send(operator, do="instead", earlier=earlier[1] if earlier else "").status_code == 302
    run_lane(operator.pk)
    assert len(slow.accepted) == 1
    assert Counter(states()) == ({"cancelled": 1, "sent": 1} if record else {"sent": 1})


class Late:
    """An answer to the final dot that comes when the test says so."""

    def __init__(self, server, answer):
        self.comes = threading.Event()
        self.script = [lambda: (self.comes.wait(100), answer)[1]]
        server.at("END", list(self.script))


def page_of(user, answer):
    return source(browser_of(user).get(answer.url, follow=True))


@pytest.mark.parametrize("record", [True, False])
@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ("250 2.0.0 taken", "sent", "Sent: the mail server accepted it for b@example.com."),
        ("554 5.6.0 not this one", "failed", ""),
        ((ACCEPT, CLOSE), "unknown", ""),
    ],
    ids=["taken", "refused", "no answer"],
)
def test_after_the_dot_the_user_need_not_wait_and_nothing_is_lost(
    server, operator, leaves_soon, threads, record, answer, status, words
):
    hold_mail(record=record, hold=False)
    late = Late(server, answer)
    told = press_send(operator)
    assert told.status_code == 302
    assert "It is being sent." in page_of(operator, told)
    assert wait_for(lambda: states() == ["sending"] and server.transactions)
    late.comes.set()
    assert wait_for(lambda: not send_at_once.is_at_work())
    assert len(server.transactions) == 1
    is_kept = record or status != "sent"
    assert states() == ([status] if is_kept else [])
    shown = page_of(operator, told)
    assert "It is being sent." not in shown
    assert words in shown if not record else f"is-{status}" in shown
    if status != "sent":
        message = Message.objects.get()
        assert browser_of(operator).get(told.url).url == f"/messages/{message.pk}/"
        assert message.notified_at is None, "no one looked on, so it is told like any other"


def test_the_same_form_again_sends_nothing_while_it_is_being_sent(server, operator, recording, leaves_soon, threads):
    late = Late(server, "250 2.0.0 taken")
    key = uuid.uuid4().hex
    first, second = press_send(operator, key=key), press_send(operator, key=key)
    assert first.url == second.url
    late.comes.set()
    assert wait_for(lambda: states() == ["sent"])
    assert len(server.transactions) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("250 2.0.0 taken", "Sent: the mail server accepted it for b@example.com."),
        ("554 5.6.0 not this one", "Not sent:"),
    ],
)
def test_the_outcome_is_kept_as_soon_as_nothing_else_is(server, operator, threads, answer, words):
    """The web process may be killed while the server takes its time with QUIT."""
    hold_mail(record=False, hold=False)
    says_bye = threading.Event()
    server.at("END", answer)
    server.at("QUIT", [lambda: (says_bye.wait(100), "221 bye")[1]])
    key = uuid.uuid4()
    sends = threading.Thread(target=press_send, args=[operator], kwargs={"key": key.hex})
    sends.start()
    try:
        assert wait_for(lambda: server.heard("QUIT"))
        assert states() == []
        assert words in source(browser_of(operator).get(f"{URL}{key}/"))
    finally:
        says_bye.set()
        sends.join(30)


def test_an_error_after_the_user_left_does_not_hide_what_became_of_the_message(
    server, operator, recording, leaves_soon, threads, monkeypatch
):
    late = Late(server, "250 2.0.0 taken")

    def fails(*_):
        raise RuntimeError("no")

    monkeypatch.setattr("messaging.submit._outcome", fails)
    told = press_send(operator)
    late.comes.set()
    assert wait_for(lambda: not send_at_once.is_at_work())
    assert "is-sent" in page_of(operator, told), "the message knows better than the error"
    assert states() == ["sent"]


@pytest.mark.parametrize("record", [True, False])
def test_a_process_that_is_killed_meanwhile_leaves_it_unknown(server, operator, leaves_soon, threads, record):
    hold_mail(record=record, hold=False)
    late = Late(server, CLOSE)
    key = uuid.uuid4().hex
    told = press_send(operator, key=key)
    assert wait_for(lambda: Message.objects.filter(may_be_accepted=True).exists())
    rescue(timezone.now() + dt.timedelta(seconds=90))
    assert states() == ["unknown"]
    shown = page_of(operator, told)
    assert "is-unknown" in shown and "It is being sent." not in shown
    assert press_send(operator, key=key).url == f"/messages/{Message.objects.get().pk}/", "and the same form again"
    late.comes.set()
    assert wait_for(lambda: not send_at_once.is_at_work())
    assert states() == ["unknown"]


def eight_users():
    return [make_user(f"user{n}", f"user{n}@office.example", first_name=f"User{n}") for n in range(8)]


@pytest.mark.parametrize("stage", ["GREETING", *also_in_drills("EHLO", "MAIL", "RCPT"), "DATA"])
def test_eight_users_at_once_are_all_offered_the_queue(server, recording, little_time, threads, stage):
    set_up(server, max_connections=8)
    stall(server, stage, "silent")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press_send, eight_users()))
    assert {answer.status_code for answer in answers} == {422}
    assert all("Put in the queue instead" in source(each) for each in answers)
    assert states() == ["failed"] * 8
    assert not any(each.ended for each in server.transactions)


def test_eight_users_at_a_server_that_does_not_answer_the_dot(server, recording, leaves_soon, threads, monkeypatch):
    set_up(server, max_connections=8)
    monkeypatch.setattr(limits, "SEAT_PATIENCE", 0.1)
    late = Late(server, CLOSE)
    server.at("END", late.script * 8)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press_send, eight_users()))
    assert {answer.status_code for answer in answers} <= {302, 422}
    assert wait_for(lambda: Counter(states()) == {"sending": 2, "failed": 6}), "two wait, as many as there are seats"
    late.comes.set()
    assert wait_for(lambda: Counter(states()) == {"unknown": 2, "failed": 6})
    assert len(server.transactions) == 2


def test_one_user_at_a_server_that_does_not_answer_leaves_a_seat_to_others(
    server, recording, operator, leaves_soon, threads, monkeypatch
):
    set_up(server, max_connections=8)
    monkeypatch.setattr(limits, "SEAT_PATIENCE", 0.1)
    late = Late(server, CLOSE)
    assert press_send(operator).status_code == 302
    again = press_send(operator, subject="Another")
    assert again.status_code == 422 and "Put in the queue instead" in source(again)
    other = press_send(make_user("other", "other@office.example", first_name="Other"))
    assert other.status_code == 302
    assert wait_for(lambda: Counter(states()) == {"sending": 1, "failed": 1, "sent": 1})
    late.comes.set()
    assert wait_for(lambda: Counter(states()) == {"unknown": 1, "failed": 1, "sent": 1})


def test_only_some_wait_for_a_seat_and_the_others_are_told_at_once(monkeypatch):
    monkeypatch.setattr(limits, "SEAT_PATIENCE", 30)
    told, go_on = [], threading.Event()

    def sit():
        try:
            with limits.seat():
                go_on.wait(30)
        except limits.NotNow:
            told.append(1)

    seated = [threading.Thread(target=sit) for _ in range(8)]
    for each in seated:
        each.start()
    assert wait_for(lambda: len(told) == 8 - limits.MOST_SEATS - limits.MOST_WAITING)
    go_on.set()
    for each in seated:
        each.join(30)
    assert len(told) == 4


def test_who_left_is_told_by_a_notice(server, operator, leaves_soon, threads):
    hold_mail(record=False, hold=False)
    late = Late(server, "554 5.6.0 not this one")
    press_send(operator)
    late.comes.set()
    assert wait_for(lambda: states() == ["failed"])
    housekeeping.sweep(timezone.now())
    assert NoticeItem.objects.get().message == Message.objects.get()


def test_a_check_of_the_connection_has_a_time_for_all_of_it(slow, admin, monkeypatch):
    """Each stage comes in time for itself."""
    monkeypatch.setattr(connection_check, "CHECK_SECONDS", 1.0)
    for stage in ("GREETING", "AUTH"):
        stall(slow, stage, "drips")
    page = b"".join(admin.post("/setup/email/check/")).decode()
    assert "accepts the sign-in" not in page and "The mail server" in page
    slow.mend()
    assert "accepts the sign-in" in b"".join(admin.post("/setup/email/check/")).decode()
