"""Short encoded words, made without the standard library's folding, are those that it would have made."""

from email.header import Header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.content import mime

TEXTS = st.text(st.sampled_from('aZ =?_".-äß€中😀Я\u00a0\u200b\t\x7f'), max_size=60)


@given(TEXTS, st.sampled_from(["", "Subject", "X-A-Name-That-Is-Rather-Long"]))
def test_a_short_text_becomes_the_one_word_that_the_standard_library_makes_of_it(text, field):
    expected = Header(text, "utf-8", maxlinelen=76, header_name=field or None).encode(linesep="\r\n")
    assert mime.encoded_words(text, field=field) == expected


def nested(depth, body=b"x"):
    """`depth` multiparts in each other around a text."""
    names = [b"n%d" % number for number in range(depth)]
    head = b"".join(b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (name, name) for name in names)
    return head + b"\r\n" + body + b"".join(b"\r\n--%b--" % name for name in reversed(names)) + b"\r\n"


def test_multiparts_nested_deeper_than_any_program_does_are_one_body():
    [text] = mime.leaves(nested(mime.MAX_DEPTH))
    assert (text.content_type, text.encoded) == ("text/plain", b"x")
    [rest] = mime.leaves(nested(mime.MAX_DEPTH + 1))
    assert (rest.content_type, rest.boundary) == ("multipart/mixed", b"n%d" % mime.MAX_DEPTH)


def almost(number):
    return (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none"
        + b"\r\n--bb" * number
        + b"\r\n--b\r\n\r\ntwo\r\n--b--"
    )


def test_lines_that_only_begin_like_a_boundary_are_text():
    first, second = mime.leaves(almost(mime.MAX_NEAR_MISSES))
    assert first.encoded == b"one" + b"\r\n--bb" * mime.MAX_NEAR_MISSES
    assert second.encoded == b"two"


def test_after_too_many_of_them_the_rest_is_one_body():
    [only] = mime.leaves(almost(mime.MAX_NEAR_MISSES + 1))
    assert only.encoded.startswith(b"one\r\n--bb") and only.encoded.endswith(b"two\r\n--b--")


ENDS = ["\r", "\n", "\r\n", "\r\n ", "\n\t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


@given(st.lists(st.sampled_from([*ENDS, "a", "X-Evil: 1", "X-Evil : 1", "ö", " ", "long " * 20])).map("".join),
       st.sampled_from(["utf-8", "us-ascii"]))  # fmt: skip
def test_a_value_is_one_field_whatever_ends_a_line_in_it(text, charset):
    value = mime.encoded_words(text, charset, field="Subject")
    field = f"Subject: {value}\r\n".encode()
    assert [each.stop for each in mime.head(field)[0]] == [len(field)] and value.isascii()
    assert not set("\x0b\x0c\x1c\x1d\x1e") & set(value)
    assert mime.decoded_words(value).split() == mime.decoded_words(" ".join(text.split())).split()


def test_parameters_of_all_parts_have_a_bound():
    """Each takes its time wherever it is; what comes after too many has none."""
    fields = b"Content-Type: text/plain; charset=utf-8;" + b"; ".join(b"a%d=x" % number for number in range(90))
    fields += b"\r\nContent-Disposition: attachment; filename=a.txt; filename*9=x"
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    raw += (b"--b\r\n" + fields + b"\r\n\r\nx\r\n") * 1000 + b"--b--\r\n"
    _, *parts = mime.walk(raw)
    read = [part.filename for part in parts]
    assert len(parts) == 1000 and read == sorted(read, reverse=True), "the first are read"
    assert read.count("a.txt") == mime.MAX_PARAMETERS_IN_ALL // 93
    assert {part.content_type for part in parts} == {"text/plain"}
    assert [part.filename for part in reversed([*mime.walk(raw)][1:])] == read[::-1], "in whatever order they are asked"


def test_as_many_parts_as_a_message_may_have_are_read():
    field = b'Content-Type: a/b; name="a.txt"\r\nContent-Disposition: attachment; filename="a.txt"; size=1; c=d; e=f'
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    raw += (b"--b\r\n" + field + b"\r\n\r\nx\r\n") * (mime.MAX_PARTS - 1) + b"--b--\r\n"
    assert all(part.filename == "a.txt" for part in mime.leaves(raw))


@pytest.mark.parametrize(("field", "kind"), [
    ("Multipart/Signed", "multipart/signed"),
    ("multipart/signed (OpenPGP)", "multipart/signed"),
    ("multipart/signed(a;b); x=y", "multipart/signed"),
    ("(a (b) \\) c) multipart / signed\t;x=y", "multipart/signed"),
    ("multipart/signed (never closed; x=y", "multipart/signed"),
    ("text/html) ; x=y", "text/html)"),
    ("multipart/mixed signed", "multipart/mixed signed"),
    ("(multipart/signed)", "text/plain"),
    ("text", "text/plain"),
    ("", "text/plain"),
    ("(" * 10_000 + ")" * 10_000 + " multipart/mixed", "text/plain"),
])  # fmt: skip
def test_a_type_is_read_without_its_comments(field, kind):
    raw = f"Content-Type: {field}\r\n\r\n".encode()
    assert next(mime.walk(raw)).content_type == kind


def test_a_disposition_and_an_encoding_are_read_without_their_comments():
    fields = (
        "Content-Disposition: Attachment (x); filename=a.txt\r\nContent-Transfer-Encoding: (x) BASE64(y)\r\n\r\neA=="
    )
    found = next(mime.walk(fields.encode()))
    assert (found.disposition, found.filename, found.encoding, found.data) == ("attachment", "a.txt", "base64", b"x")


@given(
    st.lists(st.binary(max_size=9) | st.text("AZaz09+/=\r\n -", max_size=12).map(str.encode), max_size=4),
    st.sampled_from(["base64", "quoted-printable", "7bit", "x-uuencode"]),
)
@example([b"QQ", b"==QQ=="], "base64")
@example([b"Q"], "base64")
@example([b"QQQ"], "base64")
@example([b"QQ=\r\n", b"=QQQQ"], "base64")
def test_size_of_what_is_decoded_is_known_without_decoding_it(chunks, encoding):
    assert mime.decoded_size(chunks, encoding) == len(b"".join(mime.decode(chunks, encoding)))
