"""Builds the database of v0.1.0 that upgrades start from: every kind of row, and of sentence, that it can store.

    python -m tests.upgrade.build FOLDER postgres://.../an_empty_database

It calls v0.1.0's own functions, so it runs on v0.1.0 alone: commit 4ae2e5f. It was run once, and what it made is kept
in v0_1_0/; a database of v0.1.0 cannot be made anew by a later version. It stands here to say what is in there.

SENTENCES lists the sentences by column: the build fails when one of them is missing, and when a row holds another.
"""

import datetime as dt
import email.policy
import gzip
import io
import json
import os
import random
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from pathlib import Path
from unittest.mock import patch

import environ
from cryptography.fernet import Fernet
from django.utils import timezone

NOW = dt.datetime(2026, 11, 28, 15, tzinfo=dt.UTC)
MACHINE = "console.brightwater.example"
WORK = Path(tempfile.mkdtemp(prefix="outtray-upgrade-"))
KEYS = {"SECRET_KEY": "only-for-the-tests-of-upgrades-" + os.urandom(12).hex(),
        "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode()}  # fmt: skip


class Clock:
    """The time for all that is built: it moves a little whenever it is read, and otherwise when it is told to."""

    def __init__(self, start):
        self.time = start

    def __call__(self):
        self.time += dt.timedelta(milliseconds=3)
        return self.time

    def wait(self, **time):
        self.time += dt.timedelta(**time)

    def set(self, text):
        """To a later time, such as “11-05 09:00” (UTC)."""
        wanted = dt.datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M").replace(tzinfo=dt.UTC)
        assert wanted >= self.time, f"it is {self.time:%m-%d %H:%M} already, and not yet {text}"
        self.time = wanted


clock = Clock(dt.datetime(2026, 10, 20, 7, tzinfo=dt.UTC))
random.seed(20261128)
# Before anything of Outtray is imported: some of it keeps timezone.now as a default.
timezone.now = clock
socket.gethostname = lambda: MACHINE
socket.getfqdn = lambda name="": MACHINE
for name in [name for name in os.environ if name.startswith(("DJANGO", "CELERY", "EMAIL", "DATABASE"))]:
    del os.environ[name]
os.environ |= {
    "DJANGO_SETTINGS_MODULE": "config.settings", "ENV_FILE": os.devnull, "VAR_DIR": str(WORK), "HTTPS": "off",
    "DATABASE_URL": f"sqlite:///{WORK / 'outtray.sqlite3'}", "MEDIA_ROOT": str(WORK / "media"), **KEYS,
    "LOG_LEVEL": "CRITICAL",
}  # fmt: skip

import django  # noqa: E402

django.setup()

from celery import current_app  # noqa: E402
from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.mail import send_mail  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.core.management.color import no_style  # noqa: E402
from django.db import OperationalError, connections, transaction  # noqa: E402
from django.db.migrations.recorder import MigrationRecorder  # noqa: E402
from django.test import Client  # noqa: E402
from django_celery_beat.schedulers import DatabaseScheduler  # noqa: E402

from messaging import (  # noqa: E402
    batches,
    content,
    editing,
    housekeeping,
    notices,
    outgoing,
    probe,
    queue,
    roles,
    schedules,
    sending,
    submitted,
    uploads,
    users,
    wake,
)
from messaging.backends import QueueEmailBackend  # noqa: E402
from messaging.backends import sending as of_category  # noqa: E402
from messaging.delivery import claims, ledger, pauses, refusal, reply_table  # noqa: E402
from messaging.delivery.dialogue import StageFailed  # noqa: E402
from messaging.delivery.lane import Lane  # noqa: E402
from messaging.delivery.outcomes import Reply, Scope, Stage, judge  # noqa: E402
from messaging.delivery.reply import OPENING_STAGES  # noqa: E402
from messaging.delivery.rescue import rescue  # noqa: E402
from messaging.delivery.smtp import Connection  # noqa: E402
from messaging.editing import Edit  # noqa: E402
from messaging.intake import gate  # noqa: E402
from messaging.intake.addresses import Mailbox  # noqa: E402
from messaging.models import (  # noqa: E402
    AccountPause,
    AttemptOutcome,
    BatchItem,
    EmailSettings,
    Heartbeat,
    Message,
    MessageEvent,
    MessageVersion,
    Notice,
    NoticeItem,
    Recipient,
    Schedule,
    ScheduleRun,
    SendAttempt,
    SettingChange,
    Submitted,
)
from messaging.setup import changes, oauth, opt_files, options  # noqa: E402
from messaging.setup.grants import Grant, SignInFailed, Trouble  # noqa: E402
from messaging.setup.layers import resolve  # noqa: E402
from messaging.setup.secrets import Secret  # noqa: E402
from messaging.uploads import File  # noqa: E402
from tests.certificates import Authority  # noqa: E402
from tests.fault_server import ACCEPT, CLOSE, FaultServer  # noqa: E402

Status = Message.Status
PASSWORD = "correct-horse-battery-9"
OFFICE = "office@brightwater.example"
HOST = "smtp.brightwater.example"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n%%EOF\n"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f6"
    "1738550000000049454e44ae426082"
)
# Reasons of people that look like sentences of Outtray, and texts that are hard to keep whole.
REASONS = [
    "Released",
    "Handed over to Tom’s mail program",
    "Handed over to the courier, who has Tom’s mail program open",
    "Written again: another message takes its place",
    "Waits for Batch Message Processing: ask Jo first",
    "The mailbox does not exist.",
    "The mailbox is full. Given up after 3 tries.",
    "Not sent within 3 days of being queued, the limit in Company options. Send it again if it is still wanted.",
    "It was not sent: the limit of 3 messages per minute is reached.",
    "Held: still unclear!",
    "Edited: subject from “a” to “b”; “c.pdf” attached",
    "The customer said “not before Monday; text changed” & 'asked' for <b>\"paper\"</b> {name} %s",
    "🤷‍♀️ Отложено — 保留中 – مؤجَّل حتى الغد שלום‏ é̂̃",
    "\u202eabc\u202c and \u2066isolated\u2069 and a no-break\u00a0space",
    "Accepted into the queue (sendmail)",
    "Why? Because!",
    "x" * 400,
]
MUDDLE = "on some days and on others not, as it comes: ".replace(",", "") * 4 + "“!”"  # no sending window, and long
LONG_REASON = "Five hundred characters: " + "äöü “quoted” 🔧 " * 40
KEY = "00000000-0000-4000-8000-{:012d}"  # of a form that is submitted; pages.py asks for them by their numbers

# What a mail server says, or this machine, for each meaning of the table: stage, code, words and this machine's error.
HEARD = {
    "NO_NAME": (Stage.CONNECT, None, "[Errno -2] Name or service not known", "name not found"),
    "NO_LISTENER": (Stage.CONNECT, None, "[Errno 111] Connection refused", "connection refused"),
    "REFUSED_ADDRESS": (Stage.CONNECT, None, "meta.example leads to 169.254.169.254, which is never connected to",
                        "refused address"),
    "BAD_CERTIFICATE": (Stage.STARTTLS, None, "certificate revoked", "certificate"),
    "EXPIRED_CERTIFICATE": (Stage.STARTTLS, None, "certificate has expired", "certificate expired"),
    "EARLY_CERTIFICATE": (Stage.STARTTLS, None, "certificate is not yet valid", "certificate not yet valid"),
    "OTHER_NAME": (Stage.STARTTLS, None, "Hostname mismatch, certificate is not valid for 'smtp.brightwater.example'.",
                   "certificate for another name"),
    "STRANGER": (Stage.STARTTLS, None, "unable to get local issuer certificate", "certificate of a stranger"),
    "NO_TLS_HERE": (Stage.STARTTLS, None, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "no tls"),
    "OLD_TLS_THERE": (Stage.STARTTLS, None, "[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1006)",
                      "old tls"),
    "NO_TLS": (Stage.STARTTLS, None, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] handshake failure (_ssl.c:1006)", "tls"),
    "NO_STARTTLS": (Stage.STARTTLS, None, "STARTTLS is not offered", "no starttls"),
    "NO_AUTH": (Stage.AUTH, None, "sign-in mechanisms offered: GSSAPI NTLM", "no auth"),
    "NO_SETUP": (Stage.CONNECT, None, "", "setup"),
    "CONTENT_LOST": (Stage.PREPARE, None, "", "content missing"),
    "NOT_PREPARED": (Stage.PREPARE, None, "", "not prepared"),
    "OUT_OF_FILES": (Stage.PREPARE, None, "", "out of files"),
    "UNREACHABLE": (Stage.CONNECT, None, "[Errno 113] No route to host", "connection lost"),
    "SILENT": (Stage.GREETING, None, "no answer in time", "timeout"),
    "BROKE_OFF_EARLY": (Stage.EHLO, None, "the server closed the connection", "connection lost"),
    "BROKE_OFF": (Stage.RCPT, None, "", "connection lost"),
    "NOT_SMTP": (Stage.RCPT, 334, "not an answer to RCPT", ""),
    "LOST_THREAD": (Stage.MAIL, 503, "5.5.1 EHLO/HELO first.", ""),
    "COME_BACK": (Stage.RCPT, 450, "4.3.2 Service currently unavailable", ""),
    "QUOTA": (Stage.RCPT, 452, "Too many recipients received this hour", ""),
    "HELD_BACK": (Stage.MAIL, 451, "4.7.550 Access denied, please try again later", ""),
    "OUR_NAME": (Stage.EHLO, 501, "5.5.4 HELO/EHLO argument is invalid.", ""),
    "NO_REVERSE_NAME": (Stage.RCPT, 450, "4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", ""),
    "OLD_TLS": (Stage.EHLO, 421, "4.7.66 TLS 1.0 and 1.1 are not supported.", ""),
    "WANTS_TLS": (Stage.MAIL, 530, "5.7.0 Must issue a STARTTLS command first", ""),
    "NO_RELAY": (Stage.RCPT, 554, "5.7.1 <r@example.net>: Relay access denied", ""),
    "WANTS_SIGN_IN": (Stage.MAIL, 530, "5.7.57 Client not authenticated to send mail.", ""),
    "M365_SIGN_IN_OFF": (Stage.AUTH, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled "
                         "for the Tenant.", ""),
    "APP_PASSWORD": (Stage.AUTH, 534, "5.7.9 Application-specific password required.", ""),
    "BROWSER_SIGN_IN": (Stage.AUTH, 534, "5.7.14 Please log in through your web browser and then try again.", ""),
    "SIGN_IN_NOT_THERE": (Stage.AUTH, 503, "5.5.1 Error: authentication not enabled", ""),
    "NEW_PASSWORD": (Stage.AUTH, 432, "4.7.12 A password transition is needed", ""),
    "WRONG_PASSWORD": (Stage.AUTH, 535, "5.7.8 Error: authentication failed: UGFzc3dvcmQ6", ""),
    "MAILBOX_CLOSED": (Stage.END, 430, "4.2.0 STOREDRV; mailbox logon failure; failure to process message", ""),
    "SENT_ITEMS_FULL": (Stage.END, 554, "5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException", ""),
    "ACCOUNT_BARRED": (Stage.END, 550, "5.7.705 Access denied, tenant has exceeded threshold", ""),
    "MACHINE_BLOCKED": (Stage.RCPT, 550, "5.7.606 Access denied, banned sending IP [192.0.2.1]", ""),
    "MACHINE_REFUSED": (Stage.GREETING, 554, "5.7.1 You are not allowed to connect.", ""),
    "TAKES_NO_MAIL": (Stage.GREETING, 521, "mail.example.com does not accept mail", ""),
    "TLS_REFUSED": (Stage.STARTTLS, 501, "Syntax error in parameters or arguments", ""),
    "SIGN_IN_UNREACHABLE": (Stage.AUTH, None, "The sign-in server answers with status 503.", "sign-in unreachable"),
    "SIGN_IN_CERTIFICATE": (Stage.AUTH, None, "certificate verify failed: self-signed certificate",
                            "sign-in certificate"),
    "SIGN_IN_SERVER": (Stage.AUTH, None, "What the sign-in server answers is not OAuth 2.0.", "sign-in server"),
    "CLIENT_SECRET": (Stage.AUTH, None, "AADSTS7000215: Invalid client secret provided.", "client secret refused"),
    "SIGN_IN_ENDED": (Stage.AUTH, None, "AADSTS700082: The refresh token has expired due to inactivity.",
                      "sign-in ended"),
    "UNKNOWN_APPLICATION": (Stage.AUTH, None, "AADSTS700016: Application was not found in the directory.",
                            "application unknown"),
    "NO_CONSENT": (Stage.AUTH, None, "AADSTS65001: The user or administrator has not consented.", "consent missing"),
    "SERVICE_ACCOUNT": (Stage.AUTH, None, "The service account key cannot be read. It is a JSON file with client_email "
                        "and private_key.", "service account refused"),
    "SIGN_IN_REFUSED": (Stage.AUTH, None, "The sign-in server gave neither a token nor a reason.", "sign-in refused"),
    "NO_TOKEN_SIGN_IN": (Stage.AUTH, None, "sign-in mechanisms offered: PLAIN LOGIN", "no token sign-in"),
    "SMTP_AUTH_OFF": (Stage.AUTH, 535, "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for "
                      "the Mailbox.", "token refused"),
    "SIGN_IN_RULE": (Stage.AUTH, 535, "5.7.139 Authentication unsuccessful, the request did not meet the criteria.",
                     "token refused"),
    "TOKEN_REFUSED": (Stage.AUTH, 535, "5.7.3 Authentication unsuccessful (status: 400, schemes: Bearer)",
                      "token refused"),
    "NOT_OUR_SENDER": (Stage.MAIL, 550, "5.7.60 SMTP; Client does not have permissions to send as this sender", ""),
    "BAD_SENDER": (Stage.MAIL, 501, "5.1.7 Bad sender address syntax", ""),
    "SENDER_UNPROVEN": (Stage.END, 550, "5.7.26 This mail has been blocked because the sender is unauthenticated.", ""),
    "GREYLISTED": (Stage.RCPT, 450, "4.2.0 <r@example.net>: Recipient address rejected: Greylisted", ""),
    "MAILBOX_RATE": (Stage.RCPT, 450, "User is receiving mail too quickly", ""),
    "MAILBOX_BUSY": (Stage.RCPT, 450, "4.2.0 Recipient temporarily unavailable", ""),
    "REST_LATER": (Stage.RCPT, 452, "4.5.3 Error: too many recipients", ""),
    "TOO_MANY": (Stage.DATA, 554, "Too many recipients", ""),
    "NO_MAILBOX": (Stage.RCPT, 550, "5.1.1 <r@example.net>: User unknown “here”", ""),
    "DOUBTFUL_MAILBOX": (Stage.RCPT, 450, "4.1.1 Recipient address rejected: unverified address", ""),
    "NO_DOMAIN": (Stage.RCPT, 550, "5.1.2 Bad destination system address", ""),
    "DOUBTFUL_DOMAIN": (Stage.RCPT, 450, "4.1.2 Recipient address rejected: Domain not found", ""),
    "BAD_ADDRESS": (Stage.RCPT, 501, "5.1.3 Bad recipient address syntax", ""),
    "NOT_ASCII": (Stage.RCPT, 553, "5.6.7 Must declare SMTPUTF8 to send unicode address", ""),
    "MOVED": (Stage.RCPT, 551, "User not local; please try <y@example.com>", ""),
    "MAILBOX_FULL": (Stage.RCPT, 452, "4.2.2 The recipient's inbox is out of storage space.", ""),
    "UNKNOWN_MAILBOX": (Stage.RCPT, 550, "5.5.0 Requested action not taken: mailbox unavailable", ""),
    "ADDRESS_REFUSED": (Stage.RCPT, 599, "never heard of that code", ""),
    "NOBODY_LEFT": (Stage.DATA, 554, "5.5.1 Error: no valid recipients", ""),
    "UNWANTED": (Stage.RCPT, 550, "5.7.1 You are on our blacklist", ""),
    "INSIDERS_ONLY": (Stage.RCPT, 550, "5.7.133 sender not authenticated for group", ""),
    "ROUTE_BROKEN": (Stage.RCPT, 550, "5.4.1 No answer from host", ""),
    "LOOP": (Stage.END, 554, "5.4.0 Error: too many hops", ""),
    "TOO_BIG": (Stage.MAIL, 552, "5.3.4 Message size exceeds fixed limit", ""),
    "BAD_ATTACHMENT": (Stage.END, 554, "rejected due to virus", ""),
    "LINK_LISTED": (Stage.END, 550, "5.7.1 rejected due to having a domain present in the Spamhaus DBL", ""),
    "SPAM": (Stage.END, 554, "5.7.1 Spam message rejected", ""),
    "FAULTY_FORM": (Stage.END, 521, "5.5.2 Error: bare <LF> received", ""),
    "CONTENT_REFUSED": (Stage.END, 554, "5.6.0 Mail message is malformed. Not accepted.", ""),
    "REFUSED": (Stage.END, 554, "no", ""),
    "REFUSED_AT_ALL": (Stage.MAIL, 599, "never heard of that code", ""),
    "NOT_NOW": (Stage.END, 451, "4.3.0 Error: queue file write error", ""),
    "NETWORK_NOT_NOW": (Stage.RCPT, 451, "4.4.3 Temporary server error. Please try again later ATTR18", ""),
}  # fmt: skip
MEANINGS = {name: value for name, value in vars(reply_table).items() if isinstance(value, reply_table.Meaning)}
AT_SERVER = {
    Stage.GREETING: ["GREETING"], Stage.EHLO: ["EHLO", "HELO"], Stage.STARTTLS: ["STARTTLS"], Stage.AUTH: ["AUTH"],
    Stage.MAIL: ["MAIL"], Stage.RCPT: ["RCPT"], Stage.DATA: ["DATA"], Stage.END: ["END"],
}  # fmt: skip
BAD_FILES = {"email.smtp_port.opt": b"65536\r\n", "email.send_type.opt": b"SMTP"}
# Each way in which a file can be wrong; names in capitals are the same to Outtray.
WORSE_FILES = BAD_FILES | {
    "email.smtp_server": b"smtp://mail.example.com", "email.smtp_server.opt": b"mail.example.com\r\nsecond line",
    "Email.smtp_server": b"mail example", "EMAIL.smtp_server": b"169.254.169.254", "email.SMTP_server": b"a@b.example",
    "eMail.smtp_server": b"b\xc3\xbccher..example",
    "email.auth_type.opt": b"starttls \xe2\x80\x9cplease\xe2\x80\x9d " * 9,
    "email.smtp_user.opt": b" \r\n", "Email.smtp_user.opt": b"u" * 256, "EMAIL.smtp_user.opt": b"one",
    "email.SMTP_user.opt": b"another", "email.smtp_pass.opt": b"a\x01b", "Email.smtp_pass.opt": b"p" * 4097,
    "EMAIL.smtp_pass.opt": b"\xff\xfe\x00", "email.SMTP_pass.opt": b"\x81\x8d",
}  # fmt: skip
server = None  # the company's mail server, while the build runs


# --- Steps -----------------------------------------------------------------------------------------------


def raw(subject, to, *, cc=(), text="See the report.\n", html="", files=(), sender=OFFICE):
    """An RFC 5322 message with a Message-ID that is the same in every build; with MIME only where it is needed."""
    raw.number = getattr(raw, "number", 0) + 1
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["Message-ID"] = sender, f"<{raw.number}@brightwater.example>"
    for name, value in (("To", to), ("Cc", cc)):
        if value:
            mail[name] = ", ".join(value)
    if subject:
        mail["Subject"] = subject
    if text is not None and not html and not files:
        mail.set_payload(text)
    elif text is not None:
        mail.set_content(text)
    if html:
        mail.add_alternative(html, subtype="html")
        mail.get_payload()[1].add_related(PNG, "image", "png", cid="<logo@brightwater.example>", filename="logo.png")
    for file in files:
        maintype, _, subtype = file.content_type.partition("/")
        mail.add_attachment(file.data, maintype=maintype, subtype=subtype, filename=file.filename)
    return mail.as_bytes()


def submission(subject, *to, author=None, via="", bcc=(), cc=(), not_before=None, hold_reason="", category="",
               urgent=False, sender=OFFICE, **mail):  # fmt: skip
    addresses = [re.sub(r".*<(.*)>", r"\1", each) for each in (*to, *cc, *bcc)]
    return gate.Submission(
        raw(subject, to, cc=cc, sender=sender, **mail), re.sub(r".*<(.*)>", r"\1", sender), addresses, author=author,
        not_before=not_before, hold_reason=hold_reason, urgent=urgent, category=category, via=via,
    )  # fmt: skip


def waiting(subject, *to, **given):
    """A message that waits for a batch."""
    return gate.accept(submission(subject, *(to or ["waits@example.net"]), **given))


def due(subject, *to, **given):
    """A message that goes out by itself."""
    return waiting(subject, *(to or ["r@example.net"]), not_before=clock(), **given)


def at_once(subject, *to, watched=False, **given):
    """Hand one in as the options say; what came of it."""
    [outcome] = outgoing.hand_in([submission(subject, *(to or ["r@example.net"]), **given)], is_watched=watched)
    return outcome


def deliver(account=None, number=1):
    """Let a lane deliver so many messages of an account."""
    lane = Lane(account.pk if account else None)
    lane.stop = lambda: lane.delivered >= number
    lane.run()


@contextmanager
def hearing(stage, code, words, error=""):
    """The mail server says that, or this machine has that error, for as long as it lasts."""
    reply = Reply(stage, code, words, error)
    if not error:
        for place in AT_SERVER[stage]:
            server.at(place, f"{code} {words}")
        yield
        server.mend()
        return

    def fails(self):
        self.failure = reply
        raise StageFailed(reply)

    with patch.object(Connection, "open", fails):
        yield


@contextmanager
def meaning(name):
    """What this meaning stands for happens."""
    stage, code, words, error = HEARD[name]
    if name == "NOT_PREPARED":
        with patch.object(content, "assemble", side_effect=content.UnreadableContent("a.pdf: [Errno 5] I/O error")):
            yield
    elif name == "OUT_OF_FILES":
        with patch.object(Connection, "open", side_effect=OSError(24, "Too many open files")):
            yield
    elif name == "BROKE_OFF":
        server.at("RCPT", CLOSE)
        yield
        server.mend()
    elif name in ("CONTENT_LOST", "NO_SETUP"):
        yield  # see lost_attachment and problems
    else:
        assert judge(Reply(stage, code, words, error)).explanation == MEANINGS[name].explanation, name
        with hearing(stage, code, words, error):
            yield


@contextmanager
def setting(account=None, **values):
    """Email Setup of the company (or of an account) says that, and then again what it said before."""
    row = EmailSettings.objects.filter(account=account).first()
    before = {name: getattr(row, name, None) if row else None for name in values if name != "password"}
    changes.save(account, values, by=people("ada"))
    yield
    changes.save(account, before, by=people("ada"))


def people(username):
    return User.objects.get(username=username)


def has_status(message, *wanted):
    message.refresh_from_db()
    assert message.status in wanted, f"{message.pk} {message}: {message.status}, and not {wanted}: {message.reason}"
    return message


# --- People and settings ---------------------------------------------------------------------------------


def make_people():
    """Each role, names of every kind, changes of everything; some of them will be deleted."""
    call_command("createoperator", "first", "--admin", "--generate", "--email", "first@brightwater.example",
                 "--full-name", "Fiona First", stdout=io.StringIO())  # fmt: skip
    users.create("operator", PASSWORD, role=roles.ADMIN, via="runlocal")
    first = people("first")
    for username, role, address, first_name, last_name in [
        ("ada", roles.ADMIN, "ada@brightwater.example", "Ada", "Archer"),
        ("otto", roles.OPERATOR, "otto@brightwater.example", "Otto", "Osei"),
        ("vera", roles.VIEWER, "vera@brightwater.example", "Vera", "Viewer"),
        ("tom", roles.OPERATOR, "tom@brightwater.example", "Tom", "Tailor"),
        ("mila", roles.OPERATOR, "mila@brightwater.example", "Mila’s mail program", ""),
        ("s.ops", roles.OPERATOR, "", "", ""),
        ("blank", roles.OPERATOR, "blank@brightwater.example", " ", " "),
        ("nour", roles.OPERATOR, "nour@brightwater.example", "نور 🌙", "O’Neil; “N”"),
        ("lena", roles.OPERATOR, "lena@brightwater.example", "Lena", "Lane"),
        ("gone", roles.OPERATOR, "gone@brightwater.example", "Greta", "Gone"),
        ("went", roles.OPERATOR, "went@brightwater.example", "", ""),
        ("left", roles.ADMIN, "left@brightwater.example", "Lewis", "Left"),
        ("idle", roles.OPERATOR, "idle@brightwater.example", "Ida", "Idle"),
        ("newbie", "", "", "", ""),
    ]:
        clock.wait(minutes=3)
        users.create(username, PASSWORD, role=role, email=address, first_name=first_name, last_name=last_name, by=first)
    clock.wait(hours=1)
    ada = people("ada")
    # Every field: set, changed and emptied. A person may be called what the log says of nobody, of yes and of no.
    idle = people("idle")
    for values in [
        {"username": "idle.one", "first_name": "yes", "last_name": "none", "email": "none@brightwater.example"},
        {"username": "idle", "first_name": "", "last_name": "no", "email": ""},
        {"first_name": "Ida", "last_name": "Idle", "email": "idle@brightwater.example", "role": roles.VIEWER},
        {"role": ""},
        {"role": roles.OPERATOR, "is_active": False},
        {"is_active": True},
    ]:
        clock.wait(minutes=1)
        users.change(idle, values, by=ada)
    users.set_password(people("otto"), PASSWORD, by=ada)
    call_command("createoperator", "vera", "--new-password", "--generate", stdout=io.StringIO())
    users.set_password(people("vera"), PASSWORD, by=people("left"))
    EmailSettings.objects.all().delete()


def set_up_company(authority):
    """The company's Email Setup: each field set, some changed, some emptied again, some by a command."""
    folder = WORK / "opt"
    folder.mkdir()
    for name, text in [("email.smtp_server", "old.brightwater.example"), ("email.smtp_port.opt", "2525"),
                       ("email.send_type.opt", "3"), ("email.auth_type.opt", "tls-implicit"),
                       ("email.smtp_user.opt", "old"), ("email.smtp_pass.opt", "old secret")]:  # fmt: skip
        (folder / name).write_text(f"{text}\r\n")
    call_command("import_opt_files", str(folder), "--yes", stdout=io.StringIO())
    clock.wait(hours=1)
    certificate = (authority.folder / "ca.pem").read_text()
    left = people("left")
    changes.save(None, {
        "host": HOST, "port": 587, "auth_type": "tls-explicit", "username": OFFICE, "password": "pässword “1”",
        "ca_bundle": certificate, "from_address": OFFICE, "ehlo_name": "mail.brightwater.example",
        "tenant": "brightwater.example", "client_id": "1234", "client_secret": "client secret",
        "refresh_token": "refresh token", "token_url": "https://login.brightwater.example/token", "scope": "smtp",
        "service_account": '{"client_email": "x", "private_key": "y"}', "sign_in": "microsoft-user",
    }, by=left)  # fmt: skip
    clock.wait(hours=1)
    changes.save(None, {
        "sign_in": "password", "tenant": "", "client_id": "", "client_secret": "another client secret",
        "refresh_token": "", "token_url": "", "scope": "", "service_account": "",
    }, by=people("ada"))  # fmt: skip
    changes.save(None, {"client_secret": "", "sign_in": ""}, by=people("ada"))


def set_up_accounts():
    """Accounts with settings of their own: mail programs, every way to sign in, limits, windows, and what cannot be."""
    ada = people("ada")
    changes.save(people("tom"), {"send_type": 1}, by=ada)
    changes.save(people("mila"), {"send_type": 0}, by=ada)
    changes.save(people("gone"), {"send_type": 1, "from_address": "gone@brightwater.example"}, by=ada)
    changes.save(people("went"), {"send_type": 0}, by=people("went"))
    for username, values in {
        "app": {"sign_in": "microsoft-app", "username": OFFICE, "tenant": "t", "client_id": "c", "client_secret": "s"},
        "code": {"sign_in": "microsoft-user", "username": OFFICE, "tenant": "t", "client_id": "c",
                 "refresh_token": "r"},
        "service": {"sign_in": "google-service", "username": OFFICE, "service_account": "{}"},
        "google": {"sign_in": "google-user", "username": OFFICE, "client_id": "c", "client_secret": "s",
                   "refresh_token": "another r"},
        "oauth": {"sign_in": "oauth2", "username": OFFICE, "client_id": "c", "client_secret": "s", "scope": "mail.send",
                  "token_url": "https://login.example.com/oauth2/token"},
        "rates": {"per_minute": 2, "per_hour": 1000, "max_connections": 3, "messages_per_connection": 20},
        "hours": {"per_hour": 1},
        "nights": {"sending_window": "daily 22:00-06:00", "time_zone": "Europe/Berlin"},
    }.items():  # fmt: skip
        users.create(username, PASSWORD, first_name=username.title(), by=ada)
        changes.save(people(username), values, by=ada)
        clock.wait(minutes=7)
    certificate = resolve(None).ca_bundle
    changes.save(people("rates"), {"max_connections": None, "messages_per_connection": 25}, by=ada)
    for values in ({"ca_bundle": certificate}, {"ca_bundle": certificate + certificate}, {"ca_bundle": ""}):
        changes.save(people("rates"), values, by=people("first"))
    changes.save(people("nights"), {"sending_window": "Mon-Fri 19:00-23:00", "time_zone": "Europe/London"}, by=ada)
    grant = Grant(Secret("an access token"), 3000.0, Secret("a newer refresh token"))
    with patch("messaging.setup.providers.ask", return_value=grant):
        for username in ("app", "google"):
            oauth.access_token(resolve(people(username)))


# --- Both options off --------------------------------------------------------------------------------------


def nobody(subject, author=None):
    """Hand in a message that names no recipient."""
    return list(outgoing.hand_in([gate.Submission(raw(subject, []), OFFICE, [], author=author)]))


def form(number, do="send", **given):
    """What the page for a new message submits, by Otto unless told otherwise."""
    return {"sender": "Otto Osei <otto@brightwater.example>", "to": "a@example.net", "subject": "Written here",
            "text": "Dear all,\n\nhello.\n", "do": do, "key": KEY.format(number)} | given  # fmt: skip


def unrecorded(browsers):
    """Nothing is kept but what has to be told, and what became of the forms that people submitted."""
    otto, write = people("otto"), browsers["otto"].post
    at_once("A newsletter", author=otto)
    with meaning("NO_MAILBOX"):
        at_once("Invoice 17", "Bo <bo@example.net>", author=otto)
        at_once("")  # without a subject
    with setting(send_type=1):
        at_once("Invoice 18", author=people("nour"))
    nobody("To whom?", people("gone"))
    sending.pause(None, by=people("ada"), why="Audit")
    at_once("Paused invoice")
    sending.resume(None, by=people("ada"))
    server.at("END", (ACCEPT, CLOSE))
    assert at_once("Invoice 19", author=otto).state == "unknown"  # which is kept, so that a person decides
    server.mend()
    clock.wait(minutes=20)
    write("/messages/new/", form(1))
    write("/messages/new/", form(2, to="a@example.net, b@example.net, c@example.net", cc="d@example.net"))
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="b@example.net")
    write("/messages/new/", form(3, to="a@example.net, b@example.net"))
    write("/messages/new/", form(4, to="b@example.net"))
    server.mend()
    server.at("END", (ACCEPT, CLOSE))
    write("/messages/new/", form(5))
    server.mend()
    with patch.object(outgoing, "hand_in", side_effect=RuntimeError("an error of this server")):
        write("/messages/new/", form(6))
    with meaning("WRONG_PASSWORD"):
        write("/messages/new/", form(7))
    submitted.begin(KEY.format(8).replace("-", ""), by=otto)  # its process died
    with patch.object(ledger, "record_soon", side_effect=OperationalError("the database is away")):
        write("/messages/new/", form(9, subject="Nobody could write down what became of it"))
    clock.wait(minutes=5)
    rescue(clock())
    told()


# --- Recorded, and sent at once ------------------------------------------------------------------------------


@contextmanager
def losing_attachments():
    """The file of its first attachment is gone when a message is put together."""
    assemble = content.assemble

    def lost(message):
        sha256 = message.attachments.first().sha256
        (WORK / "media" / "blobs" / sha256[:2] / sha256[2:]).unlink()
        return assemble(message)

    with patch.object(content, "assemble", lost):
        yield


def every_meaning():
    """A message for each meaning of the outcome table, failed at once."""
    authors = [None, people("otto"), people("left"), people("s.ops"), people("nour")]
    for number, (name, told) in enumerate(MEANINGS.items()):
        clock.wait(minutes=11)
        if name == "NO_SETUP":
            continue  # see problems
        given = {"author": authors[number % len(authors)], "via": "sendmail"}
        if name == "CONTENT_LOST":
            given["files"] = [File("Lost report.pdf", "application/pdf", PDF + b"%lost")]
        with losing_attachments() if name == "CONTENT_LOST" else meaning(name):
            outcome = at_once(f"Heard: {name.lower().replace('_', ' ')}", **given)
        found, attempt = has_status(outcome.message, Status.FAILED), outcome.message.attempts.get()
        assert (attempt.explanation, attempt.advice) == (told.explanation, told.advice), (name, attempt.__dict__)
        assert found.reason.startswith(told.explanation), name
        assert found.reason_category == told.category, name


def problems():
    """Each reason why nothing can be sent with Email Setup, as what a message failed for."""
    for values in [
        {"send_type": 7}, {"sign_in": "carrier-pigeon"}, {"send_type": 0}, {"send_type": 1}, {"host": ""},
        {"auth_type": "ssl"}, {"username": ""}, {"sending_window": "sometimes"}, {"sending_window": "Mon 09:00-09:00"},
        {"sending_window": "Foo 09:00-10:00"}, {"sending_window": "Mon 25:00-26:00"},
        {"sending_window": "daily 00:00-24:00", "time_zone": "Nowhere"},
        {"sending_window": "daily 00:00-24:00", "time_zone": "Europe/Berlim"},
        {"host": "", "auth_type": "ssl", "username": "", "sending_window": MUDDLE},
    ]:  # fmt: skip
        clock.wait(minutes=13)
        with setting(**values):
            fails_at_once(f"Set up so: {values}")
    for username, values in [("oauth", {"auth_type": "default"}), ("code", {"refresh_token": ""}),
                             ("service", {"username": "", "service_account": ""}), ("nour", {"auth_type": "weird"}),
                             ("google", {"client_id": "", "client_secret": "", "refresh_token": ""})]:  # fmt: skip
        account = people(username)
        with setting(account, **values):
            if username == "service":
                changes.save(None, {"username": ""}, by=None)
            fails_at_once(f"Set up so: {username} {values}", author=account)
        if username == "service":
            changes.save(None, {"username": OFFICE}, by=None)
            changes.save(account, {"service_account": "{}"}, by=account)
    changes.save(people("code"), {"refresh_token": "r"}, by=people("ada"))
    changes.save(people("google"), {"client_secret": "s", "refresh_token": "another r"}, by=people("ada"))
    row = EmailSettings.objects.get(account=None)
    stored, other = row.password_encrypted, Fernet(Fernet.generate_key())
    EmailSettings.objects.filter(pk=row.pk).update(password_encrypted=other.encrypt(b"nobody knows").decode())
    fails_at_once("Set up so: the key is lost")
    EmailSettings.objects.filter(pk=row.pk).update(password_encrypted=stored)
    EmailSettings.objects.filter(account=people("app")).update(client_secret_encrypted=other.encrypt(b"x").decode())
    settings.EMAIL_OPT_DIR = WORK / "bad"
    settings.EMAIL_OPT_DIR.mkdir()
    for name, data in BAD_FILES.items():
        (settings.EMAIL_OPT_DIR / name).write_bytes(data)
    fails_at_once("Set up so: files of this server")
    settings.EMAIL_OPT_DIR = None
    Heartbeat.objects.all().delete()


def fails_at_once(subject, **given):
    message = has_status(at_once(subject, via="Django e-mail backend", **given).message, Status.FAILED)
    assert message.attempts.get().advice == reply_table.NO_SETUP.advice, message.reason


def obstacles():
    """What keeps a message from being sent at once before any server is asked."""
    ada, rates, nights = people("ada"), people("rates"), people("nights")
    left = people("left")
    today, tomorrow = clock() + dt.timedelta(hours=2), clock() + dt.timedelta(days=2)
    for whose, by, why, until in [
        (sending.ALL, ada, "Stock-taking 📦", None), (sending.ALL, left, "Who pressed this?", today),
        (sending.ALL, ada, "The bank said “stop”", tomorrow), (None, ada, "Moving house", None),
        (None, left, "Done by noon!", today), (people("otto"), ada, "Otto is ill", tomorrow),
        (people("s.ops"), people("first"), "The limit of 30 messages per minute is reached.", None),
    ]:  # fmt: skip
        sending.pause(whose, by=by, why=why, until=until)
        author = whose if isinstance(whose, User) else None
        at_once(f"Stopped: {why}", author=author)
        clock.wait(minutes=1)
        sending.resume(whose, by=by)
    pauses.wait_until(
        rates.pk, AccountPause.Kind.LIMIT, today, "The limit of 2 messages per minute is reached.", clock()
    )
    at_once("Stopped: a limit that is known", author=rates)
    AccountPause.objects.all().delete()
    for number in range(3):
        at_once(f"Number {number} of the minute", author=rates)
    for number in range(2):
        at_once(f"Number {number} of the hour", author=people("hours"))
    at_once("Outside the window", author=nights)
    at_once("Outside the window, and urgent", author=nights, category="password-reset")


def together():
    """Messages of one call: after the first has opened no connection, the others are not tried."""
    with meaning("NO_LISTENER"):
        given = [submission(f"One of three: {number}", "r@example.net", via="sendmail") for number in (1, 2, 3)]
        list(outgoing.hand_in(given))
    with setting(host=""):
        given = [submission(f"One of two: {number}", "r@example.net", author=people("nour")) for number in (1, 2)]
        list(outgoing.hand_in(given))
    nobody("No recipient, recorded", people("otto"))


def ways_in():
    """Django's backend, the sendmail command and the test message."""
    send_mail("From Django", "Hello.", OFFICE, ["r@example.net"])
    with of_category("password-reset"):
        send_mail("Reset your password", "Hello.", OFFICE, ["r@example.net"])
    QueueEmailBackend(author=people("otto")).send_messages([])
    with patch("sys.stdin", io.TextIOWrapper(io.BytesIO(raw("From a script", ["r@example.net"])))):
        call_command("sendmail", "-t", "-i")
    with (
        meaning("UNWANTED"),
        suppress(CommandError),
        patch("sys.stdin", io.TextIOWrapper(io.BytesIO(raw("From a script, in vain", ["r@example.net"])))),
    ):
        call_command("sendmail", "r@example.net", "--author", "otto")
    list(probe.send_test_message(None, "ada@brightwater.example", people("ada")))
    with meaning("NOT_OUR_SENDER"):
        list(probe.send_test_message(people("otto"), "otto@brightwater.example", people("otto")))


def recorded(browsers):
    """Both of the same: what people see at once, and the records of what is recorded."""
    write = browsers["otto"].post
    write("/messages/new/", form(10, subject="Sent and recorded"))
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="b@example.net")
    write("/messages/new/", form(11, to="a@example.net, b@example.net", subject="Sent in part"))
    write("/messages/new/", form(12, to="b@example.net", subject="Refused, then written again"))
    server.mend()
    earlier = Message.objects.latest("pk")
    write("/messages/new/", form(13, subject="Written again", earlier=earlier.pk))
    assert has_status(earlier, Status.CANCELLED).reason == queue.WRITTEN_AGAIN
    with meaning("MAILBOX_FULL"):
        write("/messages/new/", form(14, subject="Refused, and the next is too large"))
    earlier = Message.objects.latest("pk")
    with patch.object(settings, "MAX_MESSAGE_BYTES", 100):
        write("/messages/new/", form(15, subject="Too large", earlier=earlier.pk))
    assert has_status(earlier, Status.FAILED).events.last().what == "Not written again"
    write("/messages/new/", form(16, do="queue", subject="Queued, due now"))
    write("/messages/new/", form(17, do="at", at="2026-12-24T18:00", subject="At a time"))
    sending.pause(people("otto"), by=people("ada"), why="Quiet")
    write("/messages/new/", form(18, subject="While sending is paused"))
    sending.resume(people("otto"), by=people("ada"))
    write_tom = browsers["tom"].post
    write_tom(
        "/messages/new/", form(19, do="open", sender="Tom Tailor <tom@brightwater.example>", subject="As a draft")
    )
    deliver(people("otto"))  # what was due
    with patch.object(claims, "lease_end", lambda now: now):
        stopped = gate.prepare(submission("Stopped before it was handed over", "r@example.net"), clock())
        claims.own(stopped.message, f"{MACHINE}:1:stopped", clock())
        gate.store([stopped])
    clock.wait(minutes=5)
    rescue(clock())
    assert has_status(stopped.message, Status.FAILED)
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="b@example.net")
    server.at("END", (ACCEPT, CLOSE))
    at_once("Unknown to one and refused to the other", "a@example.net", "b@example.net", author=people("s.ops"))
    server.mend()


# --- Held --------------------------------------------------------------------------------------------------


def expired():
    """What waited in the queue for longer than the company allows."""
    one = waiting("Waited for a day", "Bo <bo@example.net>", author=people("otto"))
    clock.wait(hours=25)
    options.save({"expire_days": 1}, by=people("ada"))
    housekeeping._end_waiting(clock())
    many = [waiting("Waited for days"), waiting("Waited for days", author=people("gone"), via="sendmail")]
    options.save({"expire_days": 3}, by=people("ada"))
    clock.wait(hours=73)
    housekeeping._end_waiting(clock())
    options.save({"expire_days": None}, by=people("ada"))
    for message in (one, *many):
        has_status(message, Status.FAILED)


def orders():
    """Held, released, cancelled: for one message and for many, for every reason that people give."""
    ada, otto, gone = people("ada"), people("otto"), people("gone")
    for number, why in enumerate(REASONS):
        message = waiting(f"Held for a reason of a person, {number}", author=otto if number % 2 else None)
        queue.hold(message, by=[ada, otto, gone][number % 3], why=why)
        clock.wait(minutes=2)
    queue.hold(waiting("Held for no reason"), by=ada, why="")
    queue.hold(waiting("Held for a long reason"), by=ada, why=LONG_REASON[:500])
    waiting("Held by the program that wrote it", hold_reason="  Wait for the\tboss \u202eok  ")
    until = waiting("Held until a time that is past", author=otto)
    queue.hold(until, by=otto, why="Until four", until=clock() + dt.timedelta(hours=2))
    like_ours = waiting("Held until a time that is past, for a reason like ours")
    queue.hold(like_ours, by=gone, why=REASONS[2], until=clock() + dt.timedelta(hours=2))
    queue.hold(waiting("Held until next year"), by=ada, why="Not this year", until=NOW + dt.timedelta(days=60))
    clock.wait(hours=3)
    housekeeping._end_waiting(clock())
    has_status(until, Status.QUEUED)
    has_status(like_ours, Status.HELD)  # taken for a draft: v0.1.0 asks the words
    released = waiting("Held and released", author=otto)
    queue.hold(released, by=otto, why="Released")
    queue.release(released, by=ada)
    for why in ("", "A duplicate", "Written again: another message takes its place", REASONS[12], LONG_REASON[:500]):
        queue.cancel(waiting(f"Cancelled: {why[:20]}", author=gone), by=gone, why=why)
    held = waiting("Held, then cancelled")
    queue.hold(held, by=ada, why="Look at it")
    queue.cancel(held, by=otto, why="Cancelled")
    several = [waiting(f"One of many, {number}").pk for number in range(4)]
    chosen = Message.objects.filter(pk__in=several)
    for order in (
        queue.to_hold("For many: “wait”"),
        queue.to_release(),
        queue.to_cancel("Together"),
        queue.to_cancel(),
    ):
        queue.carry_out_for_all(order, chosen if order.words != "Cancelled" else chosen.filter(pk=several[0]), by=ada)
    send_mail("From Django, held", "Hello.", OFFICE, ["waits@example.net"])
    urgent = at_once("Urgent while mail is held", category="password-reset", via="sendmail").message
    deliver_one(urgent, Status.SENT)
    put_off = waiting("Put off, then tried now", not_before=NOW + dt.timedelta(days=3))
    queue.try_now(put_off, by=ada)
    deliver()
    has_status(put_off, Status.SENT)


def delivered():
    """What lanes write: accepted, refused in part, given up, unknown; and what people then order."""
    ada, otto = people("ada"), people("otto")
    to = ("Anna <anna@example.net>", "bert@example.net", "cleo@example.net")
    full = due(
        "Accepted, with attachments",
        *to,
        cc=["Carla <carla@example.net>"],
        bcc=["hidden@example.net"],
        html="<p>Dear <b>all</b><img src='cid:logo@brightwater.example'></p>",
        urgent=True,
        files=[File("Bericht “Ü”.pdf", "application/pdf", PDF), File("jobs.csv", "text/csv", b"a;b\r\n1;2\r\n")],
    )
    deliver()
    has_status(full, Status.SENT)
    no_text = due("Only a file", text=None, files=[File("", "application/octet-stream", b"\0\1\2")])
    deliver()
    has_status(no_text, Status.SENT)
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="bert@example.net")
    deliver_one(due("Refused to one of three", *to), Status.FAILED)
    server.at("RCPT", ["450 4.2.0 Greylisted"], recipient="cleo@example.net")
    earlier = due("Refused to one in an earlier try", *to)
    deliver_one(earlier, Status.QUEUED)
    clock.wait(hours=1)
    deliver_one(earlier, Status.FAILED)
    server.mend()
    server.at("RCPT", ["450 4.2.0 Greylisted"], recipient="cleo@example.net")
    later = due("Sent to one later", *to)
    deliver_one(later, Status.QUEUED)
    clock.wait(hours=1)
    deliver_one(later, Status.SENT)
    options.save({"max_tries": 3}, by=ada)
    with meaning("MAILBOX_BUSY"):
        given_up = due("Given up after three tries")
        for _ in range(3):
            deliver_one(given_up, Status.QUEUED, Status.FAILED)
            clock.wait(hours=2)
    has_status(given_up, Status.FAILED)
    options.save({"max_tries": None, "retry_hours": 12}, by=ada)
    nobody_left = due("All its recipients were taken out")
    nobody_left.recipients.all().delete()
    deliver_one(nobody_left, Status.FAILED)
    unknown = {}
    for name, order in [
        ("stays", None),
        ("was marked as sent", queue.mark_as_sent),
        ("was sent again", queue.send_again),
    ]:
        server.at("END", (ACCEPT, CLOSE))
        unknown[name] = due(f"Unknown, {name}", "Anna <anna@example.net>", author=otto)
        deliver_one(unknown[name], Status.UNKNOWN, account=otto)
        server.mend()
        if order is not None:
            order(unknown[name], by=ada)
    deliver(ada)
    has_status(unknown["was sent again"], Status.SENT)
    server.at("END", (ACCEPT, CLOSE))
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="bert@example.net")
    in_part = due("Unknown, and refused to one", *to)
    deliver_one(in_part, Status.UNKNOWN)
    queue.mark_as_sent(in_part, by=people("gone"))
    has_status(in_part, Status.FAILED)
    server.at("RCPT", "450 4.2.0 Greylisted", recipient="bert@example.net")
    rest = due("Unknown, and asked to come back for one", *to)
    deliver_one(rest, Status.UNKNOWN)
    queue.mark_as_sent(rest, by=people("nour"))
    server.mend()
    deliver_one(rest, Status.SENT)
    with meaning("NO_MAILBOX"):
        retried = due("Refused, then retried")
        deliver_one(retried, Status.FAILED)
    queue.retry(retried, by=otto)
    deliver_one(retried, Status.SENT, account=otto)


def deliver_one(message, *wanted, account=None):
    deliver(account)
    has_status(message, *wanted)


def worker_stopped():
    """A worker died: before it sent a message, and after."""
    back = due("Its worker stopped before it was sent")
    claims.take(None, f"{MACHINE}:2:dead", 1, clock())
    half = due("Its worker stopped after it was handed over", "anna@example.net", "bert@example.net")
    [claimed] = claims.take(None, f"{MACHINE}:3:dead", 1, clock())
    replies = [{"address": "bert@example.net", "outcome": "permanent", "stage": "rcpt", "reply_code": 550,
                "enhanced_code": "5.1.1", "reply_text": "5.1.1 no such mailbox"},
               {"address": "anna@example.net", "outcome": "unknown", "stage": "rcpt", "reply_code": 250,
                "enhanced_code": "2.1.5", "reply_text": "2.1.5 ok"}]  # fmt: skip
    attempt = SendAttempt(message=claimed, fence=claimed.fence, started_at=clock(), stage=Stage.DATA,
                          server=f"{HOST}:587", tls="TLSv1.3 TLS_AES_256_GCM_SHA384", recipients=replies)  # fmt: skip
    ledger.start_data(claimed, attempt, clock())
    clock.wait(minutes=5)
    rescue(clock())
    has_status(back, Status.QUEUED)
    has_status(half, Status.UNKNOWN)
    deliver_one(back, Status.SENT)


def edited():
    """Messages corrected before they are sent, once and more often, by people who are there and who are not."""
    ada, otto, gone = people("ada"), people("otto"), people("gone")
    to = [Mailbox("Bo", "bo@example.net")]

    def edit(message, by=otto, **values):
        before = editing.current(message)
        given = {name: getattr(before, name) for name in ("to", "cc", "bcc", "subject", "text")} | values
        assert editing.apply(message, Edit(**given), by=by, seen=before.version)
        clock.wait(minutes=1)

    pdf, csv = File("invoice.pdf", "application/pdf", PDF), File("jobs “1”; text changed.csv", "text/csv", b"1;2\r\n")
    message = waiting("Edited in every way", "Bo <bo@example.net>", author=otto, files=[pdf])
    edit(message, subject="“a” to “b”; text changed")
    edit(message, by=gone, to=[*to, Mailbox("Cleo; “C”", "cleo@example.net")], cc=[Mailbox("", "cc@example.net")])
    edit(message, by=ada, cc=[], bcc=[Mailbox("", "bcc@gmial.com")])
    edit(message, by=people("nour"), text="Another text,\n\nwith “quotes” 🙂.\n")
    edit(message, removed=frozenset([1]), added=[csv, pdf])
    edit(message, by=gone, subject="", bcc=[], to=to)
    edit(message, subject="With a subject again")
    long = waiting("Edited: a subject of " + "very " * 80 + "many words")
    edit(long, by=gone, subject="Edited: another subject of " + "rather " * 80 + "many words, “quoted”")
    edit(
        waiting("An unnamed file is taken out", files=[File("", "application/octet-stream", b"\1")]),
        by=ada,
        removed=frozenset([1]),
    )
    held = waiting("Edited while it is held")
    queue.hold(held, by=ada, why="Correct the price")
    edit(held, subject="Edited while it is held: corrected")
    with meaning("NO_MAILBOX"):
        failed = due("Refused, then corrected", "wrong@example.net", author=otto)
        deliver_one(failed, Status.FAILED, account=otto)
    edit(failed, to=to)
    empty = nobody("Has no recipient, then one")[0].message
    edit(empty, to=to)
    options.save({"hold_mail": False}, by=ada)
    with meaning("NO_MAILBOX"):
        goes = due("Refused, corrected and sent", "wrong@example.net", author=otto)
        deliver_one(goes, Status.FAILED, account=otto)
        stays = [due(f"Refused, and corrected while nothing can send, {n}", "wrong@example.net") for n in (1, 2, 3)]
        for each in stays:
            deliver_one(each, Status.FAILED)
    edit(goes, to=to)
    deliver_one(goes, Status.SENT, account=otto)
    with setting(host=""):
        for each in stays:
            edit(each, to=to)
        list(outgoing.hand_in([submission("Cannot be sent now", "r@example.net")], queue_instead=True))
    with setting(send_type=1):
        list(outgoing.hand_in([submission("Nor this", "r@example.net", author=otto)], queue_instead=True))
    options.save({"hold_mail": True}, by=ada)
    queue.hand_over(stays[1], by=people("tom"))
    queue.put_back(stays[1], by=people("tom"))  # v0.1.0 takes its own sentence for a person's reason
    has_status(stays[1], Status.HELD)
    queue.hand_over(stays[0], by=people("mila"))
    for address in [
        "anna@gmial.com",
        "anna@office.example.office.example",
        "anna@mailhost",
        "anna@nowhere.invalid",
        "anna@192.168.0.7",
        "anna@brightwater.c",
        "anna@[10.0.0.1]",
        "anna@" + ".".join(["long" * 14] * 4) + ".con",
    ]:
        waiting(f"Doubtful: {address[:40]}", address, author=otto)


def mail_programs():
    """Drafts: sent from there, put back, and in the hands of people who are gone."""
    tom, mila, gone, ada = people("tom"), people("mila"), people("gone"), people("ada")

    def one(subject, by, **given):
        message = waiting(subject, "Bo <bo@example.net>", author=tom, **given)
        queue.hand_over(message, by=by)
        clock.wait(minutes=1)
        return message

    one("A draft of Tom’s", tom)
    one("A draft of a person with an odd name", mila)
    for subject, by, says in [("Sent by Tom", tom, tom), ("Sent by Mila, as Ada says", mila, ada)]:
        queue.sent_from_mail_program(one(subject, by), by=says)
    for subject, by, says in [("Put back by Tom", tom, tom), ("Put back by Ada", mila, ada)]:
        queue.put_back(one(subject, by), by=says)
    for why in (REASONS[0], REASONS[1], "", "Held, then a draft"):
        held = waiting(f"Held, then a draft: {why}")
        queue.hold(held, by=ada, why=why)
        queue.hand_over(held, by=tom)
        if why not in (REASONS[1], ""):
            queue.put_back(held, by=people("blank"))
    with meaning("MAILBOX_FULL"):
        retrying = due("Asked to come back, then a draft")
        deliver_one(retrying, Status.QUEUED)
    with meaning("NO_MAILBOX"):
        failed = [due(f"Refused, then a draft, {number}") for number in range(6)]
        for each in failed:
            deliver_one(each, Status.FAILED)
    for each in (retrying, *failed[:2]):
        queue.hand_over(each, by=tom)
    queue.put_back(failed[1], by=tom)
    queue.sent_from_mail_program(retrying, by=mila)
    held = [waiting(f"Held, then a draft of a person who is gone, {number}") for number in range(3)]
    for each in held:
        queue.hold(each, by=gone, why="“Wait” for Tom’s mail program")
    lost = [*held, *failed[2:], *(waiting(f"A draft of a person who is gone, {n}") for n in range(5))]
    for number, each in enumerate(lost):
        queue.hand_over(each, by=[gone, people("went")][number % 2])
    return lost


def delete_people(lost):
    """Three accounts are deleted; what they had as drafts is released, cancelled, edited, handed over again."""
    tom, ada = people("tom"), people("ada")
    for username in ("gone", "went", "left"):
        people(username).delete()
    for each in lost:
        has_status(each, Status.HELD)
    held, dropped, freed, refused, released, again, twice, waits, cancelled, free, corrected, kept = lost
    queue.cancel(dropped, by=ada, why="“Wait” no longer")
    queue.release(freed, by=ada)  # these two keep what they were held for
    queue.release(refused, by=ada)
    has_status(refused, Status.FAILED)
    assert not refused.reason
    queue.hand_over(again, by=tom)
    for each in (twice, waits):
        queue.hand_over(each, by=tom)
        queue.put_back(each, by=tom)
    queue.cancel(cancelled, by=ada, why="Was sent long ago")
    queue.release(free, by=tom)
    before = editing.current(corrected)
    editing.apply(corrected, Edit(before.to, before.cc, before.bcc, "Corrected, a draft of nobody"), by=ada, seen=0)
    housekeeping._end_waiting(clock())
    has_status(twice, Status.FAILED)  # whose reason is now that it was handed over to a person who is gone
    for each in (held, released, waits, kept):
        has_status(each, Status.HELD)


# --- Batches and schedules ------------------------------------------------------------------------------------


def by_command():
    """Batch Message Processing by the command, of all that waits."""
    for number in range(2):
        waiting(f"By the command, {number}", "r@example.net", author=people("otto"))
    server.at("RCPT", ["550 5.1.1 no such mailbox"])
    with suppress(SystemExit):
        call_command("process_queue", stdout=io.StringIO())
    server.mend()
    waiting("By the command, as Otto")
    call_command("process_queue", "--account", "otto", stdout=io.StringIO())


def batch(by, *messages, account=None, source="console", confirmed=True):
    """A batch of these, confirmed by a person at a browser."""
    chosen = Message.objects.filter(pk__in=[message.pk for message in messages])
    with options.local():
        made = batches.choose(chosen, by=by, account=account, source=source)
        assert not confirmed or batches.confirm(made, by=by)
    return made


def processed():
    """A batch with every outcome, its retry, one that is cancelled, one that is discarded."""
    ada, otto, tom = people("ada"), people("otto"), people("tom")
    named = ["sent", "refused", "refused, then retried", "unknown", "asked to come back", "held", "cancelled", "edited",
             "taken out"]  # fmt: skip
    messages = {name: waiting(f"In a batch: {name}", "r@example.net", author=otto) for name in named}
    first = batch(ada, *messages.values())
    deliver()
    with meaning("NO_MAILBOX"):
        deliver(number=2)
    server.at("END", (ACCEPT, CLOSE))
    deliver()
    server.mend()
    with meaning("GREYLISTED"):
        deliver()
    queue.hold(messages["held"], by=otto, why="Not this one")
    queue.cancel(messages["cancelled"], by=people("blank"), why="")
    queue.hold(messages["edited"], by=otto, why="Edited: no")
    queue.retry(messages["refused, then retried"], by=otto)
    queue.send_again(messages["unknown"], by=otto)
    with options.local():
        assert batches.cancel(first, by=otto) == 2
        again = batches.retry_failed(first, by=ada)
        assert batches.confirm(again, by=ada)
    with meaning("MAILBOX_FULL"):
        deliver(ada)
    deliver(otto, number=2)
    discarded = batch(otto, waiting("In a batch that is discarded"), confirmed=False)
    batches.cancel(discarded, by=tom)
    one = waiting("In a batch that is cancelled before it began")
    batches.cancel(batch(people("s.ops"), one, account=people("s.ops")), by=None)
    batch(people("s.ops"), *[waiting(f"Waits in a batch, {number}") for number in range(3)], account=people("code"))


def skipped():
    """Messages that a batch could not release, for every reason there is; asked in two time zones and languages."""
    ada, otto, tom = people("ada"), people("otto"), people("tom")
    for username, name in (("terry", "Terry"), ("uma", "Uma")):
        users.create(username, PASSWORD, first_name=name, last_name="O’Hara", by=ada)
        changes.save(people(username), {"send_type": 1}, by=ada)
    terry, uma = people("terry"), people("uma")
    names = [
        "sent", "sent, nobody knows when", "unknown", "refused", "in a batch of Otto’s", "in a batch of S.",
        "in a command’s batch", "in a batch of Uma’s", "held", "held for no reason", "held by a program", "cancelled",
        "a draft of Tom’s", "a draft of Terry’s", "changed meanwhile", "being sent", "free",
    ]  # fmt: skip
    found = {name: waiting(f"Skipped: {name}", "r@example.net", author=otto) for name in names}
    draft = batch(ada, *found.values(), confirmed=False)
    batch(otto, *(found[name] for name in names[:4]))
    deliver(number=2)
    server.at("END", (ACCEPT, CLOSE))
    deliver()
    server.mend()
    with meaning("NO_MAILBOX"):
        deliver()
    Message.objects.filter(pk=found["sent, nobody knows when"].pk).update(sent_at=None)  # no path of v0.1.0 does
    for by, name in ((otto, "Otto’s"), (people("s.ops"), "S."), (uma, "Uma’s")):
        batch(by, found[f"in a batch of {name}"], account=otto)
    batch(None, found["in a command’s batch"], account=otto, source="command")
    for name, why in (("held", "“Wait”"), ("held for no reason", ""), ("held by a program", "x" * 490),
                      ("changed meanwhile", "A moment")):  # fmt: skip
        queue.hold(found[name], by=otto, why=why)
    queue.cancel(found["cancelled"], by=otto, why="A duplicate")
    queue.hand_over(found["a draft of Tom’s"], by=tom)
    queue.hand_over(found["a draft of Terry’s"], by=terry)
    terry.delete()
    Message.objects.filter(pk=found["being sent"].pk).update(not_before=clock())
    claims.take(None, f"{MACHINE}:4:busy", 1, clock())
    has_status(found["being sent"], Status.SENDING)
    skip_the_rest = batches._skip_the_rest

    def changed(made):
        queue.release(found["changed meanwhile"], by=otto)
        skip_the_rest(made)

    with options.local(), patch.object(batches, "_skip_the_rest", changed):
        assert batches.confirm(draft, by=ada)
    claims.give_back(f"{MACHINE}:4:busy")
    deliver(number=2)
    deliver(otto, number=4)
    uma.delete()
    options.save({"time_zone": "America/New_York", "language": "en-us"}, by=ada)
    abroad = [waiting(f"Sent from America, {number}", author=otto) for number in range(2)]
    draft = batch(ada, *abroad, confirmed=False)
    batch(otto, abroad[0])
    deliver()
    with options.local():
        batches.confirm(draft, by=ada)
    deliver()


def schedule(name, **values):
    given = {"kind": "times", "times": "07:30, 17:00", "days": "1,2,3,4,5", "time_zone": "Europe/Berlin"}
    filled = {"name": name, "filter": f"q={name.split()[0]}"} | given | values
    return schedules.save(None, filled, by=people("ada"))


def ran(plan, text, *wanted, messages=0):
    """A sweep at a time, with so many messages for it to find; what came of the run."""
    clock.set(text)
    for number in range(messages):
        waiting(f"{plan.name.split()[0]} {number} of {text}", author=people("otto"))
    [run] = schedules.run_due(clock(), only=plan.pk)
    assert run.outcome in wanted, (run.outcome, run.words)
    return run


def scheduled():
    """Schedules of each kind, each outcome of a run, late and in time; changed, switched off and deleted."""
    ada, otto, idle = people("ada"), people("otto"), people("idle")
    clock.set("11-13 06:00")  # a Friday
    once = schedule("Nightly “mail”")
    never = schedule("Prompt mail", missed="never", account=otto, times="08:00")
    inactive = schedule("Idle mail", account=idle)
    mapi = schedule("Tom’s mail", account=people("tom"))
    token = schedule("Token mail", account=people("oauth"), kind="crontab", crontab="*/20 6-18 * * mon-fri")
    stopped = schedule("Stopped mail", kind="every", minutes=45, at_most=1)
    users.change(idle, {"is_active": False}, by=ada)
    changes.save(people("oauth"), {"auth_type": "default", "client_secret": ""}, by=ada)
    ran(once, "11-13 06:30", "batch", messages=2)
    ran(inactive, "11-13 06:31", "refused")
    ran(mapi, "11-13 06:32", "refused")
    ran(never, "11-13 07:00", "batch", messages=1)
    deliver(number=9)
    deliver(otto)
    ran(once, "11-13 16:00", "nothing")
    ran(never, "11-16 09:00", "missed")
    ran(once, "11-16 16:30", "batch", messages=1)  # late
    ran(once, "11-17 06:31", "batch", messages=1)  # and the one before is at work
    ran(once, "11-17 16:09", "nothing")  # the same, and late
    ran(never, "11-18 07:01", "batch", messages=1)  # in time, and the one before was missed
    deliver(number=9)
    deliver(otto)
    ran(once, "11-18 12:00", "nothing")  # late
    ran(inactive, "11-18 12:01", "refused")  # late
    ran(token, "11-18 12:02", "refused")
    ran(never, "11-20 07:02", "nothing")
    changes.save(people("oauth"), {"auth_type": "", "client_secret": "s"}, by=ada)
    sending.pause(sending.ALL, by=ada, why="Stock-taking, “everything”")
    ran(stopped, "11-20 07:03", "refused")
    sending.pause(sending.ALL, by=ada, why="Done soon!", until=clock() + dt.timedelta(hours=30))
    ran(stopped, "11-20 09:00", "refused")
    sending.pause(sending.ALL, by=people("first"), why="Done today", until=clock() + dt.timedelta(hours=3))
    ran(stopped, "11-20 10:00", "refused")
    with options.local():
        assert schedules.run_now(stopped, by=otto).outcome == "refused"
        sending.resume(sending.ALL, by=ada)
        assert schedules.run_now(stopped, by=ada).outcome == "nothing"
        waiting("Stopped 1, by hand")
        assert schedules.run_now(stopped, by=ada).outcome == "batch"
        waiting("Stopped 2, by hand")
        assert "still at work" in schedules.run_now(stopped, by=ada).words
    deliver(number=9)
    ScheduleRun.objects.create(schedule=stopped, due_at=clock(), started_at=clock())  # it starts at this moment
    with setting(host="", auth_type="ssl", username="", sending_window=MUDDLE):
        schedules.run_now(once, by=ada)
    changed = schedule("Changed mail", is_on=False)
    for values in [
        {"name": "Renamed “mail”"}, {"is_on": True}, {"kind": "every", "minutes": 90}, {"minutes": 1},
        {"kind": "crontab", "crontab": "30 7 * * 1-5"}, {"kind": "times", "times": "06:15", "days": "0,6"},
        {"days": "0,1,2,3,4,5,6"}, {"time_zone": "UTC"}, {"account": otto}, {"account": people("nour")},
        {"account": None}, {"filter": ""}, {"filter": "q=“a” b&sender=anna&reason=address"}, {"filter": "sender=x"},
        {"at_most": 20}, {"at_most": None}, {"missed": "never"}, {"is_on": False},
    ]:  # fmt: skip
        clock.wait(minutes=1)
        changed = schedules.save(changed.pk, values, by=otto if "is_on" in values else ada)
    away = schedule("Deleted mail: “soon”", kind="every", minutes=1440)
    schedules.save(away.pk, {"minutes": 720}, by=ada)
    schedules.delete(away, by=otto)
    Schedule.objects.filter(pk=schedule("Unreadable mail").pk).update(times="half past seven")


# --- What keeps accounts from sending, and notices --------------------------------------------------------------


def faults():
    """Each meaning that pauses an account, met by a lane; pauses by people; a sign-in that ends at night."""
    lena, ada, first = people("lena"), people("ada"), people("first")
    tried = due("Tried through every fault", author=lena)
    for name, told in MEANINGS.items():
        stage, code, words, error = HEARD[name]
        verdict = judge(Reply(stage, code, words, error))
        if name == "NO_SETUP" or (verdict.scope == Scope.MESSAGE and stage not in OPENING_STAGES):
            continue
        clock.wait(minutes=1)
        with meaning(name):
            deliver(lena)
        assert has_status(tried, Status.QUEUED).reason == told.explanation, name
        assert AccountPause.objects.get(account=lena).advice == told.advice, name
        if name in ("NO_NAME", "COME_BACK"):
            assert sending.try_now(lena)
        clock.wait(minutes=1)
        pauses.clear(lena.pk, clock())
    deliver_one(tried, Status.SENT, account=lena)
    for whose, by, why, ends in [
        (None, ada, "Set-up at fault", first), (sending.ALL, first, "All sending is paused by me", ada),
        (lena, ada, REASONS[12], None), (people("otto"), ada, "x" * 300, ada),
    ]:  # fmt: skip
        sending.pause(whose, by=by, why=why, until=None if ends else clock() + dt.timedelta(minutes=30))
        clock.wait(minutes=45)
        if ends is not None:
            sending.resume(whose, by=ends)
        pauses.end_due(clock())
    sending.pause(people("otto"), by=ada, why="At first for this")
    sending.pause(people("otto"), by=ada, why="Then for that")
    sending.pause(people("otto"), by=first, why="And another’s takes its place")
    sending.resume(people("otto"), by=first)
    with patch.object(oauth, "access_token", side_effect=SignInFailed(Trouble.ENDED, "AADSTS700082: It has expired.")):
        housekeeping._keep_signed_in(clock())
    AccountPause.objects.filter(account=None).update(ended_at=clock())


def told(minutes=20):
    """Note what failed and tell it, and send the mails."""
    notices.look_after(clock())
    clock.wait(minutes=minutes)
    notices.look_after(clock())
    send_notices()


def send_notices():
    for mail in Message.objects.filter(category="notice", status=Status.QUEUED).order_by("pk"):
        deliver(mail.account)


def notified():
    """Notices of all kinds to everybody they can be told to, by mails that arrive, fail and wait."""
    ada = people("ada")
    told()  # with the rules of the beginning
    save = options.save
    save({"company_address": "company@brightwater.example"}, by=ada,
         rules={"failed": {"to_company": True, "window_minutes": 30}, "unknown": {"to_admins": False}})  # fmt: skip
    with meaning("SPAM"):
        for subject, author in (("Spam of Otto’s", "otto"), ("Spam of S.’s", "s.ops"), ("Spam of Nour’s", "nour")):
            deliver_one(due(subject, author=people(author)), Status.FAILED, account=people(author))
        deliver_one(due("Spam of nobody’s, to many", *[f"person{n}@example.net" for n in range(12)]), Status.FAILED)
    for author in ("otto", None):
        server.at("END", (ACCEPT, CLOSE))
        account = people(author) if author else None
        deliver_one(due("Whether it arrived?", author=account), Status.UNKNOWN, account=account)
        server.mend()
    nobody("Names nobody", people("otto"))
    nobody("", None)
    notices.look_after(clock())
    clock.wait(minutes=40)
    with meaning("NO_MAILBOX"):
        told()  # and the mails are refused
    save({"company_name": "Brightwater “Heating” & Plumbing", "console_url": "https://outtray.brightwater.example"},
         by=ada,
         rules={"failed": {"to_admins": False, "to_company": False}, "no-address": {"to_author": True}})  # fmt: skip
    with meaning("NO_MAILBOX"):
        for number in range(2):
            deliver_one(due(f"Refused: {number}", f"bo{number}@example.net"), Status.FAILED)
        deliver_one(due("Refused to Otto", author=people("otto")), Status.FAILED, account=people("otto"))
    for number in range(2):
        nobody(f"Names nobody, {number}", people("nour"))
    server.at("END", (ACCEPT, CLOSE))
    told(45)  # whether the mails arrived is not known
    server.mend()
    with hearing(*HEARD["WRONG_PASSWORD"]):
        due("Waits for a good password", author=people("nour"))
        deliver(people("nour"))
    told()
    pauses.clear(people("nour").pk, clock())
    save({}, by=ada, rules={"paused": {"is_on": False}})
    pauses.pause(people("tom").pk, judge(Reply(*HEARD["NO_RELAY"])), server="", words="", now=clock())
    told()
    pauses.clear(people("tom").pk, clock())
    save({}, by=ada, rules={"paused": {"is_on": True, "to_author": True, "to_admins": True, "window_minutes": 0}})
    # A mail that its account cannot send is given to another one: the company’s to an administrator’s, and back.
    changes.save(ada, {"host": HOST, "username": "ada", "password": "Ada’s"}, by=ada)
    for number, broken in enumerate((None, ada, None)):
        other = ada if broken is None else None
        pauses.pause(
            broken.pk if broken else None, judge(Reply(*HEARD["NO_LISTENER"])), server="x", words="y", now=clock()
        )
        if number == 0:
            pauses.pause(people("app").pk, judge(Reply(*HEARD["CLIENT_SECRET"])), server="x", words="y", now=clock())
        notices.look_after(clock())
        clock.wait(minutes=2)
        notices.look_after(clock())
        mail = Message.objects.filter(category="notice", status=Status.QUEUED).latest("pk")
        Message.objects.filter(pk=mail.pk).update(account=broken)
        notices.look_after(clock())
        assert has_status(mail, Status.QUEUED).account == other
        send_notices()
        for account in (broken, people("app")):
            pauses.clear(account.pk if account else None, clock())
    with meaning("SPAM"):
        deliver_one(due("Spam, and nothing else"), Status.FAILED)
    told(60)
    for username in ("service", "google", "oauth"):
        pauses.clear(people(username).pk, clock())
    # The mail of one is cancelled; of one nobody could send it within a day.
    nobody("Names nobody, and its notice is cancelled")
    notices.look_after(clock())
    clock.wait(minutes=20)
    notices.look_after(clock())
    queue.cancel(Message.objects.filter(category="notice", status=Status.QUEUED).latest("pk"), by=ada, why="Known")
    stuck("Names nobody, and nobody could mail it")
    clock.wait(hours=25)


def stuck(subject):
    """A notice whose mail no account can send."""
    for account_id in (None, people("ada").pk):
        pauses.pause(account_id, judge(Reply(*HEARD["NO_LISTENER"])), server="x", words="y", now=clock())
    AccountPause.objects.update(notified_at=clock())
    nobody(subject)
    notices.look_after(clock())
    clock.wait(minutes=20)
    notices.look_after(clock())
    assert Notice.objects.latest("pk").mail_due
    for account_id in (None, people("ada").pk):
        pauses.clear(account_id, clock())


# --- The log, and how things stand now ----------------------------------------------------------------------------


def settings_changed():
    """Every option, rule and setting: set, changed and emptied; the latest are what the pages show."""
    ada, first = people("ada"), people("first")
    options.save({"record_mail": True, "hold_mail": True}, by=None, via="make run")
    for values in [
        {"hold_mail": False}, {"record_mail": False}, {"record_mail": True}, {"hold_mail": True},
        {"urgent_categories": "password-reset\nnotice\ntest-message\nfire “alarm”"}, {"urgent_categories": ""},
        {"urgent_categories": "password-reset\nnotice\ntest-message"}, {"max_tries": 7}, {"max_tries": None},
        {"retry_hours": 48}, {"expire_days": 30}, {"company_name": ""}, {"company_name": "Brightwater “Heating”"},
        {"company_address": ""}, {"company_address": "company@brightwater.example"}, {"console_url": ""},
        {"console_url": "https://outtray.brightwater.example"}, {"time_zone": ""}, {"time_zone": "Europe/Berlin"},
        {"language": "en-us"}, {"language": "en-gb"}, {"operators_see_all": False}, {"operators_see_all": True},
        {"users_may_edit": True, "user_servers": "*.example.com:2525\nsmtp.example.org"}, {"retry_hours": None},
    ]:  # fmt: skip
        options.save(values, by=[ada, first][len(values) - 1])
        clock.wait(minutes=1)
    for kind in ("failed", "unknown", "paused", "no-address"):
        for name in ("is_on", "to_author", "to_admins", "to_company"):
            now = getattr(options.notice_rules()[kind], name)
            for value in (not now, now):
                options.save({}, by=ada, rules={kind: {name: value}})
        options.save({}, by=ada, rules={kind: {"window_minutes": 45}})
    for values in [
        {"max_connections": 4}, {"messages_per_connection": 100}, {"per_minute": 120}, {"per_hour": 0},
        {"sending_window": "daily 00:00-24:00"}, {"time_zone": "Europe/Berlin"}, {"per_minute": 0},
        {"sending_window": ""}, {"time_zone": ""}, {"max_connections": None}, {"scope": "again"}, {"scope": ""},
    ]:  # fmt: skip
        changes.save(None, values, by=first)


def drafts_and_files():
    """What people have begun: a batch to be reviewed, files of a page, forms that are being sent."""
    ada, otto = people("ada"), people("otto")
    review = [waiting(f"To be reviewed: {name}", address, author=otto) for name, address in
              [("free", "new@example.net"), ("mistyped", "anna@gmial.com"), ("refused before", "wrong@example.net"),
               ("held", "bo@example.net"), ("cancelled", "bo@example.net")]]  # fmt: skip
    queue.hold(review[3], by=ada, why="Held: by Ada")
    queue.cancel(review[4], by=ada)
    batch(otto, *review, *Message.objects.filter(status=Status.UNKNOWN)[:1], confirmed=False)
    batch(ada, *Message.objects.filter(status=Status.SENT)[:2], *review[:1], confirmed=False)
    for each in uploads.keep([File("draft.pdf", "application/pdf", PDF + b"%draft")], by=otto):
        each.refresh_from_db()
    signed_in("otto").post("/messages/new/", form(21, do="queue", subject="Waits for a batch"))
    notices.mark_seen(otto)


def standing():
    """How it stands at NOW: what waits, is tried again, is being sent, and each kind of pause."""
    ada, lena, nour, otto = people("ada"), people("lena"), people("nour"), people("otto")
    idle = people("idle")
    stuck("Names nobody, and waits for an account that can send")
    waiting("Not before Monday", not_before=NOW + dt.timedelta(days=2), author=otto)
    changes.save(idle, {"host": "", "auth_type": "ssl", "send_type": 3, "username": "idle",
                        "sending_window": MUDDLE}, by=ada)  # fmt: skip
    with setting(host="", username="", sending_window=""):
        due("Waits: nothing is set up", author=idle)
        deliver(idle)
    notices.look_after(clock())
    clock.set("11-28 14:56")
    for name, told in MEANINGS.items():
        verdict = judge(Reply(*HEARD[name]))
        if verdict.outcome == AttemptOutcome.TRANSIENT and verdict.scope == Scope.MESSAGE:
            with meaning(name):
                message = due(f"Tried again: {name.lower().replace('_', ' ')}", author=lena)
                deliver_one(message, Status.QUEUED, account=lena)
            assert message.reason == told.explanation, name
    server.at("RCPT", "550 5.1.1 no such mailbox", recipient="a@example.net")
    server.at("RCPT", "450 4.2.0 mailbox busy", recipient="b@example.net")
    deliver_one(due("Refused to one, asked to come back for the other", "a@example.net", "b@example.net", author=lena),
                Status.QUEUED, account=lena)  # fmt: skip
    server.mend()
    with meaning("WRONG_PASSWORD"):
        due("Waits: the password is wrong", author=lena)
        deliver(lena)
    with meaning("QUOTA"):
        due("Waits: too much mail", author=nour)
        deliver(nour)
    for number in range(3):
        due(f"Of Nights, {number}", author=people("nights"))
        due(f"Of Rates, {number}", author=people("rates"))
    deliver(people("nights"))
    sending.pause(None, by=ada, why="Moving “house” – back soon!")
    sending.pause(otto, by=people("first"), why="Otto is on holiday", until=NOW + dt.timedelta(hours=5))
    clock.set("11-28 14:59")
    deliver(people("rates"), number=5)
    for number in range(2):
        due(f"Of Hours, {number}", author=people("hours"))
    deliver(people("hours"), number=5)
    urgent = due("Urgent, at once", author=otto, urgent=True, category="password-reset")
    at_hand = due("It is being handed over", author=otto, urgent=True)
    owner = f"{MACHINE}:8:worker"
    claims.enter(otto.pk, owner, 4, clock())
    found = {message.pk: message for message in claims.take(otto.pk, owner, 2, clock())}
    assert found.keys() == {urgent.pk, at_hand.pk}
    attempt = SendAttempt(message=found[at_hand.pk], fence=1, started_at=clock(), stage=Stage.DATA, account=otto)
    ledger.start_data(found[at_hand.pk], attempt, clock())
    claims.renew(owner, NOW)
    with options.local():
        sending.pause(sending.ALL, by=ada, why="Handed over to Tom’s mail program", until=NOW + dt.timedelta(days=2))
    submitted.begin(KEY.format(20).replace("-", ""), by=otto)
    settings.EMAIL_OPT_DIR = WORK / "worse"
    settings.EMAIL_OPT_DIR.mkdir()
    for name, data in WORSE_FILES.items():
        (settings.EMAIL_OPT_DIR / name).write_bytes(data)
    (settings.EMAIL_OPT_DIR / "Email.smtp_port.opt").mkdir()
    (settings.EMAIL_OPT_DIR / "EMAIL.smtp_port.opt").symlink_to("nowhere")
    refusal.tell(opt_files.read(), NOW - dt.timedelta(seconds=8))
    settings.EMAIL_OPT_DIR = Path("/srv/option")
    with patch.object(refusal, "server_name", lambda: "worker2.brightwater.example"):
        refusal.tell(opt_files.read(), NOW - dt.timedelta(seconds=30))
    settings.EMAIL_OPT_DIR = None
    for name in (housekeeping.SWEEP, housekeeping.WORKER):
        housekeeping.sign_of_life(name, NOW - dt.timedelta(seconds=4))
    # Sentences keep the names that people had.
    for username, values in [("mila", {"first_name": "Mila", "last_name": "Muster"}), ("nour", {"username": "nour.n"}),
                             ("s.ops", {"first_name": "Sam", "last_name": "Ops"})]:  # fmt: skip
        users.change(people(username), values, by=ada)


# --- What is in there ----------------------------------------------------------------------------------------

ANY = "(?s:.+)"
HEARD_WORDS = "|".join(re.escape(each.explanation) for each in MEANINGS.values())
NO_PERSON, MOMENT = "(?s:.*)", r"(?:at )?(?:\d\d:\d\d|\d+ \w+(?: \d\d:\d\d)?)"
STOPPED = "The process that was sending it at once stopped before it was handed over. Retry it if it is still wanted."
UNKNOWN_TO_SERVER = (
    "The connection ended after the message was handed over and before the server said whether it took it."
)
UNKNOWN_TO_US = "The worker stopped after the message was handed over and before the reply was recorded."
# Why nothing can be sent with Email Setup; several may follow each other, and all is cut off at 500 characters.
PROBLEMS = [
    r"(?:Nothing is sent by this server until its file \S+ is mended\. Administrators see what is wrong with it\. ?)+",
    r"Send type “7” in the company settings is not possible\. Correct it in Email Setup\.",
    r"Auth type “weird” in the settings of nour is not possible\. Correct it in Email Setup\.",
    r"Way to sign in “carrier-pigeon” in the company settings is not possible\. Correct it in Email Setup\.",
    r"The send type is [01] \(MAPI, Outlook\), which hands over one message at a time and cannot send in bulk\. .*",
    r"No SMTP server is set\. Enter one in Email Setup\.",
    r"The auth type “ssl” means SSL 3\.0, which this machine’s OpenSSL no longer has\. .*",
    r"The stored password cannot be read with the keys of this server\. Enter it again in Email Setup\.",
    r"Nobody has signed in yet: choose “Sign in with Microsoft” in Email Setup\.",
    r"Send type 3 signs in, but user name is not set in Email Setup\.",
    r"Send type 3 signs in, but user name and service account key are not set in Email Setup\.",
    r"Send type 3 signs in, but client ID, client secret and refresh token are not set in Email Setup\.",
    r"A sign-in with a token needs TLS: anybody who reads it could send with it\. .*",
    r"The sending window cannot be read: “sometimes” is not a sending window\. Write .* Correct it in Email Setup\.",
    r"The sending window cannot be read: “mon 09:00-09:00” begins and ends at the same time\. .*",
    r"The sending window cannot be read: “foo” is not a day\. .*",
    r"The sending window cannot be read: “25:00” is not a time of day\. .*",
    r"The sending window cannot be read: “Nowhere” is not a time zone\. Write it like Europe/Berlin or UTC\. .*",
    r"The sending window cannot be read: “Europe/Berlim” is not a time zone\. Did you mean .*\? .*",
    r"No SMTP server is set\. .* The auth type “ssl” .* The sending window cannot be read: “on some days .*",
]
PAUSED = [
    rf"all sending is paused by {ANY} until resumed: .*",
    rf"all sending is paused by {ANY} until {MOMENT}: .*",
    rf"sending as the company is paused by {ANY} until resumed: .*",
    r"sending as s\.ops is paused by Fiona First until resumed: .*",
    rf"sending as {ANY} is paused by .* until {MOMENT}: .*",
    rf"the limit of 2 messages per minute is reached; goes on {MOMENT}\.",
]
QUIET = r"It was not sent: sending as Otto Osei is paused by Ada Archer until resumed: Quiet\."
OBSTACLES = [
    *(f"It was not sent: {each}" for each in PAUSED),
    r"It was not sent: outside the sending window \(Mon-Fri 19:00-23:00, Europe/London\)\.",
    r"It was not sent: the limit of 2 messages per minute is reached\.",
    r"It was not sent: the limit of 1 messages per hour is reached\.",
]
NO_ADDRESS = re.escape(gate.NO_ADDRESS)
EXPIRED = [f"Not sent within {within} of being queued, the limit in Company options. Send it again if it is still "
           "wanted." for within in ("a day", "3 days")]  # fmt: skip
DRAFTS = ["Handed over to Tom Tailor’s mail program", "Handed over to Mila’s mail program’s mail program",
          "Handed over to Greta Gone’s mail program", "Handed over to went’s mail program"]  # fmt: skip
LATE = r"Nothing ran since \d+ \w+ \d\d:\d\d, because the worker or beat was away"
STILL = r"The batch before, batch \d+, is still at work; its messages were not taken again\."
FAILED = [HEARD_WORDS, rf"(?:{HEARD_WORDS}) Given up after 1 try\.", rf"(?:{HEARD_WORDS}) Given up after 3 tries\."]
CHANGE = r"(?:\w+ set to “.*”|\w+ from “.*|\w+ emptied, it was “.*|text changed.*|“.*” attached.*|attachment “.*)"

# Each sentence that each column can hold; none is missing, and no row holds another.
SENTENCES = {
    (Message, "reason", ("queued", "sending")): [
        HEARD_WORDS,
        PROBLEMS[-1],
        "Waits for Batch Message Processing: No SMTP server is set.*",
        "Waits for Batch Message Processing: The send type is 1 .*",
        "Waits for Batch Message Processing: Email Setup is not complete\\.",
    ],
    (Message, "reason", ("failed",)): [
        *FAILED,
        "A recipient was refused in an earlier try\\.",
        "A recipient was refused\\.",
        "It names nobody to send it to\\.",
        NO_ADDRESS,
        re.escape(STOPPED),
        *EXPIRED,
        *OBSTACLES,
        *PROBLEMS,
        QUIET,
        *DRAFTS[2:3],
    ],
    (Message, "reason", ("unknown",)): [UNKNOWN_TO_SERVER, UNKNOWN_TO_US],
    (Message, "reason", ("held",)): [
        *DRAFTS,
        "Waits for Batch Message Processing: Email Setup is not complete\\.",
        *map(re.escape, REASONS),
        ANY,
    ],
    (Message, "reason", ("cancelled",)): [queue.WRITTEN_AGAIN, "A duplicate", ANY],
    (Message, "reason_before", None): [
        HEARD_WORDS,
        "Waits for Batch Message Processing: .*",
        re.escape(REASONS[1]),
        DRAFTS[3],
        ANY,
    ],
    (Message, "doubt", None): [
        "“.*” looks mistyped: did you mean gmail.com\\?",
        "“.*” looks mistyped: did you mean office.example\\?",
        "“.*” has a domain without a dot, which only a mail server of your own house can know\\.",
        "“.*” cannot be reached: “.invalid” is reserved, and nobody has mail there\\.",
        "“anna@long.*” looks mistyped: did you mean [^?]*",  # cut off
        "“.*” ends with a number, as no domain does\\.",
        "“.*” ends with “.c”, as no domain does\\.",
        "“.*” names the address 10.0.0.1 of a private network, which no other mail server can reach\\.",
    ],
    (SendAttempt, "explanation", None): [
        *map(re.escape, {each.explanation for each in MEANINGS.values()} - {reply_table.NO_SETUP.explanation}),
        "The mail server accepted the message.",
        UNKNOWN_TO_SERVER,
        UNKNOWN_TO_US,
        *PROBLEMS,
    ],
    (SendAttempt, "advice", None): [
        *map(re.escape, {each.advice for each in MEANINGS.values()}),
        "Ask the recipient, or look in the server’s log. Then choose Mark as sent or Send again.",
    ],
    (AccountPause, "explanation", ("fault", "busy")): [
        HEARD_WORDS,
        PROBLEMS[-1],
        *(
            re.escape(each.explanation)
            for name, each in MEANINGS.items()
            if name != "NO_SETUP" and judge(Reply(*HEARD[name])).scope != Scope.MESSAGE
        ),
    ],
    (AccountPause, "explanation", ("limit",)): [
        "The limit of 2 messages per minute is reached.",
        "The limit of 1 messages per hour is reached.",
    ],
    (AccountPause, "explanation", ("window",)): [
        r"Outside the sending window \(Mon-Fri 19:00-23:00, Europe/London\)\."
    ],
    (AccountPause, "explanation", ("person", "all")): [re.escape(REASONS[1]), ANY],
    (MessageEvent, "what", None): [
        "Accepted into the queue",
        r"Accepted into the queue \(written here\)",
        r"Accepted into the queue \(sendmail\)",
        r"Accepted into the queue \(Django e-mail backend\)",
        r"Accepted into the queue \(test message\)",
        r"Accepted into the queue \(notice\)",
        r"Taken to be sent at once \(Django e-mail backend\)",
        r"Taken to be sent at once \(sendmail\)",
        r"Taken to be sent at once \(written here\)",
        "Taken to be sent at once",
        "Held: ",
        f"Held: {ANY}",
        "Released",
        "Cancelled",
        f"Cancelled: {ANY}",
        "Marked as sent",
        "Send again ordered; it may arrive twice",
        "Retry ordered",
        "Try now ordered",
        queue.WRITTEN_AGAIN,
        "Not written again",
        *DRAFTS,
        "Handed over to Terry O’Hara’s mail program",
        "Sent from Tom Tailor’s mail program",
        "Sent from Mila’s mail program’s mail program",
        "Put back; Tom Tailor’s draft was not sent",
        "Put back; Mila’s mail program’s draft was not sent",
        "Hold ended: back in the queue",
        "Back in the queue: the worker that had it stopped before sending it",
        re.escape(STOPPED),
        *EXPIRED,
        *OBSTACLES,
        QUIET,
        NO_ADDRESS,
        HEARD_WORDS,
        PROBLEMS[5],
        "Given to Ada Archer: the account it was to use is paused",
        "Given to the company’s account: the account it was to use is paused",
        f"Edited: {CHANGE}",
    ],
    (BatchItem, "reason", ("skipped",)): [
        r"Already being processed in batch \d+ by Otto Osei",
        r"Already being processed in batch \d+ by s\.ops",
        r"Already being processed in batch \d+",
        r"Already being processed in batch \d+ by Uma O’Hara",
        r"Already sent on \d+ Nov 2026, \d\d:\d\d",
        r"Already sent on Nov\. \d+, 2026, \d+:\d\d [ap]\.m\.",
        "Already sent",
        "Being sent right now",
        "Failed before: open it to correct and retry it",
        DRAFTS[0],
        "Outcome unknown: open it and decide first, so that it is not sent twice",
        "Held",
        "Held: “Wait”",
        "Held: x+",
        "Held: Handed over to Terry O’Hara’s mail program",
        "Cancelled",
        "Changed while the batch was confirmed",
    ],
    (BatchItem, "reason", ("released",)): [HEARD_WORDS, UNKNOWN_TO_SERVER],
    (ScheduleRun, "words", None): [
        f"{LATE}: this run makes up for it\\.",
        f"{LATE}; missed runs are left out, as this schedule says\\.",
        STILL,
        f"{LATE}: this run makes up for it\\. {STILL}",
        PROBLEMS[4],
        PROBLEMS[-1],
        "Ida Idle may not sign in any more\\. Choose another account for this schedule\\.",
        f"Ida Idle may not sign in any more\\. Choose another account for this schedule\\. {LATE}: .*",
        rf"Send type 3 signs in, but client secret is not set in Email Setup\. {PROBLEMS[12]} {LATE}: .*",
        r"All sending is paused by Ada Archer until resumed: Stock-taking.*",
        rf"All sending is paused by Ada Archer until {MOMENT}: Done soon!.*",
        "All sending is paused by Fiona.*",
    ],
    (Submitted, "words", None): [
        "Sent: the mail server accepted it for a@example.net\\.",
        "Sent: the mail server accepted it for 4 recipients\\.",
        "Sent to some only: the mail server accepted it for a@example.net, and refused b@example.net\\.",
        f"Whether it arrived is not known\\. {UNKNOWN_TO_SERVER}",
        f"Whether it arrived is not known. {outgoing.UNWRITTEN}",
        f"Not sent: (?:{HEARD_WORDS})",
        f"Not sent: (?:{HEARD_WORDS}) Given up after 1 try\\.",
        f"Not sent: {QUIET}",
        "It goes out by itself from 24 Dec 18:00\\.",
        "It is due and goes out as soon as a worker is free\\.",
        "Waits in the queue for Batch Message Processing\\.",
        "Handed over to your mail program: nothing else sends it meanwhile\\.",
        re.escape(submitted.BROKE_OFF),
    ],
    (NoticeItem, "subject", ("paused",)): ["Sending as the company", "Sending as نور 🌙 O’Neil; “N”", "Sending as .*"],
    (NoticeItem, "reason", ("paused",)): [rf"(?:{HEARD_WORDS}) .*", rf"{PROBLEMS[-1]}.*"],
    (NoticeItem, "reason", ("failed",)): [
        *FAILED,
        *OBSTACLES,
        *PROBLEMS,
        *EXPIRED,
        *DRAFTS[2:3],
        re.escape(STOPPED),
        "A recipient was refused\\.",
        "A recipient was refused in an earlier try\\.",
        "It names nobody to send it to\\.",
    ],
    (NoticeItem, "reason", ("unknown",)): [UNKNOWN_TO_SERVER, UNKNOWN_TO_US],
    (NoticeItem, "reason", ("no-address",)): [NO_ADDRESS],
    (Notice, "subject", None): [
        "Sending as the company is paused",
        "Sending as .* is paused",
        r"Sending is paused for \d accounts",
        "1 message could not be sent",
        r"\d+ messages could not be sent",
        "1 message of yours could not be sent",
        r"\d+ messages of yours could not be sent",
        r"\d+ messages may or may not have arrived",
        "1 message may or may not have arrived",
        "1 message of yours may or may not have arrived",
        r"\d+ messages of yours may or may not have arrived",
        "1 message has no address",
        r"\d+ messages have no address",
        r"\d+ messages? of yours (?:has|have) no address",
    ],
    (Recipient, "reply_text", None): [
        "Marked as sent by ada",
        "Marked as sent by gone",
        "Sent from Tom Tailor’s mail program",
        "Sent from Mila’s mail program’s mail program",
        ANY,
    ],
    (SettingChange, "name", None): [
        *changes.NAMES,
        *changes.LIMITS,
        *(options.LOGGED_AS.get(name, name) for name in options.NAMES),
        *(f"notice {kind} {name}" for kind in options.DEFAULT_RULES for name in options.RULE_NAMES),
        *(rf"schedule \d+ {name}" for name in (*schedules.NAMES, "made", "deleted")),
        *users.NAMES.values(),
        users.MADE,
        users.PASSWORD,
    ],
}
KIND_OF = {Message: "status", AccountPause: "kind", BatchItem: "state", NoticeItem: "kind"}


def check():
    """Whether SENTENCES is what the rows hold. Raises AssertionError."""
    wrong = []
    for (model, column, kinds), patterns in SENTENCES.items():
        rows = model._base_manager.exclude(**{column: ""})
        if kinds is not None:
            rows = rows.filter(**{f"{KIND_OF[model]}__in": kinds})
        texts = set(rows.values_list(column, flat=True))
        place = f"{model.__name__}.{column} of {kinds}"
        wrong += [
            f"{place}: nothing says {each}" for each in patterns if not any(map(re.compile(each).fullmatch, texts))
        ]
        wrong += [f"{place}: {text}" for text in texts if not any(re.fullmatch(each, text) for each in patterns)]
    found = {change for version in MessageVersion.objects.values_list("changes", flat=True) for change, *_ in version}
    assert found == {"Subject", "To", "Cc", "Bcc", "Text", "Attachment"}, found
    early = NOW - dt.timedelta(days=41)
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if field.get_internal_type() == "DateTimeField":
                late = model._base_manager.filter(**{f"{field.name}__lt": early})
                wrong += [f"{model.__name__}.{field.name}: {row}" for row in late]
    assert not wrong, "\n".join(wrong)


# --- Together ----------------------------------------------------------------------------------------------


def signed_in(username):
    """A browser in which a person has signed in."""
    browser = Client(SERVER_NAME="localhost", raise_request_exception=False)
    answer = browser.post("/accounts/login/", {"username": username, "password": PASSWORD})
    assert answer.status_code == 302, username
    return browser


READERS = ("ada", "tom", "vera", "otto")  # an administrator, an operator who sees all, a viewer, an operator


def build():
    """Everything, in the order of the 40 days before NOW; the session cookies of READERS."""
    global server
    authority = Authority(WORK)
    with FaultServer(tls=authority.server_context(HOST), auth=("PLAIN", "LOGIN")) as server, at_home(server.port):
        call_command("migrate", verbosity=0)
        DatabaseScheduler(app=current_app).setup_schedule()  # beat has started once
        make_people()
        set_up_company(authority)
        set_up_accounts()
        browsers = {name: signed_in(name) for name in ("otto", "tom")}
        clock.set("10-21 08:00")
        unrecorded(browsers)
        clock.set("10-22 08:00")
        options.save({"record_mail": True}, by=people("ada"))
        every_meaning()
        clock.set("10-24 08:00")
        problems()
        obstacles()
        together()
        ways_in()
        recorded(browsers)
        clock.set("10-26 08:00")
        options.save({"hold_mail": True}, by=people("ada"))
        by_command()
        expired()
        clock.set("11-01 09:00")
        orders()
        clock.set("11-02 09:00")
        delivered()
        worker_stopped()
        clock.set("11-04 09:00")
        edited()
        delete_people(mail_programs())
        clock.set("11-06 09:00")
        processed()
        skipped()
        options.save({"time_zone": "Europe/Berlin", "language": "en-gb"}, by=people("ada"))
        scheduled()
        clock.set("11-21 09:00")
        faults()
        clock.set("11-23 09:00")
        notified()
        clock.set("11-27 09:00")
        settings_changed()
        drafts_and_files()
        clock.set("11-28 14:20")
        standing()
        cookies = {name: signed_in(name).cookies["sessionid"].value for name in READERS}
    assert clock.time < NOW, clock.time
    return cookies


@contextmanager
def at_home(port):
    """Names of this example lead to the server of the build."""
    look_up = socket.getaddrinfo

    def found(host, number, *more, **options):
        if str(host).endswith(".example"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        return look_up(host, number, *more, **options)

    with patch.object(socket, "getaddrinfo", found), patch.object(wake, "_send", lambda account_id: None):
        settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
        yield


# --- Packed up -----------------------------------------------------------------------------------------------


def pack(folder, server_url, cookies):
    """Into the folder: the database for both servers, the attachments, the keys and the sessions."""
    copy_to_postgresql(server_url)
    connections.close_all()
    file = WORK / "outtray.sqlite3"
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    with sqlite3.connect(file, isolation_level=None) as database:
        database.execute("VACUUM")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "outtray.sqlite3.gz").write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    dump = subprocess.run(["pg_dump", "--column-inserts", "--no-owner", "--no-privileges", server_url], check=True,
                          capture_output=True).stdout  # fmt: skip
    # For psql alone, not known to every version, and of no interest.
    dump = re.sub(rb"(?m)^(\\(un)?restrict |SET transaction_timeout |-- Dumped (from|by) ).*\n", b"", dump)
    (folder / "outtray.sql.gz").write_bytes(gzip.compress(dump, mtime=0))
    shutil.copytree(WORK / "media", folder / "media")
    (folder / "keys.env").write_text("".join(f"{name}={value}\n" for name, value in KEYS.items()))
    (folder / "sessions.json").write_text(json.dumps(cookies, indent=2) + "\n")


def copy_to_postgresql(url):
    """Every row with its primary key, in tables that the migrations have made."""
    here = connections.settings["default"]
    connections.settings["postgresql"] = here | {"OPTIONS": {}} | environ.Env.db_url_config(url)
    call_command("migrate", verbosity=0, database="postgresql")
    models = [*apps.get_models(include_auto_created=True), MigrationRecorder.Migration]
    there = connections["postgresql"]
    with there.constraint_checks_disabled(), there.cursor() as cursor:
        names = ", ".join(model._meta.db_table for model in models)
        cursor.execute(f"TRUNCATE {names}")
    with transaction.atomic("postgresql"):
        for model in models:
            for row in model._base_manager.using("default").order_by("pk"):
                row.save_base(raw=True, using="postgresql", force_insert=True)  # raw: no time of its own
        with there.cursor() as cursor:
            for statement in there.ops.sequence_reset_sql(no_style(), models):
                cursor.execute(statement)


if __name__ == "__main__":
    cookies = build()
    check()
    pack(Path(sys.argv[1]), sys.argv[2], cookies)
    shutil.rmtree(WORK)
