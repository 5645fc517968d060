"""`manage.py sendmail`, called as programs call sendmail: arguments, standard input, exit code."""

import io
from functools import partial
from types import SimpleNamespace

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connections

from messaging.content import mime
from messaging.intake import addresses, gate
from messaging.models import Message
from messaging.wording import in_words
from tests.rows import wire

pytestmark = pytest.mark.usefixtures("holding")

RAW = b"From: Office <office@example.com>\nTo: Ada <ada@example.com>, bob@example.com\nCc: Team: carl@example.com;\n"
RAW += b"Bcc: dora@example.com\nSubject: Report\n\nDear all\n"


@pytest.fixture
def sendmail(sendmail):
    return partial(sendmail, stdin=RAW)


def envelope() -> tuple[str, set[str]]:
    message = Message.objects.get()
    return message.reverse_path, set(message.recipients.values_list("address", flat=True))


def test_a_message_is_queued_without_a_word(sendmail):
    result = sendmail("zoe@example.com")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert envelope() == ("office@example.com", {"zoe@example.com"})
    message = Message.objects.get()
    assert (message.status, message.subject) == ("queued", "Report")
    assert in_words(message.events.get().what) == "Accepted into the queue (sendmail)"
    assert wire(Message.objects.get()).endswith(b"\r\n\r\nDear all\r\n")


def test_t_takes_the_recipients_from_the_header_and_hides_blind_copies(sendmail):
    assert sendmail("-t").code == 0
    assert envelope()[1] == {"ada@example.com", "bob@example.com", "carl@example.com", "dora@example.com"}
    assert Message.objects.get().recipients.get(kind="bcc").address == "dora@example.com"
    assert b"dora" not in wire(Message.objects.get())


@pytest.mark.parametrize("line", [b"From office@example.com Tue Nov 24 10:00:00 2026\n",
                                  b"From 1f3870be274f6c49b3e31a0c6728957f9f3a0b1c Mon Sep 17 00:00:00 2001\r\n"]
)  # fmt: skip
def test_the_line_that_begins_a_message_in_a_mailbox_hides_nobody(sendmail, line):
    assert sendmail("-t", stdin=line + RAW).code == 0
    assert len(envelope()[1]) == 4 and wire(Message.objects.get()).startswith(b"From: Office")


def test_t_adds_those_on_the_command_line(sendmail):
    sendmail("-t", "zoe@example.com", "ada@example.com")
    assert len(envelope()[1]) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["-t", "-i", "-f", "bounce@example.com"],
        ["-ti", "-fbounce@example.com"],
        ["-t", "-oi", "-fbounce@example.com"],
        ["-t", "-i", "-r", "bounce@example.com"],
        ["-oi", "-oem", "-om", "-odb", "-bm", "-B8BITMIME", "-N", "never", "-f", "<bounce@example.com>", "-t", "--"],
        ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "-m", "-U", "-f", "bounce@example.com", "-t"],
        ["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "-odi", "-fbounce@example.com", "-t"],
        ["-v", "-t", "-i", "-f", "bounce@example.com"],
        ["-vti", "-f", "bounce@example.com"],
        ["-ti", "-f", "Web Server <bounce@example.com>"],
        ["-odi", "-oMr", "local", "-ti", "-f", "bounce@example.com"],
        ["-t", "-O", "IgnoreDots=True", "-ODeliveryMode=b", "-f", "bounce@example.com"],
        [
            "-Am",
            "-G",
            "-n",
            "-s",
            "-h5",
            "-h",
            "5",
            "-d0.1",
            "-C/etc/mail.cf",
            "-X",
            "/dev/null",
            "-L",
            "tag",
            "-p",
            "ESMTP",
            "-D",
            "/dev/null",
            "-em",
            "-o7",
            "-odq",
            "-oep",
            "-Vabc",
            "-Rhdrs",
            "-Nnever",
            "-E",
            "-ti",
            "-fbounce@example.com",
        ],
    ],
    ids=" ".join,
)
def test_the_classic_ways_to_call_it_work(sendmail, arguments):
    result = sendmail(*arguments, stdin=RAW + b".\nafter the dot\n")
    assert (result.code, result.err) == (0, "")
    assert envelope()[0] == "bounce@example.com"
    assert len(envelope()[1]) == 4
    assert wire(Message.objects.get()).endswith(b"Dear all\r\n.\r\nafter the dot\r\n")


@pytest.mark.parametrize("given", [["Zoë <z@example.com>, y@example.com"], ["z@example.com,y@example.com"],
                                   ["<z@example.com>", '"Y, Y" <y@example.com>']])  # fmt: skip
def test_recipients_on_the_command_line_may_be_lists_and_have_names(sendmail, given):
    assert sendmail(*given).code == 0
    assert envelope()[1] == {"z@example.com", "y@example.com"}


@pytest.mark.parametrize(
    "mode", ["-bs", "-bp", "-bt", "-bd", "-bi", "-bv", "-b", "-q", "-q30m", "-qRexample.com", "-bD"]
)
def test_what_only_a_mail_server_does_is_refused_in_a_line(sendmail, mode):
    result = sendmail("-v", mode, "a@example.com")
    assert (result.code, result.out) == (64, "")
    assert mode in result.err
    assert "standard input" in result.err or "expected one argument" in result.err
    assert len(result.err.splitlines()) <= 2
    assert not Message.objects.exists()


RESENT = b"""Resent-From: Help <help@example.com>
Resent-To: new@example.com,
 second@example.com
Resent-Cc: third@example.com
Resent-Bcc: blind@example.com
Resent-Date: Tue, 24 Nov 2026 10:00:00 +0000
Received: from elsewhere.example
Resent-From: old@example.com
Resent-To: earlier@example.com
Resent-Bcc: gone@example.com
"""


def test_t_sends_what_is_resent_to_those_of_the_newest_block(sendmail):
    assert sendmail("-t", stdin=RESENT + RAW).code == 0
    new = {f"{name}@example.com" for name in ("new", "second", "third", "blind")}
    assert envelope() == ("help@example.com", new)
    sent = wire(Message.objects.get())
    assert b"blind" not in sent
    assert b"gone" not in sent
    assert RAW.partition(b"Bcc:")[0].replace(b"\n", b"\r\n") in sent
    assert sent.startswith(RESENT.partition(b"Resent-Bcc")[0].replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    ("block", "sender", "recipients"),
    [
        (b"Resent-Sender: S <s@x.example>\nResent-From: b@x.example, c@x.example\nResent-To: n@x.example\n", "s", "n"),
        (b"Resent-To: n@x.example\nResent-To: old@x.example\nResent-From: b@x.example\n", "office", "n"),
        (b"Resent-From: b@x.example\nX-Note: between\nResent-Bcc: n@x.example\n", "b", "n"),
        (
            b"RESENT-FROM: b@x.example\nresent-cc: n@x.example\nresent-cc: o@x.example\nresent-to: p@x.example\n",
            "b",
            "n",
        ),
    ],
)
def test_a_block_of_resent_fields_is_told_from_the_one_before(sendmail, block, sender, recipients):
    assert sendmail("-t", stdin=block + RAW.replace(b"office@example.com", b"office@x.example")).code == 0
    assert envelope() == (f"{sender}@x.example", {f"{recipients}@x.example"})


def test_what_is_resent_without_naming_anybody_goes_to_nobody(sendmail):
    assert sendmail("-t", stdin=b"Resent-From: b@example.com\n" + RAW).code == 65
    assert sendmail("-t", "-f", "f@example.com", "n@example.com", stdin=b"Resent-From: b@example.com\n" + RAW).code == 0
    assert list(Message.objects.latest("pk").recipients.values_list("address", flat=True)) == ["n@example.com"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_that_an_editor_saved_in_unicode_keeps_its_header(sendmail, encoding):
    text = RAW.decode().replace("Report", "Bericht für Köln") + "Grüße 🎉\n.\nnot sent\n"
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    for start in {mark, ""}:
        result = sendmail("-t", stdin=(start + text.replace("\n", "\r\n")).encode(encoding))
        assert (result.code, result.err) == (0, "")
        message = Message.objects.latest("pk")
        assert message.recipient_count == 4
        assert message.subject == "Bericht für Köln"
        assert wire(message).endswith("\r\n\r\nDear all\r\nGrüße 🎉\r\n".encode())


@pytest.mark.parametrize("arguments", [["a@example.com", "-i"], ["-i", "a@example.com"], ["-i", "--", "a@example.com"]])
def test_recipients_may_stand_before_or_after(sendmail, arguments):
    assert sendmail(*arguments).code == 0
    assert envelope()[1] == {"a@example.com"}


@pytest.mark.parametrize("dot", [b".\n", b".\r\n"])
def test_a_line_with_only_a_dot_ends_the_message(sendmail, dot):
    sendmail("a@example.com", stdin=RAW + b"..\n.x\n" + dot + b"not sent\n")
    assert wire(Message.objects.get()).endswith(b"Dear all\r\n..\r\n.x\r\n")


@pytest.mark.parametrize("null", ["", "<>"])
def test_the_null_sender_can_be_asked_for(sendmail, null):
    assert sendmail("-f", null, "a@example.com").code == 0
    assert envelope()[0] == ""


def test_a_message_without_a_header_is_from_f_with_the_name_of_capital_f(sendmail):
    assert (
        sendmail("-F", "Nächtliche Sicherung", "-f", "backup@example.com", "a@example.com", stdin=b"done\n").code == 0
    )
    assert Message.objects.get().from_header == "Nächtliche Sicherung <backup@example.com>"
    assert wire(Message.objects.get()).endswith(b"\r\n\r\ndone\r\n")


@pytest.mark.parametrize("name", ["Joerg", "Jörg", 'Joerg "J" B.'])
def test_a_full_name_stands_before_an_address_that_is_not_ascii(sendmail, name):
    arguments = ("-t", "-F", name, "-f", "jörg@example.com")
    assert (result := sendmail(*arguments, stdin=b"Subject: x\nTo: b@example.com\n\nhi\n")).code == 0, result.err
    assert addresses.mailboxes(Message.objects.get().from_header) == [(name, "jörg@example.com")]


def test_an_author_whose_name_is_no_utf8_is_wrong_usage(sendmail):
    result = sendmail("-t", "--author", "\udcff")
    assert result.code == 64 and "not UTF-8" in result.err and not Message.objects.exists()


def test_t_with_nobody_named_is_recorded_as_failed_and_said(sendmail):
    result = sendmail("-t", stdin=b"From: office@example.com\nTo: undisclosed-recipients:;\n\nx\n")
    assert (result.code, result.out) == (65, "")
    assert "No address: " in result.err
    assert Message.objects.get().status == "failed"


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "words"),
    [
        ([], RAW, 64, "No recipients. Name them"),
        (["-i"], RAW, 64, "No recipients. Name them"),
        (["--unheard-of", "a@example.com"], RAW, 64, "unrecognized arguments"),
        (["-t"], b"From: o@s.example\nTo: =?utf-8?b?eEB5LnosIA==?= a@s.example\n\nhi\n", 67, "separated by a comma"),
        (["a@example.com", "-f"], RAW, 64, "expected one argument"),
        (["a@example.com"], b"", 65, "empty"),
        (["a@example.com"], b".\n", 65, "empty"),
        (["a@example.com"], b"Subject: x\n\nbody\n", 65, "does not say who it is from"),
        (["a@example.com"], b"From: root\n\nbody\n", 65, "“root”"),
        (["a@example.com"], b"Subject: a\nSubject: b\n" + RAW, 65, "3 Subject header fields"),
        (["a@example.com"], b"X: a\rBcc: evil@example.com\n" + RAW, 65, "stray carriage return"),
        (["nonsense"], RAW, 67, "“nonsense” is not a valid email address"),
        (["a@example.com\nRCPT TO:<e@x.org>"], RAW, 67, "line break"),
        (["-f", "nonsense", "a@example.com"], RAW, 67, "“nonsense”"),
        (["-t"], b"From: office@example.com\nTo: ada@example.com bob@example.com\n\nx\n", 67, "separated by a comma"),
        (["-t"], b"From: office@example.com\nTo: ada@example.com, bob <\n\nx\n", 67, "separated by a comma"),
    ],
)
def test_what_cannot_be_queued_is_said_in_words_and_with_the_exit_code(sendmail, arguments, stdin, code, words):
    result = sendmail(*arguments, stdin=stdin)
    assert (result.code, result.out) == (code, "")
    assert words in result.err
    assert not Message.objects.exists()


@pytest.mark.parametrize("error", [OperationalError("could not connect"), OSError(28, "No space left on device")])
def test_when_the_queue_is_away_the_caller_is_told_to_try_again(sendmail, monkeypatch, error):
    def away(*_):
        raise error

    monkeypatch.setattr("messaging.intake.gate.store", away)
    result = sendmail("a@example.com")
    assert result.code == 75
    assert "Try again later" in result.err


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("is_committed", "comes_back", "code", "stored"),
    [(True, True, 0, 1), (False, True, 75, 0), (True, False, 70, 1), (False, False, 70, 0)],
)
def test_database_that_goes_away_over_a_commit(sendmail, monkeypatch, is_committed, comes_back, code, stored):
    """What it was told to store it may have stored (as at a failover): a second try would be a second copy."""
    server, gate_store = type(connections["default"]), gate.store
    commit = server._commit
    many = [f"{letter}@example.com" for letter in "abcd"]  # which take several statements

    def goes_away(database):
        patch.undo()
        commit(database) if is_committed else database.connection.rollback()
        database.connection.close()
        if not comes_back:
            patch.setattr(server, "get_new_connection", refused)
        raise OperationalError("server closed the connection unexpectedly")

    def refused(*_):
        raise OperationalError("connection refused")

    def store(*given):
        patch.setattr(server, "_commit", goes_away)
        return gate_store(*given)

    monkeypatch.setattr("messaging.submit.COMMIT_SECONDS", 1.0)
    monkeypatch.setattr("messaging.intake.gate.store", store)
    with pytest.MonkeyPatch.context() as patch:
        result = sendmail(*many)
    connections["default"].close()
    check_what_is_said(result, code, stored)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("is_committed", "comes_back", "code", "stored"),
    [(True, True, 0, 1), (False, True, 75, 0), (True, False, 70, 1), (False, False, 70, 0)],
)
def test_database_that_goes_away_over_the_one_statement_of_a_message(
    sendmail, monkeypatch, is_committed, comes_back, code, stored
):
    server = type(connections["default"])

    class GoesAway(psycopg.RawCursor):
        def execute(self, *given, **options):
            if is_committed:
                super().execute(*given, **options)
            self.connection.close()
            if not comes_back:
                patch.setattr(server, "get_new_connection", refused)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def refused(*_):
        raise OperationalError("connection refused")

    monkeypatch.setattr("messaging.submit.COMMIT_SECONDS", 1.0)
    monkeypatch.setattr("psycopg.RawCursor", GoesAway)
    with pytest.MonkeyPatch.context() as patch:
        result = sendmail("a@example.com")
    connections["default"].close()
    check_what_is_said(result, code, stored)


def check_what_is_said(result, code, stored):
    assert result.code == code, result.err
    assert ("Try again later" in result.err) == (code == 75)
    assert ("Do not send it again" in result.err) == (code == 70)
    assert Message.objects.count() == stored


def test_other_python_code_gets_an_exception(monkeypatch, db):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(RAW)))
    call_command("sendmail", "-t", "-i")
    assert Message.objects.count() == 1
    with pytest.raises(CommandError):
        call_command("sendmail", "nonsense")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ada\nBcc: evil@example.com", "Ada Bcc: evil@example.com"),
        ("Ada\r\nBcc: evil@example.com", "Ada  Bcc: evil@example.com"),
        ("Ada\x0bX-Evil : 1", "Ada X-Evil : 1"),
        ("Zo\udceb", "Zoë"),  # as Python has an octet of an argument that is no UTF-8
        ('Zo\udceb\u2028"\\', 'Zo\xeb "\\'),
        ("Zoë Berg", "Zoë Berg"),
    ],
)
def test_a_full_name_is_a_name_and_nothing_else(sendmail, name, shown):
    raw = b"X-Last: 1\nSubject: Report\n\nDear all\n"
    assert (result := sendmail("-f", "office@example.com", "-F", name, "b@example.com", stdin=raw)).code == 0, result
    message = Message.objects.get()
    assert message.from_header in (f"{shown} <office@example.com>", f'"{shown}" <office@example.com>')
    assert [each.name for each in mime.head(wire(message))[0]] == ["from", "x-last", "subject", "date", "message-id"]
    assert list(message.recipients.values_list("address", flat=True)) == ["b@example.com"]
