"""Whatever is in a header, it is refused or made fit for the wire."""

import re

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.content import dkim, mime
from messaging.intake import message_ids
from messaging.intake.gate import Refused
from messaging.intake.wire import REMOVED, fit

PIECES = [
    "Ada", "Zoë", "<a@b.example>", "a@b.example", "jürgen@x.example", "c@bücher.example", ",", ";", ":", '"', "<", ">",
    "=?utf-8?q?=C3=BC?=", "=?x?q?=FF?=", "=?utf-8?b?!!?=", "(", ")", "\\", "@", "\r\n ", "\t", "\ufeff", "\x07",
    "; name=é", "; filename*0*=utf-8''%ff", "multipart/mixed; boundary=é", "x" * 990, "é" * 400, "\u202e",
    "=?utf-8?q?=0D=0AX-Evil:_1?=", "=?utf-8?q?=0D=0AX-Evil:_=C3=BC?=", "; filename*=us-ascii''%0D%0AX-Evil:%201",
    "\x1b$", "\x1b$ +AAo-X-Evil : 1", "\x1b$+-AAoACg-X", "\x1b$B@A\x1b(B", "\x1b.A\x1bN\x05", "+AAoACg-",
    "=?utf-7?q?+AAo-X-Evil_:_1?=", "%",
    "\x0bX-Evil : 1", "\x85", "\u2028X-Evil : 1", "=?utf-16be?b?ACgAIA==?=", "charset=iso-2022-jp", "charset=utf-7",
]  # fmt: skip
CHARSETS = [
    "",
    "utf-8",
    "utf-7",
    "utf-16be",
    "cp037",
    "hz-gb-2312",
    "iso-2022-jp-2",
    "iso-2022-kr",
    "gb18030",
    "latin2",
]


WORDS = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda words: " ".join(words).encode())


FIELD = st.builds(
    lambda name, value: name + b": " + value + b"\r\n",
    st.sampled_from([b"To", b"Cc", b"Reply-To", b"Resent-To", b"Subject", b"Content-Type", b"Content-Disposition"])
    | st.sampled_from(
        [
            b"X-Note",
            b"DKIM-Signature",
            b"References",
            b"Received",
            b"Message-ID",
            b"Content-ID",
            b"MIME-Version",
            b"Bcc",
        ]
    ),
    WORDS | st.binary(max_size=30),
)


@given(st.text('<>@.ab" ()\\[]é\n', max_size=30))
def test_any_message_id_is_kept_or_none(text):
    found = message_ids.read(text)
    assert not found or (message_ids.read(found) == found and found.startswith("<") and "@" in found)


@pytest.mark.parametrize("piece", [b'"', b"=?utf-8?q?a?=", b"<", b";a=b", b"; a*0=b"])
@pytest.mark.parametrize("name", [b"Content-Type: text/plain", b"Content-Disposition: attachment"])
def test_parameters_without_end_are_refused_or_made_fit_and_take_no_time(name, piece):
    raw = b"From: office@example.com\r\n" + name + piece * 20_000 + b"\r\n\r\nx"
    try:
        assert not mime.has_long_line(fit(raw, "", timezone.now()).raw)
    except Refused as refusal:
        assert "998 characters" in str(refusal)


@given(st.lists(FIELD, max_size=5), st.binary(max_size=50))
def test_any_header_is_refused_or_made_fit_for_the_wire(fields, text):
    raw = b"From: office@example.com\r\n" + b"".join(fields) + b"\r\n" + text
    try:
        fitted = fit(raw, "", timezone.now())
    except Refused:
        return
    lines = fitted.raw.split(b"\r\n")
    assert lines[-1] == b""
    assert max(map(len, lines)) <= 998
    assert not any(octet in line for octet in b"\r\n\0" for line in lines)
    added = {"from", "date", "message-id", "mime-version", "content-transfer-encoding"}
    assert set(fitted.fields) <= {field.name for field in mime.head(raw)[0]} | added
    assert set(fitted.fields) == {field.name for field in mime.head(fitted.raw)[0]}
    utf8 = [line for line in fitted.raw[: fitted.body].split(b"\r\n") if not line.isascii()]
    # Only an address whose local part is not ASCII.
    assert all(re.search(r"[^\x00-\x7f][^@]*@", line.decode()) for line in utf8)
    assert fit(fitted.raw, "", timezone.now()).raw == fitted.raw


@given(st.lists(FIELD, max_size=4), st.sampled_from(CHARSETS), st.sampled_from([b"Hi", "Grüße".encode(), b"a\0b"]))
@example([b"X-Foo: \x1b$ +AAo-X-Evil : 1\r\n"], "utf-7", b"Hi")
@example([b"X-Foo: \x1b$+-AAoACg-Dear Sir\r\n"], "utf-7", b"Hi")
@example([b"X-Foo: \x1b$ +AAo-DKIM-Signature : x\r\n"], "utf-7", b"Hi")
@example([b"Subject: \x1b$ +AAo-X-Evil: 1\r\n"], "utf-7", b"Hi")
def test_one_field_is_made_of_one_whatever_character_set_is_declared(fields, charset, text):
    declared = f"Content-Type: text/plain; charset={charset}\r\n".encode() if charset else b""
    signature = b"DKIM-Signature: d=b.example; h=from; b=x\r\n"
    raw = b"From: office@example.com\r\n" + declared + signature + b"".join(fields) + b"X-Last: 1\r\n\r\n" + text
    before = mime.head(raw)[0]
    try:
        fitted = fit(raw, "", timezone.now())
    except Refused:
        return
    after = mime.head(fitted.raw)[0]
    dropped = {*REMOVED, *dkim.SIGNATURES, "date", "message-id", "mime-version", "content-transfer-encoding"}
    kept = [[each.name for each in found if each.name not in dropped] for found in (before, after)]
    if before[-1].name == "x-last":  # no line of the header ended it
        assert kept[0] == kept[1] and after[-1].name in ("x-last", "date", "message-id")
    assert fit(fitted.raw, "", timezone.now()).raw == fitted.raw
