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
