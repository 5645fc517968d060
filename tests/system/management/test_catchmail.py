"""The mail catcher as a process, spoken to over SMTP."""

import contextlib
import hashlib
import json
import re
import signal
import smtplib
import socket
import subprocess
import sys
import time
from email.message import EmailMessage

import pytest

from tests.installation import ROOT, Installation

pytestmark = pytest.mark.process

SENDER = "office@brightwater.example"


class Caught:
    """A running catcher: its port and what it kept."""

    def __init__(self, folder):
        self.folder = folder
        env = Installation(folder).env
        command = [sys.executable, "manage.py", "catchmail", "--port", "0", "--dir", str(folder / "caught")]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.port = int(re.search(rb":(\d+);", self.process.stdout.readline())[1])

    def messages(self):
        """(envelope, bytes) of what is kept, in the order of the names."""
        files = sorted((self.folder / "caught").glob("*.eml"))
        return [(json.loads(file.with_suffix(".json").read_text()), file.read_bytes()) for file in files]

    @contextlib.contextmanager
    def connected(self):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
            client.ehlo("test.example")
            yield client

    def send(self, *recipients, raw=b"Subject: x\r\n\r\nx\r\n", sender=SENDER, options=()):
        with self.connected() as client:
            return client.sendmail(sender, list(recipients), raw, options)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    caught = Caught(tmp_path_factory.mktemp("catcher"))
    yield caught
    caught.process.terminate()
    caught.process.wait(10)


@pytest.fixture
def caught(running):
    for file in (running.folder / "caught").iterdir():
        file.unlink()
    return running


def test_keeps_exactly_what_was_received(caught):
    raw = b"Message-ID: <a/b?c@x.example>\r\nSubject: dots\r\n\r\n.\r\n..\r\n.x\r\n\xff\xfe caf\xc3\xa9\r\nend\r\n"
    caught.send("anna@example.com", "ben@example.org", raw=raw, options=["BODY=8BITMIME"])
    [(envelope, kept)] = caught.messages()
    assert kept == raw
    assert envelope.pop("received_at")
    assert envelope == {
        "mail_from": SENDER,
        "rcpt_tos": ["anna@example.com", "ben@example.org"],
        "options": [f"SIZE={len(raw)}", "BODY=8BITMIME"],
        "message_id": "<a/b?c@x.example>",
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def test_names_sort_by_time_and_are_safe(caught):
    for number in range(12):
        caught.send("anna@example.com", raw=f"Message-ID: <../{number} x@y>\r\n\r\n{number}\r\n".encode())
    assert [kept.split()[-1] for _, kept in caught.messages()] == [str(number).encode() for number in range(12)]
    assert len(list((caught.folder / "caught").iterdir())) == 24, "nothing else is left behind"


def test_advertises_what_it_takes(caught):
    with caught.connected() as client:
        assert {"8bitmime", "smtputf8", "size"} <= client.esmtp_features.keys()
        assert client.esmtp_features["size"] == str(50 * 1024 * 1024)


def test_address_in_another_script(caught):
    mail = EmailMessage()
    mail["Subject"] = "Γειά"
    mail.set_content("Γειά\n")
    with caught.connected() as client:
        client.send_message(mail, SENDER, ["γιώργος@example.org"])
    [(envelope, _)] = caught.messages()
    assert envelope["rcpt_tos"] == ["γιώργος@example.org"]
    assert "SMTPUTF8" in envelope["options"]


@pytest.mark.parametrize("address", ["reject@a.example", "reject+1@b.example", "Reject.Jones@c.example"])
def test_refuses_for_good(caught, address):
    refused = caught.send("anna@example.com", address)
    assert refused[address][0] == 550
    assert refused[address][1].startswith(b"5.1.1 ")
    assert [envelope["rcpt_tos"] for envelope, _ in caught.messages()] == [["anna@example.com"]]


def test_rejecting_is_not_refused(caught):
    assert caught.send("rejecting@example.com", "anna.reject@example.com") == {}


def test_greylists_each_sender_and_recipient_once(caught):
    address = f"greylist+{time.monotonic_ns()}@example.com"
    for sender in (SENDER, "other@brightwater.example"):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
            caught.send(address, sender=sender)
        assert error.value.recipients[address][0] == 451
        assert error.value.recipients[address][1].startswith(b"4.7.1 ")
        caught.send(address, sender=sender)
    assert len(caught.messages()) == 2


def test_mailbox_stays_full(caught):
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused) as error:
            caught.send("full@example.com")
        assert error.value.recipients["full@example.com"][0] == 452


def test_refuses_spam_at_the_end_of_data(caught):
    with pytest.raises(smtplib.SMTPDataError) as error:
        caught.send("spam@example.com")
    assert (error.value.smtp_code, error.value.smtp_error[:5]) == (550, b"5.7.1")
    assert caught.messages() == []


def test_hangs_up_after_the_end_of_data(caught):
    with caught.connected() as client:
        client.mail(SENDER)
        client.rcpt("drop.me@example.com")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.data(b"Subject: x\r\n\r\nx\r\n")
        client.close()
    assert caught.messages() == []
    assert caught.send("anna@example.com") == {}, "others are still served"


def test_answers_slowly(caught):
    began = time.monotonic()
    caught.send("slow@example.com")
    assert time.monotonic() - began >= 3.9
    assert len(caught.messages()) == 1


def test_folder_that_cannot_be_written_is_said_and_loses_nothing(caught):
    folder = caught.folder / "caught"
    elsewhere = folder.rename(caught.folder / "moved")
    try:
        with pytest.raises(smtplib.SMTPDataError) as error:
            caught.send("anna@example.com")
        assert error.value.smtp_code == 452
    finally:
        elsewhere.rename(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_with_a_connection_open(tmp_path, number):
    caught = Caught(tmp_path)
    with contextlib.suppress(smtplib.SMTPServerDisconnected), caught.connected():
        caught.process.send_signal(number)
        assert caught.process.wait(10) == 0
    assert caught.process.stdout.read() == b""


def test_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "manage.py", "catchmail", "--port", str(port), "--dir", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, env=Installation(tmp_path).env, capture_output=True, timeout=30)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"CommandError: Port {port} is in use (CATCHER_PORT).")
    assert "Traceback" not in done.stderr.decode()
