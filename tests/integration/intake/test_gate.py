"""The gate: what is taken, what is refused and why, and what is changed in the bytes before they are kept."""

import time
import tracemalloc
from datetime import timedelta
from email.headerregistry import Address

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.content import assembly, transfer_encoding
from messaging.intake.gate import BadAddress, Refused, Submission, accept, accept_many
from messaging.models import Message, Recipient
from messaging.wording import in_words
from tests import big_texts
from tests.rows import parsed, received, text_of, wire

pytestmark = pytest.mark.django_db

RAW = b"From: Office <office@example.com>\r\nTo: Ada <ada@example.com>\r\nSubject: Invoice 17\r\n\r\nDear Ada\r\n"


def submit(raw: bytes = RAW, recipients=("ada@example.com",), reverse_path="office@example.com", **more) -> Message:
    return accept(Submission(raw, reverse_path, list(recipients), **more))


def header(message: Message) -> bytes:
    return wire(message).partition(b"\r\n\r\n")[0] + b"\r\n"


def body(message: Message) -> bytes:
    return wire(message).partition(b"\r\n\r\n")[2]


# --- What the queue shows ------------------------------------------------------------------------


def test_a_message_waits_in_the_queue_with_all_that_the_list_shows(operator):
    raw = RAW.replace(b"Invoice 17", b"=?utf-8?q?Rechnung_f=C3=BCr_K=C3=B6ln?=").replace(
        b"\r\nSubject", b",\r\n =?utf-8?q?B=C3=B6b?= <bob@example.com>\r\nCc: carl@example.com\r\nSubject"
    )
    recipients = ["ada@example.com", "bob@example.com", "carl@example.com", "dora@example.com"]
    message = submit(raw, recipients, author=operator, via="test")
    message.refresh_from_db()
    assert (message.status, in_words(message.reason), message.author) == ("queued", "", operator)
    assert message.subject == "Rechnung für Köln"
    assert message.from_header == "Office <office@example.com>"
    assert message.reverse_path == "office@example.com"
    assert message.recipients_text == (
        "Ada <ada@example.com>, Böb <bob@example.com>, carl@example.com, dora@example.com"
    )
    assert list(message.recipients.values_list("kind", "name", "address", "status")) == [
        ("to", "Ada", "ada@example.com", "pending"),
        ("to", "Böb", "bob@example.com", "pending"),
        ("cc", "", "carl@example.com", "pending"),
        ("bcc", "", "dora@example.com", "pending"),
    ]
    assert (message.recipient_count, message.attachment_count, message.size) == (4, 0, len(wire(message)))
    assert (message.is_8bit, message.needs_smtputf8, message.not_before, message.tries) == (False, False, None, 0)
    event = message.events.get()
    assert (in_words(event.what), event.by, event.at) == (
        "Accepted into the queue (test)",
        operator,
        message.created_at,
    )


def test_a_message_may_be_due_at_once_with_its_authors_settings(operator):
    now = timezone.now()
    message = submit(author=operator, not_before=now)
    assert (message.status, message.not_before, message.account) == ("queued", now, operator)
    assert submit(author=operator).account is None, "a batch says whose settings are used"


def test_a_message_may_be_held():
    message = submit(hold_reason="Waits for the signature")
    assert (message.status, in_words(message.reason)) == ("held", "Waits for the signature")


def test_a_message_to_nobody_is_recorded_as_failed():
    message = submit(recipients=[], not_before=timezone.now())
    assert (message.status, message.reason_category, message.recipient_count) == ("failed", "address", 0)
    assert in_words(message.reason).startswith("No address: ")
    assert body(message) == b"Dear Ada\r\n"


# --- All or nothing ------------------------------------------------------------------------------


def test_one_bad_message_and_nothing_of_the_call_is_stored(media):
    good = Submission(RAW, "office@example.com", ["ada@example.com"])
    with pytest.raises(Refused):
        accept_many([good, Submission(RAW, "office@example.com", ["nonsense"])])
    assert not Message.objects.exists()


@pytest.mark.slow
def test_thousands_take_few_statements_and_keep_their_order():
    with CaptureQueriesContext(
        connection,
    ) as queries:
        messages = accept_many(
            [Submission(RAW, "office@example.com", [f"ada{n}@example.com", "bob@example.com"]) for n in range(1000)]
        )
    assert len(queries) < 10
    assert [message.recipients_text.partition(",")[0] for message in Message.objects.order_by("id")] == [
        f"ada{n}@example.com" for n in range(1000)
    ]
    assert [message.pk for message in messages] == sorted(message.pk for message in messages)
    assert Recipient.objects.filter(message=messages[999], address="ada999@example.com").exists()
    assert body(messages[999]) == b"Dear Ada\r\n"


# --- Envelope ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Ada.Lovelace@EXAMPLE.com", "Ada.Lovelace@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ('"Ada Lovelace"@example.com', '"Ada Lovelace"@example.com'),
        ('"a@b"@example.com', '"a@b"@example.com'),
        ("ada@[192.0.2.1]", "ada@[192.0.2.1]"),
        ("ada@[IPv6:2001:db8::1]", "ada@[IPv6:2001:db8::1]"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        ("ada@例え.jp", "ada@xn--r8jz45g.jp"),
        ("root@localhost", "root@localhost"),
        ("ada@mail.office.local", "ada@mail.office.local"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        # Longer than RFC 5321 4.5.3.1.1 promises everywhere, but real reply addresses are; the server may judge.
        ("reply+" + "a" * 64 + "@example.com", "reply+" + "a" * 64 + "@example.com"),
    ],
)
def test_addresses_are_kept_as_they_go_into_the_envelope(given, kept):
    message = submit(recipients=[given])
    assert message.recipients.get().address == kept
    assert message.needs_smtputf8 is False


@pytest.mark.parametrize("given", ["jürgen@example.com", "用户@例え.jp"])
def test_a_local_part_that_is_not_ascii_needs_smtputf8(given):
    message = submit(recipients=[given])
    local, _, domain = message.recipients.get().address.partition("@")
    assert (local, domain.isascii(), message.needs_smtputf8) == (given.partition("@")[0], True, True)


BAD_ADDRESSES = {
    "empty": "", "blank": "  ", "no at sign": "ada.example.com", "two at signs": "ada@b@example.com",
    "space": "ada lovelace@example.com", "no local part": "@example.com", "no domain": "ada@",
    "dot at the end": "ada@example.com.", "two dots": "ada@example..com", "dot first": ".ada@example.com",
    "255 in all": "a" * 60 + "@" + "b." * 100 + "example.com",
    "line feed": "ada@example.com\nbcc@evil.example", "carriage return": "ada\r@example.com",
    "line break at the end": "ada@example.com\r\n", "NUL": "ada\0@example.com", "display name": "Ada <ada@example.com>",
    "group": "Friends: ada@example.com;", "list": "ada@example.com,bob@example.com", "not an IP": "ada@[300.1.1.1]",
    "SMTP argument": "ada@example.com> SIZE=1",
}  # fmt: skip


@pytest.mark.parametrize("address", BAD_ADDRESSES.values(), ids=BAD_ADDRESSES.keys())
def test_what_is_no_address_is_refused_and_named(address):
    with pytest.raises(BadAddress) as refusal:
        submit(recipients=["bob@example.com", address])
    if address.strip():
        assert address.strip()[:3] in str(refusal.value)
    assert str(refusal.value).endswith((".", ")"))
    assert not Message.objects.exists()


@pytest.mark.parametrize("address", ["nonsense", "office@example.com\r\nRCPT TO:<evil@example.com>", "a b@example.com"])
def test_a_reverse_path_that_is_no_address_is_refused(address):
    with pytest.raises(BadAddress):
        submit(reverse_path=address)


@pytest.mark.parametrize("null", ["", "<>"])
def test_the_null_sender_is_taken(null):
    assert submit(reverse_path=null).reverse_path == ""


def test_who_is_named_twice_gets_one_copy():
    given = ["ada@example.com", "ada@EXAMPLE.com", "Ada@example.com", "ada@example.com"]
    message = submit(RAW.replace(b"Subject", b"Bcc: ada@example.com\r\nSubject"), given)
    assert list(message.recipients.values_list("kind", "address")) == [
        ("to", "ada@example.com"),
        ("bcc", "Ada@example.com"),
    ]


@pytest.mark.slow
def test_a_thousand_recipients_are_taken_and_one_more_refused(settings):
    settings.MAX_RECIPIENTS = 1000
    everyone = [f"user{n}@example.com" for n in range(1001)]
    to = b"To: " + ", ".join(f'"User, {address}" <{address}>' for address in everyone[:1000]).encode()
    message = submit(RAW.replace(b"To: Ada <ada@example.com>", to), everyone[:1000])
    assert message.recipients.filter(kind="to", name__startswith="User, user").count() == 1000
    assert len(received(message)["To"].addresses) == 1000
    with pytest.raises(Refused, match="1001 recipients, and at most 1000"):
        submit(recipients=everyone)


# --- Header fields -------------------------------------------------------------------------------


def test_message_id_and_date_are_added_once_and_stay():
    message = submit()
    first = wire(message)
    assert first.count(b"\r\nMessage-ID: ") == first.count(b"\r\nDate: ") == 1
    assert message.message_id.endswith("@example.com>")
    assert message.message_id.encode() in first
    assert abs(received(message)["Date"].datetime - message.created_at) < timedelta(seconds=2)
    assert wire(message) == first


def test_given_message_id_and_date_are_kept():
    fields = b"Message-ID: <17@erp.example>\r\nDate: Mon, 01 Jan 2024 08:00:00 +0100\r\n"
    message = submit(fields + RAW)
    assert message.message_id == "<17@erp.example>"
    assert wire(message) == fields + RAW


@pytest.mark.parametrize(
    ("given", "known_as"),
    [
        (b"<17@erp.example> (made by the ERP (v. 2))", "<17@erp.example>"),
        (b"(comment)\r\n <17@erp.example>", "<17@erp.example>"),
        (b"<17@[192.0.2.1]>", "<17@[192.0.2.1]>"),
        (b"<17@[any thing]>", "<17@[any thing]>"),
        (b'<"a b"@erp.example>', '<"a b"@erp.example>'),
        (b'<"a>b@c"@erp.example>', '<"a>b@c"@erp.example>'),
        (b'<a."b c"@erp.example>', '<a."b c"@erp.example>'),
        (b"< 17 . 4 @ erp . example >", "<17.4@erp.example>"),
        (b"<17(a \\) b)@erp.example(c)>", "<17@erp.example>"),
        (b"<20261124.17:4/x@erp>", "<20261124.17:4/x@erp>"),
    ],
)
def test_a_message_id_stays_as_rfc_5322_allows_it(given, known_as):
    message = submit(b"Message-ID: " + given + b"\r\n" + RAW)
    assert wire(message).startswith(b"Message-ID: " + given + b"\r\n")
    assert message.message_id == known_as


@pytest.mark.parametrize(
    "given",
    [
        b"17",
        b"<17>",
        b"<a b@c>",
        b"",
        b"<a@b> <c@d>",
        b"<\xff@b>",
        b"<" + b"a" * 990 + b"@b>",
        b"<a@b> c",
        b"<a@b",
        b"(<a@b>",
        b"<a@b> (c",
        b"<a.@b c>",
        b"<@b>",
        b"<a@>",
    ],
)
def test_a_malformed_message_id_is_replaced(given):
    message = submit(b"Message-ID: " + given + b"\r\n" + RAW)
    assert header(message).lower().count(b"message-id:") == 1
    assert message.message_id.endswith("@example.com>")
    assert received(message)["Message-ID"] == message.message_id


@pytest.mark.parametrize("name", [b"Subject", b"From", b"To", b"Message-ID", b"Date", b"Content-Type", b"subject"])
def test_a_field_that_may_stand_once_is_refused_twice(name):
    with pytest.raises(Refused, match=r"has 2 .* Remove all but one"):
        submit(name + b": <a@b.example>\r\n" + name.upper() + b": <c@d.example>\r\nX: y\r\n\r\nbody")


def test_who_it_is_from_is_taken_from_the_envelope_when_the_header_does_not_say():
    message = submit(b"Subject: x\r\n\r\nbody\r\n")
    assert received(message)["From"].addresses[0].addr_spec == message.from_header == "office@example.com"
    with pytest.raises(Refused, match="does not say who it is from"):
        submit(b"Subject: x\r\n\r\nbody\r\n", reverse_path="")


@pytest.mark.parametrize(
    "value", [b"root", b"Office <>", b"a@b@c", b"Nobody:;", b"Office <office@example.com", b"a@b c@d"]
)
def test_a_from_that_is_no_address_is_refused(value):
    with pytest.raises(Refused, match=r"From|from"):
        submit(b"From: " + value + b"\r\n\r\nbody")


def test_blind_copies_and_the_return_path_never_leave():
    fields = (
        b"Return-Path: <x@y.example>\r\nBcc: secret@example.com,\r\n other@example.com\r\nbcc : third@example.com\r\n"
    )
    sent = wire(submit(fields + b"Resent-Bcc: fourth@example.com\r\n" + RAW, ["ada@example.com", "secret@example.com"]))
    for word in (b"bcc", b"secret", b"other@", b"third", b"fourth", b"return-path"):
        assert word not in sent.lower()


def test_other_fields_stay_as_they_were():
    fields = (
        b"Received: from forged.example\r\n\tby other.example; Mon, 01 Jan 2024 08:00:00 +0100\r\n"
        b"X-Odd   :  two  spaces \r\nReferences: <a@b>\r\n <c@d>\r\nReply-To: =?utf-8?q?B=C3=BCro?= <b@example.com>\r\n"
    )
    assert wire(submit(fields + RAW)).startswith(fields + RAW.partition(b"\r\n\r\n")[0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Subject: Grüße aus Köln 🎉", "Grüße aus Köln 🎉"),
        ("Subject: " + "ü" * 2000, "ü" * 2000),
        ("Subject: " + "x" * 10_000, "x" * 10_000),
        ("Subject: " + "word " * 2000 + "end", "word " * 2000 + "end"),
        ("Subject: \u202egnp.exe", "\u202egnp.exe"),
    ],
    ids=["emoji", "2,000 umlauts", "10,000 characters", "2,000 words", "right to left"],
)
def test_a_difficult_subject_travels_in_short_ascii_lines(field, value):
    message = submit(RAW.replace(b"Subject: Invoice 17", field.encode()))
    assert header(message).isascii()
    assert max(map(len, header(message).split(b"\r\n"))) <= 998
    assert received(message)["Subject"] == value
    assert message.subject == value.replace("\u202e", "")[:998]
    assert message.needs_smtputf8 is False


def test_a_latin_1_header_is_understood():
    message = submit(RAW.replace(b"Invoice 17", b"Gr\xfc\xdfe"))
    assert (message.subject, received(message)["Subject"]) == ("Grüße", "Grüße")


def test_eight_bit_names_and_idn_domains_are_encoded_in_the_address_fields():
    to = 'To: Jürgen "Jo" Müller <jm@bücher.example>, "Ada, L." <ada@example.com>, Büro: Zoë <z@example.com>, y@x.org;'
    message = submit(
        RAW.replace(b"To: Ada <ada@example.com>", to.encode()),
        ["jm@bücher.example", "z@example.com", "ada@example.com"],
    )
    assert header(message).isascii()
    assert message.needs_smtputf8 is False
    groups = received(message)["To"].groups
    assert groups[0].addresses[0].addr_spec == "jm@xn--bcher-kva.example"
    assert "Müller" in groups[0].addresses[0].display_name
    assert groups[1].addresses == (Address("Ada, L.", "ada", "example.com"),)
    assert (groups[2].display_name, [each.display_name for each in groups[2].addresses]) == ("Büro", ["Zoë", ""])
    assert set(message.recipients.values_list("kind", flat=True)) == {"to"}


def test_an_address_that_cannot_be_ascii_keeps_its_header_in_utf8():
    message = submit(RAW.replace(b"Ada <ada@", "Jürgen <jürgen@".encode()), ["jürgen@example.com"])
    assert message.needs_smtputf8 is True
    assert "jürgen@example.com".encode() in header(message)
    assert message.recipients.get().kind == "to"
    assert submit(b"Reply-To: j\xc3\xbcrgen@example.com\r\n" + RAW).needs_smtputf8 is True


def test_a_long_line_of_addresses_is_folded():
    everyone = [f"user{n}@example.com" for n in range(200)]
    message = submit(RAW.replace(b"Ada <ada@example.com>", ", ".join(everyone).encode()), everyone)
    assert max(map(len, header(message).split(b"\r\n"))) <= 998
    assert [each.addr_spec for each in received(message)["To"].addresses] == everyone


def test_a_long_file_name_in_another_script_is_folded():
    declared = "Content-Disposition: attachment; filename*=utf-8''" + "%D0%96" * 300 + ".pdf"
    part = f"--b\r\nContent-Type: application/pdf\r\n{declared}\r\n\r\nabc\r\n--b--\r\n".encode()
    message = submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", part))
    assert max(map(len, wire(message).split(b"\r\n"))) <= 998
    assert next(received(message).iter_attachments()).get_filename() == "Ж" * 300 + ".pdf"


def test_an_unencoded_file_name_is_encoded():
    part = '--b\r\nContent-Disposition: attachment; filename="März.pdf"\r\n\r\nabc\r\n--b--\r\n'.encode()
    message = submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", part))
    assert wire(message).isascii()
    assert next(received(message).iter_attachments()).get_filename() == message.attachments.get().filename == "März.pdf"


@pytest.mark.parametrize(
    "field",
    [
        b"X-Note: a\rBcc: evil@example.com",
        b"Subject: a\r\r\nBcc: e@x.example",
        b"X-Note: a\0b",
        b"Thread: " + b"x" * 999,
    ],
    ids=["stray CR", "stray CR before a line break", "NUL", "line that cannot be folded"],
)
def test_a_header_that_could_smuggle_is_refused(field):
    with pytest.raises(Refused, match=r"Remove it|Break the line"):
        submit(field + b"\r\n" + RAW)


def test_an_absurd_header_is_refused_and_a_long_one_takes_no_time():
    with pytest.raises(Refused, match="longer than 512 KB"):
        submit((b"X-Note: " + b"x" * 900 + b"\r\n") * 600 + RAW)
    with pytest.raises(Refused, match="more than 1,000 fields"):
        submit(b"X-Note: x\r\n" * 60_000 + RAW)
    blanks = b"To: a" + (b" " * 900 + b"\r\n") * 200 + b" b\r\n"
    words = b"Subject: " + (b"=?a?q?" * 150 + b"\r\n ") * 300 + b"x\r\n"
    assert submit(b"From: office@example.com\r\n" + blanks + words + b"\r\n").recipient_count == 1


def test_names_of_files_that_are_all_quotation_marks_take_no_time():
    field = b'Content-Disposition: x; filename="' + b'"' * 4_900 + "é".encode() + b"\r\n"
    parts = (b"--b\r\n" + field + b"\r\nx\r\n") * 100
    begun = time.process_time()
    submit(b"From: o@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts + b"--b--\r\n")
    assert time.process_time() - begun < 2.0


# --- Bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b"one\ntwo\n", b"one\r\ntwo\r\n"),
        (b"one\rtwo\r\nthree", b"one\r\ntwo\r\nthree\r\n"),
        (b"one\r\r\ntwo\n\r", b"one\r\n\r\ntwo\r\n\r\n"),
        (b"end\n.\nQUIT\r.\r\n", b"end\r\n.\r\nQUIT\r\n.\r\n"),
        (b".\r\n..\r\n.x\r\n", b".\r\n..\r\n.x\r\n"),
        (b"From here on\r\n", b"From here on\r\n"),
        ("Grüße\n".encode(), "Grüße\r\n".encode()),
        (b"", b""),
        (b"x" * 998 + b"\r\n", b"x" * 998 + b"\r\n"),
    ],
    ids=["LF", "CR", "mixed", "smuggling", "dots", "From", "8-bit", "nothing", "998 octets"],
)
def test_line_ends_are_made_good_and_nothing_else_is_changed(given, sent):
    message = submit(RAW.replace(b"Dear Ada\r\n", given))
    assert body(message) == sent
    assert message.is_8bit is not sent.isascii()
    assert message.size == len(wire(message))


@pytest.mark.parametrize("text", ["x" * 999, "Grüße " * 1000, "a\0b", "=3D " * 500 + " \n.\n"])
def test_a_text_that_no_line_can_carry_is_encoded_and_reads_the_same(text):
    raw = b"Content-Type: text/plain; charset=utf-8\r\n" + RAW.replace(b"Dear Ada\r\n", text.encode() + b"\n")
    message = submit(raw)
    assert max(map(len, wire(message).split(b"\r\n"))) <= 998
    assert b"\0" not in wire(message)
    assert received(message).get_content().replace("\r\n", "\n") == text + "\n"
    assert text_of(message) == text.replace("\0", "") + "\n"


def test_only_the_part_with_the_long_line_is_encoded_again():
    parts = (
        b"--b\r\n\r\nshort\r\n"
        b"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: 7bit\r\n\r\n<p>" + b"word " * 300 + b"</p>\r\n"
        b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 300 + b"\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\n" + b"y" * 1200 + b"\r\n--b--\r\n"
    )
    message = submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", parts))
    sent = wire(message)
    assert max(map(len, sent.split(b"\r\n"))) <= 998
    assert b"--b\r\n\r\nshort\r\n--b\r\n" in sent
    _, html, pdf, inner = received(message).iter_parts()
    assert html.get_content().rstrip() == "<p>" + "word " * 300 + "</p>"
    assert pdf.get_content() == b"ABC" * 300
    assert inner.get_content().get_content().rstrip() == "y" * 1200
    assert inner["Content-Transfer-Encoding"] is None


def test_a_binary_part_survives_the_line_end_rule():
    data = b"%PDF\n\r\r\n\0\xff" + bytes(range(256)) * 20
    parts = (
        b"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\n" + data + b"\r\n--b--\r\n"
    )
    message = submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", parts))
    assert next(received(message).iter_parts()).get_content() == data
    assert b"".join(assembly.open_attachment(message.attachments.get())) == data


def test_a_binary_part_of_an_attached_message_survives_too():
    inner = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\n\r\0"
    parts = b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    message = submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", parts))
    assert next(received(message).iter_parts()).get_content().get_content() == b"\x89PNG\n\r\0"


def test_messages_within_messages_without_end_are_refused():
    raw = b"Content-Type: message/rfc822\r\n\r\n" * 2000 + b"\0"
    with pytest.raises(Refused, match="too deep"):
        submit(raw)


def nested(number, inner):
    return b"From: a@example.com\r\nContent-Type: message/rfc822\r\n\r\n" * number + inner


@pytest.mark.parametrize(("number", "is_taken"), [(100, True), (101, False)])
def test_no_more_messages_are_attached_within_each_other_than_a_lane_can_send(number, is_taken):
    raw = nested(number, b"From: a@example.com\r\n\r\n" + "Grüße".encode())
    if is_taken:
        message = submit(raw)
        header, encoded = transfer_encoding.to_7bit(assembly.assemble(message))
        assert (header + b"".join(encoded)).isascii()
        return
    with pytest.raises(Refused, match="too deep"):
        submit(raw)


@pytest.mark.parametrize("line", ["Grüße", "binary", "x" * 1000], ids=["8 bits", "binary", "long lines"])
def test_messages_attached_within_each_other_are_not_copied_for_each(line):
    encoding = b"Content-Transfer-Encoding: binary\r\n" if line == "binary" else b""
    text = f"{line}\r\n".encode() * (2**18 // len(line))
    tracemalloc.start()
    try:
        message = submit(nested(80, b"From: a@example.com\r\n" + encoding + b"\r\n" + text))
        header, encoded = transfer_encoding.to_7bit(assembly.assemble(message))
        assert header and sum(map(len, encoded))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * len(text)


@pytest.mark.parametrize("length", [40, 41, 65, 66, 200, 2000])
@pytest.mark.parametrize("field", ["Content-Type: text/plain", "Content-Disposition: attachment"])
def test_a_parameter_with_a_long_name_is_taken_at_once(field, length):
    raw = f'{field}; {"n" * length}="{"ä" * 40}"; charset=utf-8\r\n'.encode()
    assert header(submit(raw + RAW)).isascii()


@pytest.mark.parametrize("piece", ["(", '"(', ";(", "<", "\\"])
@pytest.mark.parametrize("field", ["Content-Type: text/plain; a=", "Content-Disposition: attachment; a=", "To: a "])
def test_a_field_that_is_nested_without_end_is_taken_or_refused(field, piece):
    try:
        message = submit(f"{field}{piece * 900}é\r\n".encode() + RAW.replace(b"To:", b"X-To:"))
    except Refused:
        return
    assert header(message).isascii() and message.subject == "Invoice 17"


def test_parameters_of_all_parts_that_are_encoded_again_have_a_bound(monkeypatch):
    monkeypatch.setattr("messaging.intake.wire.MOST_ENCODED_PARAMETERS", 10)
    parts = [f'Content-Disposition: attachment; filename="{number}ä.txt"\r\n\r\nx' for number in range(20)]
    raw = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n" + RAW.partition(b"\r\n\r\n")[0] + b"\r\n"
    )
    raw += b"".join(f"\r\n--b\r\n{each}".encode() for each in parts) + b"\r\n--b--\r\n"
    message = submit(raw)
    assert wire(message).isascii() and wire(message).count(b"filename*=") == 10
    assert [row.filename for row in message.attachments.all()] == [f"{number}ä.txt" for number in range(20)]


def test_parameters_in_ascii_stay_as_they_are_written_beside_an_escape():
    written = b'Content-Type: text/plain;\r\n\ta="x\x1b$ =?utf-8?q?=0A?="; charset="utf-8"\r\n'
    assert b'a="x $ =?utf-8?q?=0A?="; charset="utf-8"\r\n' in wire(submit(written + RAW))


UNSTRUCTURED = ["Subject", "X-Note", "Received", "References", "Content-Type", "Content-Disposition"]


@pytest.mark.parametrize("name", UNSTRUCTURED)
@pytest.mark.parametrize("end", "\x0b\x0c\x1c\x1d\x1e")
def test_no_control_character_ends_a_header_field(name, end):
    raw = f"{name}: {'word ' * 200}{end}X-Other: x{end}no field{end}{end}another text\r\n".encode()
    message = submit(raw + RAW.replace(b"Subject", b"X-Subject"))
    assert received(message)["From"] == "Office <office@example.com>"
    assert "X-Other" not in received(message)
    assert body(message) == b"Dear Ada\r\n"


def test_a_long_line_outside_the_parts_is_refused():
    parts = b"x" * 1000 + b"\r\n--b\r\n\r\nshort\r\n--b--\r\n"
    with pytest.raises(Refused, match="outside its parts"):
        submit(b"Content-Type: multipart/mixed; boundary=b\r\n" + RAW.replace(b"Dear Ada\r\n", parts))


@pytest.mark.parametrize("raw", [b"", b"\r\n", b" \n\n"])
def test_an_empty_message_is_refused(raw):
    with pytest.raises(Refused, match="empty"):
        submit(raw)


def test_text_without_a_header_gets_one():
    message = submit(b"Backup finished\nwithout errors\n")
    assert body(message) == b"Backup finished\r\nwithout errors\r\n"
    assert received(message)["From"] == "office@example.com"


def test_a_line_that_is_no_field_ends_the_header():
    message = submit(b"From: office@example.com\nthis is no field\nBcc: shown@example.com\n")
    assert body(message) == b"this is no field\r\nBcc: shown@example.com\r\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_a_byte_order_mark_goes_and_utf_16_becomes_utf_8(encoding):
    text = "Content-Type: text/plain; charset=utf-16\nFrom: office@example.com\nSubject: Köln\n\nGrüße\n"
    if encoding == "utf-8-sig":
        text = text.replace("16", "8")
    message = submit(text.encode(encoding))
    assert (message.subject, text_of(message)) == ("Köln", "Grüße\n")
    assert received(message).get_content().strip() == "Grüße"


def test_what_begins_like_utf_16_and_is_none_is_refused():
    with pytest.raises(Refused, match="UTF-8"):
        submit(b"\xff\xfeF\0r\0o\0m\0:\0 \0\x00\xd8x\0")


def test_the_first_line_of_a_mailbox_file_goes():
    assert wire(submit(b"From office@example.com Mon Jan  1 08:00:00 2024\n" + RAW)).startswith(RAW[:40])


def test_a_message_over_the_limit_is_refused_with_both_sizes(settings):
    settings.MAX_MESSAGE_BYTES = 2 * 1024 * 1024
    assert submit(RAW + b"x\r\n" * 600_000).size < settings.MAX_MESSAGE_BYTES
    with pytest.raises(Refused, match=r"too large: 2\.9 MB, and at most 2\.0 MB"):
        submit(RAW + b"x\r\n" * 1_000_000)
    with pytest.raises(Refused, match="too large"):
        submit(RAW + b"\n" * 1_500_000)


@pytest.mark.slow
def test_twenty_megabytes_in_one_line_are_encoded():
    assert max(map(len, wire(submit(RAW + b"x" * 20_000_000)).split(b"\r\n"))) <= 998


@pytest.mark.parametrize("label", [b"", b"Content-Transfer-Encoding: 8bit\n", b"Content-Transfer-Encoding: binary\n"])
@pytest.mark.parametrize("first", [b"\xffX: y", b"no field", b"\xef\xbb\xbfX-Note: y"])
@pytest.mark.parametrize("text", [b"x\0y", b"x" * 1200, b"x\0y" + b"\xff" * 900])
def test_header_that_no_blank_line_ends_stays_header_and_the_text_stays_text(db, label, first, text):
    head = b"From: a@example.com\nSubject: Invoice\n" + label
    body = first + b"\nDKIM-Signature: d=example.com; h=From; b=x\n\n" + text + b"\n"
    message = accept(Submission(head + body, "a@example.com", ["b@example.com"]))
    mail = parsed(wire(message))
    assert (message.subject, mail["Subject"], mail["From"]) == ("Invoice", "Invoice", "a@example.com")
    assert mail["DKIM-Signature"] is None
    assert mail.get_payload(decode=True).replace(b"\r\n", b"\n").rstrip(b"\n") == body.rstrip(b"\n")


@pytest.mark.postgresql
def test_a_big_text_is_written_without_many_copies():
    raw = big_texts.raw("plain", 12_000_000)
    tracemalloc.start()
    try:
        message = accept(Submission(raw, "office@example.com", ["ada@example.com"]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert wire(message).endswith(raw[-1000:])
    assert peak < 4 * len(raw), f"{peak / 1e6:.1f} MB"
