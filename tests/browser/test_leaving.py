"""A user is deactivated while mail is under way in their name: the page asks, and is answered by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look

pytestmark = pytest.mark.browser

UNDER_WAY = """
import datetime as dt
from django.utils import timezone
from messaging.queue import actions
from messaging import users
from messaging.intake.gate import Submission, accept
anna = __import__("django.contrib.auth.models").contrib.auth.models.User.objects.get(username="anna")
ben = users.create("ben.okoro", "correct-horse-battery", first_name="Ben", last_name="Okoro")
pks = []
for number in range(1, 9):
    address = f"c{number}@example.com"
    raw = f"From: office@brightwater.example\\r\\nTo: {address}\\r\\nSubject: Reminder {number}\\r\\n\\r\\nHello\\r\\n"
    message = accept(Submission(raw.encode(), "office@brightwater.example", [address], via="test"))
    Message.objects.filter(pk=message.pk).update(account=ben, not_before=timezone.now() + dt.timedelta(hours=3))
    pks.append(message.pk)
actions.hold(Message.objects.get(pk=pks[0]), by=ben, why="Wait for the price list")
Message.objects.filter(pk=pks[1]).update(status="unknown", not_before=None)
Schedule.objects.create(name="Every night", account=ben, since=timezone.now(), times="02:00", time_zone="UTC")
answer = [ben.pk, pks]
"""
STATES = "answer = sorted(Message.objects.filter(pk__in={pks}).values_list('status', flat=True))"
AWAY = """
from messaging.models import *
Schedule.objects.all().delete()
Message.objects.filter(pk__in={pks}).delete()
__import__("django.contrib.auth.models").contrib.auth.models.User.objects.filter(username="ben.okoro").delete()
answer = None
"""


def test_deactivating_asks_and_is_answered_by_keyboard(site, signed_in):
    page = signed_in
    ben, pks = site.installation.ask(UNDER_WAY)
    try:
        page.goto(f"{site.url}/setup/users/{ben}/")
        page.get_by_label("May sign in").uncheck()
        page.get_by_role("button", name="Save").press("Enter")
        expect(page.get_by_role("heading", name="Under way in the name of Ben Okoro")).to_be_visible()
        expect(page.get_by_text("6 messages queued, with a next try or a time")).to_be_visible()
        expect(page.get_by_label("May sign in")).not_to_be_checked()
        look(page, "leaving-question")
        narrow = page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert narrow, "it scrolls sideways"
        page.get_by_label("Hold it").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        expect(page.get_by_text("6 messages are dealt with as you chose")).to_be_visible()
        assert site.installation.ask(STATES.format(pks=pks)) == ["held"] * 7 + ["unknown"]
        page.goto(f"{site.url}/setup/users/{ben}/")
        expect(page.get_by_role("heading", name="Still under way")).to_be_visible()
        look(page, "leaving-afterwards")
    finally:
        site.installation.ask(AWAY.format(pks=pks))
