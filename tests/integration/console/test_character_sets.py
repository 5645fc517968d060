"""Text under any label: shown right, edited without damage or not at all, opened as what it is."""

import base64
import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.content import assembly, mime
from messaging.intake.gate import Submission, accept
from messaging.models import MessageVersion
from tests.integration.test_editing import edit, fields_of
from tests.mails import multipart, part
from tests.pages import source
from tests.rows import received, wire
from tests.sizes import matrix, sampled, several
from tests.unit.test_charsets import CASES, CODECS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]
HEAD = b"From: o@brightwater.example\r\nTo: b@example.com\r\nSubject: x\r\nMIME-Version: 1.0\r\n"


def submit(raw, *recipients):
    return accept(Submission(raw, "o@brightwater.example", recipients or ["b@example.com"]))


def mail(data, content_type, *fields, head=HEAD):
    """A message of one text."""
    return head + encoded(content_type, data, *fields)


def encoded(content_type, data, *fields):
    """A part in base64, whatever its octets are."""
    body = base64.encodebytes(data).replace(b"\n", b"\r\n")
    return part(content_type.encode(), body, b"Content-Transfer-Encoding: base64", *fields)


def text_in(office, message):
    """What the form has in it."""
    found = re.search(
        r"<textarea[^>]*>\n?(.*?)</textarea>", office.get(f"/messages/{message.pk}/edit/").text, re.DOTALL
    )
    return html.unescape(found[1]) if found else None


def shown(office, message):
    found = re.search(
        r'<pre class="body-text" dir="auto">(.*?)</pre>', office.get(f"/messages/{message.pk}/").text, re.DOTALL
    )
    return html.unescape(found[1])


# --- Edited ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("label", "text"), sampled(CASES))
def test_one_line_added_damages_nothing(office, label, text):
    text = text.encode(CODECS.get(label, label), "ignore").decode(CODECS.get(label, label)) + "\r\n"
    message = submit(mail(text.encode(CODECS.get(label, label)), f'text/plain; charset="{label}"'))
    assert shown(office, message) == text_in(office, message) == text.replace("\r\n", "\n")
    assert edit(office, message, text=text + "One more line\r\n").status_code == 302
    mailed = received(message)
    assert mailed.get_content().replace("\r\n", "\n") == text.replace("\r\n", "\n") + "One more line\n"
    assert mailed.get_content_charset() == "utf-8"
    assert shown(office, message) == text.replace("\r\n", "\n") + "One more line\n"


@pytest.mark.parametrize(("data", "label", "why"), [
    (b"Gr\xfc\xdfe", "utf-8", "names (utf-8)"),
    ("請求書".encode("cp932") + b"\x81\x20", "x-sjis", "names (x-sjis)"),
    (b"\xff\xff", "gb2312", "names (gb2312)"),
    (b"Gr\xfc\xdfe", "x-unheard-of", "names (x-unheard-of)"),
    (b"\x1b$B@A5", "iso-2022-jp", "names (iso-2022-jp)"),
    (b"abc\x81\x8d", "us-ascii", "names (us-ascii)"),
    (b"one\0two", "utf-8", "It is damaged"),
])  # fmt: skip
def test_what_cannot_be_read_is_not_edited_and_keeps_its_octets(office, data, label, why):
    message = submit(mail(data, f"text/plain; charset={label}"))
    page = office.get(f"/messages/{message.pk}/edit/")
    assert why in source(page) and "saving it here would damage it" in source(page)
    assert 'name="text"' not in source(page)
    before = wire(message).partition(b"\r\n\r\n")[2]
    edit(office, message, subject="Corrected", to="b@example.com, c@example.com", text="ignored")
    assert received(message)["Subject"] == "Corrected" and wire(message).partition(b"\r\n\r\n")[2] == before
    assert "Some of this text cannot be read with certainty" in source(office.get(f"/messages/{message.pk}/"))


@pytest.mark.parametrize(
    ("encoding", "body"), [(b"x-uuencode", b"begin 644 a\r\n#0V%T\r\n`\r\nend"), (b"base64", b"R3I1\r\n=QUJD")]
)
def test_what_is_encoded_in_a_way_that_loses_something_is_not_edited(office, encoding, body):
    message = submit(HEAD + part(b"text/plain; charset=utf-8", body, b"Content-Transfer-Encoding: " + encoding))
    page = source(office.get(f"/messages/{message.pk}/edit/"))
    assert 'name="text"' not in page and ("It is damaged" in page or "not known here (x-uuencode)" in page)


@pytest.mark.slow
@settings(max_examples=several(15, 500))
@given(
    st.binary(max_size=40), st.sampled_from(["x-sjis", "gb2312", "utf-8", "iso-8859-1", "big5", "iso-2022-jp", "x", ""])
)
def test_an_edit_is_what_was_read_and_the_change_or_is_refused(office, data, label):
    message = submit(mail(b"Hello " + data, f'text/plain; charset="{label}"'))
    before, read = wire(message), text_in(office, message)
    if read is None:
        edit(office, message, text="Hello", cc="c@example.com")
        assert wire(message).partition(b"\r\n\r\n")[2] == before.partition(b"\r\n\r\n")[2]
    else:
        given = fields_of(office.get(f"/messages/{message.pk}/edit/"))
        office.post(f"/messages/{message.pk}/edit/", given)
        assert wire(message) == before, "nothing was changed"
        edit(office, message, text=read + "\nMore")
        saved = assembly.texts(wire(message))[0].read().text.replace("\r\n", "\n").rstrip("\n")
        assert saved == read.replace("\r", "\n") + "\nMore"


# --- Mailboxes ---------------------------------------------------------------------------------------

SJIS = b"=?x-sjis?B?" + base64.b64encode("髙橋①".encode("cp932")) + b"?="
BROKEN = b"=?x-unheard-of?B?" + base64.b64encode(b"\xff\x81\xfe") + b"?="


@pytest.mark.parametrize("written", [
    SJIS + b" <b@example.com>",
    BROKEN + b" <b@example.com>",
    b"b@example.com (Buchhaltung, =?iso-8859-1?Q?B=FCro?=)",
    b'"Berg,  Bo \\"BB\\"" <b@EXAMPLE.com>',
    b"=?gb2312?B?" + base64.b64encode("镕堃".encode("gbk")) + b"?=\r\n <b@example.com>",
])  # fmt: skip
def test_mailboxes_that_were_not_touched_keep_their_octets(office, written):
    message = submit(HEAD.replace(b"b@example.com", written) + b"\r\nHi\r\n")
    given = fields_of(office.get(f"/messages/{message.pk}/edit/"))
    edit(office, message, to=f"{given['to']}, Zoë <z@example.com>")
    assert b"To: " + written + b",\r\n =?utf-8?q?Zo=C3=AB?= <z@example.com>\r\n" in wire(message)
    edit(office, message, to="z@example.com", cc=given["to"])
    assert b"Cc: " + written + b"\r\n" in wire(message), "moved, it is still not touched"


def test_a_name_that_could_not_be_read_is_typed_anew_or_stays(office):
    message = submit(HEAD.replace(b"b@example.com", BROKEN + b" <b@example.com>") + b"\r\nHi\r\n")
    shown_to = fields_of(office.get(f"/messages/{message.pk}/edit/"))["to"]
    assert "\ufffd" in shown_to
    response = edit(office, message, to=f"Mr {shown_to}")
    assert response.status_code == 422 and "Type what they should be" in source(response)
    assert not MessageVersion.objects.exists()
    edit(office, message, to="Mr Bo <b@example.com>")
    assert received(message)["To"] == "Mr Bo <b@example.com>"


def test_a_subject_that_could_not_be_read_is_typed_anew_or_stays(office):
    message = submit(HEAD.replace(b"Subject: x", b"Subject: Re: " + BROKEN) + b"\r\nHi\r\n")
    edit(office, message, cc="c@example.com")
    assert b"Subject: Re: " + BROKEN in wire(message)
    shown_subject = fields_of(office.get(f"/messages/{message.pk}/edit/"))["subject"]
    response = edit(office, message, subject=shown_subject + "!")
    assert response.status_code == 422 and "Type what they should be" in source(response)


# --- format=flowed -----------------------------------------------------------------------------------

FLOWED = (
    b"Dear Bo, \r\nthis is one \r\nparagraph.\r\n\r\n> quoted \r\n> once\r\n>> twice\r\n"
    b"  indented\r\n From here\r\n-- \r\nBo\r\n"
)
JOINED = "Dear Bo, this is one paragraph.\n\n> quoted once\n>> twice\n indented\nFrom here\n-- \nBo\n"


@pytest.mark.parametrize(("body", "parameters", "text"), [
    (FLOWED, "format=flowed", JOINED),
    (b"\xe6\xbc\xa2 \r\n\xe5\xad\x97  \r\nx\r\n", 'format="Flowed"; delsp=yes; charset=utf-8', "漢字 x\n"),
    (b"Text, \r\n\r\nmore \r\n-- \r\nBo \r\n", "format=flowed", "Text, \n\nmore \n-- \nBo \n"),
    (FLOWED, "format=fixed", FLOWED.decode().replace("\r\n", "\n")),
])  # fmt: skip
def test_soft_line_breaks_are_none(office, body, parameters, text):
    message = submit(HEAD + part(f"text/plain; {parameters}".encode(), body, b"Content-Transfer-Encoding: 8bit"))
    before = wire(message)
    assert shown(office, message) == text_in(office, message) == text
    edit(office, message, subject="Corrected")
    assert wire(message).partition(b"\r\n\r\n")[2] == before.partition(b"\r\n\r\n")[2]
    edit(office, message, text=text + "More\n")
    assert received(message).get_content().replace("\r\n", "\n") == shown(office, message) == text + "More\n"
    assert received(message)["Content-Type"].params.get("format") != "flowed"


# --- Shown -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content_type", "data", "text"), [
    ("text/html", '<meta charset="gb2312"><p>发票</p>'.encode("gbk"), "发票"),
    ("text/html", '<META http-equiv=Content-Type content="text/html; charset=cp1251">Счёт'.encode("cp1251"), "Счёт"),
    ("text/html; charset=us-ascii", "<meta charset=koi8-r>Счёт".encode("koi8-r"), "Счёт"),
    ("text/html; charset=x-unheard-of", "<meta charset=koi8-r>Счёт".encode("koi8-r"), "Счёт"),
    ("text/html; charset=koi8-r", "<meta charset=utf-8>Счёт".encode("koi8-r"), "Счёт"),
    ("text/html", "<!-- <meta charset=koi8-r> --><p>Grüße".encode("cp1252"), "Grüße"),
    ("text/html", '<?xml version="1.0" encoding="iso-8859-2"?><p>Přehled'.encode("iso-8859-2"), "Přehled"),
    ("text/html", "<meta charset=utf-16><p>Grüße".encode(), "Grüße"),
    ("text/html; charset=iso-8859-1", "<p>Grüße".encode(), "Grüße"),
    ("text/html; charset=utf-8", "<p>Grüße".encode("cp1252"), "Grüße"),
    ("text/html; charset=iso-8859-1", "\ufeff<p>Grüße €".encode("utf-16"), "Grüße €"),
])  # fmt: skip
def test_html_is_shown_in_the_character_set_that_it_is_in(office, content_type, data, text):
    message = submit(mail(data, content_type))
    assert text in office.get(f"/messages/{message.pk}/html/").content.decode()


# --- Attachments opened in the browser ------------------------------------------------------------------


def attached(content_type, data, *fields):
    return submit(HEAD + multipart(part(b"text/plain", b"Hi"), encoded(content_type, data, *fields)))


@pytest.mark.parametrize(("label", "codec", "text", "served_as"), [
    ("koi8-r", "koi8-r", "Счёт", "koi8-r"),
    ("x-sjis", "cp932", "請求①", "shift_jis"),
    ("gb2312", "gbk", "镕", "gbk"),
    ("iso-8859-1", "cp1252", "5 €", "windows-1252"),
    ("iso-8859-1", "utf-8", "Grüße", "utf-8"),
    ("utf-8", "cp1252", "Grüße", "windows-1252"),
    ("", "cp1252", "Grüße", "windows-1252"),
    ("", "utf-8", "Grüße" + "ü\r\n" * 40_000, "utf-8"),
    ("us-ascii", "utf-16", "Grüße", "utf-16le"),
    ("koi8-r", "koi8-r", "plain\r\n" * 20_000 + "Счёт", "koi8-r"),
    ("utf-7", "utf-7", "Grüße", "utf-8"),
    ("cp850", "cp850", "Stück", "utf-8"),
])  # fmt: skip
def test_text_opens_in_its_own_character_set(office, label, codec, text, served_as):
    data = text.encode(codec)
    message = attached(f'text/plain; charset="{label}"', data, b"Content-Disposition: attachment; filename=a.txt")
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert response["Content-Type"] == f"text/plain; charset={served_as}"
    assert response["X-Content-Type-Options"] == "nosniff"
    octets = response.getvalue()
    assert octets.decode(CODECS.get(served_as, served_as)).lstrip("\ufeff") == text and int(
        response["Content-Length"]
    ) == len(octets)
    assert office.get(f"/messages/{message.pk}/attachments/1/?download=1").getvalue() == data


PNG, PDF = b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
IMAGES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 ",
    "image/bmp": b"BM" + b"\0" * 12 + b"\x28\0\0\0",
    "image/avif": b"\0\0\0\x20ftypavif",
}


ALIASES = ["image/jpg", "image/pjpeg", "image/x-png", "application/octet-stream"]


@pytest.mark.parametrize(("kind", "declared"), matrix(list(IMAGES), ALIASES))
def test_inline_images_are_what_their_octets_say(office, kind, declared):
    page = part(b"text/html", b'<img src="cid:logo@x">')
    image = part(
        declared.encode(),
        base64.encodebytes(IMAGES[kind]),
        b"Content-Transfer-Encoding: base64",
        b"Content-ID: <logo@x>",
    )
    message = submit(HEAD + multipart(page, image, subtype=b"related"))
    assert f'src="data:{kind};base64,' in office.get(f"/messages/{message.pk}/html/").text
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert (response["Content-Type"], response["Content-Disposition"][:6]) == (kind, "inline")


@pytest.mark.parametrize(("declared", "octets"), [
    ("image/svg+xml", SVG), ("image/jpg", SVG), ("application/octet-stream", SVG),
    ("application/octet-stream", b"<html>"), ("text/html", PNG),
    ("application/octet-stream", b"BM, said the man, and left"),
])  # fmt: skip
def test_nothing_that_could_run_becomes_an_image(office, declared, octets):
    image = encoded(declared, octets, b"Content-ID: <logo@x>", b"Content-Disposition: attachment; filename=x")
    message = submit(HEAD + multipart(part(b"text/html", b'<img src="cid:logo@x">'), image, subtype=b"related"))
    assert "data:" not in office.get(f"/messages/{message.pk}/html/").text
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert response["Content-Disposition"].startswith("attachment") and "html" not in response["Content-Type"]


def test_a_report_sent_as_octets_opens_in_the_browser(office):
    message = attached("application/octet-stream", PDF, b"Content-Disposition: attachment; filename=report.pdf")
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert (response["Content-Type"], response["Content-Disposition"]) == (
        "application/pdf",
        'inline; filename="report.pdf"',
    )


@pytest.mark.parametrize(("content_type", "octets", "name"), [
    ("application/pdf", PDF, "part-1.pdf"),
    ("application/octet-stream", PDF, "part-1.pdf"),
    ("application/octet-stream", IMAGES["image/jpeg"], "part-1.jpg"),
    ("application/x-unheard-of", PNG, "part-1.png"),
    ("text/calendar; method=REQUEST", b"BEGIN:VCALENDAR\r\n", "part-1.ics"),
    ("application/octet-stream", b"BEGIN:VCALENDAR\r\n", "part-1.ics"),
    ("text/vcard", b"BEGIN:VCARD\r\n", "part-1.vcf"),
    ("text/csv", b"a,b", "part-1.csv"),
    ("message/delivery-status", b"Reporting-MTA: x", "part-1.txt"),
    ("application/pkcs7-signature", b"0", "part-1.p7s"),
    ("application/x-unheard-of", b"x", "part-1"),
    ("application/pdf; name=Report", PDF, "Report.pdf"),
])  # fmt: skip
def test_a_file_without_a_name_is_saved_with_its_ending(office, content_type, octets, name):
    message = attached(content_type, octets)
    response = office.get(f"/messages/{message.pk}/attachments/1/?download=1")
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize(("subject", "name"), [
    (b"Subject: Invoice 17: paid?\r\n", "Invoice 17 paid.eml"),
    (b"Subject: " + SJIS + b"\r\n", "髙橋①.eml"),
    (b"Content-Type: text/plain; charset=windows-1251\r\nSubject: " + "Счёт".encode("cp1251") + b"\r\n", "Счёт.eml"),
    (b"", "part-1.eml"),
    (b"Subject: ../..\r\n", "part-1.eml"),
])  # fmt: skip
def test_an_attached_message_is_saved_by_its_subject(office, subject, name):
    message = submit(HEAD + multipart(part(b"text/plain", b"Hi"), part(b"message/rfc822", subject + b"\r\nHi")))
    saved = office.get(f"/messages/{message.pk}/attachments/1/?download=1")["Content-Disposition"]
    assert saved.startswith("attachment") and mime.parameters(saved)[0] == ("filename", name)
