"""What a page says that its buttons do is what they do, or nothing is done and the page comes back, true again.

What it says depends on options and settings, which others change while it is open. All without JavaScript.
"""

import datetime as dt
import itertools
from urllib.parse import unquote

import pytest
from django.utils import timezone

from messaging import send_at_once
from messaging.company import options
from messaging.models import AccountPause, EmailSettings, Message, UserSession
from messaging.queue import actions
from tests.factories import draft_batch, hold_mail, make_message, put
from tests.letter_form import saved, sent_by_browser
from tests.pages import form_of, source, words
from tests.sizes import matrix, sampled
from tests.steps import run_lane

pytestmark = [pytest.mark.django_db, pytest.mark.attack, pytest.mark.usefixtures("email_setup")]

NEW = "/messages/new/"
LETTER = {"to": "b@example.com", "subject": "Offer", "text": "Dear Bo", "sender": "Anna <anna@office.example>"}
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
CHANGED = "has changed since you opened the page"
DO = ("send", "queue", "at", "open")


# --- A new message ----------------------------------------------------------------------------------------


def mail(hold, record=True):
    return lambda anna: hold_mail(record=record, hold=hold)


def own(**values):
    return lambda anna: EmailSettings.objects.create(account=anna, **values)


def company_cannot(anna):
    EmailSettings.objects.filter(account=None).update(host="")


# What administrators may have decided: company options and settings, one after the other.
DECIDED = {
    "held": [mail(hold=True)],
    "not held": [mail(hold=False)],
    "not recorded": [mail(hold=False, record=False)],
    "held, MAPI": [mail(hold=True), own(send_type=1)],
    "not held, MAPI": [mail(hold=False), own(send_type=1)],
    "not held, own settings cannot": [mail(hold=False), own(send_type=3, username="")],
    "not held, MAPI, no settings can": [mail(hold=False), own(send_type=0), company_cannot],
    "not held, no settings can": [mail(hold=False), company_cannot],
}
# What a page says of a button, and what is true then of the message it makes.
QUEUE = {
    "goes out with Batch Message Processing": ("queued", None, None),
    "a batch run by another user sends it": ("queued", None, None),
    "From the queue it goes out as soon as possible, with the company’s account": ("queued", "now", None),
    "From the queue it goes out as soon as possible, and is tried again": ("queued", "now", "anna"),
}


def decide(anna, name, mail_server):
    EmailSettings.objects.filter(account=anna).delete()
    EmailSettings.objects.filter(account=None).update(host="127.0.0.1", port=mail_server.port)
    for each in DECIDED[name]:
        each(anna)


def offered(page):
    """The buttons of the page of a new message."""
    return [name for name in DO if f'name="do" value="{name}"' in source(page)]


def promised_of(page, button):
    """What a page says that a button makes of the message: its state, whether it is due, and with whose account."""
    if button == "send":
        return "sent"
    if button == "open":
        return ("held", None, None)
    if button == "at":
        return ("queued", "later", "anna")
    [found] = [made for said, made in QUEUE.items() if said in words(page)]
    return found


def pressed(browser, page, button, **typed):
    form = sent_by_browser(page) | LETTER | {"at": "2027-12-05T08:00"} | typed
    return browser.post(NEW, form | {"do": button})


def made(answer, mail_server):
    """What came of a message: the same as `promised_of`, "sent" where it went at once; None: nothing."""
    message = Message.objects.order_by("pk").last()
    if mail_server.received:
        return "sent"
    if answer.status_code == 422:
        return "sent" if "It was not sent." in words(answer) else None  # at once, and no settings could
    if message is None:
        return None
    due = message.not_before and ("now" if message.not_before <= timezone.now() else "later")
    return (message.status, due, message.account and message.account.username)


def forget(mail_server):
    Message.objects.all().delete()
    mail_server.received.clear()


@pytest.mark.parametrize(("before", "after"), sampled(itertools.product(DECIDED, DECIDED)))
def test_button_does_what_its_page_says_or_the_page_comes_back(before, after, office, operator, mail_server):
    decide(operator, before, mail_server)
    for button in offered(office.get(NEW)):
        decide(operator, before, mail_server)
        page = office.get(NEW)
        decide(operator, after, mail_server)
        true_now = promised_of(office.get(NEW), button) if button in offered(office.get(NEW)) else None
        answer = pressed(office, page, button)
        if true_now == promised_of(page, button):
            assert made(answer, mail_server) == true_now
        else:
            assert (answer.status_code, made(answer, mail_server)) == (409, None)
            assert CHANGED in words(answer)
            kept = sent_by_browser(answer)
            typed = {"to": "b@example.com", "subject": "Offer", "text": "Dear Bo", "at": "2027-12-05T08:00"}
            assert {name: kept[name] for name in typed} == {name: [value] for name, value in typed.items()}
            next_button = button if true_now else offered(answer)[-1]
            again = pressed(office, answer, next_button)
            assert made(again, mail_server) == promised_of(answer, next_button)
        forget(mail_server)


@pytest.mark.parametrize("button", DO)
@pytest.mark.parametrize("promised", [None, "", "x", "send: open:", "queue:at-once at:Mars"])
def test_form_that_does_not_say_what_was_promised_is_asked_for_again(
    button, promised, office, operator, holding, mail_server
):
    page = office.get(NEW)
    form = sent_by_browser(page) | LETTER | {"at": "2027-12-05T08:00", "do": button}
    form.pop("promised")
    answer = office.post(NEW, form | ({} if promised is None else {"promised": promised}))
    assert (answer.status_code, made(answer, mail_server)) == (409, None)
    assert "Dear Bo" in source(answer)
    assert made(pressed(office, answer, "queue"), mail_server) == ("queued", None, None)


def test_queue_is_offered_instead_only_as_what_it_is(office, operator, recording, mail_server):
    mail_server.replies["END"] = ["451 4.3.0 busy, come back later"]
    page = pressed(office, office.get(NEW), "send")
    assert "It is tried again from there, as often as Company options allow." in words(page)
    hold_mail()
    again = pressed(office, page, "instead")
    assert (again.status_code, Message.objects.get().status) == (409, "failed")
    assert CHANGED in words(again) and "it goes out with Batch Message Processing" in words(again)
    assert pressed(office, again, "queue").status_code == 302
    assert sorted(Message.objects.values_list("status", "not_before")) == [("cancelled", None), ("queued", None)]


def test_queue_that_no_settings_send_from_promises_no_try(office, operator, recording):
    EmailSettings.objects.filter(account=None).update(host="")
    page = pressed(office, office.get(NEW), "send")
    assert "Put in the queue instead" in words(page)
    assert "It waits there for Batch Message Processing." in words(page)
    assert pressed(office, page, "instead").status_code == 302
    assert Message.objects.exclude(status="cancelled").get().not_before is None


@pytest.mark.parametrize(("button", "before", "after"), [
    ("send", "not held", "held"), ("queue", "not held", "held"), ("queue", "held", "not held"),
    ("at", "not held", "held, MAPI"),
])  # fmt: skip
def test_what_is_decided_while_the_form_is_on_its_way_counts_as_well(
    button, before, after, office, operator, mail_server, monkeypatch
):
    """After the view has looked: where the message is made."""
    decide(operator, before, mail_server)
    page = office.get(NEW)
    genuine = send_at_once.submit_watched

    def late(*arguments, **values):
        decide(operator, after, mail_server)
        return genuine(*arguments, **values)

    monkeypatch.setattr(send_at_once, "submit_watched", late)
    answer = pressed(office, page, button)
    assert (answer.status_code, made(answer, mail_server)) == (409, None)
    assert CHANGED in words(answer)
    monkeypatch.undo()
    last = offered(answer)[-1]
    assert made(pressed(office, answer, last), mail_server) == promised_of(answer, last)


# --- A form that is put back after a sign-in ----------------------------------------------------------------


def put_back(browser, user, url, form, page=""):
    """Send a form after its session has ended, and sign in: the page with the form filled in."""
    UserSession.objects.all().delete()
    led = browser.post(url, form, headers={"Referer": f"http://testserver{page or url}"})
    browser.force_login(user)
    return browser.get(unquote(led["Location"].partition("next=")[2]))


def test_new_message_that_is_put_back_stands_on_what_both_pages_promised(office, operator, mail_server):
    hold_mail()
    form = sent_by_browser(office.get(NEW)) | LETTER | {"do": "queue"}
    hold_mail(hold=False)
    page = put_back(office, operator, NEW, form)
    assert "From the queue it goes out as soon as possible" in words(page)
    hold_mail()  # as when it was typed, but not as the page says
    answer = pressed(office, page, "queue")
    assert (answer.status_code, Message.objects.count()) == (409, 0)
    assert pressed(office, answer, "queue").status_code == 302


@pytest.mark.parametrize(("later", "is_done"), [(BERLIN, True), (NEW_YORK, False)])
def test_time_that_is_put_back_is_in_the_zone_it_was_typed_for(later, is_done, office, operator):
    options.save({"time_zone": BERLIN}, by=None)
    form = sent_by_browser(office.get(NEW)) | LETTER | {"do": "at", "at": "2027-12-05T08:00"}
    options.save({"time_zone": later}, by=None)
    page = put_back(office, operator, NEW, form)
    assert f"Time zone {later}." in words(page)
    answer = pressed(office, page, "at")
    assert (answer.status_code == 302) == Message.objects.exists() == is_done


# --- Times ------------------------------------------------------------------------------------------------


def at_eight(zone):
    hour = {BERLIN: 7, NEW_YORK: 13}[zone]
    return dt.datetime(2027, 12, 5, hour, tzinfo=dt.UTC)


@pytest.mark.parametrize("hold", [True, False])
def test_message_is_sent_at_the_time_of_the_zone_that_its_page_names(hold, office, operator):
    hold_mail(hold=hold)
    options.save({"time_zone": BERLIN}, by=None)
    page = office.get(NEW)
    assert f"Time zone {BERLIN}." in words(page)
    options.save({"time_zone": NEW_YORK}, by=None)
    answer = pressed(office, page, "at")
    assert (answer.status_code, Message.objects.count()) == (409, 0)
    assert f"Time zone {NEW_YORK}." in words(answer)
    assert 'value="2027-12-05T08:00"' in source(answer)
    assert pressed(office, answer, "at").status_code == 302
    assert Message.objects.get().not_before == at_eight(NEW_YORK)


def test_time_zone_is_nothing_to_a_message_that_has_no_time(office, holding):
    page = office.get(NEW)
    options.save({"time_zone": NEW_YORK}, by=None)
    assert pressed(office, page, "queue", at="").status_code == 302


def until(page, url, **typed):
    return form_of(page, action=url) | {"why": "Check the price", "until": "2027-12-05T08:00"} | typed


@pytest.mark.parametrize("promised", ["zone", "none"])
def test_message_is_held_until_the_time_of_the_zone_that_its_page_names(promised, office, operator):
    message = make_message("a@example.com", due=False)
    url = f"/messages/{message.pk}/hold/"
    options.save({"time_zone": BERLIN}, by=None)
    page = office.get(f"/messages/{message.pk}/?status=queued")
    assert f"Time zone {BERLIN}" in words(page)
    form = until(page, url)
    if promised == "zone":
        options.save({"time_zone": NEW_YORK}, by=None)
    else:
        form.pop("promised")
    answer = office.post(url, form)
    now = NEW_YORK if promised == "zone" else BERLIN
    assert answer.status_code == 422 and Message.objects.get().status == "queued"
    assert f"It was not held: the time zone is now {now}" in words(answer)
    again = form_of(answer, action=url)
    assert (again["why"], again["until"]) == (["Check the price"], ["2027-12-05T08:00"])
    assert 'href="/messages/?status=queued"' in source(answer), "the way back to the list stays"
    assert office.post(url, again).status_code == 302
    message.refresh_from_db()
    assert (message.status, message.held_until) == ("held", at_eight(now))


def test_hold_without_a_time_is_for_every_zone(office):
    message = make_message("a@example.com", due=False)
    office.post(f"/messages/{message.pk}/hold/", {"why": "Check the price"})
    assert Message.objects.get().status == "held"


def test_hold_that_is_put_back_is_until_the_time_it_was_typed_for(office, operator):
    message = make_message("a@example.com", due=False)
    page, url = f"/messages/{message.pk}/", f"/messages/{message.pk}/hold/"
    options.save({"time_zone": BERLIN}, by=None)
    form = until(office.get(page), url)
    options.save({"time_zone": NEW_YORK}, by=None)
    again = put_back(office, operator, url, form, page)
    answer = office.post(url, form_of(again, action=url))
    assert (answer.status_code, Message.objects.get().status) == (422, "queued")


def test_messages_of_a_list_are_held_until_the_time_of_the_zone_that_it_names(office):
    message = make_message("a@example.com", due=False)
    options.save({"time_zone": BERLIN}, by=None)
    page = office.get("/messages/?status=queued")
    assert f"Time zone {BERLIN}" in words(page)
    typed = {"action": "hold", "message": message.pk, "hold-why": "Wait", "hold-until": "2027-12-05T08:00"}
    options.save({"time_zone": NEW_YORK}, by=None)
    answer = office.post("/messages/bulk/", form_of(page, action="/messages/bulk/") | typed, follow=True)
    assert f"It was not held: the time zone is now {NEW_YORK}" in words(answer)
    assert Message.objects.get().status == "queued"
    page = office.get("/messages/?status=queued")
    office.post("/messages/bulk/", form_of(page, action="/messages/bulk/") | typed)
    assert Message.objects.get().held_until == at_eight(NEW_YORK)


@pytest.mark.parametrize("whose", ["all", "company"])
def test_sending_is_paused_until_the_time_of_the_zone_that_its_page_names(whose, admin):
    url = f"/sending/{whose}/pause/#{whose}-pause"
    options.save({"time_zone": BERLIN}, by=None)
    page = admin.get("/sending/")
    assert f"Time zone {BERLIN}." in words(page)
    form = until(page, url)
    options.save({"time_zone": NEW_YORK}, by=None)
    answer = admin.post(url, form)
    assert answer.status_code == 422 and not AccountPause.objects.exists()
    assert f"The time zone is now {NEW_YORK}" in words(answer)
    again = form_of(answer, action=url)
    assert (again["why"], again["until"]) == (["Check the price"], ["2027-12-05T08:00"])
    assert admin.post(url, again).status_code == 302
    assert AccountPause.objects.get().until == at_eight(NEW_YORK)


def test_pause_of_a_form_that_names_no_zone_has_no_time(admin):
    answer = admin.post("/sending/all/pause/", {"why": "Lunch", "until": "2027-12-05T08:00"})
    assert answer.status_code == 422 and not AccountPause.objects.exists()
    assert admin.post("/sending/all/pause/", {"why": "Lunch"}).status_code == 302


# --- An edit ----------------------------------------------------------------------------------------------

STAYS = "It stays where it is in the queue; saving sends nothing."
BACK = "Once it is corrected it goes back into the queue"


def waits(message, by):
    return put(message, status="queued", not_before=None, account=None)


def timed(message, by):
    return put(message, status="queued", not_before=timezone.now() + dt.timedelta(days=1), account=by)


def due(message, by):
    return put(message, status="queued", not_before=timezone.now() - dt.timedelta(minutes=1), account=by)


def held(message, by):
    put(message, status="queued", not_before=None, account=None)
    actions.hold(message, by=by, why="Check the price")


def failed(message, by):
    put(message, status="failed", not_before=None, account=None)
    message.recipients.update(status="failed")


def held_by_company(message, by):
    failed(message, by)
    hold_mail()


def failed_mapi(message, by):
    failed(message, by)
    EmailSettings.objects.create(account=by, send_type=1)


def failed_for_good_settings(message, by):
    failed_mapi(message, by)
    EmailSettings.objects.filter(account=None).update(host="")


STANDS = {  # how a message stands, what the page of an edit says, and what saving makes of it
    "waits": (waits, STAYS, ("queued", None, None)),
    "timed": (timed, STAYS, ("queued", "later", "anna")),
    "due": (due, STAYS, ("queued", "now", "anna")),
    "held": (held, STAYS, ("held", None, None)),
    "failed": (failed, f"{BACK} and out as soon as possible, with your account.", ("queued", "now", "anna")),
    "failed, mail is held": (
        held_by_company, f"{BACK}, where it waits for Batch Message Processing.", ("queued", None, None)
    ),
    "failed, MAPI": (
        failed_mapi, f"{BACK} and out as soon as possible, with the company’s account.", ("queued", "now", None)
    ),
    "failed, no settings": (
        failed_for_good_settings, f"{BACK}, where it waits for Batch Message Processing.", ("queued", None, None)
    ),
}  # fmt: skip
NOT_EDITED = {
    "sending": {"status": "sending"}, "sent": {"status": "sent"}, "unknown": {"status": "unknown"},
    "cancelled": {"status": "cancelled"}, "draft": {"status": "held", "handed_to": True},
}  # fmt: skip


def stand(message, name, anna, mail_server):
    hold_mail(hold=False)
    EmailSettings.objects.filter(account=anna).delete()
    EmailSettings.objects.filter(account=None).update(host="127.0.0.1", port=mail_server.port)
    message.recipients.update(status="pending")
    STANDS[name][0](message, anna)
    message.refresh_from_db()


def stands(message):
    message.refresh_from_db()
    when = message.not_before and ("now" if message.not_before <= timezone.now() else "later")
    return (message.status, when, message.account and message.account.username)


@pytest.mark.parametrize(("before", "after"), sampled(itertools.product(STANDS, STANDS)))
def test_edit_does_what_its_page_says_or_is_not_saved_yet(before, after, office, operator, mail_server):
    message = make_message("a@example.com", due=False)
    stand(message, before, operator, mail_server)
    page = office.get(f"/messages/{message.pk}/edit/")
    assert STANDS[before][1] in words(page)
    stand(message, after, operator, mail_server)
    standing = stands(message)
    answer = saved(office, message, page, subject="Half corrected")
    is_same = before == after or STANDS[before][1] == STANDS[after][1] != STAYS
    if is_same and before not in ("timed", "due"):  # which another time was given to
        assert answer.status_code == 302
    else:
        assert (answer.status_code, stands(message)) == (409, standing)
        assert "Your changes are not saved yet" in words(answer) and STANDS[after][1] in words(answer)
        assert 'value="Half corrected"' in source(answer) and message.versions.count() == 0
        assert saved(office, message, answer).status_code == 302
    assert stands(message) == STANDS[after][2]
    message.refresh_from_db()
    assert message.subject == "Half corrected"


@pytest.mark.parametrize(("before", "after"), matrix(STANDS, NOT_EDITED))
def test_edit_of_what_cannot_be_edited_any_more_is_kept_to_be_copied(before, after, office, operator, mail_server):
    message = make_message("a@example.com", due=False)
    stand(message, before, operator, mail_server)
    page = office.get(f"/messages/{message.pk}/edit/")
    values = NOT_EDITED[after] | ({"handed_to": operator} if "handed_to" in NOT_EDITED[after] else {})
    put(message, not_before=None, **values)
    answer = saved(office, message, page, subject="Half corrected")
    assert answer.status_code == 409 and 'value="Half corrected"' in source(answer)
    assert message.versions.count() == 0


@pytest.mark.parametrize(("name", "promised"), matrix(STANDS, [None, "", "save:", "save:sent:", "queued:"]))
def test_edit_of_a_form_that_does_not_say_what_was_promised_is_not_saved_yet(
    name, promised, office, operator, mail_server
):
    message = make_message("a@example.com", due=False)
    stand(message, name, operator, mail_server)
    answer = saved(office, message, subject="Half corrected", promised=promised)
    assert (answer.status_code, message.versions.count()) == (409, 0)
    assert saved(office, message, answer).status_code == 302


def test_message_that_was_released_sent_and_refused_since_is_not_sent_half_corrected(
    office, operator, ben, bens_browser, server
):
    hold_mail(hold=False)
    message = make_message("a@example.com", due=False)
    actions.hold(message, by=operator, why="Check the price")
    page = office.get(f"/messages/{message.pk}/edit/")
    bens_browser.post(f"/messages/{message.pk}/release/")
    batch = draft_batch(message, by=ben)
    bens_browser.post(f"{batch.get_absolute_url()}confirm/", {"reviewed": "0-0"})
    server.at("END", "554 5.6.0 content refused")
    run_lane(ben.pk)
    server.mend()
    answer = saved(office, message, page, subject="Half corrected")
    assert answer.status_code == 409
    assert f"{BACK} and out as soon as possible, with your account." in words(answer)
    run_lane(operator.pk)
    assert not [each for each in server.transactions if each.accepted]


def test_edit_and_what_the_other_edited_are_told_together(office, operator, bens_browser, mail_server):
    message = make_message("a@example.com", due=False)
    stand(message, "waits", operator, mail_server)
    page = office.get(f"/messages/{message.pk}/edit/")
    saved(bens_browser, message, cc="c@example.com")
    stand(message, "failed", operator, mail_server)
    answer = saved(office, message, page, subject="Half corrected")
    assert answer.status_code == 409
    assert "Ben Okoro" in words(answer) and f"{BACK} and out as soon as possible" in words(answer)
    assert saved(office, message, answer).status_code == 302


def test_edit_that_is_put_back_says_how_the_message_stands_now(office, operator, mail_server):
    message = make_message("a@example.com", due=False)
    stand(message, "waits", operator, mail_server)
    url = f"/messages/{message.pk}/edit/"
    form = sent_by_browser(office.get(url)) | {"subject": "Half corrected"}
    stand(message, "failed", operator, mail_server)
    page = put_back(office, operator, url, form)
    assert "Your changes are not saved yet" in words(page)
    assert f"{BACK} and out as soon as possible, with your account." in words(page)
    assert saved(office, message, page).status_code == 302
    assert stands(message) == ("queued", "now", "anna")
