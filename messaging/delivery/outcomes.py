"""From a server's reply, or its silence, to an outcome, plain words and what to do next.

The table is read from the top; the first line that fits decides. Facts: RFC 5321 4.2, RFC 3463, RFC 4954 and the
public documentation of the servers named.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from messaging.models import AttemptOutcome, Category


class Stage(StrEnum):
    """Where in the dialogue something happened, in its order."""

    PREPARE = "prepare"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END = "end of data"


SETUP_STAGES = (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH)


@dataclass(frozen=True)
class Reply:
    """What was heard at a stage: a reply code of the server, or none and the words of this machine's error."""

    stage: Stage
    code: int | None
    text: str = ""
    error: str = ""

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) at the start of the text, or ""."""
        found = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", self.text)
        return found.group() if found else ""

    @property
    def ok(self) -> bool:
        return self.code is not None and 200 <= self.code < 300


class Scope(StrEnum):
    MESSAGE = "message"
    PACE = "pace"
    SETUP = "setup"


@dataclass(frozen=True)
class Verdict:
    """What a reply means for a message: see AttemptOutcome and Category."""

    outcome: AttemptOutcome
    category: str
    explanation: str
    advice: str = ""
    scope: Scope = Scope.MESSAGE
    wait: timedelta = timedelta()


@dataclass(frozen=True)
class Line:
    """One line of the table. Empty conditions fit anything, but an empty `error` only what a server said."""

    outcome: AttemptOutcome | None
    category: Category
    explanation: str
    advice: str
    stages: tuple[Stage, ...] = ()
    codes: tuple[int, ...] = ()
    enhanced: str = ""
    text: str = ""
    error: str = ""

    def fits(self, reply: Reply) -> bool:
        return (
            (not self.stages or reply.stage in self.stages)
            and (not self.codes or reply.code in self.codes)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (not self.text or re.search(self.text, reply.text, re.IGNORECASE) is not None)
            and re.fullmatch(self.error, reply.error) is not None
        )


SETUP, TRANSIENT, PERMANENT = AttemptOutcome.SETUP, AttemptOutcome.TRANSIENT, AttemptOutcome.PERMANENT
ASK_ADMIN = "Nothing to do for each message: an administrator corrects Email Setup and sending goes on by itself."
WAIT = "Nothing to do: it is tried again by itself."
SEE_WORDS = "See the server’s own words."

# A line without an outcome takes it from the code: 4xx is transient, 5xx permanent (RFC 5321 4.2.1).
TABLE = [
    # This machine's errors while connecting.
    Line(SETUP, Category.SETUP, "The name of the mail server was not found.", "Check the server name in Email Setup.",
         error="name not found"),
    Line(SETUP, Category.SETUP, "The mail server refused the connection.",
         "Check server and port in Email Setup, and that the mail server is running.", error="connection refused"),
    Line(SETUP, Category.SETUP, "The mail server’s certificate could not be verified.",
         "The certificate is expired, for another name, or from an authority this machine does not know. "
         "Check the server name in Email Setup, or ask who runs the mail server.", error="certificate"),
    Line(SETUP, Category.SETUP, "The secure connection (TLS) to the mail server failed.",
         "Check that auth type and port belong together: tls-implicit with 465, tls-explicit with 587.", error="tls"),
    Line(SETUP, Category.SETUP, "The mail server offers no STARTTLS, and this setup requires it.",
         "Use the submission port (587) or choose tls-implicit (465) in Email Setup.", error="no starttls"),
    Line(SETUP, Category.SETUP, "The mail server offers no way to sign in that this setup can use.",
         "Many servers offer sign-in only after STARTTLS: choose tls-explicit and port 587.", error="no auth"),
    Line(SETUP, Category.SETUP, "Email Setup is not complete.", ASK_ADMIN, error="setup"),
    Line(PERMANENT, Category.CONTENT, "The stored content of this message is missing or damaged on this server.",
         "Have the program that wrote the message send it again.", error="content missing"),
    Line(TRANSIENT, Category.SETUP, "This server could not prepare the message for sending.",
         "An administrator looks into the log and at the disk; it is tried again by itself.", error="not prepared"),
    Line(PERMANENT, Category.CONTENT, "The message is larger than the mail server takes.",
         "Send fewer or smaller attachments, or a link to them.", error="too big"),
    Line(PERMANENT, Category.ADDRESS, "The mail server cannot take an address with accented or non-Latin letters.",
         "Use an address in plain letters, or a mail server with SMTPUTF8.", error="no smtputf8"),
    Line(SETUP, Category.NETWORK, "The mail server could not be reached.",
         "Check the network and the server name and port in Email Setup.", stages=(Stage.CONNECT,), error=".+"),
    Line(SETUP, Category.NETWORK, "The mail server accepted the connection but did not answer.",
         "Check the port in Email Setup: a TLS port (465) stays silent without tls-implicit.",
         stages=(Stage.GREETING,), error=".+"),
    Line(SETUP, Category.NETWORK, "The mail server broke off before the sign-in was done.",
         "If it stays so, ask who runs the mail server.", stages=SETUP_STAGES, error=".+"),
    Line(TRANSIENT, Category.NETWORK, "The connection broke before the message was handed over.", WAIT, error=".+"),
    # Set-up as the server sees it.
    Line(SETUP, Category.BUSY, "The mail server asks to come back later.",
         "Nothing to do: sending goes on by itself.", stages=(Stage.GREETING, Stage.EHLO, Stage.AUTH, Stage.STARTTLS),
         codes=(421, 450, 451, 452, 454)),
    Line(SETUP, Category.SETUP, "Microsoft 365 has password sign-in for SMTP switched off for this mailbox.",
         "An administrator of Microsoft 365 allows authenticated SMTP for the mailbox, or use modern sign-in.",
         stages=(Stage.AUTH, Stage.MAIL), enhanced=r"5\.7\.(139|57|3)"),
    Line(SETUP, Category.SETUP, "Google wants an app password or modern sign-in for this account.",
         "Create an app password for the account and enter it in Email Setup.",
         stages=(Stage.AUTH,), codes=(534,)),
    Line(SETUP, Category.SETUP, "The mail server refused the user name or the password.",
         "Enter user name and password again in Email Setup.", stages=(Stage.AUTH,)),
    Line(SETUP, Category.SETUP, "The mail server refused the secure connection.",
         "Ask who runs the mail server, or choose another auth type.", stages=(Stage.STARTTLS,)),
    Line(SETUP, Category.SETUP, "The mail server wants a secure connection first.",
         "Choose tls-explicit (587) or tls-implicit (465) in Email Setup.",
         codes=(530, 538), text=r"starttls|encrypt|tls"),
    Line(SETUP, Category.SETUP, "The mail server wants a sign-in first.",
         "Choose send type 3 and enter user name and password in Email Setup.", codes=(530,)),
    Line(SETUP, Category.POLICY, "The mail server does not talk to this machine.",
         "Ask who runs the mail server to allow this machine, or use another one.",
         stages=(Stage.GREETING, Stage.EHLO)),
    # The sender.
    Line(PERMANENT, Category.SETUP, "The mail server does not relay for this machine.",
         "Sign in (send type 3) in Email Setup, or have this machine allowed as a relay client.",
         text=r"relay(ing)? (access )?(is )?(denied|not (permitted|allowed))|unable to relay"),
    Line(PERMANENT, Category.SETUP, "The mail server does not let this account send from that address.",
         "Send from an address the account may use, or have it allowed (“Send as”).",
         codes=(550, 551, 553, 554), enhanced=r"5\.7\.(60|1)", stages=(Stage.MAIL,)),
    Line(PERMANENT, Category.SETUP, "The mail server does not let this account send from that address.",
         "Send from an address the account may use, or have it allowed (“Send as”).",
         text=r"sendasdenied|not (owned|allowed) .*sender|sender address rejected: not owned"),
    # Size and quotas.
    Line(None, Category.CONTENT, "The message is larger than the mail server takes.",
         "Send fewer or smaller attachments, or a link to them.", enhanced=r"[45]\.(3\.4|2\.3)"),
    Line(PERMANENT, Category.ADDRESS, "The mailbox is full.",
         "Reach the recipient another way and ask them to make room.", codes=(552,), stages=(Stage.RCPT,)),
    Line(PERMANENT, Category.CONTENT, "The message is larger than the mail server takes.",
         "Send fewer or smaller attachments, or a link to them.", codes=(552,)),
    Line(None, Category.ADDRESS, "The mailbox is full.",
         "Reach the recipient another way and ask them to make room.", enhanced=r"[45]\.2\.2"),
    Line(TRANSIENT, Category.BUSY, "The mail server takes only so many recipients at a time.", WAIT,
         codes=(452,), stages=(Stage.RCPT,)),
    # Addresses.
    Line(None, Category.ADDRESS, "The mailbox does not exist.", "Correct the address and send again.",
         enhanced=r"[45]\.1\.(1|10)"),
    Line(None, Category.ADDRESS, "The domain of the address does not exist or takes no mail.",
         "Correct the part behind the @ and send again.", enhanced=r"[45]\.(1\.2|1\.10|4\.4|4\.310)"),
    Line(None, Category.ADDRESS, "The mail server does not understand the address.", "Correct the address.",
         enhanced=r"[45]\.1\.3"),
    Line(None, Category.ADDRESS, "The mailbox has moved or is closed.", "Ask for the new address.",
         enhanced=r"[45]\.(1\.6|2\.1)"),
    Line(None, Category.SETUP, "The mail server does not accept the sender’s address.",
         "Correct the from address in Email Setup or of the message.", enhanced=r"[45]\.1\.[78]"),
    # Greylisting, throttling.
    Line(TRANSIENT, Category.BUSY, "The recipient’s server asks new senders to try again later (greylisting).", WAIT,
         text=r"gr[ea]ylist"),
    Line(TRANSIENT, Category.BUSY, "The mail server slows us down or asks to come back later.", WAIT,
         codes=(421, 450, 451, 452, 454), enhanced=r"4\.(7\.\d+|3\.2|4\.5|2\.1)"),
    # Spam and policy.
    Line(None, Category.POLICY, "The mail server took the message for spam or against its rules.",
         "Ask the recipient’s administrator, or change the content; see the server’s own words.",
         enhanced=r"[45]\.7\.\d+"),
    Line(PERMANENT, Category.POLICY, "The mail server took the message for spam or against its rules.",
         "Ask the recipient’s administrator, or change the content; see the server’s own words.",
         text=r"\bspam\b|blocked|blacklist|block list|policy|virus|malware", stages=(Stage.DATA, Stage.END)),
    Line(None, Category.CONTENT, "The mail server refused the content of the message.",
         "See the server’s own words; change the content and send again.", enhanced=r"[45]\.6\.\d+"),
    # Whatever is left, by code.
    Line(TRANSIENT, Category.BUSY, "The mail server closed the connection for now.", WAIT, codes=(421,)),
    Line(PERMANENT, Category.ADDRESS, "The mailbox does not exist or takes no mail.",
         "Correct the address and send again.", codes=(550, 551, 553), stages=(Stage.RCPT,)),
    Line(PERMANENT, Category.SETUP, "The mail server does not accept the sender’s address.",
         "Correct the from address in Email Setup or of the message.", codes=(550, 551, 553), stages=(Stage.MAIL,)),
    Line(None, Category.BUSY, "The mail server could not take the message now.", WAIT,
         codes=(450, 451, 452, 454, 455, 471)),
    Line(None, Category.CONTENT, "The mail server refused the message.",
         "See the server’s own words; correct the message and send again.", stages=(Stage.DATA, Stage.END)),
    Line(None, Category.ADDRESS, "The mail server refused the recipient.",
         "See the server’s own words; correct the address and send again.", stages=(Stage.RCPT,)),
]  # fmt: skip

ACCEPTED = Verdict(AttemptOutcome.ACCEPTED, "", "The mail server accepted the message.")
UNKNOWN = Verdict(
    AttemptOutcome.UNKNOWN,
    Category.NETWORK,
    "The connection ended after the message was handed over and before the server said whether it took it.",
    "Ask the recipient, or look in the server’s log. Then choose Mark as sent or Send again.",
)
UNEXPECTED = Verdict(
    AttemptOutcome.TRANSIENT, Category.NETWORK, "The mail server answered something that is not SMTP.", WAIT
)


def judge(reply: Reply) -> Verdict:
    """Sort what was heard at a stage of a transaction.

    An error at the end of data is unknown: the server may have taken the message (RFC 5321 4.5.3.2.6).
    """
    if reply.ok:
        return ACCEPTED
    if reply.stage == Stage.END and (reply.error or reply.code is None or not 400 <= reply.code < 600):
        return UNKNOWN
    for line in TABLE:
        if line.fits(reply):
            return Verdict(line.outcome or _by_code(reply), line.category, line.explanation, line.advice)
    return UNEXPECTED if reply.code is None or not 400 <= reply.code < 600 else _generic(reply)


def _by_code(reply: Reply) -> AttemptOutcome:
    return PERMANENT if reply.code is not None and reply.code >= 500 else TRANSIENT


def _generic(reply: Reply) -> Verdict:
    if _by_code(reply) == PERMANENT:
        return Verdict(PERMANENT, Category.POLICY, "The mail server refused the message.", SEE_WORDS)
    return Verdict(TRANSIENT, Category.BUSY, "The mail server could not take the message now.", WAIT)
