"""A form that is sent as it was shown changes nothing, whatever the message says."""

import base64

import pytest
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.intake.gate import Submission, accept
from messaging.models import MessageVersion
from tests.factories import make_user
from tests.letter_form import saved, sent_by_browser
from tests.rows import received, wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup"), pytest.mark.slow]

BLANKS = [
    " ", "\xa0", "\u3000", "\u2003", "\u2028", "\u2029", "\x85", "\t", "\x0b", "\x0c", "\x1c", "\r\n", "\n", "\r", "\0"
]  # fmt: skip
SIGNS = ["a", "B", "ö", "漢", "😀", "\u200b", "\u202e", "\ufeff", "\ufffd", "&", "<b>", '"', "\\", ",", ";", "(",
         "，", "“", "=?utf-8?q?x?=", "@", "e\u0301", "İ"]  # fmt: skip
TEXTS = st.lists(st.sampled_from([*BLANKS, *SIGNS]) | st.characters(codec="utf-8"), max_size=6).map("".join)


def word(text):
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?=" if text else ""


@pytest.fixture
def taker(db):
    client = Client()
    client.force_login(make_user("taker"))
    return client


@given(subject=TEXTS, names=st.lists(TEXTS, min_size=1, max_size=3), text=TEXTS, flowed=st.booleans())
@example("Invoice\xa0", ["Bo\xa0"], "Hello\x0c", False)
@example("\x1fInvoice", [" ", "\x0b\x9e@\x00"], "\\eIB漢@", True)
@example("\u2028Invoice\u3000", ["\u3000", "Berg, Bo", "李，明"], "\n\n  Hello  \n\n", True)
def test_untouched_form_changes_nothing(taker, subject, names, text, flowed):
    addresses = [f"n{number}@example.com" for number in range(len(names))]
    to = ",\r\n ".join(f"{word(name)} <{address}>" for name, address in zip(names, addresses, strict=True))
    raw = (
        f"From: o@brightwater.example\r\nTo: {to}\r\nSubject: {word(subject)}\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/plain; charset=utf-8{'; format=flowed' if flowed else ''}\r\n"
        f"Content-Transfer-Encoding: base64\r\n\r\n{base64.b64encode(text.encode()).decode()}\r\n"
    ).encode()
    message = accept(Submission(raw, "o@brightwater.example", [*addresses, "hidden@example.com"]))
    before = wire(message)
    assert saved(taker, message).status_code == 302
    assert wire(message) == before and not MessageVersion.objects.filter(message=message).exists()
    recipients = list(message.recipients.values_list("name", "address"))
    assert saved(taker, message, bcc="").status_code == 302
    assert wire(message) == before, "what is not touched stays as it is when something else is changed"
    assert list(message.recipients.values_list("name", "address")) == recipients[:-1]
    [shown] = sent_by_browser(taker.get(f"/messages/{message.pk}/edit/"))["to"]
    assert saved(taker, message, to=f"{shown}, new@example.com").status_code == 302
    assert list(message.recipients.values_list("name", "address")) == [*recipients[:-1], ("", "new@example.com")]


@pytest.mark.parametrize("subject", ["Invoice", "Rechnung 😀", ""])
def test_field_that_is_touched_is_changed(taker, subject):
    raw = b"From: o@brightwater.example\r\nTo: b@example.com\r\nSubject: =?utf-8?b?SW52b2ljZcKg?= x\r\n\r\nHi\r\n"
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    saved(taker, message, subject=subject, no_subject="on")
    assert (received(message)["Subject"] or "") == subject


@pytest.mark.parametrize(
    ("charset", "octets"), [("utf-8", b"a\0b"), ("utf-7", b"a+AAA-b"), ("utf-16le", b"a\0\0\0b\0")]
)
def test_subject_with_a_nul_can_be_corrected(taker, charset, octets):
    subject = f"=?{charset}?b?{base64.b64encode(octets).decode()}?="
    raw = f"From: o@brightwater.example\r\nTo: b@example.com\r\nSubject: {subject}\r\n\r\nHi\r\n".encode()
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    assert saved(taker, message, subject="Invoice").status_code == 302
    assert received(message)["Subject"] == "Invoice"
    [version] = MessageVersion.objects.filter(message=message)
    assert version.changes == [{"field": "subject", "before": "a\ufffdb", "after": "Invoice"}]
