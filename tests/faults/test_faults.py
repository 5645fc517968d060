"""Faults of servers, people and this machine, each with what must be true afterwards."""

import base64
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from messaging import batches, blobs, probe, queue
from messaging.delivery import claims
from messaging.delivery.lane import Lane
from messaging.models import AccountPause, EmailSettings, Message
from messaging.setup.layers import resolve
from messaging.setup.secrets import encrypt
from messaging.tasks import deliver
from tests.conftest import make_message, set_up
from tests.servers import MailServer, ScriptedServer

pytestmark = pytest.mark.django_db(transaction=True)


def converse(sock, answers, ehlo=b"250 t\r\n", pause=0.0):
    """Speak SMTP; `answers` maps a whole line, a command word or b"END" to what is answered instead of 250."""
    sock.sendall(b"220 hi\r\n")
    in_data = False
    for line in sock.makefile("rb"):
        word = b"END" if in_data and line == b".\r\n" else line[:4].upper()
        if in_data and word != b"END":
            continue
        if in_data:
            in_data = False
            time.sleep(pause)
        default = {b"EHLO": ehlo, b"DATA": b"354 go\r\n"}.get(word, b"250 2.0.0 ok\r\n")
        answer = answers.get(line.strip(), answers.get(word, default))
        sock.sendall(answer)
        in_data = word == b"DATA" and answer.startswith(b"354")


def scripted(answers=None, **options):
    return ScriptedServer(lambda sock: converse(sock, answers or {}, **options))


def status(message):
    message.refresh_from_db()
    return message.status


def confirmed_batch(operator, *addresses):
    for address in addresses:
        make_message(address, due=False)
    batch = batches.choose(Message.objects.filter(not_before=None), by=operator, account=None)
    batches.confirm(batch, by=operator)
    return batch


# --- The server ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({b"RCPT TO:<a@example.com>": b"550 5.1.1 no \x00 such user\r\n"}, "failed"),
        ({b"END": b"250 2.0.0 queued \x00 as 1\r\n"}, "sent"),
        ({b"END": b"250 " + b"x" * 5000 + b"\r\n"}, "sent"),
        ({b"END": b"250-one\r\n250-two\r\n250 \xff\xfe\r\n"}, "sent"),
        ({b"END": b"hello\r\n"}, "unknown"),
        ({b"END": b"250 " + b"x" * 20000 + b"\r\n"}, "unknown"),
    ],
)
def test_strange_words_of_a_server_never_stop_the_lane(answers, expected):
    with scripted(answers) as server:
        set_up(server)
        strange = make_message("a@example.com")
        Lane(None).run()
        assert status(strange) == expected


def test_challenge_that_is_no_base64_is_a_set_up_fault():
    answers = {b"AUTH": b"334 abc\r\n"}
    with scripted(answers, ehlo=b"250-t\r\n250 AUTH CRAM-MD5\r\n") as server:
        set_up(server, send_type=3, username="u", password_encrypted=encrypt("p"))
        message = make_message("a@example.com")
        Lane(None).run()
    assert (status(message), message.tries) == ("queued", 0)
    assert AccountPause.objects.exists()


def hangs_up_at_the_second_mail(last_words):
    """Pipelining; answers the second MAIL of a connection with `last_words` and closes."""

    def play(sock):
        sock.sendall(b"220 hi\r\n")
        seen, in_data = 0, False
        for line in sock.makefile("rb"):
            if in_data:
                if line == b".\r\n":
                    in_data = False
                    sock.sendall(b"250 ok\r\n")
                continue
            word = line[:4]
            if word == b"MAIL":
                seen += 1
                if seen == 2:
                    sock.sendall(last_words)
                    return
            in_data = word == b"DATA"
            sock.sendall({b"EHLO": b"250-t\r\n250 PIPELINING\r\n", b"DATA": b"354 go\r\n"}.get(word, b"250 ok\r\n"))

    return ScriptedServer(play)


def test_connection_closed_between_pipelined_messages_costs_no_try():
    with hangs_up_at_the_second_mail(b"421 4.7.0 too many messages on this connection\r\n") as server:
        set_up(server)
        messages = [make_message("a@example.com"), make_message("b@example.com")]
        Lane(None).run()
        assert [status(message) for message in messages] == ["sent", "sent"]
        assert {message.tries for message in messages} == {1}


def test_refusal_at_mail_counts_although_the_server_hangs_up():
    with hangs_up_at_the_second_mail(b"554 5.7.1 sender rejected, bye\r\n") as server:
        set_up(server)
        refused = [make_message("a@example.com"), make_message("b@example.com")][1]
        Lane(None).run()
    assert status(refused) == "failed"
    assert refused.attempts.get().reply_code == 554


def test_fault_after_the_sign_in_is_probed_less_and_less_often():
    with scripted({b"MAIL": b"530 5.7.0 Authentication required\r\n"}) as server:
        set_up(server)
        make_message("a@example.com")
        gaps = []
        for _ in range(4):
            AccountPause.objects.update(until=timezone.now())
            Lane(None).run()
            gaps.append((AccountPause.objects.get().until - timezone.now()).total_seconds())
    assert gaps == sorted(gaps)
    assert gaps[-1] > 4 * gaps[0]


def test_one_outage_met_by_several_lanes_counts_once(settings):
    settings.CLAIM_SIZE = 1
    with MailServer() as server:
        pass
    set_up(server)
    for number in range(4):
        make_message(f"c{number}@example.com")
    start = threading.Barrier(4)
    in_threads(4, lambda: (start.wait(), Lane(None).run()))
    wait = AccountPause.objects.get().until - timezone.now()
    assert wait.total_seconds() <= settings.PROBE_GAPS[0]


def test_too_many_connections_at_once_do_not_pause_those_that_work():
    live, lock = [0], threading.Lock()

    def play(sock):
        with lock:
            live[0] += 1
            is_one_too_many = live[0] > 2
        try:
            if is_one_too_many:
                sock.sendall(b"421 4.7.0 too many connections from your IP\r\n")
            else:
                converse(sock, {}, pause=0.05)
        finally:
            with lock:
                live[0] -= 1

    with ScriptedServer(play) as server:
        set_up(server)
        for number in range(40):
            make_message(f"c{number}@example.com")
        in_threads(4, lambda: Lane(None, turn_seconds=1).run())
    assert not AccountPause.objects.exists()
    assert Message.objects.filter(status="sent").count() > 5


def test_lane_turned_away_is_not_woken_again_at_once(woken):
    with ScriptedServer(lambda sock: sock.sendall(b"421 4.7.0 too many connections\r\n")) as server:
        set_up(server)
        turned_away = make_message("a@example.com")
        assert claims.enter(None, "another lane at work", 4, timezone.now())
        deliver(None)
    assert status(turned_away) == "queued"
    assert not AccountPause.objects.exists()
    assert woken == []


def test_lane_whose_turn_ended_is_woken_for_the_rest(mail_server, email_setup, settings, woken):
    settings.LANE_TURN_SECONDS = 0.1
    mail_server.at_end = lambda received: time.sleep(0.15)
    make_message("a@example.com"), make_message("b@example.com")
    deliver(None)
    assert woken == [None]


def in_threads(count, work):
    def run():
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- People ----------------------------------------------------------------------------------------


def test_cancel_takes_back_what_was_claimed_but_not_begun(mail_server, email_setup, operator):
    batch = confirmed_batch(operator, *[f"c{number}@example.com" for number in range(20)])
    taken = []

    def cancel(received):
        if not taken:
            taken.append(batches.cancel(batch, by=operator))
            connection.close()

    mail_server.at_end = cancel
    Lane(None).run()
    assert len(mail_server.received) == 1, "the one being sent is finished, no other begun"
    assert taken == [19]
    assert batches.report(batch).counts["cancelled"] == 19
    assert Message.objects.filter(status="queued", not_before=None, batch=None).count() == 19


def test_message_that_comes_back_after_its_batch_was_cancelled_is_not_tried_again(mail_server, email_setup, operator):
    mail_server.replies["END"] = ["451 4.3.0 try later"]
    batch = confirmed_batch(operator, "a@example.com")
    mail_server.at_end = lambda received: (batches.cancel(batch, by=operator), connection.close())
    Lane(None).run()
    message = Message.objects.get()
    assert (message.status, message.not_before, message.batch) == ("queued", None, None)
    assert batches.report(batch).counts["cancelled"] == 1


def test_finished_batch_cannot_be_cancelled(mail_server, email_setup, operator):
    batch = confirmed_batch(operator, "a@example.com")
    Lane(None).run()
    assert batches.cancel(batch, by=operator) == 0
    assert batch.status == "confirmed"


def test_mark_as_sent_does_not_forget_who_was_asked_to_come_back(mail_server, email_setup, operator):
    mail_server.replies |= {"later@example.com": ["451 4.7.1 greylisted"], "END": ["CLOSE"]}
    message = make_message("a@example.com", "later@example.com")
    Lane(None).run()
    assert status(message) == "unknown"
    queue.mark_as_sent(message, by=operator)
    assert status(message) == "queued"
    Lane(None).run()
    assert status(message) == "sent"
    assert mail_server.received[-1].recipients == ["later@example.com"]


def test_retry_drafts_confirmed_together_address_nobody_twice(mail_server, email_setup, operator):
    mail_server.replies |= {f"c{number}@example.com": ["550 5.1.1 no"] for number in range(20)}
    for number in range(20):
        make_message(f"c{number}@example.com", f"ok{number}@example.com", due=False)
    batch = confirmed_batch(operator)
    Lane(None).run()
    drafts = [batches.retry_failed(batch, by=operator) for _ in range(4)]
    start = threading.Barrier(4)

    def press():
        start.wait()
        batches.confirm(drafts.pop(), by=operator)
        Lane(operator.pk).run()

    in_threads(4, press)
    arrived = Counter(address for message in mail_server.received for address in message.recipients)
    assert len(arrived) == 40
    assert max(arrived.values()) == 1


def test_deleted_account_does_not_cost_the_outcome(mail_server, operator):
    set_up(mail_server)
    message = make_message("a@example.com")
    Message.objects.update(account=operator)
    mail_server.at_end = lambda received: (operator.delete(), connection.close())
    Lane(operator.pk).run()
    assert status(message) == "sent"


def test_failed_test_message_neither_pauses_the_account_nor_puts_its_probe_off(operator):
    with MailServer() as server:
        pass
    set_up(server)
    probe.send_test_message(None, "x@example.com", operator)
    assert not AccountPause.objects.exists()
    make_message("a@example.com")
    Lane(None).run()
    before = AccountPause.objects.get().until
    probe.send_test_message(None, "x@example.com", operator)
    assert AccountPause.objects.get().until == before


def test_test_message_that_arrives_ends_the_pause(mail_server, email_setup, operator):
    AccountPause.objects.create(since=timezone.now(), until=timezone.now(), explanation="refused")
    assert probe.send_test_message(None, "x@example.com", operator).ok
    assert not AccountPause.objects.exists()


# --- This machine ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_attachment_that_cannot_be_read_stops_only_its_own_message(mail_server, email_setup, monkeypatch, error):
    raw = b"From: a@b.example\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nQUJD\r\n"
    bad = make_message("bad@example.com", raw=raw)
    good = [make_message(f"g{number}@example.com") for number in range(3)]
    really_open = Path.open

    def broken(path, *arguments, **options):
        if "blobs" in str(path):
            raise error
        return really_open(path, *arguments, **options)

    blobs._hash_of.cache_clear()
    monkeypatch.setattr(Path, "open", broken)
    Lane(None).run()
    assert [status(message) for message in good] == ["sent"] * 3
    assert (status(bad), bad.tries) == ("queued", 1)
    assert "could not prepare" in bad.reason


def test_database_away_for_longer_than_a_lease_does_not_cost_a_known_outcome(
    mail_server, email_setup, settings, monkeypatch
):
    settings.LEASE_SECONDS = 1
    message = make_message("a@example.com")
    run_together, back = claims.run_together, []

    def away(statements):
        if mail_server.received and not back:
            back.append(time.monotonic() + 1.5)
        if back and time.monotonic() < back[0]:
            raise OperationalError("the database is away")
        return run_together(statements)

    monkeypatch.setattr(claims, "run_together", away)
    Lane(None).run()
    assert status(message) == "sent"


@pytest.mark.parametrize("is_answer_lost", [False, True], ids=["commit failed", "only its answer was lost"])
def test_outcome_whose_commit_failed_is_written_once(mail_server, email_setup, monkeypatch, is_answer_lost):
    really_run, failures = claims.run_together, []

    def run(statements):
        if is_answer_lost and len(failures) < 3:
            really_run(statements)
        if len(failures) < 3:
            failures.append(statements)
            raise OperationalError("database or disk is full")
        return really_run(statements)

    monkeypatch.setattr(claims, "run_together", run)
    monkeypatch.setattr("messaging.delivery.group_commit.RETRY_SECONDS", 0.01)
    message = make_message("a@example.com")
    Lane(None).run()
    assert status(message) == "sent"
    assert len(mail_server.received) == message.attempts.count() == 1


# --- Secrets ---------------------------------------------------------------------------------------


def test_settings_shown_in_a_traceback_do_not_tell_the_password(db):
    EmailSettings.objects.create(send_type=3, host="h", username="u", password_encrypted=encrypt("hunter2"))
    setup = resolve(None)
    assert setup.password == "hunter2"
    assert "hunter2" not in repr(setup)


def test_company_password_is_not_given_to_a_server_that_a_user_named(operator):
    heard = []

    def play(sock):
        sock.sendall(b"220 hi\r\n")
        for line in sock.makefile("rb"):
            heard.append(line)
            sock.sendall(b"250-x\r\n250 AUTH PLAIN\r\n" if line.startswith(b"EHLO") else b"250 ok\r\n")

    EmailSettings.objects.create(
        send_type=3, host="smtp.company.example", username="company", password_encrypted=encrypt("hunter2")
    )
    with ScriptedServer(play) as server:
        EmailSettings.objects.create(account=operator, host="127.0.0.1", port=server.port)
        make_message("x@example.com")
        Message.objects.update(account=operator)
        Lane(operator.pk).run()
    assert base64.b64encode(b"\0company\0hunter2") not in b"".join(heard)
    assert AccountPause.objects.get().account == operator
