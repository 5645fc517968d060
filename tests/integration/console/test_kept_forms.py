"""What a user types survives the end of their session: sent in vain, kept, and there again after the sign-in."""

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django.test import Client

from messaging import housekeeping
from messaging.access import kept_forms, roles
from messaging.compose.letters import Letter, raw_of
from messaging.console.form_refill import fill_in
from messaging.console.history import ATTACHMENTS
from messaging.content.uploads import File
from messaging.intake.addresses import Mailbox
from messaging.intake.gate import Submission, accept
from messaging.models import Heartbeat, KeptForm, Message, UserSession
from tests.factories import browser_of, fitting, make_message, make_user, put
from tests.pages import source, words
from tests.steps import in_threads

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]
PASSWORD = "correct horse battery"
LOGIN, NEW = "/accounts/login/", "/messages/new/"
HERE = "http://testserver"
TYPED = {"to": "kim@example.com", "subject": "Offer <b>", "text": "Dear Kim,\r\n\r\n“Yes” & no."}


class Form(HTMLParser):
    """What a browser would send of the form with an action; its first of these."""

    def __init__(self, response, action):
        super().__init__()
        self.action, self.fields, self.within, self.done = action, {}, False, False
        self.name, self.text = None, []
        self.feed(response.content.decode())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form" and not self.done and given.get("method") == "post":
            self.within = given.get("action", self.action).partition("#")[0] == self.action
        if not self.within:
            return
        name, kind = given.get("name"), given.get("type", "text")
        if tag == "input" and name and (kind not in ("checkbox", "radio") or "checked" in given) and kind != "file":
            self.fields.setdefault(name, []).append(given.get("value", "on" if kind == "checkbox" else ""))
        if tag in ("select", "textarea"):
            self.name, self.text = name, []
        if tag == "option" and ("selected" in given or self.name not in self.fields):
            self.fields[self.name] = [given["value"]]

    def handle_data(self, data):
        self.text.append(data)

    def handle_endtag(self, tag):
        if tag == "form" and self.within:
            self.within, self.done = False, True
        if tag == "textarea" and self.within:
            self.fields[self.name] = [re.sub(r"^\r?\n", "", "".join(self.text))]


def opened(browser, page):
    """The fields of the form of a page, as it is shown."""
    return {name: values for name, values in Form(browser.get(page), page).fields.items() if values != [""]}


def time_out():
    UserSession.objects.all().delete()


def sends(browser, page, **typed):
    """Fill in the form of a page, and send it when the session is over; where the browser is led."""
    fields = opened(browser, page) | typed
    time_out()
    return browser.post(page, fields, headers={"Referer": f"{HERE}{page}"})


def signs_in(browser, led, name="anna"):
    """Sign in where the browser was led to; the page after that."""
    page = browser.get(led["Location"])
    after = Form(page, "").fields["next"][0] if 'name="next"' in page.content.decode() else ""
    return browser.post(LOGIN, {"username": name, "password": PASSWORD, "next": after}, follow=True)


@pytest.fixture
def anna(operator):
    operator.set_password(PASSWORD)
    operator.save()
    return operator


@pytest.fixture
def annas(anna):
    return browser_of(anna)


def test_message_that_was_sent_too_late_is_filled_in_again_after_the_sign_in(annas):
    led = sends(annas, NEW, **TYPED, do="queue")
    assert led["Location"].startswith(f"{LOGIN}?next=/messages/new/%3Fkept%3D")
    assert "What you typed is kept for a day. Sign in, and it is there again." in words(annas.get(led["Location"]))
    assert not Message.objects.exists()
    page = signs_in(annas, led)
    assert "This was not done, because you were signed out. What you typed is here again" in words(page)
    again = Form(page, NEW).fields
    assert {name: again[name][0] for name in TYPED} == TYPED
    assert annas.post(NEW, again | {"do": "queue"}).status_code == 302
    message = Message.objects.get()
    assert (message.subject, message.recipients.get().address) == ("Offer <b>", "kim@example.com")


def test_only_its_user_gets_it_back(annas):
    led = sends(annas, NEW, **TYPED)
    page = signs_in(annas, led, make_user("ben", password=PASSWORD).username)
    assert page.status_code == 200
    assert "kim@example.com" not in page.content.decode()
    annas.post("/accounts/logout/")
    assert Form(signs_in(annas, led), NEW).fields["to"] == [TYPED["to"]]


def test_files_are_named_that_have_to_be_picked_again(annas):
    led = sends(annas, NEW, **TYPED, files=[SimpleUploadedFile("plan.pdf", b"%PDF"), SimpleUploadedFile("b.txt", b"b")])
    assert "Pick these files again: plan.pdf, b.txt." in words(signs_in(annas, led))


def test_files_that_were_kept_before_are_still_attached(annas):
    file = SimpleUploadedFile("plan.pdf", b"%PDF")
    refused = annas.post(NEW, opened(annas, NEW) | {"to": "", "do": "send", "files": [file]})
    assert refused.status_code == 422
    fields = Form(refused, NEW).fields | TYPED
    time_out()
    page = signs_in(annas, annas.post(NEW, fields))
    assert "plan.pdf" in words(page)
    assert Form(page, NEW).fields["kept"] == fields["kept"]


REFUSED = "550 5.1.1 no such mailbox here"


@pytest.fixture
def refused(annas, recording, mail_server):
    """The page of a message that the server refused, which is recorded as failed."""
    mail_server.replies["kim@example.com"] = REFUSED
    page = annas.post(NEW, opened(annas, NEW) | TYPED | {"do": "send"})
    assert (page.status_code, Message.objects.get().status) == (422, "failed")
    return page


@pytest.mark.parametrize("do", ["send", "queue"])
def test_form_of_a_refused_message_still_takes_its_place_after_the_sign_in(annas, refused, mail_server, do):
    record = Message.objects.get()
    time_out()
    page = signs_in(annas, annas.post(NEW, Form(refused, NEW).fields | {"do": do}))
    assert "This message takes the place of the one that was not sent." in words(page)
    assert f'href="/messages/{record.pk}/"' in source(page)
    mail_server.replies.clear()
    assert annas.post(NEW, Form(page, NEW).fields | {"do": do}).status_code == 302
    record.refresh_from_db()
    assert (record.status, record.reason.key) == ("cancelled", "written-again")
    assert Message.objects.exclude(pk=record.pk).count() == 1


def test_form_of_a_refused_message_that_was_retried_during_the_sign_in_sends_nothing_beside_it(annas, refused):
    record = Message.objects.get()
    time_out()
    page = signs_in(annas, annas.post(NEW, Form(refused, NEW).fields))
    annas.post(f"/messages/{record.pk}/retry/")
    assert annas.post(NEW, Form(page, NEW).fields | {"do": "send"}).status_code == 422
    assert list(Message.objects.values_list("pk", "status")) == [(record.pk, "queued")]


@pytest.mark.parametrize("earlier", ["0", "x", "9" * 30, ""])
def test_form_that_names_no_message_of_its_user_takes_the_place_of_none(annas, ben, earlier):
    theirs = put(make_message("kim@example.com", author=ben, due=False), **fitting(status="failed"))
    fields = opened(annas, NEW) | TYPED
    time_out()
    page = signs_in(annas, annas.post(NEW, fields | {"earlier": earlier or str(theirs.pk)}))
    assert "takes the place" not in words(page)
    assert Form(page, NEW).fields["to"] == [TYPED["to"]]


def test_edit_that_was_saved_too_late_is_there_again(annas):
    message = make_message("kim@example.com", due=False)
    page = signs_in(annas, sends(annas, f"/messages/{message.pk}/edit/", subject="Corrected", text="Another text"))
    again = Form(page, f"/messages/{message.pk}/edit/").fields
    assert (again["subject"], again["text"]) == (["Corrected"], ["Another text"])
    message.refresh_from_db()
    assert message.subject != "Corrected"


# --- An edit with attachments ---------------------------------------------------------------------------------


def with_files(author, *names):
    """A message with these attachments, and the page of its form."""
    sender = Mailbox("Office", "office@brightwater.example")
    files = [File(name, "application/pdf", name.encode()) for name in names]
    letter = Letter(sender, [Mailbox("Bo", "b@example.com")], subject="Plans", text="Hello\n", files=files)
    message = accept(Submission(raw_of(letter), sender.address, letter.recipients, author=author))
    return message, f"/messages/{message.pk}/edit/"


def files_of(message):
    return list(message.attachments.values_list("filename", flat=True))


def saved_too_late(browser, page, form):
    """Save a form of that page after the session was over; the page that its user finds after the sign-in."""
    time_out()
    return signs_in(browser, browser.post(page, form, headers={"Referer": f"{HERE}{page}"}))


def ticked(page, path):
    """The names of the attachments that stay, as the page says it."""
    boxes = re.findall(r'name="stay" value="\d+"( checked)?.*?class="file-name">([^<]*)', source(page))
    assert boxes and path == page.request["PATH_INFO"]
    return [name for checked, name in boxes if checked]


def test_edit_that_was_saved_too_late_takes_out_the_same_attachments(annas, anna):
    message, page = with_files(anna, "a.pdf", "b.pdf", "c.pdf")
    again = saved_too_late(annas, page, Form(annas.get(page), page).fields | {"stay": ["1", "3"]})
    assert again.status_code == 200
    assert ticked(again, page) == ["a.pdf", "c.pdf"]
    assert annas.post(page, Form(again, page).fields).status_code == 302
    assert files_of(message) == ["a.pdf", "c.pdf"]


def test_edit_that_was_saved_too_late_knows_attachments_by_name_when_another_user_took_out_some(annas, anna, ben):
    message, page = with_files(anna, "a.pdf", "b.pdf", "c.pdf")
    form = Form(annas.get(page), page).fields | {"stay": ["1", "3"], "text": ["Hello again"]}  # b.pdf is taken out
    bens = browser_of(ben)
    assert bens.post(page, Form(bens.get(page), page).fields | {"stay": ["2", "3"]}).status_code == 302
    again = saved_too_late(annas, page, form)
    assert "the message was edited in the meantime" in words(again)
    assert ticked(again, page) == ["c.pdf"]
    assert annas.post(page, Form(again, page).fields).status_code == 302
    assert files_of(message) == ["c.pdf"]


def test_edit_that_was_saved_too_late_asks_where_both_changed_the_same(annas, anna, ben):
    _, page = with_files(anna, "a.pdf")
    form = Form(annas.get(page), page).fields | {"subject": ["Annas"]}
    bens = browser_of(ben)
    assert bens.post(page, Form(bens.get(page), page).fields | {"subject": ["Bens"]}).status_code == 302
    again = saved_too_late(annas, page, form)
    assert 'name="take-subject"' in source(again)
    assert Form(again, page).fields["subject"] == ["Annas"]


@pytest.mark.slow
def test_edit_that_was_saved_too_late_keeps_what_was_taken_out_on_another_page_of_the_attachments(annas, anna):
    names = [f"{number:03}.pdf" for number in range(1, ATTACHMENTS + 4)]
    message, page = with_files(anna, *names)
    first = Form(annas.get(page), page).fields
    first["stay"].remove("5")
    second = Form(annas.post(page, first | {"files_to": "2"}), page).fields
    second["stay"].remove(str(ATTACHMENTS + 1))
    again = saved_too_late(annas, page, second)
    assert ticked(again, page) == names[-2:]
    assert "of the others 1 is removed when you save" in words(again)
    assert annas.post(page, Form(again, page).fields).status_code == 302
    assert files_of(message) == [name for name in names if name not in (names[4], names[ATTACHMENTS])]


@pytest.mark.slow
def test_page_of_the_attachments_that_was_turned_too_late_is_there_after_the_sign_in(annas, anna):
    names = [f"{number:03}.pdf" for number in range(1, ATTACHMENTS + 4)]
    _, page = with_files(anna, *names)
    first = Form(annas.get(page), page).fields
    first["stay"].remove("5")
    again = saved_too_late(annas, page, first | {"files_to": "2"})
    assert ticked(again, page) == names[ATTACHMENTS:]
    assert "of the others 1 is removed when you save" in words(again)


def test_edit_that_was_saved_too_late_for_any_says_so_and_keeps_what_was_typed(annas, anna):
    message, page = with_files(anna, "a.pdf")
    form = Form(annas.get(page), page).fields | {"text": ["Hello again"]}
    put(message, **fitting(status="cancelled"))
    again = saved_too_late(annas, page, form)
    assert again.status_code == 409
    assert "Nothing was saved." in words(again)
    assert "Hello again</textarea>" in source(again)


# --- Every form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "typed"), [
    ("/setup/email/", {"host": "smtp.new.example", "port": "2525", "auth_type": "tls-implicit"}),
    ("/setup/options/", {"company_name": "Bright & Söhne", "failed_to_company": "on", "language": "en-us"}),
    ("/setup/schedules/new/", {"name": "Evening", "kind": "crontab", "crontab": "0 17 * * *"}),
    ("/setup/users/", {"username": "vera", "email": "vera@office.example", "role": roles.VIEWER}),
    ("/preferences/email/", {"from_address": "me@office.example"}),
])  # fmt: skip
def test_every_form_is_filled_in_again(annas, anna, page, typed):
    roles.give(anna, roles.ADMIN)
    after = signs_in(annas, sends(annas, page, **typed))
    again = Form(after, page).fields
    assert {name: again[name][0] for name in typed} == typed


def test_ticks_that_were_taken_away_stay_away(annas, anna):
    roles.give(anna, roles.ADMIN)
    fields = opened(annas, "/setup/options/")
    ticked = [name for name, values in fields.items() if values == ["on"]]
    assert ticked
    time_out()
    fields = {name: values for name, values in fields.items() if name not in ticked}
    page = signs_in(annas, annas.post("/setup/options/", fields))
    assert not set(ticked) & set(Form(page, "/setup/options/").fields)


def test_passwords_are_not_kept_and_have_to_be_entered_again(annas, anna):
    roles.give(anna, roles.ADMIN)
    led = sends(annas, "/setup/users/", username="vera", password="extremely secret", role=roles.VIEWER)
    assert "extremely secret" not in str(list(KeptForm.objects.values()))
    page = signs_in(annas, led)
    assert "Enter passwords again." in words(page)
    assert "extremely secret" not in page.content.decode()


def test_button_that_was_pressed_too_late_leads_back_to_its_page(annas):
    message = make_message("kim@example.com", due=False)
    page = f"/messages/{message.pk}/"
    fields = opened(annas, page)
    time_out()
    led = annas.post(f"{page}hold/", fields | {"why": "Not yet"}, headers={"Referer": f"{HERE}{page}"})
    after = signs_in(annas, led)
    assert (after.status_code, after.request["PATH_INFO"]) == (200, page)
    message.refresh_from_db()
    assert message.status == "queued"


def test_form_that_is_not_there_any_more_is_shown_as_text(annas):
    message = make_message("kim@example.com", due=False)
    led = sends(annas, f"/messages/{message.pk}/edit/", text="A long <correction>")
    Message.objects.all().delete()
    page = signs_in(annas, led)
    assert "the form that you typed it into is no longer there" in words(page)
    assert "A long &lt;correction&gt;" in page.content.decode()


def test_what_htmx_sends_while_a_user_types_is_kept_too(annas, anna):
    roles.give(anna, roles.ADMIN)
    fields = opened(annas, "/setup/schedules/new/") | {"name": "Evening"}
    time_out()
    header = {"HX-Request": "true", "HX-Current-URL": f"{HERE}/setup/schedules/new/"}
    led = annas.post("/setup/schedules/preview/", fields, headers=header)
    assert led["HX-Redirect"].startswith(LOGIN)
    page = annas.post(f"{led['HX-Redirect']}", {"username": "anna", "password": PASSWORD}, follow=True)
    assert Form(page, "/setup/schedules/new/").fields["name"] == ["Evening"]


# --- The token of another session ---------------------------------------------------------------------------


def strict(user):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    return browser


def token_of(page):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())[1]


def signs_in_strictly(browser, led=LOGIN, name="anna"):
    page = browser.get(led)
    form = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": token_of(page)}
    return browser.post(led, form | {"next": Form(page, "").fields.get("next", [""])[0]})


def test_user_who_signed_in_again_in_another_tab_gets_the_form_again(anna):
    browser = strict(anna)
    fields = opened(browser, NEW) | TYPED | {"do": "queue"}
    browser.cookies.pop("sessionid")  # another tab
    signs_in_strictly(browser)
    response = browser.post(NEW, fields, headers={"Referer": f"{HERE}{NEW}"})
    assert response["Location"].startswith(f"{NEW}?kept=")
    again = Form(browser.get(response["Location"]), NEW).fields
    assert again["text"] == [TYPED["text"]]
    again |= {"do": "queue", "csrfmiddlewaretoken": token_of(browser.get(NEW))}
    assert browser.post(NEW, again).status_code == 302
    assert Message.objects.count() == 1


@pytest.mark.parametrize("forgets", [["sessionid"], ["sessionid", "csrftoken"]])
def test_form_without_a_session_is_kept_with_and_without_the_cookie_of_its_token(anna, forgets):
    browser = strict(anna)
    fields = opened(browser, NEW) | TYPED
    for name in forgets:
        del browser.cookies[name]
    led = browser.post(NEW, fields, headers={"Referer": f"{HERE}{NEW}"})
    assert led["Location"].startswith(LOGIN)
    page = browser.get(signs_in_strictly(browser, led["Location"])["Location"])
    assert Form(page, NEW).fields["text"] == [TYPED["text"]]


def test_form_of_another_user_is_refused_and_not_kept(anna, ben):
    browser = strict(anna)
    fields = opened(browser, NEW) | TYPED
    browser.cookies.pop("sessionid")
    signs_in_strictly(browser, name=ben.username)
    assert browser.post(NEW, fields).status_code == 403
    assert not KeptForm.objects.exists()


def test_sign_in_with_an_old_token_may_be_tried_again(anna):
    browser = Client(enforce_csrf_checks=True)
    token = token_of(browser.get(LOGIN))
    del browser.cookies["csrftoken"]
    form = {"username": "anna", "password": PASSWORD, "csrfmiddlewaretoken": token}
    response = browser.post(f"{LOGIN}?next=/batches/", form, headers={"Origin": HERE})
    assert response["Location"] == f"{LOGIN}?next=/batches/"


@pytest.mark.parametrize("page", ["//evil.example/x", "/\\evil.example/x"])
@pytest.mark.parametrize("htmx", [False, True])
def test_a_form_with_an_old_token_leads_to_no_other_site(annas, page, htmx):
    fields = {kept_forms.OWNER: opened(annas, NEW)[kept_forms.OWNER]}
    browser = Client(enforce_csrf_checks=True)
    browser.cookies = annas.cookies
    headers = {"HX-Request": "true", "HX-Current-URL": f"{HERE}{page}"} if htmx else {"Referer": f"{HERE}{page}"}
    response = browser.post("/accounts/logout/", fields, headers=headers)
    assert response.get("Location" if not htmx else "HX-Redirect") == "/accounts/logout/"


# --- Limits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["", "1", "1:1vQ0000:nonsense", "x" * 5000, "1:1:1:1", "\0"])
def test_nothing_is_kept_for_strangers(client, anna, owner):
    response = client.post(NEW, TYPED | {kept_forms.OWNER: owner})
    assert response["Location"] == f"{LOGIN}?next=/messages/"
    assert not KeptForm.objects.exists()


def test_sign_in_after_a_very_long_address_has_one_that_the_web_server_takes(client, db):
    location = client.get("/messages/", {"q": '"' * 2600})["Location"]
    assert location == f"{LOGIN}?next=/messages/"


def test_of_each_user_the_latest_five_are_kept(annas):
    fields = opened(annas, NEW)
    time_out()
    for number in range(8):
        annas.post(NEW, fields | TYPED | {"subject": f"No. {number}"})
    kept = {row.fields["subject"][0] for row in KeptForm.objects.all()}
    assert kept == {"No. 3", "No. 4", "No. 5", "No. 6", "No. 7"}


@pytest.mark.postgresql
@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_of_many_at_one_moment_five_are_kept_as_well(anna):
    def keep():
        kept_forms.keep(kept_forms.Owner(anna.pk, ""), NEW, {"text": ["x"]}, [])

    assert in_threads(20, keep) == []
    assert KeptForm.objects.count() == 5


def test_octets_that_no_database_takes_are_left_out(annas):
    assert sends(annas, NEW, **TYPED, **{"a\0b": "c\0d"}).status_code == 302
    assert KeptForm.objects.get().fields["ab"] == ["cd"]


def test_what_is_too_long_is_not_kept(annas):
    led = sends(annas, NEW, **TYPED | {"text": "x" * 1_000_001})
    assert led["Location"] == f"{LOGIN}?next=/messages/new/"
    assert not KeptForm.objects.exists()


def test_form_of_a_user_who_was_deactivated_is_not_kept(annas, anna):
    fields = opened(annas, NEW)
    anna.is_active = False
    anna.save()
    annas.post(NEW, fields | TYPED)
    assert not KeptForm.objects.exists()


# --- A form that a stranger planted, who saw the source of a page of its user ------------------------------------


def plant(owner, path, page, **fields):
    """What a browser without a session sends; the page that its user is to be led to."""
    led = Client().post(path, fields | {kept_forms.OWNER: owner}, headers={"Referer": f"{HERE}{page}"})
    return QueryDict(urlsplit(led["Location"]).query)["next"]


def test_planted_form_fills_nothing_that_decides_what_is_acted_upon(annas):
    put(make_message("kim@example.com", subject="Boilers", due=False), **fitting(status="held"))
    page = "/messages/?status=held&q=Boilers"
    shown = Form(annas.get(page), "/messages/bulk/").fields
    fields = {"filter": "status=all", "as_of": "9-9-9-9__9_", "all_matching": "1", "action": "cancel"}
    led = plant(shown[kept_forms.OWNER][0], "/messages/bulk/", page, **fields, **{"cancel-why": "Planted"})
    again = annas.get(led)
    assert "This was not done, because you were signed out" in words(again)
    filled = Form(again, "/messages/bulk/").fields
    assert filled["cancel-why"] == ["Planted"]
    assert filled["filter"] == shown["filter"]
    assert filled["as_of"] == shown["as_of"]
    assert "kept=" not in again.text.partition("<main")[2]


def test_form_is_filled_in_on_the_page_alone_that_it_was_made_on(annas):
    message = make_message("kim@example.com", due=False)
    owner = Form(annas.get("/messages/"), "/messages/bulk/").fields[kept_forms.OWNER][0]
    url = f"/messages/{message.pk}/"
    again = annas.get(plant(owner, f"{url}hold/", url, why="Planted"))
    assert "the form that you typed it into is no longer there" in words(again)
    assert "Planted" in words(again)
    assert "<form" not in again.text.partition("<main")[2]


def test_form_ends_with_the_password_of_its_user(annas, anna):
    owner = opened(annas, NEW)[kept_forms.OWNER][0]
    anna.set_password("another battery staple")
    anna.save()
    assert plant(owner, NEW, NEW, **TYPED) == "/messages/new/"
    assert not KeptForm.objects.exists()


def test_form_survives_a_new_key_where_the_old_one_is_still_taken(annas, settings):
    fields = opened(annas, NEW) | TYPED
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    time_out()
    page = signs_in(annas, annas.post(NEW, fields))
    assert Form(page, NEW).fields["text"] == [TYPED["text"]]


def test_form_of_a_part_that_htmx_loaded_belongs_to_its_page(annas):
    make_message("kim@example.com", due=False)
    page = "/messages/?status=queued"
    part = annas.get(page, headers={"HX-Request": "true", "HX-Current-URL": f"{HERE}{page}"})
    fields = Form(part, "/messages/bulk/").fields | {"action": "hold", "hold-why": "Not yet", "all_matching": "1"}
    time_out()
    again = signs_in(annas, annas.post("/messages/bulk/", fields, headers={"Referer": f"{HERE}{page}"}))
    filled = Form(again, "/messages/bulk/").fields
    assert (filled["hold-why"], filled["all_matching"]) == (["Not yet"], ["1"])


def test_order_that_was_sent_too_late_is_for_what_the_page_shows_now(annas):
    message = make_message("kim@example.com", due=False)
    page, url = f"/messages/{message.pk}/", f"/messages/{message.pk}/cancel/"
    fields = Form(annas.get(page), url).fields | {"why": "Sent by post"}
    message.attempts.create(fence=1, started_at=message.created_at, stage="end", outcome="transient")
    time_out()
    again = signs_in(annas, annas.post(url, fields, headers={"Referer": f"{HERE}{page}"}))
    filled = Form(again, url).fields
    assert filled["why"] == ["Sent by post"]
    assert "Cancelled" in words(annas.post(url, filled, follow=True))


def test_form_is_forgotten_after_a_day(annas, clock):
    Heartbeat.objects.create(name="sweep", at=clock())
    led = sends(annas, NEW, **TYPED)
    clock.goes_on(hours=23)
    housekeeping.tidy(clock())
    assert KeptForm.objects.exists()
    Heartbeat.objects.update(at=clock.goes_on(hours=1, seconds=1))
    assert TYPED["to"] not in source(signs_in(annas, led))
    housekeeping.tidy(clock())
    assert not KeptForm.objects.exists()


@pytest.mark.parametrize(
    "wanted", ["https://evil.example/", "//evil.example/a", "javascript:alert(1)", "http://testserver.evil.example/"]
)
def test_nobody_is_led_to_another_site(annas, wanted):
    fields = opened(annas, NEW)
    time_out()
    led = annas.post(NEW, fields | TYPED, headers={"Referer": wanted})
    assert "evil" not in led["Location"] and "javascript" not in led["Location"]


# --- The page that is filled in -----------------------------------------------------------------------------

FORM = '<form method="post" action="/a/">{}</form>'


@pytest.mark.parametrize(("html", "fields", "filled"), [
    ('<input type="hidden" name="on" value="1"><button name="do" value="x">', {"on": ["0"], "do": ["y"]},
     '<input type="hidden" name="on" value="1"><button name="do" value="x">'),
    ('<input type="hidden" name="version" value="2"><input name="a">', {"version": ["1"], "a": ["x"]},
     '<input type="hidden" name="version" value="1"><input name="a" value="x">'),
    ('<input type="hidden" name="company_version" value="2"><input type="hidden" name="key" value="k"><input name="a">',
     {"company_version": ["1"], "key": ["l"], "a": ["x"]},
     '<input type="hidden" name="company_version" value="1"><input type="hidden" name="key" value="l">'
     '<input name="a" value="x">'),
    ('<input type="hidden" name="filter" value="2"><input name="a">', {"filter": ["1"], "a": ["x"]},
     '<input type="hidden" name="filter" value="2"><input name="a" value="x">'),
    ('<input type="HIDDEN" name="filter" value="2"><input name="a">', {"filter": ["1"], "a": ["x"]},
     '<input type="HIDDEN" name="filter" value="2"><input name="a" value="x">'),
    ('<input name="a" value="1">', {"a": ['"><script>']}, '<input name="a" value="&quot;&gt;&lt;script&gt;">'),
    ('<textarea name="a">old &amp; new</textarea>', {"a": ["</textarea><b>"]},
     '<textarea name="a">\n&lt;/textarea&gt;&lt;b&gt;</textarea>'),
    ('<input name="a"><input name="a">', {"a": ["1", "2"]}, '<input name="a" value="1"><input name="a" value="2">'),
    ('<input type="checkbox" name="a" value="x" checked>', {}, '<input type="checkbox" name="a" value="x">'),
    ('<select name="a"><option value="1" selected><option value="2"></select>', {"a": ["2"]},
     '<select name="a"><option value="1"><option value="2" selected></select>'),
    ('<input type="password" name="a"><input type="file" name="a">', {"a": ["1"]},
     '<input type="password" name="a"><input type="file" name="a">'),
    ('<input type="hidden" name="csrfmiddlewaretoken" value="t">', {"csrfmiddlewaretoken": ["old"]},
     '<input type="hidden" name="csrfmiddlewaretoken" value="t">'),
    ('<details><input name="a"></details>', {"a": ["1"]}, '<details open=""><input name="a" value="1"></details>'),
    ('<details><input name="a"></details><input name="b">', {"a": [""], "b": ["1"]},
     '<details><input name="a" value=""></details><input name="b" value="1">'),
    ('<details><input type="hidden" name="key"></details><input name="b">', {"key": ["1"], "b": ["1"]},
     '<details><input type="hidden" name="key" value="1"></details><input name="b" value="1">'),
    ('<details><input type="checkbox" name="a"></details><details><input type="checkbox" name="b"></details>',
     {"a": ["on"]},
     '<details open=""><input type="checkbox" name="a" checked></details>'
     '<details><input type="checkbox" name="b"></details>'),
    ('<p>é ✓ &amp;</p>\r\n<input name="b">', {"a": ["1"]}, '<p>é ✓ &amp;</p>\r\n<input name="b">'),
])  # fmt: skip
def test_form_is_filled_in_and_nothing_else_changes(html, fields, filled):
    assert fill_in(f"<b>\n{FORM.format(html)}\n</b>", "/", "/a/", fields) == f"<b>\n{FORM.format(filled)}\n</b>"


def test_form_that_a_page_keeps_folded_is_opened():
    html = f"<details><p></p></details><details class='more'>{FORM}</details>".replace("{}", '<input name="a">')
    filled = fill_in(html, "/", "/a/", {"a": ["1"]})
    assert filled == (
        "<details><p></p></details>"
        '<details class="more" open=""><form method="post" action="/a/"><input name="a" value="1"></form></details>'
    )


def test_of_two_forms_the_one_that_is_typed_into_is_filled_in():
    button = FORM.format('<input type="hidden" name="a" value="1"><button>')
    filled = fill_in(button + FORM.format('<input name="a">'), "/", "/a/", {"a": ["2"]})
    assert filled == button + FORM.format('<input name="a" value="2">')


def test_form_that_its_view_fills_in_is_left_as_it_is():
    html = FORM.replace("<form", "<form data-own-filling").format('<input name="a" value="1">')
    assert fill_in(html, "/", "/a/", {"a": ["2"]}) == html


def test_page_without_the_form_is_left_alone():
    assert fill_in(FORM.format('<input name="a">'), "/", "/b/", {"a": ["1"]}) is None
    assert fill_in(FORM.replace("post", "get").format(""), "/", "/a/", {}) is None
