"""A message of several texts: all that recipients read is on its page, whatever the other texts have in them."""

import re
from html import unescape

import pytest

from messaging.console import html_reader
from messaging.intake.gate import Submission, accept
from tests.mails import HEAD, TEXT, multipart, part
from tests.pages import filled, source, words

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]
ORDER = "PLEASE PAY 9000 EUR TO OUR NEW ACCOUNT"
LETTER = "<p>Dear Ann</p>"


def text(words):
    return part(b"text/plain; charset=utf-8", words.encode())


def html(source):
    return part(b"text/html; charset=utf-8", source.encode())


def mail(*parts, subtype=b"mixed"):
    raw = HEAD + b"MIME-Version: 1.0\r\n" + multipart(*parts, subtype=subtype)
    return accept(Submission(raw, "office@example.com", ["ada@example.com"]))


def page_of(office, message):
    return source(office.get(f"/messages/{message.pk}/"))


def shown(office, message):
    """What is read there in its order: documents in frames, texts, and texts that are folded away."""
    found = []
    folded = r'(<details class="fold">\s*<summary>Text version</summary>\s*)?<pre[^>]*>(.*?)</pre>'
    for frame, fold, words_of_text in re.findall(rf'<iframe[^>]* src="([^"]*)"|{folded}', page_of(office, message)):
        if frame:
            found.append(("frame", office.get(unescape(frame)).text))
        else:
            found.append(("fold" if fold else "text", words_of_text))
    return found


UNCLOSED = [
    "<!-- signature", "<select>", "<textarea>", "<title>", "<object>", "<noscript>", "<template>", "<script>",
    "<a href='", "<div style='display:none'>", "<style>p { display: none }</style>", "<style>",
    "<table><tr><td hidden>", "<svg>",
]  # fmt: skip


@pytest.mark.parametrize("end", UNCLOSED)
def test_what_stands_unclosed_in_one_hides_nothing_of_the_next(office, end):
    first, second = shown(office, mail(html(LETTER + end), html(f"<p>{ORDER}</p>")))
    assert first[0] == second[0] == "frame"
    assert LETTER in first[1] and ORDER not in first[1]
    assert f"<body><p>{ORDER}</p></body>" in second[1]
    assert "<style" not in second[1]


def test_each_is_framed_in_the_same_sandbox(office):
    message = mail(html(LETTER), html(f"<p>{ORDER} <img src='https://t.example/p.gif'></p>"))
    page = page_of(office, message)
    assert page.count('sandbox="allow-popups allow-popups-to-escape-sandbox"') == 2
    assert "Remote images are blocked" in page
    first, second = (office.get(f"/messages/{message.pk}/html/{query}") for query in ("", "?body=2"))
    assert first["Content-Security-Policy"] == second["Content-Security-Policy"]
    page = source(office.get(f"/messages/{message.pk}/?images=1"))
    assert f'src="/messages/{message.pk}/html/?body=2&amp;images=1"' in page
    for number in ("0", "3", "-1", "x", "9" * 5000):
        assert office.get(f"/messages/{message.pk}/html/?body={number}").status_code == 404


@pytest.mark.parametrize("first", ["<style>p { display: none }</style><h1>Dear Ann</h1>", LETTER])
def test_text_that_follows_html_is_read_below_it(office, first):
    assert [each[0] for each in shown(office, mail(html(first), text(ORDER)))] == ["frame", "text"]
    assert shown(office, mail(html(first), text(ORDER)))[1] == ("text", ORDER)


def test_letter_with_a_footer_of_html_is_read_above_it(office):
    assert [each for each, _ in shown(office, mail(text(ORDER), html("<p>Disclaimer")))] == ["text", "frame"]


def test_only_another_version_of_the_html_is_folded_away(office):
    versions = multipart(text("Dear Ann"), html(LETTER), boundary=b"v", subtype=b"alternative")
    found = shown(office, mail(text("Above"), versions, text("Below"), html("<p>Footer")))
    assert [each for each, _ in found] == ["text", "frame", "fold", "text", "frame"]
    assert [said for kind, said in found if kind != "frame"] == ["Above", "Dear Ann", "Below"]


def test_text_within_the_version_of_html_belongs_to_it(office):
    """As Apple's Mail writes a letter that goes on below a picture or a file."""
    laid_out = multipart(html(LETTER), part(b"image/png", b"QQ=="), text(ORDER), boundary=b"m")
    message = mail(text("Dear Ann"), laid_out, subtype=b"alternative")
    found = shown(office, message)
    assert [each for each, _ in found] == ["frame", "fold", "text"]
    assert found[-1] == ("text", ORDER)


def test_versions_without_html_are_all_read(office):
    found = shown(office, mail(text("Dear Ann"), text(ORDER), subtype=b"alternative"))
    assert "Dear Ann" in found[0][1] and ORDER in found[0][1]


@pytest.mark.parametrize("before", ["<!-- signature", "<script>", "<div>" * 501])
def test_html_that_is_shown_as_text_hides_nothing_of_the_next_either(office, before):
    message = mail(html("<div>" * 501 + "Dear Ann" + before), html("<div>" * 501 + ORDER))
    page = page_of(office, message)
    assert "Dear Ann" in page and ORDER in page and "too complicated to be shown here" in page


def test_one_that_is_too_complicated_leaves_the_others_their_layout(office):
    found = shown(office, mail(html("<div>" * 501 + "Dear Ann"), html(f"<p>{ORDER}")))
    assert [each for each, _ in found] == ["text", "frame"]


def test_many_are_read_as_text_after_the_first_few(office):
    numbers = range(1, 31)
    message = mail(*(html(f"<p>Chapter {number}.<!--") for number in numbers))
    page = page_of(office, message)
    assert 1 < page.count("<iframe") < 5
    assert page.count("too large or too complicated to be shown here, so this is its text") == 1
    everything = " ".join(said for _, said in shown(office, message))
    assert all(f"Chapter {number}." in everything for number in numbers)


def test_texts_are_read_without_layouts_where_too_many_are_being_opened(office, monkeypatch):
    def busy(*_):
        raise html_reader.Busy

    monkeypatch.setattr(html_reader, "clean", busy)
    page = page_of(office, mail(html(LETTER), text(ORDER), html(LETTER)))
    assert ORDER in page and "<iframe" not in page
    assert "too many messages are being opened" in page


def test_earlier_version_says_of_which_part_there_is_html_alone(office):
    message = mail(TEXT, html(LETTER))
    url = f"/messages/{message.pk}/edit/"
    assert office.post(url, filled(office, url, within="subject", subject="Other")).status_code == 302
    page = words(office.get(f"/messages/{message.pk}/versions/1/"))
    assert "Good morning" in page and "Some of it is HTML only" in page


@pytest.mark.parametrize("kind", [b'text/html; charset=utf-8; name="letter.html"', b'text/plain; name="letter.txt"'])
@pytest.mark.parametrize("field", [b"X-Report: 1", b"Content-Disposition: inline; filename=letter"])
def test_named_text_that_is_the_whole_message_is_its_text(office, kind, field):
    raw = HEAD + b"MIME-Version: 1.0\r\n" + part(kind, f"<p>{ORDER}</p>\r\n".encode(), field)
    message = accept(Submission(raw, "office@example.com", ["ada@example.com"]))
    assert ORDER in shown(office, message)[0][1]
    assert message.attachment_count == 0


@pytest.mark.parametrize("kind", [b"text/html; name=body.html", b"text/plain; name=body.txt"])
def test_named_text_that_stands_first_is_read_and_others_are_attached(office, kind):
    first = part(kind, f"<p>{ORDER}</p>".encode(), b"Content-Disposition: inline; filename=body")
    report = part(b"text/plain; name=report.txt", b"1,2,3", b"Content-Disposition: inline; filename=report.txt")
    for message in (mail(first, report), mail(multipart(first, boundary=b"i"), report)):
        assert [ORDER in said for _, said in shown(office, message)] == [True]
        assert list(message.attachments.values_list("filename", flat=True)) == ["report.txt"]


def test_named_text_that_is_said_to_be_attached_is_attached(office):
    raw = HEAD + b"MIME-Version: 1.0\r\n" + part(b"text/plain; name=a.txt", b"1", b"Content-Disposition: attachment")
    message = accept(Submission(raw, "office@example.com", ["ada@example.com"]))
    assert "This message has no text" in page_of(office, message) and message.attachment_count == 1
