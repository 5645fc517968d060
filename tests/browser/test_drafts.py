"""One message opened in the person's own mail program (send type 1), in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.rows import parsed

pytestmark = [pytest.mark.browser, pytest.mark.process]


@pytest.fixture
def mapi(site):
    """Anna's send type is 1; the company's stays."""
    site.installation.ask(
        "EmailSettings.objects.update_or_create(account_id=1, defaults={'send_type': 1}); answer = None"
    )
    yield
    site.installation.ask("EmailSettings.objects.filter(account_id=1).delete(); answer = None")


def test_draft_is_downloaded_by_itself_and_the_keyboard_does_the_rest(site, signed_in, mapi):
    (pk,) = site.queue("draft@mapi.example")
    page = signed_in
    page.goto(f"{site.url}/messages/{pk}/")
    look(page, "mapi-before")
    page.get_by_role("button", name="Open in my mail program").focus()
    with page.expect_download() as downloading:
        page.keyboard.press("Enter")
    download = downloading.value
    assert download.suggested_filename == "Invoice for draft@mapi.example.eml"
    made = parsed(Path(download.path()).read_bytes())
    assert made["X-Unsent"] == "1"
    assert next(made.iter_attachments()).get_content().startswith(b"%PDF-1.4")
    expect(page.get_by_text("No one has said yet that it was sent")).to_be_visible()
    look(page, "mapi-handed-over")

    page.goto(f"{site.url}/messages/?status=held&q=mapi.example")
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


def test_without_javascript_the_draft_is_a_link(site, mapi, plain_page):
    (pk,) = site.queue("plain@mapi.example")
    page = plain_page
    page.goto(f"{site.url}/messages/{pk}/")
    page.get_by_role("button", name="Open in my mail program").click()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download the draft").click()
    assert downloading.value.suggested_filename == "Invoice for plain@mapi.example.eml"
    page.get_by_role("button", name="Put back").click()
    expect(page.get_by_text("Waits in the queue for Batch Message Processing.")).to_be_visible()
