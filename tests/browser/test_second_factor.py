"""The second factor where only a browser shows it: the QR code, and recovery codes saved as a file, under the CSP."""

import re

import pytest
from playwright.sync_api import expect

from tests.authenticator import code_of
from tests.browser.site import PASSWORD, look

pytestmark = pytest.mark.browser

MAKE = f"""
from messaging import users
answer = users.create("cora", "{PASSWORD}", first_name="Cora", last_name="Winter").pk
"""
RESET = """
from django.contrib.auth.models import User
from messaging.access import second_factor
User.objects.filter(username="cora").update(is_active=False)
answer = second_factor.reset(User.objects.get(username="cora"), via="test")
"""


@pytest.fixture
def cora(site, browser):
    """A browser of a user who has no second factor; nothing that it complains about is let pass."""
    site.installation.ask(MAKE)
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 800}), []
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    site.installation.ask(RESET)
    assert complaints == []


def sign_in(page, site):
    page.goto(f"{site.url}/accounts/login/")
    page.get_by_label("User name").fill("cora")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_qr_code_is_seen_and_a_saved_recovery_code_signs_in(site, cora):
    sign_in(cora, site)
    cora.get_by_role("link", name="Security").click()
    look(cora, "security-1-off")
    cora.get_by_role("link", name="Set it up").click()
    picture = cora.get_by_role("img", name="QR code with the key below")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 0
    look(cora, "security-2-set-up")
    key = cora.locator(".key").inner_text().replace(" ", "")
    cora.get_by_label("Code that the app shows now").fill(code_of(key))
    cora.get_by_label("Your password").fill(PASSWORD)
    cora.get_by_role("button", name="Switch it on").click()
    look(cora, "security-3-codes")
    with cora.expect_download() as saved:
        cora.get_by_role("link", name="Download as text").click()
    codes = re.findall(r"^\d{4} \d{4}$", saved.value.path().read_text(), re.MULTILINE)
    assert len(codes) == 10
    cora.get_by_role("link", name="I have kept them").click()
    look(cora, "security-4-on")
    cora.get_by_role("button", name="Sign out").click()
    sign_in(cora, site)
    expect(cora.get_by_label("Code")).to_be_focused()
    look(cora, "security-5-code")
    cora.get_by_label("Code").fill("123")
    cora.get_by_role("button", name="Sign in").click()
    expect(cora.get_by_text("This code is wrong or has already been used.")).to_be_visible()
    look(cora, "security-6-wrong")
    cora.get_by_label("Code").fill(codes[0])
    cora.get_by_role("button", name="Sign in").click()
    cora.wait_for_url("**/messages/")
