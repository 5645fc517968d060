"""`manage.py sendmail`: the way in for programs that know how to call sendmail.

    manage.py sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [--author NAME] [recipient ...] < message

Options that Sendmail, Postfix, Exim and others know and that mean nothing here (-v, -oem, -bm, -B8BITMIME, -N never,
...) are accepted and ignored; what only a mail server does (-bs, -bd, -bp, -q, ...) is refused. With -t, a message that
is resent (Resent-To, ...) goes to those whom its newest block of such fields names, and to no one else.

As the company options say, the message is sent at once or queued. Silent when it worked. `--author NAME` names the
account whose settings it is sent with (default: the company's); a header field X-Outtray-Category, what kind of mail it
is. Exit codes are those of sysexits.h:

    0   queued or sent; where some recipients were refused, standard error says who and why (do not send it again)
    64  wrong usage
    65  the message was refused for what is in it, or has no recipients
    67  not an address, or the mailbox does not exist
    68  the recipient's host does not exist
    69  refused for good for another reason
    70  no one knows: it may have arrived, so do not send it again blindly
    75  not now: the server is busy or not reached, sending is paused, the database is away; try again later
    77  refused: not permitted
    78  Email Setup is at fault
"""

import os
import re
import socket
import sys
from collections.abc import Sequence
from contextlib import closing
from email.utils import formataddr
from typing import Any, BinaryIO

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from messaging import submit
from messaging.content import charsets, mime
from messaging.delivery.outcomes.verdict import LocalError, Reply, judge
from messaging.intake import addresses, gate, unicode_files
from messaging.intake.addresses import Mailbox
from messaging.intake.wire import CATEGORY
from messaging.management import arguments
from messaging.models import AttemptOutcome, Category
from messaging.submit import Outcome, State
from messaging.system_errors import words_of

IGNORED_WITH_VALUE = "ABCDeLNpRVX"
IGNORED_FLAGS = "EGmnsUv"
# argparse knows no option whose value must be joined to it (a debug level), or may be missing (a number of hops).
DEBUG = re.compile(r"-d.*")
HOPS = re.compile(r"-h\d+")
ORIGIN = re.compile(r"-oM[a-z]+")  # Exim's: where a message came from, said in the next argument
QUEUE_RUN = re.compile(r"-q.*")
LONE_DOT = re.compile(rb"^\.\r*$", re.MULTILINE)
IGNORES_DOTS = re.compile(r"ignoredots(?:=t\S*|=y\S*)?", re.IGNORECASE)
RESENT_TO = ("resent-to", "resent-cc", "resent-bcc")
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
            "-O", dest="named_options", action="append", default=[], help="IgnoreDots is -i; others are ignored."
        )
        parser.add_argument("-b", dest="mode", default="m", metavar="MODE", help="Only -bm, which is the default.")
        parser.add_argument(
            "--author",
            type=arguments.text,
            metavar="NAME",
            help="The user whose email settings it is sent with; default: the company's.",
        )
        for letter in IGNORED_WITH_VALUE:
            parser.add_argument(f"-{letter}", dest="ignored", help="Ignored.")
        for letter in IGNORED_FLAGS:
            parser.add_argument(f"-{letter}", dest="ignored", action="store_true", help="Ignored.")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's parser, where -v is sendmail's: it has no value."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        """As Django does it, but wrong usage ends with sendmail's code instead of argparse's 2."""
        try:
            super().run_from_argv([*argv[:2], *_for_argparse(argv[2:])])
        except SystemExit as stop:
            raise SystemExit(os.EX_USAGE if stop.code == 2 else stop.code) from None

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mode"] != "m":
            raise CommandError(_not_here(f"-b{options['mode']}"), returncode=os.EX_USAGE)
        if not options["recipients"] and not options["from_header"]:
            raise CommandError(
                "No recipients. Name them, or use -t to take them from the message.",
                returncode=os.EX_USAGE,
            )
        ignore_dots = (
            options["dots"] or "i" in options["options"] or any(map(IGNORES_DOTS.fullmatch, options["named_options"]))
        )
        try:
            raw = _read(sys.stdin.buffer, ignore_dots=ignore_dots)
            outcome = self._hand_in(_submission(raw, options))
        except gate.BadAddress as error:
            raise CommandError(str(error), returncode=os.EX_NOUSER) from error
        except gate.Refused as error:
            raise CommandError(str(error), returncode=os.EX_DATAERR) from error
        except submit.MayBeStored as error:
            raise CommandError(f"{error} Do not send it again before that.", returncode=os.EX_SOFTWARE) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(
                f"The queue cannot be reached or written just now; nothing was stored or sent. Try again later. "
                f"({words_of(error)})",
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
        with closing(submit.submit([submission])) as outcomes:
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
    # No one has it: as long as one may take it later, all of it can be sent again.
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
                f"{outcome.explanation} It may have arrived: do not send it again before someone has looked for it "
                "in the Message queue."
            )
        case State.PARTLY:
            return "\n".join(
                [
                    f"Sent to {', '.join(outcome.accepted)}, and not to the recipients after them. Do not send all of "
                    "it again.",
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


# --- How it was called -----------------------------------------------------------------------------------


def _for_argparse(arguments: Sequence[str]) -> list[str]:
    """The arguments without what argparse does not understand. Raises SystemExit: they ask for a mail server."""
    kept: list[str] = []
    waiting = list(reversed(arguments))
    while waiting and waiting[-1] != "--":
        argument = waiting.pop()
        if QUEUE_RUN.fullmatch(argument):
            sys.stderr.write(f"{_not_here(argument)}\n")
            raise SystemExit(os.EX_USAGE)
        if argument == "-h" and waiting and waiting[-1].isdecimal():
            waiting.pop()
        elif ORIGIN.fullmatch(argument):
            del waiting[-1:]
        elif not DEBUG.fullmatch(argument) and not HOPS.fullmatch(argument):
            kept.append(argument)
    return [*kept, *reversed(waiting)]


def _not_here(option: str) -> str:
    return f"{option} asks for what a mail server does. This command only takes a message on standard input (-bm)."


# --- What goes in --------------------------------------------------------------------------------------


def _read(stream: BinaryIO, *, ignore_dots: bool) -> bytes:
    """All of the input, or what comes before a line that is only a dot. Raises Refused."""
    raw = unicode_files.in_utf8(stream.read())
    if raw.startswith(b"From "):  # of a mailbox, or of git format-patch
        raw = raw.partition(b"\n")[2]
    end = None if ignore_dots else LONE_DOT.search(raw)
    return raw[: end.start()] if end is not None else raw


def _submission(raw: bytes, options: dict[str, Any]) -> gate.Submission:
    fields = [(field.name, field.text) for field in mime.head(raw)[0]]
    texts = dict(reversed(fields))
    resent = _newest_block(fields)
    reverse_path = _bare(options["reverse_path"])
    if reverse_path is None:
        senders = (resent.get("resent-sender"), resent.get("resent-from"), texts.get("from"))
        reverse_path = _sender(next(filter(None, senders), ""))
    elif options["full_name"] and reverse_path and not texts.get("from"):
        raw = _from_field(options["full_name"], reverse_path) + raw
    recipients = [each.address for text in options["recipients"] for each in _listed(text)]
    if options["from_header"]:
        for name, text in resent.items() if resent else fields:
            if name.removeprefix("resent-") in ("to", "cc", "bcc"):
                recipients += [mailbox.address for mailbox in addresses.envelope_mailboxes(text)]
    return gate.Submission(
        raw=raw,
        reverse_path=reverse_path,
        recipients=recipients,
        author=_author(options["author"]),
        category=texts.get(CATEGORY, "").strip().lower(),
        via="sendmail",
    )


def _from_field(name: str, address: str) -> bytes:
    """One header field, whatever the name is; octets that are no UTF-8 are for the gate to read."""
    name = charsets.one_line(name)
    if name.isascii() and address.isascii():
        written = formataddr((name, address))
    else:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        written = f'"{quoted}" <{address}>'
    return f"From: {written}\n".encode(errors="surrogateescape")


def _newest_block(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The Resent fields (RFC 5322 3.6.6) that were put in last, which stand first; empty where nothing is resent.

    A field that is there already belongs to an earlier time, and so does what follows other fields, but for a block
    that has named no one before them.
    """
    block: dict[str, str] = {}
    has_ended = False
    for name, text in fields:
        if not name.startswith("resent-"):
            has_ended = bool(block)
        elif name in block or (has_ended and not block.keys().isdisjoint(RESENT_TO)):
            break
        else:
            block[name] = text
    return block


def _listed(text: str) -> list[Mailbox]:
    """Whom an argument names. Raises BadAddress."""
    return addresses.envelope_mailboxes(text) or [Mailbox("", text)]


def _author(username: str | None) -> User | None:
    if username is None:
        return None
    author = User.objects.filter(username=username, is_active=True).first()
    if author is None:
        raise CommandError(f"There is no user “{username}” who may sign in.", returncode=os.EX_USAGE)
    return author


def _bare(argument: str | None) -> str | None:
    """The address of an argument that may have a name with it, as sendmail takes it; else the argument."""
    found = addresses.mailboxes(argument) if argument and not argument.isspace() else []
    return found[0].address if argument and len(found) == 1 and found[0].name else argument


def _sender(from_header: str) -> str:
    """The address of the From header field; if it has none that is valid, the gate says what is wrong with it."""
    try:
        return next((addresses.envelope_address(each.address) for each in addresses.mailboxes(from_header)), "")
    except gate.BadAddress:
        return ""
