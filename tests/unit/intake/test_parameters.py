"""A field with parameters says the same when it is made ASCII."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.content import mime
from messaging.intake import parameters

NAMES = ["boundary", "charset", "name", "filename", "x-a", "filename*", "name*0", "name*1*", "b c", "größe", ""]
VALUES = [
    "x", "ü", "Rechnung für März.pdf", '"ü;y"', '"a b"', "----=_Part_1", "'ü'", '"', "ü\\", '"a\\\\"', '"q\\"ü"', "<ü>",
    "utf-8''%C3%BC", "ü'x'%41", "%0D%0AX:%201", "=?utf-8?q?=C3=BC?=", '"ü =?utf-8?q?x?="', "=?nope?q?x?= ü", "(ü)",
    "日本語" * 40, "x" * 1000, "a\tb", "  ü", "", "🙂.txt",
]  # fmt: skip
PARAMETER = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=12)).map("=".join)
FIELD = st.builds(
    lambda kind, found, between: between.join([kind, *found]),
    st.sampled_from(["multipart/mixed", "attachment", "application/pdf", "text/plain ü", ""]),
    st.lists(PARAMETER | st.sampled_from(["", "ü", "x"]), max_size=6),
    st.sampled_from(["; ", ";", " ;\t"]),
)


def said(text):
    """What is read of a field; a control character that an encoded word has is a blank."""
    return {
        name: re.sub(r"[\x00-\x1f\x7f]", " ", mime.decoded_words(value))
        for name, value in reversed(mime.parameters(text))
    }


def one_line(text):
    return mime.Field("content-type", text.encode(), 0, 0).text


@given(FIELD.map(lambda text: " ".join(text.splitlines()).replace("\0", "")))
@example('attachment; filename=a; x="ü')
@example("attachment; größe=1; boundary=b")
def test_any_field_says_in_ascii_what_it_said(text):
    written = parameters.in_ascii("Content-Type", text)
    assert written.isascii() and "\n" not in written.replace("\r\n ", "").replace("\r\n\t", "")
    before, after = said(one_line(text)), said(one_line(written))
    ascii_names = [name for name in before if name and name.isascii()]
    assert {name: after.get(name) for name in ascii_names} == {name: before[name] for name in ascii_names}


@pytest.mark.parametrize("value", ["----=_Part_1", "x" * 70, "a b;c", "=?utf-8?q?x?="])
def test_a_value_in_ascii_stays_in_one_piece(value):
    written = parameters.in_ascii("Content-Type", f'multipart/mixed; boundary="{value}"; name="März"')
    assert f'boundary="{value}"' in written and "name*=utf-8''M%C3%A4rz" in written


def test_a_long_name_is_parted_between_letters():
    written = parameters.in_ascii("Content-Disposition", 'attachment; filename="' + "Ж" * 300 + '"')
    assert max(map(len, written.splitlines())) < 80
    assert mime.parameters(one_line(written)) == [("filename", "Ж" * 300)]
