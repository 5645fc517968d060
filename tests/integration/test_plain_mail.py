"""A plain mail is written without the standard library, octet for octet as that writes it, or not at all."""

import string
from collections import defaultdict
from email.charset import QP, Charset
from email.generator import BytesGenerator
from email.mime.text import MIMEText
from functools import wraps

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.intake import django_mail

BOUNDARY = "===============1234567890123456789=="
PDF = ("report.pdf", b"%PDF" + bytes(range(256)), "application/pdf")
PLAIN = {"subject": "Invoice 17", "body": "Dear Ada\n", "from_email": "o@example.com", "to": ["a@example.com"]}
texts = st.one_of(
    st.text(string.ascii_letters + ' .,;:<>@"()=?_-\t', max_size=90),
    st.text(max_size=20),
    st.sampled_from(
        ["", " ", "=?utf-8?q?x?=", "a  b", " a", "a ", "a\tb", "a\r\n b", "x" * 64, "x" * 66, "x" * 90, "ß"]
    ),
)
names = st.one_of(
    st.text(string.ascii_letters + "-", min_size=1, max_size=12),
    st.sampled_from(
        ["Date", "message-id", "TO", "From", "Subject", "Content-Type", "X-Outtray-Category", "Sender", "Bad Name", "ü",
         "Resent-To", "Mime-Version", "List-Unsubscribe", "References"]
    ),
)  # fmt: skip
addresses = st.lists(
    st.one_of(
        st.emails(), texts, st.sampled_from(["Ada <ada@example.com>", "ü@example.com", '"A, B" <a@example.com>'])
    ),
    max_size=3,
)
bodies = st.one_of(
    st.text("ab \n.", max_size=60),
    st.text(max_size=30),
    st.sampled_from(
        ["", "x" * 998, "x" * 999, "x" * 998 + "\n", "a\rb", "a\r\nb", "a\x0cb", "a\x00", "From x", ".", "a\tb", "ß",
         "a\x1cb", "a\x7f", "a\n" * 50 + "y" * 1200, "=3D", "a \n", "\n\n"]
    ),
)  # fmt: skip
files = st.lists(
    st.tuples(
        st.sampled_from(["report.pdf", "a b.pdf", "", None, "ü.pdf", 'a"b.pdf', "a;b", "x" * 60, "a\nb", "a  b"]),
        st.binary(max_size=200),
        st.sampled_from(["application/pdf", "image/png", "APPLICATION/PDF", "application/octet-stream", "audio/x-1"]),
    ),
    max_size=3,
)
mails = st.builds(
    dict, subject=texts, body=bodies, from_email=st.one_of(st.emails(), texts), to=addresses, cc=addresses,
    reply_to=addresses, attachments=files, headers=st.dictionaries(names, texts, max_size=3),
)  # fmt: skip


@pytest.fixture(autouse=True)
def same_time_and_name(monkeypatch):
    for module in ("messaging.intake.django_mail", "django.core.mail.message"):
        monkeypatch.setattr(f"{module}.formatdate", lambda **given: f"Mon, 30 Nov 2026 09:30:00 +0000 {given}"[:31])
        monkeypatch.setattr(f"{module}.make_msgid", lambda domain: f"<1@{domain}>")
    monkeypatch.setattr(BytesGenerator, "_make_boundary", lambda *given: BOUNDARY)
    monkeypatch.setattr("messaging.intake.django_mail._boundary", BOUNDARY.encode)


def as_the_library_writes_it(message):
    return django_mail._flattened(message.message())


def check(message):
    """Whether it was written without it."""
    written = django_mail._plain(message)
    if written is not None:
        assert written == as_the_library_writes_it(message)
    return written is not None


@given(values=mails)
@example(values=PLAIN | {"headers": {"X-Space": "a  b"}})
@example(values=PLAIN | {"subject": "a  b"})
@example(values=PLAIN | {"subject": "=?utf-8?q?x?= =?utf-8?q?y?="})
@example(values=PLAIN | {"headers": {"X-Long": "word " * 14 + "end"}})
@example(values=PLAIN | {"headers": {"Subject": "another"}})
@example(values=PLAIN | {"headers": {"SENDER": "a@example.com"}})
@example(values=PLAIN | {"headers": {"Date": ""}})
@example(values=PLAIN | {"attachments": [("x" * 42 + ".pdf", b"x", "application/pdf")]})
@example(values=PLAIN | {"attachments": [('a"b', b"x", "application/pdf")]})
@example(values=PLAIN | {"attachments": [PDF], "body": ""})
@example(values=PLAIN | {"attachments": [PDF], "body": f"--{BOUNDARY}\n"})
def test_written_octet_for_octet_as_the_library_writes_it(values):
    check(EmailMessage(**values))


USUAL = [
    PLAIN,
    PLAIN | {"cc": ["b@example.com", "Cy <c@example.com>"], "reply_to": ["r@example.com"], "bcc": ["x@example.com"]},
    PLAIN | {"headers": {"Message-ID": "<2@example.com>", "Date": "Mon, 30 Nov 2026 10:00:00 +0000", "X-Ours": "7"}},
    PLAIN | {"body": ""},
    PLAIN | {"body": "x" * 998 + "\n.\nFrom x"},
    PLAIN | {"to": []},
    PLAIN | {"attachments": [PDF, ("a b.bin", b"", "application/octet-stream"), ("c.png", b"x" * 57, "image/png")]},
]


@pytest.mark.parametrize("kind", [EmailMessage, EmailMultiAlternatives])
@pytest.mark.parametrize("values", USUAL)
def test_usual_mail_is_written_without_the_library(kind, values):
    assert check(kind(**values))


class Own(EmailMessage):
    def message(self):
        mime = super().message()
        mime["X-Own"] = "1"
        return mime


def with_own_message():
    message = EmailMessage(**PLAIN)
    message.message = Own(**PLAIN).message
    return message


def with_encoding():
    message = EmailMessage(**PLAIN)
    message.encoding = "latin-1"
    return message


def with_charset():
    """As Django's documentation has it; it equals "utf-8" all the same."""
    message = EmailMessage(**PLAIN)
    message.encoding = Charset("utf-8")
    message.encoding.body_encoding = QP
    return message


def with_kind(kind):
    message = EmailMessage(**PLAIN)
    message.content_subtype = kind
    return message


def with_headers(headers):
    message = EmailMessage(**PLAIN)
    message.extra_headers = headers
    return message


def with_alternative():
    message = EmailMultiAlternatives(**PLAIN)
    message.attach_alternative("<p>Dear Ada</p>", "text/html")
    return message


def with_another_multipart():
    message = EmailMessage(**PLAIN, attachments=[PDF])
    message.mixed_subtype = "related"
    return message


UNUSUAL = {
    "of a class of its own": lambda: Own(**PLAIN),
    "with a method of its own": with_own_message,
    "in another character set": with_encoding,
    "with an alternative": with_alternative,
    "with a text as a file": lambda: EmailMessage(**PLAIN, attachments=[("a.txt", "x", "text/plain")]),
    "with a message as a file": lambda: EmailMessage(**PLAIN, attachments=[("a", b"Subject: x\n\n", "message/rfc822")]),
    "with a part as a file": lambda: EmailMessage(**PLAIN, attachments=[MIMEText("x")]),
    "with a file without a name": lambda: EmailMessage(**PLAIN, attachments=[("", b"x", "application/pdf")]),
    "with a file of an odd name": lambda: EmailMessage(**PLAIN, attachments=[('a"b', b"x", "application/pdf")]),
    "with a file of a long name": lambda: EmailMessage(**PLAIN, attachments=[("x" * 60, b"x", "application/pdf")]),
    "with a file and no text": lambda: EmailMessage(**PLAIN | {"body": ""}, attachments=[PDF]),
    "with a file and its boundary": lambda: EmailMessage(**PLAIN | {"body": BOUNDARY}, attachments=[PDF]),
    "with another kind of multipart": with_another_multipart,
    "lazy": lambda: EmailMessage(**PLAIN | {"subject": lazystr("x")}),
    "lazy text": lambda: EmailMessage(**PLAIN | {"body": lazystr("x")}),
    "in a Charset of its own": with_charset,
    "with a parameter of its type": lambda: with_kind("plain; format=flowed"),
    "of no known type": lambda: with_kind("x"),
    "without header fields": lambda: with_headers(None),
    "with header fields of its own class": lambda: with_headers(defaultdict(str, {"X-A": "b"})),
    "with a name that is no text": lambda: with_headers({1: "b"}),
    "not ASCII": lambda: EmailMessage(**PLAIN | {"body": "ß"}),
    "a line of 999": lambda: EmailMessage(**PLAIN | {"body": "x" * 999}),
    "a carriage return": lambda: EmailMessage(**PLAIN | {"body": "a\rb"}),
    "a control character": lambda: EmailMessage(**PLAIN | {"body": "a\x0cb"}),
    "two blanks": lambda: EmailMessage(**PLAIN | {"subject": "a  b"}),
    "an encoded word": lambda: EmailMessage(**PLAIN | {"subject": "=?utf-8?q?x?="}),
    "a long field": lambda: EmailMessage(**PLAIN | {"subject": ("word " * 20).strip()}),
    "a line break": lambda: EmailMessage(**PLAIN | {"headers": {"X-A": "a\nb"}}),
    "a category": lambda: EmailMessage(**PLAIN | {"headers": {"x-outtray-CATEGORY": "invoice"}}),
    "another From": lambda: EmailMessage(**PLAIN | {"headers": {"FROM": "b@example.com"}}),
    "another type": lambda: EmailMessage(**PLAIN | {"headers": {"content-type": "text/html"}}),
    "no field name": lambda: EmailMessage(**PLAIN | {"headers": {"a b": "x"}}),
}


@pytest.mark.parametrize("make", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_mail_is_left_to_the_library(make):
    assert not check(make())


@pytest.mark.parametrize("kind", [EmailMessage, EmailMultiAlternatives])
@pytest.mark.parametrize("name", django_mail.METHODS)
def test_mail_of_a_class_that_a_package_has_changed_is_left_to_the_library(monkeypatch, kind, name):
    monkeypatch.setattr(kind, name, wraps(getattr(kind, name))(lambda *given: None))
    assert not check(EmailMessage(**PLAIN))


def test_text_of_a_template_is_usual():
    assert check(EmailMessage(**PLAIN | {"body": mark_safe("Dear Ada\n"), "subject": mark_safe("Invoice 17")}))


def test_another_default_character_set_is_left_to_the_library(settings):
    settings.DEFAULT_CHARSET = "latin-1"
    assert not check(EmailMessage(**PLAIN))


def test_text_of_another_kind_is_that(monkeypatch):
    message = EmailMessage(**PLAIN)
    message.content_subtype = "html"
    assert check(message)
