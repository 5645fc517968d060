"""A whole installation with its real processes, and a Chromium to look at it."""

import shutil
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.installation import Installation, wait_for

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
row = EmailSettings.objects.get(account=None)
old, new = {{name: getattr(row, name) for name in ("host", "port", "auth_type")}}, {values}
answer = [EmailSettings.objects.filter(pk=row.pk).update(**new), old]
"""
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


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's Chromium where there is one, otherwise Playwright's own."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    return browser_type_launch_args | ({"executable_path": path} if path else {}) | {"args": quiet}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return browser_context_args | {"viewport": {"width": 1280, "height": 800}}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Office:
    """The installation as its pages see it: `url`, and `queue(...)` for programs that put messages in."""

    def __init__(self, installation, port):
        self.installation = installation
        self.url = f"http://127.0.0.1:{port}"
        self.opt_files = installation.folder / "option"

    def queue(self, *addresses, subject="Invoice"):
        return self.installation.ask(QUEUE.format(addresses=list(addresses), subject=subject))

    def sent_files(self):
        return sorted((self.installation.folder / "var" / "caught").rglob("*.eml"))


@pytest.fixture(scope="session")
def office(tmp_path_factory):
    port, catcher = free_port(), free_port()
    folder = tmp_path_factory.mktemp("office")
    (folder / "option").mkdir()
    ports = {"PORT": str(port), "CATCHER_PORT": str(catcher), "RETRY_GAPS": "1,2,4", "DEBUG": "0"}
    with Installation(folder, EMAIL_OPT_DIR=str(folder / "option"), **ports) as installation:
        installation.manage("collectstatic", "--noinput", "-v0")
        installation.ask(SET_UP.format(port=catcher))
        for name in ("catcher", "web", "worker", "beat"):
            installation.start([sys.executable, "-m", "config.processes", name])
        office = Office(installation, port)
        assert wait_for(lambda: answers(office.url + "/readyz"), seconds=60), "the installation did not get ready"
        yield office


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False


@pytest.fixture
def point_at(office):
    """Change the company's Email Setup for one test."""
    before = []

    def change(**values):
        before.append(office.installation.ask(POINT_AT.format(values=values))[1])

    yield change
    for values in before:
        office.installation.ask(POINT_AT.format(values=values))


@pytest.fixture
def signed_in(office, page):
    """A page of Anna, an administrator; anything the browser complains about fails the test."""
    complaints = []
    page.set_default_timeout(10_000)

    def hear(said):
        # Blocking a remote image is what the message page is asked to do; 422 answers a form that was not accepted.
        if said.type == "error" and not any(meant in said.text for meant in ("tracker.example", "status of 422")):
            complaints.append(said.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(office.url)
    page.get_by_label("User name").fill("anna")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/messages/")
    yield page
    assert complaints == []


def look(page, name):
    """Keep screenshots of a page as a test artefact: 1280 light and 390 dark."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(full_page=True, path=SCREENSHOTS / f"{name}-1280-light.png")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    page.screenshot(full_page=True, path=SCREENSHOTS / f"{name}-390-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 1280, "height": 800})
