"""Messages as large as the gate takes, of 8-bit text, each by an account of its own: so many lanes send them."""

import importlib
from email.utils import make_msgid

from django.contrib.auth.models import User
from django.utils import timezone

from messaging.intake import gate
from tests.mails import HEAD, multipart, part

LANES = 8
OCTETS = 49_000_000
LINE = "Mit freundlichen Grüßen aus Köln, Æther & Œuvre <b>à la carte</b>.\r\n"
RUSSIAN = "Счёт за ноябрь, прилагается.\r\n.\r\n"
EIGHT_BIT = b"Content-Transfer-Encoding: 8bit"
UTF8, LATIN1 = "utf-8", "windows-1252"


def lines(size, charset=UTF8, line=LINE):
    """As many whole lines as `size` octets have room for."""
    octets = line.encode(charset)
    return octets * (size // len(octets))


def text(size, subtype="plain", charset=UTF8, line=LINE):
    return part(f"text/{subtype}; charset={charset}".encode(), lines(size, charset, line), EIGHT_BIT)


def nested(size):
    """A text, and beside it two versions of another and a file, all of 8 bits."""
    both = multipart(text(size // 4), text(size // 4, "html"), boundary=b"inner", subtype=b"alternative")
    file = b"Content-Disposition: attachment; filename=list.csv"
    listed = part(b"text/csv; charset=utf-8", lines(size // 4), EIGHT_BIT, file)
    return multipart(text(size // 4, line=RUSSIAN), both, listed, boundary=b"outer")


def attached(size):
    inner = b"From: a@example.com\r\nSubject: inner\r\n" + multipart(text(size // 2), text(size // 2), boundary=b"in")
    return multipart(text(1000), part(b"message/rfc822", inner, EIGHT_BIT), boundary=b"out")


KINDS = {
    "plain": text,
    "html": lambda size: text(size, "html"),
    "windows-1252": lambda size: text(size, charset=LATIN1),
    "russian": lambda size: text(size, line=RUSSIAN),
    "nested": nested,
    "attached": attached,
    # Base64 makes it a third larger at the gate.
    "one line": lambda size: part(b"text/plain; charset=utf-8", "ü".encode() * (size // 2 * 7 // 10), EIGHT_BIT),
}


def raw(kind, size=OCTETS):
    return HEAD + KINDS[kind](size)


def queue(kind, size=OCTETS, count=LANES):
    """Queue `count` of them to be sent now, each by another account; their Message-IDs."""
    octets = raw(kind, size)
    found = []
    for number in range(count):
        author, _ = User.objects.get_or_create(username=f"sender{number}")
        name = make_msgid(domain="example.com")
        whole = f"Message-ID: {name}\r\n".encode() + octets
        gate.accept(
            gate.Submission(whole, "office@example.com", ["ada@example.com"], author=author, not_before=timezone.now())
        )
        found.append(name)
    return found


def wake():
    """Have the lanes of all accounts started, as a sweep does."""
    tasks = importlib.import_module("messaging.tasks")
    tasks.sweep.delay()
