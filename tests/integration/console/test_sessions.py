"""How long a user stays signed in, what ends it, and where they see it."""

import re
import threading

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test import Client

from messaging import housekeeping, users
from messaging.access import roles, second_factor
from messaging.access.sessions import browsers, store
from messaging.company import options
from messaging.models import AuditEntry, Heartbeat, UserSession
from tests.authenticator import recovery_codes
from tests.factories import browser_of, make_message, make_user
from tests.pages import source, words
from tests.rows import dump
from tests.steps import elsewhere, in_threads

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
LOGIN, QUEUE, MINE, STATE = "/accounts/login/", "/messages/", "/preferences/sessions/", "/accounts/session/"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
POLL = {"X-Background": "1"}


def signs_in(name="ben", password=PASSWORD, **options):
    browser = Client(**options)
    assert browser.post(LOGIN, {"username": name, "password": password}).status_code == 302
    return browser


def is_signed_in(browser):
    return browser.get(QUEUE).status_code == 200


ROUND = [
    LOGIN,
    f"{LOGIN}?next={LOGIN}",
    "/accounts/login/code/",
    "/accounts/logout/",
    "messages",
    "//evil.example/",
    "",
]


@pytest.mark.parametrize("aim", ROUND)
def test_sign_in_leads_to_a_page_of_ours_and_never_round(operator, aim):
    user = make_user("ben", password=PASSWORD)
    browser = Client()
    assert browser.post(LOGIN, {"username": "ben", "password": PASSWORD, "next": aim})["Location"] == QUEUE
    for asked in (browser, browser_of(user)):
        assert asked.get(LOGIN, {"next": aim})["Location"] == QUEUE
    assert browser.get(LOGIN, {"next": "/batches/"})["Location"] == "/batches/"
    assert browser.post("/accounts/logout/", {"next": "/accounts/logout/"})["Location"] == LOGIN


def change(user, admin, **values):
    users.change(type(user).objects.get(pk=user.pk), values, by=admin)


# --- For how long -------------------------------------------------------------------------------------------


def test_user_who_does_nothing_for_an_hour_is_signed_out_and_led_back(bens_browser, clock):
    clock.goes_on(minutes=59)
    assert is_signed_in(bens_browser)
    clock.goes_on(minutes=61)
    response = bens_browser.get("/batches/?page=2")
    assert response["Location"] == f"{LOGIN}?next=/batches/%3Fpage%3D2"
    assert response["Clear-Site-Data"] == '"cache"'
    assert "You were signed out, because you did nothing for 60 minutes." in words(
        bens_browser.get(response["Location"])
    )
    assert not is_signed_in(bens_browser)
    assert not UserSession.objects.exists()


def test_session_ends_after_a_day_however_active_its_user_is(bens_browser, clock):
    for _ in range(47):
        clock.goes_on(minutes=30)
        assert is_signed_in(bens_browser)
    clock.goes_on(minutes=30)
    response = bens_browser.get(QUEUE)
    assert "after 24 hours you sign in again" in words(bens_browser.get(response["Location"]))


ASK_BY_THEMSELVES = [
    ("GET", STATE),
    ("GET", "/batches/1/progress/"),
    ("GET", "/batches/1/items/"),
    ("POST", "/setup/email/sign-in/"),
    ("POST", "/setup/email/users/ben/sign-in/"),
    ("POST", "/preferences/email/sign-in/"),
]


@pytest.mark.parametrize(("method", "path"), ASK_BY_THEMSELVES)
def test_pages_that_refresh_by_themselves_keep_nobody_signed_in(bens_browser, clock, method, path):
    for _ in range(6):
        clock.goes_on(minutes=10)
        bens_browser.generic(method, path, headers=POLL)
    assert not is_signed_in(bens_browser)


@pytest.mark.parametrize(("method", "path"), [
    ("GET", QUEUE), ("GET", "/nowhere/"), ("GET", "/preferences/email/sign-in/"), ("HEAD", QUEUE), ("POST", STATE),
    ("POST", "/batches/1/progress/"), ("POST", "/messages/1/hold/"),
])  # fmt: skip
def test_what_is_ordered_or_opened_is_activity_whatever_it_says_of_itself(bens_browser, clock, method, path):
    clock.goes_on(minutes=50)
    bens_browser.generic(method, path, headers=POLL)
    clock.goes_on(minutes=50)
    assert is_signed_in(bens_browser)


def test_thief_of_a_cookie_is_seen_on_the_page_of_sessions_whatever_they_do(bens_browser, ben, clock):
    message = make_message("kim@example.com", author=ben, due=False)
    clock.goes_on(minutes=10)
    for says in ({}, POLL):
        for path in (f"/messages/{message.pk}/hold/", STATE):
            assert bens_browser.get(QUEUE, REMOTE_ADDR="192.0.2.1").status_code == 200
            assert UserSession.objects.get().address == "192.0.2.1"
            bens_browser.post(path, {"why": "By a thief"}, headers=says, REMOTE_ADDR="203.0.113.66")
            assert UserSession.objects.get().address == "203.0.113.66"
    bens_browser.get(QUEUE, REMOTE_ADDR="192.0.2.1")
    before = UserSession.objects.get().active_at
    clock.goes_on(minutes=10)
    bens_browser.get(STATE, headers=POLL, REMOTE_ADDR="203.0.113.66")
    row = UserSession.objects.get()
    assert (row.address, row.active_at) == ("203.0.113.66", before)


@pytest.mark.parametrize("does", [
    lambda browser: browser.get("/batches/"),
    lambda browser: browser.post(STATE),
    lambda browser: browser.get("/messages/new/addresses/?q=ab"),
    lambda browser: browser.post("/setup/schedules/preview/", headers={"HX-Request": "true"}),
], ids=["opens a page", "says so", "types an address", "types into a form"])  # fmt: skip
def test_what_a_user_does_is_activity(bens_browser, clock, does):
    clock.goes_on(minutes=50)
    does(bens_browser)
    clock.goes_on(minutes=50)
    assert is_signed_in(bens_browser)


def test_options_say_how_long(bens_browser, clock):
    options.save({"idle_minutes": 5, "session_hours": 1}, by=None)
    clock.goes_on(minutes=4)
    assert is_signed_in(bens_browser)
    clock.goes_on(minutes=6)
    assert not is_signed_in(bens_browser)


def test_every_part_of_a_page_that_asks_by_itself_says_so():
    """The kind: a refresh that does not say so would keep its user signed in for ever."""
    from pathlib import Path

    tags = re.compile(r"<\w(?:{%.*?%}|{{.*?}}|[^>])*>", re.DOTALL)
    asks = [
        " ".join(tag.split())
        for file in Path("templates").rglob("*.html")
        for tag in tags.findall(file.read_text())
        if "every " in tag and "hx-trigger" in tag
    ]
    assert len(asks) == 3
    for tag in asks:
        assert """hx-headers='{"X-Background": "1"}' hx-disinherit="hx-headers\"""" in tag


def test_user_has_so_many_sessions_and_the_one_that_was_active_longest_ago_ends(ben, clock, monkeypatch):
    """Twenty thousand made a page of 15 MB, and each sign-in leaves one."""
    monkeypatch.setattr(store, "MOST_OF_USER", 3)
    browsers = []
    for minutes in range(3):
        clock.goes_on(minutes=minutes)
        browsers.append(signs_in())
    clock.goes_on(minutes=4)
    assert is_signed_in(browsers[0])
    make_user("vera", password=PASSWORD)
    others = signs_in("vera")
    clock.goes_on(minutes=5)
    browsers.append(signs_in())
    assert [is_signed_in(each) for each in [*browsers, others]] == [True, False, True, True, True]


@pytest.mark.parametrize("ahead", [400, 3653])
def test_session_of_a_clock_that_was_ahead_holds_no_longer_than_others(ben, clock, ahead):
    clock.goes_on(days=ahead)
    browser = browser_of(ben)
    clock.goes_on(days=-ahead)
    assert is_signed_in(browser)
    clock.goes_on(minutes=61)
    assert not is_signed_in(browser)


def test_browser_learns_how_much_time_is_left(clock, bens_browser):
    assert bens_browser.get(STATE, headers=POLL).json() == {"seconds": 3600, "warn": 300, "may_stay": True}
    clock.goes_on(minutes=50)
    assert bens_browser.get(STATE, headers=POLL).json()["seconds"] == 600
    bens_browser.post(STATE)
    assert bens_browser.get(STATE, headers=POLL).json()["seconds"] == 3600
    clock.goes_on(minutes=61)
    assert bens_browser.get(STATE, headers=POLL).json()["seconds"] == 0
    assert "because you did nothing for 60 minutes." in words(bens_browser.get(LOGIN)), "the page asks next"
    assert Client().get(STATE).json()["seconds"] == 0


def test_browser_is_told_when_activity_does_not_help(clock, bens_browser):
    options.save({"session_hours": 1}, by=None)
    clock.goes_on(minutes=45)
    bens_browser.post(STATE)
    assert bens_browser.get(STATE, headers=POLL).json() == {"seconds": 900, "warn": 300, "may_stay": False}


def test_part_of_a_page_is_never_a_sign_in_form(client):
    response = client.get("/batches/", headers={"HX-Request": "true"})
    assert (response.headers["HX-Refresh"], response.content) == ("true", b"")
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/setup/schedules/new/"}
    response = client.post("/setup/schedules/preview/", headers=here)
    assert response.headers["HX-Redirect"] == f"{LOGIN}?next=/setup/schedules/new/"


def test_activity_costs_one_statement_in_half_a_minute(bens_browser, clock, django_assert_num_queries):
    with django_assert_num_queries(2):  # session, user with options
        bens_browser.post(STATE)
    clock.goes_on(seconds=31)
    with django_assert_num_queries(3):
        bens_browser.post(STATE)


# --- What ends it -------------------------------------------------------------------------------------------


def test_deactivating_ends_sessions_for_good(bens_browser, ben, operator):
    roles.give(operator, roles.ADMIN)
    change(ben, operator, is_active=False)
    assert not is_signed_in(bens_browser)
    change(ben, operator, is_active=True)
    assert not is_signed_in(bens_browser)


def test_deactivating_ends_sessions_that_ask_nothing_meanwhile(bens_browser, ben, operator):
    roles.give(operator, roles.ADMIN)
    change(ben, operator, is_active=False)
    change(ben, operator, is_active=True)
    assert not is_signed_in(bens_browser)


def test_user_deactivated_past_the_console_stays_signed_out(bens_browser, ben):
    type(ben).objects.filter(pk=ben.pk).update(is_active=False)
    assert not is_signed_in(bens_browser)
    type(ben).objects.filter(pk=ben.pk).update(is_active=True)
    assert not is_signed_in(bens_browser)


@pytest.mark.parametrize("role", [roles.VIEWER, roles.ADMIN, ""])
def test_another_role_ends_sessions(bens_browser, ben, operator, role):
    roles.give(operator, roles.ADMIN)
    change(ben, operator, role=role)
    assert not UserSession.objects.filter(user=ben).exists()
    assert bens_browser.get(MINE).status_code == 302


def test_other_changes_of_a_user_end_nothing(bens_browser, ben, operator):
    roles.give(operator, roles.ADMIN)
    change(ben, operator, email="other@office.example", role=roles.OPERATOR)
    assert is_signed_in(bens_browser)


def test_own_password_ends_all_other_sessions(ben):
    here, there = signs_in(), signs_in()
    new = "staple battery horse"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert here.post("/preferences/password/", form).status_code == 302
    assert is_signed_in(here)
    assert not is_signed_in(there)
    assert UserSession.objects.filter(user=ben).count() == 1


@pytest.mark.parametrize("how", [
    lambda user: users.set_password(user, "staple battery horse"),
    lambda user: call_command("createoperator", "ben", new_password=True, generate=True, verbosity=0),
    lambda user: type(user).objects.get(pk=user.pk).delete(),
    lambda user: users.sign_out(user, by=user),
], ids=["password by an administrator", "command", "deleted", "signed out"])  # fmt: skip
def test_what_else_ends_all_sessions(bens_browser, ben, how):
    how(ben)
    assert not is_signed_in(bens_browser)
    assert not UserSession.objects.exists()


def test_second_factor_that_is_reset_ends_all_sessions(bens_browser, ben, operator):
    recovery_codes(bens_browser, PASSWORD)
    assert second_factor.reset(ben, by=operator)
    assert not is_signed_in(bens_browser)


def test_request_that_was_under_way_writes_no_ended_session_back(bens_browser, ben):
    session = bens_browser.session
    session["seen"] = 1
    UserSession.objects.all().delete()
    with pytest.raises(store.UpdateError):
        session.save()
    assert not UserSession.objects.exists()


def test_request_that_was_under_way_writes_nothing_into_what_its_session_became(bens_browser):
    """Someone signed in there, or has another password: that is for the cookie of since."""
    session = bens_browser.session
    session["seen"] = 1
    since = store.SessionStore(session.session_key)
    since.load()
    since.cycle_key()
    before = dump()
    with pytest.raises(store.UpdateError):
        session.save()
    with pytest.raises(store.UpdateError):
        session.cycle_key()
    assert dump() == before


def test_sign_in_does_not_take_over_the_session_that_another_user_began_meanwhile(ben, monkeypatch):
    """Mallory has planted the cookie of her half sign-in in Ben's browser, and signs in with it at the same moment."""
    mallory = make_user("mallory", password=PASSWORD)
    browser = signs_in("mallory")
    recovery_codes(browser, PASSWORD)
    planted = signs_in("mallory").cookies["sessionid"].value
    bens, hers = Client(), Client()
    bens.cookies["sessionid"] = hers.cookies["sessionid"] = planted
    compare = User.check_password

    def while_ben_signs_in(user, password):
        if user == mallory and "sessionid" in bens.cookies and bens.cookies["sessionid"].value == planted:
            bens.post(LOGIN, {"username": "ben", "password": PASSWORD})
        return compare(user, password)

    monkeypatch.setattr(User, "check_password", while_ben_signs_in)
    assert hers.post(LOGIN, {"username": "mallory", "password": PASSWORD})["Location"].startswith(LOGIN)
    assert bens.cookies["sessionid"].value != planted
    assert is_signed_in(bens)
    assert not is_signed_in(hers)
    assert hers.get("/accounts/login/code/")["Location"] == LOGIN


def test_password_change_that_was_under_way_leaves_no_session_behind(ben, monkeypatch):
    """An administrator ends the sessions after the old password was checked."""
    browser = signs_in()
    before = users.set_password

    def then_ended(*args, **options):
        before(*args, **options)
        UserSession.objects.all().delete()

    monkeypatch.setattr(users, "set_password", then_ended)
    new = "staple battery horse"
    response = browser.post(
        "/preferences/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    )
    assert response["Location"].startswith(LOGIN)
    assert not UserSession.objects.exists()


NEW = "staple battery horse"
OWN = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}


def once_a_password_was_compared(monkeypatch, work):
    """`work` is done right after the next right password was compared, and before what it is asked for."""
    compare, todo = User.check_password, [work]

    def then(user, password):
        is_right = compare(user, password)
        if is_right and todo:
            todo.pop()()
        return is_right

    monkeypatch.setattr(User, "check_password", then)


def test_new_password_of_an_administrator_is_not_overwritten_by_a_change_that_was_under_way(admin, ben, monkeypatch):
    """A thief knows the old one, and keeps a change to the same under way."""
    thief, given = signs_in(), []

    def gives_another():
        page = source(admin.post(f"/setup/users/{ben.pk}/password/"))
        given.append(re.search(r'class="sign-in-code[^>]*>([^<]*)<', page)[1])

    once_a_password_was_compared(monkeypatch, gives_another)
    stolen = OWN | {"new_password1": PASSWORD, "new_password2": PASSWORD}
    response = thief.post("/preferences/password/", stolen)
    assert response["Location"].startswith(LOGIN)
    said = words(thief.get(response["Location"]))
    assert "Your password was changed in the meantime. Sign in again." in said
    assert "You are signed out everywhere else" not in said
    assert not Client().login(username="ben", password=PASSWORD)
    assert is_signed_in(signs_in(password=given[0]))
    assert set(AuditEntry.objects.filter(field="password").values_list("by__username", flat=True)) == {"anna"}


def test_password_is_not_changed_in_a_session_that_was_ended_meanwhile(admin, ben, monkeypatch):
    thief = signs_in()
    once_a_password_was_compared(monkeypatch, lambda: admin.post(f"/setup/users/{ben.pk}/sign-out/"))
    response = thief.post("/preferences/password/", OWN)
    assert response["Location"].startswith(LOGIN)
    assert "You were signed out in the meantime. Sign in again." in words(thief.get(response["Location"]))
    assert is_signed_in(signs_in())
    assert not AuditEntry.objects.filter(field="password").exists()


def test_of_two_changes_of_a_password_at_the_same_moment_one_is_made(ben, monkeypatch):
    """Also in one session: both forms were right when they were compared."""
    browser = signs_in()
    again = Client()
    again.cookies["sessionid"] = browser.cookies["sessionid"].value
    another = OWN | {"new_password1": "a third battery", "new_password2": "a third battery"}
    once_a_password_was_compared(monkeypatch, lambda: again.post("/preferences/password/", another))
    response = browser.post("/preferences/password/", OWN)
    assert "Your password was changed in the meantime. Sign in again." in words(browser.get(response["Location"]))
    assert is_signed_in(signs_in(password="a third battery"))
    assert is_signed_in(again)


@pytest.mark.django_db(transaction=True)
def test_change_of_a_password_waits_for_that_of_an_administrator_and_is_refused(admin, ben, monkeypatch):
    """It comes while the new password is written and not committed."""
    thief, record, answers = signs_in(), users.audit.record, []
    form = OWN | {"new_password1": PASSWORD, "new_password2": PASSWORD}
    changes = threading.Thread(target=elsewhere(lambda: answers.append(thief.post("/preferences/password/", form))))

    def meanwhile(*args, **options):
        found = record(*args, **options)
        if threading.current_thread() is threading.main_thread():
            changes.start()
            changes.join(1)  # it waits for the administrator
        return found

    monkeypatch.setattr(users.audit, "record", meanwhile)
    admin.post(f"/setup/users/{ben.pk}/password/")
    changes.join()
    assert answers[0]["Location"].startswith(LOGIN)
    assert not Client().login(username="ben", password=PASSWORD)


def test_sign_in_that_was_under_way_when_the_user_was_deactivated_leaves_no_session(ben, monkeypatch):
    user_model, save = type(ben), store.SessionStore.save

    def after_deactivation(self, must_create=False):
        if not must_create:
            user_model.objects.update(is_active=False)
        save(self, must_create)

    monkeypatch.setattr(store.SessionStore, "save", after_deactivation)
    browser = Client()
    assert browser.post(LOGIN, {"username": "ben", "password": PASSWORD})["Location"].startswith(LOGIN)
    monkeypatch.undo()
    user_model.objects.update(is_active=True)
    assert not is_signed_in(browser)
    assert not UserSession.objects.filter(user=ben).exists()


@pytest.mark.postgresql
@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_sign_ins_and_deactivations_at_one_moment_leave_no_session_and_no_deadlock(ben, operator):
    roles.give(operator, roles.ADMIN)
    turns = iter(range(8))

    def work():
        if next(turns) % 2:
            change(ben, operator, is_active=False)
        else:
            Client().post(LOGIN, {"username": "ben", "password": PASSWORD})

    assert in_threads(8, work) == []
    assert not UserSession.objects.filter(user=ben).exists()


def test_signing_in_gives_another_cookie_and_signing_out_ends_it(ben):
    browser = Client()
    planted = browser.session.session_key  # a session of a stranger, which they know
    browser.post(LOGIN, {"username": "ben", "password": PASSWORD})
    key = browser.cookies["sessionid"].value
    assert key != planted
    thief = Client()
    thief.cookies["sessionid"] = planted
    assert not is_signed_in(thief)
    browser.post("/accounts/logout/")
    thief.cookies["sessionid"] = key
    assert not is_signed_in(thief)


def test_database_has_nothing_that_opens_a_session(bens_browser):
    key = bens_browser.cookies["sessionid"].value
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_session")
        assert cursor.fetchone() == (0,)
    assert key not in str(dump()) + str(list(UserSession.objects.values()))
    thief = Client()
    thief.cookies["sessionid"] = UserSession.objects.get().digest
    assert not is_signed_in(thief)


def test_tidy_drops_what_is_over(ben, operator, clock):
    Heartbeat.objects.create(name="sweep", at=clock())
    gone, here = browser_of(ben), browser_of(operator)
    clock.goes_on(minutes=50)
    assert is_signed_in(here)
    clock.goes_on(minutes=20)
    housekeeping.tidy(clock())
    assert UserSession.objects.get().user == operator
    assert is_signed_in(here) and not is_signed_in(gone)


# --- My sessions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("agent", "said"), [
    (FIREFOX, "Firefox on Windows"),
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/142.0.0.0", "Edge on Windows"),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.5 Safari/605.1.15", "Safari on Mac"),
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) CriOS/137.0 Safari/604.1", "Chrome on iPhone"),
    (f"Mozilla/5.0 (Linux; Android 10; K) SamsungBrowser/28.0 {CHROME}", "Samsung Internet on Android"),
    (f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36", "Chrome on Linux"),
    ("", "Unknown browser"), ("<script>", "Unknown browser"),
])  # fmt: skip
def test_browsers_are_told_in_plain_words(agent, said):
    assert browsers.in_words(agent) == said


def test_own_sessions_are_listed_with_this_one_first(ben, clock):
    there = signs_in(headers={"user-agent": FIREFOX})
    clock.goes_on(minutes=5)
    here = signs_in(REMOTE_ADDR="203.0.113.7")
    make_user("carl")
    signs_in_as_other = browser_of(make_user("dora"))
    assert signs_in_as_other.get(MINE).status_code == 200
    page = words(here.get(MINE))
    assert page.index("This one") < page.index("Firefox on Windows From 127.0.0.1, signed in")
    assert "From 203.0.113.7, signed in" in page
    assert page.count("last active") == 2
    assert f'href="{MINE}"' in source(there.get(QUEUE))


def test_one_session_is_ended(ben):
    here, there = signs_in(), signs_in(headers={"user-agent": FIREFOX})
    pk = UserSession.objects.get(browser=FIREFOX).pk
    assert "That session is ended." in words(here.post(f"{MINE}end/", {"session": pk}, follow=True))
    assert not is_signed_in(there)
    assert is_signed_in(here)
    assert "That session had already ended." in words(here.post(f"{MINE}end/", {"session": pk}, follow=True))


def test_nobody_ends_the_session_of_another_user(bens_browser, office, operator):
    pk = UserSession.objects.get(user=operator).pk
    for number in (pk, "0", "x", "9" * 30, "-1", ""):
        bens_browser.post(f"{MINE}end/", {"session": number})
    assert is_signed_in(office)
    assert is_signed_in(bens_browser)


def test_sign_out_everywhere_ends_this_one_too(ben):
    here, there = signs_in(), signs_in()
    response = here.post(f"{MINE}end/")
    assert (response["Location"], response["Clear-Site-Data"]) == (LOGIN, '"cache", "storage"')
    assert not is_signed_in(here) and not is_signed_in(there)
    entry = AuditEntry.objects.get(field="signed_out")
    assert (entry.by, entry.after) == (ben, {"number": 2, "all": True})


def test_administrator_sees_and_ends_the_sessions_of_a_user(admin, operator, ben):
    there = signs_in(headers={"user-agent": FIREFOX})
    page = f"/setup/users/{ben.pk}/"
    assert "Firefox on Windows" in words(admin.get(page))
    after = words(admin.post(f"{page}sign-out/", follow=True))
    assert "Ben Okoro is signed out everywhere." in after
    assert "Ben Okoro is signed in nowhere." in after
    assert "Sessions ended everywhere: 1" in after
    assert not is_signed_in(there)
    assert is_signed_in(admin)


def test_user_without_a_role_sees_their_own_sessions():
    assert browser_of(make_user("nobody", role="")).get(MINE).status_code == 200


# --- A browser whose session is over ------------------------------------------------------------------------


@pytest.mark.parametrize("over", ["idle", "ended"])
def test_sign_in_form_that_was_open_when_the_session_ended_signs_in_at_once(bens_browser, ben, clock, over):
    """Of another tab, which asks for nothing before: the browser still sends the cookie of the session that is over."""
    if over == "idle":
        clock.goes_on(minutes=61)
    else:
        UserSession.objects.all().delete()
    response = bens_browser.post(LOGIN, {"username": "ben", "password": PASSWORD})
    assert response["Location"] == QUEUE
    assert is_signed_in(bens_browser)
    assert UserSession.objects.get().user == ben


def test_session_of_another_user_who_signs_in_on_top_is_known_as_theirs(bens_browser, operator):
    """As the tests of other parts do it: no page leads there."""
    bens_browser.force_login(operator)
    assert UserSession.objects.get().user == operator
