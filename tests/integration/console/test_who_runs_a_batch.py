"""The user who confirms a batch runs it (S9): with their settings, in their name, for what they may act on now."""

import pytest

from messaging.access import roles
from messaging.company import options
from messaging.models import Batch, EmailSettings, Message
from messaging.queue import batches
from messaging.scheduling import schedules
from messaging.wording import in_words
from tests.factories import browser_of, draft_batch, make_message, make_user, put
from tests.pages import page_of, source, words
from tests.servers import MailServer
from tests.steps import run_lane

pytestmark = pytest.mark.django_db


def own_settings(user, server):
    return EmailSettings.objects.create(account=user, send_type=2, host="127.0.0.1", port=server.port)


@pytest.fixture
def other_server():
    with MailServer() as server:
        yield server


def see_own_only():
    options.save({"operators_see_all": False}, by=None)


@pytest.fixture
def annas(operator):
    return make_message("a@example.com", subject="Anna's", author=operator, due=False)


@pytest.fixture
def bens(ben):
    return make_message("b@example.com", subject="Ben's", author=ben, due=False)


@pytest.fixture
def annas_draft(operator, annas, bens, email_setup):
    """Made while operators saw everything; Ben's message is in it, too."""
    return draft_batch(annas, bens, by=operator)


def confirm(browser, batch):
    page = source(browser.post(f"/batches/{batch.pk}/confirm/", follow=True))
    batch.refresh_from_db()
    return page


def states_of(batch):
    return {item.message.subject: item.state for item in batch.items.select_related("message")}


@pytest.mark.django_db(transaction=True)
def test_another_persons_draft_is_sent_with_the_account_of_whoever_confirms_it(
    operator, ben, bens_browser, annas_draft, mail_server, other_server
):
    own_settings(operator, mail_server)
    own_settings(ben, other_server)
    confirm(bens_browser, annas_draft)
    assert (annas_draft.account, annas_draft.confirmed_by, annas_draft.created_by) == (ben, ben, operator)
    assert set(Message.objects.values_list("account", flat=True)) == {ben.pk}
    run_lane(operator.pk)
    run_lane(ben.pk)
    assert (len(mail_server.received), len(other_server.received)) == (0, 2)


def test_whoever_confirmed_is_told_on_batch_list_and_message(office, bens_browser, annas_draft, annas):
    confirm(bens_browser, annas_draft)
    report = words(office.get(annas_draft.get_absolute_url()))
    assert "by Ben Okoro, sending account: Ben Okoro. Anna prepared it." in report
    row = words(office.get("/batches/"))
    assert "Ben Okoro prepared by Anna Ben Okoro" in row
    page = words(page_of(office, annas))
    assert f"Released in batch {annas_draft.pk} by Ben Okoro" in page
    assert "confirmed" in page and "by Anna" not in page.partition("confirmed")[2].partition("Reverse path")[0]


def test_review_shows_the_settings_of_whoever_looks_because_they_run_it(
    office, operator, ben, bens_browser, annas_draft, mail_server, other_server
):
    own_settings(operator, mail_server)
    own_settings(ben, other_server)
    for browser, name, server in ((office, "Anna", mail_server), (bens_browser, "Ben Okoro", other_server)):
        page = words(browser.get(annas_draft.get_absolute_url()))
        assert f"Sending account {name} because you run the batch" in page
        assert f"127.0.0.1:{server.port}" in page
    EmailSettings.objects.filter(account=ben).update(send_type=1)
    assert "This batch cannot be sent" in source(bens_browser.get(annas_draft.get_absolute_url()))
    assert "This batch cannot be sent" not in source(office.get(annas_draft.get_absolute_url()))
    assert "cannot send in bulk" in confirm(bens_browser, annas_draft)
    assert annas_draft.status == Batch.Status.DRAFT


def test_viewer_is_told_no_settings_for_they_cannot_run_it(db, annas_draft):
    vera = browser_of(make_user("vera", role=roles.VIEWER))
    page = source(vera.get(annas_draft.get_absolute_url()))
    assert "Sending account" not in page
    assert "Anna's" in page.replace("&#x27;", "'")


def test_draft_of_a_user_who_is_gone_is_sent_by_whoever_confirms_it(ben, bens_browser, operator, annas_draft):
    operator.delete()
    confirm(bens_browser, annas_draft)
    assert (annas_draft.account, annas_draft.confirmed_by) == (ben, ben)


def test_batch_of_a_user_who_is_gone_names_nobody_else(office, operator, ben, bens_browser, annas_draft, annas):
    confirm(bens_browser, annas_draft)
    ben.delete()
    assert "Anna prepared it." in (report := words(office.get(annas_draft.get_absolute_url())))
    assert "by Anna" not in report
    listed = words(office.get("/batches/"))
    assert "prepared by Anna" in listed
    assert "console" not in listed
    assert "by Anna" not in words(page_of(office, annas)).partition("confirmed")[2].partition("Reverse path")[0]
    again = draft_batch(annas, by=operator)
    reasons = [in_words(why) for _, why in batches.skip_reasons(batches.to_skip(again))]
    assert reasons == [f"Already being processed in batch {annas_draft.pk}"]


def test_draft_from_before_shows_and_sends_only_what_one_may_act_on_now(
    office, operator, ben, annas_draft, annas, bens
):
    see_own_only()
    page = source(office.get(annas_draft.get_absolute_url())).replace("&#x27;", "'")
    for each in ("Send 1 message?", "1 message of other people is left out", "Anna's"):
        assert each in page, each
    assert "Ben's" not in page
    assert "1 message of other people is neither counted nor shown" in confirm(office, annas_draft)
    assert states_of(annas_draft) == {"Anna's": "released", "Ben's": "skipped"}
    bens.refresh_from_db()
    assert (bens.status, bens.batch) == ("queued", None)
    see_all = words(browser_of(make_user("ada", role=roles.ADMIN)).get(annas_draft.get_absolute_url()))
    assert "Left out: Anna, who ran the batch, may see and send only their own messages" in see_all


def test_draft_with_nothing_left_that_is_ones_own_sends_nothing(office, operator, bens, email_setup):
    draft = draft_batch(bens, by=operator)
    see_own_only()
    assert "Nothing left to send" in source(office.get(draft.get_absolute_url()))
    confirm(office, draft)
    assert states_of(draft) == {"Ben's": "skipped"}


def test_preflight_names_no_message_that_one_may_not_see(office, annas_draft, bens):
    put(bens, doubt={"key": "said", "words": "Salary address"})
    see_own_only()
    page = source(office.get(annas_draft.get_absolute_url()))
    assert "Salary address" not in page
    assert "an address that cannot be right" not in page


def test_administrator_who_became_operator_sends_only_their_own(office, operator, annas, bens, email_setup):
    see_own_only()
    roles.give(operator, roles.ADMIN)
    draft = draft_batch(annas, bens, by=operator)
    roles.give(operator, roles.OPERATOR)
    confirm(office, draft)
    assert states_of(draft) == {"Anna's": "released", "Ben's": "skipped"}


@pytest.mark.parametrize("role", [roles.VIEWER, ""])
def test_operator_who_lost_the_role_confirms_nothing(office, operator, annas_draft, role):
    roles.give(operator, role)
    assert office.post(f"/batches/{annas_draft.pk}/confirm/").status_code == 403
    operator.is_active = False
    operator.save()
    assert "/accounts/login/" in office.post(f"/batches/{annas_draft.pk}/confirm/").url
    annas_draft.refresh_from_db()
    assert annas_draft.status == "draft"


def test_rest_of_a_batch_is_taken_out_only_as_far_as_it_is_ones_own(office, operator, annas_draft, annas, bens):
    batches.confirm(annas_draft, by=operator)
    see_own_only()
    said = source(office.post(f"/batches/{annas_draft.pk}/cancel/", {"status": "confirmed"}, follow=True))
    assert (
        "1 message is back in the queue and waits for another batch. Other people’s messages stay in the batch." in said
    )
    for message, batch in ((annas, None), (bens, annas_draft)):
        message.refresh_from_db()
        assert message.batch == batch
    annas_draft.refresh_from_db()
    assert annas_draft.status == "confirmed"
    assert f"Taken out of batch {annas_draft.pk}: waits for another one by Anna" in words(page_of(office, annas))


def test_retry_prepared_before_is_confirmed_for_ones_own_only(office, operator, annas_draft, annas, bens):
    batches.confirm(annas_draft, by=operator)
    for message in (annas, bens):
        put(message, status="failed")
    retry = batches.retry_failed(annas_draft, by=operator)
    see_own_only()
    confirm(office, retry)
    assert states_of(retry) == {"Anna's": "released", "Ben's": "skipped"}
    bens.refresh_from_db()
    assert bens.status == "failed"


def test_batch_that_one_may_not_see_is_no_link(ben, bens_browser, annas_draft, annas, bens, operator):
    batches.confirm(annas_draft, by=operator)
    put(bens, status="failed")
    retry = batches.retry_failed(annas_draft, by=ben)
    see_own_only()
    for confirmed in (False, True):
        page = bens_browser.get(retry.get_absolute_url())
        assert f"batch {annas_draft.pk}" in words(page)
        assert f'href="{annas_draft.get_absolute_url()}"' not in page.text
        confirmed or confirm(bens_browser, retry)


def test_report_counts_what_is_shown(office, operator, annas_draft, annas, bens):
    batches.confirm(annas_draft, by=operator)
    put(bens, status="failed")
    see_own_only()
    for part in ("", "progress/", "items/"):
        assert "Retry only the failed" not in source(office.get(f"/batches/{annas_draft.pk}/{part}"))
    assert office.get(annas_draft.get_absolute_url()).context["report"].counts["total"] == 1
    assert office.get("/batches/").context["batches"] == [(annas_draft, 1, {"waiting": 1})]


def test_whoever_ran_anothers_draft_still_sees_it(bens_browser, annas_draft):
    confirm(bens_browser, annas_draft)
    see_own_only()
    assert bens_browser.get(annas_draft.get_absolute_url()).status_code == 200
    assert annas_draft.pk in [batch.pk for batch, *_ in bens_browser.get("/batches/").context["batches"]]


@pytest.mark.parametrize("named", [True, False])
def test_schedule_that_a_person_runs_now_keeps_its_account(office, operator, ben, bens, email_setup, named):
    values = {"name": "Evening", "kind": "times", "times": "18:00", "days": "1", "time_zone": "UTC"}
    schedule = schedules.save(None, values | {"account": operator if named else None}, by=ben)
    batch = schedules.run_now(schedule, by=ben).batch
    assert (batch.account, batch.confirmed_by) == (operator if named else None, ben)
    assert f"Released in batch {batch.pk} (schedule) by Ben Okoro" in words(page_of(office, bens))
