"""Faults while a message is handed over (17 to 36): each recipient's outcome is true, the others are served."""

import threading
import time

import pytest

from messaging.models import AccountPause, Message, Recipient
from messaging.queue import actions
from messaging.tasks import deliver
from messaging.wording import in_words
from tests.factories import make_message, set_up
from tests.fault_server import ACCEPT, CLOSE, OK, RESET, SILENCE, Drip, FaultServer, Pause
from tests.integration.faults.invariants import check_invariants
from tests.rows import status, statuses
from tests.steps import AN_HOUR, TIGHT, fault, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

MANY_OCTETS = (
    "All work and no play makes a long message for a short transaction.\n" * 90_000
)  # 6 MB, more than the sockets hold


@pytest.fixture(params=[True, False], ids=["pipelined", "one by one"])
def either_server(request, server):
    """A server with PIPELINING (RFC 2920), and one without."""
    server.pipelining = request.param
    return server


def outcomes(message):
    return {row.address.partition("@")[0]: str(row.status) for row in message.recipients.all()}


def reached(server):
    """Who accepted what, as often as it was."""
    return sorted(address.partition("@")[0] for _, address in server.ledger.elements())


# --- MAIL ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param("550 5.7.1 not this sender", "failed", marks=fault(17), id="17-550"),
        pytest.param(("554 5.7.1 not this sender", CLOSE), "failed", marks=fault(17), id="17-554-and-hangs-up"),
        pytest.param("452 4.3.1 insufficient storage", "queued", marks=fault(18), id="18-452"),
        pytest.param(("452 4.3.1 insufficient storage", CLOSE), "queued", marks=fault(18), id="18-452-and-hangs-up"),
    ],
)
@pytest.mark.parametrize("place", [0, 1], ids=["first", "second"])
def test_sender_refused(either_server, reply, expected, place):
    either_server.at("MAIL", [OK] * place + [reply])
    messages = [make_message(f"{name}@example.com", f"{name}2@example.com") for name in "abc"]
    bad = messages.pop(place)
    run_lane()
    assert statuses(bad, *messages) == [expected, "sent", "sent"]
    assert (bad.tries, bad.attempts.count()) == (1, 1)
    assert bad.attempts.get().stage == "mail"
    check_invariants(either_server, queued=[bad, *messages], beside=messages)
    run_lane(after=AN_HOUR)
    assert status(bad) == ("failed" if expected == "failed" else "sent")
    check_invariants(either_server, queued=[bad, *messages], beside=messages)


# --- RCPT ------------------------------------------------------------------------------------------


@fault(19)
def test_one_recipient_of_three_is_refused(either_server):
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="b@example.com")
    message = make_message("a@example.com", "b@example.com", "c@example.com")
    good = make_message("good@example.com")
    run_lane()
    assert outcomes(message) == {"a": "accepted", "b": "failed", "c": "accepted"}
    assert statuses(message, good) == ["failed", "sent"]
    assert in_words(message.reason) == "The mailbox does not exist."
    assert reached(either_server) == ["a", "c", "good"]
    check_invariants(either_server, queued=[message, good], beside=[good])


@fault(20)
def test_one_recipient_of_three_is_put_off_and_asked_again_alone(either_server):
    either_server.at("RCPT", ["451 4.3.0 try later"], recipient="b@example.com")
    message = make_message("a@example.com", "b@example.com", "c@example.com")
    good = make_message("good@example.com")
    run_lane()
    assert outcomes(message) == {"a": "accepted", "b": "pending", "c": "accepted"}
    assert statuses(message, good) == ["queued", "sent"]
    check_invariants(either_server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert status(message) == "sent"
    assert either_server.accepted[-1].recipients == ["b@example.com"]
    check_invariants(either_server, queued=[message, good], beside=[message, good])


@fault(21)
@pytest.mark.parametrize("at_data", ["554 5.5.1 no valid recipients", "503 5.5.1 RCPT first", "354 go ahead"])
def test_all_recipients_are_refused_whatever_the_server_says_to_data(either_server, at_data):
    """A server may answer 354 all the same and then refuse the lone dot (RFC 2920 3.1)."""
    either_server.data_without_recipients = at_data
    for name in ("a", "b"):
        either_server.at("RCPT", "550 5.1.1 no such user", recipient=f"{name}@example.com")
    message = make_message("a@example.com", "b@example.com")
    good = make_message("good@example.com")
    run_lane()
    assert outcomes(message) == {"a": "failed", "b": "failed"}
    assert statuses(message, good) == ["failed", "sent"]
    assert in_words(message.reason) == "The mailbox does not exist."
    assert message.attempts.get().stage == "rcpt"
    assert either_server.connections == 1
    assert not any(one.content for one in either_server.transactions if not one.recipients), "content for nobody"
    check_invariants(either_server, queued=[message, good], beside=[good])


@fault(20, 21)
def test_all_recipients_are_refused_or_put_off(either_server):
    either_server.at("RCPT", "550 5.1.1 no such user", recipient="a@example.com")
    either_server.at("RCPT", ["450 4.2.0 mailbox busy"], recipient="b@example.com")
    message = make_message("a@example.com", "b@example.com")
    good = make_message("good@example.com")
    run_lane()
    assert outcomes(message) == {"a": "failed", "b": "pending"}
    assert statuses(message, good) == ["queued", "sent"]
    check_invariants(either_server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert outcomes(message) == {"a": "failed", "b": "accepted"}
    assert status(message) == "failed"
    check_invariants(either_server, queued=[message, good], beside=[good])


@fault(22)
def test_too_many_recipients_are_served_in_portions(either_server):
    either_server.most_recipients = 2
    message = make_message(*(f"c{number}@example.com" for number in range(5)))
    good = make_message("good@example.com")
    run_lane()
    check_invariants(either_server, queued=[message, good], beside=[good])
    assert status(message) == "sent"
    assert [len(accepted.recipients) for accepted in either_server.accepted] == [2, 2, 1, 1]


@fault(22)
def test_server_that_closes_among_the_recipients(either_server):
    either_server.at("RCPT", [("421 4.5.3 enough", CLOSE)], recipient="b@example.com")
    message = make_message("a@example.com", "b@example.com", "c@example.com")
    good = make_message("good@example.com")
    run_lane()
    assert status(message) == "queued"
    assert set(reached(either_server)) <= {"good"}, "no one was sent anything: the transaction was cut off"
    check_invariants(either_server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert reached(either_server) == ["a", "b", "c", "good"]
    check_invariants(either_server, queued=[message, good], beside=[message, good])


# --- DATA and the content --------------------------------------------------------------------------


@fault(23)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("554 5.7.1 no content of yours", "failed"),
        ("451 4.3.0 not now", "queued"),
        (("421 4.3.2 shutting down", CLOSE), "queued"),
        ("250 2.0.0 wrong code", "queued"),
        (b"hello\r\n", "queued"),
        (SILENCE, "queued"),
        (CLOSE, "queued"),
    ],
)
def test_content_is_not_asked_for(either_server, reply, expected):
    either_server.at("DATA", [reply])
    message, good = make_message("a@example.com", "b@example.com"), make_message("good@example.com")
    run_lane(patience=TIGHT)
    assert status(message) == expected
    assert set(reached(either_server)) <= {"good"}
    check_invariants(either_server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert statuses(message, good) == ["failed" if expected == "failed" else "sent", "sent"]
    check_invariants(either_server, queued=[message, good], beside=[good])


@pytest.mark.slow
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(CLOSE, marks=fault(24), id="24-closes"),
        pytest.param(("421 4.3.2 shutting down", CLOSE), marks=fault(24), id="24-says-so-and-closes"),
        pytest.param(RESET, marks=fault(34), id="34-rst"),
    ],
)
def test_server_closes_in_mid_data(server, behaviour):
    """The lone dot was never sent, so no one can have accepted it."""
    server.at("CONTENT", [behaviour])
    message = make_message("a@example.com", "b@example.com", body=MANY_OCTETS)
    good = make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["queued", "sent"]
    assert (message.tries, reached(server)) == (1, ["good"])
    check_invariants(server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert status(message) == "sent"
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(24, 34)
@pytest.mark.slow
@pytest.mark.parametrize("behaviour", [CLOSE, RESET, ("421 4.3.2 shutting down", CLOSE)])
def test_secured_connection_that_breaks_in_mid_data_is_no_fault_of_the_set_up(authority, behaviour):
    with FaultServer(tls=authority.server_context(), implicit=True) as server:
        set_up(server, auth_type="tls-implicit")
        server.at("CONTENT", [behaviour])
        message, good = make_message("a@example.com", body=MANY_OCTETS), make_message("good@example.com")
        run_lane()
        assert statuses(message, good) == ["queued", "sent"]
        assert message.tries == 1
        assert in_words(message.reason) == "The connection broke before the message was handed over."
        assert not AccountPause.history.exists()
        check_invariants(server, queued=[message, good], beside=[good])


@fault(24)
def test_server_closes_in_the_data_of_a_message_that_went_out_in_one_piece(server):
    """The lone dot was sent: from here it looks like 25, and must be treated so."""
    server.at("CONTENT", [CLOSE])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["unknown", "sent"]
    check_invariants(server, queued=[message, good], beside=[good])


# --- The reply that decides ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(CLOSE, marks=fault(25), id="25-closes-without-having-it"),
        pytest.param((ACCEPT, CLOSE), marks=fault(25), id="25-closes-and-has-it"),
        pytest.param((ACCEPT, b"25", CLOSE), marks=fault(25), id="25-closes-in-the-reply"),
        pytest.param((ACCEPT, SILENCE), marks=fault(26), id="26-silence"),
        pytest.param(Drip("250 " + "x" * 500), marks=fault(33), id="33-drip"),
        pytest.param(RESET, marks=fault(34), id="34-rst-without-having-it"),
        pytest.param((ACCEPT, RESET), marks=fault(34), id="34-rst-and-has-it"),
        pytest.param((ACCEPT, b"hello\r\n"), marks=fault(29), id="29-garbage"),
        pytest.param("250 " + "x" * 20_000, marks=fault(29), id="29-oversized-line"),
        pytest.param("\n".join(["250-more"] * 300 + ["250 end"]), marks=fault(29), id="29-endless-lines"),
    ],
)
def test_no_reply_to_the_content_is_unknown_until_a_person_decides(server, behaviour, operator):
    server.at("END", [OK, behaviour])
    before, message = make_message("before@example.com"), make_message("a@example.com", "b@example.com")
    good = make_message("good@example.com")
    run_lane(patience=TIGHT)
    everybody = [before, message, good]
    assert statuses(*everybody) == ["sent", "unknown", "sent"]
    assert outcomes(message) == {"a": "unknown", "b": "unknown"}
    check_invariants(server, queued=everybody, beside=[before, good])
    for days in range(3):
        run_lane(after=days * 24 * AN_HOUR)
    assert status(message) == "unknown", "no one sends it again unasked"
    check_invariants(server, queued=everybody, beside=[before, good])
    actions.send_again(message, by=operator)
    Message.objects.filter(pk=message.pk).update(account=None)
    run_lane()
    assert status(message) == "sent"
    assert {taken.message_id for taken in server.accepted} == {one.message_id for one in everybody}
    check_invariants(server, queued=everybody, beside=everybody)


@fault(27)
@pytest.mark.parametrize("advertised", [True, False])
def test_message_too_big_for_the_server(server, advertised):
    if advertised:
        server.size = 5000
    else:
        server.at("END", ["552 5.3.4 message too big"])
    message, good = make_message("a@example.com", body=MANY_OCTETS[:9000]), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["failed", "sent"]
    assert (message.reason_category, in_words(message.reason)) == (
        "content",
        "The message is larger than the mail server takes.",
    )
    assert len(server.transactions) == (1 if advertised else 2), "a limit that was told is not tried"
    check_invariants(server, queued=[message, good], beside=[good])


@fault(28)
@pytest.mark.parametrize("ends", [(), (CLOSE,)])
def test_content_put_off_is_sent_again_whole(server, ends):
    server.at("END", [("451 4.3.0 disk trouble", *ends)])
    message, good = make_message("a@example.com", "b@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["queued", "sent"]
    assert message.tries == 1
    check_invariants(server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert status(message) == "sent"
    assert server.transactions[0].content == server.transactions[-1].content
    check_invariants(server, queued=[message, good], beside=[message, good])


@pytest.mark.parametrize(
    ("stage", "reply", "expected"),
    [
        pytest.param("END", "250 " + "x" * 5000, "sent", marks=fault(29), id="29-long"),
        pytest.param("END", "250-one\n250-two\n250 three", "sent", marks=fault(29), id="29-multi-line"),
        pytest.param("END", b"250-one\r\n250 \xff\xfe\r\n", "sent", marks=fault(29), id="29-not-utf-8"),
        pytest.param("END", "250 2.0.0 принято 受け取りました", "sent", marks=fault(29), id="29-not-ascii"),
        pytest.param("END", "250 2.0.0 queued \x00 as 1", "sent", marks=fault(29), id="29-nul"),
        pytest.param("END", b"250\r\n", "sent", marks=fault(29), id="29-code-only"),
        pytest.param("RCPT", "550 5.1.1 no \x00 such \x1b[31m user", "failed", marks=fault(29), id="29-nul-at-rcpt"),
        pytest.param("RCPT", b"550-5.1.1 no\r\n550 5.1.1 \xff\r\n", "failed", marks=fault(29), id="29-rcpt-lines"),
    ],
)
def test_strange_words_of_a_server_change_nothing(server, stage, reply, expected):
    server.at(stage, [reply])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == [expected, "sent"]
    assert message.attempts.get().reply_code in (250, 550)
    assert "\x00" not in message.recipients.get().reply_text
    check_invariants(server, queued=[message, good], beside=[good])


# --- Between messages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "behaviours"),
    [
        pytest.param("BETWEEN", [("421 4.4.2 idle too long", CLOSE)], marks=fault(30), id="30-421-unasked"),
        pytest.param("MAIL", [OK, "421 4.7.0 too many messages"], marks=fault(30), id="30-421-at-mail"),
        pytest.param("MAIL", [OK, ("421 4.7.0 enough", CLOSE)], marks=fault(30), id="30-421-at-mail-and-closes"),
        pytest.param("BETWEEN", [OK, CLOSE], marks=fault(31), id="31-closes-after-two"),
        pytest.param("BETWEEN", [RESET], marks=fault(34), id="34-rst-between"),
        pytest.param("BETWEEN", [(Pause(0.1), RESET)], marks=fault(34), id="34-rst-at-the-next"),
    ],
)
def test_connection_ended_between_messages_costs_no_try(either_server, stage, behaviours):
    either_server.at(stage, behaviours)
    messages = [make_message(f"{name}@example.com", f"{name}2@example.com") for name in "abcd"]
    run_lane()
    assert statuses(*messages) == ["sent"] * 4
    assert {message.tries for message in messages} == {1}
    assert either_server.connections == 2
    check_invariants(either_server, queued=messages, beside=messages)


@fault(31)
def test_server_that_takes_two_messages_per_connection(server):
    server.most_messages = 2
    messages = [make_message(f"c{number}@example.com") for number in range(7)]
    run_lane()
    assert statuses(*messages) == ["sent"] * 7
    assert {message.tries for message in messages} == {1}
    assert server.connections == 4
    check_invariants(server, queued=messages, beside=messages)


@fault(30, 31)
def test_server_that_closes_at_each_mail_is_not_asked_for_ever(server):
    server.at("MAIL", ("421 4.7.0 never", CLOSE))
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    run_lane()
    assert server.connections <= 2 * len(messages)
    assert set(statuses(*messages)) == {"queued"}
    check_invariants(server, queued=messages)
    server.mend()
    run_lane(after=AN_HOUR)
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


# --- Limits, slowness, RST, the end ----------------------------------------------------------------


@pytest.mark.slow
@fault(32)
def test_too_many_connections_at_once_do_not_pause_those_that_work():
    with FaultServer(connections=2) as server:
        set_up(server)
        server.at("END", (Pause(0.05), OK))
        messages = [make_message(f"c{number}@example.com") for number in range(24)]
        assert not in_threads(4, run_lane)
        assert server.most_at_once > 2, "the limit was met"
        assert not AccountPause.objects.exists()
        assert statuses(*messages).count("sent") >= 14, "two lanes worked on"
        check_invariants(server, queued=messages)
        run_lane()
        assert set(statuses(*messages)) == {"sent"}
        check_invariants(server, queued=messages, beside=messages)


@fault(32)
def test_lane_turned_away_is_not_woken_again_at_once(woken):
    with FaultServer() as server:
        set_up(server)
        released = threading.Event()
        server.at("GREETING", [OK, ("421 4.7.0 too many connections", CLOSE)])
        server.at("END", lambda: released.wait(20) and OK)
        being_sent, turned_away = make_message("a@example.com"), make_message("b@example.com", due=False)
        at_work = threading.Thread(target=in_threads, args=(1, run_lane))
        at_work.start()
        while not server.transactions:
            time.sleep(0.01)
        Message.objects.filter(pk=turned_away.pk).update(not_before=being_sent.not_before)
        deliver(None)
        paused = AccountPause.objects.exists()
        turned_away_was = status(turned_away)
        released.set()
        at_work.join()
        assert (turned_away_was, paused, woken) == ("queued", False, [])
        run_lane()
        assert statuses(being_sent, turned_away) == ["sent", "sent"]
        check_invariants(server, queued=[being_sent, turned_away], beside=[being_sent, turned_away])


@fault(33)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_endless_drip_is_given_up_in_time(server, stage):
    server.at(stage, [Drip("250 " + "x" * 500)])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    begun = time.monotonic()
    run_lane(patience=TIGHT)
    assert time.monotonic() - begun < 4
    assert statuses(message, good) == ["queued", "sent"]
    check_invariants(server, queued=[message, good], beside=[good])


@pytest.mark.slow
@fault(33)
def test_slow_drip_that_ends_in_time_is_waited_for(server):
    for stage in ("GREETING", "MAIL", "RCPT", "END", "QUIT"):
        server.at(stage, Drip("250 2.0.0 slowly" if stage != "GREETING" else "220 slowly", seconds=0.005))
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    run_lane()
    assert statuses(*messages) == ["sent", "sent"]
    check_invariants(server, queued=messages, beside=messages)


@fault(34)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_rst_before_the_content_costs_a_try_and_nothing_else(either_server, stage):
    either_server.at(stage, [RESET])
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["queued", "sent"]
    assert not {"a"} & set(reached(either_server))
    check_invariants(either_server, queued=[message, good], beside=[good])
    run_lane(after=AN_HOUR)
    assert status(message) == "sent"
    check_invariants(either_server, queued=[message, good], beside=[message, good])


@fault(34)
@pytest.mark.parametrize("behaviour", [RESET, CLOSE, "500 5.5.1 what?", "421 4.3.2 bye", b"\xff\r\n"])
def test_fault_at_rset_touches_no_message(server, behaviour):
    server.at("RSET", [behaviour])
    server.at("RCPT", "550 5.1.1 no such user", recipient="a@example.com")
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane()
    assert statuses(message, good) == ["failed", "sent"]
    assert good.tries == 1
    check_invariants(server, queued=[message, good], beside=[good])


@fault(35)
def test_greylisting_is_waited_out(server):
    names = ["a", "b"]
    for name in names:
        server.at("RCPT", ["451 4.7.1 greylisted, come back later"], recipient=f"{name}@example.com")
    messages = [make_message(f"{name}@example.com") for name in names]
    run_lane()
    assert statuses(*messages) == ["queued", "queued"]
    assert "greylisting" in in_words(messages[0].reason)
    check_invariants(server, queued=messages)
    run_lane(after=AN_HOUR)
    assert statuses(*messages) == ["sent", "sent"]
    assert Recipient.objects.filter(status="accepted").count() == 2
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param("554 5.3.0 no", marks=fault(36), id="36-554"),
        pytest.param(CLOSE, marks=fault(36), id="36-closes"),
        pytest.param(RESET, marks=fault(34), id="34-rst"),
        pytest.param(b"\xff\xff", marks=fault(36), id="36-garbage"),
    ],
)
def test_nothing_at_quit_changes_an_outcome(server, behaviour):
    server.at("QUIT", behaviour)
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    run_lane()
    assert statuses(*messages) == ["sent", "sent"]
    assert server.heard("QUIT") == ["QUIT"]
    check_invariants(server, queued=messages, beside=messages)
