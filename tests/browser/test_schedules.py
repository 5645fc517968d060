"""A schedule as an administrator makes it: the next runs are shown while the form is filled in."""

import pytest
from playwright.sync_api import expect

from tests.browser.site import look

pytestmark = [pytest.mark.browser, pytest.mark.process]


def test_schedule_is_made_watched_run_and_deleted(site, signed_in):
    page = signed_in
    page.goto(f"{site.url}/setup/schedules/")
    page.get_by_role("link", name="New schedule").click()
    page.locator("#id_name").fill("Invoices at night")
    page.locator("#id_times").fill("07:30 and 17:00")
    page.locator("#id_time_zone").fill("Europe/Berlin")
    expect(page.locator(".next-runs li")).to_have_count(5)
    expect(page.locator("#preview")).to_contain_text("Weekdays at 07:30 and 17:00 (Europe/Berlin)")
    look(page, "schedule-new")
    page.get_by_label("Crontab expression").first.check()
    expect(page.locator("#id_times")).to_be_hidden()
    page.locator("#id_crontab").fill("61 * * * *")
    expect(page.locator("#preview")).to_contain_text("“61” is not understood as the minute")
    page.get_by_label("At fixed times").check()
    page.get_by_label("Saturday").check()
    expect(page.get_by_label("The days ticked below")).to_be_checked()
    page.locator("#id_q").fill("scheduled")
    expect(page.locator("#preview")).to_contain_text("messages with “scheduled”")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved. “Invoices at night” is on.")).to_be_visible()
    site.queue("night@schedule.example", subject="Scheduled")
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Finished.")).to_be_visible()
    page.get_by_role("link", name="Invoices at night").click()
    look(page, "schedule")
    page.goto(f"{site.url}/setup/schedules/")
    look(page, "schedules")
    page.get_by_role("button", name="Switch Invoices at night off").click()
    expect(page.get_by_text("none while it is off")).to_be_visible()
    page.get_by_role("link", name="Invoices at night").click()
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete the schedule").click()
    expect(page.get_by_text("“Invoices at night” is deleted.")).to_be_visible()


def test_preview_without_javascript(site, plain_page):
    page = plain_page
    page.goto(f"{site.url}/setup/schedules/new/")
    page.locator("#id_name").fill("Plain")
    page.locator("#id_times").fill("18:00")
    page.get_by_role("button", name="Preview").click()
    expect(page.locator(".next-runs li")).to_have_count(5)
