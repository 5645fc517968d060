"""Messages with very many attachments: a page shows so many at a time, and none is lost that it does not show."""

import re

import pytest

from messaging.compose.letters import Letter, raw_of
from messaging.console.history import ATTACHMENTS
from messaging.content.uploads import File
from messaging.intake.addresses import Mailbox
from messaging.intake.gate import Submission, accept
from messaging.models import Message
from tests.letter_form import saved, sent_by_browser
from tests.pages import source, words
from tests.rows import wire

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
MANY = 2 * ATTACHMENTS + 5


def with_files(number):
    files = [File(f"file-{each}.pdf", "application/pdf", b"%PDF") for each in range(1, number + 1)]
    sender = Mailbox("Office", "office@brightwater.example")
    letter = Letter(sender, [Mailbox("Bo", "b@example.com")], subject="Plans", text="Hello\n", files=files)
    return accept(Submission(raw_of(letter), sender.address, letter.recipients))


@pytest.fixture
def message(email_setup):
    return with_files(MANY)


def named(response):
    """The numbers in the names of the files that a page shows, each once, in order."""
    shown = re.findall(r"file-(\d+)\.pdf", source(response))
    return list(dict.fromkeys(map(int, shown)))


def there(message):
    return [int(row.filename[5:-4]) for row in Message.objects.get(pk=message.pk).attachments.all()]


def led_to(response, words):
    """The address of a link of the pages of attachments."""
    part = re.search(r'<nav class="part-pages" aria-label="Attachments: pages">.*?</nav>', source(response))[0]
    return re.search(rf'<a class="btn btn-quiet" rel="{words}" href="([^"]+)"', part)[1].replace("&amp;", "&")


def test_the_page_of_a_message_shows_some_at_a_time(office, message):
    url = f"/messages/{message.pk}/"
    first = office.get(url)
    assert named(first) == list(range(1, ATTACHMENTS + 1))
    assert f"1–{ATTACHMENTS} of {MANY}" in words(first)
    link = led_to(first, "next")
    assert link == "?attachments_page=2#attachments"
    second = office.get(url + link)
    assert named(second) == list(range(ATTACHMENTS + 1, 2 * ATTACHMENTS + 1))
    last = office.get(url + led_to(second, "next"))
    assert named(last) == list(range(2 * ATTACHMENTS + 1, MANY + 1))
    assert 'id="attachments"' in source(last)
    assert named(office.get(f"{url}?attachments_page=99")) == named(last)
    # Opened from a page of the list, it leads back to that one.
    assert 'href="/messages/?q=plans"' in source(office.get(f"{url}?q=plans&attachments_page=2"))


def test_a_message_with_few_has_no_pages(office, email_setup):
    message = with_files(ATTACHMENTS)
    page = office.get(f"/messages/{message.pk}/")
    assert named(page) == list(range(1, ATTACHMENTS + 1))
    assert "Attachments: pages" not in source(page)
    form = office.get(f"/messages/{message.pk}/edit/")
    assert named(form) == named(page)
    assert "files_page" not in source(form)


def test_an_edit_keeps_what_its_form_did_not_list(office, message):
    form = office.get(f"/messages/{message.pk}/edit/")
    assert named(form) == list(range(1, ATTACHMENTS + 1))
    response = saved(office, message, form, subject="Plans for May")
    assert response.status_code == 302
    assert there(message) == list(range(1, MANY + 1))
    assert Message.objects.get(pk=message.pk).subject == "Plans for May"


def test_files_are_taken_out_on_several_pages_of_the_form(office, message):
    """And what was typed goes from page to page with it."""
    url = f"/messages/{message.pk}/edit/"
    given = sent_by_browser(office.get(url)) | {"subject": "Fewer plans"}
    given["stay"] = [number for number in given["stay"] if number not in ("1", "7")]
    second = office.post(url, given | {"files_to": "2"})
    assert second.status_code == 200
    assert named(second) == list(range(ATTACHMENTS + 1, 2 * ATTACHMENTS + 1))
    assert "of the others 2 are removed when you save" in words(second)
    assert there(message) == list(range(1, MANY + 1))
    given = sent_by_browser(second)
    assert given["subject"] == ["Fewer plans"]
    given["stay"] = given["stay"][1:]
    first = office.post(url, given | {"files_to": "1"})
    assert "of the others 1 is removed when you save" in words(first)
    boxes = dict(re.findall(r'name="stay" value="(\d+)"( checked)?', source(first)))
    assert [number for number, checked in boxes.items() if not checked] == ["1", "7"]
    given = sent_by_browser(first)
    given["stay"] = [*given["stay"], "7"]
    assert office.post(url, given).status_code == 302
    assert there(message) == [each for each in range(1, MANY + 1) if each not in (1, ATTACHMENTS + 1)]
    assert Message.objects.get(pk=message.pk).subject == "Fewer plans"


def test_enter_saves_and_does_not_turn_the_page(office, message):
    """A browser takes the first button of a form for it."""
    form = source(office.get(f"/messages/{message.pk}/edit/")).partition("data-letter ")[2]
    assert "files_to" not in re.search(r'<button[^>]*type="submit"[^>]*>', form)[0]


def test_another_user_who_edits_meanwhile_is_told_of_on_each_page(office, message, bens_browser):
    url = f"/messages/{message.pk}/edit/"
    given = sent_by_browser(office.get(url))
    given["stay"] = given["stay"][1:]
    theirs = sent_by_browser(bens_browser.get(url))
    assert bens_browser.post(url, theirs | {"stay": theirs["stay"][:-1]}).status_code == 302
    second = office.post(url, given | {"files_to": "2"})
    assert second.status_code == 409
    assert "the message was edited in the meantime" in words(second)
    assert office.post(url, sent_by_browser(second)).status_code == 302
    assert there(message) == [each for each in range(1, MANY + 1) if each not in (1, ATTACHMENTS)]


def test_an_earlier_version_shows_some_at_a_time(office, message):
    saved(office, message, subject="Plans for May")
    url = f"/messages/{message.pk}/versions/1/"
    first = office.get(url)
    assert named(first) == list(range(1, ATTACHMENTS + 1))
    second = office.get(url + led_to(first, "next"))
    assert named(second) == list(range(ATTACHMENTS + 1, 2 * ATTACHMENTS + 1))


def test_the_file_of_a_message_comes_in_few_pieces(office, message):
    """Each is a write to the browser."""
    response = office.get(f"/messages/{message.pk}/eml/")
    pieces = list(response.streaming_content)
    assert b"".join(pieces) == wire(message)
    assert len(pieces) <= 1 + message.size // 65536
