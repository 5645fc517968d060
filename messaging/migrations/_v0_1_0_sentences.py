"""What the sentences that v0.1.0 kept in rows mean: each text as the phrase that later versions keep in its place.

Frozen with the words of v0.1.0, so it must not import code that changes. What cannot be told for certain stays as it was
written, under the key "told".
"""

import json
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

Row = dict[str, Any]

MEANINGS: dict[str, list[str]] = json.loads(Path(__file__).with_name("_v0_1_0_meanings.json").read_text("utf-8"))
NO_SETUP_ADVICE = MEANINGS["no-setup"][2]
BY_WORDS = {(explanation, advice): key for key, (_, explanation, advice) in MEANINGS.items()}

FIXED = {
    "No address: the message names nobody to send it to. Edit it to enter an address, and correct it where it came "
    "from.": "no-address",
    "It names nobody to send it to.": "nobody-named",
    "A recipient was refused.": "recipient-refused",
    "A recipient was refused in an earlier try.": "refused-earlier",
    "The process that was sending it at once stopped before it was handed over. Retry it if it is still wanted.": (
        "stopped"
    ),
    "Written again: another message takes its place": "written-again",
    "The message was handed over, and what the mail server answered could not be written down.": "unwritten",
}
HANDED_OVER = re.compile(r"Handed over to (?P<to>.*)’s mail program", re.DOTALL)


def told(words: str, **more: Any) -> Row:
    """A text as it was written."""
    return {"key": "told", "words": words} | more


def said(words: str) -> Row:
    """A person's own words."""
    return {"key": "said", "words": words}


# --- Settings that cannot send -------------------------------------------------------------------------

LABELS = {
    "Send type": "send_type", "Auth type": "auth_type", "Server": "host", "Port": "port", "User name": "username",
    "Password": "password", "Way to sign in": "sign_in", "Tenant": "tenant", "Client ID": "client_id",
    "Client secret": "client_secret", "Refresh token": "refresh_token", "Service account key": "service_account",
    "Sign-in server": "token_url", "Scope": "scope", "Certificate authorities": "ca_bundle",
    "From address": "from_address", "EHLO name": "ehlo_name", "Connections at once": "max_connections",
    "Messages per connection": "messages_per_connection", "Messages per minute": "per_minute",
    "Messages per hour": "per_hour", "Sending window": "sending_window", "Time zone": "time_zone",
}  # fmt: skip
WITHIN = {label[0].lower() + label[1:]: name for label, name in LABELS.items()}
_LABEL = "|".join(map(re.escape, LABELS))
_WINDOW_HELP = re.escape(
    "Write days and times, such as “Mon-Fri 07:00-19:00, Sat 08:00-12:00”, “daily 22:00-06:00” or “always”."
)
_WINDOW = [
    (rf"“(?P<text>.*?)” is not a sending window\. {_WINDOW_HELP}", "no sending window"),
    (rf"“(?P<text>.*?)” begins and ends at the same time\. {_WINDOW_HELP}", "window without length"),
    (rf"“(?P<text>.*?)” is not a day\. {_WINDOW_HELP}", "no day"),
    (rf"“(?P<text>.*?)” is not a time of day\. {_WINDOW_HELP}", "no time of day"),
]
_ZONE = re.compile(r"“(?P<name>.*?)” is not a time zone\.(?: Did you mean (?P<alike>.*?)\?| Write it like .* or UTC\.)")


def _window(found: re.Match[str]) -> Row:
    words = found["why"]
    for pattern, key in _WINDOW:
        if match := re.fullmatch(pattern, words, re.DOTALL):
            return {"key": "window unreadable", "why": {"key": key, "text": match["text"]}}
    if match := _ZONE.fullmatch(words):
        alike = match["alike"].split(" or ") if match["alike"] else []
        return {"key": "window unreadable", "why": {"key": "no time zone", "name": match["name"], "alike": alike}}
    return {"key": "window unreadable", "why": told(words)}


def _names(text: str) -> list[str] | None:
    names = [WITHIN.get(label) for label in re.split(", | and ", text)]
    return None if None in names else [name for name in names if name is not None]


def _listed(key: str) -> Callable[[re.Match[str]], Row | None]:
    def row(found: re.Match[str]) -> Row | None:
        names = _names(found["names"])
        return {"key": key, "names": names} if names is not None else None

    return row


def _not_possible(found: re.Match[str]) -> Row:
    whose = found["whose"] or ""
    return {"key": "setting not possible", "name": LABELS[found["label"]], "value": found["value"], "whose": whose}


_PROBLEMS: list[tuple[str, Callable[[re.Match[str]], Row | None]]] = [
    (r"Nothing is sent by this server until its file (?P<file>.+?) is mended\. Administrators see what is wrong with "
     r"it\.", lambda found: {"key": "opt file unusable", "file": found["file"]}),
    (rf"(?P<label>{_LABEL}) “(?P<value>.*?)” in the (?:company settings|settings of (?P<whose>.+?)) is not possible\. "
     r"Correct it in Email Setup\.", _not_possible),
    (r"The send type is (?P<number>\d) \(MAPI, Outlook\), which hands over one message at a time and cannot send in "
     r"bulk\. Choose send type 2 or 3 \(SMTP\) in Email Setup\. It is enough for the account that runs batches, under "
     r"Users’ own settings there\.", lambda found: {"key": "mapi in bulk", "send_type": int(found["number"])}),
    (r"No SMTP server is set\. Enter one in Email Setup\.", lambda found: {"key": "no server set"}),
    (r"The auth type “ssl” means SSL 3\.0, which this machine’s OpenSSL no longer has\. Choose tls-implicit in Email "
     r"Setup\.", lambda found: {"key": "ssl is gone"}),
    (r"The stored (?P<names>.+?) cannot be read with the keys of this server\. Enter it again in Email Setup\.",
     _listed("secret unreadable")),
    (r"Nobody has signed in yet: choose “Sign in with Microsoft” in Email Setup\.",
     lambda found: {"key": "nobody signed in"}),
    (r"Send type 3 signs in, but (?P<names>.+?) (?:is|are) not set in Email Setup\.", _listed("sign-in incomplete")),
    (r"A sign-in with a token needs TLS: anybody who reads it could send with it\. Choose tls-explicit or "
     r"tls-implicit in Email Setup\.", lambda found: {"key": "token in clear"}),
    (r"The sending window cannot be read: (?P<why>.+?) Correct it in Email Setup\.", _window),
]  # fmt: skip


def problems_of(text: str) -> list[Row]:
    """The problems of settings that a text tells one after the other; [] when it is something else, or was cut off."""
    found: list[Row] = []
    rest = text
    while rest:
        for pattern, row_of in _PROBLEMS:
            match = re.match(rf"{pattern}(?: |$)", rest, re.DOTALL)
            row = row_of(match) if match else None
            if match and row is not None:
                found.append(row)
                rest = rest[match.end() :]
                break
        else:
            return []
    return found


# --- Reasons ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=10_000)
def _reason_of(text: str, category: str) -> Row | None:
    if key := _meaning(text, category):
        return {"key": key}
    if text in FIXED:
        return {"key": FIXED[text]}
    if found := re.fullmatch(r"(.*) Given up after (?:1 try|(\d+) tries)\.", text, re.DOTALL):
        reason = _reason_of(found[1], category)
        return {"key": "given-up", "reason": reason, "tries": int(found[2] or 1)} if reason is not None else None
    if found := re.fullmatch(
        r"Not sent within (?:a day|(\d+) days) of being queued, the limit in Company options\. Send it again if it is "
        r"still wanted\.",
        text,
    ):
        return {"key": "expired", "days": int(found[1] or 1)}
    if found := re.fullmatch(r"Waits for Batch Message Processing: (.*)", text, re.DOTALL):
        if found[1] == "Email Setup is not complete.":
            return {"key": "waits-for-batch", "problem": {"key": "setup-incomplete"}}
        problems = problems_of(found[1])
        return {"key": "waits-for-batch", "problem": problems[0] if len(problems) == 1 else told(found[1])}
    if found := re.fullmatch(r"It was not sent: outside the sending window \((.*), ([^,()]+)\)\.", text):
        return {"key": "not-sent", "why": {"key": "outside-window", "window": found[1], "zone": found[2]}}
    if found := re.fullmatch(r"It was not sent: the limit of (\d+) messages per (minute|hour) is reached\.", text):
        return {"key": "not-sent", "why": {"key": "limit-reached", "number": int(found[1]), "unit": found[2]}}
    if found := HANDED_OVER.fullmatch(text):
        return {"key": "handed-over", "to": found["to"]}
    if problems := problems_of(text):
        return {"key": "no-setup", "problems": problems}
    return None


def _meaning(explanation: str, category: str) -> str:
    """Of meanings that are told alike, the one of the category; the first where that does not tell them apart."""
    alike = [key for key, (_, words, _) in MEANINGS.items() if words == explanation]
    return next((key for key in alike if MEANINGS[key][0] == category), alike[0] if alike else "")


def reason_of(text: str, category: str = "") -> Row | None:
    """Why something stands as it does; None for ""."""
    return (_reason_of(text, category) or told(text)) if text else None


def is_known(text: str) -> bool:
    """Whether a text is one of v0.1.0's own reasons."""
    return _reason_of(text, "") is not None


def judged(explanation: str, advice: str) -> Row | None:
    """What a server's reply or an error of the machine meant, of an attempt or a pause."""
    if not explanation and not advice:
        return None
    if key := BY_WORDS.get((explanation, advice)):
        return {"key": key}
    if advice == NO_SETUP_ADVICE and (problems := problems_of(explanation)):
        return {"key": "no-setup", "problems": problems}
    return told(explanation, advice=advice) if advice else told(explanation)


def paused(kind: str, explanation: str, advice: str) -> Row | None:
    """Why an account is paused."""
    if kind in ("person", "all"):
        return said(explanation)
    if found := re.fullmatch(r"The limit of (\d+) messages per (minute|hour) is reached\.", explanation):
        return {"key": "limit-reached", "number": int(found[1]), "unit": found[2]}
    if found := re.fullmatch(r"Outside the sending window \((.*), ([^,()]+)\)\.", explanation):
        return {"key": "outside-window", "window": found[1], "zone": found[2]}
    return judged(explanation, advice)


# --- This machine's errors -------------------------------------------------------------------------------

_LOCAL: list[tuple[str, Callable[[re.Match[str]], Row]]] = [
    (r"no answer in time", lambda found: {"key": "timeout"}),
    (r"the server closed the connection", lambda found: {"key": "connection lost"}),
    (r"STARTTLS is not offered", lambda found: {"key": "no starttls"}),
    (r"SMTPUTF8 is not offered", lambda found: {"key": "no smtputf8"}),
    (r"bare CR or LF in the content", lambda found: {"key": "bare line end"}),
    (r"sign-in mechanisms offered: (.+)",
     lambda found: {"key": "no auth", "offered": [] if found[1] == "none" else found[1].split(" ")}),
    (r"(\d+) octets, the server takes (\d+)",
     lambda found: {"key": "too big", "size": int(found[1]), "limit": int(found[2])}),
    (r"(.+) leads to (\S+), which is never connected to",
     lambda found: {"key": "refused address", "host": found[1], "address": found[2]}),
    (r"The attachment (.+) is missing from the disk or was changed there, so the message cannot be sent whole\. Restore "
     r"the attachment files from the backup and try again, or have the message written again\.",
     lambda found: {"key": "content missing", "attachment": found[1]}),
]  # fmt: skip


def local_error(code: int | None, text: str) -> Row | None:
    """The error of this machine that was told in the place of a server's words; None when they are others' words."""
    if code is not None or not text:
        return None
    for pattern, row_of in _LOCAL:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return row_of(found)
    problems = problems_of(text)
    return {"key": "setup", "problems": problems} if problems else None


def decided_by(text: str) -> Row:
    """Who said that a recipient has the message, where no server did."""
    if found := re.fullmatch(r"Marked as sent by (.*)", text, re.DOTALL):
        return {"key": "marked-as-sent-by", "by": found[1]}
    if found := re.fullmatch(r"Sent from (.*)’s mail program", text, re.DOTALL):
        return {"key": "sent-from", "holder": found[1]}
    return told(text)


# --- Addresses -------------------------------------------------------------------------------------------

_DOUBTS = [
    (r"“(?P<address>.*)” has no @\.", "no-at"),
    (r"“(?P<address>.*)” looks mistyped: did you mean (?P<meant>.*)\?", "mistyped"),
    (r"“(?P<address>.*)” has a domain without a dot, which only a mail server of your own house can know\.", "no-dot"),
    (r"“(?P<address>.*)” cannot be reached: “\.(?P<ending>.*)” is reserved, and nobody has mail there\.",
     "reserved-domain"),
    (r"“(?P<address>.*)” ends with a number, as no domain does\.", "ends-with-number"),
    (r"“(?P<address>.*)” ends with “\.(?P<ending>.*)”, as no domain does\.", "ends-with-letter"),
    (r"“(?P<address>.*)” names the address (?P<number>.*) of a private network, which no other mail server can reach\.",
     "private-address"),
]  # fmt: skip


def doubt_of(text: str) -> Row | None:
    """Why an address cannot be right."""
    for pattern, key in _DOUBTS:
        if found := re.fullmatch(pattern, text, re.DOTALL):
            return {"key": key} | found.groupdict()
    return told(text) if text else None


# --- What was done to a message --------------------------------------------------------------------------

VIA = {
    "written here": "console", "Django e-mail backend": "backend", "sendmail": "sendmail",
    "test message": "test-message", "notice": "notice", "demo": "demo",
}  # fmt: skip
OTHER_WORDS = set(VIA.values()) - set(VIA)
_DONE = {
    "Released": "released",
    "Marked as sent": "marked-as-sent",
    "Send again ordered; it may arrive twice": "send-again",
    "Retry ordered": "retry",
    "Try now ordered": "try-now",
    "Not written again": "not-written-again",
    "Hold ended: back in the queue": "hold-ended",
    "Back in the queue: the worker that had it stopped before sending it": "rescued",
    "Cancelled": "cancelled",
}
AS_EVENT = ("stopped", "written-again", "handed-over", "expired")  # reasons that are kinds of events as well


def event_of(what: str, *, by_person: bool) -> tuple[str, Row]:
    """Kind and parameters of an event; those of an edit are its words, which the caller may know better."""
    if what in _DONE:
        return _DONE[what], {}
    if what.startswith("Held: "):
        return "held", {"why": what.removeprefix("Held: ")}
    if what.startswith("Cancelled: "):
        return "cancelled", {"why": what.removeprefix("Cancelled: ")}
    if what.startswith("Edited: "):
        return "edited", {"words": what.removeprefix("Edited: ")}
    for start, kind in (("Accepted into the queue", "queued"), ("Taken to be sent at once", "taken-at-once")):
        if found := re.fullmatch(rf"{start}(?: \((.*)\))?", what, re.DOTALL):
            if found[1] in OTHER_WORDS:  # a program's own word, which would be told in another way
                return "told", {"words": what}
            return kind, {"via": VIA.get(found[1], found[1])} if found[1] else {}
    if found := re.fullmatch(r"Sent from (.*)’s mail program", what, re.DOTALL):
        return "sent-from-mail-program", {"holder": found[1]}
    if found := re.fullmatch(r"Put back; (.*)’s draft was not sent", what, re.DOTALL):
        return "put-back", {"holder": found[1]}
    if found := re.fullmatch(r"Given to (.*): the account it was to use is paused", what, re.DOTALL):
        return "rerouted", {"account": "" if found[1] == "the company’s account" else found[1]}
    reason = reason_of(what)
    if reason is not None and reason["key"] in AS_EVENT:
        return reason["key"], {name: value for name, value in reason.items() if name != "key"}
    if by_person or reason is None:
        return "told", {"words": what}
    return "ended-early", {"reason": reason}


FIELDS = {"Subject": "subject", "To": "to", "Cc": "cc", "Bcc": "bcc", "Text": "text", "Attachment": "attachment"}


def changes_of(changes: Iterable[Any]) -> list[Row]:
    """What an edit changed, of [name, before, after]."""
    return [
        {"field": FIELDS.get(name, name), "before": before, "after": after} for name, before, after in changes
    ]


def changes_in_words(changes: Iterable[Any]) -> str:
    """As v0.1.0 told it, before it was cut."""
    return "; ".join(_change_in_words(*change) for change in changes)


def _change_in_words(name: str, before: str, after: str) -> str:
    if name == "Attachment":
        return f"“{after}” attached" if after else f"attachment “{before}” taken out"
    if name == "Text":
        return "text changed"
    label = name if name in ("To", "Cc", "Bcc") else name.lower()
    if not before:
        return f"{label} set to “{after}”"
    return f"{label} from “{before}” to “{after}”" if after else f"{label} emptied, it was “{before}”"


# --- Batches, schedules, forms, notices ------------------------------------------------------------------

_SKIPPED = {
    "Changed while the batch was confirmed": "changed-meanwhile",
    "Being sent right now": "being-sent",
    "Failed before: open it to correct and retry it": "failed-before",
    "Outcome unknown: open it and decide first, so that it is not sent twice": "unknown-before",
    "Cancelled": "is-cancelled",
    "Already sent": "already-sent",
    "Held": "is-held",
}


def skipped(text: str, sent_at: str, told_as: str) -> Row | None:
    """Why a batch skipped a message that was sent at `sent_at` (ISO 8601), which is told as `told_as` now."""
    if text in _SKIPPED:
        return {"key": _SKIPPED[text]}
    if found := re.fullmatch(r"Already being processed in batch (\d+)(?: by (.*))?", text, re.DOTALL):
        return {"key": "in-other-batch", "batch": int(found[1]), "by": found[2] or ""}
    if text == f"Already sent on {told_as}":
        return {"key": "already-sent", "at": sent_at}
    if text.startswith("Held: "):
        return {"key": "is-held", "reason": said(text.removeprefix("Held: "))}
    return reason_of(text)


_REMARKS = re.compile(
    r"(?P<refusal>.*?) ?(?:Nothing ran since (?P<since>\d+ \w{3} \d\d:\d\d), because the worker or beat was away"
    r"(?P<how>: this run makes up for it\.|; missed runs are left out, as this schedule says\.))? ?"
    r"(?:The batch before, batch (?P<batch>\d+), is still at work; its messages were not taken again\.)?",
    re.DOTALL,
)


def remarks_of(text: str, time_of: Callable[[str], str | None]) -> Row | None:
    """What was said of a schedule's run; `time_of` makes an ISO 8601 time of “3 Mar 07:30” then."""
    found = _REMARKS.fullmatch(text)
    if not text or found is None:
        return told(text) if text else None
    parts = _refusal(found["refusal"])
    if found["since"]:
        since = time_of(found["since"])
        if since is None:
            return told(text)
        parts.append({"key": "made-up-for" if found["how"].startswith(":") else "left-out", "since": since})
    if found["batch"]:
        parts.append({"key": "batch-at-work", "batch": int(found["batch"])})
    return {"key": "all", "parts": parts} if len(parts) > 1 else next(iter(parts), told(text))


def _refusal(text: str) -> list[Row]:
    if not text:
        return []
    inactive = r"(.*) may not sign in any more\. Choose another account for this schedule\."
    if found := re.fullmatch(inactive, text, re.DOTALL):
        return [{"key": "account-inactive", "account": found[1]}]
    return problems_of(text) or [told(text)]


_FORMS: list[tuple[str, str, Callable[[re.Match[str]], Row]]] = [
    (r"Sent: the mail server accepted it for (.*)\.", "sent",
     lambda found: {"key": "form-sent", "to": told(found[1])}),
    (r"Sent to some only: the mail server accepted it for (.*), and refused (.*)\.", "partly",
     lambda found: {"key": "form-partly", "to": told(found[1]), "refused": told(found[2])}),
    (r"Not sent: (.*)", "not-sent", lambda found: {"key": "form-not-sent", "why": reason_of(found[1])}),
    (r"Whether it arrived is not known\. (.*)", "unknown",
     lambda found: {"key": "form-unknown", "why": reason_of(found[1])}),
    (r"Whether it was sent is not known: .*", "broken-off", lambda found: {"key": "form-broken-off"}),
    (r"Handed over to your mail program: .*", "handed-over", lambda found: {"key": "form-handed-over"}),
    (r"Waits in the queue for Batch Message Processing\.", "queued", lambda found: {"key": "form-queued"}),
    (r"It is due and goes out as soon as a worker is free\.", "queued", lambda found: {"key": "form-due"}),
]  # fmt: skip


def form_of(words: str) -> tuple[str, Row | None]:
    """The state of a form that was sent, and how it is told."""
    if not words:
        return "sending", None
    for pattern, state, row_of in _FORMS:
        if found := re.fullmatch(pattern, words, re.DOTALL):
            return state, row_of(found)
    return "queued", told(words)


_WITH_ADVICE = {f"{explanation} {advice}".strip(): key for key, (_, explanation, advice) in MEANINGS.items()}


def told_of_pause(words: str) -> Row | None:
    """Why an account was paused, of a notice: explanation and advice in one."""
    if key := _WITH_ADVICE.get(words):
        return {"key": key}
    problems = problems_of(words.removesuffix(NO_SETUP_ADVICE).strip()) if words.endswith(NO_SETUP_ADVICE) else []
    if problems:
        return {"key": "no-setup", "problems": problems}
    return told(words) if words else None
