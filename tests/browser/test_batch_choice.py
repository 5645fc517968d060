"""All that wait, and what waits for its own time: the boxes, the number and the marked rows say the same."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look

pytestmark = pytest.mark.browser

WAITING = """
import datetime as dt
from django.utils import timezone
from messaging.intake.gate import Submission, accept
pks = []
for number in range(4):
    address = f"d{number}@example.com"
    raw = f"From: office@brightwater.example\\r\\nTo: {address}\\r\\nSubject: Dunning {number}\\r\\n\\r\\nHello\\r\\n"
    at = timezone.now() + dt.timedelta(days=1) if number == 3 else None
    pks.append(accept(Submission(raw.encode(), "office@brightwater.example", [address], not_before=at)).pk)
answer = pks
"""
AWAY = "Message.objects.filter(pk__in={pks}).delete(); answer = None"


def test_all_leaves_out_what_goes_out_at_its_own_time(site, signed_in):
    page = signed_in
    pks = site.installation.ask(WAITING)
    try:
        page.goto(f"{site.url}/batches/new/?q=Dunning")
        expect(page.locator(".choice-later")).to_contain_text("1 goes out automatically at its time")
        page.get_by_label("All 3 that match the filter").check()
        expect(page.locator("#picked")).to_have_text("3 chosen")
        expect(page.locator("tr.is-picked")).to_have_count(3)
        look(page, "batch-choice-all")
        page.get_by_label("All 3 that match the filter").uncheck()
        page.locator("#pick-page").check()
        expect(page.locator("#picked")).to_have_text("3 chosen")
        page.get_by_label("Choose Dunning 3").check()
        expect(page.locator("#picked")).to_have_text("4 chosen")
        page.locator("#go").click()
        expect(page.get_by_role("heading", name="Send 4 messages?")).to_be_visible()
    finally:
        site.installation.ask(AWAY.format(pks=pks))
