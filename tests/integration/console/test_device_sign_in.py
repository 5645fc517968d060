"""Sign in with Microsoft: the page that shows a code, and what is kept once the person has entered it."""

import json

import pytest
from django.test import Client

from messaging.access import roles
from messaging.company import options
from messaging.delivery.outcomes import meanings
from messaging.models import AuditEntry, EmailSettings
from messaging.setup import changes
from messaging.setup.layers import resolve
from messaging.setup.oauth import providers
from messaging.setup.oauth.grants import SignInFailed, Trouble
from messaging.wording.afterwards import afterwards
from tests.factories import make_user, write_opt_files
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
    again = admin.get(COMPANY)
    assert device.user_code in words(again), "loaded again, it is still there"
    assert "no-store" in again["Cache-Control"], "and only then"

    page = words(admin.post(COMPANY))
    assert "Microsoft has not recorded the sign-in yet" in page
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


UNUSABLE_CODES = [
    {"user_code": "\ud800"},
    {"user_code": "A\u202eB"},
    {"user_code": ["a"]},
    {"user_code": "A" * 1000},
    {"verification_uri": "https://x/\ud800"},
    {"verification_uri": "https://x/\x1b"},
    {"verification_uri": "https://" + "x" * 100_000},
    {"verification_uri": "javascript:alert()"},
    {"verification_uri": None},
    {"device_code": None},
    {"device_code": 5},
    {"device_code": "\ud800"},
    {"interval": "five"},
    {"interval": [1]},
    {"interval": 1e400},
    {"expires_in": float("nan")},
    {"expires_in": 10**400},
]


@pytest.mark.parametrize("odd", UNUSABLE_CODES, ids=lambda odd: json.dumps(odd)[:40])
def test_answer_without_a_code_that_can_be_shown_is_told(admin, microsoft, odd):
    microsoft.adds_to_code = odd
    response = admin.post(COMPANY, {"begin": "1"})
    assert response.status_code == 422
    assert meanings.SIGN_IN_SERVER.explanation in words(response)
    assert admin.get(COMPANY).status_code == 200


ODD_CODES = [
    ({"expires_in": 1e300}, 5),
    ({"expires_in": 10**30}, 5),
    ({"interval": -5}, 1),
    ({"interval": 0}, 1),
    ({"interval": 1e300}, 300),
    ({"interval": "7"}, 7),
    ({"message": "\ud800", "outtray_place": "x", "_correlation_id": 5, "expires_at": "x"}, 5),
]


@pytest.mark.parametrize(("odd", "interval"), ODD_CODES, ids=lambda value: json.dumps(value)[:40])
def test_code_whose_times_are_odd_is_shown_and_can_be_used(admin, microsoft, odd, interval):
    microsoft.adds_to_code = odd
    begin(admin)
    assert f'hx-trigger="every {interval}s"' in source(admin.get(COMPANY))
    assert admin.post(COMPANY, **HTMX).status_code == 204
    device_of(microsoft).state = "signed in"
    assert admin.post(COMPANY)["Location"] == "/setup/email/"


def test_code_that_has_ended_when_it_comes_is_told(admin, microsoft):
    microsoft.adds_to_code = {"expires_in": -1e9}
    assert "The code was not used in time." in words(admin.post(COMPANY, {"begin": "1"}, follow=True))


@pytest.mark.parametrize(
    "odd", [{"refresh_token": "\ud800"}, {"refresh_token": {"a": 1}}, {"refresh_token": "x\0y"}, {"id_token": "x"}],
    ids=json.dumps,
)  # fmt: skip
def test_sign_in_whose_answer_cannot_be_kept_is_told(admin, microsoft, odd):
    begin(admin)
    device_of(microsoft).state = "signed in"
    microsoft.adds = odd
    response = admin.post(COMPANY)
    assert response.status_code == 422
    assert meanings.SIGN_IN_SERVER.explanation in words(response)
    assert not resolve(None).secret("refresh_token")


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


MOVES = [
    {"host": "other.example.com"},
    {"port": 588},
    {"token_url": "https://other.example"},
    {"tenant": "other.example"},
]


@pytest.mark.parametrize("moved", MOVES, ids=lambda moved: next(iter(moved)))
@pytest.mark.parametrize("place", [COMPANY, OWN])
def test_sign_in_is_not_for_the_server_that_is_named_while_microsoft_answers(
    admin, operator, microsoft, monkeypatch, place, moved
):
    begin(admin, place)
    device_of(microsoft).state = "signed in"
    ask = providers.ask_about_code

    def while_the_company_moves(*asked):
        answer = ask(*asked)
        changes.save(None, moved, by=None)
        return answer

    monkeypatch.setattr(providers, "ask_about_code", while_the_company_moves)
    response = admin.post(place)
    assert response.status_code == 422
    assert "The settings have changed since this sign-in was begun" in words(response)
    account = operator if place == OWN else None
    assert not EmailSettings.objects.filter(account=account).exclude(refresh_token_encrypted="").exists()


def test_sign_in_is_for_the_server_that_a_file_named_when_it_was_begun(admin, microsoft, opt_folder):
    write_opt_files(opt_folder, host="file.example.com")
    begin(admin)
    device_of(microsoft).state = "signed in"
    assert admin.post(COMPANY).status_code == 302
    assert resolve(None).secret("refresh_token")
    (opt_folder / "email.smtp_server").unlink(missing_ok=True)
    (opt_folder / "email.smtp_server.opt").unlink(missing_ok=True)
    assert (resolve(None).host, resolve(None).secret("refresh_token")) == ("smtp.example.com", "")


def test_one_user_waits_for_microsoft_twice_at_once_and_others_still_find_a_turn(
    admin, operator, microsoft, monkeypatch
):
    options.save({"users_may_edit": True}, by=None)
    other = Client()
    other.force_login(make_user("otto", role=roles.OPERATOR))
    answers = []

    def while_it_takes_its_time(setup):
        waiting.append(setup)
        if len(waiting) < 3:
            answers.append(admin.post(COMPANY, {"begin": "1"}))
        raise SignInFailed(Trouble.UNREACHABLE)

    waiting = []
    monkeypatch.setattr(providers, "ask_for_code", while_it_takes_its_time)
    assert admin.post(COMPANY, {"begin": "1"}).status_code == 422
    assert [answer.status_code for answer in answers] == [429, 422]
    assert "Others are waiting for the sign-in server" in words(answers[0])
    assert len(waiting) == 2, "the third did not ask"

    waiting.clear()

    def meanwhile(setup):
        waiting.append(setup)
        if len(waiting) == 1:
            admin.post(COMPANY, {"begin": "1"})
        elif len(waiting) == 2:
            assert other.post(OWN, {"begin": "1"}).status_code == 422
        raise SignInFailed(Trouble.UNREACHABLE)

    monkeypatch.setattr(providers, "ask_for_code", meanwhile)
    admin.post(COMPANY, {"begin": "1"})
    assert len(waiting) == 3
    assert admin.post(COMPANY, {"begin": "1"}).status_code == 422, "and each has its turns back"
