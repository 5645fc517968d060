"""`manage.py sendmail`: the way in for programs that know how to call sendmail.

    manage.py sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [recipient ...] < message

Options of the classic command that mean nothing here (-oem, -bm, -B8BITMIME, -N never, ...) are accepted and ignored.
Silent when it worked. Exit codes are those of sysexits.h: 64 wrong usage, 65 message refused, 67 not an address,
75 the queue cannot be reached just now, try again later.
"""

import os
import sys
from email.utils import formataddr
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from messaging import mime
from messaging.intake import addresses, gate

IGNORED_WITH_VALUE = "bBeLNORVX"
IGNORED_FLAGS = "mnU"


class Command(BaseCommand):
    help = "Put the RFC 5322 message on standard input into the queue, as the classic sendmail command does."
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
            message = gate.accept(_submission(raw, options))
        except gate.BadAddress as error:
            raise CommandError(str(error), returncode=os.EX_NOUSER) from error
        except gate.Refused as error:
            raise CommandError(str(error), returncode=os.EX_DATAERR) from error
        except (DatabaseError, OSError) as error:
            raise CommandError(
                f"The queue cannot be reached or written just now; nothing was stored. Try again later. ({error})",
                returncode=os.EX_TEMPFAIL,
            ) from error
        if message.reason:
            self.stderr.write(message.reason)


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
    return gate.Submission(raw=raw, reverse_path=reverse_path, recipients=recipients, via="sendmail")


def _sender(from_header: str) -> str:
    """The address of the From header field; if it has none that is valid, the gate says what is wrong with it."""
    try:
        return next((addresses.envelope_address(each.address) for each in addresses.mailboxes(from_header)), "")
    except gate.BadAddress:
        return ""
