"""What keeps an account from sending, in words."""

from dataclasses import dataclass
from datetime import datetime

from messaging.models import AccountPause

from .people_and_times import at, moment, on, person, sentence

Kind = AccountPause.Kind


@dataclass(frozen=True)
class Paused:
    """A pause as it is told: names of account ("": the company's) and of who ordered it, and the reason in words.

    `is_history`: it is told of a time when it held, and may be over.
    """

    kind: str
    reason: str
    account: str = ""
    by: str = ""
    since: datetime | None = None
    until: datetime | None = None
    is_history: bool = False

    @property
    def _end(self) -> str:
        return on(self.until) if self.is_history and self.until is not None else at(self.until)

    @property
    def by_whom(self) -> str:
        """Who paused, and until when: "by Anna until 14:05"."""
        return f"by {self.by or 'someone'} until {moment(self.until) or 'resumed'}"

    @property
    def state(self) -> str:
        """As one sentence beside the account's name."""
        match self.kind:
            case Kind.RESTORED:
                why = f"{self.reason[:1].lower()}{self.reason[1:]}"
                return f"All sending has been paused since {moment(self.since)}: {sentence(why)}"
            case Kind.ALL:
                return f"All sending is paused {self.by_whom}: {sentence(self.reason)}"
            case Kind.PERSON:
                return f"Paused {self.by_whom}: {sentence(self.reason)}"
            case Kind.FAULT:
                since = moment(self.since)
                return f"Set-up at fault since {since}, next try {self._end}: {sentence(self.reason)}"
            case Kind.DOUBT:
                return f"Waiting for an answer since {moment(self.since)}: {sentence(self.reason)}"
            case Kind.BUSY:
                return f"Slowed down by the mail server, next try {self._end}: {sentence(self.reason)}"
            case Kind.UNANSWERED:
                return f"Waiting since {moment(self.since)}, next try {self._end}: {sentence(self.reason)}"
            case Kind.WINDOW:
                return f"{self.reason.rstrip('.')}; opens {self._end}."
        return f"{self.reason.rstrip('.')}; resumes {self._end}."

    @property
    def banner(self) -> str:
        """For everyone, on every page."""
        account = self.account or "the company"
        match self.kind:
            case Kind.ALL | Kind.RESTORED:
                return self.state
            case Kind.PERSON:
                return f"Sending as {account} is paused {self.by_whom}: {sentence(self.reason)}"
            case Kind.BUSY:
                return f"The mail server asked Outtray to slow down: sending as {account} resumes {self._end}."
        return f"Sending as {account} is paused: {sentence(self.reason)}"

    @property
    def why_not_sent(self) -> str:
        """Of a message: "the limit of 30 messages per minute is reached; resumes at 14:05."."""
        match self.kind:
            case Kind.PERSON:
                said = self.banner
            case Kind.FAULT | Kind.UNANSWERED:
                said = f"{sentence(self.reason)} It is tried again {self._end}."
            case Kind.DOUBT:
                said = f"{sentence(self.reason)} An administrator has to answer on the Sending page."
            case Kind.BUSY:
                said = f"the mail server asked Outtray to slow down; resumes {self._end}."
            case _:
                said = self.state
        return f"{said[:1].lower()}{said[1:]}"


BEGUN_BY: dict[str, str] = {
    Kind.FAULT: "a set-up fault",
    Kind.BUSY: "the mail server",
    Kind.UNANSWERED: "a mail server that did not answer",
}


def paused_by(pause: AccountPause) -> str:
    """Who or what began a pause, for the history."""
    if pause.kind in AccountPause.PROBED:
        return BEGUN_BY[pause.kind]
    if pause.kind == Kind.DOUBT:
        return "refusals in the same words"
    return person(pause.by, "a restore" if pause.kind == Kind.RESTORED else "someone")


def ended_by(pause: AccountPause) -> str:
    """Who or what ended a pause that is over, for the history."""
    if pause.ended_by is not None or pause.kind == Kind.DOUBT:
        return person(pause.ended_by, "someone")
    return "a try that got through" if pause.kind in AccountPause.PROBED else "its time"
