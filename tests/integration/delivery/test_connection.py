"""Securing and signing in (S11, S12): verified by default, never falling back to clear text."""

import base64

import pytest
from django.db import connection as database

from messaging import connection_check
from messaging.intake.gate import Refused
from messaging.models import AccountPause, EmailSettings, Message
from messaging.setup.layers import resolve
from messaging.setup.secrets import encrypt
from messaging.wording import advice, in_words
from tests.certificates import Authority
from tests.factories import make_message, set_up
from tests.fault_server import FaultServer
from tests.names import has_ipv6
from tests.servers import MailServer
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORDS = ["simple", "spaces and 'quotes\"", "pässwörd-密码", "".join(map(chr, range(33, 127)))]


def deliver_with(server, **values):
    """Send one message with these settings; its status, its last attempt, and the pause if there is one."""
    set_up(server, **values)
    message = make_message("ann@example.com")
    run_lane()
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


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_address_with_and_without_brackets(authority, host):
    with MailServer(tls=authority.server_context(name="::1"), address="::1") as server:
        message, attempt, _ = deliver_with(server, auth_type="tls-explicit", host=host)
    assert message.status == "sent"
    assert attempt.server == f"[::1]:{server.port}"


@pytest.mark.slow
def test_tls_port_without_tls_is_explained(authority, settings):
    settings.SMTP_TIMEOUT_SCALE = 0.002
    with MailServer(tls=authority.server_context(), tls_from_the_start=True) as server:
        message, _, pause = deliver_with(server, auth_type="default")
    assert message.status == "queued"
    assert "tls-implicit" in advice(pause.reason)


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
    assert in_words(pause.reason) == "The mail server refused the user name or the password."


# --- Secrets ---------------------------------------------------------------------------------------


def test_password_is_encrypted_at_rest(db):
    EmailSettings.objects.create(password_encrypted=encrypt("hush-hush"))
    with database.cursor() as cursor:
        cursor.execute("SELECT password_encrypted FROM messaging_emailsettings")
        (stored,) = cursor.fetchone()
    assert "hush-hush" not in stored
    assert base64.b64encode(b"hush-hush").decode() not in stored


def test_settings_shown_in_a_traceback_do_not_tell_the_password(db):
    EmailSettings.objects.create(send_type=3, host="h", username="u", password_encrypted=encrypt("hunter2"))
    setup = resolve(None)
    assert setup.password == "hunter2"
    assert "hunter2" not in repr(setup)


def test_company_password_is_not_given_to_a_server_that_a_user_named(operator):
    EmailSettings.objects.create(
        send_type=3, host="smtp.company.example", username="company", password_encrypted=encrypt("hunter2")
    )
    with FaultServer(auth=["PLAIN"]) as server:
        EmailSettings.objects.create(account=operator, host="127.0.0.1", port=server.port)
        make_message("x@example.com")
        Message.objects.update(account=operator)
        run_lane(operator.pk)
    assert not server.heard("AUTH")
    assert AccountPause.objects.get().account == operator


# --- The test message ------------------------------------------------------------------------------


def end_of(told):
    """The conclusion of a test message, which is told last."""
    *_, end = told
    return end


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
        result = end_of(connection_check.send_test_message(None, "ann@example.com", operator))
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
    result = end_of(connection_check.send_test_message(None, "ann@example.com", operator))
    assert not result.ok
    assert result.explanation == "The mail server refused the connection."
    assert "server and port" in result.advice
    assert "Connection refused" in result.dialogue[-1][1]
    assert Message.objects.get().status == "failed"


def test_test_message_to_something_with_two_lines_is_refused(mail_server, email_setup, operator):
    with pytest.raises(Refused, match="not an address"):
        connection_check.send_test_message(None, "a@example.com\nBcc: b@example.com", operator)
    assert not Message.objects.exists()


def test_failed_test_message_neither_pauses_the_account_nor_puts_its_probe_off(operator):
    with FaultServer(refuses=True) as server:
        set_up(server)
        end_of(connection_check.send_test_message(None, "x@example.com", operator))
        assert not AccountPause.objects.exists()
        make_message("a@example.com")
        run_lane()
        before = AccountPause.objects.values().get()
        end_of(connection_check.send_test_message(None, "x@example.com", operator))
        assert AccountPause.objects.values().get() == before


def test_test_message_that_arrives_ends_the_pause(operator):
    with FaultServer(refuses=True) as server:
        set_up(server)
        make_message("a@example.com")
        run_lane()
        assert AccountPause.objects.exists()
        server.listen()
        assert end_of(connection_check.send_test_message(None, "x@example.com", operator)).ok
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize("size", ["9" * 5000, "²", "١٢", "-1", "many"])
def test_senseless_size_that_a_server_announces_is_no_limit(size):
    with FaultServer() as server:
        server.at("EHLO", f"250-fault.example\n250 SIZE {size}")
        set_up(server)
        make_message("ann@example.com")
        run_lane()
        assert server.ledger.total() == 1


def test_authorities_of_the_system_may_change_without_a_restart(tmp_path, monkeypatch):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    Authority(tmp_path / "old")
    new = Authority(tmp_path / "new")
    known = tmp_path / "known.pem"
    known.write_bytes((tmp_path / "old" / "ca.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(known))
    make_message("ann@example.com")
    with FaultServer(tls=new.server_context(), implicit=True) as server:
        set_up(server, auth_type="tls-implicit")
        run_lane()
        assert server.ledger.total() == 0
        known.write_bytes((tmp_path / "new" / "ca.pem").read_bytes())
        AccountPause.objects.all().delete()
        run_lane()
        assert server.ledger.total() == 1
