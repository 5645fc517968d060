"""`manage.py sendmail`: the way in for programs that know how to call sendmail.

    manage.py sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [--author NAME] [recipient ...] < message

Options of the classic command that mean nothing here (-oem, -bm, -B8BITMIME, -N never, ...) are accepted and ignored.
As the company options say, the message is sent at once or queued. Silent when it worked. `--author NAME` names the
account whose settings it is sent with (default: the company's); a header field X-Outtray-Category, what kind of mail it
is. Exit codes are those of sysexits.h:

    0   queued or sent; where some recipients were refused, standard error says who and why (do not send it again)
    64  wrong usage
    65  the message was refused for what is in it, or names nobody
    67  not an address, or the mailbox does not exist
    68  the recipient's host does not exist
    69  refused for good for another reason
    70  nobody knows: it may have arrived, so do not send it again blindly
    75  not now: the server is busy or not reached, sending is paused, the database is away; try again later
    77  refused: not permitted
    78  Email Setup is at fault
"""

import os
import socket
import sys
from contextlib import closing
from email.utils import formataddr
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from messaging import mime, outgoing
from messaging.delivery.outcomes import LocalError, Reply, judge
from messaging.intake import addresses, gate
from messaging.intake.wire import CATEGORY
from messaging.models import AttemptOutcome, Category
from messaging.outgoing import Outcome, State

IGNORED_WITH_VALUE = "bBeLNORVX"
IGNORED_FLAGS = "mnU"
NOT_NOW = (
    LocalError.CONNECTION_REFUSED,
    LocalError.CONNECTION_LOST,
    LocalError.TIMEOUT,
    LocalError.OUT_OF_FILES,
    LocalError.NOT_SMTP,
)
NO_SUCH_HOST = ("5.1.2", "5.1.10", "5.4.4")  # RFC 3463 3.2 and 3.5, RFC 7505
CODES: dict[str, int] = {
    Category.ADDRESS: os.EX_NOUSER,
    Category.CONTENT: os.EX_DATAERR,
    Category.SETUP: os.EX_CONFIG,
    Category.NETWORK: os.EX_TEMPFAIL,
    Category.POLICY: os.EX_NOPERM,
}


class Command(BaseCommand):
    help = "Send or queue the RFC 5322 message on standard input, as the classic sendmail command does."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("recipients", nargs="*", metavar="recipient", help="Envelope recipients.")
        parser.add_argument(
            "-t",
            dest="from_header",
            action="store_true",
            help="Take the recipients from the To, Cc and Bcc header fields; those on the command line are added.",
        )
        parser.add_argument(
            "-i", dest="dots", action="store_true", help="A line with only a dot does not end the input."
        )
        parser.add_argument("-f", "-r", dest="reverse_path", metavar="ADDRESS", help="Envelope sender; default: From.")
        parser.add_argument("-F", dest="full_name", default="", metavar="NAME", help="Name for a From added by -f.")
        parser.add_argument("-o", dest="options", action="append", default=[], help="-oi is -i; others are ignored.")
        parser.add_argument(
            "--author", metavar="NAME", help="The user whose email settings it is sent with; default: the company's."
        )
        for letter in IGNORED_WITH_VALUE:
            parser.add_argument(f"-{letter}", dest="ignored", help="Ignored.")
        for letter in IGNORED_FLAGS:
            parser.add_argument(f"-{letter}", dest="ignored", action="store_true", help="Ignored.")

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django does it, but wrong usage ends with sendmail's code instead of argparse's 2."""
        try:
            super().run_from_argv(argv)
        except SystemExit as stop:
            raise SystemExit(os.EX_USAGE if stop.code == 2 else stop.code) from None

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["recipients"] and not options["from_header"]:
            raise CommandError(
                "Nobody to send it to. Name the recipients, or use -t to take them from the message.",
                returncode=os.EX_USAGE,
            )
        raw = _read(sys.stdin.buffer, ignore_dots=options["dots"] or "i" in options["options"])
        try:
            outcome = self._hand_in(_submission(raw, options))
        except gate.BadAddress as error:
            raise CommandError(str(error), returncode=os.EX_NOUSER) from error
        except gate.Refused as error:
            raise CommandError(str(error), returncode=os.EX_DATAERR) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(
                f"The queue cannot be reached or written just now; nothing was stored or sent. Try again later. "
                f"({error})",
                returncode=os.EX_TEMPFAIL,
            ) from error
        code = exit_code(outcome)
        if code:
            raise CommandError(_words(outcome), returncode=code)
        if outcome.state == State.PARTLY:
            self.stderr.write(_words(outcome))
        elif outcome.state == State.QUEUED and outcome.reason is not None:
            self.stderr.write(outcome.explanation)

    def _hand_in(self, submission: gate.Submission) -> Outcome:
        with closing(outgoing.hand_in([submission])) as outcomes:
            return next(outcomes)


# --- What came of it -----------------------------------------------------------------------------------


def exit_code(outcome: Outcome) -> int:
    """The code of sysexits.h; 0 also when only some were refused, because who sends again would send twice."""
    if outcome.state in (State.QUEUED, State.SENT, State.PARTLY):
        return os.EX_OK
    if outcome.state == State.UNKNOWN:
        return os.EX_SOFTWARE
    if not outcome.message.recipient_count:
        return os.EX_DATAERR
    replies = [refusal.reply for refusal in outcome.refused] or ([outcome.reply] if outcome.reply else [])
    codes = [_code(reply, outcome.error) for reply in replies]
    # Nobody has it: as long as one may take it later, all of it can be sent again.
    return os.EX_TEMPFAIL if not codes or os.EX_TEMPFAIL in codes else codes[0]


def _code(reply: Reply, error: BaseException | None) -> int:
    verdict = judge(reply)
    if reply.error == LocalError.NAME_NOT_FOUND:
        is_passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        return os.EX_TEMPFAIL if is_passing else os.EX_CONFIG
    is_passing = reply.code is not None and reply.code < 500
    if is_passing or verdict.outcome == AttemptOutcome.TRANSIENT or reply.error in NOT_NOW:
        return os.EX_TEMPFAIL
    if reply.enhanced in NO_SUCH_HOST:
        return os.EX_NOHOST
    return CODES.get(verdict.category, os.EX_UNAVAILABLE)


def _words(outcome: Outcome) -> str:
    match outcome.state:
        case State.UNKNOWN:
            return (
                f"{outcome.explanation} It may have arrived: do not send it again before somebody has looked at it "
                "in the Message queue."
            )
        case State.PARTLY:
            return "\n".join(
                [
                    f"Sent to {', '.join(outcome.accepted)}, and not to those who follow. Do not send all of it again.",
                    *_refusals(outcome),
                ]
            )
    refusals = _refusals(outcome)
    server = [] if refusals or outcome.reply is None else [_reply_words(outcome.reply)]
    lines = [f"{outcome.explanation} {outcome.advice}".strip(), *server, *refusals]
    return "\n".join(line for line in lines if line)


def _refusals(outcome: Outcome) -> list[str]:
    is_same = len({refusal.reply for refusal in outcome.refused}) == 1 and outcome.state == State.FAILED
    if is_same and len(outcome.refused) > 1:
        return [_reply_words(outcome.refused[0].reply)]
    return [
        f"{refusal.address}: {refusal.explanation} {_reply_words(refusal.reply)}".strip() for refusal in outcome.refused
    ]


def _reply_words(reply: Reply) -> str:
    return f"({reply.code} {reply.text})" if reply.code else f"({reply.said})" if reply.said else ""


# --- What goes in --------------------------------------------------------------------------------------


def _read(stream: BinaryIO, *, ignore_dots: bool) -> bytes:
    """All of the input, or what comes before a line that is only a dot."""
    if ignore_dots:
        return stream.read()
    lines = []
    for line in stream:
        if line.rstrip(b"\r\n") == b".":
            break
        lines.append(line)
    return b"".join(lines)


def _submission(raw: bytes, options: dict[str, Any]) -> gate.Submission:
    fields = [(field.name, field.text) for field in mime.head(raw)[0]]
    texts = dict(reversed(fields))
    reverse_path = options["reverse_path"]
    if reverse_path is None:
        reverse_path = _sender(texts.get("from", ""))
    elif options["full_name"] and reverse_path and not texts.get("from"):
        raw = f"From: {formataddr((options['full_name'], reverse_path))}\n".encode() + raw
    recipients = list(options["recipients"])
    if options["from_header"]:
        for name, text in fields:
            if name in ("to", "cc", "bcc"):
                recipients += [mailbox.address for mailbox in addresses.envelope_mailboxes(text)]
    return gate.Submission(
        raw=raw,
        reverse_path=reverse_path,
        recipients=recipients,
        author=_author(options["author"]),
        category=texts.get(CATEGORY, "").strip().lower(),
        via="sendmail",
    )


def _author(username: str | None) -> User | None:
    if username is None:
        return None
    author = User.objects.filter(username=username, is_active=True).first()
    if author is None:
        raise CommandError(f"There is no user “{username}” who may sign in.", returncode=os.EX_USAGE)
    return author


def _sender(from_header: str) -> str:
    """The address of the From header field; if it has none that is valid, the gate says what is wrong with it."""
    try:
        return next((addresses.envelope_address(each.address) for each in addresses.mailboxes(from_header)), "")
    except gate.BadAddress:
        return ""
