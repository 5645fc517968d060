"""Octets in several places are looked at, and encoded for a server of 7 bits, as they would be in one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import mime, octets, signed_or_encrypted, transfer_encoding
from messaging.content.octets import Held, Octets, Span, Spool
from tests.mails import HEAD, LEAF, TREE, multipart, part

TEXTS = st.text("aü\r\n =.-b", max_size=300).map(str.encode) | st.text("aü\r\n", max_size=99).map(
    lambda text: text.encode("latin-1")
)
WIDE = st.builds(
    lambda kind, encoding, body: part(kind, body, b"Content-Transfer-Encoding: " + encoding),
    st.sampled_from([b"text/plain; charset=utf-8", b"text/html", b"message/rfc822", b"image/png", b"multipart/mixed"]),
    st.sampled_from([b"8bit", b"7bit", b"base64", b"quoted-printable"]),
    TEXTS,
)
MAILS = st.lists(LEAF | WIDE, max_size=4).map(lambda parts: multipart(*parts)) | WIDE | TREE | TEXTS
CUTS = st.lists(st.integers(0, 2000), max_size=6)
SIZES = st.sampled_from([1, 2, 3, 7, 64])


@pytest.fixture
def small(monkeypatch):
    """What has to go over an edge in a message of 2 KB, too."""

    def use(size):
        monkeypatch.setattr(octets, "CHUNK", size)
        monkeypatch.setattr(mime, "FIRST_WINDOW", size)

    return use


def scattered(raw, cuts, folder):
    """The same octets by turns in memory and in files."""
    edges = sorted({min(cut, len(raw)) for cut in cuts} | {0, len(raw)})
    spans = []
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        source = Held(raw) if number % 2 else Spool([raw], folder)
        spans.append(Span(source, start, stop))
    return Octets(spans)


@given(MAILS, CUTS, SIZES, st.binary(min_size=1, max_size=4) | st.sampled_from([b"\r\n", b"\n--b", "ü".encode()]))
def test_octets_are_looked_at_as_bytes_are(small, tmp_path, raw, cuts, size, sought):
    small(size)
    found = scattered(raw, cuts, tmp_path)
    assert len(found) == len(raw)
    assert b"".join(found) == raw
    assert all(len(piece) <= size for piece in found)
    for start in (0, 1, len(raw) // 2, len(raw)):
        for stop in (start, len(raw) // 3, len(raw) - 1, len(raw)):
            assert found[start:stop] == raw[start:stop]
            if 0 <= start <= stop:
                assert found.find(sought, start, stop) == raw.find(sought, start, stop)
                assert found.startswith(sought, start, stop) == raw.startswith(sought, start, stop)
                assert found.isascii(start, stop) == raw[start:stop].isascii()
                assert b"".join(found.view(start, stop)) == raw[start:stop]


def places(raw):
    return [(each.start, each.body, each.stop, each.is_leaf, each.fields) for each in mime.walk(raw)]


@given(MAILS, CUTS, SIZES)
def test_the_parts_of_a_message_are_where_they_are_in_bytes(small, tmp_path, tree, cuts, size):
    small(size)
    raw = HEAD + tree
    assert places(scattered(raw, cuts, tmp_path)) == places(raw)


def in_7bit(found):
    try:
        header, body = transfer_encoding.to_7bit(found)
    except signed_or_encrypted.Sealed:
        return None
    assert len(body) == len(b"".join(body))
    return header + b"".join(body)


@given(MAILS, CUTS, SIZES)
def test_a_message_in_files_is_encoded_as_one_in_memory(small, tmp_path, tree, cuts, size):
    whole = in_7bit(Octets.of(HEAD + tree))
    small(size)
    assert in_7bit(scattered(HEAD + tree, cuts, tmp_path)) == whole


@pytest.mark.parametrize("shift", range(0, 64, 5))
def test_lines_are_encoded_alike_wherever_a_piece_ends(small, tmp_path, shift):
    raw = HEAD + part(b"text/plain", (b"x" * (shift + 60) + "ü = .\r\n.\r\n \t\r\n".encode()) * 40)
    whole = in_7bit(Octets.of(raw))
    assert b"quoted-printable" in whole
    small(64)
    assert in_7bit(scattered(raw, [], tmp_path)) == whole


def test_nothing_is_left_of_a_spool(tmp_path):
    found = Octets([Span(Spool([b"x" * 100_000], tmp_path), 0, 100_000)])
    assert len(b"".join(found)) == 100_000
    assert list(tmp_path.iterdir()) == []
