"""An installation as its pages see it, and what a person does on them."""

import os
import re
import urllib.request
from pathlib import Path

SCREENSHOTS = Path("test-results") / "screenshots"


PASSWORD = "correct-horse-battery"


SET_UP = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("anna", "anna@office.example", "{PASSWORD}", first_name="Anna", last_name="Lindqvist")
EmailSettings.objects.create(send_type=2, host="127.0.0.1", port={{port}}, ehlo_name="t.example",
                             from_address="office@brightwater.example")
answer = None
"""


POINT_AT = """
from messaging.setup import changes
row = EmailSettings.objects.get(account=None)
answer = {{name: getattr(row, name) for name in ("host", "port", "auth_type")}}
changes.save(None, {values}, by=None)
"""
PAUSED = "answer = AccountPause.objects.exists()"


QUEUE = """
from email.message import EmailMessage
from messaging.intake.gate import Submission, accept_many
author = __import__("django.contrib.auth.models").contrib.auth.models.User.objects.get(username="anna")
submissions = []
for address in {addresses}:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Brightwater Office <office@brightwater.example>", address
    mail["Subject"] = f"{subject} for {{address}}"
    mail.set_content("Dear customer,\\n\\nplease find your invoice attached.\\n")
    mail.add_alternative("<p>Dear <b>customer</b>,</p><img src='https://tracker.example/p.gif'>", subtype="html")
    mail.add_attachment(b"%PDF-1.4 " + address.encode(), maintype="application", subtype="pdf", filename="invoice.pdf")
    submissions.append(Submission(mail.as_bytes(), "office@brightwater.example", [address], author=author, via="test"))
answer = [message.pk for message in accept_many(submissions)]
"""


class Site:
    """The installation as its pages see it: `url`, and `queue(...)` for programs that put messages in."""

    def __init__(self, installation, port):
        self.installation = installation
        self.url = f"http://127.0.0.1:{port}"
        self.opt_files = installation.folder / "option"

    def queue(self, *addresses, subject="Invoice"):
        return self.installation.ask(QUEUE.format(addresses=list(addresses), subject=subject))

    def sent_files(self):
        return sorted((self.installation.folder / "var" / "caught").rglob("*.eml"))


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


def look(page, name):
    """Keep screenshots of a page, where the environment asks for them with SCREENSHOTS=1: 1280 light and 390 dark."""
    if not os.environ.get("SCREENSHOTS"):
        return
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(full_page=True, path=SCREENSHOTS / f"{name}-1280-light.png")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(full_page=True, path=SCREENSHOTS / f"{name}-390-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})


def sign_in(page, site):
    """As Anna, an administrator."""
    page.goto(site.url)
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/messages/")


def row(page, text):
    return page.locator("tr[data-row]", has_text=text)


def choose_and_confirm(page, site, *addresses):
    page.goto(f"{site.url}/batches/new/?q={addresses[0].partition('@')[2]}")
    for address in addresses:
        row(page, address).get_by_role("checkbox").check()
    page.get_by_role("button", name="Review the batch").click()
    page.get_by_role("button", name=re.compile("^Confirm")).click()
