"""Whether the words of a reply led to what it is taken for, or only its code did."""

import pytest

from messaging.delivery.outcomes.verdict import LocalError, Reply, Stage, judge

S = Stage


@pytest.mark.parametrize(
    ("stage", "code", "text", "by_words"),
    [
        (S.RCPT, 550, "No such user here", True),
        (
            S.RCPT,
            550,
            "5.1.1 <anna@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
            True,
        ),
        (S.RCPT, 550, "5.7.1 Recipient address rejected: Access denied", True),
        (S.RCPT, 554, "5.7.1 Relay access denied", True),
        (S.END, 554, "5.7.1 Message rejected as spam by Content Filtering.", True),
        (S.RCPT, 550, "Zugriff verweigert", False),
        (S.RCPT, 550, "5.1.1 Zugriff verweigert", False),
        (S.RCPT, 550, "5.7.1 Zugriff verweigert", False),
        (S.RCPT, 550, "", False),
        (S.RCPT, 550, "5.1.1", False),
        (S.END, 554, "5.7.1 Zugriff verweigert", False),
        (S.MAIL, 550, "5.7.1 Zugriff verweigert", False),
        (S.DATA, 554, "Zugriff verweigert", False),
        (S.RCPT, 550, "your server requires confirmation", False),
    ],
)
def test_words_that_bear_out_what_the_code_says_count(stage, code, text, by_words):
    assert judge(Reply(stage, code, text)).by_words is by_words


@pytest.mark.parametrize("error", [LocalError.TOO_BIG, LocalError.NO_SMTPUTF8, LocalError.TIMEOUT])
def test_what_this_machine_says_is_known(error):
    assert judge(Reply(S.MAIL, None, "", error)).by_words
