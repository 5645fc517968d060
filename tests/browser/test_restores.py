"""After a restore, as an administrator sees it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.site import look
from tests.installation import wait_for

pytestmark = [pytest.mark.browser, pytest.mark.process]

RESTORED = """
from messaging.delivery.store import witness
from messaging.models import Lineage
row = Lineage.objects.get()
witness.note(row.key, row.mark + 1000)
answer = None
"""
STATES = "answer = list(Message.objects.filter(subject__startswith='Restored').values_list('status', flat=True))"


def test_planned_move_is_one_click(site, signed_in):
    page = signed_in
    site.queue("ann@restored.example", "ben@restored.example", subject="Restored")
    site.installation.ask(RESTORED)
    assert wait_for(lambda: site.installation.ask(STATES) == ["unknown"] * 2), "the worker did not notice"
    page.goto(f"{site.url}/sending/")
    look(page, "restored-sending")
    page.get_by_role("link", name="Answer, and resume sending").click()
    expect(page.get_by_text(re.compile(r"\d+ messages\s+had not been sent by\s+then\."))).to_be_visible()
    look(page, "restored")
    for width, height_of_an_answer in ((1280, 250), (390, 400)):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        for heading in ("Mail may have been sent since", "Nothing was sent since"):
            assert page.get_by_role("region", name=heading).bounding_box()["height"] < height_of_an_answer
    page.get_by_role("button", name="Put everything back and send").click()
    expect(page.get_by_text(re.compile(r"\d+ messages are as they were before\."))).to_be_visible()
    look(page, "restored-answered")
    assert site.installation.ask(STATES) == ["queued"] * 2
