"""The messages that every contestant sends: the same text, the same attachments, each one different from the next."""

import random
import textwrap
from typing import NamedTuple

from django.core.mail import EmailMessage

SENDER = "office@brightwater.example"
# Octets of the attachment, if there is one. The small message is 2 KB on the wire.
ATTACHMENTS = {"small": 0, "report": 200_000, "huge": 25_000_000}
PARAGRAPH = (
    "thank you for your order. Our technician comes on the day named below, between eight and twelve, and needs access "
    "to the boiler room, the meter cupboard and one power outlet. Please have the service book at hand. Should the day "
    "not suit you, call us by noon of the day before, or answer this message; a new appointment costs nothing. "
)


class Mail(NamedTuple):
    """One message; `name` is the left part of its Message-ID."""

    name: str
    recipient: str
    subject: str
    body: str
    attachment: bytes | None

    @property
    def headers(self) -> dict[str, str]:
        return {"Message-ID": f"<{self.name}@bench.example>"}

    @property
    def attachments(self) -> list[tuple[str, bytes, str]]:
        return [] if self.attachment is None else [("report.pdf", self.attachment, "application/pdf")]


def mails(kind: str, run: str, count: int, first: int = 0) -> list[Mail]:
    """`count` messages of a kind from number `first`; `run` keeps their names apart from those of other runs."""
    return [_mail(kind, run, number) for number in range(first, first + count)]


def _mail(kind: str, run: str, number: int) -> Mail:
    text = textwrap.fill(f"Dear customer {number}, {PARAGRAPH * 5}", 72)[:1640]
    size = ATTACHMENTS[kind]
    return Mail(
        name=f"{run}.{number}",
        recipient=f"customer.{number}@example.com",
        subject=f"Appointment {number} of {run}",
        body=f"{text}\n\nAppointment {number}\n",
        attachment=_pdf(size, f"{run}.{number}") if size else None,
    )


def _pdf(size: int, name: str) -> bytes:
    """A PDF of one stream that cannot be compressed and is no one else's."""
    noise = random.Random(name).randbytes(size - 200)  # noqa: S311
    start = b"%%PDF-1.4\n1 0 obj\n<< /Length %d >>\nstream\n" % len(noise)
    return (start + noise + b"\nendstream\nendobj\ntrailer << /Root 1 0 R >>\n").ljust(size - 6, b"\n") + b"%%EOF\n"


def email_message(mail: Mail) -> EmailMessage:
    """The message as a Django program writes it."""
    return EmailMessage(
        mail.subject, mail.body, SENDER, [mail.recipient], headers=mail.headers, attachments=mail.attachments
    )


def email_messages(kind: str, run: str, count: int, first: int = 0) -> list[EmailMessage]:
    return [email_message(mail) for mail in mails(kind, run, count, first)]
