"""*Check connection* and *Send test message* in a real browser: the page fills while the server is still talking."""

import threading

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.certificates import Authority
from tests.fault_server import FaultServer

pytestmark = [pytest.mark.browser, pytest.mark.process]


def test_steps_appear_while_the_server_keeps_us_waiting(site, signed_in, point_at):
    page, go_on = signed_in, threading.Event()
    with FaultServer(auth=["PLAIN"], size=35_882_577) as server:
        server.at("EHLO", lambda: go_on.wait(20) and None)
        point_at(port=server.port)
        page.goto(f"{site.url}/setup/email/")
        look(page, "setup")
        page.get_by_role("button", name="Check connection").click(no_wait_after=True)
        expect(page.get_by_text("Connected to 127.0.0.1")).to_be_visible()
        expect(page.get_by_text("The mail server can be reached")).to_have_count(0)
        go_on.set()
        expect(page.get_by_text("The mail server can be reached")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    look(page, "check")
    page.get_by_role("button", name="Check connection").click()
    expect(page.get_by_text("The mail server refused the connection.").first).to_be_visible()


def test_certificate_for_another_name_is_shown(site, signed_in, point_at, tmp_path):
    page = signed_in
    tls = Authority(tmp_path).server_context(name="mail.brightwater.example")
    with FaultServer(tls=tls) as server:
        point_at(port=server.port, auth_type="tls-explicit")
        page.goto(f"{site.url}/setup/email/")
        page.get_by_role("button", name="Check connection").click()
        expect(page.get_by_text("It is for mail.brightwater.example, and not for 127.0.0.1.")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    look(page, "check-certificate")


def test_test_message_shows_the_dialogue(site, signed_in):
    page = signed_in
    page.goto(f"{site.url}/setup/email/")
    page.get_by_role("button", name="Send test message").click()
    page.get_by_text("Dialogue with the server").click()
    expect(page.get_by_text("MAIL FROM:<office@brightwater.example>").first).to_be_visible()
    look(page, "test-message")
