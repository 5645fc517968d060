"""Is it us? What an administrator sees and answers when the same words refused several messages, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.fault_server import FaultServer
from tests.installation import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.process]

ASKED = "answer = RefusalStreak.objects.filter(asked_at__isnull=False, answer='').count()"
FORGET = "answer = RefusalStreak.objects.all().delete()[0]"
RELEASE = """
from django.utils import timezone
from messaging.queue import wake
Message.objects.filter(pk__in={pks}).update(not_before=timezone.now())
wake.wake(None)
answer = None
"""
STATES = "answer = list(Message.objects.filter(pk__in={pks}).order_by('pk').values_list('status', flat=True))"


@pytest.fixture
def doubted(site, point_at):
    """Eight messages to a server that refuses five of them in words that no one knows."""
    with FaultServer() as server:
        server.at("RCPT", "550-5.7.9 Zugriff verweigert (ref 8841-2)\n550 5.7.9 Wenden Sie sich an die Zentrale.")
        point_at(host="127.0.0.1", port=server.port, auth_type="default")
        pks = site.queue(*(f"kunde@domain{place}.example" for place in range(8)), subject="Doubt")
        site.installation.ask(RELEASE.format(pks=pks))
        assert wait_for(lambda: site.installation.ask(ASKED), seconds=30)
        yield server, pks
        server.mend()
    site.installation.ask(FORGET)


def test_administrator_looks_and_says_that_it_was_us(site, signed_in, doubted):
    server, pks = doubted
    page = signed_in
    page.goto(f"{site.url}/messages/?status=failed&q=Doubt")
    expect(page.get_by_role("region", name="Sending is paused")).to_contain_text("The fault may be ours.")
    look(page, "question-banner")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Open Sending to answer").click()
    question = page.get_by_role("region", name="Is it us?")
    expect(question).to_contain_text("refused 5 messages to 5 domains")
    expect(question).to_contain_text("Wenden Sie sich an die Zentrale.")
    look(page, "question")
    page.get_by_role("link", name="The 5 messages that failed this way").click()
    expect(page.locator("tr[data-row]")).to_have_count(5)
    page.locator("tr[data-row] a").first.click()
    expect(page.get_by_text("Refused in the same words as 4 other messages: the fault may be ours.")).to_be_visible()
    look(page, "question-message")
    server.mend()
    page.goto(f"{site.url}/sending/")
    page.get_by_role("button", name="It was us").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("5 messages are queued again with all their tries.")).to_be_visible()
    assert wait_for(lambda: site.installation.ask(STATES.format(pks=pks)) == ["sent"] * 8, seconds=30)
    assert set(server.ledger.values()) == {1}
    page.goto(f"{site.url}/sending/")
    look(page, "question-answered")
    page.goto(f"{site.url}/setup/options/")
    expect(page.get_by_label("Refusals in the same words")).to_have_value("5")
    look(page, "question-option")


def test_without_javascript_go_on_is_a_button_like_any_other(site, plain_page, doubted):
    _, pks = doubted
    page = plain_page
    page.goto(f"{site.url}/sending/")
    page.get_by_role("button", name="It was not us").click()
    expect(page.get_by_text("5 messages stay failed.")).to_be_visible()
    assert wait_for(lambda: site.installation.ask(STATES.format(pks=pks)) == ["failed"] * 8, seconds=30)
