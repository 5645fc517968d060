"""Stolen, planted and ended sessions over HTTP, with two web processes. `make drills` replays it."""

import hashlib
import re
import threading
import time
import urllib.parse

import pytest

from tests import services
from tests.installation import Installation
from tests.sizes import STACKS
from tests.web_processes import CSRF, Site, together, until_not_busy

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.drill, pytest.mark.timeout(300)]
RIGHT, NEW = "correct horse battery", "staple battery horse"
QUEUE, COMPOSE, MINE, KEY = "/messages/", "/messages/new/", "/preferences/sessions/", "/preferences/security/set-up/"
OPEN, LED = 200, 302
CHANGE = """
from django.contrib.auth.models import User
from messaging import users
boss = User.objects.get(username="boss")
for values in {changes}:
    users.change(User.objects.get(username="{name}"), values, by=boss)
answer = None
"""
IDLE = """
from datetime import timedelta
from django.db.models import F
answer = UserSession.objects.filter(user__username="{name}").update(active_at=F("active_at") - timedelta({time}))
"""
SESSIONS = """
from django.contrib.auth.models import User
from django.test import Client
answer = []
for _ in range({number}):
    browser = Client()
    browser.force_login(User.objects.get(username="{name}"))
    answer.append(browser.cookies["sessionid"].value)
"""
ROWS = """answer = UserSession.objects.filter(user__username="{name}").count()"""
KEPT = """answer = [str(row.key) for row in KeptForm.objects.filter(user__username="{name}")]"""


class Attacked(Site):
    def change(self, name, *changes):
        self.installation.ask(CHANGE.format(name=name, changes=list(changes)))

    def count(self, name):
        return self.installation.ask(ROWS.format(name=name))

    def open_session(self, name, number=0, cookie="", password=RIGHT):
        """The key of a new session; "" where the sign-in was refused."""
        form = {"username": name, "password": password}
        address = f"203.0.113.{number}"
        _, _, cookies = until_not_busy(
            lambda: self.post("/accounts/login/", form, cookie, number % 2, **{"X-Forwarded-For": address})
        )
        given = [each.split(";")[0].partition("=")[2] for each in cookies if each.startswith("sessionid=")]
        return given[0].strip('"') if given else ""  # "": it is taken away

    def post(self, path, form, cookie, port=0, **header):
        header |= {"Content-Type": "application/x-www-form-urlencoded"}
        header |= {"Cookie": f"csrftoken={CSRF}; sessionid={cookie}"}
        body = urllib.parse.urlencode(form | {"csrfmiddlewaretoken": CSRF})
        return self.ask(self.ports[port], "POST", path, body, **header)

    def get(self, cookie, path=QUEUE, port=0, **header):
        return self.ask(self.ports[port], "GET", path, Cookie=f"sessionid={cookie}", **header)[0]

    def opens(self, cookie):
        """Whether that cookie opens the message queue, in any process."""
        answers = {self.get(cookie, port=port) for port in (0, 1)}
        assert answers in ({OPEN}, {LED}), answers
        return answers == {OPEN}

    def page(self, cookie, path):
        return self.read(self.ports[0], "GET", path, Cookie=f"sessionid={cookie}")[1]


@pytest.fixture(scope="module", params=STACKS)
def site(request, tmp_path_factory):
    urls = services.urls() if request.param == "services" else {}
    with Installation(tmp_path_factory.mktemp("attacked"), **urls) as installation:
        installation.manage("collectstatic", "--noinput")
        for name in ("boss", "ben", "vera", "lea", "kim", "max", "ida", "tom"):
            installation.manage("createoperator", name, "--password-stdin", input=RIGHT.encode())
        yield Attacked(installation)


def test_planted_cookie_opens_nothing(site):
    planted = "a" * 32
    assert not site.opens(planted)
    own = site.open_session("ben", cookie=planted)
    assert own and own != planted
    assert site.opens(own) and not site.opens(planted)


@pytest.mark.parametrize(("path", "form"), [
    ("/accounts/logout/", {}),
    (f"{MINE}end/", {}),
    ("/preferences/password/", {"old_password": RIGHT, "new_password1": NEW, "new_password2": NEW}),
], ids=["signed out", "signed out everywhere", "new password"])  # fmt: skip
def test_stolen_cookie_is_worth_nothing_once_its_user_has_ended_it(site, path, form):
    stolen = site.open_session("vera")
    assert site.opens(stolen)
    assert until_not_busy(lambda: site.post(path, form, stolen))[0] == LED
    assert not site.opens(stolen)


def test_cookies_of_a_deactivated_user_stay_worthless(site):
    stolen = [site.open_session("lea", number) for number in range(3)]
    assert all(map(site.opens, stolen))
    site.change("lea", {"is_active": False}, {"is_active": True})
    assert not any(map(site.opens, stolen))
    assert site.opens(site.open_session("lea"))


def test_cookies_from_before_another_role_stay_worthless(site):
    stolen = [site.open_session("kim", number) for number in range(3)]
    assert all(map(site.opens, stolen))
    site.change("kim", {"role": "Viewer"}, {"role": "Operator"})
    assert not any(map(site.opens, stolen))


def test_background_requests_keep_nobody_signed_in(site):
    cookie = site.open_session("max")
    site.installation.ask(IDLE.format(name="max", time="minutes=59, seconds=55"))
    asks = {"path": "/accounts/session/", "X-Background": "1"}
    assert {site.get(cookie, port=number % 2, **asks) for number in range(20)} == {OPEN}
    time.sleep(6)
    assert not site.opens(cookie)
    cookie = site.open_session("max")
    site.installation.ask(IDLE.format(name="max", time="minutes=59"))
    assert site.opens(cookie)
    site.installation.ask(IDLE.format(name="max", time="minutes=59"))
    assert site.opens(cookie)


def test_copy_of_the_database_opens_nothing(site):
    cookie = site.open_session("ida")
    kept = site.installation.ask("answer = list(UserSession.objects.values_list('digest', 'data', 'pk'))")
    assert hashlib.sha256(cookie.encode()).hexdigest() in {digest for digest, _, _ in kept}
    assert cookie not in str(kept)
    assert not any(site.opens(str(value)) for row in kept for value in row)


class Amid:
    """Does `work` in a thread of its own once so many of the others are done."""

    def __init__(self, number, work):
        self.left, self.begin = [None] * number, threading.Event()
        self.thread = threading.Thread(target=lambda: self.begin.wait(60) and work())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.begin.set()
        self.thread.join()

    def done(self, answer):
        """Another one is done."""
        if self.left:
            self.left.pop()
        if not self.left:
            self.begin.set()
        return answer


def test_sign_ins_that_race_a_deactivation_leave_no_session(site):
    with Amid(8, lambda: site.change("ida", {"is_active": False})) as race:
        cookies = together(lambda number: race.done(site.open_session("ida", number)), [()] * 30)
    print(f"{sum(map(bool, cookies))} of 30 signed in before")
    assert site.count("ida") == 0
    site.change("ida", {"is_active": True})
    assert not any(site.opens(cookie) for cookie in cookies if cookie)


def test_requests_that_race_the_end_of_their_sessions_do_not_revive_them(site):
    """150 at once, each in a session of its own, which it writes into. The end comes by a process that is free."""
    cookies = site.installation.ask(SESSIONS.format(name="tom", number=150))

    def ask(number):
        return race.done(site.ask(site.ports[number % 2], "GET", KEY, Cookie=f"sessionid={cookies[number]}"))

    with Amid(20, lambda: site.post(f"{MINE}end/", {}, cookies[0], port=2)) as race:
        answers = together(ask, [()] * 150)
    statuses = [status for status, _, _ in answers]
    print({status: statuses.count(status) for status in set(statuses)})
    assert set(statuses) <= {OPEN, LED}
    assert site.count("tom") == 0
    assert not any(site.opens(cookie) for cookie in cookies)
    given = {each.split(";")[0] for _, _, cookies in answers for each in cookies if each.startswith("sessionid=")}
    assert not any(site.opens(each.partition("=")[2]) for each in given)


def test_forms_of_strangers_are_not_kept_or_only_a_few(site):
    cookie = site.open_session("ben")
    signed = re.search(r'name="form-of" value="([^"]+)"', site.page(cookie, COMPOSE))[1]
    letter = {"to": "kim@example.com", "subject": "Planted", "text": "x" * 10_000}
    together(lambda number: site.post(COMPOSE, letter, "", number % 2), [()] * 50)
    together(lambda number: site.post(COMPOSE, letter | {"form-of": f"1:{number}"}, "", number % 2), [()] * 50)
    assert site.installation.ask("answer = KeptForm.objects.count()") == 0
    found = together(lambda number: site.post(COMPOSE, letter | {"form-of": signed}, "", number % 2), [()] * 50)
    assert {status for status, _, _ in found} == {LED}
    kept = site.installation.ask(KEPT.format(name="ben"))
    assert len(kept) == site.installation.ask("answer = KeptForm.objects.count()") == 5
    other = site.open_session("kim")
    assert not any("Planted" in site.page(other, f"{COMPOSE}?kept={key}") for key in kept)
    assert "Planted" in site.page(cookie, f"{COMPOSE}?kept={kept[0]}")
    assert site.installation.ask("answer = Message.objects.count()") == 0
