"""Short encoded words, made without the standard library's folding, are those that it would have made."""

from email.header import Header

from hypothesis import given
from hypothesis import strategies as st

from messaging import mime

TEXTS = st.text(st.sampled_from('aZ =?_".-äß€中😀Я\u00a0\u200b\t\n\x7f'), max_size=60)


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
