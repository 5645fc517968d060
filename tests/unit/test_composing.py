"""How addresses are shown in a form, and read from it."""

import pytest

from messaging.composing import as_typed, read_mailboxes


@pytest.mark.parametrize("typed", [
    "a@example.com", '"Berg, Bo" <b@example.com>, Åsa <c@example.com>', '"say \\"hi\\"" <a@example.com>',
    "O'Neil <a@example.com>", "(x) <a@example.com>", '"Dr. Å; B" <a@example.com>', "名前 <user@例え.jp>",
])  # fmt: skip
def test_addresses_shown_and_sent_back_are_the_same(typed):
    once = read_mailboxes(typed)
    assert once and read_mailboxes(as_typed(once)) == once
