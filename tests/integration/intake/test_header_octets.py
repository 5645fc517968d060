"""Octets of 8 bits in header fields: what the sender meant is queued, shown, and arrives; and it is encoded once."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging import mime
from messaging.intake import addresses
from messaging.intake.gate import Submission, accept
from tests.mails import multipart, part
from tests.rows import received, wire

pytestmark = pytest.mark.django_db


def submit(*fields, body=b"Hi\r\n"):
    raw = b"From: o@brightwater.example\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body
    return accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))


def in_charset(label):
    return b"Content-Type: text/plain; charset=" + label.encode()


RUSSIAN, JAPANESE = "Счёт за ноябрь", "請求書①"
SPLIT = "=?utf-8?b?0KHRh9GR?=\r\n =?UTF-8?B?0YI=?="
HALVES = [base64.b64encode(half).decode() for half in ("Счёт".encode()[:3], "Счёт".encode()[3:])]


@pytest.mark.parametrize(("label", "octets", "subject"), [
    ("windows-1251", RUSSIAN.encode("cp1251"), RUSSIAN),
    ("koi8-r", RUSSIAN.encode("koi8-r"), RUSSIAN),
    ("windows-1251", RUSSIAN.encode(), RUSSIAN),
    ("x-sjis", JAPANESE.encode("cp932"), JAPANESE),
    ("iso-2022-jp", b"Re: \x1b$B@A5a=q\x1b(B!", "Re: 請求書!"),
    ("utf-8", b"\x1b$B@A5a=q\x1b(B", "請求書"),
    ("gb2312", "发票镕".encode("gbk"), "发票镕"),
    ("us-ascii", b"Gr\xfc\xdfe 5 \x80", "Grüße 5 €"),
    ("x-unheard-of", b"Gr\xfc\xdfe", "Grüße"),
    ("utf-8", "Grüße aus".encode()[:3] + b"\r\n " + "Grüße aus".encode()[3:], "Grüße aus"),
    ("utf-8", "[Büro #12] =?UTF-8?B?0KHRh9GR0YI=?=".encode(), "[Büro #12] Счёт"),
    ("iso-8859-1", b"[B\xfcro #12] =?UTF-8?Q?5_=E2=82=AC?= bar", "[Büro #12] 5 € bar"),
    ("utf-8", f"Büro {SPLIT}".encode(), "Büro Счёт"),
    ("utf-8", f"Büro =?utf-8?B?{HALVES[0]}?= =?UTF-8*ru?B?{HALVES[1]}?=".encode(), "Büro Счёт"),
    ("utf-8", b"=?utf-8?B?" + base64.b64encode(("Счёт " * 150).encode()) + b"?=", ("Счёт " * 150).strip()),
])  # fmt: skip
def test_a_subject_arrives_as_it_was_meant(label, octets, subject):
    message = submit(in_charset(label), b"Subject: " + octets)
    assert (message.subject, received(message)["Subject"].strip()) == (subject, subject)
    assert wire(message).partition(b"\r\n\r\n")[0].isascii()


@pytest.mark.parametrize("label", ["windows-1251", "koi8-r"])
def test_octets_are_read_as_the_html_says_where_no_field_does(label):
    html = f"<html><head><meta charset={label}></head><body>{RUSSIAN}</body></html>".encode(label)
    fields = [b"Content-Type: text/html", b"Subject: " + RUSSIAN.encode(label)]
    assert submit(*fields, body=html).subject == RUSSIAN


def test_a_word_that_is_cut_off_is_taken():
    assert submit(b"Subject: =?utf-8?b?A?= ok").subject == "ok"


def test_words_that_nobody_can_read_stay_octet_for_octet():
    word = b"=?x-unheard-of?B?/4H+?="
    message = submit("Subject: [Büro] ".encode() + word, "To: Zoë ".encode() + word + b" <b@example.com>")
    assert wire(message).count(word) == 2 and received(message)["Subject"].startswith("[Büro]")


@pytest.mark.parametrize(("octets", "name", "rest"), [
    ("Счёт".encode("cp1251") + b" <b@example.com>", "Счёт", b""),
    (b'"\xd1\xf7\xb8\xf2, A" <b@example.com>', "Счёт, A", b""),
    ("Счёт =?utf-8?Q?B=C3=BCro?= <b@example.com>".encode(), "Счёт Büro", b""),
    ("Büro: Zoë <b@example.com>;".encode(), "Zoë", b""),
    ("営業部　山田 <b@example.com>".encode(), "営業部　山田", b""),
    ("Zoë <b@example.com>".encode()[:3] + b"\r\n\t" + "Zoë <b@example.com>".encode()[3:], "Zoë", b""),
])  # fmt: skip
def test_names_are_read_too(octets, name, rest):
    message = submit(in_charset("windows-1251"), b"To: " + octets)
    assert message.recipients.get().name == name and name in message.recipients_text
    assert received(message)["To"].addresses[0].display_name == name


def test_who_it_is_from_is_read_in_the_character_set_of_the_text():
    sender = b"From: " + "Счёт".encode("cp1251") + b" <o@brightwater.example>\r\n"
    html = part(b"text/html; charset=windows-1251", b"<p>")
    raw = sender + b"Subject: " + RUSSIAN.encode("cp1251") + b"\r\n" + multipart(html, subtype=b"alternative")
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    assert (message.from_header, message.subject) == ("Счёт <o@brightwater.example>", RUSSIAN)
    assert received(message)["From"].addresses[0].display_name == "Счёт"


@pytest.mark.parametrize(("octets", "kept"), [
    ("b@example.com (Büro Köln)", "b@example.com (Büro Köln)"),
    ("Bo (im Büro) <b@example.com>", "Bo <b@example.com> (im Büro)"),
    ("Zoë <b@example.com> (a (nested é) one)", "Zoë <b@example.com> (a (nested é) one)"),
    ("Zoë <b@example.com>, Bo (home) <c@example.com> (x)", "Zoë <b@example.com>, Bo (home) <c@example.com> (x)"),
    ("b@example.com (" + "long " * 300 + ")", "b@example.com (" + "long " * 300 + ")"),
])  # fmt: skip
def test_comments_are_kept(octets, kept):
    message = submit(b"To: " + octets.encode())
    field = next(field for field in mime.head(wire(message))[0] if field.name == "to")
    assert "".join(mime.decoded_words(field.text).split()) == "".join(kept.split())


def test_a_mailbox_in_ascii_stays_as_it_is_written_beside_one_that_is_not():
    written = b'"Berg,  Bo" (=?iso-8859-1?Q?B=FCro?=) <b@EXAMPLE.com>'
    message = submit(b"To: " + written + ", Zoë <z@example.com>".encode())
    assert b"To: " + written.replace(b"  ", b" ") + b",\r\n =?utf-8?q?Zo=C3=AB?= <z@example.com>\r\n" in wire(message)


@pytest.mark.parametrize(("fields", "name"), [
    (b'Content-Disposition: attachment; filename="' + "Счёт.pdf".encode("cp1251") + b'"', "Счёт.pdf"),
    (b'Content-Type: application/pdf; name="' + "Счёт.pdf".encode() + b'"', "Счёт.pdf"),
    ('Content-Disposition: attachment; filename="Büro =?utf-8?B?0KHRh9GR0YI=?=.pdf"'.encode(), "Büro Счёт.pdf"),
    (b"Content-Disposition: attachment; filename==?windows-1251?B?0ffo8i5wZGY=?=", "Счит.pdf"),
    (b"Content-Disposition: attachment; filename*=utf-8''Gr%FC%DFe.pdf", "Grüße.pdf"),
    (b"Content-Disposition: attachment; filename*=x-sjis''%90%BF%87%40.pdf", "請①.pdf"),
    (b"Content-Disposition: attachment; filename*=''Gr%C3%BC%C3%9Fe.pdf", "Grüße.pdf"),
    (b"Content-Disposition: attachment; filename*0*=gb2312''%B7%A2%C6; filename*1*=%B1%E9F.pdf", "发票镕.pdf"),
    (b"Content-Disposition: attachment; filename=a.pdf; filename*=utf-8''%C3%A4.pdf", "ä.pdf"),
])  # fmt: skip
def test_file_names_are_read_and_arrive(fields, name):
    text = part(b"text/plain; charset=windows-1251", b"Hi")
    other = part(b"application/pdf", b"x", fields) if b"Content-Type" not in fields else fields + b"\r\n\r\nx"
    raw = b"From: o@brightwater.example\r\nMIME-Version: 1.0\r\n" + multipart(text, other)
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    assert message.attachments.get().filename == name
    assert wire(message).isascii()
    if not fields.isascii():
        assert next(received(message).iter_attachments()).get_filename() == name


def test_other_fields_are_encoded_word_by_word():
    message = submit("List-Id: Büro Köln <office.example>".encode(), "Thread-Topic: Grüße aus Köln".encode())
    assert b"<office.example>" in wire(message)
    assert (received(message)["List-Id"], received(message)["Thread-Topic"]) == (
        "Büro Köln <office.example>",
        "Grüße aus Köln",
    )


PIECES = [
    "Zoë",
    "Bo",
    '"Berg, Bo"',
    "<b@x.example>",
    "c@x.example",
    ",",
    "(Büro)",
    "(a (b) c)",
    "Gruppe:",
    ";",
]
NAMES = ["Zoë", "Bo Berg", '"Berg, Bo"', "Счёт", "=?utf-8?q?=C3=BC?=", ""]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["", " (Büro)", " (home)"])), min_size=1, max_size=4))
def test_a_list_names_the_same_mailboxes_when_it_is_encoded(given):
    value = ", ".join(f"{name} <b{number}@x.example>{comment}" for number, (name, comment) in enumerate(given))
    encoded = addresses.header_value(value)
    assert encoded.isascii() and addresses.mailboxes(encoded) == addresses.mailboxes(value)
    assert encoded.count("(") == value.count("(")


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
def test_no_list_loses_a_mailbox(value):
    encoded = addresses.header_value(value)
    assert [box.address for box in addresses.mailboxes(encoded)] == [box.address for box in addresses.mailboxes(value)]
