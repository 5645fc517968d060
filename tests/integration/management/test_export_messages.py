"""`manage.py export_messages`: what other tools read, in the fixed shape."""

import datetime as dt
import json
import threading
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections

from messaging import demo
from messaging.delivery.outcomes.reply import Stage
from messaging.models import AttemptOutcome, Message, Recipient, SendAttempt
from messaging.queue import export
from tests.factories import make_message, make_messages, put, set_up
from tests.installation import free_ports
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)  # it reads in a transaction of its own


@pytest.fixture
def lines(capsys):
    def lines(*arguments):
        call_command("export_messages", *arguments)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return lines


def test_a_message_is_one_line_of_the_fixed_shape(lines, server, operator):
    server.at("RCPT", "550 5.1.1 no such user", recipient="b@example.com")
    message = make_message("a@example.com", "b@example.com", subject="Überweisung № 7", author=operator)
    run_lane(after=dt.timedelta(minutes=1))
    [line] = lines()
    attempt = message.attempts.get()
    assert line == {
        "id": message.pk,
        "message_id": message.message_id,
        "status": "failed",
        "reason": line["reason"],
        "author": "anna",
        "subject": message.subject,
        "recipients": [
            {"address": "a@example.com", "outcome": "accepted"},
            {"address": "b@example.com", "outcome": "failed"},
        ],
        "attempts": [
            {
                "started": attempt.started_at.isoformat(),
                "stage": "rcpt",
                "code": 550,
                "enhanced": "5.1.1",
                "text": attempt.reply_text,
                "outcome": "permanent",
            }
        ],
    }
    assert "mailbox does not exist" in line["reason"]
    assert dt.datetime.fromisoformat(line["attempts"][0]["started"]).tzinfo is not None


def test_what_there_is_none_of(lines):
    message = make_message("a@example.com", due=False)
    [line] = lines()
    assert (line["author"], line["reason"], line["attempts"]) == (None, "", [])
    assert line["recipients"] == [{"address": "a@example.com", "outcome": "pending"}]
    SendAttempt.objects.create(
        message=message, fence=1, started_at=message.created_at, stage=Stage.CONNECT, outcome=AttemptOutcome.SETUP
    )
    [attempt] = lines()[0]["attempts"]
    assert (attempt["code"], attempt["enhanced"], attempt["text"]) == (None, None, "")


def test_what_this_machine_had_to_say_is_told_in_words(lines):
    set_up(SimpleNamespace(port=free_ports(1)[0]))
    make_message("a@example.com")
    run_lane()
    [attempt] = lines()[0]["attempts"]
    assert (attempt["stage"], attempt["code"], attempt["outcome"]) == ("connect", None, "setup")
    assert "refused" in attempt["text"]


def test_words_of_the_fixed_shape_are_all_there_are(lines):
    demo.add_messages(80, months=6, seed=3)
    demo.first_run()
    found = lines()
    assert [line["id"] for line in found] == list(Message.objects.order_by("pk").values_list("pk", flat=True))
    outcomes = {each["outcome"] for line in found for each in line["recipients"]}
    assert outcomes <= {"pending", "accepted", "failed", "unknown"} == set(Recipient.Status.values)
    attempts = [attempt for line in found for attempt in line["attempts"]]
    assert {attempt["stage"] for attempt in attempts} <= {
        "prepare", "connect", "greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end of data"
    } == set(Stage)  # fmt: skip
    assert {attempt["outcome"] for attempt in attempts} <= {
        "accepted", "transient", "permanent", "setup", "unknown"
    } == set(AttemptOutcome)  # fmt: skip
    for line in found:
        kept = Message.objects.get(pk=line["id"])
        assert len(line["recipients"]) == kept.recipients.count()
        assert [each["code"] for each in line["attempts"]] == list(kept.attempts.values_list("reply_code", flat=True))


def test_lines_are_lines_for_everybody(capsys):
    """Also for a reader who ends a line at U+2028 or U+0085, and on a terminal without UTF-8."""
    put(make_message("zoë@example.com"), subject="a\u2028b\u0085c \U0001f600")
    call_command("export_messages")
    out = capsys.readouterr().out
    assert out.isascii()
    assert len(out.splitlines()) == 1


FILTERS = [
    ((), [0, 1, 2, 3]),
    (("--status", "all"), [0, 1, 2, 3]),
    (("--status", "held"), [1]),
    (("--q", "invoice 2"), [2]),
    (("--sender", "anna"), [3]),
    (("--reason", "address"), [2]),
    (("--date-from", "2026-03-02"), [1, 2, 3]),
    (("--date-to", "2026-03-01"), [0]),
    (("--date-from", "2026-03-02", "--date-to", "2026-03-02", "--status", "held"), [1]),
    (("--q", "nothing of that kind"), []),
]


@pytest.mark.parametrize(("arguments", "expected"), FILTERS, ids=str)
def test_filters_are_those_of_the_list(lines, operator, arguments, expected):
    messages = make_messages(4, due=False)
    for number, message in enumerate(messages):
        put(message, created_at=dt.datetime(2026, 3, 1 + (number > 0), 12, tzinfo=dt.UTC))
        SendAttempt.objects.create(
            message=message, fence=1, started_at=message.created_at, stage="mail", outcome="transient"
        )
    put(messages[1], status="held")
    put(messages[2], reason_category="address")
    put(messages[3], author=operator)
    found = lines(*arguments)
    assert [line["id"] for line in found] == [messages[number].pk for number in expected]
    assert all(len(line["recipients"]) == len(line["attempts"]) == 1 for line in found)


@pytest.mark.parametrize("arguments", [("--status", "lost"), ("--date-from", "1.3.2026"), ("--date-to", "9999-12-31")])
def test_filter_that_makes_no_sense_is_told(arguments):
    with pytest.raises(CommandError, match=arguments[0]):
        call_command("export_messages", *arguments)


def test_number_of_statements_does_not_grow(lines, django_assert_max_num_queries):
    make_messages(30, due=False)
    with django_assert_max_num_queries(8):
        assert len(lines()) == 30


def test_it_is_of_one_moment_and_holds_nobody_up(monkeypatch):
    """While it runs, others write; nothing of that is in it, and no one waits for it."""
    monkeypatch.setattr(export, "CHUNK", 2)
    messages = make_messages(10, due=False)
    found = export.each(Message.objects.all())
    first = next(found)

    def write():
        try:
            Message.objects.update(subject="changed")
            Recipient.objects.update(status="accepted")
            make_message("later@example.com")
        finally:
            connections.close_all()

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(20)
    assert not writer.is_alive()
    rest = [first, *found]
    assert [line["subject"] for line in rest] == [message.subject for message in messages]
    assert {each["outcome"] for line in rest for each in line["recipients"]} == {"pending"}
    assert set(Message.objects.values_list("subject", flat=True)) == {"changed", "Your appointment"}


def test_one_that_is_not_read_to_its_end_leaves_no_transaction_open():
    make_messages(3, due=False)
    found = export.each(Message.objects.all())
    next(found)
    found.close()
    Message.objects.update(subject="changed")
    assert not connection.in_atomic_block
    assert next(export.each(Message.objects.all()))["subject"] == "changed"


def test_database_that_goes_away_is_told_in_one_line(monkeypatch):
    def away(messages):
        yield {"id": 1}
        raise OperationalError("server closed the connection\n\tunexpectedly")

    monkeypatch.setattr(export, "each", away)
    with pytest.raises(CommandError, match=r"^Not everything was written: server closed the connection unexpectedly$"):
        call_command("export_messages")


def test_ctrl_c_is_told_in_one_line(monkeypatch):
    def stopped(messages):
        yield {"id": 1}
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "each", stopped)
    with pytest.raises(CommandError) as error:
        call_command("export_messages")
    assert (str(error.value), error.value.returncode) == ("Stopped. Not everything was written.", 130)
