"""An authenticator app: RFC 6238 in the test's own words."""

import base64
import hashlib
import hmac
import re
import struct

from django.utils import timezone


def key_on(page):
    """The key that a page shows, as the app is given it."""
    return re.search(r'class="mono key">([A-Z2-7 ]+)<', page.content.decode())[1].replace(" ", "")


def code_of(key, steps=0):
    """What the app shows now, or so many steps of 30 seconds away."""
    step = int(timezone.now().timestamp()) // 30 + steps
    digest = hmac.new(base64.b32decode(key), struct.pack(">Q", step), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4]) & 0x7FFFFFFF) % 10**6:06}"


def wrong_code(key):
    """One that no step near this one has."""
    near = {code_of(key, steps) for steps in range(-2, 3)}
    return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in near)


def codes_on(page):
    """The recovery codes that a page shows."""
    return re.findall(r"<li>(\d{4} \d{4})</li>", page.content.decode())


def recovery_codes(browser, password, **more):
    """Set up a second factor in a browser that is signed in; its key and its recovery codes."""
    key = key_on(browser.get("/preferences/security/set-up/"))
    form = {"first": code_of(key), "password": password} | more
    return key, codes_on(browser.post("/preferences/security/set-up/", form))
