"""Address lists taken apart as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import address_list


@pytest.mark.parametrize(("text", "found"), [
    ("a@x, b@x", [(None, ["a@x"]), (None, ["b@x"])]),
    ('"Berg, Bo" <b@x> (a, b; c), c@x', [(None, ['"Berg, Bo" <b@x> (a, b; c)']), (None, ["c@x"])]),
    ("Team: a@x, Bo <b@x>; , c@x", [("Team", ["a@x", "Bo <b@x>"]), (None, ["c@x"])]),
    ("a@[IPv6:2001:db8::1], <@r:b@x>", [(None, ["a@[IPv6:2001:db8::1]"]), (None, ["<@r:b@x>"])]),
    (r'"a\", b" <b@x>, (x \) y, z) c@x', [(None, [r'"a\", b" <b@x>']), (None, [r"(x \) y, z) c@x"])]),
    (", ,", []),
    ("(never closed, a@x", [(None, ["(never closed, a@x"])]),
])  # fmt: skip
def test_mailboxes_and_groups(text, found):
    assert address_list.split(text) == found


def test_comments_are_told_from_the_rest():
    text = '(one) "Bo (x)" <b@x> (two (deep) three)'
    assert address_list.without_comments(text) == ('"Bo (x)" <b@x>', ["one", "two (deep) three"])


@given(st.text('a,:;"<>()[]\\ @é'))
def test_nothing_but_separators_and_blanks_is_left_out(text):
    pieces = "".join((listed.group or "") + "".join(listed.mailboxes) for listed in address_list.split(text))
    strange = str.maketrans(dict.fromkeys(",:; "))
    assert pieces.translate(strange) == text.translate(strange)
