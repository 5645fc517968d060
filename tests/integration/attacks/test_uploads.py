"""Files that mean harm: by their name, by what is in them, by how they are sent, by how many they are."""

import uuid

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from messaging.models import Attachment, Message
from tests.factories import make_message
from tests.pages import source
from tests.rows import parsed
from tests.sizes import sampled
from tests.steps import run_lane

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup"), pytest.mark.attack]

NAMES = [
    "../../etc/passwd", "..\\..\\boot.ini", "/etc/shadow", "C:\\Windows\\x.dll", "con.txt", ".htaccess", "a/b.pdf",
    "invoice\u202efdp.exe", "a\u200b.pdf", "x" * 300 + ".pdf", "report.pdf.exe", "<script>alert(1)</script>.pdf",
    'a"; filename="b.exe', "a\r\nX-Evil: 1.pdf", "a\0.pdf", "$(id).pdf", "`id`.pdf", "; rm -rf ~.pdf", "%2e%2e%2fx",
    " ", "é" * 200 + ".pdf", "=?utf-8?q?a=0d=0aBcc:_evil=40example.com?=.pdf",
]  # fmt: skip
SCRIPT = b"<script>parent.document.title='owned'</script>"
CONTENTS = [
    ("page.html", "text/html", b"<html>" + SCRIPT), ("picture.svg", "image/svg+xml", b"<svg xmlns='x'>" + SCRIPT),
    ("picture.png", "image/png", b"<html>" + SCRIPT), ("page.xhtml", "application/xhtml+xml", b"<html>" + SCRIPT),
    ("text.txt", "text/plain", b"<html>" + SCRIPT), ("report.pdf", "application/pdf", b"<html>" + SCRIPT),
    ("x.js", "text/javascript", b"alert(1)"), ("x.xml", "text/xml", b"<?xml-stylesheet href='x'?><a/>"),
    ("letter.eml", "message/rfc822", b"Content-Type: text/html\r\n\r\n" + SCRIPT),
    ("x.swf", "application/x-shockwave-flash", b"FWS"),
    ("x.html", "text/plain; charset=utf-7", b"+ADw-script+AD4-"), ("x.bin", "text/html\r\nX-Evil: 1", SCRIPT),
    ("x.mht", "multipart/related", b"MIME-Version: 1.0\r\n" + SCRIPT), ("", "", b""),
]  # fmt: skip
RUNS = ("html", "xml", "svg", "script", "multipart", "message/")
SHOWN = ("text/plain", "application/pdf", "image/png")  # each by a part of the browser that runs nothing of a page


def written(**values):
    values = {"sender": "Anna <anna@office.example>", "to": "b@example.com", "subject": "x", "text": "x",
              "key": uuid.uuid4().hex, "do": "queue", "promised": "queue:waits"} | values  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize("name", sampled(NAMES))
def test_name_of_a_file_leads_nowhere(office, holding, mail_server, media, name):
    file = SimpleUploadedFile("x", b"%PDF-1.4 x", "application/pdf")
    file._name = name  # Django would tidy it up, and another client would not
    assert office.post("/messages/new/", written(attachments=file)).status_code in (302, 422)

    assert all(path.is_relative_to(media) for path in media.rglob("*"))
    for row in Attachment.objects.all():
        assert not set(row.filename) & set("/\\\r\n\0\u202e\u200b")
        assert len(row.filename.encode()) <= 255
        response = office.get(f"/messages/{row.message_id}/attachments/1/")
        disposition = response.headers["Content-Disposition"]
        assert disposition.isascii() and disposition.count("filename") <= 2 and "X-Evil" not in response.headers
        assert "<script>alert" not in source(office.get(f"/messages/{row.message_id}/"))
        Message.objects.update(not_before=row.message.created_at)
        run_lane()
        mail = parsed(mail_server.received[-1].content)
        assert mail["Bcc"] is None and mail["X-Evil"] is None
        assert [part.get_filename() for part in mail.iter_attachments()] == [row.filename]


@pytest.mark.parametrize(("name", "content_type", "data"), CONTENTS)
def test_nothing_in_a_file_runs_in_the_console(office, holding, name, content_type, data):
    message = make_message("b@example.com", due=False, files=[("x", "application/octet-stream", data)])
    Attachment.objects.filter(message=message).update(filename=name, content_type=content_type)

    for query in ("", "?download=1"):
        response = office.get(f"/messages/{message.pk}/attachments/1/{query}")

        served = response.headers["Content-Type"]
        assert not any(each in served for each in RUNS), served
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "X-Evil" not in response.headers
        opens = response.headers["Content-Disposition"].startswith("inline")
        assert not opens or (served.startswith(SHOWN) and not query)


BODIES = {
    "no form at all": ("application/json", b'{"to": "b@example.com"}'),
    "unknown type": ("application/x-www-form-urlencoded; charset=utf-7", b"to=b"),
    "no boundary": ("multipart/form-data", b"--x\r\n\r\n"),
    "boundary of other bytes": ("multipart/form-data; boundary=\xff", b"--x\r\n"),
    "boundary that is endless": ("multipart/form-data; boundary=" + "x" * 5000, b"--x\r\n"),
    "broken off": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="to"\r\n\r\nb@e'),
    "broken base64": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="attachments"; filename="a"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n--x--\r\n",
    ),
    "header of 100,000 octets": (
        "multipart/form-data; boundary=x",
        b"--x\r\nContent-Disposition: form-data; name=" + b"a" * 100_000 + b"\r\n\r\n1\r\n--x--\r\n",
    ),
    "10,000 fields": ("application/x-www-form-urlencoded", "&".join(f"a{n}=1" for n in range(10_000)).encode()),
    "3 MB in a field": ("application/x-www-form-urlencoded", b"text=" + b"x" * 3_000_000),
    "NUL": ("application/x-www-form-urlencoded", b"to=b%00%40example.com&subject=%00&text=%00&do=queue"),
    "not UTF-8": ("application/x-www-form-urlencoded", b"to=%ff%fe&subject=%c3%28&do=queue"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BODIES)
@pytest.mark.parametrize("path", ["/messages/new/", "/messages/{}/edit/", "/messages/bulk/", "/preferences/password/"])
def test_no_body_of_a_request_is_an_error_of_this_server(office, holding, kind, path):
    message = make_message("b@example.com", due=False)
    content_type, body = BODIES[kind]

    response = office.generic("POST", path.format(message.pk), body, content_type)

    assert 400 <= response.status_code < 500
    assert Message.objects.get().status == "queued"


def test_five_hundred_files_are_refused_in_plain_words_or_all_there(office, holding):
    files = [SimpleUploadedFile(f"{number}.txt", b"x", "text/plain") for number in range(500)]

    response = office.post("/messages/new/", written(attachments=files))

    assert response.status_code in (302, 400, 413, 422)
    assert Attachment.objects.count() in (0, 500)
    assert response.status_code == 302 or "Traceback" not in response.content.decode()
