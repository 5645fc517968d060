"""A message written, completed by keyboard, with a dropped file; a refusal; and a correction: in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.installation import wait_for
from tests.rows import parsed

pytestmark = [pytest.mark.browser, pytest.mark.process]

OPTIONS = """
from messaging.company import options
options.save({values}, by=None)
answer = None
"""
DROP = """
() => {
  const data = new DataTransfer();
  data.items.add(new File(["%PDF-1.4 dropped"], "offer.pdf", { type: "application/pdf" }));
  data.items.add(new File(["x"], "wrong.txt", { type: "text/plain" }));
  const zone = document.querySelector("[data-drop]");
  zone.dispatchEvent(new DragEvent("dragover", { bubbles: true, cancelable: true, dataTransfer: data }));
  zone.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
}
"""


@pytest.fixture
def company(site):
    """Decide the company's options for one test."""

    def decide(**values):
        site.installation.ask(OPTIONS.format(values=values))

    yield decide
    decide(record_mail=False, hold_mail=False)


def caught(site, subject):
    found = [parsed(file.read_bytes()) for file in site.sent_files()]
    return [mail for mail in found if mail["Subject"] == subject]


def test_message_is_written_and_sent_by_keyboard(site, signed_in, company):
    company(record_mail=True, hold_mail=False)
    site.queue("bo.berg@compose.example", "anders@compose.example")
    page = signed_in
    look(page, "new-message-button")
    page.get_by_role("link", name="New message").last.click()
    to = page.get_by_label("To", exact=True)
    expect(to).to_have_role("combobox")  # what is typed before the script is there completes nothing
    to.press_sequentially("compose.ex")
    options = page.get_by_role("listbox").get_by_role("option")
    expect(options).to_have_count(2)
    to.press("ArrowDown")
    to.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    look(page, "new-message-completion")
    to.press("Enter")
    expect(to).to_have_value("bo.berg@compose.example, ")
    to.press_sequentially("compose.ex")
    expect(options).to_have_count(2)
    to.press("Escape")
    expect(options.first).to_be_hidden()
    for _ in "compose.ex":
        to.press("Backspace")
    page.get_by_label("Subject").fill("Our offer")
    page.get_by_label("Text").fill("Dear Bo,\n\nsee https://example.com/offer\n")
    page.evaluate(DROP)
    expect(page.get_by_text("offer.pdf", exact=True)).to_be_visible()
    page.get_by_role("button", name="Remove wrong.txt").press("Enter")
    expect(page.get_by_text("wrong.txt", exact=True)).to_be_hidden()
    look(page, "new-message")
    page.get_by_role("button", name="Send now").press("Enter")
    expect(page.get_by_text("Sent: the mail server accepted it for bo.berg@compose.example.")).to_be_visible()
    expect(page.get_by_role("heading", name="Our offer")).to_be_visible()
    assert wait_for(lambda: caught(site, "Our offer"))
    [mail] = caught(site, "Our offer")
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("offer.pdf", b"%PDF-1.4 dropped")


def test_completion_leaves_the_others_as_they_are_in_whatever_script(site, signed_in):
    site.queue("cilla@compose.example")
    page = signed_in
    page.goto(f"{site.url}/messages/new/")
    to = page.get_by_label("To", exact=True)
    for typed in (
        '😀😀 Ann <ann@example.com>, "Smile \\" 🎉, Ltd" <smile@example.com>, ',
        "Zoe\u0308 👩‍👩‍👧‍👦 <zoe@example.com>; ",
        "علي <ali@example.com>، ",
        "רחל <rachel@example.com>؛ ",
        "张伟 <wei@example.com>，王芳 <fang@example.com>； 李娜 <li@example.com>、 ",
    ):
        to.fill(typed)
        to.press_sequentially("cilla")
        expect(page.get_by_role("listbox").get_by_role("option")).to_have_count(1)
        to.press("Enter")
        expect(to).to_have_value(f"{typed}cilla@compose.example, ")


MEANWHILE = """
from dataclasses import replace
from django.contrib.auth.models import User
from messaging.compose import editing, versions
from messaging.content.uploads import File
bert, _ = User.objects.get_or_create(username="bert", first_name="Bert", last_name="Holm")
message = Message.objects.get(pk={pk})
now = versions.current(message)
file = File("contract.pdf", "application/pdf", b"%PDF contract")
wanted = editing.Edit(now.to, now.cc, now.bcc, "Berts subject, which is better", None, frozenset(), [file])
answer = len(editing.apply(message, wanted, by=bert, seen=now.version))
"""


def test_edited_meanwhile_shows_both_and_takes_what_is_chosen(site, signed_in, company):
    company(record_mail=True, hold_mail=True)
    [pk] = site.queue("dora@compose.example")
    page = signed_in
    page.goto(f"{site.url}/messages/{pk}/edit/")
    site.installation.ask(MEANWHILE.format(pk=pk))
    page.get_by_label("Subject").fill("Annas subject")
    page.get_by_label("Cc", exact=True).fill("copy@compose.example")
    page.get_by_role("button", name="Remove invoice.pdf").click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("the message was edited in the meantime")).to_be_visible()
    taken_out = page.get_by_label(re.compile("invoice.pdf"))
    expect(taken_out).to_be_visible()
    expect(taken_out).not_to_be_checked()
    look(page, "edited-meanwhile")
    expect(page.get_by_label("Subject", exact=True)).to_have_value("Annas subject")
    page.get_by_label("Take this instead (Bert Holm").check()
    page.get_by_role("button", name="Save again").click()
    expect(page.get_by_role("heading", name="Berts subject, which is better")).to_be_visible()
    expect(page.get_by_text("contract.pdf").first).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("invoice.pdf"))).to_have_count(0)
    expect(page.get_by_text("copy@compose.example").first).to_be_visible()


def test_refusal_keeps_what_was_written_and_the_queue_takes_it(site, signed_in, point_at):
    page = signed_in
    page.goto(f"{site.url}/messages/new/")
    page.get_by_label("To", exact=True).fill("late@compose.example")
    page.get_by_label("Subject").fill("Written with care")
    page.get_by_label("Text").fill("A long letter.")
    page.get_by_label("Pick files").set_input_files(
        {"name": "plan.txt", "mimeType": "text/plain", "buffer": b"the plan"}
    )
    point_at(port=1)
    with page.expect_response(lambda response: response.status == 422):
        page.get_by_role("button", name="Send now").click()
    expect(page.get_by_text("It was not sent.")).to_be_visible()
    expect(page.get_by_label("Text")).to_have_value("A long letter.")
    expect(page.get_by_text("plan.txt")).to_be_visible()
    look(page, "new-message-refused")
    page.get_by_role("button", name="Put in the queue instead").click()
    expect(page.get_by_role("heading", name="Written with care")).to_be_visible()
    # While a lane tries to send it, which takes a moment, it cannot be edited.
    edit = page.get_by_role("link", name="Edit")
    assert wait_for(lambda: page.reload() and edit.count())
    address = site.url + edit.get_attribute("href")
    edit.click()
    assert wait_for(lambda: page.goto(address) and page.url == address)
    page.get_by_label("Subject").fill("Corrected with care")
    look(page, "edit-message")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("subject from “Written with care” to “Corrected with care”").first).to_be_visible()
    look(page, "edited-message")
    page.get_by_role("link", name="View version 1").click()
    expect(page.get_by_role("heading", name="Written with care")).to_be_visible()
    look(page, "message-version")
