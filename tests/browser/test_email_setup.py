"""The setup part of the seed, as an office would walk through it (S8 to S13), in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.site import choose_and_confirm, look, row
from tests.certificates import Authority
from tests.identity import CLIENT, TENANT, Identity
from tests.sizes import also_in_drills

pytestmark = [pytest.mark.browser, pytest.mark.process]

COMPANY = "answer = EmailSettings.objects.values('send_type', 'auth_type', 'host', 'port').get(account=None)"


def open_setup(page, site):
    page.goto(site.url)
    menu = page.get_by_role("navigation").first
    menu.get_by_role("link", name="Email Setup").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Email Setup")


def save(page, button="Save"):
    page.get_by_role("button", name=button, exact=True).click()


def test_office_sends_over_smtp_for_the_account_that_runs_batches_alone(site, signed_in):
    page = signed_in
    catcher = site.installation.ask(COMPANY)["port"]

    # Normal users have MAPI ...
    open_setup(page, site)
    page.get_by_label("Send type").select_option("1")
    save(page)
    expect(page.get_by_text("Saved. The next connection to the mail server uses these settings.")).to_be_visible()
    look(page, "email-setup-mapi")
    company = site.installation.ask(COMPANY)

    # ... so a batch is refused before it starts, and says what to change.
    site.queue("ann@story.example")
    page.goto(f"{site.url}/batches/new/?q=story.example")
    row(page, "ann@story.example").get_by_role("checkbox").check()
    page.get_by_role("button", name="Review the batch").click()
    expect(page.get_by_text("The send type is 1 (MAPI, Outlook)").first).to_be_visible()
    expect(page.get_by_text("Choose send type 2 or 3 (SMTP) in Email Setup").first).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Confirm"))).to_have_count(0)

    # Only the account that the email sender uses gets SMTP.
    open_setup(page, site)
    page.get_by_role("link", name="Users’ own settings").click()
    look(page, "users-settings")
    page.get_by_role("link", name="Anna Lindqvist").click()
    page.get_by_label("Send type").select_option("2")
    save(page)
    expect(page.locator(".in-effect", has_text="2 – SMTP without authentication")).to_contain_text("settings of anna")
    expect(page.get_by_text("Underneath: 1 – MAPI").first).to_be_visible()
    look(page, "account-settings")
    choose_and_confirm(page, site, "ann@story.example")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    assert any(b"ann@story.example" in path.read_bytes() for path in site.sent_files())
    assert site.installation.ask(COMPANY) == company

    # .opt files on this server override everything there, are shown with their names, and change nothing else.
    (site.opt_files / "email.smtp_port.opt").write_bytes(f"{catcher}\r\n".encode("utf-16"))
    (site.opt_files / "email.send_type.opt").write_text("2\n")
    open_setup(page, site)
    expect(page.get_by_text("Set by email.smtp_port.opt on this server")).to_be_visible()
    look(page, "email-setup-opt")
    page.get_by_label("EHLO name").fill("desk.example")
    save(page)
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert site.installation.ask(COMPANY) == company

    # A file that makes no sense stops sending until it is mended, and no restart is needed.
    (site.opt_files / "email.smtp_port.opt").write_text("twenty-five")
    site.queue("ben@story.example")
    page.goto(f"{site.url}/messages/?q=story.example")
    expect(page.get_by_text("“twenty-five” is not a port. Write a number from 1 to 65535.").first).to_be_visible()
    look(page, "opt-file-banner")
    (site.opt_files / "email.smtp_port.opt").write_text(str(catcher))
    choose_and_confirm(page, site, "ben@story.example")
    expect(page.get_by_text("Finished.")).to_be_visible(timeout=30_000)
    for path in site.opt_files.iterdir():
        path.unlink()
    open_setup(page, site)
    page.get_by_label("Send type").select_option("2")
    save(page)


def test_only_the_fields_of_the_chosen_way_to_sign_in_are_shown(site, signed_in):
    page = signed_in
    open_setup(page, site)
    expect(page.get_by_label("Tenant")).to_be_hidden()
    page.get_by_label("Way to sign in").select_option("microsoft-app")
    expect(page.get_by_label("Tenant")).to_be_visible()
    expect(page.get_by_label("Client secret", exact=True)).to_be_visible()
    expect(page.get_by_label("Password", exact=True)).to_be_hidden()
    look(page, "email-setup-microsoft")


def test_usual_port_follows_the_auth_type(site, signed_in, point_at):
    page = signed_in
    page.goto(f"{site.url}/setup/email/users/anna/")
    point_at(port=None)
    page.reload()
    page.get_by_label("Auth type").select_option("tls-implicit")
    expect(page.get_by_label("Port")).to_have_attribute("placeholder", "465")
    page.get_by_label("Auth type").select_option("tls-explicit")
    expect(page.get_by_label("Port")).to_have_attribute("placeholder", "587")


LONG_WORDS = """
from messaging.setup import changes
for name in ("a-person-with-a-long-name@a-department-with-a-long-name.example", "office@brightwater.example"):
    changes.save(None, {"from_address": name}, by=None)
answer = None
"""


@pytest.mark.parametrize("width", [320, *also_in_drills(390, 1280)])
def test_no_setup_page_scrolls_sideways(site, signed_in, width):
    page = signed_in
    site.installation.ask(LONG_WORDS)
    page.set_viewport_size({"width": width, "height": 844})
    for path in ("/setup/email/", "/setup/email/users/", "/setup/email/users/anna/", "/preferences/email/"):
        page.goto(site.url + path)
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, path


SIGNS_IN = """
from django.contrib.auth.models import User
from messaging.setup import changes
ben = User.objects.create_user("ben", first_name="Ben")
from messaging.access import roles
roles.give(ben, "Operator")
changes.save(ben, {values!r}, by=None)
answer = None
"""
KEPT = """
from django.contrib.auth.models import User
from messaging.setup.layers import resolve
answer = str(resolve(User.objects.get(username="ben")).secret("refresh_token"))
"""


def test_page_goes_on_by_itself_once_the_code_was_entered_at_microsoft(site, signed_in, tmp_path):
    page, ca = signed_in, Authority(tmp_path)
    with Identity(ca.server_context(), interval=1) as microsoft:
        values = {"send_type": 3, "sign_in": "microsoft-user", "tenant": TENANT, "client_id": CLIENT}
        values |= {"token_url": microsoft.url, "ca_bundle": (tmp_path / "ca.pem").read_text()}
        site.installation.ask(SIGNS_IN.format(values=values))
        page.goto(f"{site.url}/setup/email/users/ben/")
        page.get_by_role("link", name="Sign in with Microsoft").click()
        page.get_by_role("button", name="Begin", exact=True).click()
        code = page.get_by_label("Code")
        expect(code).to_have_text("CODE00002")
        look(page, "sign-in-with-microsoft")
        [device] = microsoft.devices.values()
        device.state = "signed in"
        expect(page.get_by_text("Signed in. Mail is sent with this sign-in from now on")).to_be_visible()
        assert page.url == f"{site.url}/setup/email/users/ben/"
        assert site.installation.ask(KEPT) in microsoft.sign_ins
