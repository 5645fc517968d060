"""Securing and signing in (seed rows S11, S12): verified by default, never falling back to clear text."""

import base64
import socket

import pytest
from django.db import connection as database

from messaging import probe
from messaging.delivery.lane import Lane
from messaging.intake.gate import Refused
from messaging.models import AccountPause, EmailSettings, Message
from messaging.setup.secrets import encrypt
from tests.certificates import Authority
from tests.conftest import make_message, set_up
from tests.servers import MailServer

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORDS = ["simple", "spaces and 'quotes\"", "pässwörd-密码", "".join(map(chr, range(33, 127)))]


@pytest.fixture
def authority(tmp_path, monkeypatch):
    authority = Authority(tmp_path)
    authority.trust(monkeypatch)
    return authority


def deliver_with(server, **values):
    """Send one message with these settings; its status, its last attempt, and the pause if there is one."""
    set_up(server, **values)
    message = make_message("ann@example.com")
    Lane(None).run()
    message.refresh_from_db()
    return message, message.attempts.last(), AccountPause.objects.first()


def test_starttls_secures_the_connection(authority):
    with MailServer(tls=authority.server_context()) as server:
        message, attempt, _ = deliver_with(server, auth_type="tls-explicit")
    assert message.status == "sent"
    assert attempt.tls.startswith("TLSv1.3 ")


def test_implicit_tls_secures_the_connection(authority):
    with MailServer(tls=authority.server_context(), tls_from_the_start=True) as server:
        message, attempt, _ = deliver_with(server, auth_type="tls-implicit")
    assert message.status == "sent"
    assert attempt.tls.startswith("TLSv1.3 ")


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"name": "other.example"}, "not valid for"),
        ({"days": -1}, "expired"),
        ({"untrusted": True}, "certificate"),
    ],
)
def test_certificate_that_cannot_be_verified_stops_delivery(authority, tmp_path_factory, implicit, certificate, words):
    if "untrusted" in certificate:
        context = Authority(tmp_path_factory.mktemp("stranger")).server_context()
    else:
        context = authority.server_context(**certificate)
    auth_type = "tls-implicit" if implicit else "tls-explicit"
    with MailServer(tls=context, tls_from_the_start=implicit) as server:
        message, attempt, pause = deliver_with(server, auth_type=auth_type)
        assert server.handed_over == []
    assert (message.status, message.tries) == ("queued", 0)
    assert pause.explanation == "The mail server’s certificate could not be verified."
    assert words in attempt.reply_text


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_address_with_and_without_brackets(authority, host):
    with MailServer(tls=authority.server_context(name="::1"), address="::1") as server:
        message, attempt, _ = deliver_with(server, auth_type="tls-explicit", host=host)
    assert message.status == "sent"
    assert attempt.server == f"[::1]:{server.port}"


def test_starttls_never_falls_back_to_clear_text(mail_server):
    message, _, pause = deliver_with(mail_server, auth_type="tls-explicit")
    assert mail_server.handed_over == []
    assert message.status == "queued"
    assert "offers no STARTTLS" in pause.explanation


def test_tls_port_without_tls_is_explained(authority, settings):
    settings.SMTP_TIMEOUT_SCALE = 0.002
    with MailServer(tls=authority.server_context(), tls_from_the_start=True) as server:
        message, _, pause = deliver_with(server, auth_type="default")
    assert message.status == "queued"
    assert "tls-implicit" in pause.advice


@pytest.mark.parametrize("password", PASSWORDS)
def test_signs_in_with_any_password(authority, password):
    with MailServer(tls=authority.server_context(), users={"outtray@office.example": password}) as server:
        message, _, _ = deliver_with(
            server,
            send_type=3,
            auth_type="tls-explicit",
            username="outtray@office.example",
            password_encrypted=encrypt(password),
        )
    assert message.status == "sent"


def test_refused_sign_in_pauses_the_account_with_tries_unspent():
    with MailServer(users={"u": "right"}) as server:
        message, attempt, pause = deliver_with(server, send_type=3, username="u", password_encrypted=encrypt("wrong"))
    assert (message.status, message.tries) == ("queued", 0)
    assert (attempt.stage, attempt.reply_code) == ("auth", 535)
    assert pause.explanation == "The mail server refused the user name or the password."


def test_server_without_sign_in_is_explained(mail_server):
    _, _, pause = deliver_with(mail_server, send_type=3, username="u", password_encrypted=encrypt("p"))
    assert "no way to sign in" in pause.explanation


# --- Secrets ---------------------------------------------------------------------------------------


def test_password_is_encrypted_at_rest(db):
    EmailSettings.objects.create(password_encrypted=encrypt("hush-hush"))
    with database.cursor() as cursor:
        cursor.execute("SELECT password_encrypted FROM messaging_emailsettings")
        (stored,) = cursor.fetchone()
    assert "hush-hush" not in stored
    assert base64.b64encode(b"hush-hush").decode() not in stored


def test_lost_key_asks_for_the_password_again_instead_of_crashing(mail_server, settings):
    stored = encrypt("p")
    settings.FIELD_ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"another key of 32 octets exactly").decode()]
    message, _, pause = deliver_with(mail_server, send_type=3, username="u", password_encrypted=stored)
    assert message.status == "queued"
    assert "Enter it again" in pause.reply_text


# --- The test message ------------------------------------------------------------------------------


def test_test_message_shows_the_dialogue_with_secrets_masked(authority, operator):
    password = "correct horse"
    with MailServer(tls=authority.server_context(), users={"user@x.example": password}) as server:
        set_up(
            server,
            send_type=3,
            auth_type="tls-explicit",
            username="user@x.example",
            password_encrypted=encrypt(password),
        )
        result = probe.send_test_message(None, "ann@example.com", operator)
        assert len(server.received) == 1
    assert result.ok
    said = [(direction, line) for direction, line, _ in result.dialogue]
    assert ("C", "EHLO t.example") in said
    assert ("C", "AUTH PLAIN ***") in said
    assert ("C", f"MAIL FROM:<anna@office.example> SIZE={result.message.size}") in said
    assert any(line.startswith("250 2.0.0") for direction, line in said if direction == "S")
    text = repr(result.dialogue)
    assert password not in text
    assert base64.b64encode(b"\0user@x.example\0correct horse").decode() not in text
    assert result.message.status == "sent"


def test_failed_test_message_says_why_and_is_not_tried_again(operator):
    with MailServer() as server:
        pass
    set_up(server)
    result = probe.send_test_message(None, "ann@example.com", operator)
    assert not result.ok
    assert result.explanation == "The mail server refused the connection."
    assert "server and port" in result.advice
    assert "Connection refused" in result.dialogue[-1][1]
    assert Message.objects.get().status == "failed"


def test_test_message_to_something_with_two_lines_is_refused(mail_server, email_setup, operator):
    with pytest.raises(Refused, match="not an address"):
        probe.send_test_message(None, "a@example.com\nBcc: b@example.com", operator)
    assert not Message.objects.exists()
