"""What a person was shown is what is sent: what another one edited meanwhile is shown first; all without JavaScript."""

import datetime as dt
import html
import re
import threading
from contextlib import nullcontext

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import users
from messaging.company import options
from messaging.compose import editing, versions
from messaging.console.filters import LAST_ID
from messaging.delivery.store import claims
from messaging.models import Batch, Message, MessageVersion, Phrase
from messaging.queue import actions, batches
from messaging.queue.snapshots import Snapshot
from messaging.setup import changes
from tests.factories import draft_batch, fitting, make_message, make_messages, put
from tests.letter_form import saved
from tests.pages import words
from tests.steps import elsewhere, run_lane, somebody_waits_for_us

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]

ANOTHER = {"to": "evil@example.net", "text": "Written after it was looked at"}


def fields(page, url):
    """The hidden fields of the form of a page that leads to an address."""
    [form] = re.findall(rf'<form[^>]* action="{re.escape(url)}".*?</form>', html.unescape(page.text), re.S)
    return {
        name: re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', form)
        for name in re.findall(r'<input type="hidden" name="([^"]*)"', form)
    }


def press(browser, page, url, **values):
    """Press the button of a page that was opened before; the page that follows."""
    return browser.post(url, fields(page, url) | values, follow=True)


def to_good(**columns):
    return put(make_message("good@example.net", subject="Salary letter", due=False), **columns)


# --- A batch ----------------------------------------------------------------------------------------------


@pytest.fixture
def message(db):
    return to_good()


@pytest.fixture
def review(message, operator):
    return draft_batch(message, by=operator).get_absolute_url()


def test_batch_with_a_message_edited_since_the_review_is_not_confirmed_and_shown_again(
    office, bens_browser, message, review, operator, mail_server
):
    page = office.get(review)
    assert "good@example.net" in page.text
    saved(bens_browser, message, **ANOTHER)
    again = press(office, page, f"{review}confirm/")
    said = words(again)
    assert "Nothing is confirmed yet: messages of this batch were edited after its review was shown to you" in said
    assert re.search(r"Salary letter Ben Okoro \d\d:\d\d: To .*good@example.net.* to .*evil@example.net", said)
    assert f'href="/messages/{message.pk}/"' in again.text
    assert Batch.objects.get().status == "draft"
    assert not run_lane(operator.pk)
    assert words(press(office, again, f"{review}confirm/")).startswith("Batch")
    assert run_lane(operator.pk) == 1
    assert Batch.objects.get().status == "confirmed"
    assert mail_server.received[0].recipients == ["evil@example.net"]


def test_edit_before_the_review_is_read_is_no_reason_to_ask(office, bens_browser, message, review):
    saved(bens_browser, message, **ANOTHER)
    page = office.get(review)
    assert "Nothing is confirmed yet" not in words(page)
    press(office, page, f"{review}confirm/")
    assert Batch.objects.get().status == "confirmed"


def test_edit_of_a_message_that_is_not_in_the_batch_is_no_reason_to_ask(office, bens_browser, review):
    page = office.get(review)
    saved(bens_browser, to_good(), **ANOTHER)
    press(office, page, f"{review}confirm/")
    assert Batch.objects.get().status == "confirmed"


@pytest.mark.parametrize("reviewed", [None, "", "x", "0-0", "9" * 30])
def test_form_that_names_no_review_confirms_only_what_nobody_edited(reviewed, office, bens_browser, message, review):
    given = {} if reviewed is None else {"reviewed": reviewed}
    saved(bens_browser, message, **ANOTHER)
    assert "Nothing is confirmed yet" in words(office.post(f"{review}confirm/", given, follow=True))
    assert Batch.objects.get().status == "draft"


def test_edit_between_two_pages_of_a_review_is_told(office, bens_browser, operator):
    chosen = make_messages(101, due=False)
    review = draft_batch(*chosen, by=operator).get_absolute_url()
    first = office.get(review)
    [older] = re.findall(r'rel="next" href="([^"]*)"', first.text)
    saved(bens_browser, chosen[0], **ANOTHER)
    second = office.get(review + older.replace("&amp;", "&"))
    assert "Invoice 0 Ben Okoro" in words(second)
    press(office, second, f"{review}confirm/")
    assert Batch.objects.get().status == "confirmed"


def test_own_edit_in_another_tab_is_told_as_such(office, message, review):
    page = office.get(review)
    saved(office, message, **ANOTHER)
    assert re.search(r"Salary letter You \d\d:\d\d:", words(press(office, page, f"{review}confirm/")))


def test_many_edits_are_named_up_to_a_number(office, bens_browser, operator, monkeypatch):
    monkeypatch.setattr(batches, "NAMED", 2)
    chosen = make_messages(3, due=False)
    review = draft_batch(*chosen, by=operator).get_absolute_url()
    page = office.get(review)
    for message in chosen:
        saved(bens_browser, message, **ANOTHER)
    again = press(office, page, f"{review}confirm/")
    assert again.text.count("Ben Okoro") == 2


def test_who_sees_only_their_own_messages_is_asked_and_told_about_these_alone(admin, bens_browser, ben):
    theirs, own = make_message("a@example.com", due=False), make_message("b@example.com", due=False, author=ben)
    review = draft_batch(theirs, own, by=ben).get_absolute_url()
    options.save({"operators_see_all": False}, by=None)
    page = bens_browser.get(review)
    saved(admin, theirs, **ANOTHER)
    saved(admin, own, **ANOTHER)
    again = words(press(bens_browser, page, f"{review}confirm/"))
    assert again.count("Anna") == 1
    page = bens_browser.get(review)
    saved(admin, theirs, subject="Once more")
    press(bens_browser, page, f"{review}confirm/")
    assert Batch.objects.get().status == "confirmed"


def test_retry_of_the_failed_is_confirmed_as_reviewed(office, bens_browser, operator, message):
    batch = draft_batch(message, by=operator)
    batches.confirm(batch, by=operator)
    put(message, status="failed", not_before=None)
    message.recipients.update(status="failed")
    review = batches.retry_failed(Batch.objects.get(), by=operator).get_absolute_url()
    page = office.get(review)
    saved(bens_browser, message, **ANOTHER)
    assert "Nothing is confirmed yet" in words(press(office, page, f"{review}confirm/"))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_edit_that_is_being_saved_while_the_batch_is_confirmed_is_asked_about(operator, ben, message):
    batch = draft_batch(message, by=operator)
    seen, errors = batches.review(batch, operator), []

    def confirm():
        try:
            batches.confirm(batch, by=operator, seen=seen)
        except batches.ChangedSinceReview as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere(confirm))
    with transaction.atomic():
        now = versions.current(message)
        edit = editing.Edit(now.to, now.cc, now.bcc, "Another subject")
        editing.apply(message, edit, by=ben, seen=0)
        thread.start()
        while thread.is_alive() and not somebody_waits_for_us():
            thread.join(0.01)
    thread.join(20)
    assert len(errors) == 1
    assert Batch.objects.get().status == "draft"


def test_what_has_changed_since_a_review_is_asked_with_as_many_statements_however_many_messages(
    office, bens_browser, operator
):
    asked = []
    for number in (5, 30):
        chosen = make_messages(number, due=False)
        batch = draft_batch(*chosen, by=operator)
        page = office.get(batch.get_absolute_url())
        for message in chosen[:5]:
            saved(bens_browser, message, **ANOTHER)
        with CaptureQueriesContext(connection) as context:
            press(office, page, f"{batch.get_absolute_url()}confirm/")
        asked.append(len(context))
    assert asked[0] == asked[1]


def test_what_the_review_would_skip_is_not_sent_before_it_is_shown_as_sent(
    office, bens_browser, operator, ben, mail_server
):
    free, skipped = make_messages(2, due=False)
    actions.hold(skipped, by=ben, why="Legal: not before Monday")
    review = draft_batch(free, skipped, by=operator).get_absolute_url()
    page = office.get(review)
    assert "1 of 2 would be skipped" in words(page) and "Confirm: send 1 message" in words(page)
    bens_browser.post(f"/messages/{skipped.pk}/release/")
    again = press(office, page, f"{review}confirm/")
    said = "messages of this batch have changed since its review was shown to you, and would be sent now Invoice 1"
    assert said in words(again)
    assert "Confirm: send 2 messages" in words(again)
    assert Batch.objects.get().status == "draft"
    assert not run_lane(operator.pk)
    press(office, again, f"{review}confirm/")
    assert run_lane(operator.pk) == 2


def test_what_was_released_and_is_no_longer_free_is_left_out_and_named(office, bens_browser, operator):
    chosen = make_messages(2, due=False)
    review = draft_batch(*chosen, by=operator).get_absolute_url()
    page = office.get(review)
    bens_browser.post(f"/messages/{chosen[1].pk}/hold/", {"why": "Wait for the bank"})
    said = words(press(office, page, f"{review}confirm/"))
    assert "Wait for the bank" in said
    assert Batch.objects.get().status == "confirmed"
    assert Message.objects.get(pk=chosen[1].pk).status == "held"


def test_failed_message_that_failed_again_since_the_review_of_a_retry_is_shown_first(office, bens_browser, operator):
    message = to_good()
    batch = draft_batch(message, by=operator)
    batches.confirm(batch, by=operator)
    put(message, status="failed", not_before=None)
    message.recipients.update(status="failed")
    review = batches.retry_failed(Batch.objects.get(), by=operator).get_absolute_url()
    page = office.get(review)
    bens_browser.post(f"/messages/{message.pk}/retry/")
    put(message, status="failed", not_before=None)
    message.recipients.update(status="failed")
    assert "have changed since its review" in words(press(office, page, f"{review}confirm/"))


@pytest.mark.parametrize("setting", [{"port": 2525}, {"from_address": "sales@office.example"}, {"per_hour": 10}])
def test_batch_is_not_sent_with_other_settings_than_the_review_showed(setting, office, operator, review):
    page = office.get(review)
    changes.save(None, setting, by=None)
    again = press(office, page, f"{review}confirm/")
    assert "Nothing is confirmed yet: the settings of this batch have changed since its review" in words(again)
    assert '<details class="fold" open> <summary>Which settings' in " ".join(again.text.split())
    assert Batch.objects.get().status == "draft"
    press(office, again, f"{review}confirm/")
    assert Batch.objects.get().status == "confirmed"


def test_who_sees_more_since_the_review_sends_no_more_before_it_is_shown(bens_browser, ben):
    theirs, own = make_message("a@example.com", due=False), make_message("b@example.com", due=False, author=ben)
    review = draft_batch(theirs, own, by=ben).get_absolute_url()
    options.save({"operators_see_all": False}, by=None)
    page = bens_browser.get(review)
    assert "Confirm: send 1 message" in words(page)
    options.save({"operators_see_all": True}, by=None)
    again = press(bens_browser, page, f"{review}confirm/")
    assert "Nothing is confirmed yet: you now see other people’s messages" in words(again)
    assert Batch.objects.get().status == "draft"
    press(bens_browser, again, f"{review}confirm/")
    assert theirs.batch_items.get().state == "released"


# --- One message ------------------------------------------------------------------------------------------


def failed():
    message = to_good(status="failed", not_before=None)
    message.recipients.update(status="failed")
    return message


ORDERS = {
    "cancel": (to_good, "Cancelled"),
    "release": (lambda: to_good(**fitting(status="held")), "Released"),
    "try-now": (lambda: to_good(not_before=timezone.now() + dt.timedelta(days=1)), "It is tried now"),
    "retry": (failed, "It is tried again now"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_message_edited_since_its_page_was_opened_is_looked_at_first(order, office, bens_browser, operator):
    make, done = ORDERS[order]
    message = make()
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/{order}/"
    saved(bens_browser, message, to="evil@example.net", cc="good@example.net" if order == "retry" else "")
    if order == "retry":
        put(message, status="failed", not_before=None)
    again = press(office, page, url)
    said = "Ben Okoro edited this message while you had it open. Look at it and choose again."
    assert said in words(again)
    assert "evil@example.net" in again.text
    assert not message.events.filter(kind__in=["released", "try-now", "retry", "cancelled"]).exists()
    assert done in words(press(office, again, url))


def test_form_that_names_no_version_orders_only_what_nobody_edited(office, bens_browser):
    message = ORDERS["release"][0]()
    saved(bens_browser, message, **ANOTHER)
    assert "while you had it open" in words(office.post(f"/messages/{message.pk}/release/", follow=True))
    assert Message.objects.get().status == "held"


def test_editor_who_is_gone_is_told_as_such(office, bens_browser, ben):
    message = ORDERS["release"][0]()
    page = office.get(f"/messages/{message.pk}/")
    saved(bens_browser, message, **ANOTHER)
    MessageVersion.objects.update(by=None)
    assert "A deleted user edited this message" in words(press(office, page, f"/messages/{message.pk}/release/"))


def test_message_that_changed_can_be_held_all_the_same(office, bens_browser):
    message = to_good()
    page = office.get(f"/messages/{message.pk}/")
    saved(bens_browser, message, **ANOTHER)
    assert "Held" in words(press(office, page, f"/messages/{message.pk}/hold/", why="not yet"))
    assert Message.objects.get().status == "held"


def tried(message, times=1):
    """Tried by a lane that heard nothing after the final dot."""
    now = timezone.now()
    for _ in range(times):
        message.attempts.create(fence=1, started_at=now, finished_at=now, stage="end", outcome="unknown")
    put(message, status="unknown", not_before=None)
    message.recipients.update(status="unknown")
    return message


@pytest.mark.parametrize("order", ["send-again", "mark-as-sent"])
def test_second_order_from_a_page_from_before_the_first_is_looked_at_first(order, office, bens_browser, ben):
    message = tried(to_good())
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/{order}/"
    assert "It is sent again now" in words(bens_browser.post(f"/messages/{message.pk}/send-again/", follow=True))
    tried(message)
    again = press(office, page, url)
    said = {
        "send-again": "Ben Okoro has already done this. Look at it and choose again.",
        "mark-as-sent": "It has been tried again since you opened this page. Look at it and choose again.",
    }
    assert said[order] in words(again)
    assert [event.by for event in message.events.exclude(kind="queued")] == [ben]
    press(office, again, url)
    assert message.events.exclude(kind="queued").count() == 2


def test_one_form_that_is_sent_twice_orders_once(office):
    message = tried(to_good())
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/send-again/"
    press(office, page, url)
    tried(message)
    assert "You have already done this. Look at it and choose again." in words(press(office, page, url))
    assert message.events.filter(kind="send-again").count() == 1


def test_second_order_is_looked_at_first_where_the_worker_stopped_before_it_wrote_down_a_try(office, bens_browser):
    message = tried(to_good())
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/send-again/"
    bens_browser.post(url)
    tried(message, times=0)
    assert "Ben Okoro has already done this" in words(press(office, page, url))


def test_retry_of_what_was_retried_and_failed_again_is_looked_at_first(office, bens_browser):
    message = failed()
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/retry/"
    bens_browser.post(url)
    put(message, status="failed", not_before=None)
    message.recipients.update(status="failed")
    assert "Ben Okoro has already done this" in words(press(office, page, url))
    assert message.events.filter(kind="retry").count() == 1


@pytest.mark.parametrize(("order", "kept"), [("try-now", "queued"), ("cancel", "queued"), ("hold", "held")])
def test_message_that_was_tried_since_its_page_was_opened_is_looked_at_first_unless_it_is_held(order, kept, office):
    message = to_good(not_before=timezone.now() + dt.timedelta(days=1))
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/{order}/"
    put(tried(message), status="queued", not_before=timezone.now() + dt.timedelta(days=1))
    message.recipients.update(status="pending")
    said = words(press(office, page, url, why="not yet"))
    assert ("It has been tried again since you opened this page" in said) == (order != "hold")
    assert Message.objects.get().status == kept
    assert message.events.exclude(kind__in=["queued", "held"]).count() == 0


@pytest.mark.parametrize("order", ["release", "cancel"])
def test_message_that_another_person_held_anew_is_looked_at_first(order, office, bens_browser):
    message = ORDERS["release"][0]()
    page, url = office.get(f"/messages/{message.pk}/"), f"/messages/{message.pk}/{order}/"
    bens_browser.post(f"/messages/{message.pk}/release/")
    bens_browser.post(f"/messages/{message.pk}/hold/", {"why": "Wait for the bank"})
    again = press(office, page, url)
    said = "Ben Okoro has already done this" if order == "release" else "This message has changed since you opened"
    assert said in words(again)
    assert "Wait for the bank" in words(again)
    assert Message.objects.get().status == "held"
    press(office, again, url)
    assert Message.objects.get().status == {"release": "queued", "cancel": "cancelled"}[order]


@pytest.mark.parametrize("shown", ["0", "x", "0-1", "0-x-1", "", "1-1-1-1", "9" * 30, f"0-{LAST_ID}-{LAST_ID}"])
def test_form_that_does_not_say_what_it_showed_is_asked_about_edits_alone(shown, office, bens_browser):
    message = tried(to_good())
    url = f"/messages/{message.pk}/send-again/"
    bens_browser.post(url)
    tried(message)
    assert "It is sent again now" in words(office.post(url, {"shown": shown}, follow=True))


# --- Some of the list -------------------------------------------------------------------------------------


@pytest.fixture
def held(operator):
    found = make_messages(3, due=False)
    for message in found:
        actions.hold(message, by=operator, why="not yet")
    return found


def release(browser, page, *messages, **values):
    chosen = {"action": "release", "message": [message.pk for message in messages]}
    return words(press(browser, page, "/messages/bulk/", **chosen, **values))


def test_ticked_messages_that_were_edited_since_the_list_was_loaded_are_left_out(office, bens_browser, held):
    saved(bens_browser, held[1], **ANOTHER)  # before it: shown as it is
    page = office.get("/messages/?status=held")
    saved(bens_browser, held[2], **ANOTHER)
    said = release(office, page, *held)
    assert "2 released; 1 could not be: 1 was edited after the list was loaded." in said
    assert "Ben Okoro edited “Invoice 2”. Look at it and choose again." in said
    assert [message.status for message in Message.objects.order_by("pk")] == ["queued", "queued", "held"]
    assert "1 released." in release(office, office.get("/messages/?status=held"), held[2])


@pytest.mark.parametrize("action", ["release", "cancel"])
def test_ticked_messages_that_were_held_for_another_reason_meanwhile_are_left_out(action, office, bens_browser, held):
    page = office.get("/messages/?status=held")
    bens_browser.post(f"/messages/{held[0].pk}/release/")
    bens_browser.post(f"/messages/{held[0].pk}/hold/", {"why": "Legal: never send this"})
    chosen = {"action": action, "message": [message.pk for message in held]}
    said = words(press(office, page, "/messages/bulk/", **chosen))
    assert "1 could not be: 1 has changed since the list was loaded." in said
    assert Message.objects.get(pk=held[0].pk).status == "held"
    press(office, office.get("/messages/?status=held"), "/messages/bulk/", **chosen)
    assert Message.objects.get(pk=held[0].pk).status == {"release": "queued", "cancel": "cancelled"}[action]


def test_of_all_that_match_those_are_left_out_that_were_edited_since_the_list_was_loaded(office, bens_browser, held):
    saved(bens_browser, held[1], **ANOTHER)  # before it: shown as it is
    page = office.get("/messages/?status=held")
    saved(bens_browser, held[2], **ANOTHER)
    said = release(office, page, all_matching="1", filter="status=held")
    assert "2 released; 1 could not be: 1 has changed since the list was loaded." in said
    again = office.get("/messages/?status=held")
    assert "1 released." in release(office, again, all_matching="1", filter="status=held")


def test_what_came_to_match_after_the_list_was_loaded_is_left_out(office, bens_browser, held):
    """Older than the list, but not in it when it was read."""
    others = make_messages(2, due=False)
    page = office.get("/messages/?status=held")
    chosen = {"action": "hold", "message": [message.pk for message in others]}
    bens_browser.post("/messages/bulk/", chosen | {"hold-why": "Wait for the bank"})
    chosen = {"action": "cancel", "all_matching": "1", "filter": "status=held"}
    said = words(press(office, page, "/messages/bulk/", **chosen))
    assert "3 cancelled; 2 could not be: 2 have changed since the list was loaded." in said
    assert [message.status for message in Message.objects.order_by("pk")] == ["cancelled"] * 3 + ["held"] * 2


CANCEL = {"action": "cancel", "all_matching": "1"}


def tried_in_vain(message):
    """Tried by a lane, and put off: there is no line of that in the history."""
    busy = {"reason_category": "busy", "reason": Phrase("said", words="Server busy")}
    put(tried(message), status="queued", not_before=timezone.now() + dt.timedelta(hours=1), **busy)
    message.recipients.update(status="pending")


def test_what_came_to_match_by_a_try_is_left_out(office):
    found = make_messages(3)
    for message in found[:2]:
        tried_in_vain(message)
    page = office.get("/messages/?status=queued&reason=busy")
    assert "All 2 that match" in words(page)
    tried_in_vain(found[2])
    said = words(press(office, page, "/messages/bulk/", **CANCEL))
    assert "2 cancelled; 1 could not be: 1 has changed since the list was loaded." in said
    assert "When the list was loaded, 2 matched the filter." in said
    assert Message.objects.get(pk=found[2].pk).status == "queued"


@pytest.mark.parametrize("action", ["cancel", "hold"])
def test_what_was_tried_again_since_the_list_was_loaded_is_left_out(action, office):
    message = make_messages(1)[0]
    tried_in_vain(message)
    page = office.get("/messages/?status=queued")
    tried_in_vain(message)
    typed = {"action": action, "all_matching": "1", "hold-why": "Wait"}
    assert "1 has changed since the list was loaded" in words(press(office, page, "/messages/bulk/", **typed))
    assert Message.objects.get().status == "queued"


def test_ticked_message_that_went_out_to_some_is_left_out(office):
    message = make_message("a@example.com", "b@example.com")
    page = office.get("/messages/?status=queued")
    tried_in_vain(message)
    message.recipients.filter(address="a@example.com").update(status="accepted")
    chosen = {"action": "cancel", "message": [message.pk]}
    assert "1 has changed since the list was loaded" in words(press(office, page, "/messages/bulk/", **chosen))
    assert Message.objects.get().status == "queued"


@pytest.mark.django_db(transaction=True)
def test_what_was_being_sent_when_the_list_was_loaded_and_came_back_untried_is_left_out(office):
    make_message("later@example.com", subject="Waits", due=False)
    make_message("c@example.com", subject="Being sent")
    [claimed] = claims.take(None, "a lane", 1, timezone.now())
    page = office.get("/messages/?status=queued")
    assert "All 1 that match" in words(page)
    claims.give_back("a lane")
    assert "1 cancelled; 1 could not be: 1 has changed" in words(press(office, page, "/messages/bulk/", **CANCEL))
    assert Message.objects.get(pk=claimed.pk).status == "queued"


def test_what_matches_no_longer_is_counted(office, bens_browser):
    found = make_messages(2, due=False)
    page = office.get("/messages/?status=queued")
    bens_browser.post(f"/messages/{found[0].pk}/hold/", {"why": "Wait"})
    said = words(press(office, page, "/messages/bulk/", **CANCEL))
    assert "1 cancelled. When the list was loaded, 2 matched the filter." in said
    bens_browser.post(f"/messages/{found[0].pk}/release/")
    page = office.get("/messages/?status=queued")
    bens_browser.post(f"/messages/{found[0].pk}/hold/", {"why": "Wait"})
    said = words(press(office, page, "/messages/bulk/", **CANCEL))
    assert "none of the messages that the list showed still matches the filter" in said


def in_another_zone(messages, operator, ben):
    options.save({"time_zone": "UTC"}, by=None)
    at = timezone.now().replace(hour=3, minute=0)
    put(messages[0], created_at=at - dt.timedelta(hours=5))  # 22:00 on the day before
    put(messages[1], created_at=at)
    return f"date_from={at.date()}", lambda: options.save({"time_zone": "Asia/Tokyo"}, by=None)


def by_another_name(messages, operator, ben):
    for message, author in zip(messages, (operator, ben), strict=True):
        put(message, author=author)
    return "sender=anna", lambda: users.change(ben, {"first_name": "Annabel"}, by=operator)


@pytest.mark.parametrize("case", [in_another_zone, by_another_name])
def test_order_for_all_that_match_does_nothing_where_the_filter_means_others_by_now(case, office, operator, ben):
    query, change = case(make_messages(2, due=False), operator, ben)
    page = office.get(f"/messages/?status=queued&{query}")
    assert "All 1 that match" in words(page)
    change()
    again = press(office, page, "/messages/bulk/", **CANCEL)
    assert "the filter no longer means the same messages as when the list was loaded" in words(again)
    assert not Message.objects.filter(status="cancelled").exists()
    again = office.get(f"/messages/?status=queued&{query}")
    assert "2 cancelled." in words(press(office, again, "/messages/bulk/", **CANCEL))


def test_order_for_all_that_match_does_nothing_for_who_sees_more_by_now(bens_browser, ben):
    put(make_messages(2, due=False)[0], author=ben)
    options.save({"operators_see_all": False}, by=None)
    page = bens_browser.get("/messages/?status=queued")
    assert "All 1 that match" in words(page)
    options.save({"operators_see_all": True}, by=None)
    assert "no longer means the same" in words(press(bens_browser, page, "/messages/bulk/", **CANCEL))
    assert not Message.objects.filter(status="cancelled").exists()


def test_edit_that_began_before_the_list_was_loaded_and_was_saved_after_it_is_noticed(
    office, bens_browser, held, monkeypatch
):
    """It has its time from before it waits for a lock."""
    pages, prepared = [], editing._prepared

    def slowly(*given):
        pages.append(office.get("/messages/?status=held"))
        return prepared(*given)

    monkeypatch.setattr(editing, "_prepared", slowly)
    saved(bens_browser, held[1], **ANOTHER)
    assert "evil@example.net" not in words(pages[0])
    said = release(office, pages[0], all_matching="1")
    assert "2 released; 1 could not be: 1 has changed since the list was loaded." in said
    assert Message.objects.get(pk=held[1].pk).status == "held"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_nested", [False, True])
def test_change_that_is_committed_after_others_of_later_keys_is_noticed(is_nested, office, operator, ben, held):
    """PostgreSQL: the list was loaded after a later change was committed, and before this one was."""
    written, seen = threading.Event(), threading.Event()

    def slowly():
        with transaction.atomic():
            with transaction.atomic() if is_nested else nullcontext():
                actions.release(held[0], by=ben)
                actions.hold(held[0], by=ben, why="Legal: never send this")
            written.set()
            seen.wait(20)

    thread = threading.Thread(target=elsewhere(slowly))
    thread.start()
    assert written.wait(20)
    actions.release(held[1], by=ben)
    actions.hold(held[1], by=ben, why="Wait for the bank")
    page = office.get("/messages/?status=held")
    assert "Wait for the bank" in words(page) and "Legal" not in words(page)
    seen.set()
    thread.join(20)
    assert "2 released; 1 could not be: 1 has changed" in release(office, page, all_matching="1")
    assert Message.objects.get(pk=held[0].pk).status == "held"


def test_what_was_released_and_held_anew_meanwhile_is_left_out(office, bens_browser, held):
    page = office.get("/messages/?status=held")
    bens_browser.post(f"/messages/{held[0].pk}/release/")
    bens_browser.post(f"/messages/{held[0].pk}/hold/", {"why": "Wait for the bank"})
    said = release(office, page, all_matching="1", filter="status=held")
    assert "2 released; 1 could not be: 1 has changed since the list was loaded." in said


def test_where_all_that_match_have_changed_none_is_done(office, bens_browser, held):
    page = office.get("/messages/?status=held")
    for message in held:
        saved(bens_browser, message, **ANOTHER)
    said = release(office, page, all_matching="1", filter="status=held")
    assert "None was released; 3 could not be: 3 have changed since the list was loaded." in said


def test_own_order_before_the_list_was_loaded_leaves_nothing_out(office, held):
    page = office.get("/messages/?status=held")
    release(office, page, held[0])
    page = office.get("/messages/?status=queued")
    chosen = {"action": "hold", "all_matching": "1", "filter": "status=queued", "hold-why": "Wait"}
    assert "1 held." in words(press(office, page, "/messages/bulk/", **chosen))


def test_ticked_messages_that_were_edited_are_held_but_not_cancelled(office, bens_browser, held):
    page = office.get("/messages/?status=held")
    saved(bens_browser, held[2], **ANOTHER)
    chosen = {"action": "cancel", "message": [message.pk for message in held]}
    assert "2 cancelled; 1 could not be: 1 was edited" in words(press(office, page, "/messages/bulk/", **chosen))
    message = to_good()
    page = office.get("/messages/?status=queued")
    saved(bens_browser, message, **ANOTHER)
    chosen = {"action": "hold", "message": [message.pk], "hold-why": "Wait"}
    assert "1 held." in words(press(office, page, "/messages/bulk/", **chosen))


def test_whether_messages_changed_is_asked_once_for_a_thousand(operator, held):
    now, everything = Snapshot.now(), Message.objects.all()
    with CaptureQueriesContext(connection) as context:
        assert actions.carry_out_for_all(actions.to_release(), everything, by=operator, since=now).done == 3
    asked = [each["sql"].lstrip("(") for each in context]
    assert sum("messageevent" in sql and sql.startswith("SELECT") for sql in asked) == 1


def test_review_shows_what_came_to_match_for_a_batch_meanwhile(office, bens_browser, held):
    other = to_good()
    office.get("/batches/new/")
    bens_browser.post(f"/messages/{held[0].pk}/release/")
    review = office.post("/batches/new/", {"all_matching": "1", "filter": ""}, follow=True)
    assert "Confirm: send 2 messages" in words(review)
    assert "Invoice 0" in words(review) and other.subject in words(review)
    assert Batch.objects.get().status == "draft"


def test_more_edits_than_are_named(office, bens_browser, held, monkeypatch):
    monkeypatch.setattr("messaging.console.presentation.bulk.EDITS_NAMED", 1)
    page = office.get("/messages/?status=held")
    for message in held:
        saved(bens_browser, message, **ANOTHER)
    said = release(office, page, *held)
    assert "None was released; 3 could not be: 3 were edited after the list was loaded." in said
    assert "Ben Okoro edited “Invoice 0”; 2 more were edited. Look at them and choose again." in said
