"""Octets of 8 bits in header fields: what the sender meant is queued, shown, and arrives; and it is encoded once."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.content import mime
from messaging.intake import addresses
from messaging.intake.gate import Submission, accept
from messaging.models import Message
from tests.letter_form import saved
from tests.mails import multipart, part
from tests.rows import received, wire

pytestmark = pytest.mark.django_db


def submit(*fields, body=b"Hi\r\n"):
    raw = b"From: o@brightwater.example\r\n" + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body
    return accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))


def unfolded(value):
    return value.replace("\r\n ", " ")


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


@pytest.mark.parametrize("name", [
    "Rechnung für März.pdf", "'Rechnung für März.pdf'", "März (1).pdf", "März,April.pdf", "März@home.pdf", "a=März.pdf",
    "März[1].pdf", "März: 1.pdf", "“März”.pdf", "C:\\März.pdf",
])  # fmt: skip
@pytest.mark.parametrize("field", ["Content-Disposition: attachment; filename={}", "Content-Type: a/b; x=1; name={}"])
def test_a_file_name_without_quotation_marks_arrives_whole(field, name):
    other = field.format(name).encode() + b"\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg=="
    raw = b"From: o@brightwater.example\r\nMIME-Version: 1.0\r\n" + multipart(part(b"text/plain", b"Hi"), other)
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    assert next(received(message).iter_attachments()).get_filename() == name
    assert message.attachments.get().filename == mime.displayable(name.replace("C:\\", ""), 255)


@pytest.mark.parametrize("boundary", ["----=_Part_1", "=_NextPart_1", "a/b:1", "(1)", "x" * 70, '"----=_Part_1"'])
def test_parts_are_found_beside_a_name_that_is_not_ascii(boundary):
    delimiter = boundary.strip('"').encode()
    parts = multipart(part(b"text/plain", b"Hi"), part(b"application/pdf", b"x"), boundary=delimiter)
    field = f"Content-Type: multipart/mixed; boundary={boundary}; name=Märzpost\r\n\r\n".encode()
    raw = b"From: o@brightwater.example\r\nMIME-Version: 1.0\r\n" + field + parts.partition(b"\r\n\r\n")[2]
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    types = ["text/plain", "application/pdf"]
    assert [each.get_content_type() for each in received(message).iter_parts()] == types
    assert message.attachment_count == 1 and wire(message).isascii()
    assert b'boundary="' + delimiter + b'"' in wire(message)


def test_other_fields_are_encoded_word_by_word():
    message = submit("List-Id: Büro Köln <office.example>".encode(), "Thread-Topic: Grüße aus Köln".encode())
    assert b"<office.example>" in wire(message)
    assert (received(message)["List-Id"], received(message)["Thread-Topic"]) == (
        "Büro Köln <office.example>",
        "Grüße aus Köln",
    )


@pytest.mark.parametrize(("field", "sent"), [
    ("Content-ID: <Müller-Logo.png>", "<M%C3%BCller-Logo.png>"),
    ("Content-Location: https://x.example/ü.png", "https://x.example/%C3%BC.png"),
    ("References: <a@x.example> <ü@x.example>", "<a@x.example> <%C3%BC@x.example>"),
    ("In-Reply-To: <ü@x.example>", "<%C3%BC@x.example>"),
    (
        "List-Unsubscribe: <https://x.example/ü?x=1>, <mailto:ü@x.example>",
        "<https://x.example/%C3%BC?x=1>, <mailto:%C3%BC@x.example>",
    ),
    ("List-Post: <mailto:a@x.example> (für alle)", "<mailto:a@x.example> =?utf-8?b?KGbDvHI=?= alle)"),
    ("List-Unsubscribe: <https://x.example/" + "ü" * 150 + ">", "<https://x.example/" + "%C3%BC" * 150 + ">"),
])  # fmt: skip
@pytest.mark.parametrize("charset", ["utf-8", "windows-1252"])
def test_what_is_compared_or_clicked_is_no_encoded_word(field, sent, charset):
    message = submit(in_charset(charset), field.encode(charset))
    name = field.partition(":")[0].lower()
    assert [each.text for each in mime.head(wire(message))[0] if each.name == name] == [sent]


@pytest.mark.parametrize(("field", "kind", "encoding"), [
    ("Content-Type: text/html (für Ö); x=1\r\nContent-Transfer-Encoding: base64(für)", "text/html", "base64"),
    ("Content-Type: application/\uffff\uffff\uffff; x=1", "application/%EF%BF%BF%EF%BF%BF%EF%BF%BF", "7bit"),
])  # fmt: skip
def test_a_comment_that_is_not_ascii_leaves_type_and_encoding_as_they_are(field, kind, encoding):
    message = submit(field.encode(), body=b"PGI+SGk8L2I+\r\n")
    sent = next(mime.walk(wire(message)))
    assert (sent.content_type, sent.encoding) == (kind.lower(), encoding) and wire(message).isascii()


@pytest.mark.parametrize("reference", ["Müller-Logo.png", "M%C3%BCller-Logo.png", "m&uuml;"])
def test_a_picture_is_found_by_a_name_that_is_not_ascii(office, reference):
    name = "mü" if "&" in reference else "Müller-Logo.png"
    page = part(b"text/html; charset=utf-8", f'<img src="cid:{reference}">'.encode())
    fields = [f"Content-ID: <{name}>".encode(), b"Content-Transfer-Encoding: base64"]
    picture = part(b"image/png", b"iVBORw0KGgo=", *fields)
    raw = b"From: o@brightwater.example\r\nMIME-Version: 1.0\r\n" + multipart(page, picture, subtype=b"related")
    message = accept(Submission(raw, "o@brightwater.example", ["b@example.com"]))
    assert 'src="data:image/png;base64,' in office.get(f"/messages/{message.pk}/html/").text


# Each writes a line break, a NUL or another end of a line where it is read in the character set that is declared; most
# look like another header field then, or end the header.
SHIFTED = {
    "utf-7": b"hi \x1b$ +AAo-X-Injected : yes",
    "utf-7, the end": b"hi \x1b$ +AAoACg-Dear Sir",
    "utf-7, a signature": b"hi \x1b$ +AAo-DKIM-Signature : x",
    "utf-7, a colon": b"hi \x1b$ +AAo-X-Injected: yes",
    "utf-7, read twice": b"hi \x1b$+-AAoACg-Dear Sir, pay to IBAN 1",
    "utf-7, a NUL": b"hi \x1b$ +AAA-",
    "utf-16be": b"hi\x20\x28X-\xe4 ",
    "cp037": "ä%X-Injected : yes".encode("cp037").replace(b"l", b"%"),
    "iso-2022-jp-2": b"hi \x1b$B@A\x1b(B \x1b.A\x1bN\x05X-Injected : yes",
}
CODES = ["-", "\n", "\r", "\0", "\x0b", "\x85", "\u2028"]


def with_shift(case, *fields):
    declared = f"Content-Type: text/plain; charset={case.partition(',')[0]}".encode()
    return b"From: o@brightwater.example\nTo: b@example.com\n" + b"".join(
        field + b"\n" for field in (declared, b"X-First: 1", *fields, b"Subject: Invoice", b"X-Last: 1")
    )


@pytest.mark.usefixtures("holding")
@pytest.mark.parametrize("field", [b"X-Foo", b"Comments", b"Received", b"Reply-To", b"Content-Disposition"])
@pytest.mark.parametrize("case", SHIFTED)
def test_no_character_set_makes_a_field_of_what_stands_in_another(sendmail, office, field, case):
    header = with_shift(case, b"DKIM-Signature: d=x.example; h=from; b=x", field + b": " + SHIFTED[case])
    assert (result := sendmail("b@example.com", stdin=header + b"\nHello\n")).code == 0, result.err
    message = Message.objects.get()
    before, after = ([each.name for each in mime.head(raw)[0]] for raw in (header, wire(message)))
    # A signature over fields that had to be encoded may go; nothing else does.
    assert [name for name in after if name not in ("date", "message-id")] in (
        before,
        [name for name in before if name != "dkim-signature"],
    )
    assert wire(message).endswith(b"\r\n\r\nHello\r\n") and message.subject == "Invoice"
    stored = wire(message)
    assert saved(office, message, cc="c@example.com").status_code == 302
    assert wire(message) == stored.replace(b"\r\n\r\n", b"\r\nCc: c@example.com\r\n\r\n", 1)


@pytest.mark.usefixtures("holding")
@pytest.mark.parametrize("case", SHIFTED)
def test_no_character_set_breaks_a_subject(sendmail, case):
    header = with_shift(case).replace(b"Invoice", SHIFTED[case])
    assert (result := sendmail("b@example.com", stdin=header + b"\nHello\n")).code == 0, result.err
    message = Message.objects.get()
    assert received(message)["X-Last"] == "1" and "X-Injected" not in received(message)
    assert wire(message).endswith(b"\r\n\r\nHello\r\n")


@pytest.mark.parametrize("field", ["X-Foo", "Comments", "To", "Received", "Content-Type", "Content-Disposition"])
@pytest.mark.parametrize("charset", ["utf-7", "utf-8", "utf-16be"])
@pytest.mark.parametrize("code", CODES)
def test_a_line_break_within_an_encoded_word_breaks_no_field(field, charset, code):
    """Beside octets that have to be encoded, it is read and written again."""
    octets = base64.b64encode(f"hi{code}X-Injected : yes".encode(charset)).decode()
    value = f"Zoë =?{charset}?B?{octets}?="
    values = {
        "To": f"{value} (Büro =?{charset}?B?{octets}?=) <b@example.com>",
        "Content-Type": f'application/pdf; name="{value}"',
        "Content-Disposition": f'attachment; filename="{value}"',
    }
    message = submit(f"{field}: {values.get(field, value)}".encode(), b"X-Last: 1")
    assert [each.name for each in mime.head(wire(message))[0]] == [
        "from", field.lower(), "x-last", "date", "message-id"
    ]  # fmt: skip
    again = accept(Submission(wire(message), "o@brightwater.example", ["b@example.com"]))
    assert wire(again) == wire(message)


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


@pytest.mark.parametrize(
    "value",
    [
        '"=?utf-8?q?=C3=84nn?=" <ann@a.com> (Büro), bob@b.com',
        'Ann <ann@a.com> (Büro), "=?utf-8?q?B=C3=B6b?=" <bob@b.com>',
        '"=?utf-8?q?=C3=84nn?=" <ann@a.com>, bob@büro.de, cy@c.com (c)',
        "Ann <ann@a.com>, Bob bob@b.com, Jürgen, Meier <cy@c.com>, Dü@d.com",
        "ann@a.com, bob@büro.de,, <>, cy@c.com",
    ],
)
def test_no_comma_and_no_address_goes_into_an_encoded_word_where_a_list_is_not_valid(value):
    encoded = unfolded(addresses.header_value(value))
    assert encoded.replace("xn--bro-hoa", "büro").count("@") == value.count("@")
    assert encoded.count(",") == value.replace(",,", ",").count(",")  # an empty place in a list is none
    found = [each.address for each in addresses.mailboxes(encoded)]
    assert {"ann@a.com"} < set(found)


NOT_ASCII = ["<jörg@x.example>", "jörg@x.example", "日本@x.example", "Zoë zoë@bücher.example", "Tëam:"]
ENCODED = ["=?utf-8?b?VMOrYW0=?=:", "=?utf-8?q?=C3=BC?="]


@given(st.lists(st.sampled_from(PIECES + NOT_ASCII + ENCODED), max_size=8).map(" ".join))
def test_a_list_that_was_encoded_stays_as_it_is_and_no_address_becomes_an_encoded_word(value):
    once = unfolded(addresses.header_value(value))
    again = unfolded(addresses.header_value(once))
    given_addresses = [addresses.envelope_address(word.strip("<>")) for word in value.split() if "@" in word]
    assert [word.strip("<>,;") for word in again.split() if "@" in word] == given_addresses
    if addresses._read(value)[1]:
        assert again == once
        assert addresses.mailboxes(again) == addresses.mailboxes(once)


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join))
def test_no_list_loses_a_mailbox(value):
    encoded = addresses.header_value(value)
    assert [box.address for box in addresses.mailboxes(encoded)] == [box.address for box in addresses.mailboxes(value)]
