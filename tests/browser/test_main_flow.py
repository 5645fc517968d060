"""What an office does all day, in a real browser against a whole installation."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.site import choose_and_confirm, look, row, sign_in
from tests.sizes import also_in_drills

pytestmark = [pytest.mark.browser, pytest.mark.process]


def test_queue_is_shown_and_a_double_click_opens_a_message(site, signed_in):
    site.queue("ann@look.example", "ben@look.example")
    page = signed_in
    page.goto(f"{site.url}/messages/")
    expect(row(page, "ann@look.example")).to_be_visible()
    look(page, "queue")
    row(page, "ann@look.example").locator("td").nth(2).dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice for ann@look.example")
    expect(page.frame_locator("iframe").get_by_text("Dear customer")).to_be_visible()
    expect(page.get_by_text("Remote images are blocked")).to_be_visible()
    look(page, "message")


def test_enter_opens_the_row_reached_with_the_arrow_keys(site, signed_in):
    site.queue("keys1@keys.example", "keys2@keys.example")
    page = signed_in
    page.goto(f"{site.url}/messages/?q=keys.example")
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("keys1@keys.example")


def test_status_filter_and_search_narrow_the_list(site, signed_in):
    site.queue("findme@narrow.example", "other@narrow.example")
    page = signed_in
    page.goto(f"{site.url}/messages/")
    page.get_by_label("Search").fill("findme")
    expect(row(page, "other@narrow.example")).to_have_count(0)
    expect(row(page, "findme@narrow.example")).to_be_visible()
    assert "q=findme" in page.url
    page.get_by_role("link", name=re.compile("^Sent")).click()
    expect(page.get_by_text("No sent messages match this filter.")).to_be_visible()
    look(page, "empty")


def test_selection_is_processed_and_the_report_says_what_became_of_each(site, signed_in):
    addresses = ["one@run.example", "two@run.example", "reject@run.example", "greylist@run.example", "drop@run.example"]
    site.queue(*addresses, "left@run.example")
    page = signed_in
    page.goto(f"{site.url}/batches/new/?q=run.example")
    for address in addresses:
        row(page, address).get_by_role("checkbox").check()
    look(page, "choose")
    page.get_by_role("button", name="Review the batch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Send 5 messages?")
    for address in addresses:
        expect(page.get_by_role("link", name=f"Invoice for {address}")).to_be_visible()
    look(page, "review")
    page.get_by_role("button", name="Confirm: send 5 messages").click()
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    look(page, "report")
    tallies = page.locator(".tally").all_inner_texts()
    assert {"3 sent", "1 failed", "1 unknown"} <= {" ".join(text.lower().split()) for text in tallies}
    expect(page.get_by_text("The mailbox does not exist.").first).to_be_visible()
    row_left = site.installation.ask("answer = Message.objects.get(subject__contains='left@run').status")
    assert row_left == "queued"
    page.goto(f"{site.url}/messages/?status=failed&q=run.example")
    page.get_by_role("link", name="Invoice for reject@run.example").click()
    expect(page.get_by_text("The mailbox does not exist.").first).to_be_visible()
    page.get_by_text("Server’s words").first.click()
    expect(page.get_by_text("5.1.1").first).to_be_visible()
    look(page, "failed-message")


def test_unknown_message_is_decided_by_a_person(site, signed_in):
    site.queue("drop@unknown.example")
    page = signed_in
    choose_and_confirm(page, site, "drop@unknown.example")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Invoice for drop@unknown.example").click()
    look(page, "unknown-message")
    page.locator("summary", has_text="Mark as sent").click()
    page.get_by_role("button", name="Yes, it arrived").click()
    expect(page.get_by_text("Marked as sent").first).to_be_visible()


def test_retry_only_the_failed(site, signed_in):
    site.queue("fine@retry.example", "reject@retry.example")
    page = signed_in
    choose_and_confirm(page, site, "fine@retry.example", "reject@retry.example")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Retry only the failed").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Retry 1 failed message?")
    page.get_by_role("button", name=re.compile("^Confirm")).click()
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)


def test_shift_click_chooses_the_range_between(site, signed_in):
    site.queue(*[f"r{number}@range.example" for number in range(6)])
    page = signed_in
    page.goto(f"{site.url}/batches/new/?q=range.example")
    boxes = page.locator("input[data-pick]")
    boxes.nth(1).check()
    boxes.nth(4).click(modifiers=["Shift"])
    assert [boxes.nth(number).is_checked() for number in range(6)] == [False, True, True, True, True, False]
    expect(page.get_by_text("4 chosen")).to_be_visible()


def test_confirm_pressed_twice_sends_once(site, signed_in):
    site.queue("twice@double.example")
    page = signed_in
    page.goto(f"{site.url}/batches/new/?q=double.example")
    row(page, "twice@double.example").get_by_role("checkbox").check()
    page.get_by_role("button", name="Review the batch").click()
    page.get_by_role("button", name=re.compile("^Confirm")).dblclick()
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    assert sum(b"twice@double.example" in path.read_bytes() for path in site.sent_files()) == 1


def test_two_tabs_with_the_same_selection_send_once_and_the_second_says_so(site, signed_in, context):
    site.queue("shared@tabs.example")
    first, second = signed_in, context.new_page()
    for page in (first, second):
        page.goto(f"{site.url}/batches/new/?q=tabs.example")
        row(page, "shared@tabs.example").get_by_role("checkbox").check()
        page.get_by_role("button", name="Review the batch").click()
    for page in (first, second):
        page.get_by_role("button", name=re.compile("^Confirm")).click()
        expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    expect(second.locator(".tally.is-skipped")).to_contain_text("1")
    expect(second.get_by_text("Already").first).to_be_visible()
    look(second, "skipped")
    assert sum(b"shared@tabs.example" in path.read_bytes() for path in site.sent_files()) == 1


def test_menu_has_the_words_of_the_seed(site, signed_in):
    page = signed_in
    for words in ("Administration", "Email Notifications", "Messaging", "Batching", "Office Management",
                  "Batch Message Processing", "Defaults", "Email Setup"):  # fmt: skip
        expect(page.get_by_role("navigation").get_by_text(words, exact=True).first).to_be_visible()


@pytest.mark.parametrize("width", [390, *also_in_drills(1280)])
def test_no_page_scrolls_sideways(site, signed_in, width):
    page = signed_in
    page.set_viewport_size({"width": width, "height": 844})
    for path in (
        "/messages/",
        "/messages/?status=all",
        "/batches/new/",
        "/batches/",
        "/setup/email/",
        "/setup/schedules/",
        "/setup/schedules/new/",
    ):
        page.goto(site.url + path)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, path


def test_everything_works_without_javascript(site, browser):

    site.queue("plain@nojs.example", "plain2@nojs.example")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, site)
    page.goto(f"{site.url}/batches/new/?q=nojs.example")
    row(page, "plain@nojs.example").get_by_role("checkbox").check()
    page.get_by_role("button", name="Review the batch").click()
    page.get_by_role("button", name=re.compile("^Confirm")).click()
    for _ in range(30):
        if page.get_by_text("Finished.").is_visible():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text("Finished.")).to_be_visible()
    page.get_by_role("link", name="Invoice for plain@nojs.example").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Invoice for plain@nojs.example")
    context.close()
