"""Every address of the console x every role: who gets what.

A new address without a line in EXPECTED fails the first test.
"""

import re
from itertools import chain
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse
from django.utils import timezone

from messaging.access import roles
from messaging.models import Batch, Heartbeat, Message, Schedule, SendAttempt
from messaging.queue import batches
from tests.factories import browser_of, make_message, make_user
from tests.pages import source
from tests.sizes import matrix, sampled

pytestmark = [pytest.mark.django_db, pytest.mark.attack]

PEOPLE = ("nobody", "no role", roles.VIEWER, roles.OPERATOR, roles.ADMIN)
LOGIN = "to sign in"

# Answers to no one, no role, viewer, operator and administrator; an address without POST answers 405 to it.
EVERYBODY = (200,) * 5
LOOK = (LOGIN, 403, 200, 200, 200)
GO_ON = (LOGIN, 403, 302, 302, 302)
NO_POST = (LOGIN, 403, 405, 405, 405)
OPERATE = (LOGIN, 403, 403, 200, 200)
OPERATED = (LOGIN, 403, 403, 302, 302)
NO_GET = (LOGIN, 403, 403, 405, 405)
ADMINISTER = (LOGIN, 403, 403, 403, 200)
ADMINISTERED = (LOGIN, 403, 403, 403, 302)
BAD_FORM = (LOGIN, 403, 403, 403, 422)
ADMINS_NO_GET = (LOGIN, 403, 403, 403, 405)
OWN = (LOGIN, 200, 200, 200, 200)
BAD_OWN = (LOGIN, 422, 422, 422, 422)

EXPECTED = {  # name: (answers to GET, answers to an empty POST)
    "home": (GO_ON, GO_ON),
    "healthz": (EVERYBODY, EVERYBODY),
    "readyz": (EVERYBODY, EVERYBODY),
    "health": ((503,) * 5, (503,) * 5),
    "login": ((200, 302, 302, 302, 302), (200, 302, 302, 302, 302)),
    "login-code": ((302,) * 5, (302,) * 5),
    "session": ((200,) * 5, (200,) * 5),
    "logout": ((LOGIN, 405, 405, 405, 405), (LOGIN, 302, 302, 302, 302)),
    "messages": (LOOK, NO_POST),
    "messages-bulk": (NO_GET, (LOGIN, 403, 403, 404, 404)),
    "message": (LOOK, NO_POST),
    "message-html": (LOOK, NO_POST),
    "message-eml": (LOOK, NO_POST),
    "message-draft": ((LOGIN, 403, 404, 404, 404), NO_POST),
    "attachment": (LOOK, NO_POST),
    "message-newer": (GO_ON, NO_POST),
    "message-older": (GO_ON, NO_POST),
    "message-action": (NO_GET, (LOGIN, 403, 403, 422, 422)),
    "message-new": (OPERATE, (LOGIN, 403, 403, 409, 409)),
    "message-addresses": (OPERATE, NO_GET),
    "message-submitted": ((LOGIN, 403, 403, 404, 404), NO_GET),
    "message-edit": (OPERATE, (LOGIN, 403, 403, 422, 422)),
    "message-attempt": (LOOK, NO_POST),
    "message-version": ((LOGIN, 403, 404, 404, 404), NO_POST),
    "message-version-eml": ((LOGIN, 403, 404, 404, 404), NO_POST),
    "notices": (LOOK, NO_POST),
    "batches": (LOOK, NO_POST),
    "batch-new": (OPERATE, OPERATED),
    "batch": (LOOK, NO_POST),
    "batch-progress": ((LOGIN, 403, 286, 286, 286), NO_POST),
    "batch-items": (LOOK, NO_POST),
    "batch-confirm": (NO_GET, OPERATED),
    "batch-cancel": (NO_GET, OPERATED),
    "batch-retry": (NO_GET, OPERATED),
    "sending": (LOOK, NO_POST),
    "sending-action": (NO_POST, ADMINISTERED),
    "restores": (LOOK, NO_POST),
    "restore-answer": (NO_POST, (LOGIN, 403, 403, 403, 404)),
    "setup-email": (ADMINISTER, BAD_FORM),
    "setup-email-users": (ADMINISTER, ADMINISTERED),
    "setup-user": (ADMINISTER, ADMINISTERED),
    "setup-email-sign-in": (ADMINISTER, BAD_FORM),
    "setup-user-sign-in": (ADMINISTER, BAD_FORM),
    "setup-email-check": (ADMINS_NO_GET, ADMINISTER),
    "setup-email-test": (ADMINS_NO_GET, BAD_FORM),
    "setup-user-check": (ADMINS_NO_GET, ADMINISTER),
    "setup-user-test": (ADMINS_NO_GET, BAD_FORM),
    "preferences-email": (LOOK, ADMINISTERED),  # others only where the options say so
    "preferences-email-sign-in": (ADMINISTER, BAD_FORM),
    "preferences-email-check": (NO_GET, OPERATE),
    "preferences-email-test": (NO_GET, (LOGIN, 403, 403, 422, 422)),
    "preferences-password": (OWN, BAD_OWN),
    "preferences-security": (OWN, (LOGIN, 405, 405, 405, 405)),
    "preferences-security-set-up": (OWN, BAD_OWN),
    "preferences-security-codes": ((LOGIN, 405, 405, 405, 405), (LOGIN, 302, 302, 302, 302)),
    "preferences-security-off": ((LOGIN, 405, 405, 405, 405), (LOGIN, 302, 302, 302, 302)),
    "preferences-sessions": (OWN, (LOGIN, 405, 405, 405, 405)),
    "preferences-sessions-end": ((LOGIN, 405, 405, 405, 405), (LOGIN, 302, 302, 302, 302)),
    "setup-schedules": (ADMINISTER, ADMINS_NO_GET),
    "setup-options": (ADMINISTER, BAD_FORM),
    "setup-schedule-new": (ADMINISTER, BAD_FORM),
    "setup-schedule-preview": (ADMINS_NO_GET, ADMINISTER),
    "setup-schedule": (ADMINISTER, BAD_FORM),
    "setup-schedule-switch": (ADMINS_NO_GET, ADMINISTERED),
    "setup-schedule-run": (ADMINS_NO_GET, ADMINISTERED),
    "setup-schedule-delete": (ADMINS_NO_GET, ADMINISTERED),
    "setup-users": (ADMINISTER, BAD_FORM),
    "setup-users-delays": (ADMINS_NO_GET, (LOGIN, 403, 403, 403, 404)),
    "setup-users-one": (ADMINISTER, BAD_FORM),
    "setup-users-password": (ADMINS_NO_GET, ADMINISTER),
    "setup-users-sign-out": (ADMINS_NO_GET, ADMINISTERED),
    "setup-users-second-factor": (ADMINS_NO_GET, ADMINISTERED),
}


def names():
    def walk(patterns):
        for pattern in patterns:
            if isinstance(pattern, URLPattern):
                yield pattern.name
            else:
                yield from walk(pattern.url_patterns)

    return list(walk(get_resolver().url_patterns))


def test_every_address_has_its_line():
    assert sorted(names()) == sorted(EXPECTED)


@pytest.fixture(scope="module")
def people(module_db):
    roles_of = {"no role": "", **{role: role for role in roles.ROLES}}
    return {who: make_user(who.lower().replace(" ", "-"), role=role) for who, role in roles_of.items()}


@pytest.fixture(scope="module")
def signed_in(people):
    """Their cookies."""
    return {who: browser_of(user).cookies for who, user in people.items()}


@pytest.fixture
def browsers(signed_in):
    found = {who: Client() for who in PEOPLE}
    for who, cookies in signed_in.items():
        found[who].cookies.update(cookies)
    return found


@pytest.fixture
def address(people, email_setup, monkeypatch):
    """The address of a name, with a message, a batch or a user that is there; the batch is another one each time."""
    # A connection to the mail server is the matter of other tests.
    monkeypatch.setattr("messaging.connection_check._watched", lambda work: (event for event in ()))
    target = make_user("target")

    def find(name):
        message = Message.objects.filter(category="looked-at").first() or with_html()
        arguments = {
            "message": {"pk": message.pk},
            "attachment": {"pk": message.pk, "number": 1},
            "message-action": {"pk": message.pk, "action": "hold"},
            "sending-action": {"whose": "company", "action": "resume"},
            "restore-answer": {"pk": 1},
            "setup-user": {"username": target.username},
            "setup-users-one": {"pk": target.pk},
            "setup-users-password": {"pk": target.pk},
            "setup-users-second-factor": {"pk": target.pk},
            "setup-users-sign-out": {"pk": target.pk},
        }
        if name == "message-attempt":
            return reverse(name, kwargs={"pk": message.pk, "attempt": an_attempt(message).pk})
        if name in ("message-version", "message-version-eml"):
            return reverse(name, kwargs={"pk": message.pk, "number": 1})
        if name in ("setup-schedule", "setup-schedule-switch", "setup-schedule-run", "setup-schedule-delete"):
            return reverse(name, kwargs={"pk": a_schedule().pk})
        if name == "message-submitted":
            return reverse(name, kwargs={"key": UUID(int=1)})
        if name in ("message-new", "message-addresses"):
            return reverse(name)
        if name in arguments:
            return reverse(name, kwargs=arguments[name])
        if name.startswith("message-"):
            return reverse(name, kwargs={"pk": message.pk})
        if name.startswith("setup-user-"):
            return reverse(name, kwargs={"username": target.username})
        if name in ("batch", "batch-progress", "batch-items", "batch-confirm", "batch-cancel", "batch-retry"):
            return reverse(name, kwargs={"pk": a_batch(name).pk})
        return reverse(name)

    return find


def a_schedule():
    """Another one each time: some of the actions leave none."""
    number = Schedule.objects.count()
    return Schedule.objects.create(
        name=f"Evenings {number}", times="18:00", days="1", time_zone="Europe/Berlin", since=timezone.now()
    )


def with_html():
    report = ("r.pdf", "application/pdf", b"%PDF")
    return make_message("b@example.com", html="<p>Hello</p>", files=[report], category="looked-at", due=False)


def an_attempt(message):
    return SendAttempt.objects.create(message=message, fence=1, started_at=timezone.now(), outcome="accepted")


def a_batch(name):
    """Its one message was sent; for those that confirm, a draft."""
    message = make_message("c@example.com", due=False)
    batch = batches.choose(Message.objects.filter(pk=message.pk), by=None, account=None)
    if name != "batch-confirm":
        Batch.objects.filter(pk=batch.pk).update(status="confirmed", confirmed_at=timezone.now())
        batch.items.update(state="released", outcome="sent")
    return batch


def answer(response):
    to_login = response.status_code == 302 and response["Location"].startswith("/accounts/login/?next=")
    return LOGIN if to_login else response.status_code


@pytest.mark.parametrize(("name", "method"), matrix(list(EXPECTED), ["GET", "POST"]))
def test_everybody_gets_what_their_role_allows(browsers, address, name, method):
    expected = EXPECTED[name][method == "POST"]
    found = []
    for who in PEOPLE:
        response = browsers[who].generic(method, address(name))
        found.append(answer(response))
        if response.status_code == 403:
            page = re.sub(r"\s+", " ", response.content.decode())
            assert "Not for this account" in page
            assert "ask an administrator: administrator." in page
    assert tuple(found) == expected


def test_refused_for_want_of_a_role_changes_nothing(browsers, address):
    url = address("message-action")
    browsers[roles.VIEWER].post(url, {"why": "Not yet"})
    browsers[roles.VIEWER].post("/messages/bulk/", {"action": "cancel", "message": Message.objects.first().pk})
    assert set(Message.objects.values_list("status", flat=True)) == {"queued"}
    browsers[roles.OPERATOR].post(url, {"why": "Not yet"})
    assert set(Message.objects.values_list("status", flat=True)) == {"held"}


@pytest.fixture(scope="module")
def forge(people):
    """What another site can have the administrator's browser send to an address; the answers.

    Without the token, with one of another session, or with the right one from a page that lies elsewhere.
    """
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people[roles.ADMIN])
    own, foreign = token(browser, "/preferences/password/"), token(Client(enforce_csrf_checks=True), "/accounts/login/")

    def send(url):
        return [
            browser.post(url),
            browser.post(url, {"csrfmiddlewaretoken": foreign}),
            browser.post(url, {"csrfmiddlewaretoken": own}, HTTP_ORIGIN="https://evil.example"),
            browser.post(url, {"csrfmiddlewaretoken": own}, HTTP_ORIGIN="null"),
        ]

    return send


def token(browser, url):
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(url).content.decode())[1]


def rows():
    found = (model.objects.order_by("pk") for model in (Message, Batch, Schedule, User))
    return serializers.serialize("json", chain.from_iterable(found))


FORGED = [name for name in EXPECTED if name not in ("healthz", "readyz", "health")]  # they change nothing


@pytest.mark.parametrize("name", sampled(FORGED))
def test_request_that_another_site_forged_is_refused_and_changes_nothing(forge, address, name):
    url = address(name)
    before = rows()
    assert [response.status_code for response in forge(url)] == [403] * 4
    assert rows() == before


# --- What is offered -----------------------------------------------------------------------------------


def test_viewers_are_offered_nothing_that_changes(browsers, address):
    Heartbeat.objects.create(name="sweep", at=timezone.now())
    message = address("message")
    pages = ["/messages/?status=all", message, "/batches/", address("batch"), address("batch-confirm")[:-8]]
    for url in [*pages, "/sending/", "/preferences/email/"]:
        page = source(browsers[roles.VIEWER].get(url))
        forms = set(re.findall(r'<form method="post" action="([^"]*)"', page))
        assert forms - {"/preferences/email/"} == {"/accounts/logout/"}, url
        assert 'type="checkbox"' not in page, url
        for link in ("/batches/new/", "/setup/users/", "/setup/schedules/", "/setup/email/"):
            assert f'href="{link}"' not in page, (url, link)


def test_operators_are_offered_what_they_may_do_and_no_setup(browsers, address):
    page = source(browsers[roles.OPERATOR].get(address("message")))
    assert 'action="/messages/' in page
    assert 'href="/batches/new/"' in page
    assert 'name="action" value="hold"' in source(browsers[roles.OPERATOR].get("/messages/"))
    for link in ("/setup/users/", "/setup/schedules/", "/setup/email/"):
        assert f'href="{link}"' not in page
        assert f'href="{link}"' in source(browsers[roles.ADMIN].get("/messages/"))


def test_without_a_role_there_is_no_menu_but_ones_own_password(browsers):
    page = source(browsers["no role"].get("/messages/"))
    assert "You have no role here yet." in page
    assert "Message Processing" not in page
    assert "Go to the message queue" not in page
    assert 'href="/preferences/password/"' in page
