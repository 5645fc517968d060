"""A mail server that does not answer the final dot, as people see it in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.browser.test_question import RELEASE, STATES
from tests.fault_server import CLOSE, FaultServer
from tests.installation import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.process]


def test_administrator_sees_why_it_waits_and_lets_it_be_tried(site, signed_in, point_at):
    with FaultServer() as server:
        server.at("END", CLOSE)
        point_at(host="127.0.0.1", port=server.port, auth_type="default")
        pks = site.queue(*(f"kunde{place}@example.com" for place in range(12)), subject="Silence")
        site.installation.ask(RELEASE.format(pks=pks))
        assert wait_for(lambda: site.installation.ask(STATES.format(pks=pks)).count("unknown") >= 3)
        page = signed_in
        page.goto(f"{site.url}/messages/?status=unknown&q=Silence")
        told = page.get_by_role("region", name="Sending is paused")
        expect(told).to_contain_text("The mail server did not answer after")
        expect(told).to_contain_text("Look at the mail server’s log.")
        look(page, "unanswered-banner")
        page.set_viewport_size({"width": 1280, "height": 800})
        told.get_by_role("link", name="Try it now").click()
        row = page.locator("#account-company")
        expect(row).to_contain_text("The mail server did not answer after")
        look(page, "unanswered-sending")
        server.mend()
        page.get_by_role("button", name="Try now for sending as the company").click()
        assert wait_for(lambda: "queued" not in site.installation.ask(STATES.format(pks=pks)))
        assert site.installation.ask(STATES.format(pks=pks)).count("sent") >= 1
