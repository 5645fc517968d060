"""A user may not send any more while something is under way in their name: it is asked what becomes of it."""

import datetime as dt
import importlib
import re
import threading
import time

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.utils import timezone

from messaging import housekeeping, users
from messaging.access import roles
from messaging.delivery.store import claims
from messaging.models import (
    AuditEntry,
    Batch,
    EmailSettings,
    Message,
    MessageEvent,
    Recall,
    RefusalStreak,
    Schedule,
    ScheduleRun,
    SendAttempt,
)
from messaging.queue import actions, batches, offboarding, refusal_answers
from messaging.queue.offboarding import Decision, Undecided
from messaging.scheduling import schedules
from messaging.wording import in_words
from messaging.wording.sentences import event
from tests.factories import draft_batch, make_message, make_user, put, set_up
from tests.fault_server import FaultServer
from tests.pages import as_of, form_of, press, words
from tests.steps import elsewhere, run_lane, somebody_waits_for_us

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("email_setup")]


def save(browser, user, **values):
    """The user's page, filled in as it is shown, with some values changed; None leaves a field out."""
    form = {name: getattr(user, name) for name in ("username", "first_name", "last_name", "email")}
    form |= {"role": roles.given(user), "is_active": "on" if user.is_active else None}
    form |= {"version": users.version_of(user.pk)} | values
    sent = {name: value for name, value in form.items() if value is not None}
    return browser.post(f"/setup/users/{user.pk}/", sent, follow=True)


def decide(browser, user, choice, successor="", **values):
    """By a page that asked about all that is under way now."""
    lines = offboarding.under_way(user).lines
    asked = f"{lines.number}-{lines.last}"
    answer = {"leaving-asked": asked, "leaving-choice": choice, "leaving-successor": successor}
    return save(browser, user, **{"is_active": None} | answer | values)


@pytest.fixture
def greylisted(ben, server):
    """Ben confirmed a batch of two; one was sent, one is to be tried again in his name."""
    server.at("RCPT", "450 4.2.0 greylisted, come back later", recipient="later@example.com")
    now, later = make_message("now@example.com", due=False), make_message("later@example.com", due=False)
    batch = draft_batch(now, later, by=ben)
    batches.confirm(batch, by=ben)
    run_lane(ben.pk)
    later.refresh_from_db()
    assert (later.status, later.tries, later.account) == ("queued", 1, ben)
    return later


def history(message):
    return [event(row) for row in message.events.order_by("pk")]


# --- It is asked -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"is_active": None}, {"role": roles.VIEWER}, {"role": ""}])
def test_nothing_is_saved_before_it_is_said_what_becomes_of_it(admin, ben, greylisted, change):
    page = save(admin, ben, **change)
    assert page.status_code == 422
    said = words(page)
    assert "Nothing was saved yet: something is under way in this user’s name" in said
    assert "1 message queued, with a next try or a time" in said
    assert f'href="/messages/{greylisted.pk}/"' in page.text
    assert f'href="/batches/{greylisted.batch_id}/"' in page.text
    again = save(admin, ben, **change | {"leaving-asked": "1"})
    assert again.status_code == 422
    assert "Choose what should happen to it." in words(again)
    ben = type(ben).objects.get(pk=ben.pk)
    assert (ben.is_active, roles.given(ben)) == (True, roles.OPERATOR)
    greylisted.refresh_from_db()
    assert greylisted.status == "queued"
    assert not AuditEntry.objects.filter(area="users").exists()


@pytest.mark.parametrize("choice", ["hold", "pass-on", "cancel", "let-go"])
def test_what_came_under_way_after_the_question_is_asked_about_again(admin, ben, greylisted, choice, clock):
    page = save(admin, ben, is_active=None)
    later = put(make_message("more@example.com", subject="Came later"), account=ben, not_before=greylisted.not_before)
    url, typed = f"/setup/users/{ben.pk}/", {"leaving-choice": choice}
    typed |= {"leaving-successor": "company"} if choice == "pass-on" else {}
    again = admin.post(url, form_of(page, within="leaving-asked") | typed)
    assert again.status_code == 422
    assert "more is under way than you were shown. Look at it and choose again." in words(again)
    assert "Came later" in again.text
    assert set(Message.objects.exclude(status="sent").values_list("status", "account")) == {("queued", ben.pk)}
    assert type(ben).objects.get(pk=ben.pk).is_active
    put(greylisted, status="sent", not_before=None)  # what has left is no reason to ask
    admin.post(url, form_of(again, within="leaving-asked") | typed)
    assert not type(ben).objects.get(pk=ben.pk).is_active
    later.refresh_from_db()
    told = {"hold": "held", "cancel": "cancelled"}
    assert later.status == told.get(choice, "queued")
    assert (later.account is None) == (choice == "pass-on")


def test_decision_that_does_not_say_what_was_asked_about_is_none(admin, ben, greylisted):
    assert "more is under way" in words(decide(admin, ben, "cancel", **{"leaving-asked": "1"}))
    greylisted.refresh_from_db()
    assert greylisted.status == "queued"


def test_what_was_typed_stays_in_the_form_while_it_is_asked(admin, ben, greylisted):
    page = save(admin, ben, is_active=None, last_name="Oak")
    assert 'value="Oak"' in page.text
    assert 'name="is_active"' in page.text
    decide(admin, ben, "let-go", last_name="Oak")
    ben.refresh_from_db()
    assert (ben.last_name, ben.is_active) == ("Oak", False)


def test_nothing_under_way_is_no_question(admin, ben):
    make_message("waits@example.com", author=ben, due=False)  # for a batch, with the account of the user who runs it
    assert "Saved." in words(save(admin, ben, is_active=None))


def test_everything_in_the_name_of_a_user_is_named(admin, ben, clock):
    held = make_message("held@example.com", subject="Held one")
    put(held, account=ben)
    actions.hold(held, by=ben, why="not yet")
    put(make_message("timed@example.com", subject="Timed one"), account=ben, not_before=clock() + dt.timedelta(days=1))
    put(make_message("lost@example.com", subject="Lost one"), account=ben, status="unknown", not_before=None)
    put(make_message("sending@example.com", subject="Sending one"), account=ben, status="sending", may_be_accepted=True)
    draft = make_message("draft@example.com", subject="Draft one", due=False)
    EmailSettings.objects.create(account=ben, send_type=1)
    actions.open_in_mail_program(draft, by=ben)
    Schedule.objects.create(name="Every night", account=ben, since=clock(), times="02:00", time_zone="UTC")
    page = save(admin, ben, is_active=None)
    said = words(page)
    for subject in ("Held one", "Timed one", "Lost one", "Sending one", "Draft one", "Every night"):
        assert subject in said, subject
    assert said.count("1 message ") == 5


def test_all_that_is_under_way_can_be_looked_at(admin, ben, operator, clock):
    """The question names the first five of a kind; the list has the same ones, and nothing else."""
    tomorrow = clock() + dt.timedelta(days=1)
    for number in range(7):
        put(make_message(f"q{number}@example.com", subject="His"), account=ben, not_before=tomorrow)
    put(make_message("other@example.com", subject="Of another author"), account=operator, not_before=tomorrow)
    put(make_message("waits@example.com", subject="For a batch", due=False), account=ben)
    page = save(admin, ben, is_active=None)
    assert "… and 2 more: see all 7" in words(page)
    assert f'href="/messages/?account={ben.pk}&amp;status=queued"' in page.text
    found = admin.get("/messages/", {"account": ben.pk, "status": "queued"})
    assert len(re.findall(r">\s*His\s*</a>", found.text)) == 7
    assert "Of another author" not in found.text
    assert "For a batch" not in found.text
    assert "Only what is under way in the name of one user" in words(found)
    assert f'href="/setup/users/{ben.pk}/"' in found.text
    query = f"account={ben.pk}&status=queued"
    chosen = {"all_matching": "1", "filter": query, "as_of": as_of(admin, query)}
    admin.post("/messages/bulk/", {"action": "cancel"} | chosen)
    assert Message.objects.filter(status="cancelled").count() == 7


@pytest.mark.parametrize("value", ["0", "-1", "x", "9" * 30])
def test_account_that_is_none_is_left_out_and_said_so(value, admin):
    assert "was left out" in words(admin.get("/messages/", {"account": value}))


@pytest.mark.parametrize("values", [{"is_active": False}, {"role": roles.VIEWER}])
def test_no_door_leads_around_the_question(ben, operator, greylisted, values):
    roles.give(operator, roles.ADMIN)
    with pytest.raises(Undecided):
        users.change(ben, values, by=operator)


# --- What becomes of it ------------------------------------------------------------------------------------


def test_held_for_a_reason_that_names_the_deactivation(admin, ben, greylisted, server):
    server.mend()
    page = decide(admin, ben, "hold")
    assert "1 message is dealt with as you chose" in words(page)
    greylisted.refresh_from_db()
    assert (greylisted.status, in_words(greylisted.reason)) == ("held", "Ben Okoro was deactivated.")
    assert history(greylisted)[-1] == "Held: Ben Okoro was deactivated."
    assert greylisted.events.last().by.username == "anna"
    run_lane(ben.pk, after=dt.timedelta(days=1))
    assert Message.objects.get(pk=greylisted.pk).status == "held"
    assert batches.report(Batch.objects.get()).counts["held"] == 1
    ben.refresh_from_db()
    assert not ben.is_active


def test_released_later_it_does_not_go_out_in_the_name_of_who_left(admin, ben, operator, greylisted):
    decide(admin, ben, "hold")
    actions.release(Message.objects.get(pk=greylisted.pk), by=operator)
    greylisted.refresh_from_db()
    assert (greylisted.status, greylisted.not_before) == ("queued", None)


def test_cancelled(admin, ben, greylisted):
    held = put(make_message("held@example.com"), account=ben)
    actions.hold(held, by=ben, why="not yet")
    decide(admin, ben, "cancel")
    for message in (greylisted, held):
        message.refresh_from_db()
        assert (message.status, in_words(message.reason)) == ("cancelled", "Ben Okoro was deactivated.")


@pytest.mark.parametrize("to", ["company", "anna"])
def test_passed_on_to_another_account(to, admin, ben, operator, greylisted, server, woken):
    server.mend()
    account = operator if to == "anna" else None
    decide(admin, ben, "pass-on", str(account.pk) if account else "company")
    greylisted.refresh_from_db()
    assert (greylisted.status, greylisted.account) == ("queued", account)
    assert history(greylisted)[-1] == (
        f"Passed on to {'Anna' if account else 'the company’s account'}: Ben Okoro was deactivated."
    )
    run_lane(account and account.pk, after=dt.timedelta(days=1))
    assert Message.objects.get(pk=greylisted.pk).status == "sent"


def test_let_go_it_goes_out_as_planned(admin, ben, greylisted, server):
    server.mend()
    decide(admin, ben, "let-go")
    run_lane(ben.pk, after=dt.timedelta(days=1))
    assert Message.objects.get(pk=greylisted.pk).status == "sent"


@pytest.mark.parametrize("who", ["viewer", "inactive", "mapi", "themselves", "", "nobody"])
def test_it_is_passed_on_only_to_an_account_that_can_send(who, admin, ben, greylisted):
    carla = make_user("carla", role=roles.VIEWER if who == "viewer" else roles.OPERATOR, is_active=who != "inactive")
    if who == "mapi":
        EmailSettings.objects.create(account=carla, send_type=1)
    to = {"themselves": str(ben.pk), "": "", "nobody": "4711"}.get(who, str(carla.pk))
    page = decide(admin, ben, "pass-on", to)
    assert page.status_code == 422
    said = words(page)
    assert "Choose the account that it is passed on to" in said or "cannot send in their place" in said
    ben.refresh_from_db()
    assert ben.is_active


def test_role_that_is_taken_away_is_named_as_such(admin, ben, greylisted):
    decide(admin, ben, "hold", is_active="on", role=roles.VIEWER)
    greylisted.refresh_from_db()
    assert in_words(greylisted.reason) == "Ben Okoro may no longer send."
    assert roles.given(type(ben).objects.get(pk=ben.pk)) == roles.VIEWER


def test_audit_log_says_what_was_decided(admin, ben, operator, greylisted):
    decide(admin, ben, "pass-on", str(operator.pk))
    assert "What was under way passed on to Anna: 1 message" in words(admin.get(f"/setup/users/{ben.pk}/"))


# --- What a lane has at that moment -------------------------------------------------------------------------


def test_what_a_lane_has_claimed_and_not_begun_is_taken_back(admin, ben):
    message = put(make_message("c@example.com"), account=ben)
    claims.take(ben.pk, "lane", 5, timezone.now())
    decide(admin, ben, "hold")
    message.refresh_from_db()
    assert (message.status, message.lease_owner) == ("held", "")


@pytest.mark.parametrize(("choice", "status"), [("hold", "held"), ("cancel", "cancelled"), ("pass-on", "queued")])
def test_what_is_being_sent_and_comes_back_is_dealt_with_as_well(choice, status, admin, ben, clock):
    message = put(make_message("c@example.com"), account=ben)
    claims.take(ben.pk, "lane", 5, clock())
    put(message, may_be_accepted=True)
    page = decide(admin, ben, choice, "company" if choice == "pass-on" else "")
    assert "1 message is being sent at this moment: that cannot be stopped" in words(page)
    housekeeping.sweep(clock.goes_on(seconds=5))
    message.refresh_from_db()
    assert message.status == "sending", "no one decides about it while its lane lives"
    put(message, status="queued", may_be_accepted=False, lease_owner="", not_before=clock() + dt.timedelta(minutes=10))
    housekeeping.sweep(clock.goes_on(seconds=5))
    message.refresh_from_db()
    assert (message.status, message.account) == (status, None if choice == "pass-on" else ben)
    assert not Recall.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("choice", "status"), [("hold", "held"), ("cancel", "cancelled"), ("pass-on", "queued")])
def test_what_comes_back_at_once_does_not_go_out_in_that_name_before_it_is_dealt_with(
    choice, status, admin, ben, server
):
    message = put(make_message("a@example.com", "b@example.com"), account=ben)
    server.at("RCPT", ["452 4.5.3 too many recipients"] * 2, recipient="b@example.com")
    leave = elsewhere(lambda: decide(admin, ben, choice, "company" if choice == "pass-on" else ""))
    server.at("END", [lambda: (leave(), "250 ok")[1]])
    run_lane(ben.pk)
    seconds = dt.timedelta(seconds=3)  # it is due again; the next sweep is still to come
    assert claims.due_accounts(timezone.now() + seconds) == []
    run_lane(ben.pk, after=seconds)
    assert [transaction.recipients for transaction in server.accepted] == [["a@example.com"]]
    housekeeping.sweep(timezone.now() + dt.timedelta(seconds=5))
    message.refresh_from_db()
    assert (message.status, message.account) == (status, None if choice == "pass-on" else ben)


def being_sent(account, clock, **values):
    message = put(make_message("c@example.com"), account=account)
    claims.take(account.pk, "lane", 5, clock())
    return put(message, may_be_accepted=True, **values)


def come_back(message, clock):
    put(message, status="queued", may_be_accepted=False, lease_owner="", lease_expires_at=None,
        not_before=clock() + dt.timedelta(minutes=10))  # fmt: skip


def test_what_comes_back_after_the_role_was_taken_away_says_so(admin, ben, clock):
    message = being_sent(ben, clock)
    decide(admin, ben, "hold", is_active="on", role=roles.VIEWER)
    come_back(message, clock)
    housekeeping.sweep(clock.goes_on(seconds=5))
    message.refresh_from_db()
    assert (message.status, in_words(message.reason)) == ("held", "Ben Okoro may no longer send.")


def test_who_leaves_twice_while_a_message_is_being_sent_is_decided_about_twice(admin, ben, clock):
    message = being_sent(ben, clock)
    decide(admin, ben, "pass-on", "company")
    save(admin, type(ben).objects.get(pk=ben.pk), is_active="on")
    decide(admin, type(ben).objects.get(pk=ben.pk), "cancel")
    come_back(message, clock)
    housekeeping.sweep(clock.goes_on(seconds=5))
    assert Message.objects.get(pk=message.pk).status == "cancelled"


def test_what_is_sent_at_once_is_tried_once_and_comes_back_never(admin, ben, clock):
    being_sent(ben, clock, is_immediate=True)
    assert "being sent at this moment" not in words(decide(admin, ben, "hold"))
    assert not Recall.objects.exists()


def test_what_was_sent_and_came_back_while_it_is_decided_is_seen(admin, ben, clock, monkeypatch):
    message = being_sent(ben, clock)
    look = offboarding._sending

    def too_late(user):
        come_back(message, clock)
        return look(user)

    monkeypatch.setattr(offboarding, "_sending", too_late)
    decide(admin, ben, "hold")
    assert Message.objects.get(pk=message.pk).status == "held"


def test_what_was_being_sent_and_arrived_stays_sent(admin, ben, clock):
    message = put(make_message("c@example.com"), account=ben)
    claims.take(ben.pk, "lane", 5, clock())
    put(message, may_be_accepted=True)
    decide(admin, ben, "cancel")
    put(message, status="sent", may_be_accepted=False, lease_owner="")
    housekeeping.sweep(clock.goes_on(seconds=5))
    assert not Recall.objects.exists()
    assert not MessageEvent.objects.filter(message=message, kind="cancelled").exists()


# --- Afterwards -------------------------------------------------------------------------------------------


def test_reactivating_undoes_nothing_and_says_so(admin, ben, greylisted):
    decide(admin, ben, "hold")
    ben.refresh_from_db()
    page = save(admin, ben, is_active="on")
    assert "1 message is still held under this account: deactivating is not undone" in words(page)
    assert Message.objects.get(pk=greylisted.pk).status == "held"


def test_role_that_is_given_back_undoes_nothing_and_says_so(admin, ben, greylisted):
    decide(admin, ben, "hold", is_active="on", role=roles.VIEWER)
    page = save(admin, type(ben).objects.get(pk=ben.pk), role=roles.OPERATOR)
    assert "1 message is still held under this account: taking the role away is not undone" in words(page)
    assert Message.objects.get(pk=greylisted.pk).status == "held"


def test_page_of_who_left_says_what_is_still_under_way(admin, ben, greylisted):
    decide(admin, ben, "let-go")
    page = admin.get(f"/setup/users/{ben.pk}/")
    assert page.status_code == 200
    assert "Still under way in the name of Ben Okoro" in words(page)


def test_schedule_of_a_deactivated_account_refuses_its_runs_and_says_why(admin, ben, clock):
    make_message("c@example.com", due=False)
    Schedule.objects.create(name="Often", kind="every", minutes=5, account=ben, since=clock(), time_zone="UTC")
    assert "Once they may not send, its runs are refused" in words(save(admin, ben, is_active=None))
    decide(admin, ben, "let-go")
    schedules.run_due(clock.goes_on(minutes=6))
    run = ScheduleRun.objects.get()
    assert (run.outcome, run.batch) == ("refused", None)
    assert "Ben Okoro may no longer sign in. Choose another account for this schedule." in in_words(run.remarks)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_deactivating_and_a_lane_that_writes_down_an_attempt_do_not_wait_in_a_circle(ben, operator):
    """The lane has a message and refers to its account; deactivating has the account and wants the message."""
    roles.give(operator, roles.ADMIN)
    message = put(make_message("c@example.com"), account=ben)
    errors = []

    def deactivate():
        try:
            users.change(ben, {"is_active": False}, by=operator, decision=Decision(Recall.Choice.HOLD))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere(deactivate))
    with transaction.atomic():
        Message.objects.select_for_update(of=("self",)).get(pk=message.pk)
        thread.start()
        while not somebody_waits_for_us():
            thread.join(0.01)
        SendAttempt.objects.create(message=message, account=ben, fence=1, started_at=timezone.now(), stage="connect")
    thread.join(20)
    assert errors == []
    message.refresh_from_db()
    assert message.status == "held"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_leaving_and_an_order_for_many_do_not_wait_for_each_other(admin, ben, operator):
    """What a lane has claimed is taken back; an order for many has the first message by then, and wants that one."""
    first, second, claimed = [make_message(f"{name}@example.com") for name in "abc"]
    for message in (first, second):
        put(message, account=ben, not_before=timezone.now() + dt.timedelta(days=1))
    put(claimed, account=ben)
    assert claims.take(ben.pk, "a", 1, timezone.now()) == [claimed]
    held, release, errors = threading.Event(), threading.Event(), []

    def keep():
        with transaction.atomic():
            list(Message.objects.select_for_update(of=("self",)).filter(pk=second.pk))
            held.set()
            release.wait(20)

    def attempt(work):
        def run():
            try:
                work()
            except DatabaseError as error:
                errors.append(error)

        return run

    def hold_all():
        actions.carry_out_for_all(actions.to_hold("wait"), Message.objects.all(), by=operator)

    def leave():
        users.change(ben, {"is_active": False}, by=operator, decision=Decision(Recall.Choice.HOLD))

    threads = [threading.Thread(target=elsewhere(attempt(work))) for work in (keep, hold_all, leave)]
    for thread in threads:
        thread.start()
        held.wait(10)
        time.sleep(0.5)  # until it waits for a row
    release.set()
    for thread in threads:
        thread.join(20)
    assert not errors
    assert {message.status for message in Message.objects.all()} == {"held"}


# --- Nothing new goes out in the name of who left -------------------------------------------------------------


def test_urgent_message_that_a_lane_has_claimed_and_not_begun_is_taken_back_too(admin, ben):
    message = put(make_message("c@example.com"), account=ben, urgent=True)
    claims.take(ben.pk, "lane", 5, timezone.now())
    decide(admin, ben, "hold")
    assert Message.objects.get(pk=message.pk).status == "held"


def test_what_was_to_be_passed_on_to_somebody_who_left_meanwhile_is_held(admin, ben, operator, clock):
    message = put(make_message("c@example.com"), account=ben)
    claims.take(ben.pk, "lane", 5, clock())
    put(message, may_be_accepted=True)
    decide(admin, ben, "pass-on", str(operator.pk))
    operator.is_active = False
    operator.save()
    put(message, status="queued", may_be_accepted=False, lease_owner="", lease_expires_at=None,
        not_before=clock() + dt.timedelta(minutes=10))  # fmt: skip
    housekeeping.sweep(clock.goes_on(seconds=5))
    message.refresh_from_db()
    assert (message.status, in_words(message.reason)) == ("held", "Ben Okoro was deactivated.")


@pytest.mark.parametrize(
    "change", [{"is_active": None}, {"is_active": "on", "role": roles.VIEWER}, {"is_active": "on", "role": ""}]
)
@pytest.mark.parametrize("by_clock", [False, True])
def test_what_was_held_before_and_is_released_waits_for_a_batch(by_clock, change, admin, ben, operator, clock):
    """It had a time of its own: released, it would go out at that time, in the name of who left."""
    tomorrow = clock() + dt.timedelta(days=1)
    message = put(make_message("c@example.com"), account=ben, not_before=tomorrow)
    actions.hold(message, by=ben, why="not yet", until=clock() + dt.timedelta(hours=1) if by_clock else None)
    decide(admin, ben, "let-go", **change)
    if by_clock:
        housekeeping.sweep(clock.goes_on(hours=2))
    else:
        actions.release(Message.objects.get(pk=message.pk), by=operator)
    message.refresh_from_db()
    assert (message.status, message.not_before) == ("queued", None)


def test_held_message_of_somebody_who_may_send_keeps_its_time(ben, operator, clock):
    tomorrow = clock() + dt.timedelta(days=1)
    message = put(make_message("c@example.com"), account=ben, not_before=tomorrow)
    actions.hold(message, by=ben, why="not yet")
    actions.release(message, by=operator)
    assert (message.status, message.not_before) == ("queued", tomorrow)


def test_draft_of_it_that_is_put_back_waits_for_a_batch(admin, ben, operator, clock):
    message = put(make_message("c@example.com"), account=ben, not_before=clock() + dt.timedelta(days=1))
    EmailSettings.objects.create(account=operator, send_type=1)
    actions.open_in_mail_program(message, by=operator)
    save(admin, ben, is_active=None)
    actions.put_back(message, by=operator)
    assert (message.status, message.not_before) == ("queued", None)


def test_tried_now_it_goes_out_with_the_account_of_who_orders_that(admin, ben, operator, greylisted, server):
    server.mend()
    decide(admin, ben, "let-go")
    greylisted.refresh_from_db()
    actions.try_now(greylisted, by=operator)
    assert greylisted.account == operator
    assert history(greylisted)[-2] == "Passed on to Anna: Ben Okoro was deactivated."


def test_rest_of_what_is_marked_as_sent_goes_out_with_the_account_of_who_says_so(admin, ben, operator):
    message = make_message("had@example.com", "later@example.com")
    put(message, account=ben, status="unknown", not_before=None)
    message.recipients.filter(address="had@example.com").update(status="unknown")
    decide(admin, ben, "hold")
    actions.mark_as_sent(Message.objects.get(pk=message.pk), by=operator)
    message.refresh_from_db()
    assert (message.status, message.account) == ("queued", operator)
    assert "Passed on to Anna: Ben Okoro was deactivated." in history(message)


def test_what_a_lane_claims_while_it_is_decided_is_seen(admin, ben, clock, monkeypatch):
    message = put(make_message("c@example.com"), account=ben)
    take_back = claims.take_back

    def then_claimed(*args, **options):
        take_back(*args, **options)
        claims.take(ben.pk, "lane", 5, clock())

    monkeypatch.setattr(claims, "take_back", then_claimed)
    assert "1 message is being sent at this moment" in words(decide(admin, ben, "hold"))
    assert Recall.objects.get().message == message


@pytest.mark.parametrize("has_left", [True, False])
def test_it_was_us_queues_for_the_account_of_who_says_so_if_its_own_has_left(has_left, admin, ben, operator):
    message = put(make_message("c@example.com"), account=ben, status="failed", not_before=None)
    streak = RefusalStreak.objects.create(
        account=ben, server="mx.example", reply_text="550 No", asked_at=timezone.now(), last_at=timezone.now()
    )
    message.recipients.update(status="failed", streak=streak)
    if has_left:
        save(admin, ben, is_active=None)
    refusal_answers.it_was_us(RefusalStreak.objects.get(), by=operator)
    message.refresh_from_db()
    assert (message.status, message.account) == ("queued", operator if has_left else ben)


@pytest.mark.parametrize("change", [{"is_active": None}, {"role": roles.VIEWER}, {"role": ""}])
def test_batch_of_somebody_who_may_not_send_by_now_is_not_confirmed(change, admin, ben):
    batch = draft_batch(make_message("c@example.com", due=False), by=ben)
    save(admin, ben, **change)
    with pytest.raises(actions.NotPossible, match="Ben Okoro may no longer send"):
        batches.confirm(batch, by=ben)  # whose rights the page had read before
    batch.refresh_from_db()
    assert batch.status == Batch.Status.DRAFT


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("order", ["confirm", "retry", "try_now"])
def test_what_is_ordered_while_its_person_is_deactivated_is_refused_afterwards(order, ben, operator):
    roles.give(operator, roles.ADMIN)
    failed = put(make_message("f@example.com"), status="failed", not_before=None)
    failed.recipients.update(status="failed")
    timed = put(make_message("t@example.com"), account=None, not_before=timezone.now() + dt.timedelta(days=1))
    batch = draft_batch(make_message("c@example.com", due=False), by=ben)
    orders = {
        "confirm": lambda: batches.confirm(batch, by=ben),
        "retry": lambda: actions.retry(failed, by=ben),
        "try_now": lambda: actions.try_now(timed, by=ben),
    }
    errors = []

    def run():
        try:
            orders[order]()
        except actions.NotPossible as error:
            errors.append(str(error))

    thread = threading.Thread(target=elsewhere(run))
    with transaction.atomic():
        users.change(ben, {"is_active": False}, by=operator)
        thread.start()
        while thread.is_alive() and not somebody_waits_for_us():
            thread.join(0.01)
    thread.join(20)
    assert errors == ["Ben Okoro may no longer send."]
    assert not Message.objects.filter(account=ben).exists()


@pytest.mark.parametrize("role", [roles.VIEWER, ""])
@pytest.mark.parametrize("is_on", [True, False])
def test_schedule_of_an_account_that_lost_its_role_refuses_its_runs_and_says_why(is_on, role, admin, ben, clock):
    make_message("c@example.com", due=False)
    row = Schedule.objects.create(
        name="Often", kind="every", minutes=5, account=ben, since=clock(), time_zone="UTC", is_on=is_on
    )
    decide(admin, ben, "let-go", is_active="on", role=role)
    if is_on:
        schedules.run_due(clock.goes_on(minutes=6))
    else:
        schedules.run_now(row, by=ben)
        assert "Choose one whose role is Operator or Administrator." in words(
            press(admin, row, "switch", {"on": "1"}, follow=True)
        )
    run = ScheduleRun.objects.get()
    assert (run.outcome, run.batch) == ("refused", None)
    # What it says beside that depends on how many times have passed.
    assert "Ben Okoro may no longer send. Choose another account for this schedule." in in_words(run.remarks)


# --- No role: a person who had one, and a program's account ---------------------------------------------------


def test_person_who_is_given_a_role_again_may_send_again(admin, ben, operator, clock):
    tomorrow = clock() + dt.timedelta(days=1)
    message = put(make_message("c@example.com"), account=ben, not_before=tomorrow)
    actions.hold(message, by=operator, why="not yet")
    decide(admin, ben, "let-go", is_active="on", role="")
    assert "Still under way in the name of Ben Okoro" in words(admin.get(f"/setup/users/{ben.pk}/"))
    said = words(save(admin, ben, role=roles.OPERATOR))
    assert "1 message is still held under this account: taking the role away is not undone." in said
    actions.release(Message.objects.get(pk=message.pk), by=operator)
    message.refresh_from_db()
    assert (message.status, message.not_before) == ("queued", tomorrow)


@pytest.fixture
def program(ben):
    """The account that a program hands mail in with; it was never given a role."""
    return make_user("crm", "crm@brightwater.example", role="")


def test_mail_of_a_program_goes_out_with_its_account_as_before(admin, program, operator, clock, server):
    server.mend()
    held = put(make_message("h@example.com"), account=program, not_before=clock() + dt.timedelta(minutes=1))
    actions.hold(held, by=operator, why="not yet")
    actions.release(Message.objects.get(pk=held.pk), by=operator)
    run_lane(program.pk, after=dt.timedelta(hours=1))
    assert Message.objects.get(pk=held.pk).status == "sent"
    make_message("c@example.com", due=False)
    row = Schedule.objects.create(name="Often", account=program, since=clock(), times="02:00", time_zone="UTC")
    assert schedules.run_now(row, by=operator).outcome == "batch"


def test_account_of_a_program_is_no_question_as_long_as_it_may_send(admin, program, clock):
    put(make_message("c@example.com"), account=program, not_before=clock() + dt.timedelta(days=1))
    assert "Still under way" not in words(admin.get(f"/setup/users/{program.pk}/"))
    assert "Saved." in words(save(admin, program, email="office@brightwater.example"))
    assert "Saved." in words(save(admin, program, role=roles.OPERATOR, version=1))


@pytest.mark.parametrize("change", [{"role": roles.VIEWER}, {"is_active": None}])
def test_account_of_a_program_that_may_not_send_any_more_is_a_question(change, admin, program, clock):
    put(make_message("c@example.com"), account=program, not_before=clock() + dt.timedelta(days=1))
    page = save(admin, program, **change)
    assert page.status_code == 422
    assert "something is under way in this user’s name" in words(page)


def test_viewer_whose_role_is_taken_away_could_not_send_before_either(admin, ben, clock):
    make_message("c@example.com", due=False)
    Schedule.objects.create(name="Often", account=ben, since=clock(), times="02:00", time_zone="UTC")
    decide(admin, ben, "let-go", is_active="on", role=roles.VIEWER)
    ben.refresh_from_db()
    assert "Saved." in words(save(admin, ben, role=""))
    row = Schedule.objects.get()
    assert schedules.run_now(row, by=ben).outcome == "refused"


@pytest.mark.parametrize(
    ("entries", "signed_in", "mail_since", "may_send"),
    [
        ([("Operator", "")], True, False, False),
        ([("Operator", "")], False, False, True),  # no one ever signed in with it
        ([("Operator", "")], True, True, True),  # a program hands mail in with it
        ([("Operator", ""), ("", "Operator"), ("Operator", "")], True, False, False),
        ([], True, False, True),
        ([("", {"words": "King"})], True, False, True),
    ],
)
def test_upgrade_marks_people_and_leaves_accounts_of_programs_as_they_are(
    entries, signed_in, mail_since, may_send, program
):
    now = timezone.now()
    program.last_login = now - dt.timedelta(days=9) if signed_in else None
    program.save()
    for before, after in entries:
        at = now - dt.timedelta(hours=1)
        kept = {"area": "users", "object_key": str(program.pk), "field": "role", "before": before, "after": after}
        AuditEntry.objects.create(at=at, **kept)
    if mail_since:
        make_message("c@example.com", author=program)
    importlib.import_module("messaging.migrations.0024_role_taken_away").mark(apps, None)
    assert roles.may_send(type(program).objects.get(pk=program.pk)) == may_send
    assert roles.senders().filter(pk=program.pk).exists() == may_send


@pytest.mark.django_db(transaction=True)
def test_what_was_being_sent_is_let_go_once_the_user_may_send_again(ben, operator):
    """The administrator made a mistake, and undid it while the server had the message."""
    roles.give(operator, roles.ADMIN)
    with FaultServer() as server:
        set_up(server)
        message = put(make_message("a@example.com"), account=ben, not_before=timezone.now())

        def meanwhile():
            decision = offboarding.Decision(offboarding.Choice.CANCEL)
            users.change(User.objects.get(pk=ben.pk), {"is_active": False}, by=operator, decision=decision)
            users.change(User.objects.get(pk=ben.pk), {"is_active": True}, by=operator)
            return "451 4.3.0 try later"

        server.at("END", meanwhile)
        run_lane(ben.pk)
        housekeeping.sweep(timezone.now())
    message.refresh_from_db()
    assert (message.status, message.account) == ("queued", ben)
    assert not Recall.objects.exists()
