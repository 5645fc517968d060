"""How addresses are shown in a form, and read from it."""

import re

import pytest
from django.conf import settings

from messaging.compose.letters import as_typed, read_mailboxes
from messaging.compose.rewrite import same
from messaging.intake.addresses import Mailbox


@pytest.mark.parametrize("typed", [
    "a@example.com", '"Berg, Bo" <b@example.com>, Åsa <c@example.com>', '"say \\"hi\\"" <a@example.com>',
    "O'Neil <a@example.com>", "(x) <a@example.com>", '"Dr. Å; B" <a@example.com>', "名前 <user@例え.jp>",
])  # fmt: skip
def test_addresses_shown_and_sent_back_are_the_same(typed):
    once = read_mailboxes(typed)
    assert once and read_mailboxes(as_typed(once)) == once


@pytest.mark.parametrize("name", [
    "李，明", "a、b", "a؛b", "Bo＜", "ann＠x", "«Ann»", "“Bo” Berg", "“", "„x“", "‘q’", "'q'", "=?utf-8?q?x?=",
    "O’Neil", "(home)",
])  # fmt: skip
def test_name_that_is_shown_can_be_sent_back(name):
    mailboxes = [Mailbox("", "a@example.com"), Mailbox(name, "b@example.com"), Mailbox("Zoë", "z@example.com")]
    found = read_mailboxes(as_typed(mailboxes))
    assert [each.address for each in found] == [each.address for each in mailboxes]
    assert list(map(same, found)) == list(map(same, mailboxes)), "so that no one’s name counts as changed"


def test_completion_quotes_the_names_that_a_form_quotes():
    script = (settings.BASE_DIR / "static" / "js" / "letter.js").read_text()
    needs_quotes = re.compile(re.search(r"needsQuotes = /(.+)/;", script)[1])
    for sign in map(chr, (*range(32, 0x3100), *range(0xFF00, 0xFFF0))):
        for name in (f"a{sign}b", f"{sign}b", f"=?{sign}"):
            shown = as_typed([Mailbox(name, "a@example.com")])
            assert shown.startswith('"') is (needs_quotes.search(name) is not None), name
