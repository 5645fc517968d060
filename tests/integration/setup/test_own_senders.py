"""From which addresses users send who may change their own email settings."""

import pytest
from django.test import Client

from messaging.access import roles
from messaging.models import CompanyOptions, EmailSettings, Message
from messaging.setup import changes
from messaging.setup.layers import resolve
from tests.factories import OFFICE, fitting, make_message, put
from tests.letter_form import promised
from tests.pages import source

from .test_layers import company, save

pytestmark = pytest.mark.django_db
OWN = "/preferences/email/"


@pytest.fixture(autouse=True)
def users_may_edit(ben):
    company()
    ben.email = "ben@example.com"
    ben.save()
    CompanyOptions.objects.create(
        pk=1, users_may_edit=True, user_senders="ben accounts@example.com\n* office@example.com\nanna a@x.example"
    )


@pytest.mark.parametrize(
    ("address", "is_own"),
    [("ben@example.com", True), ("BEN@example.com", True), ("accounts@example.com", True), ("office@example.com", True),
     ("", True), ("boss@example.com", False), ("a@x.example", False), ("ben@example.com.evil.example", False)],
)  # fmt: skip
def test_user_sends_from_their_own_addresses_and_those_that_were_listed(bens_browser, ben, address, is_own):
    answer = save(bens_browser, OWN, from_address=address, ehlo_name="")
    assert answer.status_code == (302 if is_own else 422)
    assert resolve(ben).from_address == (address if is_own else "")
    if not is_own:
        words = "You may send from your own addresses only: ben@example.com, accounts@example.com, office@example.com."
        assert words in source(answer)


def test_option_lets_users_send_from_any_address(bens_browser, ben, admin):
    data = {"users_may_edit": "on", "users_any_sender": "on", "version": str(CompanyOptions.objects.get().version)}
    assert admin.post("/setup/email/users/", data).status_code == 302
    assert save(bens_browser, OWN, from_address="boss@example.com").status_code == 302
    assert resolve(ben).from_address == "boss@example.com"


def test_address_that_was_there_before_stays_until_it_is_changed_and_is_shown(bens_browser, ben, admin):
    changes.save(ben, {"from_address": "boss@example.com"}, by=None)
    assert save(bens_browser, OWN, username="ben").status_code == 302
    assert resolve(ben).from_address == "boss@example.com"
    listed = source(admin.get("/setup/email/users/"))
    assert 'sends from <span class="mono">boss@example.com</span>, which is not among their addresses' in listed
    assert "boss@example.com" in from_choices(bens_browser)
    assert save(bens_browser, OWN, from_address="").status_code == 302
    assert save(bens_browser, OWN, from_address="boss@example.com").status_code == 422


def test_administrator_chooses_any_address_for_anybody(admin, bens_browser, ben):
    assert save(admin, "/setup/email/users/ben/", from_address="boss@example.com").status_code == 302
    assert EmailSettings.objects.get(account=ben).from_address == "boss@example.com"
    assert "boss@example.com" in from_choices(bens_browser)


def test_address_that_a_user_chose_is_not_used_any_more_once_it_is_no_longer_listed(admin, bens_browser, ben):
    changes.save(None, {"from_address": "office@example.com"}, by=None)
    assert save(bens_browser, OWN, from_address="accounts@example.com").status_code == 302
    assert "accounts@example.com" in from_choices(bens_browser)
    version = str(CompanyOptions.objects.get().version)
    assert admin.post("/setup/email/users/", {"users_may_edit": "on", "version": version}).status_code == 302
    assert from_choices(bens_browser) == {"office@example.com", "ben@example.com"}
    assert "not used: users may send from their own addresses only" in source(bens_browser.get(OWN))
    listed = source(admin.get("/setup/email/users/"))
    assert 'does not send from <span class="mono">accounts@example.com</span>' in listed
    assert save(bens_browser, OWN, username="ben").status_code == 302, "other settings can be changed all the same"
    # Once an administrator says so, it is used again.
    assert save(admin, "/setup/email/users/ben/", from_address="").status_code == 302
    assert save(admin, "/setup/email/users/ben/", from_address="accounts@example.com").status_code == 302
    assert "accounts@example.com" in from_choices(bens_browser)


def test_administrator_who_becomes_an_operator_keeps_no_address_of_others(admin, operator, ben):
    roles.give(ben, roles.ADMIN)
    browser = Client()
    browser.force_login(ben)
    assert save(browser, OWN, from_address="boss@example.com").status_code == 302
    assert "boss@example.com" in from_choices(browser)
    roles.give(ben, roles.OPERATOR)
    assert from_choices(browser) == {"ben@example.com"}


def test_user_without_an_address_is_told_so(bens_browser, ben):
    ben.email = ""
    ben.save()
    CompanyOptions.objects.update(user_senders="")
    assert "your own addresses only: none so far." in source(save(bens_browser, OWN, from_address="b@x.example"))


@pytest.mark.parametrize(
    "address",
    [
        "straße@example.com",
        "ben+boss@example.com",
        "ben@example.com, boss@example.com",
        "<ben@example.com>b@x.example",
    ],
)
def test_address_that_only_looks_like_ones_own_is_none(bens_browser, address):
    CompanyOptions.objects.update(user_senders="ben strasse@example.com")
    assert save(bens_browser, OWN, from_address=address).status_code == 422


# --- Every other way of naming a sender ---------------------------------------------------------------------


def from_choices(browser):
    """The addresses that the form of a new message offers."""
    senders = browser.get("/messages/new/").context["form"].senders.values()
    return {sender.address for sender in senders}


@pytest.mark.parametrize("do", ["send", "queue", "at", "open", "instead", ""])
@pytest.mark.parametrize(
    "sender", ["boss@example.com", "Ben <boss@example.com>", "ben@example.com\r\nFrom: boss@example.com"]
)
def test_new_message_takes_no_other_sender(bens_browser, ben, do, sender):
    data = {"sender": sender, "to": "k@example.com", "subject": "s", "text": "t", "do": do, "at": "2027-06-01T10:00"}
    answer = bens_browser.post("/messages/new/", data | promised(bens_browser))
    assert answer.status_code == (409 if do in ("open", "") else 422)
    assert "You may not send from this address. Choose another." in source(answer)
    assert not Message.objects.exists()


@pytest.mark.parametrize("status", ["queued", "held", "failed"])
def test_edit_changes_no_sender(bens_browser, ben, status):
    message = make_message("k@example.com", author=ben, due=False)
    put(message, **fitting(status=status))
    form = bens_browser.get(f"/messages/{message.pk}/edit/").context["form"]
    data = {name: form[name].value() or "" for name in form.fields if name != "no_subject"}
    data |= {"subject": "another", "sender": "boss@example.com", "from": "boss@example.com"}
    data |= {
        "from_address": "boss@example.com",
        "promised": bens_browser.get(f"/messages/{message.pk}/edit/").context["promised"],
        "version": bens_browser.get(f"/messages/{message.pk}/edit/").context.get("version", "0"),
    }
    bens_browser.post(f"/messages/{message.pk}/edit/", data)
    message.refresh_from_db()
    assert message.subject == "another"
    assert (message.reverse_path, message.from_header) == (OFFICE, f"Office <{OFFICE}>")


def test_test_message_is_not_from_its_recipient_where_the_user_has_no_address(bens_browser, ben):
    ben.email = ""
    ben.save()
    CompanyOptions.objects.update(user_senders="")
    answer = bens_browser.post("/preferences/email/test/", {"recipient": "boss@example.com"})
    assert answer.status_code == 422
    assert "There is no address to send it from." in source(answer)
    assert not Message.objects.exists()


@pytest.mark.parametrize("line", ["office@example.com", "ben", "ben no address"])
def test_line_that_lists_nothing_is_refused_and_named(admin, line):
    answer = admin.post(
        "/setup/email/users/", {"user_senders": line, "version": str(CompanyOptions.objects.get().version)}
    )
    assert answer.status_code == 422
    assert f"“{line}”" in source(answer)
