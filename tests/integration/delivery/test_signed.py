"""What is signed or encrypted travels octet for octet, or is refused with the reason (RFC 1847, 8551, 3156)."""

import smtplib
from email import message_from_bytes

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone
from hypothesis import given

from messaging.backends import QueueEmailBackend
from messaging.intake.gate import Refused, Submission, accept
from messaging.intake.wire import fit
from messaging.models import MessageEvent
from messaging.wording import advice, in_words
from tests.factories import make_message, set_up
from tests.fault_server import FaultServer
from tests.mails import TEXT, multipart, part
from tests.rows import parsed, status, wire
from tests.signing import (
    ENTITIES,
    HEAD,
    IN_7_BITS,
    IN_8_BITS,
    Gpg,
    SMime,
    digest,
    needs_gpg,
    needs_openssl,
    parts_of,
    signed,
)
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def smime(tmp_path_factory):
    return SMime(tmp_path_factory.mktemp("smime"))


@pytest.fixture(scope="module")
def gpg(tmp_path_factory):
    gpg = Gpg(tmp_path_factory.mktemp("gpg"))
    yield gpg
    gpg.close()


@pytest.fixture
def seven_bit(db):
    """A server without 8BITMIME; the company sends through it."""
    with FaultServer(eightbit=False) as server:
        set_up(server)
        yield server


def sent(server, raw):
    """What the server got."""
    message = make_message("ann@example.com", raw=raw)
    run_lane()
    assert status(message) == "sent"
    return server.accepted[-1].content


def refused(server, raw):
    """Why the server did not get it."""
    message = make_message("ann@example.com", raw=raw)
    run_lane()
    assert (status(message), server.accepted) == ("failed", [])
    assert message.recipients.get().status == "failed"
    return message


def body(entity):
    return entity.partition(b"\r\n\r\n")[2]


# --- Signed by real tools --------------------------------------------------------------------------


@needs_openssl
@pytest.mark.parametrize("entity", [IN_8_BITS, IN_7_BITS, IN_8_BITS.replace(b"\r\n", b"\n")], ids=["8", "7", "LF"])
@pytest.mark.parametrize("options", [[], ["-nodetach"]], ids=["detached", "opaque"])
def test_a_signature_of_openssl_fits_where_it_arrives(server, smime, entity, options):
    arrived = sent(server, smime.sign(entity, *options))
    assert smime.verify(arrived) == entity.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@needs_openssl
def test_a_signature_that_is_not_detached_passes_any_server(seven_bit, smime):
    assert smime.verify(sent(seven_bit, smime.sign(IN_8_BITS, "-nodetach"))) == IN_8_BITS


@needs_openssl
def test_a_detached_signature_over_8_bits_is_refused_where_the_server_takes_7(seven_bit, smime):
    failed = refused(seven_bit, smime.sign(IN_8_BITS))
    assert "signed or encrypted" in in_words(failed.reason)
    assert "8BITMIME" in in_words(failed.reason)
    assert "quoted-printable" in advice(failed.reason)
    assert failed.attempts.get().outcome == "permanent"
    assert smime.verify(sent(seven_bit, smime.sign(IN_7_BITS))) == IN_7_BITS


@needs_gpg
def test_a_signature_of_gpg_fits_where_it_arrives_or_is_refused(server, gpg):
    gpg.verify(sent(server, gpg.sign(IN_8_BITS)))
    with FaultServer(eightbit=False) as seven_bit:
        set_up(seven_bit)
        refused(seven_bit, gpg.sign(IN_8_BITS))
        gpg.verify(sent(seven_bit, gpg.sign(IN_7_BITS)))


@needs_gpg
def test_a_text_signed_within_itself_may_be_encoded_and_says_the_same(seven_bit, gpg):
    text = "Grüße \r\n- dash\r\n\r\nend\r\n"
    clear = gpg.clear_sign(text.encode())
    raw = HEAD + part(b"text/plain; charset=utf-8", clear, b"Content-Transfer-Encoding: 8bit")
    arrived = sent(seven_bit, raw)
    assert arrived.isascii()
    gpg.verify_clear(parsed(arrived).get_content().encode())


@needs_openssl
def test_what_a_program_signs_passes_djangos_way_in(server, smime, recording):
    class Signed(EmailMessage):
        def message(self, **options):
            return message_from_bytes(smime.sign(IN_8_BITS))

    assert Signed(from_email="office@example.com", to=["ann@example.com"], connection=QueueEmailBackend()).send() == 1
    assert smime.verify(server.accepted[-1].content) == IN_8_BITS


def test_who_sends_at_once_hears_why_it_is_refused(seven_bit, recording, sendmail):
    raw = HEAD + signed(IN_8_BITS, b"abc")
    assert sendmail("-t", stdin=raw).code == 65

    class Signed(EmailMessage):
        def message(self, **options):
            return message_from_bytes(raw)

    with pytest.raises(smtplib.SMTPNotSupportedError, match="8BITMIME"):
        Signed(from_email="office@example.com", to=["ann@example.com"], connection=QueueEmailBackend()).send()
    assert seven_bit.transactions == []


# --- Whatever is signed ----------------------------------------------------------------------------


@given(ENTITIES)
def test_what_is_signed_is_kept_octet_for_octet_or_refused(entity):
    raw = HEAD + signed(entity, digest(entity))
    try:
        kept = fit(raw, "office@example.com", timezone.now()).raw
    except Refused as refusal:
        assert "signed or encrypted" in str(refusal)
        assert any(octet in entity for octet in (b"\0", b"a\rb", b"x" * 999))
        return
    arrived, signature = parts_of(kept)
    assert digest(arrived) in signature
    assert arrived == entity


@pytest.mark.parametrize(
    ("entity", "why"),
    [
        (b"\r\n" + b"x" * 999, "998"),
        (b"\r\na\rb", "carriage return"),
        (b"\r\na\nb\r\n", "line ends"),
        (b"\r\na\0b", "NUL"),
    ],
)
@pytest.mark.parametrize("subtype", [b"signed", b"encrypted", b"signed (OpenPGP)"])
def test_what_cannot_travel_is_refused_and_said(entity, why, subtype):
    raw = HEAD + signed(entity, b"abc").replace(b"multipart/signed", b"multipart/" + subtype)
    if subtype == b"encrypted" and why == "line ends":
        return  # what is encrypted is ASCII armour: its line ends mean nothing
    with pytest.raises(Refused, match=why) as refusal:
        accept(Submission(raw, "office@example.com", ["ann@example.com"]))
    assert "sign" in str(refusal.value)


LABELS = [
    b"multipart/signed",
    b"Multipart/Encrypted",
    b"multipart/signed (OpenPGP)",
    b"(a; (b) \\) c) Multipart / Signed(d;",
]
STRUCTURE = signed(IN_8_BITS, b"abc", preamble="Präambel\r\n\r\n".encode(), epilogue="Épilogue \r\n".encode())


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    "around",
    [
        lambda sealed: HEAD + sealed,
        lambda sealed: HEAD + multipart(TEXT, sealed),
        lambda sealed: HEAD + multipart(TEXT, part(b"message/rfc822", b"Subject: inner\r\n" + sealed)),
        lambda sealed: HEAD + multipart(multipart(sealed, boundary=b"c"), part(b"text/plain", b"x" * 1200)),
        lambda sealed: HEAD + multipart(sealed, part(b"text/plain", b"bin\0ary", b"Content-Transfer-Encoding: binary")),
    ],
    ids=["the message", "a part", "in an attached message", "beside a long line", "beside a binary part"],
)
def test_the_whole_of_it_is_opaque_wherever_it_is(label, around, server):
    sealed = STRUCTURE.replace(b"multipart/signed", label)
    raw = around(sealed)
    arrived = sent(server, raw)
    assert (sealed if raw.startswith(HEAD + b"Content-Type: multipart/mixed") else body(sealed)) in arrived
    with FaultServer(eightbit=False) as seven_bit:
        set_up(seven_bit)
        refused(seven_bit, raw)


def test_what_stands_beside_it_is_encoded_for_a_server_of_7_bits(seven_bit):
    sealed = signed(IN_7_BITS, b"abc", preamble=b"a note \r\n")
    arrived = sent(seven_bit, HEAD + multipart(IN_8_BITS, sealed))
    assert arrived.isascii()
    assert sealed in arrived
    assert b"Gr=C3=BC=C3=9Fe" in arrived


def test_an_encrypted_part_of_binary_octets_is_decoded_to_the_same(seven_bit):
    data = bytes(range(256)) * 8
    for label in (b"binary", b"8bit"):
        arrived = sent(seven_bit, HEAD + part(b"application/pkcs7-mime", data, b"Content-Transfer-Encoding: " + label))
        assert arrived.isascii()
        assert parsed(arrived).get_content() == data


# --- Signed by DKIM --------------------------------------------------------------------------------

DKIM = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=k; c=relaxed/simple;\r\n"
    b" h=From:To:Subject:Date:Message-ID%s; bh=abc=; b=abc=\r\n"
)
STAMPS = b"Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"


@pytest.mark.parametrize(
    ("more", "raw", "stays"),
    [
        (b"", HEAD + STAMPS + b"\r\nHello\n\n", True),
        (b"", b"Bcc: ben@example.com\r\nReturn-Path: <a@b.example>\r\n" + HEAD + STAMPS + b"\r\nHello\r\n", True),
        (b"", STAMPS + HEAD.replace(b"Contract", "Vertrag für Ann".encode()) + b"\r\nHello\r\n", False),
        (b":Bcc", b"Bcc: ben@example.com\r\n" + HEAD + STAMPS + b"\r\nHello\r\n", False),
        (b"", HEAD + b"\r\nHello\r\n", False),  # Date and Message-ID, signed as missing, are added
        (b"", HEAD + STAMPS + b"\r\n" + b"x" * 1200, False),
        (b"; n=\xc3\xbc", HEAD + STAMPS + b"\r\nHello\r\n", False),  # the field itself is encoded
    ],
    ids=["line ends", "fields not signed", "an encoded field", "a field taken out", "fields added", "body", "itself"],
)
def test_a_dkim_signature_that_would_be_untrue_goes_and_that_is_recorded(server, more, raw, stays):
    message = make_message("ann@example.com", raw=DKIM % more + raw)
    events = " ".join(in_words(event.what) for event in message.events.all())
    assert (DKIM % more in wire(message)) is stays
    assert (b"DKIM-Signature" in wire(message)) is stays
    assert ("DKIM signature of example.com" in events) is not stays


def test_a_dkim_signature_goes_where_the_body_is_encoded_for_a_server_of_7_bits(seven_bit):
    raw = DKIM % b"" + STAMPS + HEAD + IN_8_BITS
    message = make_message("ann@example.com", raw=raw)
    assert wire(message) == raw
    run_lane()
    assert status(message) == "sent"
    (arrived,) = seven_bit.accepted
    assert b"DKIM-Signature" not in arrived.content
    assert arrived.content.isascii()
    assert "DKIM signature of example.com" in in_words(message.events.last().what)


def test_a_signature_that_goes_in_several_transactions_is_told_once(seven_bit):
    seven_bit.most_recipients = 1
    message = make_message("ann@example.com", "ben@example.com", raw=DKIM % b"" + STAMPS + HEAD + IN_8_BITS)
    run_lane()
    assert [each.recipients for each in seven_bit.accepted] == [["ann@example.com"], ["ben@example.com"]]
    assert message.events.filter(kind=MessageEvent.Kind.UNSIGNED).count() == 1
