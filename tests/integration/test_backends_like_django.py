"""Sent at once, Django code gets what Django's own SMTP backend raises: each fault is put before both of them."""

import smtplib
import socket
from types import SimpleNamespace

import pytest
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.smtp import EmailBackend

from messaging.backends import NotSent
from messaging.models import Message
from messaging.setup.secrets import encrypt
from tests.factories import hold_mail, set_up
from tests.fault_server import ACCEPT, CLOSE, RESET, FaultServer, Pause
from tests.sizes import matrix

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("queue_backend")]

REFUSED = "550 5.1.1 no such user"


def mail(*to, **options):
    to = to or ("Ada Lovelace <ada@example.com>", "Bob@example.com")
    return EmailMessage("Report", "Dear all", "Office <office@example.com>", to, **options)


def heard(send):
    """The count that a backend returns, or its error with all that is told in it."""
    try:
        return send()
    except Exception as error:
        told = {name: getattr(error, name, None) for name in ("smtp_code", "smtp_error", "sender", "recipients")}
        return type(error), told, error.errno if isinstance(error, OSError) and not told["smtp_code"] else None


def django_smtp(server, **options):
    options = {"host": "127.0.0.1", "port": server.port, "timeout": 5} | options
    return EmailBackend(**options)


PASSWORD = encrypt("secret")
SIGN_IN = {"send_type": 3, "auth_type": "default", "username": "office", "password_encrypted": PASSWORD}
TLS = {"send_type": 3, "username": "office", "password_encrypted": PASSWORD}
USER = {"username": "office", "password": "secret"}

# What the server does; how it is made; what Email Setup has; what Django's backend is given for the same.
CASES = {
    "all is well": ({}, {}, {}, {}),
    "greeted with 554": ({"GREETING": "554 5.3.2 no service here"}, {}, {}, {}),
    "greeted with 421": ({"GREETING": "421 4.3.2 too many"}, {}, {}, {}),
    "greeted with something else": ({"GREETING": "hello, who is there"}, {}, {}, {}),
    "hung up at greeting": ({"GREETING": CLOSE}, {}, {}, {}),
    "reset at greeting": ({"GREETING": (Pause(0.05), RESET)}, {}, {}, {}),
    "EHLO and HELO refused": ({"EHLO": "550 5.7.1 not you", "HELO": "550 5.7.1 not you"}, {}, {}, {}),
    "hung up at EHLO": ({"EHLO": CLOSE}, {}, {}, {}),
    "no sign-in offered": ({}, {}, SIGN_IN, USER),
    "no way to sign in that is known": ({}, {"auth": ["GSSAPI"]}, SIGN_IN, USER),
    "wrong password": (
        {"AUTH": "535 5.7.8 no"}, {"auth": ["PLAIN"]}, SIGN_IN, USER
    ),
    "sign-in not now": (
        {"AUTH": "454 4.7.0 later"}, {"auth": ["LOGIN"]}, SIGN_IN, USER
    ),
    "no STARTTLS": ({}, {}, TLS | {"auth_type": "tls-explicit"}, {"use_tls": True}),
    "STARTTLS refused": (
        {"STARTTLS": "454 4.7.0 no TLS now"}, {"tls": True}, TLS | {"auth_type": "tls-explicit"}, {"use_tls": True}
    ),
    "certificate of a stranger": ({}, {"tls": True}, TLS | {"auth_type": "tls-explicit"}, {"use_tls": True}),
    "certificate of a stranger, implicit": (
        {}, {"tls": True, "implicit": True}, TLS | {"auth_type": "tls-implicit"}, {"use_ssl": True}
    ),
    "no TLS where it belongs": ({}, {}, TLS | {"auth_type": "tls-implicit"}, {"use_ssl": True}),
    "sender refused": ({"MAIL": "550 5.7.1 not from you"}, {}, {}, {}),
    "sender not now": ({"MAIL": "451 4.7.1 later"}, {}, {}, {}),
    "hung up at MAIL with 421": ({"MAIL": ("421 4.7.0 bye", CLOSE)}, {}, {}, {}),
    "hung up at MAIL": ({"MAIL": CLOSE}, {}, {}, {}),
    "too large": ({}, {"size": 20}, {}, {}),
    "one recipient refused": ({("RCPT", "Bob@example.com"): REFUSED}, {}, {}, {}),
    "one recipient not now": ({("RCPT", "Bob@example.com"): "450 4.2.1 busy"}, {}, {}, {}),
    "all recipients refused": ({"RCPT": REFUSED}, {}, {}, {}),
    "all recipients refused, each in its way": (
        {("RCPT", "ada@example.com"): REFUSED, ("RCPT", "Bob@example.com"): "450-4.2.1 busy\n450 4.2.1 very"},
        {}, {}, {},
    ),
    "hung up at RCPT": ({"RCPT": CLOSE}, {}, {}, {}),
    "hung up at the second RCPT with 421": ({("RCPT", "Bob@example.com"): ("421 4.7.0 bye", CLOSE)}, {}, {}, {}),
    "DATA refused": ({"DATA": "554 5.7.1 no"}, {}, {}, {}),
    "DATA not now": ({"DATA": "451 4.3.0 later"}, {}, {}, {}),
    "hung up at DATA": ({"DATA": CLOSE}, {}, {}, {}),
    "content refused": ({"END": "554 5.6.0 spam"}, {}, {}, {}),
    "content not now": ({"END": "452 4.3.1 disk full"}, {}, {}, {}),
    "content refused after a recipient": ({("RCPT", "Bob@example.com"): REFUSED, "END": "554 5.6.0 no"}, {}, {}, {}),
    "hung up after the end of data": ({"END": (ACCEPT, CLOSE)}, {}, {}, {}),
    "answered with something else after the end of data": ({"END": "what was that"}, {}, {}, {}),
}  # fmt: skip


@pytest.mark.parametrize(("case", "record", "pipelining"), matrix(CASES, [(False, False), (True, True)]))
def test_the_caller_gets_what_djangos_backend_gives(case, pipelining, record, request):
    script, server_options, setup, django_options = CASES[case]
    if server_options.get("tls"):
        server_options = server_options | {"tls": request.getfixturevalue("ca").server_context()}
    hold_mail(record, hold=False)
    with FaultServer(pipelining=pipelining, **server_options) as server:
        for stage, behaviour in script.items():
            stage, recipient = stage if isinstance(stage, tuple) else (stage, "")
            server.at(stage, behaviour, recipient=recipient)
        set_up(server, **setup)
        expected = heard(lambda: django_smtp(server, **django_options).send_messages([mail()]))
        found = heard(lambda: get_connection().send_messages([mail()]))
        if case == "too large":  # the server's limit is known from EHLO, its words are not
            found[1]["smtp_error"] = expected[1]["smtp_error"]
        assert found == expected
        if record or ("after the end of data" in case and "refused" not in case):
            assert Message.objects.count() == 1
        else:
            assert not Message.objects.exists()


def test_no_listener_is_connection_refused():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        set_up(SimpleNamespace(port=port))
        expected = heard(lambda: EmailBackend(host="127.0.0.1", port=port).send_messages([mail()]))
        assert heard(lambda: get_connection().send_messages([mail()])) == expected
    assert expected[0] is ConnectionRefusedError


def test_an_unknown_name_is_djangos_gaierror():
    with FaultServer() as server:
        set_up(server, host="mail.invalid")
        with pytest.raises(socket.gaierror):
            get_connection().send_messages([mail()])


def test_an_address_that_needs_smtputf8_where_it_is_not_offered():
    with FaultServer(smtputf8=False) as server:
        set_up(server)
        with pytest.raises(smtplib.SMTPNotSupportedError):
            get_connection().send_messages([mail("zoë@example.com")])


def test_what_django_does_not_know_is_an_smtp_exception():
    with pytest.raises(NotSent, match="server"):
        get_connection().send_messages([mail()])  # nothing is in Email Setup
    assert issubclass(NotSent, smtplib.SMTPException)


def test_fail_silently_counts_what_was_sent_as_django_does():
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", REFUSED, recipient="bad@example.com")
        messages = [mail("a@example.com"), mail("bad@example.com"), mail("c@example.com", "bad@example.com"), mail()]
        django = django_smtp(server, fail_silently=True).send_messages(messages)
        sent = len(server.transactions)
        assert get_connection(fail_silently=True).send_messages(messages) == django == 3
        assert len(server.transactions) == 2 * sent


def test_the_first_failure_stops_the_rest():
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", REFUSED, recipient="bad@example.com")
        messages = [mail("a@example.com"), mail("bad@example.com"), mail("c@example.com")]
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            get_connection().send_messages(messages)
        assert [each.recipients for each in server.transactions] == [["a@example.com"]]


def test_a_message_without_recipients_is_neither_sent_nor_counted():
    with FaultServer() as server:
        set_up(server)
        messages = [EmailMessage("x", "y", "office@example.com", []), mail()]
        assert django_smtp(server).send_messages(messages) == 1
        assert get_connection().send_messages(messages) == 1
        assert len(server.transactions) == 2


def test_a_server_that_is_not_there_is_asked_once_for_all_messages_of_a_call():
    hold_mail(hold=False)
    with FaultServer() as server:
        set_up(server)
        server.at("GREETING", "421 4.3.2 not now")
        assert get_connection(fail_silently=True).send_messages([mail() for _ in range(20)]) == 0
        assert server.connections == 1
    assert list(Message.objects.values_list("status", "reason_category")) == [("failed", "busy")] * 20


def test_messages_of_a_call_share_a_connection(operator):
    with FaultServer() as server:
        set_up(server)
        assert get_connection().send_messages([mail() for _ in range(5)]) == 5
        assert (server.connections, len(server.transactions)) == (1, 5)


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_connection_that_the_server_ends_in_between_fails_no_message(pipelining):
    with FaultServer(messages=2, pipelining=pipelining) as server:
        set_up(server)
        assert get_connection().send_messages([mail() for _ in range(5)]) == 5
        server.at("BETWEEN", [CLOSE, CLOSE])
        assert get_connection().send_messages([mail() for _ in range(3)]) == 3
        assert sum(each.accepted for each in server.transactions) == 8


def test_one_that_is_not_fit_stops_all_but_silently_only_itself():
    with FaultServer() as server:
        set_up(server)
        messages = [mail(), mail("nonsense"), mail()]
        with pytest.raises(ValueError, match="“nonsense” is not a valid"):
            get_connection().send_messages(messages)
        assert not server.transactions
        assert get_connection(fail_silently=True).send_messages(messages) == 2
