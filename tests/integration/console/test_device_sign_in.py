"""Sign in with Microsoft: the page that shows a code, and what is kept once the person has entered it."""

import pytest
from django.test import Client

from messaging import roles
from messaging.delivery import meanings
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import changes, options
from messaging.setup.layers import resolve
from messaging.wording.afterwards import afterwards
from tests.factories import make_user
from tests.identity import CLIENT, TENANT, Refused
from tests.pages import source, words

pytestmark = pytest.mark.django_db

COMPANY = "/setup/email/sign-in/"
OWN = "/preferences/email/sign-in/"
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def microsoft(ca, identity):
    """The company signs in at Microsoft as a person."""
    values = {
        "send_type": 3, "auth_type": "tls-explicit", "host": "smtp.example.com", "username": "office@example.com",
        "sign_in": "microsoft-user", "tenant": TENANT, "client_id": CLIENT, "token_url": identity.url,
        "ca_bundle": (ca.folder / "ca.pem").read_text(),
    }  # fmt: skip
    changes.save(None, values, by=None)
    return identity


def begin(browser, page=COMPANY):
    response = browser.post(page, {"begin": "1"}, follow=True)
    assert response.status_code == 200, words(response)
    return source(response)


def device_of(identity):
    [device] = identity.devices.values()
    return device


@pytest.mark.slow
def test_code_is_shown_and_once_it_was_entered_the_sign_in_is_kept(admin, microsoft, operator):
    page = words(admin.get(COMPANY))
    assert "Begin" in page
    assert not microsoft.asked, "looking at the page asks for nothing"
    page = begin(admin)
    device = device_of(microsoft)
    assert f">{device.user_code}</output>" in page
    assert 'href="https://login.example/device" target="_blank" rel="noopener' in page
    assert device.user_code in words(admin.get(COMPANY)), "loaded again, it is still there"

    page = words(admin.post(COMPANY))
    assert "Microsoft does not know of it yet" in page
    assert device.user_code in page
    assert not resolve(None).secret("refresh_token")

    device.state = "signed in"
    response = admin.post(COMPANY)
    assert (response.status_code, response["Location"]) == (302, "/setup/email/")
    assert "Signed in." in words(admin.get("/setup/email/"))
    kept = str(resolve(None).secret("refresh_token"))
    assert kept in microsoft.sign_ins
    change = AuditEntry.objects.filter(field="refresh_token").get()
    assert (change.by, change.action) == (operator, "secret set")


@pytest.mark.slow
def test_browser_asks_by_itself_and_goes_back_when_it_is_done(admin, microsoft):
    page = begin(admin)
    assert f'hx-post="{COMPANY}" hx-trigger="every 5s"' in page
    device = device_of(microsoft)
    response = admin.post(COMPANY, **HTMX)
    assert (response.status_code, response.content) == (204, b""), "nothing on the page changes"
    device.state = "slow_down"
    assert 'hx-trigger="every 10s"' in source(admin.post(COMPANY, **HTMX))
    device.state = "authorization_pending"
    assert admin.post(COMPANY, **HTMX).status_code == 204
    device.state = "signed in"
    assert admin.post(COMPANY, **HTMX)["HX-Redirect"] == "/setup/email/"
    assert resolve(None).secret("refresh_token")


def test_page_that_asks_by_itself_says_when_the_settings_do_not_allow_it_any_more(admin, microsoft):
    begin(admin)
    changes.save(None, {"client_id": ""}, by=None)
    response = admin.post(COMPANY, **HTMX)
    assert response.status_code == 200, "what is an error is not shown by htmx"
    assert "Client ID is not set." in words(response)
    assert "hx-trigger" not in source(response)


@pytest.mark.slow
def test_neither_code_nor_token_is_in_the_session_or_on_a_page(admin, microsoft):
    page = begin(admin)
    device = device_of(microsoft)
    kept = str(dict(admin.session))
    assert device.code not in kept
    assert device.user_code not in kept
    device.state = "signed in"
    response = admin.post(COMPANY, follow=True)
    rows = str(list(EmailSettings.objects.values())) + str(list(AuditEntry.objects.values()))
    assert not [secret for secret in microsoft.secrets if secret in page + source(response) + kept + rows]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "told"), [("authorization_declined", "was declined at Microsoft"), ("expired_token", "not used in time")]
)
def test_sign_in_that_comes_to_nothing_is_explained_and_can_be_begun_again(admin, microsoft, state, told):
    begin(admin)
    device_of(microsoft).state = state
    response = admin.post(COMPANY)
    assert response.status_code == 422
    assert told in words(response)
    assert "Begin again" in words(response)
    microsoft.devices.clear()
    page = begin(admin)
    assert device_of(microsoft).user_code in page


@pytest.mark.parametrize(
    ("changed", "meaning"),
    [
        ({"tenant": "nobody.example"}, meanings.UNKNOWN_APPLICATION),
        ({"token_url": "https://169.254.169.254"}, meanings.SIGN_IN_SERVER),
        ({"token_url": "https://127.0.0.1:1"}, meanings.SIGN_IN_UNREACHABLE),
        ({"ca_bundle": ""}, meanings.SIGN_IN_CERTIFICATE),
    ],
)
def test_what_keeps_it_from_beginning_is_explained(admin, microsoft, changed, meaning):
    changes.save(None, changed, by=None)
    response = admin.post(COMPANY, {"begin": "1"})
    assert response.status_code == 422
    assert meaning.explanation in words(response)
    assert afterwards(meaning) in words(response)  # nothing begins by itself


def test_refusal_after_the_code_is_told_with_microsofts_words(admin, microsoft):
    begin(admin)
    microsoft.fails = Refused("invalid_grant", "AADSTS65001: The user or administrator has not consented.")
    page = words(admin.post(COMPANY))
    assert meanings.NO_CONSENT.explanation in page
    assert "AADSTS65001" in page


def test_other_ways_to_sign_in_and_missing_values_say_so(admin, microsoft):
    changes.save(None, {"client_id": ""}, by=None)
    assert "Client ID is not set." in words(admin.get(COMPANY))
    assert admin.post(COMPANY, {"begin": "1"}).status_code == 422
    changes.save(None, {"sign_in": "password"}, by=None)
    assert "Here “Way to sign in” is not “Microsoft 365, signed in by a person”." in words(admin.get(COMPANY))
    assert not microsoft.asked


def test_without_a_key_to_keep_it_with_nothing_is_begun(admin, microsoft, settings):
    settings.FIELD_ENCRYPTION_KEYS = []
    for page in (admin.get(COMPANY), admin.post(COMPANY, {"begin": "1"})):
        assert "cannot be stored safely on this server. FIELD_ENCRYPTION_KEYS is empty." in words(page)
    assert not microsoft.devices


def test_going_on_without_a_code_or_with_one_of_another_key_begins_anew(admin, microsoft, settings):
    assert "begun too long ago" in words(admin.post(COMPANY))
    begin(admin)
    settings.FIELD_ENCRYPTION_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    page = words(admin.get(COMPANY))
    assert "begun too long ago" in page
    assert "Begin again" in page


@pytest.mark.parametrize(
    ("changed", "is_kept"),
    [({"host": "other.example.com"}, False), ({"port": 588}, False), ({"auth_type": "default"}, False),
     ({"token_url": "https://login.other.example"}, False), ({"tenant": "other.example"}, False),
     ({"auth_type": "tls-implicit", "port": 587}, True), ({"username": "anna@example.com"}, True),
     ({"from_address": "office@example.com"}, True)],
)  # fmt: skip
def test_sign_in_is_not_kept_for_another_place_than_it_was_begun_for(admin, microsoft, changed, is_kept):
    begin(admin)
    device_of(microsoft).state = "signed in"
    changes.save(None, changed, by=None)
    before = len(microsoft.asked)
    answer = admin.post(COMPANY)
    assert bool(EmailSettings.objects.get().refresh_token_encrypted) is is_kept
    if not is_kept:
        assert answer.status_code == 422
        assert "The settings have changed since this sign-in was begun: it was for another server." in words(answer)
        assert len(microsoft.asked) == before, "the code is shown to no other server"


def test_users_sign_in_stays_in_their_layer(client, microsoft, operator):
    client.force_login(operator)
    for response in (client.get(OWN), client.post(OWN, {"begin": "1"})):
        assert response.status_code == 403
    options.save({"users_may_edit": True}, by=operator, seen=0)
    begin(client, OWN)
    device_of(microsoft).state = "signed in"
    assert client.post(OWN)["Location"] == "/preferences/email/"
    assert resolve(operator).secret("refresh_token")
    assert not resolve(None).secret("refresh_token")


def test_admin_signs_in_for_a_user(admin, microsoft, django_user_model):
    ben = make_user("ben")
    page = f"/setup/email/users/{ben.username}/sign-in/"
    assert "ben" in words(admin.get(page))
    begin(admin, page)
    device_of(microsoft).state = "signed in"
    assert admin.post(page)["Location"] == f"/setup/email/users/{ben.username}/"
    assert resolve(ben).secret("refresh_token")
    assert not resolve(None).secret("refresh_token")
    assert admin.get("/setup/email/users/nobody/sign-in/").status_code == 404


@pytest.mark.parametrize("page", [COMPANY, "/setup/email/users/anna/sign-in/"])
def test_only_admins_sign_in_for_others(client, operator, microsoft, page):
    client.force_login(operator)
    for response in (client.get(page), client.post(page, {"begin": "1"})):
        assert response.status_code == 403
    assert not microsoft.asked


def test_cross_site_request_begins_nothing(operator, microsoft):
    browser = Client(enforce_csrf_checks=True)
    roles.give(operator, roles.ADMIN)
    browser.force_login(operator)
    assert browser.post(COMPANY, {"begin": "1"}).status_code == 403
    assert not microsoft.asked
