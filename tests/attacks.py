"""Sign-ins as strangers and users try them, through the form."""

import re

from django.test import Client

from tests.pages import words

RIGHT, WRONG = "correct horse battery", "wrong"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.23"


def sign_in(name, password, at=HOME, browser=None, **header):
    """Post the form from an address; 302: entered, 200: wrong, 429: refused without a look at the password."""
    browser = browser or Client()
    return browser.post("/accounts/login/", {"username": name, "password": password}, REMOTE_ADDR=at, **header)


def statuses(tries, name, at=HOME, password=WRONG, **options):
    """How so many tries one after the other are answered."""
    return [sign_in(name, password, at, **options).status_code for _ in range(tries)]


def device_of(name, at=HOME):
    """A browser in which that user has signed in, and out."""
    browser = Client()
    assert sign_in(name, RIGHT, at, browser).status_code == 302
    browser.post("/accounts/logout/")
    return browser


def shown(response):
    """What the page says, without what differs from form to form."""
    return re.sub(r"value=\S+", "", words(response))
