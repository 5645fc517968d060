"""The second factor: set up, asked for at the sign-in, lost, reset, and required of a role."""

import base64
import re
import threading
from urllib.parse import unquote

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.management import CommandError, call_command
from django.test import Client

from messaging import users
from messaging.access import roles, second_factor, sign_in_throttling
from messaging.company import options
from messaging.console import half_signed_in
from messaging.models import AuditEntry
from tests.authenticator import code_of, codes_on, key_on, recovery_codes, wrong_code
from tests.factories import browser_of, make_user
from tests.pages import source, words
from tests.rows import dump
from tests.steps import elsewhere, in_threads

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
HOME = "127.0.0.1"
LOGIN, CODE, QUEUE = "/accounts/login/", "/accounts/login/code/", "/messages/"
SECURITY, SET_UP = "/preferences/security/", "/preferences/security/set-up/"


@pytest.fixture
def phone(clock, bens_browser):
    """Ben's authenticator app, and his recovery codes; five minutes have passed since he set it up."""
    key, codes = recovery_codes(bens_browser, PASSWORD)
    clock.goes_on(minutes=5)
    return key, codes


@pytest.fixture
def key(phone):
    return phone[0]


@pytest.fixture
def codes(phone):
    return phone[1]


def enter_password(browser, password=PASSWORD, **more):
    return browser.post(LOGIN, {"username": "ben", "password": password} | more)


def at_the_code(**more):
    """A browser in which Ben has entered his password."""
    browser = Client()
    assert enter_password(browser, **more)["Location"] == CODE
    return browser


def is_signed_in(browser):
    return browser.get(QUEUE).status_code == 200


def audited(user, *fields):
    found = AuditEntry.objects.filter(area="users", object_key=str(user.pk), field__in=fields)
    return list(found.order_by("pk").values_list("field", "action", "before", "after", "by__username", "via"))


# --- Signing in ---------------------------------------------------------------------------------------------


def test_without_one_the_password_is_enough(ben):
    browser = Client()
    assert enter_password(browser, next="/batches/")["Location"] == "/batches/"
    assert is_signed_in(browser)


def test_password_and_code_open_the_console_and_lead_where_the_user_wanted_to_go(key):
    browser = at_the_code(next="/batches/?a=b")
    assert browser.post(CODE, {"code": code_of(key)})["Location"] == "/batches/?a=b"
    assert is_signed_in(browser)


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_code_leads_to_no_other_site(key, wanted):
    assert at_the_code(next=wanted).post(CODE, {"code": code_of(key)})["Location"] == QUEUE


def test_password_alone_opens_nothing(key):
    browser = at_the_code()
    for url in (QUEUE, SECURITY, "/preferences/password/", "/setup/users/"):
        assert browser.get(url)["Location"] == f"{LOGIN}?next={url}", url
    assert browser.post("/preferences/password/")["Location"].startswith(LOGIN)


def test_signal_and_time_of_a_sign_in_wait_for_the_code(key, ben):
    heard = []
    user_logged_in.connect(listener := lambda user, **rest: heard.append(user), weak=False)
    try:
        browser = at_the_code()
        ben.refresh_from_db()
        before = ben.last_login
        assert heard == []
        browser.post(CODE, {"code": code_of(key)})
    finally:
        user_logged_in.disconnect(listener)
    ben.refresh_from_db()
    assert heard == [ben]
    assert ben.last_login != before


def test_session_has_another_key_after_each_step(key):
    browser = Client()
    browser.get(LOGIN)
    keys = [browser.session.session_key]
    enter_password(browser)
    keys.append(browser.cookies["sessionid"].value)
    browser.post(CODE, {"code": code_of(key)})
    keys.append(browser.cookies["sessionid"].value)
    assert len(set(keys)) == 3


def test_code_belongs_to_the_browser_of_the_password(key):
    at_the_code()
    another = Client()
    assert another.post(CODE, {"code": code_of(key)})["Location"] == LOGIN
    assert not is_signed_in(another)


def test_time_between_password_and_code_is_limited(key, clock):
    browser = at_the_code(next="/batches/")
    clock.goes_on(seconds=half_signed_in.SECONDS - 1)
    assert browser.get(CODE).status_code == 200
    clock.goes_on(seconds=2)
    response = browser.post(CODE, {"code": code_of(key)}, follow=True)
    assert response.redirect_chain == [(f"{LOGIN}?next=%2Fbatches%2F", 302)]
    assert "That took too long. Sign in again." in words(response)
    assert not is_signed_in(browser)


def new_password(ben):
    users.set_password(ben, "another long one", via="test")


def deactivated(ben):
    ben.is_active = False
    ben.save()


def reset(ben):
    second_factor.reset(ben, via="test")


def deleted(ben):
    ben.delete()


@pytest.mark.parametrize("change", [new_password, deactivated, reset, deleted])
def test_password_counts_no_more_once_the_user_was_changed(key, ben, change):
    browser = at_the_code()
    change(ben)
    assert browser.post(CODE, {"code": code_of(key)})["Location"] == LOGIN
    assert half_signed_in.KEY not in browser.session
    assert not is_signed_in(browser)


def test_who_is_signed_in_is_asked_for_no_code(key, bens_browser):
    assert bens_browser.get(CODE)["Location"] == QUEUE


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_clock_of_the_phone_may_be_half_a_minute_wrong(key, steps):
    browser = at_the_code()
    browser.post(CODE, {"code": code_of(key, steps)})
    assert is_signed_in(browser)


@pytest.mark.parametrize("steps", [-2, 2])
def test_clock_of_the_phone_may_not_be_a_minute_wrong(key, steps):
    browser = at_the_code()
    response = browser.post(CODE, {"code": code_of(key, steps)})
    assert "This code is wrong or has already been used." in words(response)
    assert not is_signed_in(browser)


@pytest.mark.parametrize("written", ["{0} {1}", "{0}-{1}", " {0}{1} ", "full width"])
def test_code_is_taken_as_people_write_it(key, written):
    code, browser = code_of(key), at_the_code()
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code)
    browser.post(CODE, {"code": wide if written == "full width" else written.format(code[:3], code[3:])})
    assert is_signed_in(browser)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "٠١٢٣٤٥", "x" * 10_000, "\x00", "-"])
def test_what_is_no_code_is_refused_in_words(key, code):
    browser = at_the_code()
    assert browser.post(CODE, {"code": code}).status_code == 200
    assert not is_signed_in(browser)


@pytest.mark.parametrize("later", [0, 29])
def test_code_is_valid_once(key, clock, later):
    code, first, second = code_of(key), at_the_code(), at_the_code()
    first.post(CODE, {"code": code})
    clock.goes_on(seconds=later)
    second.post(CODE, {"code": code})
    assert is_signed_in(first)
    assert not is_signed_in(second)


def test_code_before_the_one_that_was_used_is_refused(key):
    at_the_code().post(CODE, {"code": code_of(key)})
    browser = at_the_code()
    browser.post(CODE, {"code": code_of(key, -1)})
    assert not is_signed_in(browser)
    browser.post(CODE, {"code": code_of(key, 1)})
    assert is_signed_in(browser)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("which", ["app", "recovery"])
def test_one_of_many_who_enter_a_code_at_the_same_moment_comes_in(ben, which):
    key, codes = recovery_codes(browser_of(ben), PASSWORD)
    Authenticator.objects.filter(type="totp").update(data=with_data(last_step=0))
    code, answers = code_of(key) if which == "app" else codes[0], []
    assert in_threads(6, lambda: answers.append(second_factor.check(ben, code))) == []
    assert sorted(answers) == [False] * 5 + [True]


def with_data(**changes):
    return Authenticator.objects.get(type="totp").data | changes


def test_clock_that_was_ahead_keeps_nobody_out(key, clock):
    clock.goes_on(days=400)
    at_the_code().post(CODE, {"code": code_of(key)})
    for _ in range(sign_in_throttling.PLACE.free + 3):
        at_the_code().post(CODE, {"code": wrong_code(key)})
    clock.goes_on(days=-400)
    assert status_of(code_of(key)) == 429
    clock.goes_on(minutes=1)  # as long as if they had come just now
    assert status_of(code_of(key)) == 302


# --- Wrong codes --------------------------------------------------------------------------------------------


def test_five_wrong_codes_end_what_the_password_began(key, ben, clock):
    browser = at_the_code()
    for _ in range(half_signed_in.MOST_WRONG - 1):
        assert browser.post(CODE, {"code": wrong_code(key)}).status_code == 200
    response = browser.post(CODE, {"code": wrong_code(key)}, follow=True)
    assert "There were too many wrong codes. Sign in again." in words(response)
    clock.goes_on(hours=1)
    assert browser.post(CODE, {"code": code_of(key)})["Location"] == LOGIN
    assert not is_signed_in(browser)


def type_wrong(key, times=sign_in_throttling.PLACE.free, at=HOME):
    for _ in range(times):
        assert at_the_code().post(CODE, {"code": wrong_code(key)}, REMOTE_ADDR=at).status_code == 200


def status_of(code, at=HOME, browser=None):
    """How a code is answered; 302: entered, 200: wrong, 429: refused without a look at it."""
    return (browser or at_the_code()).post(CODE, {"code": code}, REMOTE_ADDR=at).status_code


def test_wrong_codes_delay_the_right_one_longer_and_longer(key, clock):
    type_wrong(key)
    waits = []
    for _ in range(9):
        browser = at_the_code()  # another one each time
        response = browser.post(CODE, {"code": code_of(key)}, REMOTE_ADDR=HOME)
        assert response.status_code == 429
        assert "Too many wrong tries" in words(response)
        assert "Without the app and the recovery codes you need an administrator" in words(response)
        assert not is_signed_in(browser)
        waits.append(int(response["Retry-After"]))
        clock.goes_on(seconds=waits[-1])
        type_wrong(key, 1)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 640, 900]


def test_right_code_after_the_delay_enters_and_ends_it(key, clock):
    type_wrong(key)
    clock.goes_on(seconds=5)
    assert status_of(code_of(key)) == 302
    type_wrong(key, sign_in_throttling.PLACE.free - 1)
    clock.goes_on(minutes=1)
    assert status_of(code_of(key)) == 302


def test_who_knows_the_password_delays_no_code_elsewhere_nor_on_a_known_device(key, clock):
    """They try from many addresses; Ben signs in at another one, and later on a device where he did before."""
    known = at_the_code()
    assert status_of(code_of(key), browser=known) == 302
    known.post("/accounts/logout/")
    clock.goes_on(minutes=1)
    type_wrong(key)
    assert status_of(code_of(key)) == 429
    assert status_of(code_of(key), at="198.51.100.23") == 302
    for number in range(sign_in_throttling.CODES.free // sign_in_throttling.PLACE.free - 1):
        type_wrong(key, at=f"192.0.2.{number}")
    clock.goes_on(seconds=1)
    assert status_of(code_of(key), at="192.0.2.99") == 429, "a device that no one knows"
    assert enter_password(known)["Location"] == CODE
    assert status_of(code_of(key, 1), at="192.0.2.99", browser=known) == 302


@pytest.mark.django_db(transaction=True)
def test_many_codes_at_once_are_five_tries(ben):
    """In several sessions; those under way count already."""
    key, _ = recovery_codes(browser_of(ben), PASSWORD)
    answers, browsers = [], [at_the_code() for _ in range(12)]
    turns = iter(browsers)
    assert in_threads(12, lambda: answers.append(status_of(wrong_code(key), browser=next(turns)))) == []
    assert answers.count(200) <= sign_in_throttling.PLACE.free
    assert answers.count(429) == 12 - answers.count(200)


def test_guessing_codes_is_told_in_the_audit_log(key, ben, clock):
    type_wrong(key)
    [(_, _, _, kept, _, via)] = audited(ben, "sign_in")
    assert (kept["what"], kept["door"], kept["tries"], via) == ("delayed", "code", 5, "sign-in")


def test_delay_of_one_user_is_nobody_elses(key, clock):
    carla = make_user("carla", password=PASSWORD)
    hers, _ = recovery_codes(browser_of(carla), PASSWORD)
    type_wrong(key)
    clock.goes_on(seconds=1)
    browser = Client()
    browser.post(LOGIN, {"username": "carla", "password": PASSWORD})
    browser.post(CODE, {"code": code_of(hers, 1)})
    assert is_signed_in(browser)


# --- Recovery codes -----------------------------------------------------------------------------------------


def test_ten_recovery_codes_enter_once_each(codes, ben):
    assert len(set(codes)) == 10
    browser = at_the_code()
    browser.post(CODE, {"code": codes[3]})
    assert is_signed_in(browser)
    assert "9 are left." in words(browser.get(SECURITY))
    again = at_the_code()
    again.post(CODE, {"code": codes[3]})
    assert not is_signed_in(again)
    again.post(CODE, {"code": codes[4].replace(" ", "-")})
    assert is_signed_in(again)
    assert audited(ben, "recovery_codes_left") == [
        ("recovery_codes_left", "changed", 10, 9, "ben", ""), ("recovery_codes_left", "changed", 9, 8, "ben", ""),
    ]  # fmt: skip


def test_recovery_codes_are_shown_once_and_stored_encrypted(bens_browser, clock):
    page = bens_browser.get(SET_UP)
    key = key_on(page)
    assert "no-store" in page["Cache-Control"]
    shown = bens_browser.post(SET_UP, {"first": code_of(key), "password": PASSWORD})
    codes = codes_on(shown)
    assert "no-store" in shown["Cache-Control"]
    stored = str(dump()) + str(list(Authenticator.objects.values())) + str(dict(bens_browser.session))
    for secret in (key, *codes, *(code.replace(" ", "") for code in codes)):
        assert secret not in stored
    for url in (SECURITY, SET_UP):
        assert codes_on(bens_browser.get(url)) == []
        assert key not in bens_browser.get(url).content.decode().replace(" ", "")


def test_recovery_codes_can_be_downloaded_as_text_without_javascript(bens_browser, clock):
    key = key_on(bens_browser.get(SET_UP))
    page = bens_browser.post(SET_UP, {"first": code_of(key), "password": PASSWORD})
    link = re.search(
        r'href="data:text/plain;charset=utf-8,([^"]*)" download="outtray-recovery-codes.txt"', source(page)
    )
    lines = unquote(link[1]).splitlines()
    assert lines[0] == "Outtray recovery codes of ben"
    assert lines[3:] == codes_on(page)


def proof(prefix, code, password=PASSWORD):
    return {f"{prefix}-password": password, f"{prefix}-code": code}


def test_new_recovery_codes_end_the_old_ones(bens_browser, key, codes, ben):
    page = bens_browser.post(f"{SECURITY}codes/", proof("codes", code_of(key)))
    anew = codes_on(page)
    assert len(set(anew) - set(codes)) == 10
    assert "no-store" in page["Cache-Control"]
    browser = at_the_code()
    browser.post(CODE, {"code": codes[0]})
    assert not is_signed_in(browser)
    browser.post(CODE, {"code": anew[0]})
    assert is_signed_in(browser)
    assert ("recovery_codes", "secret changed", None, None, "ben", "") in audited(ben, "recovery_codes")


# --- Switching it on and off --------------------------------------------------------------------------------


def test_key_is_shown_as_picture_and_as_text_and_stays_until_it_is_confirmed(bens_browser, clock):
    page = bens_browser.get(SET_UP)
    picture = re.search(r'src="data:image/svg\+xml;base64,([^"]*)"', page.content.decode())[1]
    svg = base64.b64decode(picture).decode()
    assert "<svg" in svg
    assert "<style" not in svg
    assert "<script" not in svg
    assert len(base64.b32decode(key_on(page))) == 20
    assert key_on(bens_browser.get(SET_UP)) == key_on(page)


def test_app_is_told_name_user_and_key(ben, monkeypatch):
    told = []
    monkeypatch.setattr(second_factor.Adapter, "build_totp_svg", lambda self, url: told.append(url) or "<svg/>")
    second_factor.picture(ben, "ABCDEFGH")
    assert told == ["otpauth://totp/ben?secret=ABCDEFGH&issuer=Outtray"]


def test_it_is_on_once_a_code_was_entered_and_the_log_says_so(bens_browser, clock, ben):
    key = key_on(bens_browser.get(SET_UP))
    page = bens_browser.post(SET_UP, {"first": wrong_code(key), "password": PASSWORD})
    assert page.status_code == 422
    assert "This code is wrong." in words(page)
    assert enter_password(Client())["Location"] == QUEUE
    bens_browser.post(SET_UP, {"first": code_of(key), "password": PASSWORD})
    assert enter_password(Client())["Location"] == CODE
    assert audited(ben, "second_factor") == [("second_factor", "secret set", None, None, "ben", "")]


def test_switching_it_on_ends_what_was_begun_without_it(bens_browser, clock, ben):
    elsewhere = browser_of(ben)
    recovery_codes(bens_browser, PASSWORD)
    assert is_signed_in(bens_browser)
    assert not is_signed_in(elsewhere)


@pytest.mark.django_db(transaction=True)
def test_sign_in_at_the_moment_in_which_it_is_switched_on_leaves_no_session_without_it(ben, bens_browser):
    """A thief has the password, and when their sign-in looked, no code was needed."""
    key = key_on(bens_browser.get(SET_UP))
    form = {"first": code_of(key), "password": PASSWORD}
    switches_on = threading.Thread(target=elsewhere(lambda: bens_browser.post(SET_UP, form)))

    def begin(**signal):
        switches_on.start()
        switches_on.join(1)  # it ends, or waits for the sign-in

    user_logged_in.connect(begin)
    try:
        thief = Client()
        enter_password(thief)
    finally:
        user_logged_in.disconnect(begin)
    switches_on.join()
    assert roles.has_second_factor(User.objects.get(pk=ben.pk))
    assert not is_signed_in(thief)
    assert is_signed_in(bens_browser)


def test_code_of_an_app_that_is_replaced_at_this_moment_leaves_no_session(bens_browser, key, codes, ben, monkeypatch):
    """The phone was stolen: its code was right, and its owner has another app before the sign-in is done."""
    thief, check = at_the_code(), second_factor.check

    def and_then_replaced(user, code):
        is_right = check(user, code)
        Authenticator.objects.filter(user=user, type="totp").delete()
        Authenticator.objects.create(user=user, type="totp", data={"secret": second_factor.new_key()})
        return is_right

    monkeypatch.setattr(second_factor, "check", and_then_replaced)
    assert thief.post(CODE, {"code": code_of(key)})["Location"] == LOGIN
    assert "Your second factor was changed in the meantime. Sign in again." in words(thief.get(LOGIN))
    assert not is_signed_in(thief)


def test_of_two_who_switch_it_on_at_the_same_moment_one_does(bens_browser, clock, ben, monkeypatch):
    """The other's form asked for no code of the factor that is there by then."""
    browsers = [bens_browser, browser_of(ben)]
    keys = [key_on(each.get(SET_UP)) for each in browsers]
    monkeypatch.setattr(
        "messaging.access.sessions.end_all", lambda *args, **options: 0
    )  # else the second is signed out
    monkeypatch.setattr(roles, "has_second_factor", lambda user: False)  # as it was when both began
    first, second = (
        each.post(SET_UP, {"first": code_of(key), "password": PASSWORD})
        for each, key in zip(browsers, keys, strict=True)
    )
    assert first.status_code == 200
    assert second.status_code == 422
    assert "Your second factor was changed in another window." in words(second)
    assert Authenticator.objects.get(type="totp").wrap().validate_code(code_of(keys[0])) is not None


def test_code_that_switched_it_on_does_not_sign_in_as_well(bens_browser, clock):
    key, _ = recovery_codes(bens_browser, PASSWORD)
    browser = at_the_code()
    browser.post(CODE, {"code": code_of(key)})
    assert not is_signed_in(browser)


def test_it_is_not_switched_on_at_a_screen_left_alone(bens_browser, clock, ben):
    key = key_on(bens_browser.get(SET_UP))
    page = bens_browser.post(SET_UP, {"first": code_of(key), "password": "a guess"})
    assert page.status_code == 422
    assert "This is not your password." in words(page)
    assert not roles.has_second_factor(ben)


def gives_another_password(admin, user):
    admin.post(f"/setup/users/{user.pk}/password/")


def signs_out(admin, user):
    admin.post(f"/setup/users/{user.pk}/sign-out/")


OVERTAKEN = {
    gives_another_password: "Your password was changed in the meantime. Sign in again.",
    signs_out: "You were signed out in the meantime. Sign in again.",
}


@pytest.mark.parametrize("meanwhile", OVERTAKEN)
@pytest.mark.parametrize("what", ["on", "another", "codes", "off"])
def test_it_is_not_changed_by_who_was_signed_out_meanwhile(
    request, admin, bens_browser, ben, clock, what, meanwhile, monkeypatch
):
    """A thief knows the password, and has a code; both were right."""
    has_one = what != "on"
    codes = request.getfixturevalue("codes") if has_one else []
    if what in ("on", "another"):
        url, form = SET_UP, {"first": code_of(key_on(bens_browser.get(SET_UP))), "password": PASSWORD}
        form |= {"code": codes[0]} if has_one else {}
    else:
        url, form = f"{SECURITY}{what}/", proof(what, codes[0])
    before = list(Authenticator.objects.order_by("pk").values_list("pk", flat=True))
    audits = audited(ben, "second_factor", "recovery_codes")
    compare, todo = User.check_password, [meanwhile]

    def then(user, password):
        is_right = compare(user, password)
        if is_right and todo:
            todo.pop()(admin, ben)
        return is_right

    monkeypatch.setattr(User, "check_password", then)
    response = bens_browser.post(url, form)
    assert response["Location"].startswith(LOGIN)
    said = words(bens_browser.get(response["Location"]))
    assert OVERTAKEN[meanwhile] in said
    assert "The second factor is off" not in said
    assert list(Authenticator.objects.order_by("pk").values_list("pk", flat=True)) == before
    assert audited(ben, "second_factor", "recovery_codes") == audits


def test_password_that_is_hashed_anew_as_it_is_compared_is_the_same(ben, clock, settings):
    """As after an update of Django."""
    hashers = "django.contrib.auth.hashers"
    settings.PASSWORD_HASHERS = [f"{hashers}.MD5PasswordHasher", f"{hashers}.ScryptPasswordHasher"]
    ben.password = make_password(PASSWORD, hasher="scrypt")
    ben.save()
    _, codes = recovery_codes(browser_of(ben), PASSWORD)
    assert len(codes) == 10
    ben.refresh_from_db()
    assert ben.password.startswith("md5$")


@pytest.mark.parametrize(("what", "code"), [("off", "app"), ("off", "recovery"), ("codes", "recovery")])
@pytest.mark.parametrize("wrong", ["password", "code", "both", ""])
def test_changing_it_takes_password_and_code(bens_browser, phone, ben, what, code, wrong):
    key, codes = phone
    given = code_of(key) if code == "app" else codes[0]
    given = wrong_code(key) if wrong in ("code", "both") else given
    before = list(Authenticator.objects.order_by("pk").values_list("pk", flat=True))
    form = proof(what, given, "a guess" if wrong in ("password", "both") else PASSWORD)
    page = bens_browser.post(f"{SECURITY}{what}/", form)
    is_changed = list(Authenticator.objects.order_by("pk").values_list("pk", flat=True)) != before
    assert is_changed == (not wrong)
    assert page.status_code == {"": 302 if what == "off" else 200}.get(wrong, 422)
    if wrong == "password":  # the code was not looked at, and is still good
        assert second_factor.check(ben, given)


def test_switched_off_the_password_is_enough_again(bens_browser, key, ben):
    page = bens_browser.post(f"{SECURITY}off/", proof("off", code_of(key)), follow=True)
    assert "The second factor is off." in words(page)
    browser = Client()
    enter_password(browser)
    assert is_signed_in(browser)
    assert not Authenticator.objects.exists()
    assert audited(ben, "second_factor")[-1] == ("second_factor", "secret removed", None, None, "ben", "")


def test_it_is_moved_to_another_app(bens_browser, key, codes, ben, clock):
    another = key_on(bens_browser.get(SET_UP))
    form = {"first": code_of(another), "password": PASSWORD}
    assert bens_browser.post(SET_UP, form).status_code == 422
    assert bens_browser.post(SET_UP, form | {"code": wrong_code(key)}).status_code == 422
    anew = codes_on(bens_browser.post(SET_UP, form | {"code": code_of(key)}))
    assert len(set(anew) - set(codes)) == 10
    clock.goes_on(minutes=1)
    browser = at_the_code()
    for gone in (code_of(key), codes[0]):
        browser.post(CODE, {"code": gone})
        assert not is_signed_in(browser)
    browser.post(CODE, {"code": code_of(another)})
    assert is_signed_in(browser)
    assert audited(ben, "second_factor")[-1][1] == "secret changed"


def test_new_password_leaves_it_on(bens_browser, key, ben):
    users.set_password(ben, "another long one", via="test")
    assert enter_password(Client(), "another long one")["Location"] == CODE


# --- Reset --------------------------------------------------------------------------------------------------


def test_administrator_sees_who_has_one_and_resets_it(admin, operator, key, ben, bens_browser):
    assert re.search(r"Ben Okoro ben .*? Operator Second factor", words(admin.get("/setup/users/")))
    page = f"/setup/users/{ben.pk}/"
    assert "Reset the second factor" in words(admin.get(page))
    half = at_the_code()
    said = words(admin.post(f"{page}second-factor/", follow=True))
    assert "Ben Okoro is signed out, and signs in with the password alone." in said
    assert "Second factor removed" in said
    assert "Reset the second factor" not in said
    assert not is_signed_in(bens_browser)
    assert is_signed_in(admin)
    assert half.post(CODE, {"code": code_of(key)})["Location"] == LOGIN
    assert enter_password(Client())["Location"] == QUEUE
    assert audited(ben, "second_factor")[-1] == ("second_factor", "secret removed", None, None, "anna", "")


def test_administrator_resets_ones_own_with_password_and_code_only(second_admin, key, ben):
    assert second_admin.post(f"/setup/users/{ben.pk}/second-factor/")["Location"] == SECURITY
    assert "Reset the second factor" not in words(second_admin.get(f"/setup/users/{ben.pk}/"))
    assert roles.has_second_factor(ben)


def test_command_lets_the_sole_administrator_in_again(key, ben, capsys):
    with pytest.raises(CommandError, match="goes with --new-password"):
        call_command("createoperator", "new", "--without-second-factor", "--generate")
    call_command("createoperator", "ben", "--new-password", "--generate")
    assert roles.has_second_factor(ben)
    capsys.readouterr()
    call_command("createoperator", "ben", "--new-password", "--without-second-factor", "--generate")
    said = capsys.readouterr().out
    assert "Second factor: taken away." in said
    browser = Client()
    enter_password(browser, said.split()[-1])
    assert is_signed_in(browser)
    assert audited(ben, "second_factor")[-1][1:] == ("secret removed", None, None, None, "createoperator")
    call_command("createoperator", "ben", "--new-password", "--without-second-factor", "--generate")
    assert "Second factor: there was none." in capsys.readouterr().out


# --- Required of a role -------------------------------------------------------------------------------------


def require(*needing):
    options.save({"second_factor_roles": "\n".join(needing)}, by=None)


@pytest.fixture
def required(ben):
    require(roles.OPERATOR)


def test_who_needs_one_is_led_to_it_and_reaches_nothing_else(bens_browser, required, clock):
    for url in (QUEUE, "/batches/", SECURITY, "/preferences/password/", "/preferences/email/"):
        assert bens_browser.get(url)["Location"] == f"{SET_UP}?next={url.replace('/', '%2F')}", url
    page = bens_browser.get(f"{SET_UP}?next=/batches/%3Fa=b")
    assert "Set up your second factor" in words(page)
    assert 'aria-label="Main menu"' not in page.content.decode()
    assert 'action="/accounts/logout/"' in page.content.decode()
    form = {"first": code_of(key_on(page)), "password": PASSWORD, "next": "/batches/?a=b"}
    shown = bens_browser.post(SET_UP, form)
    assert len(codes_on(shown)) == 10
    assert 'href="/batches/?a=b"' in shown.content.decode()
    assert is_signed_in(bens_browser)


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:alert(1)"])
def test_setting_it_up_leads_to_no_other_site(bens_browser, required, clock, wanted):
    key = key_on(bens_browser.get(SET_UP, {"next": wanted}))
    form = {"first": code_of(key), "password": PASSWORD, "next": wanted}
    page = bens_browser.post(SET_UP, form).content.decode()
    assert wanted not in page
    assert f'href="{SECURITY}"' in page


def test_sign_in_of_who_needs_one_ends_at_the_set_up(ben, required):
    browser = Client()
    page = browser.post(LOGIN, {"username": "ben", "password": PASSWORD, "next": "/batches/"}, follow=True)
    assert page.redirect_chain == [("/batches/", 302), (f"{SET_UP}?next=%2Fbatches%2F", 302)]


def test_nothing_is_done_before_it_is_set_up(bens_browser, required, waiting):
    before = dump()
    page = bens_browser.post(f"/messages/{waiting[0].pk}/hold/", {"why": "Not yet"})
    assert page.status_code == 403
    assert "Nothing was done" in words(page)
    assert f'href="{SET_UP}"' in page.content.decode()
    for method in ("post", "get"):
        part = getattr(bens_browser, method)(f"/messages/{waiting[0].pk}/hold/", headers={"HX-Request": "true"})
        assert part["HX-Redirect"] == SET_UP
        assert part.content == b""
    assert dump() == before


@pytest.mark.parametrize("url", ["/no-such-page/", "/messages/999999/", "/setup/users/"])
def test_no_page_of_an_error_shows_the_menu_before_it_is_set_up(bens_browser, required, url):
    assert 'aria-label="Main menu"' not in bens_browser.get(url).content.decode()


def test_signing_out_works_before_it_is_set_up(bens_browser, required):
    assert bens_browser.post("/accounts/logout/")["Location"] == LOGIN
    assert bens_browser.get(QUEUE)["Location"].startswith(f"{LOGIN}?next=")


def test_others_are_asked_for_nothing(required, admin):
    assert is_signed_in(admin)
    assert is_signed_in(browser_of(make_user("vera", role=roles.VIEWER)))
    assert browser_of(make_user("none", role="")).get(QUEUE).status_code == 403


def test_superuser_is_an_administrator_in_this_as_well(db):
    require(roles.ADMIN)
    boss = User.objects.create_superuser("boss")
    assert browser_of(boss).get(QUEUE)["Location"].startswith(SET_UP)


def test_who_needs_it_cannot_switch_it_off(bens_browser, key, required, ben):
    assert "Switch off the second factor" not in words(bens_browser.get(SECURITY))
    assert bens_browser.post(f"{SECURITY}off/", proof("off", code_of(key)))["Location"] == SECURITY
    assert roles.has_second_factor(ben)


def test_option_is_set_on_its_page_and_kept_in_the_log(admin):
    page = admin.get("/setup/options/").content.decode()
    assert page.count('name="second_factor_roles"') == 3
    admin.post("/setup/options/", option_form(second_factor_roles=[roles.VIEWER, roles.OPERATOR]))
    assert options.options().second_factor_roles == "Viewer\nOperator"
    entry = AuditEntry.objects.get(field="second_factor_roles")
    assert (entry.before, entry.after) == ([], ["Viewer", "Operator"])
    assert "Second factor required for set to “Viewer, Operator”" in words(admin.get("/setup/options/"))
    assert admin.get("/setup/options/").content.decode().count('name="second_factor_roles" value="Viewer"') == 1


def test_role_that_there_is_not_is_refused(admin):
    page = admin.post("/setup/options/", option_form(second_factor_roles=["King"]))
    assert page.status_code == 422
    assert options.options().second_factor_roles == ""


def test_administrator_who_requires_it_of_administrators_sets_it_up_next(admin, operator, clock):
    operator.set_password(PASSWORD)
    operator.save()
    admin.force_login(operator)
    page = admin.post("/setup/options/", option_form(second_factor_roles=[roles.ADMIN]), follow=True)
    assert page.redirect_chain[-1][0].startswith(SET_UP)
    assert "Your own role needs a second factor from now on: set it up next." in words(page)
    recovery_codes(admin, PASSWORD)
    assert admin.get("/setup/options/").status_code == 200


def option_form(**values):
    form = {"version": str(options.options().version), "language": "en-gb", "same_refusals": "5"}
    form |= {"idle_minutes": "60", "session_hours": "24"}
    rules = {f"{kind}_window_minutes": "15" for kind in options.notice_rules()}
    return form | rules | values


# --- Keys ---------------------------------------------------------------------------------------------------

NEW = Fernet.generate_key().decode()


def reencrypt(*arguments):
    try:
        call_command("reencrypt_secrets", *arguments)
    except SystemExit as ended:
        return ended.code
    return 0


def test_keys_are_changed_without_losing_the_second_factor(key, codes, settings, capsys):
    old = settings.FIELD_ENCRYPTION_KEYS
    settings.FIELD_ENCRYPTION_KEYS = [NEW, *old]
    before = list(Authenticator.objects.values_list("data", flat=True))
    assert reencrypt("--dry-run") == 0
    assert "2 would be encrypted again" in capsys.readouterr().out
    assert list(Authenticator.objects.values_list("data", flat=True)) == before
    assert reencrypt() == 0
    assert "2 were encrypted again" in capsys.readouterr().out
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    for code in (code_of(key), codes[0]):
        browser = at_the_code()
        browser.post(CODE, {"code": code})
        assert is_signed_in(browser)


def test_lost_key_is_told_and_lets_nobody_in(bens_browser, key, settings, capsys):
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    browser = at_the_code()
    page = browser.post(CODE, {"code": code_of(key)})
    assert page.status_code == 200
    assert "This server can no longer read your second factor." in words(page)
    assert not is_signed_in(browser)
    assert "This server can no longer read them." in words(bens_browser.get(SECURITY))
    assert reencrypt() == 1
    said = capsys.readouterr().out
    assert "Key of a second factor, ben. An administrator has to reset it." in said
    assert "Recovery codes, ben. An administrator has to reset it." in said


# --- allauth itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["2fa/", "2fa/authenticate/", "2fa/totp/activate/", "signup/", "password/reset/", "email/"]
)
def test_no_page_of_allauth_has_an_address(admin, path):
    assert admin.get(f"/accounts/{path}").status_code == 404
