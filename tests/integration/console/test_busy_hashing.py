"""Passwords are checked one after the other; a user who would have to wait long is told so in plain words."""

import threading
from contextlib import contextmanager

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password

from messaging import passwords

PASSWORD = "Kofi-writes-4-letters"


@pytest.fixture(autouse=True)
def real_hashes(settings):
    settings.PASSWORD_HASHERS = ["messaging.passwords.Hasher"]


@contextmanager
def busy(monkeypatch):
    """As many passwords are being checked, and wait for it, as may; hashing itself takes no time."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def encode(self, password, salt, iterations=None):
        begun.release()
        release.wait(20)
        return "pbkdf2_sha256$1$salt$hash"

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", encode)
    threads = [
        threading.Thread(target=make_password, args=("x",)) for _ in range(passwords.AT_ONCE + passwords.WAITING)
    ]
    for each in threads:
        each.start()
    for _ in range(passwords.AT_ONCE):
        begun.acquire()
    assert not begun.acquire(timeout=0.2), "one at a time"
    while passwords.Hasher.turns.are_free:  # the others are not in the queue yet
        threading.Event().wait(0.01)
    try:
        yield
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
    """Django computes a hash there as well, so that nobody can tell."""
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


def test_places_are_free_again_after_it(client, operator, monkeypatch):
    with monkeypatch.context() as patch, busy(patch):
        assert client.post("/accounts/login/", {"username": "nobody", "password": "x"}).status_code == 503
    operator.set_password(PASSWORD)
    operator.save()
    signed_in = client.post("/accounts/login/", {"username": operator.username, "password": PASSWORD})
    assert signed_in.status_code == 302


def test_passwords_from_before_are_still_known():
    assert check_password(PASSWORD, PBKDF2PasswordHasher().encode(PASSWORD, "salt"))
