"""The end of a session where only a browser shows it: the warning, Stay signed in, and a letter that survives."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import PASSWORD, look

pytestmark = pytest.mark.browser

MAKE = f"""
from django.contrib.auth.models import User
from messaging import users
if not User.objects.filter(username="sven").update(is_active=True):
    users.create("sven", "{PASSWORD}", first_name="Sven", last_name="Moe")
answer = None
"""
LEAVE = """
from django.contrib.auth.models import User
answer = User.objects.filter(username="sven").update(is_active=False)
"""
IDLE = """
from datetime import timedelta
from django.utils import timezone
active_at = timezone.now() - timedelta(minutes={minutes})
answer = UserSession.objects.filter(user__username="sven").update(active_at=active_at)
"""


@pytest.fixture
def sven(site, browser):
    """A browser of a user of his own, whose clock the test moves; nothing that it complains about is let pass."""
    site.installation.ask(MAKE)
    context, complaints = browser.new_context(viewport={"width": 1280, "height": 800}), []
    page = context.new_page()
    page.set_default_timeout(10_000)
    # Playwright puts its clock into the frame of a letter as well, whose sandbox does not let it run.
    meant = "Blocked script execution"
    page.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" and meant not in said.text else None,
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.clock.install()
    page.goto(f"{site.url}/accounts/login/")
    sign_in(page)
    yield page
    context.close()
    site.installation.ask(LEAVE)
    assert complaints == []


def sign_in(page):
    page.get_by_label("User name").fill("sven")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def minutes_pass(site, page, minutes):
    """Nothing is done for so long."""
    site.installation.ask(IDLE.format(minutes=minutes))
    page.clock.fast_forward(minutes * 60_000)


def test_letter_survives_the_warning_and_the_end_of_the_session(site, sven):
    sven.goto(f"{site.url}/messages/new/")
    look(sven, "sessions-1-before")
    sven.get_by_label("To", exact=True).fill("kim@sessions.example")
    sven.get_by_label("Subject").fill("Offer for <Kim>")
    text = sven.get_by_label("Text", exact=True)
    text.fill("Dear Kim,\n\n“yes” & no.\n")
    box, stay = sven.locator(".session-end"), sven.get_by_role("button", name="Stay signed in")
    expect(box).to_be_hidden()
    minutes_pass(site, sven, 57)
    expect(box).to_contain_text("You will be signed out at")
    expect(text).to_be_focused()
    look(sven, "sessions-2-warning")
    stay.click()
    expect(box).to_be_hidden()
    minutes_pass(site, sven, 61)
    expect(box).to_contain_text("You were signed out. Send the form to keep what you typed")
    expect(stay).to_be_hidden()
    look(sven, "sessions-3-over")
    sven.get_by_role("button", name="Put in the queue").click()
    expect(sven.get_by_text("What you typed is kept for a day.")).to_be_visible()
    look(sven, "sessions-4-sign-in")
    sign_in(sven)
    expect(sven.get_by_text("This was not done, because you were signed out.")).to_be_visible()
    expect(text).to_have_value("Dear Kim,\n\n“yes” & no.\n")
    expect(sven.get_by_label("Subject")).to_have_value("Offer for <Kim>")
    look(sven, "sessions-5-again")
    sven.get_by_role("button", name="Put in the queue").click()
    expect(sven.get_by_role("heading", name="Offer for <Kim>")).to_be_visible()


def test_page_that_nothing_is_typed_into_leads_to_the_sign_in_and_back(site, sven):
    sven.goto(f"{site.url}/batches/?page=1")
    minutes_pass(site, sven, 61)
    sven.wait_for_url("**/accounts/login/?next=/batches/**")
    expect(sven.get_by_text("You were signed out, because you did nothing for 60 minutes.")).to_be_visible()
    look(sven, "sessions-6-signed-out")
    sign_in(sven)
    sven.wait_for_url("**/batches/?page=1")


def test_own_sessions_are_ended_everywhere(site, sven):
    sven.get_by_role("link", name="My sessions").click()
    expect(sven.get_by_text("This one", exact=True)).to_be_visible()
    look(sven, "sessions-7-mine")
    sven.get_by_role("button", name="Sign out everywhere").click()
    sven.wait_for_url("**/accounts/login/")
