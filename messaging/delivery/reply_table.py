"""The outcome table: what a reply means, and how it is told.

First the meanings in plain words, then the table, read from the top: the first line that fits decides. Facts: RFC 5321
4.2 and 4.5.3.1.10, RFC 3463 and the registry of RFC 5248, RFC 4954, 7372, 7504, 7505, and what the makers of the
servers named publish. tests/test_outcomes.py has the servers' own words for every line.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from messaging.models import AttemptOutcome, Category, Words

from .reply import OPENING_STAGES, LocalError, Reply, Stage


class Pace(StrEnum):
    """How long a server that finds us too fast usually stays that way."""

    UNTOLD = ""
    MINUTES = "minutes"
    HOURS = "hours"  # up to a day: quotas, and reputation that has to recover


class Kind(StrEnum):
    """What deserves gaps of its own between tries (see retry.py)."""

    OTHER = ""
    GREYLISTING = "greylisting"  # minutes: the server waits for proof that we try again
    REST_AT_ONCE = "rest at once"  # the others were taken; the rest goes in a transaction of its own
    MAILBOX_BUSY = "mailbox busy"  # an hour or so: limits per mailbox are by the hour
    MAILBOX_FULL = "mailbox full"  # hours: a person has to make room
    IN_DOUBT = "address in doubt"  # a few tries: soon somebody should look at the address
    BROKEN_OFF = "broken off"  # soon: nothing was said against the message


@dataclass(frozen=True)
class Meaning:
    """One thing that can be the matter, for office staff: its category ("" for none), what it is, and what to do.

    Rows keep the `key`, which therefore never changes; the words may.
    """

    key: str
    category: str
    explanation: str
    advice: str
    kind: Kind = Kind.OTHER


@dataclass(frozen=True)
class Line:
    """One line of the table; `code` and `enhanced` are regular expressions for all of it, `text` for a part.

    Empty conditions fit anything, but a line without errors only what a server said. A line without an outcome takes
    it from the code; before MAIL it is always SETUP. With a pace, the reply is about how the account sends.
    """

    outcome: AttemptOutcome | None
    meaning: Meaning
    stages: tuple[Stage, ...] = ()
    code: str = ""
    enhanced: str = ""
    text: str = ""
    errors: Collection[LocalError] = ()
    pace: Pace = Pace.UNTOLD

    def fits(self, reply: Reply) -> bool:
        return (
            (not self.stages or reply.stage in self.stages)
            and (not self.code or re.fullmatch(self.code, str(reply.code)) is not None)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (reply.error in self.errors if reply.error is not None else not self.errors)
            and (not self.text or re.search(self.text, reply.words, re.IGNORECASE) is not None)
        )


GO_ON = "Nothing to do: sending goes on by itself."
WAIT = "Nothing to do: it is tried again by itself."
SEE_WORDS = "See the server’s own words."
ASK = "Ask the recipient, or look in the server’s log. Then choose Mark as sent or Send again."
E = LocalError
A, C, B, S, N, P = (Category.ADDRESS, Category.CONTENT, Category.BUSY, Category.SETUP, Category.NETWORK,
                    Category.POLICY)  # fmt: skip

# --- Meanings: this machine and the connection -------------------------------------------------------
# fmt: off
NO_NAME = Meaning("no-name", S, "The name of the mail server was not found.", "Check the server name in Email Setup.")
NO_LISTENER = Meaning("no-listener", S, "The mail server refused the connection.",
    "Check server and port in Email Setup, and that the mail server is running.")
REFUSED_ADDRESS = Meaning("refused-address", S,
    "The name of the mail server leads to an address that is never connected to.",
    "The address is link-local or a cloud’s metadata service. Check the server name in Email Setup, and its entry in "
    "DNS.")
BAD_CERTIFICATE = Meaning("bad-certificate", S, "The mail server’s certificate could not be verified.",
    "Check the server name in Email Setup, or ask who runs the mail server.")
EXPIRED_CERTIFICATE = Meaning("expired-certificate", S, BAD_CERTIFICATE.explanation,
    "It has expired. Who runs the mail server has to renew it; if it is renewed already, check this machine’s clock.")
EARLY_CERTIFICATE = Meaning("early-certificate", S, BAD_CERTIFICATE.explanation,
    "It is not valid yet. Check this machine’s clock, or ask who runs the mail server.")
OTHER_NAME = Meaning("other-name", S, BAD_CERTIFICATE.explanation,
    "It is for another name than the one in Email Setup. Enter as server the name that the certificate is for; Check "
    "connection shows it.")
STRANGER = Meaning("stranger", S, BAD_CERTIFICATE.explanation,
    "It comes from an authority that this machine does not know. If it is your own, enter its certificate as "
    "“Certificate authorities” in Email Setup.")
NO_TLS_HERE = Meaning("no-tls-here", S, "The mail server does not speak TLS where this setup expects it.",
    "A port that greets in clear needs the auth type tls-explicit, usually with port 587; tls-implicit needs port 465. "
    "If tls-explicit is set already, ask who runs the mail server.")
OLD_TLS_THERE = Meaning("old-tls-there", S,
    "The mail server speaks only a version of encryption (TLS) that is no longer secure.",
    "Ask who runs the mail server for TLS 1.2 or newer, or use another one.")
NO_TLS = Meaning("no-tls", S, "The secure connection (TLS) to the mail server failed.",
    "Check that auth type and port belong together: tls-implicit with 465, tls-explicit with 587.")
NO_STARTTLS = Meaning("no-starttls", S, "The mail server offers no STARTTLS, and this setup requires it.",
    "Use the submission port (587) or choose tls-implicit (465) in Email Setup.")
NO_AUTH = Meaning("no-auth", S, "The mail server offers no way to sign in that this setup can use.",
    "Many servers offer sign-in only after STARTTLS: choose tls-explicit and port 587.")
NO_SETUP = Meaning("no-setup", S, "Nothing can be sent with Email Setup as it is.",
    "Nothing to do for each message: an administrator corrects Email Setup and sending goes on by itself.")
CONTENT_LOST = Meaning("content-lost", C, "The stored content of this message is missing or damaged on this server.",
    "Have the program that wrote the message send it again.")
NOT_PREPARED = Meaning("not-prepared", S, "This server could not prepare the message for sending.",
    "An administrator looks into the log and at the disk; it is tried again by itself.")
OUT_OF_FILES = Meaning("out-of-files", S, "This server has no room left for another connection or open file.",
    "An administrator raises its limit of open files or frees memory; sending goes on by itself.")
UNREACHABLE = Meaning("unreachable", N, "The mail server could not be reached.",
    "Check the network and the server name and port in Email Setup.")
SILENT = Meaning("silent", N, "The mail server accepted the connection but did not answer.",
    "Check the port in Email Setup: a TLS port (465) stays silent without tls-implicit.")
BROKE_OFF_EARLY = Meaning("broke-off-early", N, "The mail server broke off before the sign-in was done.",
    "If it stays so, ask who runs the mail server.")
BROKE_OFF = Meaning("broke-off", N, "The connection broke before the message was handed over.", WAIT, Kind.BROKEN_OFF)
NOT_SMTP = Meaning("not-smtp", N, "The mail server answered something that does not belong there.",
    "It is tried again by itself. If it stays so, check server and port in Email Setup.")
LOST_THREAD = Meaning("lost-thread", N, "The mail server lost track of the conversation.",
    "It is tried again by itself on a new connection. If it stays so, ask who runs the mail server.", Kind.BROKEN_OFF)

# --- Meanings: how fast and how much we send ---------------------------------------------------------
COME_BACK = Meaning("come-back", B,
    "The mail server is busy, or finds us too fast, and asks to come back later.", GO_ON)
QUOTA = Meaning("quota", B,
    "The mail server has taken as much mail from this account as it allows in an hour or a day.",
    "Nothing to do: sending goes on by itself once the server takes mail again. If it happens often, an administrator "
    "has the limit raised or spreads the batches over more days.")
HELD_BACK = Meaning("held-back", B,
    "The mail server holds back mail from here for a while, because of its amount or reputation.",
    "Nothing to do: sending goes on by itself, more slowly. If it stays so for a day, an administrator asks who runs "
    "the mail server.")

# --- Meanings: our set-up as the server sees it ------------------------------------------------------
OUR_NAME = Meaning("our-name", S, "The mail server does not accept the name this machine gives as its own.",
    "Enter the full name of this machine as EHLO name in Email Setup, such as mail.example.com.")
NO_REVERSE_NAME = Meaning("no-reverse-name", S,
    "The mail server cannot find a name for this machine’s network address.",
    "An administrator has a reverse DNS entry (PTR) made for the address, or uses the provider’s mail server.")
OLD_TLS = Meaning("old-tls", S, "The mail server asks for a newer version of encryption (TLS).",
    "An administrator updates this machine’s system libraries.")
WANTS_TLS = Meaning("wants-tls", S, "The mail server wants a secure connection first.",
    "Choose tls-explicit (587) or tls-implicit (465) in Email Setup.")
NO_RELAY = Meaning("no-relay", S, "The mail server does not pass mail on to outside addresses for this machine.",
    "Sign in (send type 3) in Email Setup, or have this machine allowed as a relay client.")
WANTS_SIGN_IN = Meaning("wants-sign-in", S, "The mail server wants a sign-in first.",
    "Choose send type 3 and enter user name and password in Email Setup.")
M365_SIGN_IN_OFF = Meaning("m365-sign-in-off", S,
    "Microsoft 365 has password sign-in for SMTP switched off for this mailbox.",
    "Choose Microsoft 365 as “Way to sign in” in Email Setup, or have an administrator of Microsoft 365 allow "
    "authenticated SMTP for the mailbox.")
APP_PASSWORD = Meaning("app-password", S, "The mail provider wants an app password or modern sign-in for this account.",
    "Choose another “Way to sign in” in Email Setup, or create an app password for the account and enter that one.")
BROWSER_SIGN_IN = Meaning("browser-sign-in", S,
    "The mail provider wants the owner of the account to confirm the sign-in.",
    "Sign in to the account with a web browser and confirm that it was you. To be rid of it, choose another “Way to "
    "sign in” in Email Setup, or use an app password.")
SIGN_IN_NOT_THERE = Meaning("sign-in-not-there", S, "The mail server offers no sign-in here, or not in this way.",
    "Check port and auth type in Email Setup: sign-in is usual on port 587 with tls-explicit.")
NEW_PASSWORD = Meaning("new-password", S, "The mail server asks for the password to be changed.",
    "Sign in to the mailbox by other means, set a new password and enter it in Email Setup.")
WRONG_PASSWORD = Meaning("wrong-password", S, "The mail server refused the user name or the password.",
    "Enter user name and password again in Email Setup. Microsoft 365 and Google refuse many accounts any password: "
    "there choose another “Way to sign in”.")
MAILBOX_CLOSED = Meaning("mailbox-closed", S,
    "Microsoft 365 does not let the signed-in application or person use the sending mailbox.",
    "An administrator of Microsoft 365 gives it full access to the mailbox (Add-MailboxPermission); that can take an "
    "hour to work. Sending goes on by itself.")
SENT_ITEMS_FULL = Meaning("sent-items-full", S,
    "The mailbox of the sending account is full, so the server takes no more mail from it.",
    "Empty Sent Items and Deleted Items of the sending mailbox, or have its size raised.")
ACCOUNT_BARRED = Meaning("account-barred", P, "The mail provider has barred this account or organisation from sending.",
    "An administrator looks into the provider’s console or mailbox for notices, settles what is asked there, and has "
    "sending allowed again.")
MACHINE_BLOCKED = Meaning("machine-blocked", P, "This machine’s network address is on a block list.",
    "An administrator finds the reason (a virus, an open mailbox, a bad mailing), has the address taken off the list "
    "named in the server’s own words, or sends through another mail server.")
MACHINE_REFUSED = Meaning("machine-refused", P, "The mail server does not talk to this machine.",
    "Ask who runs the mail server to allow this machine, or use another one.")
TAKES_NO_MAIL = Meaning("takes-no-mail", S,
    "This server takes no mail at all.", "Check the server name in Email Setup.")
TLS_REFUSED = Meaning("tls-refused", S, "The mail server refused the secure connection.",
    "Ask who runs the mail server, or choose another auth type.")

# --- Meanings: modern sign-in (OAuth 2.0), first at the provider and then at the mail server ----------
SIGN_IN_UNREACHABLE = Meaning("sign-in-unreachable", N, "The provider’s sign-in server could not be reached.",
    "It is tried again by itself. If it stays so, check the network and firewall of this machine, and the sign-in "
    "server in Email Setup.")
SIGN_IN_CERTIFICATE = Meaning("sign-in-certificate", S,
    "The certificate of the provider’s sign-in server could not be verified.",
    "Check the sign-in server in Email Setup. If it has an authority of its own, or a firewall looks into secure "
    "connections, enter that authority under Certificate authorities.")
SIGN_IN_SERVER = Meaning("sign-in-server", S, "The sign-in server in Email Setup cannot be used.",
    "Correct it as its own words say; for Microsoft and Google it is usually left empty.")
CLIENT_SECRET = Meaning("client-secret", S, "The provider refused the client secret: it is wrong, or its time is over.",
    "Make a new client secret where the application is registered (Microsoft: Entra admin centre, App registrations, "
    "Certificates & secrets) and enter its value, not its ID, in Email Setup.")
SIGN_IN_ENDED = Meaning("sign-in-ended", S, "The sign-in at the provider has ended or was revoked.",
    "Sign in again in Email Setup, or enter a new refresh token there. A sign-in ends when the password is changed, "
    "when an administrator revokes it, or when it was not used for months.")
UNKNOWN_APPLICATION = Meaning("unknown-application", S,
    "The provider does not know the tenant or the application, or does not let it sign in this way.",
    "Check tenant and client ID in Email Setup. Where a person signs in at Microsoft, also set “Allow public client "
    "flows” to Yes under Authentication of the application.")
NO_CONSENT = Meaning("no-consent", S, "The application has no consent to send mail.",
    "An administrator of the organisation grants it. Microsoft: Entra admin centre, App registrations, API "
    "permissions, SMTP.SendAsApp (as an application) or SMTP.Send (by a person), “Grant admin consent”. A person then "
    "signs in again.")
SERVICE_ACCOUNT = Meaning("service-account", S, "Google refused the service account, or its key cannot be used.",
    "Check the key (JSON file), and that the user name is a mailbox of your domain. In the Google Admin console, under "
    "Security, API controls, Domain-wide delegation, allow the account’s client ID the scope https://mail.google.com/.")
SIGN_IN_REFUSED = Meaning("sign-in-refused", S, "The provider gave no access token.",
    "See the provider’s own words; check the way to sign in, and what belongs to it, in Email Setup.")
NO_TOKEN_SIGN_IN = Meaning("no-token-sign-in", S,
    "The mail server offers no modern sign-in here, and this setup requires it.",
    "Many servers offer it only after STARTTLS: choose tls-explicit and port 587. If it stays so, this server does not "
    "know it: choose user name and password as the way to sign in.")
SMTP_AUTH_OFF = Meaning("smtp-auth-off", S,
    "Microsoft 365 has signing in for SMTP switched off for this mailbox or organisation.",
    "An administrator of Microsoft 365 allows Authenticated SMTP, for the mailbox (admin centre, Active users, Mail, "
    "Manage email apps) or for the organisation. It can take an hour.")
SIGN_IN_RULE = Meaning("sign-in-rule", S, "A rule of Microsoft 365 keeps this user or application from signing in.",
    "An administrator looks into the sign-in logs of the Entra admin centre, and at conditional access, security "
    "defaults, and who may use the application.")
TOKEN_REFUSED = Meaning("token-refused", S, "The mail server refused the access token.",
    "Check that the user name is the mailbox that the sign-in is for, or sign in again. Microsoft 365, as an "
    "application: an administrator registers it in Exchange Online (New-ServicePrincipal) and gives it the mailbox "
    "(Add-MailboxPermission). Google: check the scope, which is https://mail.google.com/.")

# --- Meanings: the sender ----------------------------------------------------------------------------
NOT_OUR_SENDER = Meaning("not-our-sender", S, "The mail server does not let this account send from that address.",
    "Send from an address the account may use, or have it allowed (“Send as”, or a verified sender).")
BAD_SENDER = Meaning("bad-sender", S, "The mail server does not accept the sender’s address.",
    "Correct the from address in Email Setup or of the message.")
SENDER_UNPROVEN = Meaning("sender-unproven", P,
    "The sender’s domain does not vouch for this mail server (SPF, DKIM or DMARC).",
    "An administrator adds the mail server to the SPF record of the sender’s domain and has mail signed (DKIM); "
    "then send again.")

# --- Meanings: the recipient -------------------------------------------------------------------------
GREYLISTED = Meaning("greylisted", B, "The recipient’s server asks new senders to try again later (greylisting).", WAIT,
    Kind.GREYLISTING)
MAILBOX_RATE = Meaning("mailbox-rate", B, "The recipient’s mailbox gets more mail at the moment than it takes.", WAIT,
    Kind.MAILBOX_BUSY)
MAILBOX_BUSY = Meaning("mailbox-busy", B,
    "The recipient’s mailbox cannot be reached at the moment.", WAIT, Kind.MAILBOX_BUSY)
REST_LATER = Meaning("rest-later", B, "The mail server takes only so many recipients at a time.",
    "Nothing to do: the rest is sent by itself.", Kind.REST_AT_ONCE)
TOO_MANY = Meaning("too-many", C,
    "The message has more recipients than the mail server takes.", "Send it to fewer at a time.")
NO_MAILBOX = Meaning("no-mailbox", A, "The mailbox does not exist.", "Correct the address and send again.")
DOUBTFUL_MAILBOX = Meaning("doubtful-mailbox", A, "The recipient’s server could not confirm that the mailbox exists.",
    "Check the address. If it is wrong, cancel the message and send it to the right one; otherwise it is tried again "
    "by itself.", Kind.IN_DOUBT)
NO_DOMAIN = Meaning("no-domain", A, "The domain of the address does not exist or takes no mail.",
    "Correct the part behind the @ and send again.")
DOUBTFUL_DOMAIN = Meaning("doubtful-domain", A, "The domain of the address was not found.",
    "Check the part behind the @. If it is wrong, cancel the message and send it to the right address; otherwise it is "
    "tried again by itself.", Kind.IN_DOUBT)
BAD_ADDRESS = Meaning("bad-address", A, "The mail server does not understand the address.", "Correct the address.")
NOT_ASCII = Meaning("not-ascii", A, "The mail server cannot take an address with accented or non-Latin letters.",
    "Use an address in plain letters, or a mail server with SMTPUTF8.")
MOVED = Meaning("moved", A, "The mailbox has moved or is closed.", "Ask for the new address.")
MAILBOX_FULL = Meaning("mailbox-full", A,
    "The mailbox is full.", "Reach the recipient another way and ask them to make room.",
    Kind.MAILBOX_FULL)
UNKNOWN_MAILBOX = Meaning("unknown-mailbox", A,
    "The mailbox does not exist or takes no mail.", "Correct the address and send again.")
ADDRESS_REFUSED = Meaning("address-refused", A, "The mail server refused the recipient.",
    "See the server’s own words; correct the address and send again.")
NOBODY_LEFT = Meaning("nobody-left", A,
    "The mail server accepted none of the recipients.", "Correct the addresses and send again.")
UNWANTED = Meaning("unwanted", P, "The recipient’s side does not take this mail from us.",
    "Reach the recipient another way and ask them to have us allowed.")
INSIDERS_ONLY = Meaning("insiders-only", P,
    "The recipient takes mail only from certain senders, such as people of their organisation.",
    "Ask the recipient to have us allowed, or write to another address.")
ROUTE_BROKEN = Meaning("route-broken", N, "The mail server cannot get through to the recipient’s server.",
    "Check the part behind the @. If it is right, ask the recipient’s administrator.")
LOOP = Meaning("loop", N, "The message went round in circles among the recipient’s servers.",
    "Tell the recipient’s administrator; reach the recipient another way until then.")

# --- Meanings: the message ---------------------------------------------------------------------------
TOO_BIG = Meaning("too-big", C, "The message is larger than the mail server takes.",
    "Send fewer or smaller attachments, or a link to them.")
BAD_ATTACHMENT = Meaning("bad-attachment", C,
    "The mail server took an attachment for dangerous, or does not take its kind.",
    "Send it as PDF, or a link to it. If that is what you sent, have this machine checked for viruses.")
LINK_LISTED = Meaning("link-listed", P, "The sender’s domain or a link in the message is on a block list.",
    "An administrator looks up the list named in the server’s own words; without the link it may go through.")
SPAM = Meaning("spam", P, "The mail server took the message for spam or against its rules.",
    "Ask the recipient’s administrator, or change the content; see the server’s own words.")
FAULTY_FORM = Meaning("faulty-form", C, "The mail server finds the form of the message faulty.",
    "Tell who looks after the program that wrote it; see the server’s own words.")
CONTENT_REFUSED = Meaning("content-refused", C, "The mail server refused the content of the message.",
    "See the server’s own words; change the content and send again.")
REFUSED = Meaning("refused", C, "The mail server refused the message.",
    "See the server’s own words; correct the message and send again.")
REFUSED_AT_ALL = Meaning("refused-at-all", P, "The mail server refused the message.", SEE_WORDS)
NOT_NOW = Meaning("not-now", B, "The mail server could not take the message now.", WAIT)
NETWORK_NOT_NOW = Meaning("network-not-now", N,
    "The mail server could not get through to the recipient’s server.", WAIT)

# --- Meanings: no refusal ----------------------------------------------------------------------------
ACCEPTED = Meaning("accepted", "", "The mail server accepted the message.", "")
UNKNOWN = Meaning("unknown", N,
    "The connection ended after the message was handed over and before the server said whether it took it.", ASK)
WORKER_STOPPED = Meaning("worker-stopped", N,
    "The worker stopped after the message was handed over and before the reply was recorded.", ASK)

# --- The table ---------------------------------------------------------------------------------------
SETUP, TRANSIENT, PERMANENT = AttemptOutcome.SETUP, AttemptOutcome.TRANSIENT, AttemptOutcome.PERMANENT
GREETING, AUTH, STARTTLS = (Stage.GREETING, Stage.EHLO), (Stage.AUTH,), (Stage.STARTTLS,)
MAIL, RCPT, END, CONTENT = (Stage.MAIL,), (Stage.RCPT,), (Stage.END,), (Stage.DATA, Stage.END)
ENVELOPE = (Stage.MAIL, Stage.RCPT, Stage.DATA)
UNTIL_CONTENT = (*GREETING, Stage.STARTTLS, Stage.AUTH, *ENVELOPE)
ANY_ERROR = tuple(LocalError)

TABLE = [
    # This machine's errors.
    Line(SETUP, NO_NAME, errors=(E.NAME_NOT_FOUND,)),
    Line(SETUP, NO_LISTENER, errors=(E.CONNECTION_REFUSED,)),
    Line(SETUP, REFUSED_ADDRESS, errors=(E.REFUSED_ADDRESS,)),
    Line(SETUP, BAD_CERTIFICATE, errors=(E.CERTIFICATE,)),
    Line(SETUP, EXPIRED_CERTIFICATE, errors=(E.CERTIFICATE_EXPIRED,)),
    Line(SETUP, EARLY_CERTIFICATE, errors=(E.CERTIFICATE_EARLY,)),
    Line(SETUP, OTHER_NAME, errors=(E.CERTIFICATE_OTHER_NAME,)),
    Line(SETUP, STRANGER, errors=(E.CERTIFICATE_STRANGER,)),
    Line(SETUP, NO_TLS_HERE, errors=(E.NO_TLS,)),
    Line(SETUP, OLD_TLS_THERE, errors=(E.OLD_TLS,)),
    Line(SETUP, NO_TLS, errors=(E.TLS,)),
    Line(SETUP, NO_STARTTLS, errors=(E.NO_STARTTLS,)),
    Line(SETUP, NO_AUTH, errors=(E.NO_AUTH,)),
    Line(SETUP, NO_SETUP, errors=(E.SETUP,)),
    Line(SETUP, SIGN_IN_UNREACHABLE, errors=(E.SIGN_IN_UNREACHABLE,)),
    Line(SETUP, SIGN_IN_CERTIFICATE, errors=(E.SIGN_IN_CERTIFICATE,)),
    Line(SETUP, SIGN_IN_SERVER, errors=(E.SIGN_IN_SERVER,)),
    Line(SETUP, CLIENT_SECRET, errors=(E.CLIENT_SECRET,)),
    Line(SETUP, SIGN_IN_ENDED, errors=(E.SIGN_IN_ENDED,)),
    Line(SETUP, UNKNOWN_APPLICATION, errors=(E.APPLICATION_UNKNOWN,)),
    Line(SETUP, NO_CONSENT, errors=(E.CONSENT_MISSING,)),
    Line(SETUP, SERVICE_ACCOUNT, errors=(E.SERVICE_ACCOUNT,)),
    Line(SETUP, SIGN_IN_REFUSED, errors=(E.SIGN_IN_REFUSED,)),
    Line(SETUP, NO_TOKEN_SIGN_IN, errors=(E.NO_TOKEN_SIGN_IN,)),
    # What servers say to a token reads as if a password were wrong, so the way to sign in must count.
    Line(SETUP, SMTP_AUTH_OFF, text=r"SmtpClientAuthentication is disabled", errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, SIGN_IN_RULE, text=r"did not meet the criteria|security defaults|not authorized to access this "
         r"application", errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, TOKEN_REFUSED, errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, OUT_OF_FILES, errors=(E.OUT_OF_FILES,)),
    Line(PERMANENT, CONTENT_LOST, errors=(E.CONTENT_MISSING, E.BARE_LINE_END)),
    Line(TRANSIENT, NOT_PREPARED, errors=(E.NOT_PREPARED,)),
    Line(PERMANENT, TOO_BIG, errors=(E.TOO_BIG,)),
    Line(PERMANENT, NOT_ASCII, errors=(E.NO_SMTPUTF8,)),
    Line(SETUP, UNREACHABLE, (Stage.CONNECT,), errors=ANY_ERROR),
    Line(SETUP, SILENT, (Stage.GREETING,), errors=ANY_ERROR),
    Line(SETUP, BROKE_OFF_EARLY, OPENING_STAGES, errors=ANY_ERROR),
    Line(TRANSIENT, BROKE_OFF, errors=ANY_ERROR),

    # About one recipient or message, though it sounds like our pace. A limit by the hour is no refusal, whatever the
    # code: the mailbox takes mail again in the next hour.
    Line(TRANSIENT, GREYLISTED, ENVELOPE + END, code="4..",
         text=r"gr[ea]y-?list|^try again later$|internal resources? (is |are )?temporarily"),
    Line(TRANSIENT, MAILBOX_RATE, RCPT + CONTENT, text=r"receiving mail (too quickly|at a rate)|recipient thread limit|"
         r"recipient.s per hour|messages to \S+ deferred due to excessive"),
    Line(None, SPAM, CONTENT, text=r"nature of the content|same message-id"),
    Line(None, UNWANTED, ENVELOPE + END, text=r"not in whitelist for rcpt|customer block list|user entry|"
         r"blacklisted by recipient|rejected by (this|the) (user|recipient)|:blocked\)"),
    Line(None, BAD_SENDER, ENVELOPE + END, text=r"unresolvable"),
    Line(None, LINK_LISTED, ENVELOPE + END,
         text=r"sender address \[.*blocked using|\bdbl\b|\b(uri|sur)bl\b|domain present in"),
    # Sender authentication (RFC 7372) and what stands in DNS for this machine.
    Line(SETUP, NO_REVERSE_NAME, enhanced=r"[45]\.7\.25"),
    Line(SETUP, NO_REVERSE_NAME, code="[45]..", text=r"\bptr\b|find your (reverse )?hostname"),
    Line(None, SENDER_UNPROVEN, CONTENT, enhanced=r"[45]\.7\.(2[0-46-7]|3[0-2]|509)"),
    Line(None, SENDER_UNPROVEN, ENVELOPE + END,
         text=r"\b(spf|dkim|dmarc|sender policy framework)\b|unauthenticated e?mail"),

    # How much and how fast we send: not the message's fault, whatever the code.
    Line(TRANSIENT, QUOTA, enhanced=r"5\.(4\.5|1\.90|7\.508)", pace=Pace.HOURS),
    Line(TRANSIENT, QUOTA, text=r"\bdaily .{0,40}(limit|quota)|submission ?quota|maximum credits|messaging limits|"
         r"(mails?|messages|recipients)( received)? (per|this) (hour|day)|sender throttled due", pace=Pace.HOURS),
    Line(TRANSIENT, HELD_BACK, enhanced=r"5\.7\.28|4\.7\.(28|50[1-9]|5[1-9]\d|6\d\d|8[5-9]\d)", pace=Pace.HOURS),
    Line(TRANSIENT, HELD_BACK, text=r"unusual rate", pace=Pace.HOURS),
    Line(TRANSIENT, HELD_BACK, code="4..", text=r"temporarily (been )?(rate limited|deferred|blocked|blacklisted)",
         pace=Pace.HOURS),
    Line(TRANSIENT, COME_BACK, enhanced=r"4\.(4\.5|7\.[57]00)", pace=Pace.MINUTES),
    Line(TRANSIENT, COME_BACK, text=r"too many (\w+ ){0,3}(connect\w*|sessions|messages|logins?|auth|mails?)\b|"
         r"too many recipients from|too much (mail|load)|connections? (rate )?limit|thread limit|relay limit|throttl|"
         r"rate.?limit|sending rate|submission rate|too frequent|message per connection", pace=Pace.MINUTES),

    # Our set-up, as the server tells it at whatever stage: Postfix and others save it up for RCPT. Where 4xx is said
    # here, waiting does not help.
    Line(SETUP, OUR_NAME, UNTIL_CONTENT, text=r"(helo|ehlo) (command rejected|argument|requires)|bad helo|"
         r"invalid (helo|ehlo|domain name)"),
    Line(SETUP, OLD_TLS, UNTIL_CONTENT, enhanced=r"[45]\.7\.66"),
    Line(None, UNWANTED, ENVELOPE, text=r"tls required for rcpt"),
    Line(SETUP, WANTS_TLS, code="523|538"),
    Line(SETUP, WANTS_TLS, UNTIL_CONTENT,
         text=r"must issue a? ?starttls|(encryption|(tls|ssl)[- ]connection) (is )?required"),
    Line(SETUP, NO_RELAY, ENVELOPE, text=r"relay(ing)? (access )?(denied|not (permitted|allowed)|prohibited)|"
         r"unable to relay|allowed rcpthosts|delivery is not allowed to this address"),
    Line(None, INSIDERS_ONLY, RCPT + CONTENT, enhanced=r"5\.7\.(12|13|124|13[3-6])"),
    Line(SETUP, M365_SIGN_IN_OFF, AUTH + MAIL, text=r"SmtpClientAuthentication is disabled|"
         r"basic authentication is disabled|did not meet the criteria|security defaults"),
    Line(SETUP, WANTS_SIGN_IN, ENVELOPE, code="530"),
    Line(SETUP, WANTS_SIGN_IN, ENVELOPE, text=r"authentication (is )?required|requires authentication|not logged in|"
         r"client (was )?not authenticated|unauthenticated senders"),
    Line(SETUP, BROWSER_SIGN_IN, AUTH, text=r"log in (with|via|through) your web browser"),
    Line(SETUP, APP_PASSWORD, AUTH, code="534"),
    Line(SETUP, APP_PASSWORD, AUTH, text=r"application-specific password"),
    Line(SETUP, NEW_PASSWORD, AUTH, enhanced=r"4\.7\.12"),
    Line(SETUP, ACCOUNT_BARRED, AUTH, enhanced=r"5\.7\.13"),
    Line(SETUP, SIGN_IN_NOT_THERE, AUTH, code="50[0234]"),
    Line(SETUP, NO_RELAY, text=r"invalid credentials for relay|mail relay denied"),
    Line(SETUP, MAILBOX_CLOSED, text=r"storedrv.{0,40}mailbox logon failure"),
    Line(SETUP, SENT_ITEMS_FULL, text=r"storedrv\.subm\w+\.exception:quotaexceeded"),
    Line(SETUP, ACCOUNT_BARRED, enhanced=r"5\.7\.(50[1-3]|70[0-7]|709|7[1-4]\d|750)"),
    Line(SETUP, ACCOUNT_BARRED, UNTIL_CONTENT + END, text=r"sending (has been )?(suspended|paused|denied)|"
         r"is not allowed to send:|bad outbound sender|activate your \w+ account"),
    Line(SETUP, MACHINE_BLOCKED, UNTIL_CONTENT, enhanced=r"5\.7\.(511|60[6-9]|6[1-4]\d|708)"),
    Line(SETUP, MACHINE_BLOCKED, UNTIL_CONTENT, text=r"blocked using|\bdnsbls?\b|spamhaus|blocked - see|"
         r"(\bip|host|client|network|\d\.\d).{0,60}((block|black) ?list|\blisted (at|by|in|on) )|"
         r"(poor|bad|ip) reputation|not (be )?accepted from|permanently deferred"),
    Line(SETUP, MACHINE_REFUSED, UNTIL_CONTENT, text=r"client host rejected|not allowed to connect|"
         r"access to .*mail system has been rejected"),
    # The rest of what is said before MAIL.
    Line(SETUP, COME_BACK, OPENING_STAGES, code="4..", pace=Pace.MINUTES),
    Line(SETUP, WRONG_PASSWORD, AUTH, code="5.."),
    Line(SETUP, TLS_REFUSED, STARTTLS, code="5.."),
    Line(SETUP, TAKES_NO_MAIL, GREETING, code="521|556"),
    Line(SETUP, MACHINE_REFUSED, GREETING, code="5.."),
    # The server as a whole. At the end of data 421 may be about this content, and then must cost a try.
    Line(TRANSIENT, COME_BACK, ENVELOPE, code="421", pace=Pace.MINUTES),
    Line(TRANSIENT, COME_BACK, ENVELOPE, enhanced=r"4\.3\.2", pace=Pace.MINUTES),
    Line(TRANSIENT, COME_BACK, MAIL, enhanced=r"4\.7\.\d+", pace=Pace.MINUTES),

    # The sender. 403 is SendGrid's own, and waiting does not help there.
    Line(PERMANENT, NOT_OUR_SENDER, code="403|5..", text=r"sendasdenied|send as this sender|not owned by|"
         r"verified sender|not (allowed|authori[sz]ed|permitted) to send (from|as)|address is not verified"),
    Line(None, BAD_SENDER, text=r"sender (address )?(was )?(rejected|denied|refused|verify failed|syntax)|"
         r"domain of sender|envelope sender|invalid (sender|mail from)|sender address (must|syntax)"),
    Line(None, BAD_SENDER, ENVELOPE, enhanced=r"[45]\.(1\.[78]|7\.27)"),
    Line(None, NOT_OUR_SENDER, MAIL, code="55[0134]", enhanced=r"5\.7\.1"),
    Line(PERMANENT, BAD_SENDER, MAIL, code="55[0135]|50[14]|571"),

    # The size, at whatever stage.
    Line(None, TOO_BIG, enhanced=r"[45]\.(3\.4|2\.3)"),
    Line(PERMANENT, TOO_BIG, code="5..", text=r"message (size exceeds|too (big|large))|email size exceeded"),

    # The recipient. RFC 5321 4.5.3.1.10: a 552 for too many recipients is a 452.
    Line(TRANSIENT, REST_LATER, RCPT, text=r"too many recipients|separate transaction|multiple destination domains"),
    Line(TRANSIENT, REST_LATER, RCPT, enhanced=r"[45]\.5\.3"),
    Line(None, TOO_MANY, text=r"too many recipients"),
    Line(None, MAILBOX_FULL, enhanced=r"[45]\.2\.2"),
    Line(None, MAILBOX_FULL, code="[45]..", text=r"over ?quota|mailbox (is )?full"),
    Line(None, NOT_ASCII, enhanced=r"5\.6\.[79]"),
    Line(PERMANENT, NO_DOMAIN, code="556"),
    Line(PERMANENT, NO_DOMAIN, code="5..", enhanced=r"5\.(1\.2|4\.4|4\.310)"),
    Line(PERMANENT, NO_DOMAIN, code="5..", text=r"null ?mx|unrouteable"),
    Line(PERMANENT, NO_MAILBOX, code="5..", enhanced=r"5\.1\.1|5\.1\.10|5\.7\.50[45]"),
    Line(PERMANENT, NO_MAILBOX, code="5..", enhanced=r"5\.4\.1", text=r"recipient address rejected"),
    Line(PERMANENT, MOVED, code="5..", enhanced=r"5\.(1\.6|2\.1|7\.1[78])"),
    Line(PERMANENT, MOVED, RCPT, code="551"),
    Line(PERMANENT, MOVED, code="5..", text=r"mailbox is (disabled|closed)|no longer valid"),
    Line(PERMANENT, NO_MAILBOX, RCPT + END, code="5..",
         text=r"no such (user|mailbox|recipient)|doesn.t have an? \S+ account|not a valid (recipient|mailbox)|"
         r"(unknown|invalid) (user|recipient|mailbox)|"
         r"(user|recipient|mailbox|address)\b.{0,30} (unknown|not found|does not exist|invalid|inactive)"),
    Line(PERMANENT, BAD_ADDRESS, code="5..", enhanced=r"5\.1\.[34]"),
    Line(PERMANENT, BAD_ADDRESS, RCPT, code="501|504|555"),
    Line(TRANSIENT, DOUBTFUL_DOMAIN, code="4..", enhanced=r"4\.1\.2"),
    Line(TRANSIENT, DOUBTFUL_DOMAIN, code="4..", text=r"cannot resolve"),
    Line(TRANSIENT, DOUBTFUL_MAILBOX, code="4..", enhanced=r"4\.1\.\d+"),
    Line(TRANSIENT, MAILBOX_BUSY, code="4..", enhanced=r"4\.2\.\d+"),
    Line(None, LOOP, enhanced=r"[45]\.4\.(6|14)"),
    Line(None, LOOP, text=r"too many hops|mail loop"),
    Line(TRANSIENT, NETWORK_NOT_NOW, code="4..", enhanced=r"4\.4\.\d+"),
    Line(PERMANENT, ROUTE_BROKEN, code="5..", enhanced=r"5\.4\.\d+"),
    Line(TRANSIENT, LOST_THREAD, ENVELOPE, code="50[023]"),
    Line(PERMANENT, UNWANTED, RCPT, code="5..", enhanced=r"5\.7\.\d+"),
    Line(PERMANENT, UNWANTED, RCPT, code="5..",
         text=r"polic(y|ies)|prohibi|access denied|blocked|banned"),
    Line(PERMANENT, UNWANTED, RCPT, code="541|571"),
    Line(PERMANENT, UNKNOWN_MAILBOX, RCPT, code="55[0134]"),
    Line(PERMANENT, NOBODY_LEFT, CONTENT, text=r"no valid recipients"),

    # The message.
    Line(PERMANENT, BAD_ATTACHMENT, CONTENT, code="5..", text=r"virus|malware|attachment|potential security issue"),
    Line(None, CONTENT_REFUSED, CONTENT, enhanced=r"[45]\.6\.\d+"),
    Line(PERMANENT, FAULTY_FORM, CONTENT, code="5..", text=r"bare <?lf|\brfc ?\d{3,4}\b|rfc compliant|"
         r"header line|line length"),
    Line(PERMANENT, SPAM, CONTENT, code="5..", enhanced=r"5\.7\.\d+"),
    Line(PERMANENT, SPAM, CONTENT, code="5..",
         text=r"\bspam\b|junk|block(ed| ?list)|reputation|polic(y|ies)|prohibi"),
    Line(PERMANENT, MAILBOX_FULL, RCPT, code="552"),
    Line(PERMANENT, TOO_BIG, code="552"),
    Line(PERMANENT, REFUSED, CONTENT, code="5.."),
    # Whatever is left, by code.
    Line(PERMANENT, ADDRESS_REFUSED, RCPT, code="5.."),
    Line(PERMANENT, REFUSED_AT_ALL, code="5.."),
    Line(TRANSIENT, NOT_NOW, code="4.."),
    Line(TRANSIENT, NOT_SMTP),
]
# fmt: on

MEANINGS = {found.key: found for found in list(globals().values()) if isinstance(found, Meaning)}
WORDS: dict[str, Words] = {key: meaning.explanation for key, meaning in MEANINGS.items()} | {
    NO_SETUP.key: lambda problems=(): " ".join(problems) or NO_SETUP.explanation
}
