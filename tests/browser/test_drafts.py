"""One message opened in the person's own mail program (send type 1), in a real browser."""

import email
import email.policy
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import look

pytestmark = [pytest.mark.browser, pytest.mark.process]


@pytest.fixture
def mapi(office):
    """Anna's send type is 1; the company's stays."""
    office.installation.ask(
        "EmailSettings.objects.update_or_create(account_id=1, defaults={'send_type': 1}); answer = None"
    )
    yield
    office.installation.ask("EmailSettings.objects.filter(account_id=1).delete(); answer = None")


def test_draft_is_downloaded_by_itself_and_the_keyboard_does_the_rest(office, signed_in, mapi):
    (pk,) = office.queue("draft@mapi.example")
    page = signed_in
    page.goto(f"{office.url}/messages/{pk}/")
    look(page, "mapi-before")
    page.get_by_role("button", name="Open in my mail program").focus()
    with page.expect_download() as downloading:
        page.keyboard.press("Enter")
    download = downloading.value
    assert download.suggested_filename == "Invoice for draft@mapi.example.eml"
    made = email.message_from_bytes(Path(download.path()).read_bytes(), policy=email.policy.default)
    assert made["X-Unsent"] == "1"
    assert next(made.iter_attachments()).get_content().startswith(b"%PDF-1.4")
    expect(page.get_by_text("nothing says yet that it was sent")).to_be_visible()
    look(page, "mapi-handed-over")

    page.goto(f"{office.url}/messages/?status=held&q=mapi.example")
    expect(page.get_by_text("Handed over to Anna Lindqvist’s mail program")).to_be_visible()
    look(page, "mapi-list")
    page.go_back()

    downloads = []
    page.on("download", lambda download: downloads.append(download))
    page.reload()
    page.get_by_role("link", name="Download the draft").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Sent from my mail program")).to_be_focused()
    assert downloads == [], "a page loaded again downloads nothing"
    page.keyboard.press("Enter")
    expect(page.locator(".standing-head")).to_have_text(re.compile("^Sent from Anna Lindqvist’s mail program"))
    look(page, "mapi-sent")


def test_without_javascript_the_draft_is_a_link(office, mapi, browser):
    (pk,) = office.queue("plain@mapi.example")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(office.url)
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill("correct-horse-battery")
    page.get_by_role("button", name="Sign in").click()
    page.goto(f"{office.url}/messages/{pk}/")
    page.get_by_role("button", name="Open in my mail program").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the draft").click()
    assert downloading.value.suggested_filename == "Invoice for plain@mapi.example.eml"
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("Waits in the queue for Batch Message Processing.")).to_be_visible()
    context.close()
