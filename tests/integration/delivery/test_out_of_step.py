"""Servers that say more than they are asked, or say it too early: nothing of it is taken for what it is not."""

import select

import pytest

from messaging import submit
from messaging.delivery.lane import Lane
from messaging.delivery.store import ledger
from messaging.setup.secrets import encrypt
from messaging.wording import in_words
from tests.factories import hold_mail, make_message, set_up, submission
from tests.fault_server import ACCEPT, CLOSE, Pause
from tests.integration.faults.invariants import check_invariants
from tests.rows import heard, status, statuses
from tests.steps import AN_HOUR, TIGHT, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

MANY_OCTETS = "All work and no play makes a long message for a short transaction.\n" * 90_000
TWO_REPLIES = b"250 2.0.0 ok\r\n250 2.0.0 ok\r\n"


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def either_server(request, server):
    server.pipelining = request.param
    return server


def outcomes(message):
    return {row.address.partition("@")[0]: str(row.status) for row in message.recipients.all()}


# --- Before the content has ended ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("early", ["250 2.0.0 taken", "354 go on", "451 4.3.0 later", "hello"])
def test_what_is_said_before_the_final_dot_accepts_nothing(server, early):
    server.at("CONTENT", [early])
    early, good = make_message("a@example.com", body=MANY_OCTETS), make_message("good@example.com")
    run_lane(patience=TIGHT)
    assert statuses(early, good) == ["queued", "sent"]
    check_invariants(server, queued=[early, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert status(early) == "sent"
    check_invariants(server, queued=[early, good], beside=[early, good])


@pytest.mark.slow
@pytest.mark.parametrize("ends", [(), (CLOSE,)])
def test_refused_in_the_middle_of_the_content_is_refused_in_the_servers_words(server, ends):
    server.at("CONTENT", [("552 5.3.4 too big for us", *ends)])
    early, good = make_message("a@example.com", body=MANY_OCTETS), make_message("good@example.com")
    run_lane()
    assert statuses(early, good) == ["failed", "sent"]
    assert in_words(early.reason) == "The message is larger than the mail server takes."
    assert heard(early.attempts.get()) == "5.3.4 too big for us"
    assert not server.transactions[0].ended


@pytest.mark.parametrize(
    ("early", "state"),
    [("451 4.3.0 later", "queued"), ("550 5.7.1 spam", "failed"), ("250 2.0.0 taken", "queued"), ("what", "queued")],
)
def test_what_is_said_while_it_is_written_that_the_dot_follows_is_no_answer_to_it(
    either_server, monkeypatch, early, state
):
    lane, genuine = Lane(None, patience=TIGHT), ledger.start_data

    def slowly(*given):
        select.select([lane.connection._client.sock], [], [], 20)
        genuine(*given)

    either_server.at("DATA", [("354 go", Pause(0.05), early)])
    message = make_message("a@example.com")
    with monkeypatch.context() as slow:
        slow.setattr(ledger, "start_data", slowly)
        lane.run()
    assert status(message) == state
    assert not message.may_be_accepted and not either_server.transactions[0].ended
    run_lane(after=AN_HOUR)
    check_invariants(either_server, queued=[message], beside=[message] if state == "queued" else [])
    assert len(either_server.accepted) == (state == "queued")


# --- One reply too many --------------------------------------------------------------------------------


def test_one_reply_too_many_after_the_dot_blames_nobody_of_the_next_message(either_server):
    either_server.at("END", [TWO_REPLIES])
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    first, next_one = make_message("a@example.com"), make_message("gone@example.com", "bob@example.com")
    run_lane()
    assert status(first) == "sent"
    assert outcomes(next_one) == {"gone": "failed", "bob": "accepted"}
    check_invariants(either_server, queued=[first, next_one], beside=[first])


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_one_reply_too_many_before_the_content_blames_nobody(either_server, stage):
    either_server.at(stage, [TWO_REPLIES])
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    message = make_message("first@example.com", "gone@example.com", "bob@example.com")
    run_lane(patience=TIGHT)
    assert outcomes(message) == {"first": "pending", "gone": "pending", "bob": "pending"}
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"first": "accepted", "gone": "failed", "bob": "accepted"}


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_one_reply_too_many_before_a_refusal_that_comes_last_blames_nobody(either_server, stage):
    either_server.at(stage, [TWO_REPLIES])
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    message = make_message("first@example.com", "bob@example.com", "gone@example.com")
    run_lane(patience=TIGHT)
    assert outcomes(message) == {"first": "pending", "bob": "pending", "gone": "pending"}
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"first": "accepted", "bob": "accepted", "gone": "failed"}


@pytest.mark.parametrize(
    ("stage", "replies"),
    [
        ("GREETING", b"220 hello\r\n250 hello\r\n"),
        ("EHLO", b"250-fault.example\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n250 ok\r\n"),
        ("AUTH", b"235 welcome\r\n250 ok\r\n"),
    ],
)
def test_one_reply_too_many_in_the_opening_blames_nobody(either_server, stage, replies):
    either_server.auth = ["PLAIN"]
    set_up(either_server, send_type=3 if stage == "AUTH" else 2, username="u", password_encrypted=encrypt("p"))
    either_server.at(stage, [replies])
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    message = make_message("bob@example.com", "gone@example.com")
    run_lane(patience=TIGHT)
    assert outcomes(message) == {"bob": "pending", "gone": "pending"}
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"bob": "accepted", "gone": "failed"}


def test_one_reply_too_many_is_told_truly_of_what_is_sent_at_once(server):
    hold_mail(hold=False)
    server.at("END", [TWO_REPLIES])
    server.at("RCPT", "550 5.1.1 no such user", recipient="gone@example.com")
    sent, mixed = submit.submit([submission("a@example.com"), submission("gone@example.com", "bob@example.com")])
    assert (sent.state, mixed.state) == ("sent", "partly")
    assert mixed.accepted == ("bob@example.com",)


# --- Replies that contradict themselves ----------------------------------------------------------------


@pytest.mark.parametrize("reply", ["550-5.7.1 spam\n250 2.0.0 taken", "250-2.0.0 taken\n550 5.7.1 spam"])
def test_reply_that_says_both_yes_and_no_to_the_content_is_unknown(server, reply):
    server.at("END", [(ACCEPT, reply)])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["unknown", "sent"]
    check_invariants(server, queued=[message, good], beside=[good])


@pytest.mark.parametrize(
    "replies",
    [
        b"451 4.3.0 later\r\n250 2.0.0 taken\r\n",
        b"550 5.7.1 spam\r\n250 2.0.0 taken\r\n",
        b"550 5.7.1 spam\r\nhello\r\n",
        b"250 2.0.0 taken\r\n550 5.7.1 spam\r\n",
    ],
)
def test_two_replies_to_the_content_that_contradict_each_other_are_unknown(either_server, replies):
    either_server.at("END", [(ACCEPT, replies)])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["unknown", "sent"]
    assert in_words(message.reason) == "The mail server’s answer does not say whether it accepted the message."
    check_invariants(either_server, queued=[message, good], beside=[good])


@pytest.mark.parametrize("refusal", ["451 4.3.0 later", "550 5.7.1 spam"])
@pytest.mark.parametrize("at_reset", ["250 2.0.0 ok", "500 5.5.1 what"])
def test_second_reply_to_the_content_that_comes_later_is_no_answer_to_what_is_said_next(
    either_server, refusal, at_reset
):
    late = f"250 2.0.0 taken\r\n{at_reset}\r\n".encode()  # the answer to RSET, too: it came before the second one
    either_server.at("END", [(ACCEPT, refusal, Pause(0.05), late)])
    either_server.at("RSET", [""])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane(patience=TIGHT)
    assert statuses(message, good) == ["unknown", "sent"]
    assert in_words(message.reason) == "The mail server’s answer does not say whether it accepted the message."
    check_invariants(either_server, queued=[message, good], beside=[good])


def test_server_that_answers_each_refused_message_once_keeps_its_connection(either_server):
    either_server.at("END", ["451 4.3.0 later", "550 5.7.1 spam"])
    messages = [make_message(f"{name}@example.com") for name in "abc"]
    run_lane()
    assert statuses(*messages) == ["queued", "failed", "sent"]
    assert either_server.connections == 1


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_refusal_that_the_next_line_contradicts_blames_nobody(either_server, stage):
    either_server.at(stage, [b"550 5.1.1 no such user\r\n250 2.1.5 ok\r\n"])
    message = make_message("a@example.com")
    run_lane(patience=TIGHT)
    assert outcomes(message) == {"a": "pending"}
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"a": "accepted"}


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        (b"451 4.3.0 later\r\n451 4.3.0 later\r\n", "queued"),
        (b"550 5.7.1 spam\r\n503 5.5.1 what\r\n", "failed"),
        (b"550 5.7.1 spam\r\n421 4.4.2 good bye\r\n", "failed"),
        (b"250 2.0.0 taken\r\n421 4.4.2 good bye\r\n", "sent"),
    ],
)
def test_two_replies_to_the_content_that_agree_are_believed(either_server, replies, outcome):
    either_server.at("END", [replies])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == [outcome, "sent"]


def test_server_that_asks_for_more_after_the_final_dot_is_told_no_more(either_server):
    """It may still be reading content."""
    either_server.at("END", ["354 go on"] * 2)
    messages = [make_message(f"{name}@example.com") for name in "abc"]
    run_lane()
    assert statuses(*messages) == ["unknown", "unknown", "sent"]
    assert either_server.connections == 3 and not either_server.heard("RSET")
    check_invariants(either_server, queued=messages)


@pytest.mark.parametrize(
    "reply",
    [
        "220 mx2.example.com ESMTP ready",
        "221 2.0.0 mx.example.com closing connection",
        "211 2.0.0 help yourself",
        "235 2.7.0 welcome",
    ],
)
@pytest.mark.parametrize("ends", [(), (CLOSE,)])
def test_greeting_or_goodbye_after_the_final_dot_accepts_nothing(either_server, reply, ends):
    """Such as that of another machine to which a balancer has led the connection in the meantime."""
    either_server.at("END", [(reply, *ends)])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["unknown", "sent"]
    assert in_words(message.reason) == "The mail server’s answer does not say whether it accepted the message."
    assert heard(message.attempts.get()) == reply[4:]
    assert either_server.connections == 2
    check_invariants(either_server, queued=[message, good], beside=[good])


@pytest.mark.parametrize("reply", ["250 OK", "200 2.0.0 taken", "251 2.1.5 will forward", "252 2.0.0 taken"])
def test_any_positive_answer_about_mail_accepts_the_message(either_server, reply):
    either_server.at("END", [reply])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["sent", "sent"]
    assert either_server.connections == 1
