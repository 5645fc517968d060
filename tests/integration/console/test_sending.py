"""The Sending page, its banners, and what else the console says about pauses and limits; all without JavaScript."""

import datetime as dt
import re

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.access import roles
from messaging.console import promise_field
from messaging.delivery.store import claims
from messaging.lifecycle import limits
from messaging.models import AccountPause, Batch, EmailSettings, Heartbeat, Message, Phrase
from messaging.queue import batches, pausing
from messaging.wording import in_words, moment
from tests.factories import fitting, make_message, make_user, said, set_up
from tests.pages import form_of, in_form, words
from tests.sizes import matrix

pytestmark = pytest.mark.django_db(transaction=True)

WHY = "The mail server moves to another cellar"


@pytest.fixture(autouse=True)
def anna(operator):
    """An administrator; Heartbeat, so that only pauses are told."""
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    roles.give(operator, roles.ADMIN)
    operator.last_name = "Lindqvist"
    operator.save()
    return operator


def ahead(**time):
    """A whole minute, as pages tell it, and never sooner than asked for: not a second away at 12:59:59."""
    asked = timezone.now() + dt.timedelta(**time)
    return (asked + dt.timedelta(minutes=1)).replace(second=0, microsecond=0)


def end_of(pause):
    """When it ends as sentences have it: "at 14:05", or "30 Nov 00:05" on another day."""
    told = moment(pause.until)
    return told if " " in told else f"at {told}"


def pause_by_form(browser, whose="all", why=WHY, until="", **options):
    """By a page that shows how it stands."""
    given = {"why": why, "until": until, "pause": mark(whose), "promised": promise_field.zone("until")}
    return browser.post(f"/sending/{whose}/pause/", given, **options)


def mark(whose="all"):
    kind = "all" if whose == "all" else "person"
    found = AccountPause.objects.filter(kind=kind, account=whose if isinstance(whose, int) else None).first()
    return found.mark if found else ""


def resume(browser, whose="all"):
    """By a page that shows how it stands; what the next one says."""
    return words(browser.post(f"/sending/{whose}/resume/", {"pause": mark(whose)}, follow=True))


def hold(kind, account=None, until=None, explanation="Something.", **values):
    values.setdefault("reason", said(explanation))
    return AccountPause.objects.create(account=account, kind=kind, since=timezone.now(), until=until, **values)


def account_row(response, key="company"):
    page = response.content.decode()
    return words(re.search(rf'<tr id="account-{key}">.*?(?=<tr id="account-|</section>)', page, re.DOTALL).group())


# --- The page ----------------------------------------------------------------------------------------


def test_menu_leads_to_sending_below_messaging(bens_browser):
    page = words(bens_browser.get("/messages/"))
    assert "Email Notifications Messaging New message Sending Notices Defaults" in page
    assert bens_browser.get("/sending/").status_code == 200


def test_when_all_is_well_the_page_says_so(admin):
    set_up_company()
    page = admin.get("/sending/")
    assert "All sending is on" in words(page)
    assert "Sends" in account_row(page)
    assert "Nothing has been paused yet" in words(page)


def set_up_company(**values):
    return EmailSettings.objects.create(host="127.0.0.1", port=9, **values)


def test_account_without_a_server_is_said_not_to_send(admin):
    row = account_row(admin.get("/sending/"))
    assert "Cannot send: No SMTP server is set." in row
    assert "Sends" not in row


def test_accounts_with_settings_messages_or_a_pause_are_listed(admin, anna, ben, django_user_model):
    set_up_company()
    clara = make_user("clara", first_name="Clara")
    make_user("dora", first_name="Dora")
    EmailSettings.objects.create(account=clara, per_minute=30)
    message = make_message("c@example.com")
    Message.objects.filter(pk=message.pk).update(account=ben)
    hold("fault", account=anna, until=ahead(minutes=5))
    rows = admin.get("/sending/").context["rows"]
    assert [row.state.account for row in rows] == [None, anna, ben, clara]


def test_how_many_wait_are_due_and_are_being_sent(admin, anna):
    set_up_company(max_connections=3)
    for _ in range(6):
        make_message("c@example.com")
    make_message("c@example.com", due=False)  # waits for a batch, and for no account
    ids = list(Message.objects.exclude(not_before=None).values_list("pk", flat=True))
    Message.objects.filter(pk=ids[0]).update(not_before=ahead(hours=2))
    batch = Batch.objects.create(status=Batch.Status.CANCELLED, created_at=timezone.now())
    Message.objects.filter(pk=ids[1]).update(batch=batch)
    claims.take(None, "one", 3, timezone.now())
    for owner in ("one", "two, between two messages"):
        assert limits.take_place(None, owner, 3, timezone.now())
    page = admin.get("/sending/")
    (state,) = [row.state for row in page.context["rows"]]
    assert (state.waiting, state.due, state.sending, state.lanes) == (1, 1, 3, 2)
    assert account_row(page).count("1 1 3 2 of 3") == 1


def test_limits_in_force_are_told_with_their_source(admin, ben):
    set_up_company(per_minute=30, sending_window="Mon-Fri 07:00-19:00", time_zone="Europe/Berlin")
    EmailSettings.objects.create(account=ben, per_minute=5)
    page = admin.get("/sending/")
    row = account_row(page)
    assert "Limits: 30 per minute, Mon-Fri 07:00-19:00 (Europe/Berlin)" in row
    assert "Messages per minute 30 company settings" in row
    assert "Messages per hour no limit built-in default" in row
    assert "Messages per minute 5 settings of ben" in account_row(page, ben.pk)
    assert "Sending window Mon-Fri 07:00-19:00 company settings" in account_row(page, ben.pk)


def test_each_kind_of_pause_has_its_words_and_several_may_hold(admin, anna):
    set_up_company()
    until = ahead(days=1)
    limit = hold("limit", until=ahead(minutes=1), explanation="The limit of 30 messages per minute is reached.")
    hold("window", until=until, explanation="Outside the sending window (Sun 10:00-11:00, UTC).")
    hold("busy", until=until, explanation="The mail server asks to come back later.")
    fault = hold("fault", until=ahead(minutes=15), explanation="The mail server refused the user name or the password.",
         server="smtp.example.com:587", reply_text="535 5.7.8 <bad>")  # fmt: skip
    hold("person", until=until, explanation=WHY, by=anna)
    when = moment(until)
    row = account_row(admin.get("/sending/"))
    expected = [
        f"Paused by Anna Lindqvist until {when}: {WHY}.",
        f"next try {end_of(fault)}: The mail server refused the user name or the password.",
        "smtp.example.com:587: 535 5.7.8 <bad>",
        f"Slowed down by the mail server, next try {when}: The mail server asks to come back later.",
        f"Outside the sending window (Sun 10:00-11:00, UTC); opens {when}.",
        f"The limit of 30 messages per minute is reached; resumes {end_of(limit)}.",
    ]
    places = [row.find(text) for text in expected]
    assert -1 not in places, (expected[places.index(-1)], row)
    assert places == sorted(places), "the gravest first"
    assert "Sends" not in row


def test_what_is_over_is_not_told_any_more(admin):
    set_up_company()
    hold("limit", until=timezone.now() - dt.timedelta(seconds=1), explanation="The limit is reached.")
    hold("person", until=timezone.now() - dt.timedelta(seconds=1), explanation=WHY)
    row = account_row(admin.get("/sending/"))
    assert "Sends" in row
    assert WHY not in words(admin.get("/messages/"))


def test_statements_do_not_grow_with_accounts(admin, django_user_model):
    def count():
        with CaptureQueriesContext(connection) as statements:
            assert admin.get("/sending/").status_code == 200
        return len(statements)

    def add(number):
        user = make_user(f"user{number}")
        EmailSettings.objects.create(account=user, per_minute=number)
        hold("person", account=user, explanation=WHY, by=user)

    add(0)
    few = count()
    for number in range(1, 12):
        add(number)
    assert count() == few
    assert few <= 12


# --- Pause and resume ----------------------------------------------------------------------------------


def test_all_sending_is_paused_and_resumed(admin, anna, woken):
    until = ahead(days=2)
    page = words(pause_by_form(admin, until=in_form(until), follow=True))
    assert f"All sending is paused until {moment(until)}. Urgent messages are still sent." in page
    pause = AccountPause.objects.get()
    assert (pause.kind, pause.account, pause.by, in_words(pause.reason)) == ("all", None, anna, WHY)
    assert pause.until == until
    assert f"All sending is paused by Anna Lindqvist until {moment(until)} Why: {WHY}" in page
    message = make_message("c@example.com")
    page = resume(admin)
    assert "All sending is on again." in page
    assert "All sending is on" in page
    assert woken == [message.account_id]
    ended = AccountPause.history.get()
    assert (ended.ended_by, AccountPause.objects.exists()) == (anna, False)


def test_one_account_is_paused_and_resumed(admin, ben, woken):
    EmailSettings.objects.create(account=ben, host="127.0.0.1", port=9)
    page = pause_by_form(admin, ben.pk, follow=True)
    assert "Sending as Ben Okoro is paused until it is resumed." in words(page)
    assert f"Paused by Anna Lindqvist until resumed: {WHY}" in account_row(page, ben.pk)
    assert "All sending is on" in words(page)
    assert AccountPause.objects.get().account == ben
    message = make_message("c@example.com")
    Message.objects.filter(pk=message.pk).update(account=ben)
    assert "Sending as Ben Okoro is on again." in resume(admin, ben.pk)
    assert woken == [ben.pk]


def test_company_is_paused_and_others_are_not(admin, ben):
    pause_by_form(admin, "company")
    assert [(pause.kind, pause.account) for pause in AccountPause.objects.all()] == [("person", None)]


def test_what_lanes_have_claimed_and_not_begun_is_taken_from_them(admin, ben):
    mine, other, urgent = (make_message(f"c{number}@example.com") for number in range(3))
    Message.objects.filter(pk=other.pk).update(account=ben)
    Message.objects.filter(pk=urgent.pk).update(urgent=True)
    assert len(claims.take(None, "lane", 5, timezone.now())) == 2
    assert len(claims.take(ben.pk, "lane of Ben", 5, timezone.now())) == 1
    pause_by_form(admin, "company")
    assert {row.pk: row.status for row in Message.objects.all()} == {
        mine.pk: "queued", urgent.pk: "sending", other.pk: "sending"
    }  # fmt: skip
    pause_by_form(admin, "all")
    other.refresh_from_db()
    assert other.status == "queued"


def test_pausing_again_changes_reason_and_time_and_keeps_who_and_since(admin, anna):
    pause_by_form(admin)
    first = AccountPause.objects.get()
    until = ahead(hours=3)
    pause_by_form(admin, why="It takes longer", until=in_form(until))
    second = AccountPause.objects.get()
    assert (second.pk, second.since, second.by) == (first.pk, first.since, anna)
    assert (in_words(second.reason), second.until) == ("It takes longer", until)
    page = admin.get("/sending/").content.decode()
    assert f'value="{in_form(until)}"' in page, "the form to change it shows what holds"
    assert 'value="It takes longer"' in page


def test_pause_changed_by_somebody_else_says_truly_who_ordered_what(admin, anna, ben):
    pausing.pause(None, by=ben, why="Ben is at the server")
    pause_by_form(admin, "company")
    ended, current = AccountPause.history.order_by("pk")
    assert (ended.by, in_words(ended.reason), ended.ended_by) == (ben, "Ben is at the server", anna)
    assert (current.by, in_words(current.reason)) == (anna, WHY)
    assert current.since == ended.ended_at


def test_pause_whose_time_was_over_is_not_continued_by_the_next(admin, anna):
    over = hold("all", until=timezone.now() - dt.timedelta(seconds=2), explanation="Old", by=anna)
    pause_by_form(admin)
    ended, current = AccountPause.history.order_by("pk")
    assert (ended.pk, ended.ended_at, ended.ended_by) == (over.pk, over.until, None)
    assert current.since > over.until


@pytest.mark.parametrize("whose", ["all", "company"])
def test_resume_ends_no_pause_that_took_the_place_of_the_one_shown(admin, anna, ben, whose):
    """Neither a new one of someone else's, nor one's own that says something else by now; and it is told."""
    pause_by_form(admin, whose, why="Lunch")
    page = admin.get("/sending/")
    pausing.pause(pausing.ALL if whose == "all" else None, by=ben, why="Wrong prices: send nothing")
    shown = form_of(page, action=f"/sending/{whose}/resume/")
    again = words(admin.post(f"/sending/{whose}/resume/", shown, follow=True))
    assert "This is not the pause that you were shown." in again
    assert "aused by Ben Okoro until resumed: Wrong prices: send nothing. Look at it again." in again
    assert AccountPause.objects.get().by == ben
    assert "is on again" in resume(admin, whose)
    pause_by_form(admin, whose, why="Lunch")
    page = admin.get("/sending/")
    pause_by_form(admin, whose, why="The server is replaced")
    shown = form_of(page, action=f"/sending/{whose}/resume/")
    assert "The server is replaced" in words(admin.post(f"/sending/{whose}/resume/", shown, follow=True))
    assert AccountPause.objects.exists()


def test_pause_of_another_user_is_changed_only_by_a_page_that_showed_it(admin, anna, ben):
    page = admin.get("/sending/")
    pausing.pause(pausing.ALL, by=ben, why="Wrong prices: send nothing")
    given = form_of(page, action="/sending/all/pause/#all-pause") | {"why": "Lunch", "until": in_form(ahead(hours=1))}
    again = admin.post("/sending/all/pause/", given)
    assert again.status_code == 422
    assert "This is not the pause that you were shown." in words(again)
    assert 'value="Lunch"' in again.text
    pause = AccountPause.history.get()
    assert (pause.by, pause.until) == (ben, None)
    given = form_of(again, action="/sending/all/pause/#all-pause")
    assert admin.post("/sending/all/pause/", given).status_code == 302
    assert AccountPause.objects.get().by == anna


REFUSED_PAUSES = [
    ("", "", "Say why, so that others know."),
    ("   ", "", "Say why, so that others know."),
    ("x" * 301, "", "in at most 300 characters; these are 301"),
    ("one\ntwo", "", "in one line"),
    ("one\r\ntwo", "", "in one line"),
    ("one\u2028two", "", "in one line"),
    ("nul\x00", "", "Null characters are not allowed"),
    (WHY, "2001-01-01T00:00", "This time has passed."),
    (WHY, "9999-12-31T23:59", "within the next ten years"),
    (WHY, "0001-01-01T00:00", "This time"),
    (WHY, "banana", "This time could not be read."),
]


@pytest.mark.parametrize(("whose", "why", "until", "told"), matrix(["all", "company"], REFUSED_PAUSES))
def test_senseless_pauses_are_refused_with_what_is_wrong(admin, whose, why, until, told):
    response = pause_by_form(admin, whose, why, until)
    assert response.status_code == 422
    assert told in words(response)
    page = response.content.decode()
    assert f'id="{whose}-pause" open' in page
    assert page.count('" open>') == 1, "the other forms stay closed"
    assert not AccountPause.history.exists()


def test_the_longest_reason_fits(admin):
    assert pause_by_form(admin, why="ä" * 300).status_code == 302
    assert "ä" * 300 in words(admin.get("/messages/"))


def test_reason_is_shown_as_text(admin):
    pause_by_form(admin, why="<script>alert(1)</script>")
    for path in ("/sending/", "/messages/"):
        page = admin.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert(1)" in page


def test_resuming_what_is_not_paused_is_told(admin, ben):
    for whose in ("all", "company", ben.pk):
        assert "was no longer paused" in resume(admin, whose)


def test_try_now_lets_the_probe_go(admin, woken):
    set_up_company()
    make_message("c@example.com")
    hold("fault", until=ahead(minutes=10), explanation="The mail server refused the connection.")
    page = admin.get("/sending/")
    assert "Try now" in account_row(page)
    assert "It is tried now" in words(admin.post("/sending/company/try-now/", follow=True))
    assert AccountPause.objects.get().until <= timezone.now()
    assert woken == [None]
    AccountPause.objects.all().delete()
    assert "is no longer waiting for a try" in words(admin.post("/sending/company/try-now/", follow=True))


def test_try_now_is_not_offered_nor_promised_while_a_person_paused(admin, anna):
    set_up_company()
    hold("fault", until=ahead(minutes=10))
    for kind in ("all", "person"):
        pause = hold(kind, explanation=WHY, by=anna)
        assert "Try now" not in account_row(admin.get("/sending/")), kind
        assert "it is tried once sending is resumed" in words(admin.post("/sending/company/try-now/", follow=True))
        pause.delete()


# --- Who may -------------------------------------------------------------------------------------------


def test_operators_see_how_it_stands_and_whom_to_ask(bens_browser, anna):
    set_up_company()
    pausing.pause(pausing.ALL, by=anna, why=WHY)
    response = bens_browser.get("/sending/")
    page = words(response)
    assert f"All sending is paused by Anna Lindqvist until resumed Why: {WHY}" in page
    assert "ask an administrator: Anna Lindqvist." in page
    assert "/sending/all/" not in response.content.decode()


@pytest.mark.parametrize("action", ["pause", "resume", "try-now"])
def test_only_administrators_pause_and_resume(bens_browser, anna, action):
    pause = hold("person", explanation=WHY, by=anna)
    response = bens_browser.post(f"/sending/company/{action}/", {"why": "x"})
    assert response.status_code == 403
    assert "Only an administrator can pause and resume sending" in words(response)
    (row,) = AccountPause.history.all()
    assert (row.pk, row.ended_at, in_words(row.reason)) == (pause.pk, None, WHY)


@pytest.mark.parametrize("action", ["pause", "resume", "try-now", "explode"])
def test_get_changes_nothing(admin, anna, action):
    hold("person", explanation=WHY, by=anna)
    response = admin.get(f"/sending/company/{action}/")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")
    assert "This address works only from a button" in words(response)
    assert AccountPause.objects.count() == 1


@pytest.mark.parametrize(
    "path",
    ["/sending/company/explode/", "/sending/999999/pause/", "/sending/nobody/pause/", f"/sending/{'9' * 40}/pause/",
     "/sending/all/try-now/", "/sending/-1/pause/"],
)  # fmt: skip
def test_what_is_no_account_or_action_is_not_found(admin, path):
    assert admin.post(path, {"why": WHY}).status_code == 404
    assert not AccountPause.history.exists()


def test_actions_want_a_csrf_token(anna):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(anna)
    response = strict.post("/sending/all/pause/", {"why": WHY})
    assert response.status_code == 403
    assert "The form was too old" in words(response)
    assert not AccountPause.history.exists()


def test_strangers_are_asked_to_sign_in(client):
    assert client.get("/sending/").url.startswith("/accounts/login/")
    assert client.post("/sending/all/pause/", {"why": WHY}).url.startswith("/accounts/login/")


def test_nothing_inline_on_the_page(admin):
    set_up_company()
    pause_by_form(admin)
    page = admin.get("/sending/").content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


# --- Pauses so far -------------------------------------------------------------------------------------


def history(response):
    page = response.content.decode()
    body = re.search(r'<table class="rows rows-free pauses">.*?<tbody>(.*?)</tbody>', page, re.DOTALL).group(1)
    return [words(row) for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)]


def test_history_names_who_paused_why_and_who_resumed(admin, anna, ben):
    pause_by_form(admin)
    pausing.resume(pausing.ALL, by=ben)
    old = hold("fault", explanation="The mail server refused the connection.")
    AccountPause.history.filter(pk=old.pk).update(ended_at=timezone.now())
    hold("limit", until=ahead(minutes=1), explanation="The limit is reached.")
    pause_by_form(admin, ben.pk, why="Ben changed his password")
    rows = history(admin.get("/sending/"))
    assert len(rows) == 3
    assert "Ben changed his password" in rows[0]
    assert "Anna Lindqvist" in rows[0]
    assert "still paused" in rows[0]
    assert "a set-up fault" in rows[1]
    assert "a try that got through" in rows[1]
    assert f"All sending {WHY}" in rows[2] or WHY in rows[2]
    assert rows[2].endswith("Anna Lindqvist Ben Okoro")


@pytest.mark.slow
def test_history_comes_in_pages_of_twenty(admin, anna):
    for number in range(45):
        AccountPause.history.create(
            kind="all", since=timezone.now() - dt.timedelta(days=number), ended_at=timezone.now(), ended_by=anna,
            by=anna, reason=said(f"Reason number {number}."),
        )  # fmt: skip
    assert [len(history(admin.get(f"/sending/?page={number}"))) for number in (1, 2, 3)] == [20, 20, 5]
    assert "Reason number 0." in history(admin.get("/sending/"))[0]
    assert "Reason number 44." in history(admin.get("/sending/?page=99"))[-1]
    for page in ("-1", "abc", "9" * 400):
        assert admin.get(f"/sending/?page={page}").status_code == 200


# --- Banners -------------------------------------------------------------------------------------------


def test_everybody_sees_on_every_page_that_a_person_paused(bens_browser, admin, anna, ben):
    until = ahead(days=1)
    pausing.pause(pausing.ALL, by=anna, why=WHY, until=until)
    pausing.pause(ben, by=anna, why="Ben changed his password")
    for path in ("/messages/", "/batches/", "/batches/new/"):
        page = words(bens_browser.get(path))
        assert f"All sending is paused by Anna Lindqvist until {moment(until)}: {WHY}" in page
        assert "Sending as Ben Okoro is paused by Anna Lindqvist until resumed: Ben changed his password" in page
        assert "Sending says since when, and whom to ask." in page
    pausing.resume(ben, by=anna)
    assert "Sending says whom to ask." in words(bens_browser.get("/messages/"))
    page = words(admin.get("/setup/email/"))
    assert WHY in page
    assert "Open Sending to resume it" in page


def test_banner_of_a_fault_says_when_it_is_tried_again_and_of_a_busy_server_that_it_asked(bens_browser):
    until = ahead(days=1)
    hold("fault", until=until, reason=Phrase("no-listener"))
    page = words(bens_browser.get("/messages/"))
    assert "Sending as the company is paused: The mail server refused the connection." in page
    assert f"tried again {moment(until)}" in page
    assert "Check server and port in Email Setup" in page
    AccountPause.objects.update(kind="busy", reason=said("The mail server asks to come back later."))
    page = words(bens_browser.get("/messages/"))
    assert f"The mail server asked Outtray to slow down: sending as the company resumes {moment(until)}" in page
    assert "Email Setup" not in page.partition("slow down")[2].partition("own words")[0][:300]


def test_limits_and_windows_are_normal_and_have_no_banner(bens_browser):
    hold("limit", until=ahead(minutes=1), explanation="The limit of 3 messages per minute is reached.")
    hold("window", until=ahead(minutes=1), explanation="Outside the sending window (x, UTC).")
    with CaptureQueriesContext(connection) as statements:
        page = words(bens_browser.get("/messages/"))
    assert "limit of 3" not in page
    assert "Outside the sending window" not in page
    assert sum("messaging_accountpause" in query["sql"] for query in statements) == 1


def test_banner_of_a_pause_costs_one_statement_more_than_none(bens_browser, anna):
    def statements():
        with CaptureQueriesContext(connection) as found:
            bens_browser.get("/batches/")
        return len(found)

    without = statements()
    for account in (pausing.ALL, None, anna):
        pausing.pause(account, by=anna, why=WHY)
    assert statements() == without + 1


# --- A message -----------------------------------------------------------------------------------------


def standing(browser, message):
    page = browser.get(f"/messages/{message.pk}/").content.decode()
    return words(page.partition('<div class="standing-words">')[2].partition('<div class="columns">')[0])


def test_message_says_first_what_its_account_waits_for(bens_browser, anna):
    message = make_message("c@example.com")
    limit = hold("limit", until=ahead(minutes=30), explanation="The limit of 30 messages per minute is reached.")
    told = f"Waits: the limit of 30 messages per minute is reached; resumes {end_of(limit)}."
    assert standing(bens_browser, message).startswith(told)
    pausing.pause(None, by=anna, why=WHY)
    told = standing(bens_browser, message)
    assert told.startswith(f"Waits: sending as the company is paused by Anna Lindqvist until resumed: {WHY}.")
    assert "The limit of 30 messages per minute is reached" in told
    pausing.pause(pausing.ALL, by=anna, why=WHY)
    assert standing(bens_browser, message).startswith("Waits: all sending is paused by Anna Lindqvist until resumed")


@pytest.mark.parametrize(
    ("kind", "explanation", "told"),
    [
        ("fault", "The mail server refused the connection.",
         "Waits: the mail server refused the connection. It is tried again {}."),
        ("busy", "The mail server asks to come back later.",
         "Waits: the mail server asked Outtray to slow down; resumes {}."),
        ("window", "Outside the sending window (Sun 10:00-11:00, UTC).",
         "Waits: outside the sending window (Sun 10:00-11:00, UTC); opens {}."),
    ],
)  # fmt: skip
def test_message_names_each_kind(bens_browser, kind, explanation, told):
    message = make_message("c@example.com")
    pause = hold(kind, until=ahead(days=1), explanation=explanation)
    assert standing(bens_browser, message).startswith(told.format(moment(pause.until)))


def test_pause_of_another_account_or_one_that_ends_before_does_not_matter(bens_browser, anna, ben):
    message = make_message("c@example.com")
    hold("person", account=ben, explanation=WHY, by=anna)
    assert standing(bens_browser, message).startswith("It is due and goes out")
    Message.objects.filter(pk=message.pk).update(not_before=ahead(days=2))
    hold("limit", until=ahead(minutes=2), explanation="The limit is reached.")
    assert standing(bens_browser, message).startswith("It goes out automatically from")


def test_what_waits_for_a_batch_waits_for_no_account(bens_browser, anna):
    message = make_message("c@example.com", due=False)
    pausing.pause(None, by=anna, why=WHY)
    assert standing(bens_browser, message).startswith("Waits in the queue for Batch Message Processing.")


def test_urgent_message_has_a_mark_and_passes_a_persons_pause(bens_browser, anna):
    message = make_message("c@example.com", urgent=True)
    make_message("d@example.com")
    Message.objects.update(not_before=timezone.now())
    message.refresh_from_db()
    assert message.urgent, "the gate takes it from the submission"
    assert bens_browser.get("/messages/").content.decode().count('class="urgent"') == 1
    assert 'class="urgent"' in bens_browser.get(f"/messages/{message.pk}/").content.decode()
    pausing.pause(pausing.ALL, by=anna, why=WHY)
    assert standing(bens_browser, message).startswith("It is due and goes out")
    hold("fault", until=ahead(minutes=5), explanation="The mail server refused the connection.")
    assert standing(bens_browser, message).startswith("Waits: the mail server refused the connection.")


def test_retry_is_told_with_the_time_until_which_it_is_tried(bens_browser):
    message = make_message("c@example.com")
    last = ahead(days=2)
    Message.objects.filter(pk=message.pk).update(
        tries=2, not_before=ahead(days=1), give_up_at=last, reason=said("The mailbox is full.")
    )
    told = standing(bens_browser, message)
    assert "(3 of 8)" in told
    assert f"It is tried until {moment(last)}." in told
    assert "Tried until" in words(bens_browser.get(f"/messages/{message.pk}/"))


def test_try_now_promises_only_what_will_happen(bens_browser, anna, woken):
    set_up_company()
    message = make_message("c@example.com")
    Message.objects.filter(pk=message.pk).update(tries=1, not_before=ahead(days=1))
    pause = pausing.pause(None, by=anna, why=WHY)
    page = words(bens_browser.post(f"/messages/{message.pk}/try-now/", follow=True))
    assert "It is tried now" not in page
    assert (
        f"goes out as soon as it can. Waits: sending as the company is paused by Anna Lindqvist until resumed: {WHY}"
        in page
    )
    page = bens_browser.get(f"/messages/{message.pk}/").content.decode()
    assert "try-now" not in page, "it is due already, and waits all the same"
    AccountPause.objects.filter(pk=pause.pk).delete()
    Message.objects.filter(pk=message.pk).update(not_before=ahead(days=1))
    assert "It is tried now." in words(bens_browser.post(f"/messages/{message.pk}/try-now/", follow=True))


def test_retry_promises_only_what_will_happen(bens_browser, anna, ben):
    set_up_company()
    message = make_message("c@example.com")
    message.recipients.update(status="failed")
    Message.objects.filter(pk=message.pk).update(**fitting(status="failed", not_before=None))
    pausing.pause(ben, by=anna, why=WHY)
    page = words(bens_browser.post(f"/messages/{message.pk}/retry/", follow=True))
    assert "Waits: sending as Ben Okoro is paused by Anna Lindqvist" in page
    assert "It is tried again now" not in page


def test_message_that_is_not_queued_asks_for_no_pauses(bens_browser, anna):
    message = make_message("c@example.com")
    Message.objects.filter(pk=message.pk).update(**fitting(status="sent", sent_at=timezone.now()))
    pausing.pause(None, by=anna, why=WHY)
    assert standing(bens_browser, message).startswith("Accepted by the mail server")


# --- Batches and the command -----------------------------------------------------------------------------


@pytest.fixture
def batch(anna, ben):
    set_up_company(per_minute=30)
    message = make_message("c@example.com", due=False)
    return batches.choose(Message.objects.filter(pk=message.pk), by=ben, account=ben)


def test_review_and_progress_name_a_limit(bens_browser, ben, batch):
    pause = hold("limit", account=ben, until=ahead(minutes=30),
                 explanation="The limit of 30 messages per minute is reached.")  # fmt: skip
    told = f"he limit of 30 messages per minute is reached; resumes {end_of(pause)}."
    assert f"T{told} You can confirm the batch; its messages wait until then." in words(
        bens_browser.get(f"/batches/{batch.pk}/")
    )
    page = words(bens_browser.post(f"/batches/{batch.pk}/confirm/", follow=True))
    assert f"Waits: t{told}" in page
    assert f"Waits: t{told}" in words(bens_browser.get(f"/batches/{batch.pk}/progress/"))
    Message.objects.update(**fitting(status="sent"))
    assert "Waits:" not in words(bens_browser.get(f"/batches/{batch.pk}/"))


def test_review_and_progress_name_who_paused_all(bens_browser, anna, batch):
    pausing.pause(pausing.ALL, by=anna, why=WHY)
    told = f"ll sending is paused by Anna Lindqvist until resumed: {WHY}."
    assert f"A{told} You can confirm" in words(bens_browser.get(f"/batches/{batch.pk}/"))
    bens_browser.post(f"/batches/{batch.pk}/confirm/")
    assert f"Waits: a{told}" in words(bens_browser.get(f"/batches/{batch.pk}/progress/"))


def test_review_says_limits_in_words(bens_browser, batch):
    page = words(bens_browser.get(f"/batches/{batch.pk}/"))
    assert "Messages per minute 30 company settings" in page
    assert "Messages per hour no limit built-in default" in page
    assert "Sending window always built-in default" in page


def run_command(capsys, **options):
    with pytest.raises(SystemExit) as end:
        call_command("process_queue", **options)
    return end.value.code, capsys.readouterr().out


def test_process_queue_claims_no_success_while_a_person_paused(anna, mail_server, capsys):
    set_up(mail_server)
    until = ahead(days=1)
    pausing.pause(None, by=anna, why=WHY, until=until)
    for _ in range(2):
        make_message("c@example.com", due=False)
    code, told = run_command(capsys)
    assert code == 1
    assert "2 messages are not sent yet; the worker continues with them." in told
    assert f"Waits: sending as the company is paused by Anna Lindqvist until {moment(until)}: {WHY}." in told
    assert mail_server.received == []


def test_process_queue_says_what_a_limit_left_over(anna, mail_server, capsys):
    set_up(mail_server, per_hour=2)
    for _ in range(3):
        make_message("c@example.com", due=False)
    code, told = run_command(capsys)
    assert code == 1
    assert "2 sent" in told
    assert "1 message is not sent yet" in told
    assert "Waits: the limit of 2 messages per hour is reached; resumes " in told
    assert len(mail_server.received) == 2
