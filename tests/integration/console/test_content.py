"""What is in a message, as the browser gets it: the HTML body in its frame, attachments, the whole message."""

import pytest

from messaging.models import Attachment
from tests.factories import make_message
from tests.pages import source
from tests.rows import parsed

pytestmark = pytest.mark.django_db
PNG = b"\x89PNG\r\n\x1a\nnot really"


def mail(html=None, **parts):
    return make_message("b@example.com", body="Plain words\n", html=html, due=False, **parts)


def body_of(response):
    return b"".join(response.streaming_content)


# --- The frame ---------------------------------------------------------------------------------------


def test_frame_is_no_page_of_its_own(office):
    """A link from elsewhere, or one within it, would show what a stranger wrote as if the console said it."""
    message = mail("<p>Sign in again</p>")
    url = f"/messages/{message.pk}/html/?images=1"
    assert office.get(url, headers={"Sec-Fetch-Dest": "document"})["Location"] == f"/messages/{message.pk}/"
    assert office.get(url, headers={"Sec-Fetch-Dest": "iframe"}).status_code == 200


def test_frame_is_sandboxed_and_lets_nothing_in(office):
    response = office.get(f"/messages/{mail('<p>Hello</p>').pk}/html/")
    assert response.headers["Content-Security-Policy"] == (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
    )
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "<p>Hello</p>" in response.content.decode()


def test_page_frames_it_in_a_sandbox(office):
    page = office.get(f"/messages/{mail('<p>Hello</p>').pk}/").content.decode()
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page
    assert "<p>Hello</p>" not in page
    assert "Plain words" in page


def test_remote_images_are_blocked_until_asked_for(office):
    message = mail('<img src="https://t.example/p.gif"><p>x</p>')
    page = office.get(f"/messages/{message.pk}/").content.decode()
    assert "Remote images are blocked" in page
    assert "?images=1" in page
    page = office.get(f"/messages/{message.pk}/?images=1").content.decode()
    assert f'src="/messages/{message.pk}/html/?images=1"' in page
    response = office.get(f"/messages/{message.pk}/html/?images=1")
    assert "img-src http: https: data:;" in response.headers["Content-Security-Policy"]
    assert "Remote images" not in office.get(f"/messages/{mail('<p>none</p>').pk}/").content.decode()


def test_the_page_says_that_text_of_the_layout_is_not_shown(office):
    message = mail("<p>Dear customer</p><noscript>Pay here</noscript>")
    page = source(office.get(f"/messages/{message.pk}/"))
    assert "Parts of the layout (HTML) are not shown here" in page
    assert f'<a href="/messages/{message.pk}/eml/">Save the message</a>' in page
    assert "Parts of the layout" not in source(office.get(f"/messages/{mail('<p>Dear customer</p>').pk}/"))


def test_inline_images_are_shown(office):
    message = mail('<img src="cid:logo@x">', inline=[("logo@x", "image/png", PNG)])
    assert 'src="data:image/png;base64,iVBORw0KGgp' in office.get(f"/messages/{message.pk}/html/").content.decode()


def test_inline_image_with_its_file_missing_does_not_fail_the_page(office, media):
    message = mail('<img src="cid:logo@x">', inline=[("logo@x", "image/png", PNG)])
    for path in (media / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    assert office.get(f"/messages/{message.pk}/html/").status_code == 200


def test_message_without_html_has_no_frame(office):
    message = mail()
    assert office.get(f"/messages/{message.pk}/html/").status_code == 404
    assert "<iframe" not in office.get(f"/messages/{message.pk}/").content.decode()


# --- Attachments -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "name", "opens", "sent_as"),
    [
        ("application/pdf", "report.pdf", True, "application/pdf"),
        ("image/png", "a.png", True, "image/png"),
        ("image/jpeg", "a.jpg", True, "image/jpeg"),
        ("text/plain", "a.txt", True, "text/plain; charset=utf-8"),
        ("text/csv", "a.csv", False, "text/csv"),
        ("text/html", "a.html", False, "application/octet-stream"),
        ("image/svg+xml", "a.svg", False, "application/octet-stream"),
        ("application/xhtml+xml", "a.xhtml", False, "application/octet-stream"),
        ("application/javascript", "a.js", False, "application/octet-stream"),
        ("application/zip", "a.zip", False, "application/zip"),
    ],
)
def test_attachment_opens_only_where_that_is_safe(office, kind, name, opens, sent_as):
    data = b"\x00\x01 data \r\n\xff"
    message = mail(files=[(name, kind, data)])
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert response.headers["Content-Disposition"].startswith("inline" if opens else "attachment")
    assert response.headers["Content-Type"] == sent_as
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert body_of(response) == data
    assert int(response.headers["Content-Length"]) == len(data)


def test_attachment_is_saved_when_asked(office):
    message = mail(files=[("report.pdf", "application/pdf", b"%PDF")])
    response = office.get(f"/messages/{message.pk}/attachments/1/?download=1")
    assert response.headers["Content-Disposition"] == 'attachment; filename="report.pdf"'


@pytest.mark.parametrize("name", ["Rechnung für Müller 見積.pdf", 'quo"te.pdf', "semi;colon.pdf", "../../etc/passwd"])
def test_names_are_encoded_by_rfc_5987(office, name):
    message = mail(files=[(name, "application/pdf", b"%PDF")])
    header = office.get(f"/messages/{message.pk}/attachments/1/").headers["Content-Disposition"]
    assert header.isascii()
    assert ".." not in header
    assert ("filename*=utf-8''" in header) == (not name.isascii())


def test_attachment_without_name_or_with_a_wrong_type(office):
    message = mail(files=[("x.bin", "application/octet-stream", b"1")])
    Attachment.objects.filter(message=message).update(filename="", content_type="text/html\x01; boundary=")
    response = office.get(f"/messages/{message.pk}/attachments/1/")
    assert response.headers["Content-Disposition"] == 'attachment; filename="part-1"'
    assert response.headers["Content-Type"] == "application/octet-stream"


def test_missing_file_is_told(office, media):
    message = mail(files=[("report.pdf", "application/pdf", b"%PDF")])
    for path in (media / "blobs").rglob("*"):
        if path.is_file():
            path.unlink()
    for part in ("attachments/1/", "eml/"):
        response = office.get(f"/messages/{message.pk}/{part}")
        assert response.status_code == 410
        assert "missing from the disk" in response.content.decode()


def test_unknown_attachment_is_not_found(office):
    message = mail()
    assert office.get(f"/messages/{message.pk}/attachments/1/").status_code == 404
    assert office.get(f"/messages/{message.pk}/attachments/{10**30}/").status_code == 404


def test_content_asks_to_sign_in(client):
    message = mail("<p>x</p>", files=[("report.pdf", "application/pdf", b"%PDF")])
    for part in ("", "html/", "eml/", "attachments/1/"):
        assert client.get(f"/messages/{message.pk}/{part}").url.startswith("/accounts/login/")


def test_whole_message_is_saved_byte_for_byte(office):
    message = mail("<p>x</p>", files=[("report.pdf", "application/pdf", b"%PDF" * 1000)])
    response = office.get(f"/messages/{message.pk}/eml/")
    assert response.headers["Content-Disposition"] == f'attachment; filename="message-{message.pk}.eml"'
    assert next(parsed(body_of(response)).iter_attachments()).get_content() == b"%PDF" * 1000


def test_page_lists_attachments_with_type_and_size(office):
    message = mail(files=[("<b>report</b>.pdf", "application/pdf", b"x" * 2048)])
    page = office.get(f"/messages/{message.pk}/").content.decode()
    assert "&lt;b&gt;report&lt;" in page or "b&gt;.pdf" in page
    assert "2.0\xa0KB" in page
    assert f'href="/messages/{message.pk}/attachments/1/?download=1"' in page
