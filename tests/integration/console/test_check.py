"""*Check connection* and *Send test message*: every usual mistake is named with the setting to change, step by step."""

import base64
import contextlib
import re
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509

from messaging import connection_check
from messaging.delivery.smtp import diagnosis
from messaging.delivery.smtp.dialogue import Patience
from messaging.models import AccountPause, EmailSettings, Message, SendAttempt
from messaging.wording import advice, in_words
from tests.certificates import Authority, general_name
from tests.factories import PASSWORD, make_message, set_up, signing_in
from tests.fault_server import ACCEPT, CLOSE, SILENCE, FaultServer
from tests.servers import MailServer
from tests.sizes import matrix
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

CHECK, TEST = "/setup/email/check/", "/setup/email/test/"


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """A server that says nothing is given up at once."""
    monkeypatch.setattr(connection_check, "PATIENCE", Patience(scale=0.002, final_reply=5.0))
    monkeypatch.setattr(diagnosis, "TRY_SECONDS", 1.0)


@pytest.fixture
def stranger(tmp_path_factory):
    """An authority that this machine does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


def streamed(response):
    assert response.status_code == 200
    assert response.streaming
    page = b"".join(response.streaming_content).decode()
    assert page.rstrip().endswith("</html>")
    return page


def check(client, url=CHECK):
    return streamed(client.post(url))


def send(client, url=TEST, recipient="me@example.com"):
    return streamed(client.post(url, {"recipient": recipient}))


def steps(page):
    """The steps told, as (name, state)."""
    return re.findall(r'<li class="step is-(\w+)">.*?<strong>(.*?)</strong>', page, re.DOTALL)


def eventually(true):
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


# --- When all is well --------------------------------------------------------------------------------


def test_check_tells_each_step_with_its_facts_and_sends_nothing(admin, authority):
    tls = authority.server_context()
    with FaultServer(tls=tls, auth=["PLAIN", "LOGIN"], size=35_882_577) as server:
        set_up(server, auth_type="tls-explicit", **signing_in())
        page = check(admin)
        assert "The mail server can be reached and accepts the sign-in." in page
        assert not server.heard("MAIL")
    assert steps(page) == [
        ("ok", "Settings"),
        ("ok", "Name"),
        ("ok", "Connection"),
        ("ok", "Capabilities"),
        ("ok", "TLS"),
        ("ok", "Capabilities"),
        ("ok", "Sign-in"),
    ]
    assert f"Connected to 127.0.0.1, port {server.port}." in page
    assert "34.2\xa0MB" in page
    for fact in ("tls-explicit (company settings)", "TLSv1.3", "Test authority", "(29 days left)", "PLAIN, LOGIN"):
        assert f"{fact}</dd>" in page
    assert "<dt>Names</dt><dd>127.0.0.1</dd>" in page
    assert "<dt>Mechanism</dt><dd>PLAIN</dd>" in page
    assert len(re.findall(r">\d+ ms</span>\s*</li>", page)) == 7
    assert not Message.objects.exists()
    assert not AccountPause.objects.exists()


def test_test_message_goes_the_same_way_and_shows_the_dialogue(admin, authority):
    with MailServer(tls=authority.server_context(), users={"anna": PASSWORD}) as server:
        set_up(server, auth_type="tls-explicit", from_address="office@example.com", **signing_in())
        page = send(admin)
        assert server.received[0].recipients == ["me@example.com"]
        assert server.received[0].mail_from == "office@example.com"
    assert "The mail server accepted the test message." in page
    assert "RCPT TO:&lt;me@example.com&gt;" in page
    assert "office@example.com (from address of company settings)" in page
    assert steps(page)[-2:] == [("ok", "Sign-in"), ("ok", "Message")]
    assert Message.objects.get().get_absolute_url() in page


def test_test_message_names_addresses_that_are_not_ascii_as_they_are(admin):
    with FaultServer() as server:
        set_up(server, from_address="büro@bücher.example")
        admin.post(TEST, {"recipient": "bò@example.com"}).getvalue()
        [taken] = server.accepted
    header = taken.content.partition(b"\r\n\r\n")[0].decode()
    assert "From: büro@xn--bcher-kva.example\r\nTo: bò@example.com\r\n" in header


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("go", [check, send])
def test_secrets_are_never_in_the_page(admin, go, mechanism):
    with FaultServer(auth=[mechanism]) as server:
        set_up(server, **signing_in())
        page = go(admin)
    secrets = [PASSWORD, *(base64.b64encode(text.encode()).decode() for text in (PASSWORD, f"\0anna\0{PASSWORD}"))]
    for secret in secrets:
        assert secret not in page
    assert f"AUTH {mechanism} ***" in page


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_password_that_the_server_repeats_is_told_to_nobody(admin, mechanism):
    plain = base64.b64encode(f"\0anna\0{PASSWORD}".encode()).decode()
    login = base64.b64encode(PASSWORD.encode()).decode()
    with FaultServer(auth=[mechanism]) as server:
        set_up(server, **signing_in())
        server.at("AUTH", f"535 5.7.8 not good: {PASSWORD} {plain} {login}")
        page = send(admin)
        run_lane()
        attempt = SendAttempt.objects.get()
    for shown in (page, attempt.reply_text):
        assert "not good: *** *** ***" in shown
        assert not [secret for secret in (PASSWORD, plain, login) if secret in shown]


DECEPTIVE = set("\x1b\x9b\u202e\u2028\x07")
EVIL = "\x1b[31m\x9b31m\u202egnp.exe\u2028\x07"


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "END"])
def test_words_of_the_server_deceive_nobody(admin, stage):
    """No commands for a terminal, and nothing that is read in another order than it stands there."""
    with FaultServer() as server:
        set_up(server)
        server.at(stage, f"550-5.7.1 no {EVIL}\r\n550 5.7.1 {EVIL}")
        pages = [check(admin), send(admin)]
    assert "gnp.exe" in pages[1]
    for text in (*pages, *SendAttempt.objects.values_list("reply_text", flat=True)):
        assert not set(text) & DECEPTIVE


def test_mechanisms_that_a_server_offers_deceive_nobody(admin):
    with FaultServer(auth=["PLAIN\x1b[31m\x9b", "\x07X"]) as server:
        set_up(server)
        page = check(admin)
    assert "X" in page
    assert not set(page) & DECEPTIVE


def test_certificate_that_ends_soon_is_worth_a_look(admin, authority):
    with MailServer(tls=authority.server_context(days=5), tls_from_the_start=True) as server:
        set_up(server, auth_type="tls-implicit")
        page = check(admin)
    assert ("note", "TLS") in steps(page)
    assert "has to be renewed by then" in page
    assert "can be reached" in page


# --- The usual mistakes ------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("auth_type", ["default", "tls-explicit"])
@pytest.mark.parametrize("go", [check, send])
def test_tls_from_the_first_byte_on_this_port(admin, authority, auth_type, go):
    with MailServer(tls=authority.server_context(), tls_from_the_start=True) as server:
        set_up(server, auth_type=auth_type)
        page = go(admin)
    assert f"The server speaks TLS from the first byte on port {server.port}." in page
    assert "Choose tls-implicit, or port 587 with tls-explicit, in Email Setup." in page
    assert steps(page)[-1] == ("failed", "Greeting")


def test_port_that_greets_in_clear_and_offers_starttls(admin, authority):
    with FaultServer(tls=authority.server_context()) as server:
        set_up(server, auth_type="tls-implicit", **signing_in())
        page = check(admin)
        assert {line[:4] for _, line in server.commands} <= {"EHLO"}
    assert f"The server greets in the clear on port {server.port} and offers STARTTLS there." in page
    assert "Choose tls-explicit, or port 465 with tls-implicit" in page


def test_port_that_greets_in_clear_and_offers_no_encryption(admin):
    with FaultServer() as server:
        set_up(server, auth_type="tls-implicit")
        page = check(admin)
    assert "offers no encryption there" in page
    assert "Try port 465 with tls-implicit or port 587 with tls-explicit." in page


def test_no_tls_here_is_told_by_every_delivery():
    with FaultServer() as server:
        set_up(server, auth_type="tls-implicit")
        make_message("a@example.com")
        run_lane()
    pause = AccountPause.objects.get()
    assert in_words(pause.reason) == "The mail server does not speak TLS where this setup expects it."
    assert "tls-explicit" in advice(pause.reason)


def test_server_with_old_tls_only(admin, authority):
    old = authority.server_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands():
            with contextlib.suppress(OSError), listener.accept()[0] as sock:
                old.wrap_socket(sock, server_side=True)

        handshake = threading.Thread(target=shake_hands)
        handshake.start()
        EmailSettings.objects.create(host="127.0.0.1", port=listener.getsockname()[1], auth_type="tls-implicit")
        page = check(admin)
        handshake.join()
    assert "a version of encryption (TLS) that is no longer secure" in page


def test_connection_refused_and_another_port_answers(admin, monkeypatch):
    with FaultServer(refuses=True) as closed, FaultServer() as other:
        monkeypatch.setattr(diagnosis, "USUAL_PORTS", (closed.port, other.port))
        set_up(closed)
        page = check(admin)
        assert not other.commands
    assert f"Port {closed.port} does not answer there, but {other.port} answers." in page
    assert f"Choose port {other.port} in Email Setup." in page


def test_connection_refused_everywhere(admin, monkeypatch):
    with FaultServer(refuses=True) as closed, FaultServer(refuses=True) as other:
        monkeypatch.setattr(diagnosis, "USUAL_PORTS", (other.port,))
        set_up(closed)
        page = check(admin)
    assert f"answers on none of the other usual ports either ({other.port}). A firewall may be in the way" in page


@pytest.mark.parametrize("go", [check, send])
def test_other_ports_are_tried_for_administrators_only(client, operator, monkeypatch, go):
    client.force_login(operator)
    with FaultServer(refuses=True) as closed, FaultServer() as other:
        monkeypatch.setattr(diagnosis, "USUAL_PORTS", (other.port,))
        set_up(closed)
        page = go(client, f"/preferences/email/{go.__name__.replace('send', 'test')}/")
        assert other.connections == 0
    assert "A firewall may be in the way" in page


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({"days": -1}, [r"It expired on \d+ \w+ 20\d\d\.", "renew the certificate"]),
        ({"name": "mail.example.com"},
         ["It is for mail.example.com, and not for 127.0.0.1.", "enter mail.example.com as server in Email Setup"]),
        ({"name": "*.example.com"}, [r"It is for \*.example.com, and not for 127", r"that fits \*.example.com"]),
        ("stranger", ["It comes from “Test authority”, an authority that this machine does not know.",
                      "Upload the certificate of that authority as “Certificate authorities”"]),
        ("self-signed", [r"vouches for itself \(self-signed\)", "enter this certificate as “Certificate authorities”"]),
    ],
    ids=["expired", "other-name", "wildcard", "stranger", "self-signed"],
)  # fmt: skip
def test_certificate_that_is_not_trusted_is_shown(admin, authority, stranger, implicit, certificate, words):
    if certificate == "self-signed":
        context = authority.self_signed_context()
    else:
        context = stranger.server_context() if certificate == "stranger" else authority.server_context(**certificate)
    with FaultServer(tls=context, implicit=implicit, auth=["PLAIN"]) as server:
        set_up(server, auth_type="tls-implicit" if implicit else "tls-explicit", **signing_in())
        page = check(admin)
        assert {line[:4] for _, line in server.commands} <= {"EHLO", "STAR"}, "nothing but handshakes"
    assert steps(page)[-1] == ("failed", "TLS")
    for said in ["could not be verified", "<dt>Certificate for</dt>", r"<dt>Fingerprint \(SHA-256\)</dt>", *words]:
        assert re.search(said, page), said


@pytest.mark.parametrize(
    ("common", "alternative", "words"),
    [
        ("", ["DNS:127.0.0.1"], "It lists 127.0.0.1 as a host name, not as an address"),
        ("127.0.0.1", None, "It lists 127.0.0.1 as a host name, not as an address"),
        ("", ["DNS:*.lan"], "not for 127.0.0.1. *.lan matches no other name"),
        ("", ["DNS:ma*.example.com"], "ma*.example.com matches no other name"),
        ("The mail server", None, "It names no host, so it does not name 127.0.0.1."),
        ("mail.example.com", None, "If it is the same server, enter mail.example.com as server"),
        ("mail.example.com", ["DNS:a.example.com"], "It is for a.example.com, and not for 127.0.0.1."),
        ("", ["DNS:*.lan", "DNS:*.example.com"], "Enter a name as server in Email Setup that fits *.example.com."),
    ],
)
def test_words_about_the_names_of_a_certificate_do_not_contradict_it(admin, authority, common, alternative, words):
    names = alternative and [x509.DNSName(name.removeprefix("DNS:")) for name in alternative]
    with FaultServer(tls=authority.context_for(common, names), implicit=True) as server:
        set_up(server, auth_type="tls-implicit")
        page = check(admin)
    assert words in page
    assert "It is for 127.0.0.1" not in page
    assert "in order" not in page
    assert "fits *.lan" not in page
    assert "enter 127.0.0.1" not in page


def test_common_name_that_the_handshake_takes_is_told_as_a_name(admin, authority):
    with FaultServer(tls=authority.context_for("localhost", None), implicit=True) as server:
        set_up(server, host="localhost", auth_type="tls-implicit")
        page = check(admin)
    assert "The mail server can be reached." in page
    assert "<dt>Names</dt><dd>localhost</dd>" in page


@pytest.mark.parametrize(
    ("common", "alternative"),
    [("localhost", None), ("LOCALHOST", None), ("localhost", ["127.0.0.1"]), ("", ["localhost"])],
)
def test_certificate_of_a_stranger_that_is_for_the_host_is_not_said_to_be_for_another(
    admin, stranger, common, alternative
):
    names = alternative and list(map(general_name, alternative))
    with FaultServer(tls=stranger.context_for(common, names), implicit=True) as server:
        set_up(server, host="localhost", auth_type="tls-implicit")
        page = check(admin)
    assert "an authority that this machine does not know" in page
    assert "not for localhost" not in page
    assert "names no host" not in page


@pytest.mark.parametrize(
    ("certificate", "todo"),
    [
        ({"days": -1}, "It has expired"),
        ({"name": "other.example"}, "for a different name"),
        ("stranger", "does not know"),
    ],
)
def test_every_delivery_says_what_is_wrong_with_a_certificate(authority, stranger, certificate, todo):
    tls = stranger.server_context() if certificate == "stranger" else authority.server_context(**certificate)
    with FaultServer(tls=tls, implicit=True) as server:
        set_up(server, auth_type="tls-implicit")
        make_message("a@example.com")
        run_lane()
    assert todo in advice(AccountPause.objects.get().reason)
    assert todo in advice(SendAttempt.objects.get().reason)


def test_authority_of_a_layer_is_trusted_by_check_and_delivery_of_that_layer_alone(admin, operator, stranger):
    with MailServer(tls=stranger.server_context()) as server:
        set_up(server, auth_type="tls-explicit")
        bundle = (stranger.folder / "ca.pem").read_text()
        EmailSettings.objects.create(account=operator, ca_bundle=bundle)
        assert "an authority that this machine does not know" in check(admin)
        assert "can be reached" in check(admin, f"/setup/email/users/{operator.username}/check/")
        assert "can be reached" in check(admin, "/preferences/email/check/")
        EmailSettings.objects.filter(account=None).update(ca_bundle=bundle)
        EmailSettings.objects.exclude(account=None).delete()
        assert "can be reached" in check(admin)
        message = make_message("a@example.com")
        run_lane()
        message.refresh_from_db()
        assert message.status == "sent"


def test_authority_entered_does_not_excuse_another_name(admin, stranger):
    with MailServer(tls=stranger.server_context(name="mail.example.com")) as server:
        set_up(server, auth_type="tls-explicit", ca_bundle=(stranger.folder / "ca.pem").read_text())
        assert "It is for mail.example.com, and not for 127.0.0.1." in check(admin)


def test_sign_in_only_after_starttls(admin, authority):
    with FaultServer(tls=authority.server_context()) as server:
        set_up(server, **signing_in())
        page = check(admin)
    assert "The server offers STARTTLS, and a sign-in only after it." in page
    assert "Choose tls-explicit in Email Setup." in page


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (["XOAUTH2"], "The server accepts no password: it offers only sign-in with a token (XOAUTH2)."),
        (["NTLM", "GSSAPI"], "The server offers only NTLM and GSSAPI, which this setup cannot use."),
        ([], "The server offers no sign-in at all on port"),
    ],
)
def test_sign_in_in_no_way_that_is_set_up(admin, auth, words):
    with FaultServer(auth=auth) as server:
        set_up(server, **signing_in())
        assert words in check(admin)


@pytest.mark.parametrize(
    ("reply", "explanation", "advice"),
    [
        ("535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
         "Password sign-in for SMTP is switched off in Microsoft 365", "Choose Microsoft 365 as “Way to sign in”"),
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
         "Password sign-in for SMTP is switched off in Microsoft 365", "Choose Microsoft 365 as “Way to sign in”"),
        ("535 5.7.3 Authentication unsuccessful", "refused the user name or the password",
         "choose another “Way to sign in” for those"),
        ("534 5.7.9 Application-specific password required.", "wants an app password or modern sign-in",
         "Choose another “Way to sign in”"),
        ("534 5.7.9 Authentication mechanism is too weak", "wants an app password or modern sign-in",
         "Choose another “Way to sign in”"),
        ("534 5.7.14 Please log in via your web browser and then try again.", "confirm the sign-in",
         "Sign in to the account with a web browser"),
        ("535 5.7.8 Username and Password not accepted.", "refused the user name or the password",
         "Enter user name and password again in Email Setup."),
    ],
)  # fmt: skip
def test_password_sign_in_that_is_switched_off(admin, reply, explanation, advice):
    with FaultServer(auth=["PLAIN"]) as server:
        server.at("AUTH", reply)
        set_up(server, **signing_in())
        page = check(admin)
    assert explanation in page
    assert advice in page
    assert reply in page, "the server's own words"
    assert steps(page)[-1] == ("failed", "Sign-in")


@pytest.mark.parametrize(
    "reply",
    ["530 5.7.0 Authentication Required.", "530 5.7.57 Client not authenticated to send mail."],
)
def test_server_that_wants_a_sign_in_which_send_type_2_has_not(admin, reply):
    with FaultServer(auth=["PLAIN", "LOGIN"]) as server:
        server.at("MAIL", reply)
        set_up(server)
        page = send(admin)
    assert "takes mail only after a sign-in and offers it (PLAIN and LOGIN); send type 2 uses none." in page
    assert "Choose send type 3" in page
    assert steps(page)[-1] == ("failed", "Sender")


def test_from_address_refused_says_which_and_where_it_comes_from(admin, operator):
    with FaultServer() as server:
        server.at("MAIL", "553 5.7.1 <office@example.com>: Sender address rejected: not owned by user anna")
        set_up(server, from_address="office@example.com")
        page = send(admin)
        assert "The message was to go from office@example.com: from address of company settings." in page
        assert "Change “From address” in Email Setup" in page
        EmailSettings.objects.create(account=operator, from_address="anna@example.com")
        page = send(admin, f"/setup/email/users/{operator.username}/test/")
        assert "The message was to go from anna@example.com: from address of settings of anna." in page
        EmailSettings.objects.update(from_address="")
        assert "from anna@office.example: your own address, as Email Setup has no from address." in send(admin)


def test_test_message_put_off_by_the_server_is_not_said_to_go_by_itself(admin):
    with FaultServer() as server:
        server.at("RCPT", "451 4.3.0 Temporary lookup failure")
        set_up(server)
        page = send(admin)
    assert "A test message is not tried again: send another one in a while." in page
    assert "it is tried again automatically" not in page
    assert Message.objects.get().status == "failed"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": ""}, "No SMTP server is set."),
        ({"send_type": 1}, "The send type is 1 (MAPI, Outlook)"),
        ({"auth_type": "ssl"}, "SSL 3.0"),
        ({"send_type": 3, "username": "anna", "password_encrypted": "lost"}, "cannot be read with the keys"),
        ({"send_type": 3}, "user name and password are not set"),
    ],
)
@pytest.mark.parametrize("go", [check, send])
def test_settings_that_cannot_work_are_told_without_connecting(admin, go, values, words):
    with FaultServer() as server:
        set_up(server, **values)
        page = go(admin)
        assert server.connections == 0
    assert steps(page) == [("failed", "Settings")]
    assert words in page
    assert not Message.objects.exists()


@pytest.mark.parametrize("go", [check, send])
def test_opt_file_that_cannot_be_read_is_told_without_connecting(admin, settings, tmp_path, go):
    settings.EMAIL_OPT_DIR = tmp_path
    (tmp_path / "email.smtp_port.opt").write_text("seventy\n")
    with FaultServer() as server:
        set_up(server)
        page = go(admin)
        assert server.connections == 0
    assert "This server sends nothing until its file email.smtp_port.opt is fixed." in page
    assert "email.smtp_port.opt" in page


# --- Addresses that are never connected to -----------------------------------------------------------


@pytest.fixture
def tried(monkeypatch):
    """The addresses that a socket was asked to connect to; those beyond this machine are out of reach at once."""
    tried = []
    connect = socket.socket.connect

    def spy(sock, address):
        tried.append(address[0])
        if address[0] != "127.0.0.1":
            raise TimeoutError("out of reach")
        return connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", spy)
    return tried


def beyond(tried):
    """Without what the database and Redis of this machine were asked."""
    return [address for address in tried if address != "127.0.0.1"]


REFUSED = [
    "169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a9fe:a9fe", "::169.254.169.254", "::ffff:0:169.254.169.254",
    "2002:a9fe:a9fe::1", "0.0.0.0", "::",
]  # fmt: skip


@pytest.mark.parametrize(("address", "go", "auth_type"), matrix(REFUSED, [check, send], ["default", "tls-implicit"]))
def test_name_that_leads_to_a_forbidden_address_is_refused(admin, names, tried, address, go, auth_type):
    names.found["mail.example.com"] = [address]
    with FaultServer() as server:
        set_up(server, host="mail.example.com", auth_type=auth_type)
        page = go(admin)
        assert server.connections == 0
    assert steps(page)[-1] == ("failed", "Name")
    assert "points to an address that Outtray never connects to" in page
    assert names.asked == ["mail.example.com"]
    assert address not in tried
    assert beyond(tried) == []


def test_forbidden_address_pauses_the_account_with_tries_unspent(names, tried):
    names.found["mail.example.com"] = ["169.254.169.254"]
    with FaultServer() as server:
        set_up(server, host="mail.example.com")
        message = make_message("a@example.com")
        run_lane()
    message.refresh_from_db()
    assert (message.status, message.tries) == ("queued", 0)
    assert "Outtray never connects to" in in_words(AccountPause.objects.get().reason)
    assert beyond(tried) == []


def test_name_that_is_not_known(admin, names, tried):
    names.found["mail.example.com"] = []
    EmailSettings.objects.create(host="mail.example.com")
    page = check(admin)
    assert steps(page)[-1] == ("failed", "Name")
    assert "The name of the mail server was not found." in page
    assert "Check the server name in Email Setup." in page
    assert beyond(tried) == []


def test_of_a_good_and_a_bad_address_the_good_one_is_used_and_the_name_resolved_once(admin, names, tried):
    names.found["mail.example.com"] = ["169.254.169.254", "127.0.0.1"]
    with FaultServer() as server:
        set_up(server, host="mail.example.com")
        page = check(admin)
        assert server.connections == 1
    assert "can be reached" in page
    assert "<dt>Addresses</dt><dd>127.0.0.1</dd>" in page
    assert names.asked == ["mail.example.com"]
    assert beyond(tried) == []


@pytest.mark.slow
def test_diagnosis_uses_the_checked_addresses_and_does_not_resolve_again(admin, names, tried, authority):
    """A name that leads elsewhere at the second question (DNS rebinding) gains nothing."""
    names.found["mail.example.com"] = ["169.254.169.254", "127.0.0.1"]
    with MailServer(tls=authority.server_context(), tls_from_the_start=True) as server:
        set_up(server, host="mail.example.com", auth_type="default")
        page = check(admin)
    assert "speaks TLS from the first byte" in page
    assert names.asked == ["mail.example.com"]
    assert beyond(tried) == []


def test_name_with_very_many_addresses_is_given_up_after_a_few(admin, names, tried):
    names.found["mail.example.com"] = [f"192.0.2.{number}" for number in range(1, 100)]
    EmailSettings.objects.create(host="mail.example.com", port=2525)
    page = check(admin)
    assert steps(page)[-1] == ("failed", "Connection")
    assert len(beyond(tried)) <= 16


def test_each_address_is_tried_in_turn(admin, names, tried):
    names.found["mail.example.com"] = ["192.0.2.1", "127.0.0.1"]
    with FaultServer() as server:
        set_up(server, host="mail.example.com")
        assert "can be reached" in check(admin)
    assert beyond(tried) == ["192.0.2.1"]


# --- The page comes as the work goes on --------------------------------------------------------------


@pytest.mark.slow
def test_steps_arrive_one_by_one(admin):
    go_on = threading.Event()
    with FaultServer() as server:
        server.at("EHLO", lambda: go_on.wait(10) and None)
        set_up(server)
        connection_check.PATIENCE = Patience(scale=0.1)
        response = admin.post(CHECK)
        assert response["Cache-Control"] == "no-store"
        assert response["X-Accel-Buffering"] == "no"
        pieces = iter(response.streaming_content)
        come = next(pieces).decode()
        assert "<h1>Check connection</h1>" in come
        assert '<ol class="steps"' in come
        while "Connected to" not in come:
            come += next(pieces).decode()
        assert "Capabilities" not in come
        assert next(pieces) == b"\n", "a sign of life while the server keeps us waiting"
        go_on.set()
        come += b"".join(pieces).decode()
    assert [name for _, name in steps(come)] == ["Settings", "Name", "Connection", "Capabilities"]
    assert come.count("<ol") == come.count("</ol>")
    assert come.count("</html>") == 1


def test_check_ends_when_the_browser_leaves(admin):
    go_on = threading.Event()
    with FaultServer(auth=["PLAIN"]) as server:
        server.at("EHLO", lambda: go_on.wait(10) and None)
        set_up(server, **signing_in())
        connection_check.PATIENCE = Patience(scale=0.1)
        response = admin.post(CHECK)
        next(iter(response.streaming_content))
        eventually(lambda: server.heard("EHLO"))
        response.close()
        go_on.set()
        eventually(lambda: server.live == 0)
        assert not server.heard("AUTH")
    eventually(lambda: connection_check._places._value == connection_check.AT_ONCE)


def test_test_message_is_recorded_to_its_end_when_the_browser_leaves(admin):
    go_on = threading.Event()
    with FaultServer() as server:
        server.at("EHLO", lambda: go_on.wait(10) and None)
        set_up(server)
        connection_check.PATIENCE = Patience(scale=0.1)
        response = admin.post(TEST, {"recipient": "me@example.com"})
        next(iter(response.streaming_content))
        eventually(lambda: server.heard("EHLO"))
        response.close()
        go_on.set()
        eventually(lambda: connection_check._places._value == connection_check.AT_ONCE)
        assert len(server.accepted) == 1
    assert Message.objects.get().status == "sent"


def test_error_in_the_middle_ends_the_page_with_a_message(admin, monkeypatch, caplog):
    def fail(*args, **options):
        raise RuntimeError("a bug")

    monkeypatch.setattr(connection_check, "diagnose", fail)
    with FaultServer(refuses=True) as server:
        set_up(server)
        page = check(admin)
    assert "The check could not be finished, because of an error on this server." in page
    assert "a bug" not in page
    assert "a bug" in caplog.text
    assert page.count("<ol") == page.count("</ol>")


def test_no_more_than_a_few_at_once(admin, monkeypatch):
    with FaultServer() as server:
        set_up(server)
        monkeypatch.setattr(connection_check, "_places", threading.BoundedSemaphore(1))
        with connection_check._places:
            for response in (admin.post(CHECK), admin.post(TEST, {"recipient": "me@example.com"})):
                assert response.status_code == 429
                assert "Try again in a minute" in response.content.decode()
        assert server.connections == 0
        assert "can be reached" in check(admin)
        assert "can be reached" in check(admin), "the place is free again"
    assert not Message.objects.exists()


def test_machine_without_a_thread_left_keeps_no_place_taken(admin, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    with FaultServer() as server:
        set_up(server)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            assert {admin.post(CHECK).status_code for _ in range(connection_check.AT_ONCE + 1)} == {429}
        assert "can be reached" in check(admin)


def test_server_that_hangs_up_in_mid_transaction_is_told_as_the_attempt_tells_it(admin):
    with FaultServer() as server:
        server.at("MAIL", CLOSE)
        set_up(server)
        page = send(admin)
    assert steps(page)[-1] == ("failed", "Sender")
    assert page.count("The connection broke before the message was handed over.") == 2


def test_outcome_that_is_unknown_is_said_to_be(admin):
    with FaultServer() as server:
        server.at("END", (ACCEPT, CLOSE))
        set_up(server)
        page = send(admin)
    assert "before the server said whether it took it" in page
    assert Message.objects.get().status == "unknown"


def test_absurd_capabilities_are_no_error(admin):
    with FaultServer() as server:
        server.at("EHLO", f"250-fault.example <b>\n250-SIZE {'9' * 5000}\n250-AUTH\n250 \x01")
        set_up(server)
        page = check(admin)
    assert "no limit given" in page
    assert "can be reached" in page
    assert "<b>" not in page


@pytest.mark.slow
@pytest.mark.parametrize("stage", [SILENCE, CLOSE, b"HTTP/1.1 400 Bad Request\r\n"])
def test_something_that_is_no_mail_server(admin, stage):
    with FaultServer() as server:
        server.at("GREETING", stage)
        set_up(server)
        page = check(admin)
    assert steps(page)[-1] == ("failed", "Greeting")
    assert "accepted the connection but did not answer" in page
    assert "TLS from the first byte" not in page


# --- Who may, and how --------------------------------------------------------------------------------

OF_ADMINS = [CHECK, TEST, "/setup/email/users/anna/check/", "/setup/email/users/anna/test/"]
OWN = ["/preferences/email/check/", "/preferences/email/test/"]


@pytest.mark.parametrize("url", OF_ADMINS)
def test_only_admins_check_the_company_and_others(client, operator, url):
    client.force_login(operator)
    with FaultServer() as server:
        set_up(server)
        response = client.post(url, {"recipient": "a@example.com"})
        assert server.connections == 0
    assert response.status_code == 403
    assert "Only an administrator" in response.content.decode()


@pytest.mark.parametrize("url", OWN)
def test_everybody_checks_their_own(client, operator, url):
    client.force_login(operator)
    with FaultServer() as mine, FaultServer() as companys:
        set_up(companys)
        EmailSettings.objects.create(account=operator, port=mine.port)
        page = streamed(client.post(url, {"recipient": "a@example.com"}))
        assert (mine.connections, companys.connections) == (1, 0)
    assert f"{mine.port} (settings of anna)" in page
    assert 'href="/preferences/email/"' in page


def test_settings_of_a_user_who_is_not_there(admin):
    assert admin.post("/setup/email/users/nobody/check/").status_code == 404


@pytest.mark.parametrize("url", [*OF_ADMINS, *OWN])
def test_opening_the_address_does_nothing(admin, url):
    response = admin.get(url)
    assert response.status_code == 405
    assert "works only from a button" in response.content.decode()
    assert not Message.objects.exists()


@pytest.mark.parametrize("url", [*OF_ADMINS, *OWN])
def test_strangers_are_asked_to_sign_in(client, url):
    assert "/accounts/login/" in client.post(url).url


def test_email_setup_has_both_buttons_and_knows_your_address(admin):
    page = admin.get("/setup/email/").content.decode()
    assert f'action="{CHECK}"' in page
    assert f'action="{TEST}"' in page
    assert 'value="anna@office.example"' in page


@pytest.mark.parametrize("recipient", ["", "nobody", "a@b@c", "a@example.com\r\nRCPT TO:<x@example.com>", "x" * 400])
def test_test_message_to_no_address_is_refused_on_the_page_itself(admin, mail_server, email_setup, recipient):
    response = admin.post(TEST, {"recipient": recipient})
    assert response.status_code == 422
    assert not response.streaming
    page = response.content.decode()
    assert "invalid-feedback" in page
    assert "<h1>Send test message</h1>" in page
    assert f'action="{TEST}"' in page
    assert mail_server.connections == 0
    assert not Message.objects.exists()
