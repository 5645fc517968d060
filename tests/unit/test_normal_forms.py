"""Normal forms are Unicode's, and take no longer than the text is."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from messaging.content.normal_forms import MOST_MARKS, normalize

FORMS = st.sampled_from(["NFC", "NFKC", "NFKD"])
# Marks of several classes, and letters that are taken apart into marks.
ODD = st.text(st.sampled_from("xé가\u0315\u0300\u0f73\u0344\uff9e\u1e69\ufb2c"), max_size=MOST_MARKS // 4)


@given(FORMS, ODD | st.text(max_size=MOST_MARKS // 4))
def test_they_are_those_of_unicode(form, text):
    assert normalize(form, text) == unicodedata.normalize(form, text)


@given(FORMS, ODD)
def test_of_a_letter_so_many_marks_stay(form, text):
    found = normalize(form, "x" + text * 30)
    runs, run = [0], 0
    for letter in found:
        run = run + 1 if unicodedata.combining(letter) else 0
        runs.append(run)
    assert max(runs) <= MOST_MARKS
