"""After a restore: a banner on every page, and one page on which an administrator lets sending go on."""

import datetime as dt
import re
from urllib.parse import urlsplit

import pytest
from django.http import QueryDict
from django.utils import timezone

from messaging import housekeeping
from messaging.access import kept_forms
from messaging.delivery.store import restore_detection, witness
from messaging.models import AccountPause, Heartbeat, Lineage, Restore, UserSession
from tests.factories import make_message, make_messages, set_up
from tests.fault_server import FaultServer
from tests.pages import page_of, words
from tests.rows import states, status
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)

BANNER = "this database was restored from a backup, or moved."
PAGES = ["/messages/", "/batches/", "/sending/", "/restored/", "/notices/", "/preferences/email/"]


@pytest.fixture(autouse=True)
def witness_dir(settings, tmp_path):
    settings.WITNESS_DIR = tmp_path


def restore():
    row = Lineage.objects.get()
    witness.note(row.key, row.mark + 1)
    restore_detection.check(timezone.now())


@pytest.fixture
def restored(email_setup):
    """Three messages were unsent in the backup."""
    restore_detection.check(timezone.now())
    messages = make_messages(3)
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    restore()
    return messages


def answer(browser, what):
    return words(browser.post(f"/restored/{Restore.objects.last().pk}/", {"answer": what}, follow=True))


@pytest.mark.parametrize("url", PAGES)
def test_every_page_has_the_banner_until_it_is_answered(restored, admin, url):
    assert BANNER in words(admin.get(url))
    answer(admin, "sent-since")
    assert BANNER not in words(admin.get(url))


def test_page_of_a_message_says_why_and_what_can_be_done(restored, admin):
    page = words(page_of(admin, restored[0]))
    assert "It may have gone out since the backup from which this database was restored." in page
    assert "Mark as sent" in page
    assert "Send again" in page


ASK = "Ask the recipient, or look in the server’s log. Then choose Mark as sent or Send again."


def test_advice_is_about_what_is_unknown_and_not_about_a_try_before_the_backup(admin):
    with FaultServer() as server:
        set_up(server)
        server.at("RCPT", "451 4.7.1 Greylisted, try again later")
        tried = make_message("ann@example.com")
        run_lane()
    untried = make_message("ben@example.com")
    restore()
    for message in (tried, untried):
        page = words(page_of(admin, message))
        assert page.count(ASK) == 1
        assert "Retry it" not in page
    assert "not been tried" not in page
    assert "No attempt is recorded here." in page


def test_notice_says_why_nobody_knows_whether_they_arrived(restored, admin, operator):
    for minutes in (0, 20):
        housekeeping.sweep(timezone.now() + dt.timedelta(minutes=minutes))
    page = words(admin.get("/notices/"))
    assert "3 messages may or may not have arrived" in page
    assert "They were unsent in the database that was restored, and may have gone out since." in page
    assert "The mail server may have taken it" not in page


def test_administrator_is_told_what_happened_and_has_two_answers(restored, admin):
    page = words(admin.get("/restored/"))
    assert "This installation sent messages after this state of the database was saved." in page
    assert "3 messages had not been sent by then. They may have gone out since" in page
    assert "Put everything back and send" in page
    assert "Resume with new mail only" in page


def test_a_planned_move_is_one_click(restored, admin):
    assert "3 messages are as they were before. The pause after the restore is over." in answer(admin, "moved")
    assert states() == ["queued"] * 3
    assert not AccountPause.objects.exists()
    assert "Nothing was sent since: all is as it was" in words(admin.get("/restored/"))


def test_otherwise_they_stay_unknown_and_are_listed(restored, admin):
    page = answer(admin, "sent-since")
    assert "The pause after the restore is over. What is unknown waits for you to decide." in page
    assert "3 messages may have gone out since the backup" in page
    assert states() == ["unknown"] * 3
    assert "Invoice 1" in words(admin.get("/messages/?status=unknown&reason=setup"))


def test_others_are_told_whom_to_ask(restored, bens_browser, operator, admin):
    page = words(bens_browser.get("/restored/"))
    assert "Ask an administrator to answer: Anna." in page
    assert "Put everything back" not in page
    assert bens_browser.post(f"/restored/{Restore.objects.get().pk}/", {"answer": "moved"}).status_code == 403
    assert states() == ["unknown"] * 3


def test_second_click_is_told_that_it_was_answered(restored, admin):
    answer(admin, "sent-since")
    assert "This has already been answered." in answer(admin, "moved")
    assert states() == ["unknown"] * 3


def test_answer_that_is_none_does_nothing(restored, admin):
    assert admin.post(f"/restored/{Restore.objects.get().pk}/", {"answer": "perhaps"}).status_code == 404
    assert status(restored[0]) == "unknown"


def test_where_nothing_was_restored_the_page_says_so(admin):
    make_message("c@example.com")
    assert "This database has not been restored or moved." in words(admin.get("/restored/"))


def test_answer_that_came_after_the_session_had_ended_leaves_each_button_what_it_says(restored, admin, operator):
    """Both answers post to one address, and differ by a hidden field."""
    page = admin.get("/restored/").content.decode()
    signed = re.search(rf'name="{kept_forms.OWNER}" value="([^"]+)"', page)[1]
    UserSession.objects.all().delete()
    form = {"answer": "moved", kept_forms.OWNER: signed}
    led = admin.post(f"/restored/{Restore.objects.get().pk}/", form, headers={"Referer": "http://testserver/restored/"})
    admin.force_login(operator)
    again = admin.get(QueryDict(urlsplit(led["Location"]).query)["next"]).content.decode()
    assert "This was not done" in again
    assert re.findall('name="answer" value="(.+?)"', again) == ["sent-since", "moved"]
