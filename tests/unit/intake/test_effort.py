"""What it takes to read the header fields of a message has one bound, for its parts and attached messages too."""

from datetime import UTC, datetime

import pytest

from messaging.compose import rewrite
from messaging.intake import addresses, wire
from messaging.intake.errors import Refused
from tests.mails import multipart, part

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ODD = '"odd" {} ä <a{}@b.example>'  # for the library, which takes long


def to(first: int, number: int = 10) -> bytes:
    return ",\r\n ".join(ODD.format(each, each) for each in range(first, first + number)).encode() + b"\r\n"


def message(*parts: bytes, fields: bytes = b"") -> bytes:
    return b"From: a@b.example\r\nSubject: x\r\n" + fields + multipart(part(b"text/plain", b"x"), *parts)


def attached(fields: bytes) -> bytes:
    return part(b"message/rfc822", b"From: a@b.example\r\n" + fields + b"\r\nx")


@pytest.fixture
def read(monkeypatch):
    """How many mailboxes the library read; their effort may be that of 15."""
    found = []
    by_library = addresses._by_library
    monkeypatch.setattr(addresses, "_by_library", lambda entry: (found.append(entry), by_library(entry))[1])
    monkeypatch.setattr(addresses, "MOST_EFFORT", 15 * (100 + len(ODD.format(1, 1)) + 4) ** 2)
    return found


@pytest.mark.parametrize("place", ["header", "part", "attached"])
def test_mailboxes_are_read_with_one_effort_for_a_message_and_none_is_lost(read, place):
    fields = [b"To: " + to(0), b"Cc: " + to(10), b"Resent-To: " + to(20), b"Resent-Cc: " + to(30)]
    if place == "header":
        raw = message(fields=b"".join(fields))
    elif place == "part":
        raw = message(*(part(b"text/plain", b"x", each.rstrip()) for each in fields))
    else:
        raw = message(*map(attached, fields))
    fitted = wire.fit(raw, "a@b.example", NOW).raw
    assert 10 <= len(read) <= 20
    assert fitted.isascii()
    assert all(b"<a%d@b.example>" % number in fitted for number in range(40))
    assert wire.fit(fitted, "a@b.example", NOW).raw == fitted


def test_how_addresses_are_written_is_looked_up_with_one_effort(read):
    fields = b"To: " + to(0, 40).replace("ä".encode(), b"a") + b"Cc: a40@b.example\r\n"
    found = rewrite.named(fields, "To", "Cc")
    assert 10 <= len(read) <= 20
    assert found["a0@b.example"].endswith("<a0@b.example>")
    assert found["a40@b.example"] == "a40@b.example"


@pytest.mark.parametrize("make", [attached, lambda fields: part(b"text/plain", b"x", fields.rstrip())])
def test_header_fields_that_have_to_be_encoded_have_a_bound(make, monkeypatch):
    monkeypatch.setattr(wire, "MOST_ENCODED", 4_000)
    subject = "Subject: {}\r\n".format("ä" * 450).encode()
    plain = b"Subject: " + b"a" * 900 + b"\r\n"
    assert wire.fit(message(*[make(subject)] * 4), "a@b.example", NOW).raw.isascii()
    assert plain in wire.fit(message(make(subject), *[make(plain)] * 20), "a@b.example", NOW).raw
    with pytest.raises(Refused, match="Attach fewer"):
        wire.fit(message(*[make(subject)] * 5), "a@b.example", NOW)
