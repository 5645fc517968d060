"""Servers whose TLS is too weak: what is wrong is said, and no one is sent to port and auth type, which are right."""

import contextlib
import socket
import ssl
import threading

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dh, rsa

from messaging.delivery.outcomes import meanings as m
from messaging.delivery.outcomes.verdict import Stage, judge
from messaging.delivery.smtp.dialogue import local_failure
from messaging.models import AccountPause
from messaging.wording import advice, in_words
from tests.certificates import general_name as dns
from tests.factories import make_message, set_up
from tests.rows import heard, statuses
from tests.steps import run_lane

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields"),
]

# The group of 1,024 bits that old servers came with (RFC 2409 6.2).
OAKLEY_2 = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


def with_short_dh(context, folder):
    path = folder / "dh.pem"
    parameters = dh.DHParameterNumbers(OAKLEY_2, 2).parameters()
    path.write_bytes(parameters.parameter_bytes(serialization.Encoding.PEM, serialization.ParameterFormat.PKCS3))
    context.load_dh_params(path)
    of_tls_1_2(context, "DHE-RSA-AES256-GCM-SHA384")


def of_tls_1_2(context, ciphers):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")


def with_ciphers(ciphers):
    return lambda context, folder: of_tls_1_2(context, ciphers)


def of_old_versions(context, folder):
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1


def refusing(alert):
    def refuse(context, folder):
        context.sni_callback = lambda *handshake: alert

    return refuse


def asking_for_a_certificate(context, folder):
    context.load_verify_locations(folder / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED


OF_CLIENTS = "certificates of clients"
WEAK = {
    "Diffie-Hellman with 1,024 bits": (with_short_dh, m.WEAK_KEY_EXCHANGE, "dh key too small"),
    "CBC with RSA alone": (with_ciphers("AES256-SHA"), m.NO_COMMON_TLS, "handshake failure"),
    "no encryption": (with_ciphers("NULL-SHA256"), m.NO_COMMON_TLS, "handshake failure"),
    "TLS 1.0 and 1.1": (of_old_versions, m.OLD_TLS_THERE, "protocol version"),
    "an error of its own": (refusing(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR), m.TLS_FAULT_THERE, "internal error"),
    "another name": (refusing(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME), m.NAME_NOT_SERVED, "unrecognized name"),
    OF_CLIENTS: (asking_for_a_certificate, m.WANTS_CERTIFICATE, "certificate required"),
}  # fmt: skip


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(65537, 2048)


class Handshakes:
    """A server that does nothing but shake hands; asyncio, and so FaultServer, hangs up without its alert."""

    def __init__(self, context, implicit):
        self.context, self.implicit = context, implicit

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                if not self.implicit:
                    for line in (b"220 hello\r\n", b"250-hello\r\n250 STARTTLS\r\n", b"220 go\r\n"):
                        sock.sendall(line)
                        sock.recv(100) if line != b"220 go\r\n" else None
                with self.context.wrap_socket(sock, server_side=True) as secure:
                    secure.recv(100)


def assert_told(server, meaning, words):
    set_up(server, host="localhost", auth_type="tls-implicit" if server.implicit else "tls-explicit")
    message = make_message("ann@example.com")
    run_lane()
    pause = AccountPause.objects.get()
    assert in_words(pause.reason) == meaning.explanation
    assert words in heard(pause)
    assert not [each for each in ("[", "_ssl.c", "(") if each in heard(pause)], "no words of a programmer"
    assert not any(word in advice(pause.reason) for word in ("465", "587", "tls-explicit", "tls-implicit"))
    assert (statuses(message), message.tries) == (["queued"], 0)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
@pytest.mark.parametrize("kind", [kind for kind in WEAK if kind != OF_CLIENTS])
def test_what_is_weak_is_told(authority, rsa_key, kind, implicit):
    weaken, meaning, words = WEAK[kind]
    context = authority.context_for("", [dns("localhost")], key=rsa_key)
    weaken(context, authority.folder)
    with Handshakes(context, implicit) as server:
        assert_told(server, meaning, words)


def test_server_that_wants_a_certificate_of_ours(authority):
    test_what_is_weak_is_told(authority, None, OF_CLIENTS, implicit=True)


@pytest.mark.parametrize("implicit", [False, True], ids=["starttls", "implicit"])
def test_certificate_with_a_short_key(authority, implicit):
    context = authority.context_for("", [dns("localhost")], key=rsa.generate_private_key(65537, 1024))
    with Handshakes(context, implicit) as server:
        assert_told(server, m.WEAK_CERTIFICATE, "key too weak")


def test_check_connection_shows_the_short_key(admin, authority):
    context = authority.context_for("", [dns("localhost")], key=rsa.generate_private_key(65537, 1024))
    with Handshakes(context, implicit=True) as server:
        set_up(server, host="localhost", auth_type="tls-implicit")
        page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert "<dd>RSA, 1,024 bits</dd>" in page
    assert "too weak to be safe (RSA, 1,024 bits; SHA256)" in page


def test_check_connection_does_not_send_to_other_ports_where_the_key_exchange_is_weak(admin, authority, rsa_key):
    context = authority.context_for("", [dns("localhost")], key=rsa_key)
    with_short_dh(context, authority.folder)
    with Handshakes(context, implicit=True) as server:
        set_up(server, host="localhost", auth_type="tls-implicit")
        page = b"".join(admin.post("/setup/email/check/").streaming_content).decode()
    assert m.WEAK_KEY_EXCHANGE.explanation in page
    assert "Port and auth type are right." in page
    assert "<dd>dh key too small</dd>" in page


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("UNSUPPORTED_PROTOCOL", m.OLD_TLS_THERE),
        ("WRONG_SIGNATURE_TYPE", m.WEAK_SIGNATURE),
        ("LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED", m.WEAK_SIGNATURE),
        ("UNSAFE_LEGACY_RENEGOTIATION_DISABLED", m.NO_COMMON_TLS),
        ("NO_SHARED_CIPHER", m.NO_COMMON_TLS),
        ("CA_MD_TOO_WEAK", m.WEAK_CERTIFICATE),
        ("WRONG_VERSION_NUMBER", m.NO_TLS_HERE),
        ("UNEXPECTED_EOF_WHILE_READING", m.NO_TLS),
    ],
)
def test_what_this_machines_openssl_makes_no_server_for(reason, meaning):
    error = ssl.SSLError(1, f"[SSL: {reason}] whatever (_ssl.c:1006)")
    error.reason = reason
    reply = local_failure(Stage.STARTTLS, error)
    assert judge(reply).meaning is meaning
    assert reply.text == reason.replace("_", " ").lower()


def test_certificate_signed_with_md5_or_sha1():
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
    error.verify_code, error.verify_message = 68, "CA signature digest algorithm too weak"
    assert judge(local_failure(Stage.STARTTLS, error)).meaning is m.WEAK_CERTIFICATE
