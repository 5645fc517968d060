"""Words of servers, of the system and of OpenSSL are shown as people write them, not as Python represents them."""

import errno
import re
import socket
import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import blobs
from messaging.content.mime import undeceptive
from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage
from messaging.delivery.smtp.dialogue import decoded
from messaging.intake.addresses import envelope_address
from messaging.intake.errors import BadAddress
from messaging.models import AccountPause, Message, Phrase, SendAttempt
from messaging.setup.host_names import CertifiedNames
from messaging.system_errors import words_of
from tests.factories import make_message, set_up, signing_in
from tests.fault_server import RESET, FaultServer
from tests.pages import source
from tests.rows import heard
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

OF_PROGRAMMERS = ("[Errno", "_ssl.c", "\\x", "\\u", "\\\\", "[SSL", "b'", "Error(", "<messaging.")


def assert_for_people(text):
    assert text
    assert not [each for each in OF_PROGRAMMERS if each in text], text


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        ("Empfänger unbekannt".encode(), "Empfänger unbekannt"),
        ("Empfänger unbekannt".encode("latin-1"), "Empfänger unbekannt"),
        ("Boîte pleine – 5 €".encode("windows-1252"), "Boîte pleine – 5 €"),
        ("Получатель не найден".encode(), "Получатель не найден"),
        (b"no \x81 such \\user", "no \ufffd such \\user"),
    ],
)
@pytest.mark.parametrize("many_lines", [False, True])
def test_reply_that_is_not_ascii(office, server, octets, words, many_lines):
    other = "550-5.1.1 Grüße\r\n".encode() if many_lines else b""
    server.at("RCPT", other + b"550 5.1.1 " + octets + b"\r\n")
    message = make_message("ann@example.com")
    run_lane()
    page = office.get(message.get_absolute_url()).content.decode()
    assert SendAttempt.objects.get().reply_text.endswith(words)
    assert words in page
    assert "Grüße" in page or not many_lines


def test_dialogue_of_a_test_message_that_is_not_ascii(admin, server):
    server.at("RCPT", b"550 Empf\xe4nger unbekannt\r\n")
    response = admin.post("/setup/email/test/", {"recipient": "me@example.com"})
    page = b"".join(response.streaming_content).decode()
    assert page.count("550 Empfänger unbekannt") >= 2
    assert "\\xe4" not in page


@given(st.binary(max_size=60))
def test_any_octets_are_words(octets):
    words = decoded(octets)
    words.encode()
    assert words.count("\n") == octets.count(b"\n")


@given(st.text(max_size=60))
def test_reply_however_it_is_made_fits_the_database_and_deceives_no_one(words):
    said = Phrase("sign-in server error", words=words)
    reply = Reply(Stage.AUTH, None, words, LocalError.NO_AUTH, {"offered": [words], "said": said})
    texts = [
        reply.text,
        *reply.params["offered"],
        reply.params["said"].params["words"],
        reply.detail.params["offered"][0],
    ]
    assert texts == [undeceptive(words)] * 4


@pytest.mark.parametrize("word", ["X\x1b[2JY", "X\x9bY", "X\0Y", " ".join(f"M{number}" for number in range(700))])
def test_ways_to_sign_in_that_a_server_names_deceive_no_one_and_have_an_end(admin, word):
    with FaultServer(auth=[word]) as server:
        set_up(server, **signing_in())
        message = make_message("ann@example.com")
        run_lane()
        pages = [
            source(admin.post("/setup/email/check/")),
            source(admin.post("/setup/email/test/", {"recipient": "ann@example.com"})),
            source(admin.get(message.get_absolute_url())),
            source(admin.get("/sending/")),
        ]
    assert not [page for page in pages if re.search("[\0\x1b\x80-\x9f]", page)]
    assert "sign-in mechanisms offered: " in heard(message.attempts.get())
    assert len(heard(message.attempts.get())) < 2100


def test_names_in_a_certificate_deceive_no_one():
    assert CertifiedNames(common=("mail\x1b.\u202eexample",)).readable == ("mail\ufffd.\ufffdexample",)


def test_connection_that_is_refused_or_reset_and_a_name_that_is_not_known(names):
    names.found["nowhere.example.com"] = []
    with FaultServer(refuses=True) as closed, FaultServer() as resetting:
        resetting.at("MAIL", RESET)
        for values in ({}, {"host": "nowhere.example.com"}, {"host": "x" * 70}):
            set_up(closed, **values)
            make_message("ann@example.com")
            run_lane()
            assert_for_people(heard(AccountPause.objects.get()))
            AccountPause.objects.all().delete()
            Message.objects.all().delete()
        set_up(resetting)
        make_message("ann@example.com")
        run_lane()
        assert heard(SendAttempt.objects.get()) == "Connection reset by peer"


def test_attachment_that_cannot_be_read(office, server, monkeypatch):
    message = make_message("ann@example.com", files=[("report.pdf", "application/pdf", b"%PDF")])
    really_open = Path.open

    def broken(path, *arguments, **options):
        if "blobs" in str(path):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return really_open(path, *arguments, **options)

    blobs._hash_of.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", broken)
        run_lane()
    attempt = message.attempts.get()
    assert "Input/output error" in heard(attempt)
    assert_for_people(heard(attempt))


@pytest.mark.parametrize("address", ["a\\b", "a'b", "Büro", 'say "hi"@', "a\tb@example.com", "\u202ea@b"])
def test_address_that_is_refused_is_shown_as_it_was_typed(address):
    with pytest.raises(BadAddress) as refused:
        envelope_address(address)
    shown = str(refused.value)
    assert "\\t" not in shown
    assert "\\u202e" not in shown
    assert address in shown or "\t" in address or "\u202e" in address


def cannot(code, *more):
    return OSError(code, "No such thing", *more)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (cannot(errno.ECONNREFUSED), "No such thing"),
        (cannot(errno.ENOENT, "/srv/mail/report.pdf"), "No such thing: /srv/mail/report.pdf"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL] unknown error (_ssl.c:1000)"), "unknown error"),
        (TimeoutError("timed out"), "timed out"),
        (KeyError("host"), "host"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_words_of_an_error(error, words):
    assert words_of(error) == words
