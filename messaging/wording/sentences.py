"""Every sentence that a row stands for: the words of its key, with its parameters.

What belongs to one part of Outtray stands there (`WORDS` of delivery/outcomes/reply.py, setup/problems.py, ...); here
is the rest, and where all of it comes together. A phrase that is not known, of a later version, is told by its key.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from messaging.delivery.outcomes import meanings, reply
from messaging.intake import address_warnings
from messaging.models import AccountPause, MessageEvent, MessageVersion, Phrase, Reason, Words
from messaging.setup import opt_files

from .afterwards import advice_afterwards, afterwards
from .pauses import Paused
from .people_and_times import as_time, changed, dated, moment, person, sentence

Kind = MessageEvent.Kind
Change = Mapping[str, str]  # of an edit, as in MessageVersion.changes

STOPPED = "The process that was sending it at once stopped before it was handed over. Retry it if it is still needed."
VIA = {
    "console": "written here",
    "backend": "Django email backend",
    "sendmail": "sendmail",
    "test-message": "test message",
    "notice": "notice",
    "demo": "demo",
}
UNSIGNED = {
    "gate": "the signed part had to be changed for sending",
    "7bit": "the mail server takes only 7-bit text, so the body was encoded",
    "edit": "the signed part was edited",
}
NAMED_AT_MOST = 3
FIELDS = {"subject": "subject", "to": "To", "cc": "Cc", "bcc": "Bcc"}


OWN_ADVICE: dict[str, str] = {
    Reason.REFUSED_ALIKE: "An administrator has to read the server’s own words and answer on the Sending page.",
    Reason.SINCE_BACKUP: meanings.ASK,
    Reason.UNANSWERED: "Look at the mail server’s log. The messages listed as unknown may have arrived: ask the "
    "recipients, then choose Mark as sent or Send again. The others wait, and are tried one at a time.",
}


def in_words(phrase: Phrase | None) -> str:
    """A phrase in words; "" for none."""
    return phrase.render(WORDS) if phrase is not None else ""


def advice(reason: Phrase | None, *, is_over: bool = False) -> str:
    """What to do about a reason; "" where there is nothing to say.

    Args:
        is_over: no further try is planned, so none is promised.
    """
    if reason is None:
        return ""
    if reason.key in OWN_ADVICE:
        return OWN_ADVICE[reason.key]
    if reason.key == Reason.TOLD:
        told = str(reason.params.get("advice", ""))
        return advice_afterwards(told) if is_over else told
    meaning = meanings.MEANINGS.get(reason.key)
    if meaning is None:
        return ""
    return afterwards(meaning) if is_over else meaning.advice


# --- Pauses ------------------------------------------------------------------------------------------


def paused(pause: AccountPause) -> Paused:
    """A pause as it is told now."""
    names = person(pause.account), person(pause.by)
    return Paused(pause.kind, in_words(pause.reason), *names, pause.since, pause.until)


def state(pause: AccountPause) -> str:
    """What keeps an account from sending, as one sentence beside its name."""
    return paused(pause).state


def banner(pause: AccountPause) -> str:
    """What everyone is told on every page."""
    return paused(pause).banner


def waits(pause: AccountPause) -> str:
    """Why a message waits: "Waits: the limit of 30 messages per minute is reached; resumes at 14:05."."""
    return f"Waits: {paused(pause).why_not_sent}"


def by_whom(pause: AccountPause) -> str:
    """Who paused, and until when."""
    return paused(pause).by_whom


def kept(pause: AccountPause) -> Phrase:
    """The phrase for a row that a pause kept from being sent: as things stood then."""
    return Phrase(
        Reason.PAUSED, kind=pause.kind, reason=pause.reason, account=person(pause.account), by=person(pause.by),
        since=pause.since, until=pause.until,
    )  # fmt: skip


def _paused(since: str | None = None, until: str | None = None, **facts: Any) -> Paused:
    return Paused(since=as_time(since), until=as_time(until), is_history=True, **facts)


ANSWERS = {"us": "Answer: it was us.", "go-on": "Answer: it was not us."}


def _asked(number: int, domains: int, answer: str = "", again: bool = False) -> str:
    if again:
        words = "The mail server still refuses messages in the same words."
    else:
        words = (
            f"The mail server refused {number:,} message{'' if number == 1 else 's'} to {domains:,} "
            f"domain{'' if domains == 1 else 's'} in the same words."
        )
    return f"{words} {ANSWERS[answer] if answer else 'The fault may be ours.'}"


# --- Batches and schedules -----------------------------------------------------------------------------


def _in_other_batch(batch: int, by: str) -> str:
    return f"Already being processed in batch {batch}" + (f" by {by}" if by else "")


def _already_sent(at: str = "") -> str:
    when = as_time(at)
    return f"Already sent on {dated(when, 'j M Y, H:i')}" if when is not None else "Already sent"


def _held(reason: str = "") -> str:
    return f"Held: {reason}" if reason else "Held"


def _nothing_ran(since: str) -> str:
    """`since` in the time zone of the schedule."""
    return f"No run since {as_time(since):%-d %b %H:%M}, because the worker or beat was not running"


# --- Restores ------------------------------------------------------------------------------------------

PLACES = {
    "system": "PostgreSQL server (system identifier)",
    "timeline": "timeline of PostgreSQL",
    "database": "PostgreSQL database",
    "table": "set of tables (restored from a dump)",
    "path": "file, next to the previous one",
    "inode": "file",
    "machine": "machine",
}


def _elsewhere(what: Sequence[str] = ()) -> str:
    found = ", ".join(f"another {PLACES.get(each, each)}" for each in what)
    return f"The database is in a different place: {found}."


# --- Messages ------------------------------------------------------------------------------------------


def _given_up(reason: str, tries: int) -> str:
    return f"{reason} Given up after {'1 try' if tries == 1 else f'{tries} tries'}."


def _refused_alike(others: int, reason: str = "") -> str:
    if not others:
        return "Its recipients were refused in the same words: the fault may be ours."
    same = "another message" if others == 1 else f"{others:,} other messages"
    return f"Refused in the same words as {same}: the fault may be ours."


def _expired(days: int) -> str:
    within = "a day" if days == 1 else f"{days} days"
    return (
        f"Not sent within {within} of being queued, the limit in Company options. Send it again if it is still needed."
    )


def _came_in(how: str) -> Words:
    def words(via: str = "", claim: str = "") -> str:
        come = f"{how} ({VIA.get(via, via)})" if via else how
        why = f"like other email: programs that use this way in may not name the category “{claim}” (Company options)"
        return f"{come}, {why}" if claim else come

    return words


def _unsigned(domains: Sequence[str], why: str = "") -> str:
    whose = ", ".join(filter(None, domains)) or "its sender"
    return f"The DKIM signature of {whose} was removed, because it is no longer valid: {UNSIGNED.get(why, why)}"


def _in_batch(batch: int, source: str = "") -> str:
    return f"Released in batch {batch}" + (f" ({source})" if source else "")


def _edited(version: int = 0, words: str = "") -> str:
    return f"Edited: {words}" if words else "Edited"


def change_in_words(change: Change) -> str:
    """One change of an edit: "subject from “a” to “b”"."""
    name, before, after = change["field"], change.get("before", ""), change.get("after", "")
    if name == "attachment":
        return f"“{after}” attached" if after else f"attachment “{before}” removed"
    if name == "text":
        return "text changed"
    return f"{FIELDS.get(name, name)} {changed(before, after)}"


def changes_in_words(changes: Sequence[Change]) -> str:
    """What an edit did: "subject from “a” to “b”; “invoice.pdf” attached"."""
    return "; ".join(map(change_in_words, changes))


def event(row: MessageEvent, versions: Mapping[int, MessageVersion] = {}) -> str:
    """What was done to a message; `versions` are those it had before, by number, for what was edited."""
    version = versions.get(row.params.get("version", 0))
    if row.kind == Kind.EDITED and version is not None:
        return _edited(words=changes_in_words(version.changes))
    return in_words(row.what)


# --- Forms that were sent ------------------------------------------------------------------------------


def _sent_to(to: Sequence[str] = (), number: int = 0) -> str:
    return ", ".join(to) if to else f"{number} recipients"


def whom(addresses: Sequence[str]) -> Phrase:
    """Some recipients as a form's outcome keeps them: a few by address, more by their number."""
    named = len(addresses) <= NAMED_AT_MOST
    return Phrase("recipients", to=addresses) if named else Phrase("recipients", number=len(addresses))


# --- All of it -----------------------------------------------------------------------------------------

OWN: dict[str, Words] = {
    # Why a message, an account or a batch item stands as it does.
    Reason.SAID: "{words}",
    Reason.TOLD: "{words}",
    Reason.NO_ADDRESS: "No address: the message has no recipients. Edit it to enter an address, and correct "
    "it where it came from.",
    Reason.NOBODY_NAMED: "It has no recipients.",
    Reason.RECIPIENT_REFUSED: "A recipient was refused.",
    Reason.REFUSED_EARLIER: "A recipient was refused in an earlier try.",
    Reason.GIVEN_UP: _given_up,
    Reason.EXPIRED: _expired,
    Reason.REFUSED_ALIKE: _refused_alike,
    Reason.ASKED: _asked,
    Reason.UNANSWERED: "The mail server did not answer after {number} messages in a row were handed over, so it is not "
    "known whether it took them.",
    Reason.STOPPED: STOPPED,
    Reason.WRITTEN_AGAIN: "Written again: another message takes its place",
    Reason.HANDED_OVER: "Handed over to {to}’s mail program",
    Reason.WAITS_FOR_BATCH: "Waits for Batch Message Processing: {problem}",
    Reason.NOT_SENT: lambda why: f"It was not sent: {why[:1].lower()}{why[1:]}",
    Reason.UNWRITTEN: "The message was handed over, but the mail server’s answer could not be recorded.",
    Reason.LIMIT_REACHED: "The limit of {number} messages per {unit} is reached.",
    Reason.MANY_AT_ONCE: "Other messages are being sent right now, and their mail server is slow.",
    Reason.NO_CONNECTION: lambda number: (
        f"The limit of {number} {'connection' if number == 1 else 'connections'} at once is reached,"
        " and none became free in time."
    ),
    Reason.OUTSIDE_WINDOW: "Outside the sending window ({window}, {zone}).",
    Reason.PAUSED: lambda **facts: _paused(**facts).why_not_sent,
    Reason.RESTORED: "This database was restored from a backup, or moved.",
    Reason.SINCE_BACKUP: "It may have gone out since the backup from which this database was restored.",
    # How that was noticed.
    "restore-ordered": "RESTORED={value} is set, and has not been acted on before.",
    "restore-behind": "This installation sent messages after this state of the database was saved.",
    "restore-elsewhere": _elsewhere,
    # Why a message does not go out with its account.
    "was-deactivated": "{account} was deactivated.",
    "may-not-send": "{account} may no longer send.",
    "setup-incomplete": "Email Setup is not complete.",
    # Who decided about a recipient.
    "marked-as-sent-by": "Marked as sent by {by}",
    "sent-from": "Sent from {holder}’s mail program",
    # Why a batch skipped a message.
    "in-other-batch": _in_other_batch,
    "already-sent": _already_sent,
    "changed-meanwhile": "Changed while the batch was confirmed",
    "being-sent": "Being sent right now",
    "failed-before": "Failed before: open it to correct and retry it",
    "unknown-before": "Outcome unknown: open it and decide first, so that it is not sent twice",
    "is-held": _held,
    "is-cancelled": "Cancelled",
    "not-theirs": "Left out: {by}, who ran the batch, may see and send only their own messages",
    # What is to be said of a schedule's run.
    "made-up-for": lambda since: f"{_nothing_ran(since)}: this run makes up for it.",
    "left-out": lambda since: f"{_nothing_ran(since)}; missed runs are left out, as this schedule says.",
    "batch-at-work": "The previous batch, batch {batch}, is still being sent; its messages were not taken again.",
    "account-inactive": "{account} may no longer sign in. Choose another account for this schedule.",
    "account-may-not-send": "{account} may no longer send. Choose another account for this schedule.",
    "all-paused": lambda **facts: sentence(_paused(**facts).state),
    # What came of a form.
    "recipients": _sent_to,
    "form-queued": "Waits in the queue for Batch Message Processing.",
    "form-due": "It is due and goes out as soon as a worker is free.",
    "form-timed": lambda at: f"It goes out automatically from {moment(as_time(at))}.",
    "form-sent": "Sent: the mail server accepted it for {to}.",
    "form-partly": "Sent to some recipients only: the mail server accepted it for {to}, and refused {refused}.",
    "form-not-sent": lambda why: f"Not sent: {sentence(why or '')}",
    "form-unknown": lambda why: f"It is not known whether it arrived. {sentence(why or '')}",
    "form-handed-over": "Handed over to your mail program. Nothing else sends it in the meantime.",
    "form-broken-off": "It is not known whether it was sent: an error on this server interrupted it. Look for it in "
    "the message queue, and ask the recipient before you send it again.",
    # What was done to a message; those that are a reason as well stand above.
    Kind.QUEUED: _came_in("Accepted into the queue"),
    Kind.TAKEN: _came_in("Accepted to be sent at once"),
    Kind.ENDED_EARLY: lambda reason: reason or "",
    Kind.HELD: "Held: {why}",
    Kind.HOLD_ENDED: "Hold ended: back in the queue",
    Kind.RELEASED: "Released",
    Kind.CANCELLED: lambda why="": f"Cancelled: {why}" if why else "Cancelled",
    Kind.IN_BATCH: _in_batch,
    Kind.OUT_OF_BATCH: "Taken out of batch {batch}: waits for another one",
    Kind.RETRY: "Retry requested",
    Kind.TRY_NOW: "Try now requested",
    Kind.MARKED_AS_SENT: "Marked as sent",
    Kind.SEND_AGAIN: "Send again requested; it may arrive twice",
    Kind.EDITED: _edited,
    Kind.UNSIGNED: _unsigned,
    Kind.NOT_WRITTEN_AGAIN: "Not written again",
    Kind.SENT_FROM_MAIL_PROGRAM: "Sent from {holder}’s mail program",
    Kind.PUT_BACK: "Put back; {holder}’s draft was not sent",
    Kind.RESCUED: "Back in the queue: the worker that had it stopped before sending it",
    Kind.IT_WAS_US: "Answered “It was us”: queued again with all its tries",
    Kind.GO_ON: "Answered “It was not us”: left failed",
    Kind.NOT_SINCE_BACKUP: "Answered “Nothing was sent since”: put back as it was before the restore",
    Kind.PASSED_ON: lambda account, why: f"Passed on to {account or 'the company’s account'}: {why}",
    Kind.REROUTED: lambda account: (
        f"Given to {account or 'the company’s account'}: the account it was to use is paused"
    ),
}
TABLES = (reply.WORDS, opt_files.WORDS, address_warnings.WORDS, meanings.WORDS, OWN)
WORDS = {key: words for table in TABLES for key, words in table.items()}
