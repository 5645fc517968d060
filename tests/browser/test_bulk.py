"""Hold, release and cancel for many in a real browser: by keyboard, without a jump of the list, without JavaScript."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look

pytestmark = [pytest.mark.browser, pytest.mark.process]


def first_row(page):
    return page.locator("tr[data-row]").first.bounding_box()["y"]


def test_ticked_messages_are_held_by_keyboard_and_released_again(site, signed_in):
    site.queue(*(f"bulk{number}@example.com" for number in range(5)), subject="Bulk")
    page = signed_in
    page.goto(f"{site.url}/messages/?q=Bulk")
    before = first_row(page)
    boxes = page.locator("[data-pick]")
    boxes.nth(0).focus()
    page.keyboard.press("Space")
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("#picked")).to_have_text("3 chosen")
    page.locator("summary", has_text="Hold").focus()
    page.keyboard.press("Enter")
    assert first_row(page) == before  # the bar is active, its panel open, and nothing moved
    look(page, "bulk-hold")
    page.get_by_label("Why").first.fill("Prices are wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 held.")).to_be_visible()
    page.goto(f"{site.url}/messages/?q=Bulk&status=held")
    page.get_by_label("All 3 that match the filter").check()
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_text("3 released.")).to_be_visible()


def test_without_javascript_ticks_and_buttons_do_the_same(site, plain_page):
    site.queue("plain1@example.com", "plain2@example.com", subject="Plain")
    page = plain_page
    page.goto(f"{site.url}/messages/?q=Plain")
    page.locator("[data-pick]").first.check()
    page.locator("summary", has_text="Cancel").click()
    page.get_by_role("button", name="Cancel the messages").click()
    expect(page.get_by_text("1 cancelled.")).to_be_visible()
