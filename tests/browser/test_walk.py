"""The seed's article on the message queue, from top to bottom, as an office would follow it in a browser."""

import re
from email.message import EmailMessage

import pytest
from playwright.sync_api import expect

from tests.browser.site import PASSWORD, look, row
from tests.installation import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.drill]

BEGIN = f"""
from django.contrib.auth.models import User
from django.core import serializers
from messaging.access import roles
from messaging.company import options
answer = serializers.serialize("json", [*EmailSettings.objects.all(), *CompanyOptions.objects.all()])
EmailSettings.objects.exclude(account=None).delete()
EmailSettings.objects.filter(account=None).update(send_type=2)
options.save({{"record_mail": True, "hold_mail": True}}, by=None)
if not User.objects.filter(username="olaf").exists():
    olaf = User.objects.create_user("olaf", "olaf@office.example", "{PASSWORD}", first_name="Olaf", last_name="Berg")
    roles.give(olaf, roles.OPERATOR)
"""
RESTORE = """
from django.core import serializers
EmailSettings.objects.all().delete()
CompanyOptions.objects.all().delete()
Schedule.objects.filter(name="Reports in the evening").delete()
for kept in serializers.deserialize("json", {kept!r}):
    kept.save()
answer = None
"""
COMPANY = "answer = EmailSettings.objects.exclude(account__isnull=False).values(*{names}).get()".format(
    names=["send_type", "auth_type", "host", "port", "username", "password_encrypted"]
)
FROM_A_PROGRAM = """
from django.core.mail import get_connection, send_mail
queue = get_connection("messaging.backends.QueueEmailBackend")
mails = {"order 17": "ben", "order 18": "reject", "evening report": "dora", "night report": "emil"}
answer = [send_mail(f"Walk: {what}", "See it online.", "shop@brightwater.example", [f"{who}@walk.example"],
                    connection=queue) for what, who in mails.items()]
"""


@pytest.fixture
def brightwater(site):
    """The site, its company options and email settings as they were afterwards, whatever the walk did to them."""
    kept = site.installation.ask(BEGIN)
    yield site
    for path in site.opt_files.iterdir():
        path.unlink()
    site.installation.ask(RESTORE.format(kept=kept))


def go(page, *words):
    """Through the menu by its words, the last of which is a link."""
    menu = page.get_by_role("navigation").first
    for word in words[:-1]:
        expect(menu.get_by_text(word, exact=True).first).to_be_visible()
    menu.get_by_role("link", name=words[-1]).click()


def see(page, name):
    """Keep screenshots; a narrow page never scrolls sideways, whatever is opened on it."""
    look(page, name)
    page.set_viewport_size({"width": 390, "height": 844})
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.set_viewport_size({"width": 1280, "height": 800})
    assert overflow <= 0, name


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def go_to_company(page):
    go(page, "Administration", "Defaults", "Email Setup")
    expect(page.get_by_role("heading", level=1)).to_have_text("Email Setup")


def choose(page, *subjects):
    """Batching > Office Management > Batch Message Processing, up to the review."""
    go(page, "Batching", "Office Management", "Batch Message Processing")
    for subject in subjects:
        row(page, subject).get_by_role("checkbox").check()
    press(page, "Review the batch")


def confirm(page, number):
    press(page, f"Confirm: send {number} message{'s' if number > 1 else ''}")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)


def report(site, subject, address):
    """A program that knows sendmail hands a report over."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Brightwater <office@brightwater.example>", address, subject
    mail.set_content("Dear customer,\n\nyour statement is attached.\n")
    mail.add_attachment(b"%PDF-1.4 statement", maintype="application", subtype="pdf", filename="statement.pdf")
    site.installation.manage("sendmail", "-t", "-i", input=mail.as_bytes())


def arrived(site, address):
    return wait_for(lambda: any(address.encode() in path.read_bytes() for path in site.sent_files()), seconds=10)


def company(site):
    return site.installation.ask(COMPANY)


def test_the_article_is_followed_from_top_to_bottom(brightwater, signed_in, browser):
    site, page = brightwater, signed_in
    email_goes_at_once_and_a_refusal_is_displayed(page)
    both_options_are_switched_on(page)
    messages_of_programs_are_listed_and_opened(site, page)
    bulk_by_outlook_is_refused(page)
    settings = company(site)
    smtp_for_the_sending_account_only(page)
    selection_is_processed_and_recorded(site, page)
    schedule_does_the_same(site, page)
    opt_files_do_the_same_on_this_server(site, page, browser)
    assert company(site) == settings


def email_goes_at_once_and_a_refusal_is_displayed(page):
    """“In its standard configuration, ServiceLedger sends all e-mail immediately and displays … an error message.”"""
    go(page, "Administration", "Defaults", "Company options")
    page.get_by_label("Hold recorded email for Batch Message Processing").uncheck()
    page.get_by_label("Record outbound email").uncheck()
    press(page, "Save")
    expect(page.get_by_text("Saved, and in effect from now on, without a restart.")).to_be_visible()
    see(page, "walk-01-options-off")
    go(page, "Administration", "Email Notifications", "New message")
    page.get_by_label("To", exact=True).fill("reject@walk.example")
    page.get_by_label("Subject").fill("Walk: opening hours")
    page.get_by_label("Text").fill("We open at eight.")
    press(page, "Send now")
    expect(page.get_by_text("The mailbox does not exist.").first).to_be_visible()
    expect(page.get_by_label("Text")).to_have_value("We open at eight.")
    page.get_by_text("Server’s words").first.click()
    expect(page.get_by_text("5.1.1").first).to_be_visible()
    see(page, "walk-02-refused-at-once")
    page.get_by_label("To", exact=True).fill("clara@walk.example")
    press(page, "Send now")
    expect(page.get_by_text("the mail server accepted it for clara@walk.example").first).to_be_visible()
    see(page, "walk-03-sent-at-once")


def both_options_are_switched_on(page):
    """“To enable the message queue, you must enable the following two options.”"""
    go(page, "Administration", "Defaults", "Company options")
    page.get_by_label("Record outbound email").check()
    page.get_by_label("Hold recorded email for Batch Message Processing").check()
    press(page, "Save")
    expect(page.get_by_text("Saved, and in effect from now on, without a restart.")).to_be_visible()
    see(page, "walk-04-options-on")


def messages_of_programs_are_listed_and_opened(site, page):
    """“If you double click on a message you can review the content and subject of the email, any reports …”"""
    report(site, "Walk: statement", "ann@walk.example")
    assert site.installation.ask(FROM_A_PROGRAM) == [1, 1, 1, 1]
    go(page, "Administration", "Email Notifications", "Messaging")
    for subject in ("Walk: statement", "Walk: order 17", "Walk: order 18"):
        expect(row(page, subject).get_by_text("Queued")).to_be_visible()
    see(page, "walk-05-queued")
    row(page, "Walk: statement").locator("td").nth(3).dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("Walk: statement")
    expect(page.get_by_text("your statement is attached.")).to_be_visible()
    answer = page.request.get(page.get_by_role("link", name="statement.pdf").first.evaluate("link => link.href"))
    assert (answer.headers["content-type"], answer.body()) == ("application/pdf", b"%PDF-1.4 statement")
    see(page, "walk-06-message")
    page.get_by_role("link", name="List").click()
    statuses = page.get_by_role("navigation", name="Status")
    statuses.get_by_role("link", name=re.compile("^Sent")).click()
    expect(row(page, "Walk: statement")).to_have_count(0)
    statuses.get_by_role("link", name=re.compile("^Queued")).click()
    expect(row(page, "Walk: statement")).to_be_visible()


def bulk_by_outlook_is_refused(page):
    """“You should not use Outlook to send email in bulk.”"""
    go_to_company(page)
    page.get_by_label("Send type").select_option("1")
    press(page, "Save")
    expect(page.get_by_text("Saved. The next connection to the mail server uses these settings.")).to_be_visible()
    choose(page, "Walk: statement", "Walk: order 17", "Walk: order 18")
    expect(page.get_by_text("The send type is 1 (MAPI, Outlook)").first).to_be_visible()
    expect(page.get_by_text("Choose send type 2 or 3 (SMTP) in Email Setup").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Confirm"))).to_have_count(0)
    see(page, "walk-07-batch-refused")
    press(page, "Discard")


def smtp_for_the_sending_account_only(page):
    """“… set the e-mail settings for only the user account that your e-mail sender is using …”"""
    go_to_company(page)
    page.get_by_role("link", name="Users’ own settings").click()
    page.get_by_role("link", name="Anna Lindqvist").click()
    page.get_by_label("Send type").select_option("2")
    press(page, "Save")
    expect(page.get_by_text("Underneath: 1 – MAPI").first).to_be_visible()
    see(page, "walk-08-sending-account")


def selection_is_processed_and_recorded(site, page):
    """“… records the date and time sent, or the reason for failure if the message was not sent.”"""
    choose(page, "Walk: statement", "Walk: order 17", "Walk: order 18")
    expect(page.get_by_role("heading", level=1)).to_have_text("Send 3 messages?")
    see(page, "walk-09-review")
    confirm(page, 3)
    see(page, "walk-10-report")
    page.get_by_role("link", name="Walk: statement").click()
    expect_sent(page)
    see(page, "walk-11-sent")
    assert arrived(site, "ann@walk.example")
    assert arrived(site, "ben@walk.example")
    go(page, "Administration", "Email Notifications", "Messaging")
    page.get_by_role("navigation", name="Status").get_by_role("link", name=re.compile("^Failed")).click()
    row(page, "Walk: order 18").locator("td").nth(3).dblclick()
    expect(page.locator(".attempt-words")).to_contain_text("The mailbox does not exist.")
    page.get_by_text("The server’s own words").click()
    expect(page.locator(".attempt").get_by_text("550 5.1.1").first).to_be_visible()
    see(page, "walk-12-failed")


def expect_sent(page):
    expect(page.locator(".standing-head")).to_have_text(re.compile(r"^Accepted by the mail server .*\d\d:\d\d"))
    expect(page.locator(".facts-small dt", has_text=re.compile("^Sent$")).locator("+ dd")).to_contain_text(
        re.compile(r"\d{4}.*\d\d:\d\d")
    )


def schedule_does_the_same(site, page):
    """“… for details on how to process message queue messages automatically.”"""
    go(page, "Batching", "Schedules")
    page.get_by_role("link", name="New schedule").click()
    page.locator("#id_name").fill("Reports in the evening")
    page.locator("#id_times").fill("18:30")
    page.get_by_label("Words").fill("Walk: evening")
    page.get_by_label("Sending account").select_option(label="Olaf Berg")
    press(page, "Save")
    expect(page.get_by_text("MAPI").first).to_be_visible()
    expect(page.get_by_text("Nothing was saved yet.").first).to_be_visible()
    see(page, "walk-13-schedule-refused")
    page.get_by_label("Sending account").select_option(label="Anna Lindqvist")
    press(page, "Save")
    expect(page.get_by_text("Saved. “Reports in the evening” is on.")).to_be_visible()
    press(page, "Run now")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("link", name="Reports in the evening")).to_be_visible()
    see(page, "walk-14-batch-of-schedule")
    page.get_by_role("link", name="Reports in the evening").click()
    page.locator(".schedule-runs").get_by_role("link", name=re.compile("^batch")).click()
    page.get_by_role("link", name="Walk: evening report").click()
    expect_sent(page)
    assert arrived(site, "dora@walk.example")


def opt_files_do_the_same_on_this_server(site, page, browser):
    """“… you can configure the server ONLY to send via SMTP using .opt files …”, and its WARNING does not hold here."""
    for name, value in (("email.send_type.opt", "2"), ("email.smtp_server", "localhost")):
        (site.opt_files / name).write_text(value + "\n")
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    olaf = context.new_page()
    olaf.goto(site.url)
    olaf.get_by_label("User name").fill("olaf")
    olaf.get_by_label("Password").fill(PASSWORD)
    press(olaf, "Sign in")
    choose(olaf, "Walk: night report")
    olaf.get_by_text("Which settings, and where each comes from").click()
    expect(olaf.get_by_text("email.send_type.opt").first).to_be_visible()
    see(olaf, "walk-15-review-opt-files")
    confirm(olaf, 1)
    olaf.get_by_role("link", name="Walk: night report").click()
    expect_sent(olaf)
    context.close()
    assert arrived(site, "emil@walk.example")
    go_to_company(page)
    expect(page.get_by_text("Set by email.send_type.opt on this server")).to_be_visible()
    page.get_by_label("EHLO name").fill("walk.example")
    press(page, "Save")
    expect(page.get_by_text("Saved.")).to_be_visible()
    see(page, "walk-16-saved-under-opt-files")
