"""What mail servers said, or what is told in its place, and to whom."""

from typing import Any

from django.contrib.auth.models import User

from messaging.access import roles
from messaging.delivery.outcomes.verdict import Stage
from messaging.models import AccountPause, Phrase, RefusalStreak, SendAttempt
from messaging.wording import in_words

STAGE_WORDS: dict[str, str] = {
    Stage.PREPARE: "Preparing",
    Stage.CONNECT: "Connecting",
    Stage.GREETING: "Greeting",
    Stage.EHLO: "EHLO",
    Stage.STARTTLS: "STARTTLS",
    Stage.AUTH: "Sign-in (AUTH)",
    Stage.MAIL: "Sender (MAIL)",
    Stage.RCPT: "Recipient (RCPT)",
    Stage.DATA: "Content (DATA)",
    Stage.END: "End of content",
}


def said(row: Any) -> str:
    """The server's words, or what is told in their place: of an attempt, a recipient or a pause, or of one of
    `SendAttempt.recipients`.
    """
    if isinstance(row, dict):
        return row.get("reply_text") or in_words(Phrase.of(row["said"]) if row.get("said") else None)
    return row.reply_text or in_words(row.said)


def said_to(row: AccountPause | RefusalStreak, reader: User) -> str:
    """What a server said that keeps an account from sending; "" where it may name recipients whose messages the reader
    may not see.
    """
    is_theirs = row.account_id is not None and row.account_id == reader.pk
    if not (is_theirs or roles.sees_all(reader)):
        return ""
    return row.reply_text if isinstance(row, RefusalStreak) else said(row)


def has_other_replies(attempt: SendAttempt) -> bool:
    """Whether the recipients of an attempt were told anything beside what it says itself."""
    replies = attempt.recipients
    return len(replies) > 1 or any(said(reply) != said(attempt) for reply in replies)
