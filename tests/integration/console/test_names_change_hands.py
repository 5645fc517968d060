"""A user name goes to another person while a page about its owner is open: nothing is saved for the wrong one."""

import pytest

from messaging import users
from messaging.access import policy
from messaging.access.kept_forms import OWNER
from messaging.models import EmailSettings, KeptForm, Message, Schedule, UserSession
from tests.factories import make_user
from tests.pages import filled, source, words

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]

PAGE = "/setup/email/users/uma/"
IS_ANOTHERS = "Nothing was done: “uma” is now the name of another user. Open the settings of the user you mean."


@pytest.fixture
def uma():
    return make_user("uma", "uma@office.example", first_name="Uma", last_name="Old")


def rename(uma, by):
    """Another person gets the name; that person."""
    users.change(uma, {"username": "uma.old"}, by=by)
    return make_user("uma", "uma.new@office.example", first_name="Uma", last_name="New")


def test_settings_are_not_saved_for_who_has_the_name_now(admin, operator, uma):
    form = filled(admin, PAGE, within="ehlo_name", username="uma@mail.example.org", password="secret")
    rename(uma, operator)
    led = admin.post(PAGE, form, follow=True)
    assert IS_ANOTHERS in words(led)
    assert "Uma Old" in words(led) and "Uma New" in words(led)
    assert not EmailSettings.objects.exclude(account=None).exists()
    form = filled(admin, PAGE, within="ehlo_name", username="uma.new@mail.example.org")
    assert admin.post(PAGE, form)["Location"] == PAGE
    assert EmailSettings.objects.exclude(account=None).get().account.last_name == "New"


@pytest.mark.parametrize(("what", "within"), [("check/", "account_key"), ("test/", "recipient")])
def test_settings_of_who_has_the_name_now_are_not_tried(admin, operator, uma, mail_server, what, within):
    form = filled(admin, PAGE, within=within, recipient="me@example.com")
    rename(uma, operator)
    assert IS_ANOTHERS in words(admin.post(f"{PAGE}{what}", form, follow=True))
    assert mail_server.received == [] and not Message.objects.exists()


@pytest.mark.parametrize("htmx", [False, True])
def test_nobody_begins_to_sign_in_for_who_has_the_name_now(admin, operator, uma, htmx):
    EmailSettings.objects.create(
        account=uma,
        send_type=2,
        sign_in="microsoft-user",
        tenant="office.example",
        client_id="x",
        username="u@a.example",
    )
    page = f"{PAGE}sign-in/"
    form = filled(admin, page, within="account_key")
    rename(uma, operator)
    response = admin.post(page, form | {"begin": "1"}, headers={"HX-Request": "true"} if htmx else {})
    assert response["HX-Redirect" if htmx else "Location"] == "/setup/email/users/"
    assert IS_ANOTHERS in words(admin.get("/setup/email/users/"))


def test_form_that_was_kept_over_a_sign_in_is_not_filled_in_for_who_has_the_name_now(admin, operator, uma):
    form = filled(admin, PAGE, within="ehlo_name", username="uma@mail.example.org")
    UserSession.objects.all().delete()
    admin.post(PAGE, form)
    rename(uma, operator)
    admin.force_login(operator)
    shown = admin.get(f"{PAGE}?kept={KeptForm.objects.get().key}")
    assert "the form that you typed it into is no longer there" in words(shown)
    assert "uma@mail.example.org" in words(shown)
    assert OWNER not in shown.text.partition("<main")[2]


def test_schedule_sends_with_the_account_that_was_chosen(admin, operator, uma):
    form = filled(admin, "/setup/schedules/new/", within="times", name="Evening", times="17:00", account=str(uma.pk))
    rename(uma, operator)
    assert admin.post("/setup/schedules/new/", form).status_code == 302
    assert Schedule.objects.get().account == uma


def test_senders_are_not_listed_for_who_has_the_name_now(admin, operator, uma):
    page, line = "/setup/email/users/", "uma director@office.example"
    form = filled(admin, page, within="user_senders", user_senders=line)
    new = rename(uma, operator)
    refused = admin.post(page, form)
    assert refused.status_code == 422 and "“uma” may not be the user you mean" in words(refused)
    assert line in source(refused), "what was typed stays"
    assert not policy.may_send_from(new, "director@office.example")
    assert admin.post(page, filled(admin, page, within="user_senders", user_senders=line)).status_code == 302
    assert policy.may_send_from(new, "director@office.example")
