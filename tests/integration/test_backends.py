"""Django's way in, with mail held: what send_mail() and EmailMessage hand over is what waits in the queue.

What is sent at once is in test_outgoing.py.
"""

import logging
import re
from email.mime.image import MIMEImage

import pytest
from django.core.mail import (
    BadHeaderError,
    EmailMessage,
    EmailMultiAlternatives,
    get_connection,
    mail_admins,
    send_mail,
    send_mass_mail,
)
from django.db import DatabaseError

from messaging.content import mime
from messaging.intake.addresses import envelope_address, mailboxes
from messaging.intake.gate import Refused
from messaging.intake.wire import ADDRESSES
from messaging.models import Message
from messaging.wording import in_words
from tests.rows import parsed, received, text_of, wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("holding", "queue_backend")]


def test_send_mail_puts_a_message_into_the_queue():
    assert (
        send_mail("Termin am Dienstag", "Grüße aus Köln", "Büro <office@example.com>", ["Ada <ada@example.com>"]) == 1
    )
    message = Message.objects.get()
    assert (message.status, message.subject) == ("queued", "Termin am Dienstag")
    assert (message.reverse_path, message.from_header) == ("office@example.com", "Büro <office@example.com>")
    assert message.recipients_text == "Ada <ada@example.com>"
    assert message.message_id.encode() in wire(message)
    assert received(message).get_content() == "Grüße aus Köln\r\n"
    assert in_words(message.events.get().what) == "Accepted into the queue (Django email backend)"


def test_a_full_message_arrives_with_everything_in_it():
    email = EmailMultiAlternatives(
        "Your report",
        "Dear Ada",
        "office@example.com",
        to=["ada@example.com"],
        cc=["Böb <bob@bücher.example>"],
        bcc=["carl@example.com"],
        reply_to=["Help Desk <help@example.com>", "more@example.com"],
        headers={"X-Job": "17", "Message-ID": "<17@erp.example>", "Date": "Mon, 01 Jan 2024 08:00:00 +0100"},
    )
    email.attach_alternative('<p>Dear Ada <img src="cid:logo"></p>', "text/html")
    logo = MIMEImage(b"\x89PNG...", "png")
    logo.add_header("Content-ID", "<logo>")
    logo.add_header("Content-Disposition", "inline")
    email.attach(logo)
    email.attach("Bericht März.pdf", b"%PDF\x00\xff" * 500, "application/pdf")
    email.attach("list.csv", "name,amount\r\nZoë,1\r\n", "text/csv")
    email.attach(
        "forwarded.eml", EmailMessage("Inner", "inner text", "x@example.com", ["y@example.com"]), "message/rfc822"
    )
    assert email.send() == 1

    message = Message.objects.get()
    mail = received(message)
    assert (mail["X-Job"], mail["Message-ID"], mail["Date"]) == (
        "17",
        "<17@erp.example>",
        "Mon, 01 Jan 2024 08:00:00 +0100",
    )
    assert [each.addr_spec for each in mail["Reply-To"].addresses] == ["help@example.com", "more@example.com"]
    assert mail.get_body(("plain",)).get_content().strip() == "Dear Ada"
    assert "cid:logo" in mail.get_body(("html",)).get_content()
    _, png, pdf, csv, eml = mail.iter_parts()
    assert png.get_content() == b"\x89PNG..."
    assert (pdf.get_filename(), pdf.get_content()) == ("Bericht März.pdf", b"%PDF\x00\xff" * 500)
    assert csv.get_content() == "name,amount\r\nZoë,1\r\n"
    assert eml.get_content()["Subject"] == "Inner"
    assert b"carl" not in wire(message)
    assert list(message.recipients.values_list("kind", "name", "address")) == [
        ("to", "", "ada@example.com"),
        ("cc", "Böb", "bob@xn--bcher-kva.example"),
        ("bcc", "", "carl@example.com"),
    ]
    assert [(each.filename, each.content_type, each.is_inline) for each in message.attachments.all()] == [
        ("", "image/png", True),
        ("Bericht März.pdf", "application/pdf", False),
        ("list.csv", "text/csv", False),
        ("forwarded.eml", "message/rfc822", False),
    ]
    assert text_of(message).strip() == "Dear Ada"


def test_a_from_header_of_its_own_leaves_the_envelope_sender_alone():
    EmailMessage(
        "x", "y", "bounces@example.com", ["a@example.com"], headers={"From": "Office <office@example.com>"}
    ).send()
    message = Message.objects.get()
    assert (message.reverse_path, message.from_header) == ("bounces@example.com", "Office <office@example.com>")


def test_an_address_that_needs_smtputf8_stays_an_address():
    EmailMessage("x", "y", "Jürgen <jürgen@bücher.example>", ["Zoë <zoë@example.com>", "b@example.com"]).send()
    message = Message.objects.get()
    assert (message.needs_smtputf8, message.reverse_path) == (True, "jürgen@xn--bcher-kva.example")
    assert list(message.recipients.values_list("kind", "name", "address")) == [
        ("to", "Zoë", "zoë@example.com"),
        ("to", "", "b@example.com"),
    ]
    assert "zoë@example.com".encode() in wire(message).partition(b"\r\n\r\n")[0]


HIDDEN = ["jörg@example.com", "secret@example.com"]


@pytest.mark.parametrize("kind", [EmailMessage, EmailMultiAlternatives])
@pytest.mark.parametrize(
    ("argument", "name"), [("to", "To"), ("cc", "Cc"), ("reply_to", "Reply-To"), ("bcc", "X-Note")]
)
def test_given_header_stands_and_names_no_hidden_recipient(kind, argument, name):
    given = {name: "Customers <list@example.com>"}
    who = {"to": ["b@example.com"]} | {argument: HIDDEN}
    kind("x", "y", "office@example.com", headers=given, **who).send()
    head = wire(Message.objects.get()).partition(b"\r\n\r\n")[0].decode()
    assert f"{name}: Customers <list@example.com>" in head.splitlines()
    assert "secret@" not in head and "jörg@" not in head and mime.encoded_words("jörg") not in head


@pytest.mark.parametrize("name", ["from", "FROM", "to", "TO", "cc", "Reply-to", "sender", "SENDER", "Resent-To"])
@pytest.mark.parametrize("value", ["Customers <list@example.com>", "Jörg <jörg@bücher.example>, Ann <a@example.com>"])
def test_header_says_what_django_says(name, value):
    """Whatever the case of a given name, and whether Django takes it or not; only how an address is written differs."""
    value = value.partition(",")[0] if name.lower() in ("from", "sender") else value
    mail = EmailMessage("x", "y", "zoë@example.com", HIDDEN, headers={name: value}, reply_to=["ö@example.com"])
    django = {each.lower(): _named(text) for each, text in mail.message().items() if each.lower() in ADDRESSES}
    mail.send()
    fields = mime.head(wire(Message.objects.get()))[0]
    assert {each.name: _named(each.text) for each in fields if each.name in ADDRESSES} == django


def _named(value):
    """Who is named, and by which address, in whatever way it is written."""
    text = re.sub(r"=\?[^?]+\?[bq]\?[^?]*\?=(?=@)", lambda found: mime.decoded_words(found[0]), str(value))
    return [(each.name, envelope_address(each.address)) for each in mailboxes(text)]


def test_name_that_looks_like_an_encoded_local_part_stays_a_name():
    name = '"=?utf-8?q?=C3=B6=22_=3Cevil=40example.com=3E?=@y" <a@example.com>'
    EmailMessage("x", "y", "office@example.com", ["ö@example.com", name]).send()
    message = Message.objects.get()
    assert list(message.recipients.values_list("kind", "address")) == [("to", "ö@example.com"), ("to", "a@example.com")]
    assert b"<evil@" not in wire(message)


def test_message_id_and_date_that_are_given_stand():
    given = {"message-id": "<own@example.com>", "DATE": "Mon, 02 Mar 2026 10:00:00 +0000"}
    EmailMessage("x", "y", "office@example.com", HIDDEN, headers=given).send()
    mail = parsed(wire(Message.objects.get()))
    assert (mail.get_all("Message-ID"), mail.get_all("Date")) == ([given["message-id"]], [given["DATE"]])


def test_the_author_is_recorded(operator):
    connection = get_connection(author=operator)
    EmailMessage("x", "y", "office@example.com", ["a@example.com"], connection=connection).send()
    message = Message.objects.get()
    assert message.author == message.events.get().by == operator


def test_a_message_to_nobody_is_recorded_as_failed_and_not_counted():
    good = EmailMessage("x", "y", "office@example.com", ["a@example.com"])
    nobody = EmailMessage("Statement", "Dear ?", "office@example.com", [])
    assert get_connection().send_messages([good, nobody]) == 1
    message = Message.objects.get(recipient_count=0)
    assert (message.status, message.reason_category) == ("failed", "address")


def test_many_are_queued_at_once_or_not_at_all():
    good = ("x", "y", "office@example.com", ["a@example.com"])
    assert send_mass_mail([good] * 3) == 3
    with pytest.raises(Refused, match="“nonsense” is not a valid email address"):
        send_mass_mail([good, ("x", "y", "office@example.com", ["nonsense"]), good])
    assert Message.objects.count() == 3


def test_nothing_to_send_is_nothing_queued():
    assert get_connection().send_messages([]) == 0


def attached(filename: str) -> EmailMessage:
    email = EmailMessage("x", "y", "office@example.com", ["a@example.com"])
    email.attach(filename, b"abc", "application/octet-stream")
    return email


def image_with(name: str, value: str) -> EmailMessage:
    email = EmailMessage("x", "y", "office@example.com", ["a@example.com"])
    image = MIMEImage(b"abc", "png")
    image[name] = value
    email.attach(image)
    return email


INJECTIONS = {
    "subject": EmailMessage("x\r\nBcc: evil@example.com", "y", "office@example.com", ["a@example.com"]),
    "subject, line feed": EmailMessage("x\nBcc: evil@example.com", "y", "office@example.com", ["a@example.com"]),
    "from name": EmailMessage("x", "y", "Office\r\nBcc: evil@example.com <office@example.com>", ["a@example.com"]),
    "from": EmailMessage("x", "y", "office@example.com\r\nBcc: evil@example.com", ["a@example.com"]),
    "to": EmailMessage("x", "y", "office@example.com", ["a@example.com\nBcc: evil@example.com"]),
    "bcc": EmailMessage("x", "y", "office@example.com", ["a@example.com"], bcc=["b@example.com\r\nRCPT TO:<e@x.org>"]),
    "line break at the end of bcc": EmailMessage(
        "x", "y", "office@example.com", ["a@x.org"], bcc=["b@example.com\r\n"]
    ),
    "extra header": EmailMessage("x", "y", "office@example.com", ["a@example.com"], headers={"X": "1\r\nBcc: e@x.org"}),
    "header name": EmailMessage("x", "y", "office@example.com", ["a@example.com"], headers={"X: 1\r\nBcc": "e@x.org"}),
    "reply-to": EmailMessage("x", "y", "office@example.com", ["a@example.com"], reply_to=["b@example.com\nX: y"]),
    "file name": attached("a.pdf\r\nContent-Type: text/html"),
    "file name, no field": attached("a\r\nb.pdf"),
    "file name, stray CR": attached("a\rb.pdf"),
    "part header": image_with("Content-ID", "<a>\r\nX-Evil: 1"),
    # For the standard library, which writes the header, these end a line as well.
    "subject, vertical tab": EmailMessage("x\x0bX-Evil : 1", "y", "office@example.com", ["a@example.com"]),
    "extra header, vertical tab": EmailMessage(
        "x", "y", "office@example.com", ["a@example.com"], headers={"X": "1\x0bX-Evil : 1"}
    ),
    "extra header, separator": EmailMessage(
        "x", "y", "office@example.com", ["a@example.com"], headers={"X": "1\x1d\x1dDear Sir"}
    ),
    "part header, form feed": image_with("Content-ID", "<a>\x0cX-Evil : 1"),
    "file name, vertical tab": attached("a\x0bX-Evil : 1.pdf"),
    "NUL": EmailMessage("x\0y", "y", "office@example.com", ["a@example.com"]),
}


@pytest.mark.parametrize("email", INJECTIONS.values(), ids=INJECTIONS.keys())
def test_a_line_break_where_none_belongs_is_an_error_and_nothing_is_queued(email):
    with pytest.raises(ValueError, match=r"newline|line break|carriage return|Invalid|NUL|not a|control"):
        email.send()
    assert not Message.objects.exists()


def test_a_header_injection_is_djangos_own_error():
    with pytest.raises(BadHeaderError):
        INJECTIONS["subject"].send()


@pytest.mark.parametrize(
    "address", ["", "nonsense", "a@example.com b@example.com", "a@example.com, b@example.com", "a@b@c"]
)
def test_each_recipient_must_be_one_address(address):
    email = EmailMessage("x", "y", "office@example.com", ["c@example.com", address])
    if not address:
        assert email.send() == 1, "Django leaves out empty ones"
        return
    with pytest.raises(Refused):
        email.send()
    assert not Message.objects.exists()


def test_fail_silently_keeps_quiet_but_leaves_a_line_in_the_log(caplog):
    with caplog.at_level(logging.ERROR):
        assert send_mail("x", "y", "office@example.com", ["nonsense"], fail_silently=True) == 0
    assert "“nonsense” is not a valid email address" in caplog.text
    assert not Message.objects.exists()


def test_a_database_that_is_away_is_an_error_unless_the_caller_wants_none(monkeypatch, settings):
    def away(*_):
        raise DatabaseError("connection refused")

    settings.ADMINS = [("Admin", "admin@example.com")]
    monkeypatch.setattr("messaging.intake.gate.insert", away)
    with pytest.raises(DatabaseError):
        send_mail("x", "y", "office@example.com", ["a@example.com"])
    mail_admins("Server error", "traceback", fail_silently=True)


def test_long_lines_and_dots_of_djangos_text_arrive_unchanged():
    text = "From the office\n.\n..\n" + "x" * 2000 + "\nGrüße\n"
    send_mail("x", text, "office@example.com", ["a@example.com"])
    message = Message.objects.get()
    assert received(message).get_content().replace("\r\n", "\n") == text
    assert text_of(message) == text
    assert max(map(len, wire(message).split(b"\r\n"))) <= 998
