"""Texts whose label is missing or wrong: recipients read what the page shows, or the page says that they may not."""

import pytest

from messaging.content import assembly, transfer_encoding
from messaging.intake.gate import Submission, accept
from messaging.models import Message
from tests.mails import HEAD, multipart, part
from tests.pages import words
from tests.rows import received, text_of, wire

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]
HEAD += b"Message-ID: <1@example.com>\r\n"
TEXT = "Mit freundlichen Grüßen, Müller: 5 €\r\n"
OCTETS = TEXT.encode()
PARTIAL = b"Content-Type: text/plain"
MAY_BE_WRONG = "mail programs may show it wrongly"


def submit(raw):
    return accept(Submission(raw, "office@example.com", ["ada@example.com"]))


def page_of(office, message):
    return words(office.get(f"/messages/{message.pk}/"))


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"MIME-Version: 1.0\r\n",
        PARTIAL + b"\r\n",
        PARTIAL + b";\r\n format=flowed;\r\n",
        PARTIAL + b"; charset=us-ascii\r\n",
        PARTIAL + b'; charset="US-ASCII"; format=flowed\r\nContent-Transfer-Encoding: 7bit\r\n',
        PARTIAL + b"; charset=unknown-8bit\r\nContent-Transfer-Encoding: 8bit\r\n",
        PARTIAL + b"; charset=\r\n",
        PARTIAL + b"; charset=iso-2022-jp\r\n",
        b"Content-Type: text/html\r\n",
    ],
)
def test_text_of_a_program_that_can_only_be_utf_8_says_so(office, fields):
    message = submit(HEAD + fields + b"\r\n" + OCTETS)
    mail = received(message)
    assert mail.get_content().replace("\r\n", "\n").strip() == TEXT.strip()
    assert mail["MIME-Version"] == "1.0" and mail["Content-Transfer-Encoding"] is not None
    assert ("flowed" in str(mail["Content-Type"])) == (b"flowed" in fields)
    assert wire(message).partition(b"\r\n\r\n")[2] == OCTETS
    assert MAY_BE_WRONG not in page_of(office, message)


def test_script_that_pipes_a_text_into_sendmail(office, holding, sendmail):
    text = "Subject: Rechnung für März\n\nMit freundlichen Grüßen, 5 €\n"
    assert sendmail("a@y.example", "-f", "o@x.example", "--author", "anna", stdin=text.encode()).code == 0
    message = Message.objects.get()
    assert received(message).get_content() == "Mit freundlichen Grüßen, 5 €\r\n"
    assert received(message)["Subject"] == "Rechnung für März"


def test_text_without_a_blank_line_before_it():
    message = submit(b"From: office@example.com\nGr\xc3\xbc\xc3\x9fe\n")
    assert received(message).get_content() == "Grüße\r\n"


def test_parts_are_labelled_each_for_itself():
    whole = b"MIME-Version: 1.0\r\n" + multipart(
        part(b"text/plain", OCTETS),
        part(b"text/html; charset=windows-1252", TEXT.encode("cp1252")),
        part(b"text/csv; name=a.csv", OCTETS, b"Content-Disposition: attachment"),
        b"\r\n" + OCTETS,
    )
    text, html, table, bare = received(submit(HEAD + whole)).iter_parts()
    assert text.get_content().strip() == html.get_content().strip() == bare.get_content().strip() == TEXT.strip()
    assert table.get_content_charset() is None


@pytest.mark.parametrize(
    "raw",
    [
        PARTIAL + b"; charset=iso-8859-1\r\n\r\n" + OCTETS,
        PARTIAL + b"; charset=utf-8\r\n\r\n" + OCTETS,
        PARTIAL + b"\r\n\r\nGr\xfc\xdfe\r\n",
        PARTIAL + b"\r\n\r\nHello\r\n",
        b"Content-Type: text/plain; charset*=us-ascii''us-ascii; charset*0=x\r\n\r\n" + OCTETS,
        b"DKIM-Signature: v=1; d=example.com; h=From; b=x\r\n" + PARTIAL + b"\r\n\r\n" + OCTETS,
        multipart(part(b"text/plain", OCTETS), part(b"application/pgp-signature", b"x"), subtype=b"signed"),
        multipart(part(b"message/rfc822", b"Subject: x\r\n\r\n" + OCTETS)),
    ],
)
def test_what_may_be_right_or_is_signed_keeps_its_octets(raw):
    assert raw in wire(submit(HEAD + b"MIME-Version: 1.0\r\n" + raw))


@pytest.mark.parametrize(
    ("fields", "octets", "said"),
    [
        (b"; charset=iso-8859-1", OCTETS, "The text names the character set iso-8859-1, and is UTF-8:"),
        (b"; charset=koi8-r", OCTETS, "The text names the character set koi8-r, and is UTF-8:"),
        (b"; charset=windows-1252", b"\xef\xbb\xbf" + OCTETS, "names the character set windows-1252, and is UTF-8:"),
        (b"", b"Gr\xfc\xdfe\r\n", "The text names no character set, and is read here as windows-1252:"),
        (b"; charset=us-ascii", b"Gr\xfc\xdfe\r\n", "the character set us-ascii, and is read here as windows-1252:"),
        (
            b"\r\nContent-Transfer-Encoding: quoted-printable",
            b"Gr=C3=BC=C3=9Fe",
            "names no character set, and is UTF-8:",
        ),
        (b"; charset=us-ascii\r\nContent-Transfer-Encoding: base64", b"R3LDvMOfZQ==", "us-ascii, and is UTF-8:"),
    ],
)
def test_page_says_where_mail_programs_may_show_another_text(office, fields, octets, said):
    message = submit(HEAD + b"MIME-Version: 1.0\r\n" + PARTIAL + fields + b"\r\n\r\n" + octets)
    page = page_of(office, message)
    assert said in page and page.count(MAY_BE_WRONG) == 1
    assert "Gr\u00fc\u00dfe" in text_of(message) or "Grüßen" in text_of(message)


@pytest.mark.parametrize(
    ("label", "octets"),
    [
        (b"", b"Hello"),
        (b"utf-8", OCTETS),
        (b"UTF8", b"\xef\xbb\xbf" + OCTETS),
        (b"iso-8859-1", TEXT.encode("cp1252")),
        (b"iso-2022-jp", "請求書のご案内".encode("iso2022_jp")),
        (b"koi8-r", "Счёт за ноябрь".encode("koi8-r")),
        (b"x-unheard-of", b"plain"),
    ],
)
def test_page_says_nothing_of_a_label_that_is_right(office, label, octets):
    named = b"; charset=" + label if label else b""
    message = submit(HEAD + b"MIME-Version: 1.0\r\n" + PARTIAL + named + b"\r\n\r\n" + octets)
    assert MAY_BE_WRONG not in page_of(office, message)


def test_html_that_names_its_character_set_within(office):
    html = '<meta charset="utf-8"><p>Grüße</p>'.encode()
    message = submit(HEAD + b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + html)
    assert MAY_BE_WRONG not in page_of(office, message)


def test_server_of_7_bits_gets_the_label_too():
    message = submit(HEAD + b"\r\n" + OCTETS)
    header, encoded = transfer_encoding.to_7bit(assembly.assemble(message))
    assert b"charset=utf-8" in header and (header + b"".join(encoded)).isascii()
