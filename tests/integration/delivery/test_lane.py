"""Delivery (issue: main flow, point 6): a lane against a real SMTP server, and what the rows say afterwards."""

import datetime as dt
import email
import email.message
import email.policy
import re
import time
from types import SimpleNamespace

import pytest
from django.utils import timezone

from messaging.delivery.store import claims, ledger
from messaging.delivery.store.rescue import rescue
from messaging.models import Message, Recipient, SendAttempt
from messaging.tasks import deliver
from messaging.wording import advice, in_words
from tests.factories import make_message, set_up
from tests.fault_server import RESET, FaultServer
from tests.mails import HEAD, part
from tests.rows import parsed, status
from tests.servers import MailServer
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

IN_8_BITS = (
    "From: a@b.example\r\nTo: ann@example.com\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße aus Köln\r\n"
).encode()


def recipients(message):
    return {row.address: row.status for row in message.recipients.all()}


# --- Sent ------------------------------------------------------------------------------------------


def test_accepted_message_is_sent_with_date_time_and_the_servers_words(mail_server, email_setup):
    message = make_message("ann@example.com")
    run_lane()
    assert status(message) == "sent"
    assert timezone.now() - message.sent_at < dt.timedelta(seconds=10)
    attempt = message.attempts.get()
    assert (attempt.outcome, attempt.stage, attempt.reply_code) == ("accepted", "end of data", 250)
    assert attempt.enhanced_code == "2.0.0"
    assert attempt.reply_text == "2.0.0 taken"
    assert attempt.server == f"127.0.0.1:{mail_server.port}"
    assert attempt.duration_ms >= 0
    assert recipients(message) == {"ann@example.com": "accepted"}
    assert [item.recipients for item in mail_server.received] == [["ann@example.com"]]


def test_many_messages_share_one_connection(mail_server, email_setup):
    for number in range(25):
        make_message(f"c{number}@example.com")
    assert run_lane() == 25
    assert mail_server.connections == 1
    assert len(mail_server.received) == 25


def test_connection_is_renewed_after_enough_messages(mail_server, email_setup, settings):
    settings.MESSAGES_PER_CONNECTION = 4
    for number in range(10):
        make_message(f"c{number}@example.com")
    run_lane()
    assert mail_server.connections == 3


def test_only_due_messages_of_the_account_are_sent(mail_server, email_setup, operator):
    waiting = make_message("a@example.com", due=False)
    later = make_message("b@example.com")
    Message.objects.filter(pk=later.pk).update(not_before=timezone.now() + dt.timedelta(hours=1))
    others = make_message("c@example.com")
    Message.objects.filter(pk=others.pk).update(account=operator)
    assert run_lane() == 0
    assert {status(message) for message in (waiting, later, others)} == {"queued"}
    run_lane(operator.pk)
    assert status(others) == "sent"


# --- What leaves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [".\r\n", "..\r\n.", "a\r\n.\r\nb\r\n", ".a\r\n..b", "x" * 900 + "\r\n.\r\n" * 50, ""])
def test_dots_at_line_starts_arrive_as_they_were(mail_server, email_setup, body):
    message = make_message("ann@example.com", raw=b"From: a@b.example\r\nTo: ann@example.com\r\n\r\n" + body.encode())
    run_lane()
    assert status(message) == "sent"
    arrived = mail_server.received[0].content.partition(b"\r\n\r\n")[2]
    assert arrived.rstrip(b"\r\n") == body.encode().rstrip(b"\r\n")


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\r", b"\r.\r\n", b"\r\n.\n"])
def test_no_smuggling_sequence_ever_leaves(mail_server, email_setup, ending):
    smuggled = ending + b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\nhi\r\n.\r\n"
    make_message("ann@example.com", raw=b"From: a@b.example\r\nTo: ann@example.com\r\n\r\nhello" + smuggled)
    run_lane()
    (arrived,) = mail_server.received
    assert arrived.mail_from == "office@brightwater.example"
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", arrived.content)


def test_body_of_8_bits_is_declared(mail_server, email_setup):
    make_message("ann@example.com", raw=IN_8_BITS)
    run_lane()
    (arrived,) = mail_server.received
    assert "BODY=8BITMIME" in arrived.options
    assert "Grüße".encode() in arrived.content


def test_body_of_8_bits_is_converted_for_a_server_of_7():
    with FaultServer(esmtp=False, pipelining=False) as server:
        set_up(server)
        message = make_message("ann@example.com", raw=IN_8_BITS)
        run_lane()
    assert status(message) == "sent"
    content = server.accepted[0].content
    content.decode("ascii")
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    assert parsed.get_content().strip() == "Grüße aus Köln"


def test_a_text_that_fits_the_servers_size_only_as_base64_is_sent():
    text = "Счёт за ноябрь. " * 2000
    raw = HEAD + part(b"text/plain; charset=utf-8", text.encode(), b"Content-Transfer-Encoding: 8bit")
    with FaultServer(eightbit=False, size=3 * len(text.encode()) // 2) as server:
        set_up(server)
        message = make_message("ann@example.com", raw=raw)
        run_lane()
    assert status(message) == "sent"
    assert parsed(server.accepted[0].content).get_content().strip() == text.strip()


def test_address_beyond_ascii_goes_with_smtputf8(mail_server, email_setup):
    message = make_message("jörg@example.com")
    run_lane()
    assert status(message) == "sent"
    assert "SMTPUTF8" in mail_server.received[0].options
    assert mail_server.received[0].recipients == ["jörg@example.com"]


def test_address_beyond_ascii_fails_with_a_reason_where_the_server_cannot():
    with MailServer(smtputf8=False) as server:
        set_up(server)
        message = make_message("jörg@example.com")
        other = make_message("ann@example.com")
        run_lane()
    assert status(message) == "failed"
    assert "accented or non-Latin" in in_words(message.reason)
    assert status(other) == "sent"


def test_message_over_the_servers_size_is_not_even_sent():
    with MailServer(size=2000) as server:
        set_up(server)
        message = make_message("ann@example.com", body="x" * 70 + "\n" + "y" * 3000)
        run_lane()
        assert status(message) == "failed"
        assert message.reason_category == "content"
        assert server.handed_over == []


# --- Refused, put off, unknown ---------------------------------------------------------------------


def test_refused_recipient_fails_with_plain_words_and_the_servers_own(mail_server, email_setup):
    mail_server.replies["gone@example.com"] = "550 5.1.1 <gone@example.com>: no such user here"
    message = make_message("gone@example.com")
    run_lane()
    assert status(message) == "failed"
    assert (message.reason_category, in_words(message.reason)) == ("address", "The mailbox does not exist.")
    row = message.recipients.get()
    assert (row.status, row.reply_code, row.enhanced_code) == ("failed", 550, "5.1.1")
    assert "no such user here" in row.reply_text
    assert message.attempts.get().stage == "rcpt"


def test_each_recipient_has_its_own_outcome_and_a_retry_asks_only_the_rest(mail_server, email_setup):
    mail_server.replies["no@example.com"] = "550 5.1.1 unknown"
    mail_server.replies["later@example.com"] = ["451 4.7.1 greylisted"]
    message = make_message("yes@example.com", "no@example.com", "later@example.com")
    run_lane()
    assert status(message) == "queued"
    assert recipients(message) == {
        "yes@example.com": "accepted",
        "no@example.com": "failed",
        "later@example.com": "pending",
    }
    assert mail_server.received[0].recipients == ["yes@example.com"]
    Message.objects.update(not_before=timezone.now())
    run_lane()
    assert status(message) == "failed", "one recipient was refused for good"
    assert mail_server.received[1].recipients == ["later@example.com"]
    assert recipients(message)["later@example.com"] == "accepted"


def test_transient_failure_is_tried_again_with_growing_gaps_and_then_given_up(mail_server, email_setup, settings):
    settings.RETRY_GAPS = [30, 120, 600]
    mail_server.replies["busy@example.com"] = "451 4.3.0 queue file write error"
    message = make_message("busy@example.com")
    gaps = []
    for tries in (1, 2, 3):
        run_lane()
        assert status(message) == "queued"
        assert message.tries == tries
        gaps.append((message.not_before - timezone.now()).total_seconds())
        Message.objects.update(not_before=timezone.now())
    for gap, planned in zip(gaps, settings.RETRY_GAPS, strict=True):
        assert planned - 5 < gap <= planned * 1.1
    run_lane()
    assert status(message) == "failed"
    assert "Given up after 4 tries" in in_words(message.reason)
    assert message.attempts.count() == 4


@pytest.mark.parametrize("reply", ["CLOSE"])
def test_silence_after_the_end_of_data_is_unknown_and_never_sent_again_by_itself(mail_server, email_setup, reply):
    mail_server.replies["END"] = reply
    message = make_message("ann@example.com")
    run_lane()
    assert status(message) == "unknown"
    assert recipients(message) == {"ann@example.com": "unknown"}
    assert "Mark as sent or Send again" in advice(message.attempts.get().reason)
    Message.objects.update(not_before=timezone.now())
    assert run_lane() == 0
    assert len(mail_server.handed_over) == 1


@pytest.mark.slow
def test_timeout_at_the_final_reply_is_unknown(mail_server, email_setup, settings):
    settings.SMTP_FINAL_REPLY_TIMEOUT = 0.5
    mail_server.replies["END"] = "HANG"
    message = make_message("ann@example.com")
    run_lane()
    assert status(message) == "unknown"


def test_refusal_at_the_end_of_data_is_certain(mail_server, email_setup):
    mail_server.replies["END"] = "550 5.7.1 message looks like spam"
    message = make_message("ann@example.com", "bob@example.com")
    run_lane()
    assert status(message) == "failed"
    assert message.reason_category == "policy"
    assert set(recipients(message).values()) == {"failed"}


def test_one_bad_message_never_stops_the_others(mail_server, email_setup):
    mail_server.replies["bad@example.com"] = "550 5.1.1 no"
    mail_server.replies["cut@example.com"] = "CLOSE"
    messages = [make_message(f"{name}@example.com") for name in ("a", "bad", "b", "cut", "c")]
    run_lane()
    assert [status(message) for message in messages] == ["sent", "failed", "sent", "queued", "sent"]


def test_connection_ended_between_messages_costs_no_try(email_setup, mail_server):
    mail_server.replies["MAIL"] = ["250 ok", "421 4.4.2 idle too long"]
    first, second = make_message("a@example.com"), make_message("b@example.com")
    run_lane()
    assert [status(first), status(second)] == ["sent", "sent"]
    assert second.tries == 1
    assert mail_server.connections == 2


# --- Leases ----------------------------------------------------------------------------------------


def test_worker_that_died_before_the_content_gives_the_message_back(email_setup):
    message = make_message("ann@example.com")
    now = timezone.now()
    claims.take(None, "dead worker", 10, now)
    assert rescue(now) == (0, 0), "the lease still lives"
    assert rescue(now + dt.timedelta(seconds=31)) == (1, 0)
    assert status(message) == "queued"
    assert message.tries == 0
    run_lane()
    assert status(message) == "sent"


def test_worker_that_died_after_the_content_leaves_it_unknown(email_setup):
    message = make_message("ann@example.com")
    now = timezone.now()
    (claimed,) = claims.take(None, "dead worker", 10, now)
    attempt = SendAttempt(message=claimed, fence=claimed.fence, started_at=now, stage="data")
    ledger.start_data(claimed, attempt, now)
    assert rescue(now + dt.timedelta(seconds=31)) == (0, 0), "the outcome may still be on its way"
    assert rescue(now + dt.timedelta(seconds=61)) == (0, 1)
    assert status(message) == "unknown"
    assert recipients(message) == {"ann@example.com": "unknown"}
    assert message.attempts.get().outcome == "unknown"


def test_late_worker_with_an_old_fence_writes_nothing(email_setup):
    message = make_message("ann@example.com")
    now = timezone.now()
    (late,) = claims.take(None, "slow", 10, now)
    rescue(now + dt.timedelta(seconds=31))
    (current,) = claims.take(None, "slow", 10, now)
    assert current.fence == late.fence + 1
    attempt = SendAttempt(message=late, fence=late.fence, started_at=now, finished_at=now, stage="end of data")
    with pytest.raises(ledger.LeaseLost):
        ledger.start_data(late, attempt, now)
    with pytest.raises(ledger.LeaseLost):
        ledger.record(late, attempt, [], ledger.Decision("sent", 1))
    assert status(message) == "sending"
    assert not SendAttempt.objects.exists()


def test_stop_finishes_the_message_at_hand_and_gives_back_the_rest(mail_server, email_setup):
    messages = [make_message(f"c{number}@example.com") for number in range(5)]
    run_lane(stop=lambda: len(mail_server.received) >= 2)
    assert [status(message) for message in messages] == ["sent", "sent", "queued", "queued", "queued"]


def test_every_recipient_row_is_written_by_delivery(mail_server, email_setup):
    message = make_message("a@example.com", "b@example.com")
    run_lane()
    assert set(Recipient.objects.filter(message=message).values_list("reply_code", flat=True)) == {250}


@pytest.mark.slow
def test_lane_ends_after_its_turn(mail_server, email_setup):
    mail_server.at_end = lambda message: time.sleep(0.1)
    messages = [make_message(f"c{number}@example.com") for number in range(8)]
    assert 1 <= run_lane(turn_seconds=0.25) < 8
    assert {status(message) for message in messages} == {"sent", "queued"}


def test_lane_whose_turn_ended_is_woken_for_the_rest(mail_server, email_setup, settings, woken, monkeypatch):
    settings.LANE_TURN_SECONDS, seconds = 1, [0.0]
    monkeypatch.setattr("messaging.delivery.lane.time", SimpleNamespace(monotonic=lambda: seconds[0], sleep=time.sleep))
    mail_server.at_end = lambda received: seconds.append(seconds.pop() + 2)
    make_message("a@example.com"), make_message("b@example.com")
    assert deliver(None) == 1
    assert woken == [None]


def test_mail_refused_and_hung_up_at_the_lone_dot(db):
    with FaultServer() as server:
        set_up(server)
        server.at("MAIL", ["550 5.1.0 sender rejected"])
        server.at("DATA", ["503"])
        message = make_message("a@example.com")
        run_lane()
        assert status(message) == "failed", f"{message.status}: {message.reason}"


def test_all_refused_and_hung_up_at_the_lone_dot(db):
    with FaultServer(data_without_recipients="354 go") as server:
        set_up(server)
        server.at("RCPT", "550 5.1.1 no such user")
        server.at("CONTENT", RESET)
        message = make_message("a@example.com")
        run_lane()
        assert status(message) == "failed", f"{message.status}: {message.reason}"


def test_message_without_recipients_is_never_sent(server):
    message = make_message("a@example.com")
    message.recipients.all().delete()
    Message.objects.filter(pk=message.pk).update(recipient_count=0)
    run_lane()
    assert status(message) != "sent"
