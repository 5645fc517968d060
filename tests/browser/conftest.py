"""A whole installation with its real processes, and a Chromium to look at it."""

import shutil
import sys

import pytest

from tests.browser.site import PAUSED, POINT_AT, SET_UP, Site, answers, sign_in
from tests.installation import Installation, free_ports, wait_for


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """One of the system where there is one, otherwise Playwright's own."""
    path = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
    quiet = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    return browser_type_launch_args | ({"executable_path": path} if path else {}) | {"args": quiet}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args):
    return browser_context_args | {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    port, catcher = free_ports(2)
    folder = tmp_path_factory.mktemp("office")
    (folder / "option").mkdir()
    ports = {"PORT": str(port), "CATCHER_PORT": str(catcher), "RETRY_GAPS": "1,2,4", "DEBUG": "0"}
    with Installation(folder, EMAIL_OPT_DIR=str(folder / "option"), **ports) as installation:
        installation.manage("collectstatic", "--noinput", "-v0")
        installation.ask(SET_UP.format(port=catcher))
        for name in ("catcher", "web", "worker", "beat"):
            installation.start([sys.executable, "-m", "config.processes", name])
        site = Site(installation, port)
        assert wait_for(lambda: answers(site.url + "/health/"), seconds=60), "the installation did not get ready"
        yield site


@pytest.fixture
def point_at(site):
    """Change the company's Email Setup for one test; what it paused goes out before the next one."""
    before = []

    def change(**values):
        before.append(site.installation.ask(POINT_AT.format(values=values)))

    yield change
    if before:
        site.installation.ask(POINT_AT.format(values=before[0]))
    assert wait_for(lambda: not site.installation.ask(PAUSED), seconds=60), "an account stays paused"


@pytest.fixture(scope="session")
def cookies(site, browser):
    """Those of Anna, who has signed in once for all tests."""
    context = browser.new_context()
    sign_in(context.new_page(), site)
    found = context.cookies()
    context.close()
    return found


@pytest.fixture
def signed_in(site, page, cookies):
    """A page of Anna, an administrator; anything the browser complains about fails the test."""
    complaints = []
    page.set_default_timeout(10_000)

    def hear(said):
        # Blocking a remote image is what the message page is asked to do; 422 and 409 answer a form that was not
        # accepted.
        meant = ("tracker.example", "status of 422", "status of 409")
        if said.type == "error" and not any(words in said.text for words in meant):
            complaints.append(said.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.add_cookies(cookies)
    page.goto(f"{site.url}/messages/")
    yield page
    assert complaints == []


@pytest.fixture
def plain_page(browser, signed_in):
    """A page of Anna in a browser without JavaScript."""
    context = browser.new_context(java_script_enabled=False, storage_state=signed_in.context.storage_state())
    yield context.new_page()
    context.close()
