"""From a server's reply, or its silence, to an outcome, plain words and what to do next.

outcome_table.py holds the table, meanings.py the words; here is how it is read.
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from messaging.delivery.outcomes import meanings
from messaging.delivery.outcomes.meanings import Kind, Meaning
from messaging.delivery.outcomes.outcome_table import TABLE, Line, Pace
from messaging.delivery.outcomes.reply import OPENING_STAGES, LocalError, Reply, Stage
from messaging.models import AttemptOutcome, Phrase

__all__ = ["Kind", "LocalError", "Meaning", "Pace", "Reply", "Scope", "Stage", "Verdict", "judge"]

LONGEST_WAIT = timedelta(days=1)


class Scope(StrEnum):
    """Whom a reply is about, and so how far its consequences reach."""

    MESSAGE = "message"  # this message, or one of its recipients: the others are sent
    PACE = "pace"  # how fast or how much the account sends: it slows down, the message's try is not spent
    SETUP = "set-up"  # the account's settings, or what the server thinks of us: no message would fare better


@dataclass(frozen=True)
class Verdict:
    """What a reply means for a message: see AttemptOutcome, Meaning, Scope and Pace.

    `reason` is the meaning as rows keep it. `wait` is how long the server itself asks to wait; zero when it does not
    say. `alone` is the outcome where the account's other messages are served all the same. `by_words`: it is known from
    the server's words, or from this machine's own error; False where only a code was understood.
    """

    outcome: AttemptOutcome
    meaning: Meaning
    reason: Phrase
    scope: Scope = Scope.MESSAGE
    pace: Pace = Pace.UNTOLD
    wait: timedelta = timedelta()
    alone: AttemptOutcome = AttemptOutcome.TRANSIENT
    by_words: bool = True

    @property
    def category(self) -> str:
        return self.meaning.category

    @property
    def kind(self) -> Kind:
        return self.meaning.kind

    def confined(self) -> "Verdict":
        """The same told of this message or recipient only, because others are served all the same."""
        outcome = self.alone if self.outcome == AttemptOutcome.SETUP else self.outcome
        return replace(self, outcome=outcome, scope=Scope.MESSAGE)

    def put_off(self) -> "Verdict":
        """The same told of this message only, which is tried again, if it was told of all."""
        outcome = self.outcome if self.scope == Scope.MESSAGE else AttemptOutcome.TRANSIENT
        return replace(self, outcome=outcome, scope=Scope.MESSAGE)


ACCEPTED = Verdict(AttemptOutcome.ACCEPTED, meanings.ACCEPTED, Phrase(meanings.ACCEPTED.key))
UNKNOWN = Verdict(AttemptOutcome.UNKNOWN, meanings.UNKNOWN, Phrase(meanings.UNKNOWN.key))
UNCLEAR = Verdict(AttemptOutcome.UNKNOWN, meanings.UNCLEAR, Phrase(meanings.UNCLEAR.key))


def judge(reply: Reply) -> Verdict:
    """Sort what was heard at a stage of a transaction.

    An error at the end of data is unknown: the server may have taken the message (RFC 5321 4.5.3.2.6). Nothing that is
    heard before MAIL is about a message, so a 2xx out of place there accepts none.
    """
    if reply.ok and reply.stage not in OPENING_STAGES:
        return ACCEPTED
    if reply.stage == Stage.END and (reply.error or reply.code is None or not 400 <= reply.code < 600):
        return UNCLEAR if reply.error == LocalError.NOT_SMTP or reply.code is not None else UNKNOWN
    heard = _without_repeated(reply)
    line, by_words = _sorted(heard)
    by_code = _by_code(reply)
    outcome = AttemptOutcome.SETUP if reply.stage in OPENING_STAGES else line.outcome or by_code
    return Verdict(
        outcome,
        line.meaning,
        Phrase(line.meaning.key, **(reply.params if reply.error == LocalError.SETUP else {})),
        scope=_scope(outcome, line.pace),
        pace=line.pace,
        wait=timedelta() if outcome == AttemptOutcome.PERMANENT else _announced_wait(reply, heard),
        alone=by_code,
        by_words=by_words,
    )


def _without_repeated(reply: Reply) -> Reply:
    """A reply to a message as it is judged: words that may be those of others stop no account, and end no transaction.

    A plain word that the server was told may be its own: "relay" and "user" are local parts. So the reply without it
    counts only where that says plainly what is the matter, and not just that access is denied; or where the word alone
    would stop the account, as "spamhaus" does.
    """
    if reply.stage in OPENING_STAGES or reply.error is not None or not _reaches_others(_sorted(reply.bare)[0]):
        return reply.bare
    if _stops_account(_sorted(reply.own)[0]):
        line, by_words = _sorted(reply.nameless)
        is_plain = by_words and line.meaning is not meanings.UNWANTED
        if not _stops_account(line) and (is_plain or any(map(_stops_account_alone, reply.plain_words))):
            return reply.nameless
    return reply.own


def _stops_account_alone(word: str) -> bool:
    return _stops_account(_sorted(Reply(Stage.RCPT, 550, word))[0])


def _reaches_others(line: Line) -> bool:
    return _stops_account(line) or line.meaning.kind == Kind.REST_AT_ONCE


def _stops_account(line: Line) -> bool:
    return bool(line.pace) or line.outcome == AttemptOutcome.SETUP


@lru_cache(maxsize=1024)  # a server says the same of many recipients
def _sorted(reply: Reply) -> tuple[Line, bool]:
    """The line of the table that decides about a reply without addresses, and whether words (or an error of this
    machine) say what it means: those of the line, or of another that means the same."""
    decides = next(line for line in TABLE if line.fits(reply))
    known = reply.error is not None or (bool(decides.text) and not decides.is_hint)
    known = known or any(
        line.text and not line.is_hint and line.meaning is decides.meaning and line.fits(reply) for line in TABLE
    )
    return decides, known


def _by_code(reply: Reply) -> AttemptOutcome:
    """4xx is transient, 5xx permanent (RFC 5321 4.2.1)."""
    is_5xx = reply.code is not None and reply.code >= 500
    return AttemptOutcome.PERMANENT if is_5xx else AttemptOutcome.TRANSIENT


def _scope(outcome: AttemptOutcome, pace: Pace) -> Scope:
    if pace:
        return Scope.PACE
    return Scope.SETUP if outcome == AttemptOutcome.SETUP else Scope.MESSAGE


_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ASKS_TO_WAIT = re.compile(
    r"(?:\b(?:again|retry|wait|back|return|reconnect|resend|gr[ea]y-?list\w*|deferred|delayed|blocked|limited)\b"
    r"[^.!?]{0,40}?\b(?:in|after|for)|\bwait)\s+(?:at least |about |another )?"
    r"(?:(?P<hours>\d{1,2}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d)\b"
    r"|(?P<count>\d{1,5}) ?(?P<unit>s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|days?)\b)",
    re.IGNORECASE,
)


def _announced_wait(reply: Reply, heard: Reply) -> timedelta:
    """How long a server asks to wait in its own words; `heard` is the reply as it was judged."""
    wait = announced_wait(heard.words)
    return announced_wait(reply.own.words) if wait and reply.stage not in OPENING_STAGES else wait


def announced_wait(words: str) -> timedelta:
    """How long a server asks to wait: "try again in 300 seconds", "come back in 00:05:00". Zero to a day."""
    found = _ASKS_TO_WAIT.search(words)
    if found is None:
        return timedelta()
    told = found.groupdict()
    if told["count"] is None:
        seconds = int(told["hours"]) * 3600 + int(told["minutes"]) * 60 + int(told["seconds"])
    else:
        seconds = int(told["count"]) * _UNIT_SECONDS[told["unit"][0].lower()]
    return min(timedelta(seconds=seconds), LONGEST_WAIT)
