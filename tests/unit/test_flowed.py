"""Paragraphs of format=flowed, and that nothing is lost in them whatever they are."""

from hypothesis import given
from hypothesis import strategies as st

from messaging.content import flowed

LINES = st.lists(st.text("ab >- ", max_size=8), max_size=8).map("\n".join)


@given(LINES, st.booleans())
def test_only_breaks_blanks_and_marks_of_quoting_go(text, delsp):
    def letters(words):
        return [letter for letter in words if letter not in " >\n"]

    assert letters(flowed.joined(text, delsp=delsp)) == letters(text)


@given(st.lists(st.text("ab", max_size=5), max_size=6).map("\n".join))
def test_text_without_soft_breaks_stays(text):
    assert flowed.joined(text) == text
