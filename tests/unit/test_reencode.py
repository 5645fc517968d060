"""What goes to a server without 8BITMIME is 7-bit, in short lines, and decodes to the same (RFC 6152, RFC 2045 6)."""

import base64

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import mime, transfer_encoding
from messaging.content.octets import Octets
from messaging.intake.gate import Refused
from messaging.intake.wire import fit
from tests.mails import HEAD, OCTETS, TREE, multipart, part
from tests.rows import parsed

CYRILLIC = "Счёт за ноябрь. " * 400
GERMAN = "Mit freundlichen Grüßen aus Köln\r\n" * 100


def fitted(raw):
    return fit(raw, "office@example.com", timezone.now()).raw


def to_7bit(raw):
    header, body = transfer_encoding.to_7bit(Octets.of(raw))
    whole = header + b"".join(body)
    assert len(whole) == len(header) + len(body)
    return whole


def decoded(raw):
    """What all its parts say, those of attached messages too."""
    found = []
    for each in mime.leaves(raw):
        if each.content_type == "message/rfc822" and each.encoding not in ("base64", "quoted-printable"):
            found += decoded(each.encoded)
        else:
            found.append(b"".join(mime.decode([each.encoded], each.encoding)))
    return found


@given(TREE)
def test_any_tree_of_parts_is_7_bits_in_short_lines_and_says_the_same(tree):
    try:
        raw = fitted(HEAD + tree)
    except Refused:
        return
    encoded = to_7bit(raw)
    assert encoded.isascii()
    assert max(map(len, encoded.split(b"\r\n"))) <= 998
    assert to_7bit(encoded) == encoded
    assert decoded(encoded) == decoded(raw)


@given(st.sampled_from([b"text/plain", b"text/html; charset=utf-16", b"image/png", b"message/global"]),
       st.sampled_from([b"8bit", b"7bit", b"binary", b"base64", b"quoted-printable"]),
       OCTETS | st.text("aü\r\n\0 =.", max_size=2000).map(str.encode))  # fmt: skip
def test_what_any_one_part_says_passes_the_gate_and_a_server_of_7_bits(kind, encoding, octets):
    raw = HEAD + part(kind, octets, b"Content-Transfer-Encoding: " + encoding)
    before = decoded(raw)[0]
    (after,) = decoded(to_7bit(fitted(raw)))
    if encoding in (b"binary", b"base64") or (b"\0" in octets and kind == b"image/png"):
        assert after.rstrip(b"\r\n") == before.rstrip(b"\r\n")
    else:
        assert after.replace(b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n") == before.replace(
            b"\r\n", b"\n").replace(b"\r", b"\n").rstrip(b"\n")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "encoding"),
    [(CYRILLIC, b"base64"), (GERMAN, b"quoted-printable"), ("<p>Да</p> and so on and on, " * 60, b"quoted-")],
)
def test_a_text_gets_the_shorter_encoding(text, encoding):
    encoded = to_7bit(HEAD + part(b"text/plain; charset=utf-8", text.encode(), b"Content-Transfer-Encoding: 8bit"))
    assert b"\r\nContent-Transfer-Encoding: " + encoding in encoded
    assert len(encoded) < 1.45 * len(text.encode()) + 400
    assert parsed(encoded).get_content().rstrip() == text.rstrip()


@given(
    st.text("-aäx\n", max_size=300).map(lambda text: text.replace("\n", "\r\n")),
    st.sampled_from([b"-", b"--", b"a-", b"frontier"]),
    st.sampled_from([b"8bit", b"base64", b"quoted-printable"]),
)
def test_no_line_that_is_encoded_ends_a_part(text, boundary, encoding):
    """Texts that a program encoded so that none of their lines is a delimiter stay one part (RFC 2046 5.1.1)."""
    text = text.replace("x", "--frontier--\r\n" if encoding != b"8bit" else "x") + "y" * 60 + "--frontier--ü"
    octets = text.encode()
    if encoding == b"8bit" and any(line.startswith(b"--") for line in octets.splitlines()):
        return
    body = {
        b"8bit": octets,
        b"base64": base64.b64encode(octets),  # on one line
        b"quoted-printable": octets.replace(b"-", b"=2D") + b"z" * 1000,
    }[encoding]
    given = part(b"text/plain; charset=utf-8", body, b"Content-Transfer-Encoding: " + encoding)
    encoded = to_7bit(fitted(HEAD + multipart(given, part(b"text/plain", b"second"), boundary=boundary)))
    assert max(map(len, encoded.split(b"\r\n"))) <= 998
    first, second = parsed(encoded).iter_parts()
    assert second.get_content() == "second"
    assert first.get_content().replace("\r\n", "\n").startswith(text.replace("\r\n", "\n"))


@pytest.mark.parametrize(
    "text",
    [
        "--" * 40 + "ü",
        "-- \r\nYours sincerely, and with best regards, Jörg",
        "-" * 76 + "ü",
        "x" * 75 + "--ü--",
        "-" * 500 + "ü",
    ],
)
def test_lines_of_quoted_printable_stay_short_where_a_dash_is_encoded(text):
    data, name = transfer_encoding._text(Octets.of(text.encode()), is_held=True)
    lines = b"".join(data).split(b"\r\n")
    assert name == b"quoted-printable"
    assert max(map(len, lines)) <= 76
    assert not [line for line in lines if line.startswith(b"--")]
    assert b"".join(mime.decode([b"".join(data)], name.decode())).decode() == text


INNER = "From: Jörg <joerg@example.com>\r\nSubject: Grüße\r\nX-Note: ü\r\n"
INNER += "Content-Type: text/plain; charset=utf-8\r\n\r\n"


@pytest.mark.parametrize("text", ["Hello\r\n", "Grüße\r\n"])
@pytest.mark.parametrize("label", [b"8bit", b"7bit"])
def test_the_header_of_an_attached_message_is_encoded_as_its_text_is(text, label):
    attached = part(b"message/rfc822", (INNER + text).encode(), b"Content-Transfer-Encoding: " + label)
    raw = fitted(HEAD + multipart(part(b"text/plain", b"see"), attached))
    encoded = to_7bit(raw)
    assert encoded.isascii()
    _, found = parsed(encoded).iter_parts()
    assert found["Content-Transfer-Encoding"] in (None, "7bit")
    inner = found.get_content()
    assert (inner["From"].addresses[0].display_name, inner["Subject"], inner["X-Note"]) == ("Jörg", "Grüße", "ü")
    assert inner.get_content().strip() == text.strip()


def test_the_messages_of_a_digest_are_attached_messages():
    raw = HEAD + multipart(b"\r\n" + (INNER + "Grüße\r\n").encode(), subtype=b"digest")
    assert not raw.isascii()
    encoded = to_7bit(fitted(raw))
    assert encoded.isascii()
    (found,) = parsed(encoded).iter_parts()
    assert (found.get_content_type(), found["Content-Transfer-Encoding"]) == ("message/rfc822", None)
    assert found.get_content().get_content().strip() == "Grüße"


def test_an_attached_message_whose_header_cannot_be_ascii_is_encoded_whole():
    inner = "From: jörg@example.com\r\nSubject: x\r\n\r\nGrüße\r\n".encode()
    raw = fitted(HEAD + multipart(part(b"text/plain", b"see"), part(b"message/rfc822", inner)))
    encoded = to_7bit(raw)
    assert encoded.isascii()
    *_, found = mime.leaves(encoded)
    assert (found.content_type, found.encoding) == ("message/global", "base64")
    assert b"".join(mime.decode([found.encoded], "base64")) == inner


def test_a_preamble_and_an_epilogue_of_8_bits_are_7_bits_and_the_parts_stay():
    raw = HEAD + multipart(part(b"text/plain", b"one"), part(b"text/plain", b"two"), end="--\r\nÉpilogue".encode())
    raw = raw.replace(b"\r\n\r\n--b", "\r\n\r\nDies ist für alte Programme\r\n--b".encode(), 1)
    encoded = to_7bit(fitted(raw))
    assert encoded.isascii()
    assert [leaf.encoded for leaf in mime.leaves(encoded)] == [b"one", b"two"]


@pytest.mark.parametrize("octets", ["Grüße\r\n".encode(), b"Gr\xfc\xdfe\r\n", b"x" * 1200 + b"\r\n"])
def test_a_multipart_in_which_no_parts_can_be_found_is_sent_as_the_text_that_it_is(octets):
    encoded = to_7bit(fitted(b"Content-Type: multipart/mixed; boundary=none\r\n" + HEAD + b"\r\n" + octets))
    assert encoded.isascii()
    (leaf,) = mime.leaves(encoded)
    assert leaf.content_type == "text/plain"
    assert b"".join(mime.decode([leaf.encoded], leaf.encoding)) == octets


def test_an_attached_message_that_is_encoded_against_the_rules_stays_as_it_is():
    inner = part(b"message/rfc822", b"QUJD" * 300, b"Content-Transfer-Encoding: base64")
    *_, found = mime.leaves(fitted(HEAD + multipart(inner)))
    assert b"".join(mime.decode([found.encoded], found.encoding)) == b"ABC" * 300
