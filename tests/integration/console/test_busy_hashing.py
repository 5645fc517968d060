"""Passwords are checked one after the other; a user who would have to wait long is told so in plain words."""

import threading
from contextlib import contextmanager

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password
from django.db import connection

from messaging import concurrency
from messaging.access import passwords
from messaging.access.sign_in_throttling import account_of
from tests.attacks import ELSEWHERE, HOME, RIGHT, WRONG, device_of, sign_in

PASSWORD = "Kofi-writes-4-letters"


@pytest.fixture(autouse=True)
def real_hashes(settings):
    settings.PASSWORD_HASHERS = ["messaging.access.passwords.Hasher"]


@contextmanager
def busy(monkeypatch, who=""):
    """As many passwords (of one user) are being checked, and wait for it, as may; hashing itself takes no time."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def encode(self, password, salt, iterations=None):
        begun.release()
        release.wait(20)
        return "pbkdf2_sha256$1$salt$hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)

    def check():
        with passwords.asked_by(who):
            make_password("x")

    number = concurrency.OF_ONE if who else passwords.AT_ONCE + passwords.WAITING
    threads = [threading.Thread(target=check) for _ in range(number)]
    for each in threads:
        each.start()
    for _ in range(passwords.AT_ONCE):
        begun.acquire()
    assert not begun.acquire(timeout=0.2), "one at a time"
    while passwords.Hasher.limit.are_free(who):  # the others are not in the queue yet
        threading.Event().wait(0.01)
    try:
        yield release
    finally:
        release.set()
        for each in threads:
            each.join()


def test_sign_in_is_put_off_in_plain_words(client, operator, monkeypatch):
    with busy(monkeypatch):
        answer = client.post("/accounts/login/", {"username": operator.username, "password": PASSWORD})
    assert answer.status_code == 503
    assert int(answer["Retry-After"]) > 0
    assert "Too many sign-ins at the moment" in answer.content.decode()


def test_sign_in_with_a_name_that_nobody_has_is_put_off_too(client, db, monkeypatch):
    """Django computes a hash there as well, so that no one can tell."""
    with busy(monkeypatch):
        answer = client.post("/accounts/login/", {"username": "nobody", "password": PASSWORD})
    assert answer.status_code == 503


def test_new_passwords_wait_their_turn(admin, ben, bens_browser, monkeypatch):
    ben.set_password(PASSWORD)
    ben.save()
    bens_browser.force_login(ben)
    kept, new = ben.password, "Kofi-writes-5-letters"
    form = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    with busy(monkeypatch):
        assert bens_browser.post("/preferences/password/", form).status_code == 503
        assert admin.post(f"/setup/users/{ben.pk}/password/").status_code == 503
    ben.refresh_from_db()
    assert ben.password == kept


def test_one_user_leaves_turns_for_the_others(client, operator, ben, bens_browser, monkeypatch):
    """Right passwords are not counted: a user can enter theirs without a pause."""
    mine = {"username": ben.username, "password": PASSWORD}
    change = {"old_password": PASSWORD, "new_password1": "x", "new_password2": "x"}
    with busy(monkeypatch, account_of(ben.username)) as release:
        assert client.post("/accounts/login/", mine).status_code == 503
        assert bens_browser.post("/preferences/password/", change).status_code == 503
        threading.Timer(0.2, release.set).start()
        others = client.post("/accounts/login/", {"username": operator.username, "password": PASSWORD})
        assert others.status_code == 200 and "correct username and password" in others.content.decode()


@contextmanager
def strangers(monkeypatch, addresses):
    """From each address so many try names that no one has, as long as they find a place; hashing waits meanwhile."""
    release, refused = threading.Event(), threading.Semaphore(0)
    encode = PBKDF2PasswordHasher.encode

    def slow(self, password, salt, iterations=None):
        release.wait(20)
        return encode(self, password, salt, iterations)

    def attack(address, number):
        if sign_in(f"{address}-{number}", WRONG, address).status_code == 503:
            refused.release()
        connection.close()  # this thread's own

    tries = [(address, number) for address in addresses for number in range(6)]
    with monkeypatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "encode", slow)
        threads = [threading.Thread(target=attack, args=each) for each in tries]
        for each in threads:
            each.start()
        for _ in range(len(tries) - passwords.AT_ONCE - passwords.WAITING):  # or more, where fewer may wait
            assert refused.acquire(timeout=20)
        threading.Timer(0.3, release.set).start()
        try:
            yield
        finally:
            release.set()
            for each in threads:
                each.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("addresses", [1, 4])
def test_strangers_keep_no_known_device_out(ben, monkeypatch, addresses):
    ben.set_password(RIGHT)
    ben.save()
    device = device_of("ben")
    with strangers(monkeypatch, [f"192.0.2.{number}" for number in range(addresses)]):
        assert sign_in("ben", RIGHT, ELSEWHERE, device).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_one_address_leaves_turns_for_the_others(ben, monkeypatch):
    """A stranger has a new name for each try, which is no one's."""
    ben.set_password(RIGHT)
    ben.save()
    with strangers(monkeypatch, [HOME]):
        assert sign_in("ben", RIGHT, ELSEWHERE).status_code == 302


def test_places_are_free_again_after_it(client, operator, monkeypatch):
    with monkeypatch.context() as patch, busy(patch):
        assert client.post("/accounts/login/", {"username": "nobody", "password": "x"}).status_code == 503
    operator.set_password(PASSWORD)
    operator.save()
    signed_in = client.post("/accounts/login/", {"username": operator.username, "password": PASSWORD})
    assert signed_in.status_code == 302


def test_passwords_from_before_are_still_known():
    assert check_password(PASSWORD, PBKDF2PasswordHasher().encode(PASSWORD, "salt"))
