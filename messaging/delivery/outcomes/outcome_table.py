"""The outcome table: what a reply means. The words are in meanings.py.

It is read from the top: the first line that fits decides. Facts: RFC 5321 4.2 and 4.5.3.1.10, RFC 3463 and the
registry of RFC 5248, RFC 4954, 7372, 7504, 7505, and what the makers of the servers named publish.
tests/unit/delivery/test_outcomes.py has the servers' own words for every line.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from messaging.delivery.outcomes import meanings as m
from messaging.delivery.outcomes import patterns as p
from messaging.delivery.outcomes.reply import OPENING_STAGES, LocalError, Reply, Stage
from messaging.models import AttemptOutcome


class Pace(StrEnum):
    """How long a server that finds us too fast usually stays that way."""

    UNTOLD = ""
    MINUTES = "minutes"
    HOURS = "hours"  # up to a day: quotas, and reputation that has to recover


@dataclass(frozen=True)
class Line:
    """One line of the table; `code` and `enhanced` are regular expressions for all of it, `text` for a part.

    Empty conditions fit anything, but a line without errors only what a server said. A line without an outcome takes
    it from the code; before MAIL it is always SETUP. With a pace, the reply is about how the account sends. With
    `after_accepted`, others of the same transaction were accepted before. A hint says what its text may be about, and
    not what it means.
    """

    outcome: AttemptOutcome | None
    meaning: m.Meaning
    stages: tuple[Stage, ...] = ()
    code: str = ""
    enhanced: str = ""
    text: str = ""
    errors: Collection[LocalError] = ()
    pace: Pace = Pace.UNTOLD
    after_accepted: bool = False
    is_hint: bool = False

    def fits(self, reply: Reply) -> bool:
        return (
            (not self.stages or reply.stage in self.stages)
            and (not self.after_accepted or reply.after_accepted)
            and (not self.code or re.fullmatch(self.code, str(reply.code)) is not None)
            and (not self.enhanced or re.fullmatch(self.enhanced, reply.enhanced) is not None)
            and (reply.error in self.errors if reply.error is not None else not self.errors)
            and (not self.text or self._said.search(reply.words) is not None)
        )

    @cached_property
    def _said(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)


E = LocalError
SETUP, TRANSIENT, PERMANENT = AttemptOutcome.SETUP, AttemptOutcome.TRANSIENT, AttemptOutcome.PERMANENT
GREETING, AUTH, STARTTLS = (Stage.GREETING, Stage.EHLO), (Stage.AUTH,), (Stage.STARTTLS,)
MAIL, RCPT, END, CONTENT = (Stage.MAIL,), (Stage.RCPT,), (Stage.END,), (Stage.DATA, Stage.END)
ENVELOPE = (Stage.MAIL, Stage.RCPT, Stage.DATA)
UNTIL_CONTENT = (*GREETING, Stage.STARTTLS, Stage.AUTH, *ENVELOPE)
ANY_ERROR = tuple(LocalError)

# fmt: off
TABLE = [
    # This machine's errors.
    Line(SETUP, m.NO_NAME, errors=(E.NAME_NOT_FOUND,)),
    Line(SETUP, m.NO_LISTENER, errors=(E.CONNECTION_REFUSED,)),
    Line(SETUP, m.REFUSED_ADDRESS, errors=(E.REFUSED_ADDRESS,)),
    Line(SETUP, m.BAD_CERTIFICATE, errors=(E.CERTIFICATE,)),
    Line(SETUP, m.EXPIRED_CERTIFICATE, errors=(E.CERTIFICATE_EXPIRED,)),
    Line(SETUP, m.EARLY_CERTIFICATE, errors=(E.CERTIFICATE_EARLY,)),
    Line(SETUP, m.OTHER_NAME, errors=(E.CERTIFICATE_OTHER_NAME,)),
    Line(SETUP, m.STRANGER, errors=(E.CERTIFICATE_STRANGER,)),
    Line(SETUP, m.NO_TLS_HERE, errors=(E.NO_TLS,)),
    Line(SETUP, m.OLD_TLS_THERE, errors=(E.OLD_TLS,)),
    Line(SETUP, m.WEAK_CERTIFICATE, errors=(E.CERTIFICATE_WEAK,)),
    Line(SETUP, m.WEAK_KEY_EXCHANGE, errors=(E.WEAK_KEY_EXCHANGE,)),
    Line(SETUP, m.WEAK_SIGNATURE, errors=(E.WEAK_SIGNATURE,)),
    Line(SETUP, m.NO_COMMON_TLS, errors=(E.NO_COMMON_TLS,)),
    Line(SETUP, m.WANTS_CERTIFICATE, errors=(E.WANTS_CERTIFICATE,)),
    Line(SETUP, m.NAME_NOT_SERVED, errors=(E.NAME_NOT_SERVED,)),
    Line(SETUP, m.TLS_FAULT_THERE, errors=(E.TLS_FAULT_THERE,)),
    Line(SETUP, m.NO_TLS, errors=(E.TLS,)),
    Line(SETUP, m.NO_STARTTLS, errors=(E.NO_STARTTLS,)),
    Line(SETUP, m.NO_AUTH, errors=(E.NO_AUTH,)),
    Line(SETUP, m.NO_SETUP, errors=(E.SETUP,)),
    Line(SETUP, m.SIGN_IN_UNREACHABLE, errors=(E.SIGN_IN_UNREACHABLE,)),
    Line(SETUP, m.SIGN_IN_CERTIFICATE, errors=(E.SIGN_IN_CERTIFICATE,)),
    Line(SETUP, m.SIGN_IN_SERVER, errors=(E.SIGN_IN_SERVER,)),
    Line(SETUP, m.CLIENT_SECRET, errors=(E.CLIENT_SECRET,)),
    Line(SETUP, m.SIGN_IN_ENDED, errors=(E.SIGN_IN_ENDED,)),
    Line(SETUP, m.SIGN_IN_RULE, errors=(E.SIGN_IN_RULE,)),
    Line(SETUP, m.ACCOUNT_LOCKED, errors=(E.ACCOUNT_LOCKED,)),
    Line(SETUP, m.UNKNOWN_APPLICATION, errors=(E.APPLICATION_UNKNOWN,)),
    Line(SETUP, m.NO_CONSENT, errors=(E.CONSENT_MISSING,)),
    Line(SETUP, m.SERVICE_ACCOUNT, errors=(E.SERVICE_ACCOUNT,)),
    Line(SETUP, m.SIGN_IN_REFUSED, errors=(E.SIGN_IN_REFUSED,)),
    Line(SETUP, m.NO_TOKEN_SIGN_IN, errors=(E.NO_TOKEN_SIGN_IN,)),
    # What servers say to a token reads as if a password were wrong, so the way to sign in must count.
    Line(SETUP, m.SMTP_AUTH_OFF, text=r"SmtpClientAuthentication is disabled", errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, m.SIGN_IN_RULE, text=r"did not meet the criteria|security defaults|not authorized to access this "
         r"application|" + p.SIGN_IN_BLOCKED, errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, m.ACCOUNT_LOCKED, text=p.LOCKED, errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, m.TOKEN_REFUSED, errors=(E.TOKEN_REFUSED,)),
    Line(SETUP, m.UNEXPECTED, errors=(E.UNEXPECTED,)),
    Line(SETUP, m.OUT_OF_FILES, errors=(E.OUT_OF_FILES,)),
    Line(PERMANENT, m.CONTENT_LOST, errors=(E.CONTENT_MISSING, E.BARE_LINE_END)),
    Line(TRANSIENT, m.STORE_AWAY, errors=(E.STORE_AWAY,)),
    Line(TRANSIENT, m.NOT_PREPARED, errors=(E.NOT_PREPARED,)),
    Line(PERMANENT, m.TOO_BIG, errors=(E.TOO_BIG,)),
    Line(PERMANENT, m.NOT_ASCII, errors=(E.NO_SMTPUTF8,)),
    Line(PERMANENT, m.HEADER_NOT_ASCII, errors=(E.HEADER_NEEDS_SMTPUTF8,)),
    Line(TRANSIENT, m.REST_LATER, errors=(E.MORE_RECIPIENTS,)),
    Line(PERMANENT, m.SEALED, errors=(E.NO_8BITMIME,)),
    Line(SETUP, m.UNREACHABLE, (Stage.CONNECT,), errors=ANY_ERROR),
    Line(SETUP, m.SILENT, (Stage.GREETING,), errors=ANY_ERROR),
    Line(SETUP, m.BROKE_OFF_EARLY, OPENING_STAGES, errors=ANY_ERROR),
    Line(TRANSIENT, m.BROKE_OFF, errors=ANY_ERROR),

    # Signing in. All of it is our set-up; what has to be done differs.
    Line(SETUP, m.M365_SIGN_IN_OFF, AUTH + ENVELOPE, text=p.PASSWORDS_OFF_AT_MICROSOFT),
    Line(SETUP, m.PASSWORDS_OFF, AUTH, enhanced=r"5\.7\.30"),
    Line(SETUP, m.PASSWORDS_OFF, AUTH + ENVELOPE + END, text=p.PASSWORDS_OFF),
    Line(SETUP, m.SIGN_IN_RULE, AUTH, text=p.SIGN_IN_BLOCKED),
    Line(SETUP, m.ACCOUNT_LOCKED, AUTH + MAIL, text=p.LOCKED),
    Line(SETUP, m.BROWSER_SIGN_IN, AUTH, text=p.BROWSER_SIGN_IN),
    Line(SETUP, m.APP_PASSWORD, AUTH, code="534"),
    Line(SETUP, m.APP_PASSWORD, AUTH, text=p.APP_PASSWORDS),
    Line(SETUP, m.PROGRAMS_OFF, AUTH + MAIL, text=p.PROGRAMS_OFF),
    Line(SETUP, m.NEW_PASSWORD, AUTH, enhanced=r"4\.7\.12"),
    Line(SETUP, m.NEW_PASSWORD, AUTH + ENVELOPE, text=p.NEW_PASSWORD),
    Line(SETUP, m.ACCOUNT_BARRED, AUTH, enhanced=r"5\.7\.13"),
    Line(SETUP, m.ACCOUNT_BARRED, AUTH + MAIL, text=p.ACCOUNT_STOPPED),
    Line(SETUP, m.ACCOUNT_BARRED, AUTH, text=p.SENDER_BARRED),

    # Code and words name the address alike: whatever else is said, it is no reason to stop.
    Line(PERMANENT, m.NO_MAILBOX, RCPT + CONTENT, code="5..", enhanced=r"5\.1\.(1|10)", text=p.UNKNOWN_THERE),
    Line(TRANSIENT, m.DOUBTFUL_MAILBOX, RCPT, code="4..", enhanced=r"4\.1\.1", text=p.UNKNOWN_THERE),

    # About one recipient or message, though it sounds like our pace. A limit by the hour is no refusal, whatever the
    # code: the mailbox takes mail again in the next hour.
    Line(TRANSIENT, m.GREYLISTED, ENVELOPE + END, code="4..",
         text=r"gr[ea]y-?list|^try again later$|internal resources? (is |are )?temporarily"),
    Line(TRANSIENT, m.MAILBOX_BUSY, RCPT + CONTENT, text=p.LOCKED_OUT),
    Line(TRANSIENT, m.MAILBOX_RATE, RCPT + CONTENT, enhanced=r"5\.2\.12[12]"),
    Line(TRANSIENT, m.MAILBOX_RATE, RCPT + CONTENT, text=p.MAILBOX_RATE),
    Line(None, m.SPAM, CONTENT, text=r"nature of the content|same message-id"),
    Line(None, m.UNWANTED, ENVELOPE + END, text=p.UNWANTED_BY_RECIPIENT),
    Line(None, m.INSIDERS_ONLY, RCPT + CONTENT, text=p.FOR_INSIDERS),
    Line(None, m.BAD_SENDER, ENVELOPE + END, text=r"unresolvable"),
    Line(None, m.LINK_LISTED, ENVELOPE + END,
         text=r"sender address \[.*blocked using|\bdbl\b|\b(uri|sur)bl\b|domain present in|"
         r"(helo|mailfrom) domain is listed|reputation of (a|the sending) domain"),
    # Sender authentication (RFC 7372) and what stands in DNS for this machine.
    Line(SETUP, m.NO_REVERSE_NAME, enhanced=r"[45]\.7\.25"),
    Line(SETUP, m.NO_REVERSE_NAME, code="[45]..", text=p.NO_REVERSE_NAME),
    Line(None, m.SENDER_UNPROVEN, CONTENT, enhanced=r"[45]\.7\.(2[0-46-7]|3[0-2]|509|515)"),
    Line(None, m.SENDER_UNPROVEN, ENVELOPE + END,
         text=r"\b(spf|dkim|dmarc|sender policy framework)\b|unauthenticated e?mail (from|is)"),

    # How much and how fast we send: not the message's fault, whatever the code.
    Line(TRANSIENT, m.QUOTA, enhanced=r"5\.(4\.5|1\.90|7\.508)", pace=Pace.HOURS),
    Line(TRANSIENT, m.QUOTA, code="[45]..", text=p.SENDING_QUOTA, pace=Pace.HOURS),
    Line(TRANSIENT, m.HELD_BACK, enhanced=r"5\.7\.28|4\.7\.(28|50[1-9]|5[1-9]\d|6\d\d|8[5-9]\d)", pace=Pace.HOURS),
    Line(TRANSIENT, m.HELD_BACK, text=p.HELD_BACK, pace=Pace.HOURS),
    Line(TRANSIENT, m.HELD_BACK, code="4..", text=p.HELD_BACK_FOR_NOW, pace=Pace.HOURS),
    Line(TRANSIENT, m.COME_BACK, enhanced=r"4\.(4\.5|7\.[57]00)", pace=Pace.MINUTES),
    Line(TRANSIENT, m.COME_BACK, text=p.TOO_FAST, pace=Pace.MINUTES),
    # Before a recipient is named, a quota is ours.
    Line(TRANSIENT, m.QUOTA, AUTH + MAIL, text=r"quota (is |has been )?exceeded|over ?quota", pace=Pace.HOURS),

    # The message, though it sounds as if the account were stopped.
    Line(PERMANENT, m.BAD_ATTACHMENT, CONTENT, code="5..", text=p.BAD_FILE),
    Line(PERMANENT, m.SPAM, CONTENT, code="5..", text=p.FORBIDDEN_CONTENT),
    Line(PERMANENT, m.TOO_BIG, code="5..", text=p.MESSAGE_TOO_BIG),

    # What the provider thinks of the account, at whatever stage.
    Line(SETUP, m.MAILBOX_CLOSED, text=r"storedrv.{0,40}mailbox logon failure"),
    Line(SETUP, m.SENT_ITEMS_FULL, text=r"storedrv\.subm\w+\.exception:quotaexceeded"),
    Line(SETUP, m.ACCOUNT_BARRED, enhanced=r"5\.7\.(50[1-3]|70[0-7]|709|7[1-4]\d|750)"),
    Line(SETUP, m.ACCOUNT_BARRED, text=p.SENDING_STOPPED),

    # Our set-up, as the server tells it at whatever stage: Postfix and others save it up for RCPT, some for the end
    # of the content. Where 4xx is said here, waiting does not help.
    Line(SETUP, m.OUR_NAME, UNTIL_CONTENT, text=p.OUR_NAME),
    Line(SETUP, m.OLD_TLS, enhanced=r"[45]\.7\.66"),
    Line(SETUP, m.OLD_TLS, text=p.OLD_TLS),
    Line(None, m.UNWANTED, ENVELOPE, text=p.THEIR_TLS),
    Line(None, m.ROUTE_BROKEN, ENVELOPE + END, text=p.NO_TLS_AT_THEIRS),
    Line(SETUP, m.WANTS_TLS, code="523|538"),
    Line(SETUP, m.WANTS_TLS, text=p.WANTS_TLS),
    Line(None, m.BAD_SENDER, END, text=p.FORGED),
    # A From address of someone else's fails every message of the account alike; 403 is SendGrid's own code.
    Line(SETUP, m.FROM_NOT_ALLOWED, ENVELOPE + END, code="403|5..", text=p.NOT_OUR_SENDER),
    Line(SETUP, m.FROM_NOT_ALLOWED, END, text=r"sender signature|authori[sz]ation failed: (envelope )?from\b"),
    Line(SETUP, m.FROM_NOT_ALLOWED, MAIL + CONTENT, code="403|5..", text=p.SENDER_UNKNOWN_THERE),
    Line(SETUP, m.FROM_NOT_ALLOWED, ENVELOPE + END, enhanced=r"5\.(7\.60|2\.252)"),
    Line(SETUP, m.WANTS_SIGN_IN, ENVELOPE + END, text=p.ASKS_TO_SIGN_IN),
    Line(SETUP, m.NO_RELAY, ENVELOPE + END, text=p.NO_RELAY),
    Line(SETUP, m.WANTS_SIGN_IN, ENVELOPE + END, text=p.WANTS_SIGN_IN),
    Line(SETUP, m.BAD_SENDER, ENVELOPE + END, code="5..", text=p.SENDER_BARRED),
    Line(SETUP, m.WANTS_SIGN_IN, MAIL + RCPT, text=p.SIGN_IN_FAILED),
    Line(PERMANENT, m.MOVED, RCPT, code="525"),
    Line(SETUP, m.ACCOUNT_BARRED, MAIL + END, code="525"),
    Line(None, m.INSIDERS_ONLY, RCPT + CONTENT, enhanced=r"5\.7\.(12|13|124|13[3-6])"),
    Line(SETUP, m.WANTS_SIGN_IN, ENVELOPE + END, code="530"),
    Line(SETUP, m.WRONG_PASSWORD, AUTH, text=p.REFUSED_CREDENTIALS),
    Line(SETUP, m.SIGN_IN_NOT_THERE, AUTH, code="50[0234]"),
    Line(SETUP, m.SIGN_IN_NOT_THERE, AUTH, text=p.NO_SIGN_IN_HERE),
    Line(SETUP, m.MACHINE_BLOCKED, enhanced=r"5\.7\.(511|60[6-9]|6[1-4]\d|708)"),
    Line(SETUP, m.MACHINE_BLOCKED, UNTIL_CONTENT, text=p.MACHINE_BLOCKED),
    Line(SETUP, m.MACHINE_BLOCKED, END, code="5..", text=p.MACHINE_BLOCKED_AFTER_CONTENT),
    Line(SETUP, m.MACHINE_REFUSED, UNTIL_CONTENT, text=p.MACHINE_REFUSED),
    # The rest of what is said before MAIL.
    Line(SETUP, m.COME_BACK, OPENING_STAGES, code="4..", pace=Pace.MINUTES),
    Line(SETUP, m.WRONG_PASSWORD, AUTH, code="5.."),
    Line(SETUP, m.TLS_REFUSED, STARTTLS, code="5.."),
    Line(SETUP, m.TAKES_NO_MAIL, GREETING, code="521|556"),
    Line(SETUP, m.MACHINE_REFUSED, GREETING, code="5.."),
    # The server as a whole. At the end of data 421 may be about this content, and then must cost a try.
    Line(TRANSIENT, m.COME_BACK, ENVELOPE, code="421", pace=Pace.MINUTES),
    Line(TRANSIENT, m.COME_BACK, ENVELOPE, enhanced=r"4\.3\.2", pace=Pace.MINUTES),
    Line(TRANSIENT, m.COME_BACK, MAIL, enhanced=r"4\.7\.\d+", pace=Pace.MINUTES),

    # The sender.
    Line(None, m.BAD_SENDER, text=p.BAD_SENDER),
    Line(None, m.BAD_SENDER, ENVELOPE, enhanced=r"[45]\.(1\.[78]|7\.27)"),
    Line(None, m.NOT_OUR_SENDER, MAIL, code="55[0134]", enhanced=r"5\.7\.1"),
    Line(PERMANENT, m.BAD_SENDER, MAIL, code="55[0135]|50[14]|571"),

    # The size, at whatever stage.
    Line(None, m.TOO_BIG, enhanced=r"[45]\.(3\.4|2\.3)"),

    # The recipient. RFC 5321 4.5.3.1.10: a 552 for too many recipients is a 452.
    Line(TRANSIENT, m.REST_LATER, RCPT, text=r"too many recipients|separate transaction|multiple destination domains"),
    Line(TRANSIENT, m.REST_LATER, RCPT, enhanced=r"[45]\.5\.3"),
    Line(None, m.TOO_MANY, text=r"too many recipients"),
    Line(TRANSIENT, m.MAILBOX_FULL, enhanced=r"[45]\.2\.2"),
    Line(TRANSIENT, m.MAILBOX_FULL, code="[45]..", text=p.MAILBOX_FULL),
    Line(TRANSIENT, m.MAILBOX_FULL, RCPT + CONTENT, code="5..", text=p.FULL_FOR_GOOD),
    Line(TRANSIENT, m.MAILBOX_BUSY, RCPT + CONTENT, code="[45]..", text=p.NOT_FOR_NOW),
    Line(None, m.NOT_ASCII, enhanced=r"5\.6\.[79]"),
    Line(PERMANENT, m.NO_DOMAIN, code="556"),
    Line(PERMANENT, m.NO_MAILBOX, code="5..", enhanced=r"5\.4\.1", text=r"recipient address(es)? rejected"),
    Line(PERMANENT, m.MOVED, RCPT + CONTENT, code="5..", text=p.CLOSED),
    Line(PERMANENT, m.NO_MAILBOX, code="5..", enhanced=r"5\.1\.1|5\.1\.10|5\.7\.50[45]"),
    Line(PERMANENT, m.MOVED, code="5..", enhanced=r"5\.(1\.6|2\.1|7\.1[78])"),
    Line(PERMANENT, m.BAD_ADDRESS, code="5..", enhanced=r"5\.1\.[34]"),
    Line(PERMANENT, m.MOVED, RCPT, code="551"),
    Line(PERMANENT, m.NO_MAILBOX, RCPT + END, code="5..", text=p.NO_MAILBOX),
    Line(PERMANENT, m.NO_DOMAIN, code="5..", enhanced=r"5\.(1\.2|4\.4|4\.310)"),
    Line(PERMANENT, m.NO_DOMAIN, RCPT + END, code="5..", text=p.NO_DOMAIN),
    Line(PERMANENT, m.BAD_ADDRESS, RCPT, code="501|504|555"),
    Line(TRANSIENT, m.DOUBTFUL_DOMAIN, code="4..", enhanced=r"4\.1\.2"),
    Line(TRANSIENT, m.DOUBTFUL_DOMAIN, code="4..", text=r"cannot resolve"),
    Line(TRANSIENT, m.DOUBTFUL_MAILBOX, code="4..", enhanced=r"4\.1\.\d+"),
    Line(TRANSIENT, m.MAILBOX_BUSY, code="4..", enhanced=r"4\.2\.\d+"),
    Line(None, m.LOOP, enhanced=r"[45]\.4\.(6|14)"),
    Line(None, m.LOOP, text=r"too many hops|mail loop"),
    Line(TRANSIENT, m.NETWORK_NOT_NOW, code="4..", enhanced=r"4\.4\.\d+"),
    Line(PERMANENT, m.ROUTE_BROKEN, code="5..", enhanced=r"5\.4\.\d+"),
    Line(TRANSIENT, m.LOST_THREAD, ENVELOPE, code="50[023]"),
    # A 5xx that says "later" means it: what has been told as our pace or of a mailbox was sorted above.
    Line(TRANSIENT, m.NOT_NOW, RCPT + CONTENT, code="5..", text=p.LATER),
    Line(PERMANENT, m.UNWANTED, RCPT, code="5..", enhanced=r"5\.7\.\d+"),
    Line(PERMANENT, m.UNWANTED, RCPT, code="5..", text=p.UNWANTED),
    Line(PERMANENT, m.UNWANTED, RCPT, code="541|571"),
    Line(PERMANENT, m.UNWANTED, RCPT, code="55[0134]", enhanced=r"|5\.[05]\.0", text=p.NO_WORD_OF_A_MAILBOX,
         is_hint=True),
    Line(PERMANENT, m.UNKNOWN_MAILBOX, RCPT, code="55[0134]"),
    Line(PERMANENT, m.NOBODY_LEFT, CONTENT, text=r"no valid recipients"),

    # The message.
    Line(PERMANENT, m.BAD_ATTACHMENT, CONTENT, code="5..", text=r"virus|malware|attachment|potential security issue"),
    Line(None, m.CONTENT_REFUSED, CONTENT, enhanced=r"[45]\.6\.\d+"),
    Line(PERMANENT, m.FAULTY_FORM, CONTENT, code="5..", text=r"bare <?lf|\brfc ?\d{3,4}\b|rfc compliant|"
         r"header line|line length"),
    Line(PERMANENT, m.SPAM, CONTENT, code="5..", enhanced=r"5\.7\.\d+"),
    Line(PERMANENT, m.SPAM, CONTENT, code="5..",
         text=r"\bspam\b|junk|block(ed| ?list)|reputation|polic(y|ies)|prohibi"),
    Line(TRANSIENT, m.REST_LATER, RCPT, code="[45]52", enhanced=r"|[45]\.[05]\.0", after_accepted=True),
    Line(TRANSIENT, m.MAILBOX_FULL, RCPT, code="552"),
    Line(PERMANENT, m.TOO_BIG, code="552"),
    Line(PERMANENT, m.REFUSED, CONTENT, code="5.."),
    # Whatever is left, by code.
    Line(PERMANENT, m.ADDRESS_REFUSED, RCPT, code="5.."),
    Line(PERMANENT, m.REFUSED_AT_ALL, code="5.."),
    Line(TRANSIENT, m.NOT_NOW, code="4.."),
    Line(TRANSIENT, m.NOT_SMTP),
]
# fmt: on
