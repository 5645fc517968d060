"""One set of transitions: what a message becomes does not depend on who changes it, and nothing is lost between two."""

import datetime as dt
import uuid

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging import housekeeping
from messaging.company import options
from messaging.compose import editing
from messaging.intake import gate
from messaging.intake.addresses import Mailbox
from messaging.models import BatchItem, EmailSettings, Message, MessageEvent
from messaging.queue import actions, batches
from tests.factories import confirmed_batch, draft_batch, hold_mail, make_message, make_messages, make_user, put
from tests.fault_server import ACCEPT, CLOSE
from tests.pages import act, choose, source
from tests.rows import status
from tests.steps import elsewhere, run_lane

pytestmark = pytest.mark.django_db(transaction=True)
REFUSED = "550 5.1.1 no such mailbox here"
SPAM = "550 5.7.1 message looks like spam"
TOMORROW = dt.timedelta(days=1)


def standing(message):
    """All that an order could leave changed."""
    row = Message.objects.values().get(pk=message.pk)
    return row | {"recipients": list(message.recipients.order_by("pk").values())}


def failed_at(server, *addresses, stage="RCPT", reply=REFUSED, **options):
    message = make_message(*addresses, **options)
    server.at(stage, [reply] * len(addresses))
    run_lane(message.account_id)
    assert status(message) == "failed"
    return message


def results(batch):
    return {name: number for name, number in batches.report(batch).counts.items() if name in batches.RESULTS and number}


# --- Handed over and put back ------------------------------------------------------------------------


@pytest.fixture
def mapi(operator):
    return EmailSettings.objects.create(account=operator, send_type=1)


def queued_for_a_batch(server, operator):
    return make_message("a@example.com", due=False)


def timed(server, operator):
    return make_message("a@example.com", due=False, not_before=timezone.now() + TOMORROW)


def held(server, operator):
    message = make_message("a@example.com", due=False)
    actions.hold(message, by=operator, why="Wait for the boss")
    return message


def held_for_a_day(server, operator):
    message = timed(server, operator)
    actions.hold(message, by=operator, why="Not before tomorrow", until=timezone.now() + TOMORROW)
    return message


def released(server, operator):
    message = held(server, operator)
    actions.release(message, by=operator)
    return message


def failed(server, operator):
    return failed_at(server, "a@example.com")


EACH_START = [queued_for_a_batch, timed, held, held_for_a_day, released, failed]


@pytest.mark.parametrize("start", EACH_START)
def test_put_back_is_what_it_was(office, server, operator, mapi, start):
    message = start(server, operator)
    before = standing(message)
    act(office, message, "hand-over")
    assert status(message) == "held"
    act(office, message, "put-back")
    assert standing(message) == before


@pytest.mark.parametrize("start", EACH_START)
def test_put_back_by_a_second_person_is_what_it_was_at_first(office, server, operator, mapi, start):
    """The account of the first is deleted, so a second may open it."""
    message = start(server, operator)
    before = standing(message)
    first = make_user("carla")
    EmailSettings.objects.create(account=first, send_type=1)
    actions.open_in_mail_program(message, by=first)
    first.delete()
    act(office, message, "hand-over")
    act(office, message, "put-back")
    assert standing(message) == before


def test_failed_message_whose_draft_is_nobodys_any_more_is_released_as_it_was(office, server, operator, mapi):
    message = failed(server, operator)
    housekeeping.sweep(timezone.now())  # it is told of, and not again
    before = standing(message)
    assert before["notified_at"] is not None
    first = make_user("carla")
    EmailSettings.objects.create(account=first, send_type=1)
    actions.open_in_mail_program(message, by=first)
    first.delete()
    act(office, message, "release")
    assert standing(message) == before


# --- Edited ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("urgent", [True, False])
def test_failed_urgent_message_goes_out_by_itself_once_it_is_corrected(server, operator, holding, urgent):
    message = failed_at(server, "a@example.com", urgent=urgent)
    edit = editing.Edit([Mailbox("", "b@example.com")], [], [], message.subject)
    editing.apply(message, edit, by=operator, seen=0)
    assert status(message) == "queued"
    run_lane(operator.pk)
    assert status(message) == ("sent" if urgent else "queued")


# --- Written again -----------------------------------------------------------------------------------


def form(do="send", **values):
    return {
        "sender": "Anna <anna@office.example>", "to": "b@example.com", "subject": "Your invoice", "text": "Hello,",
        "key": uuid.uuid4().hex, "do": do, "promised": "send:at-once queue:own",
    } | values  # fmt: skip


@pytest.fixture
def refused_at_once(office, recording, server):
    """A message that Anna wrote, and that failed while she waited."""
    server.at("RCPT", [REFUSED])
    assert office.post("/messages/new/", form()).status_code == 422
    return Message.objects.get()


@pytest.mark.parametrize("do", ["send", "instead"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), DatabaseError("database or disk is full")])
def test_replacement_that_cannot_be_stored_leaves_the_failed_message_as_it_was(
    office, server, refused_at_once, monkeypatch, do, error
):
    before = standing(refused_at_once)

    def fails(*given):
        raise error

    monkeypatch.setattr(gate, "store", fails)
    with pytest.raises(type(error)):
        office.post("/messages/new/", form(do, earlier=refused_at_once.pk))
    assert standing(refused_at_once) == before
    assert Message.objects.count() == 1


@pytest.mark.parametrize("do", ["send", "instead"])
def test_process_that_dies_right_after_the_cancelling_leaves_the_failed_message_as_it_was(
    office, server, refused_at_once, monkeypatch, do
):
    class Killed(BaseException):
        pass

    genuine, before = actions.write_again, standing(refused_at_once)

    def dies(*arguments, **options):
        genuine(*arguments, **options)
        raise Killed

    monkeypatch.setattr(actions, "write_again", dies)
    with pytest.raises(Killed):
        office.post("/messages/new/", form(do, earlier=refused_at_once.pk))
    assert standing(refused_at_once) == before


def test_what_replaces_a_recorded_message_is_recorded_whatever_the_options_say(office, server, refused_at_once):
    options.save({"record_mail": False, "hold_mail": False}, by=None)
    server.at("RCPT", [REFUSED])
    assert office.post("/messages/new/", form(earlier=refused_at_once.pk)).status_code == 422
    assert status(refused_at_once) == "cancelled"
    assert list(Message.objects.exclude(pk=refused_at_once.pk).values_list("status", flat=True)) == ["failed"]


def test_written_again_stays_failed_in_the_report_of_its_batch(office, server, operator, refused_at_once):
    actions.retry(refused_at_once, by=operator)
    put(refused_at_once, not_before=None)
    batch = draft_batch(refused_at_once, by=operator)
    batches.confirm(batch, by=operator)
    server.at("RCPT", [REFUSED])
    run_lane(operator.pk)
    assert results(batch) == {"failed": 1}
    assert office.post("/messages/new/", form("instead", earlier=refused_at_once.pk)).status_code == 302
    assert status(refused_at_once) == "cancelled"
    assert results(batch) == {"failed": 1}


# --- Batches -----------------------------------------------------------------------------------------


@pytest.fixture
def two_and_one_for_tomorrow(operator):
    return [
        *make_messages(2, due=False),
        make_message("t@example.com", due=False, not_before=timezone.now() + TOMORROW),
    ]


def test_all_that_wait_leaves_what_waits_for_its_own_time(office, email_setup, two_and_one_for_tomorrow):
    page = source(office.get("/batches/new/"))
    assert "All <strong>2</strong> that match" in page
    assert "<strong>1</strong> goes out automatically at its time" in page
    office.post("/batches/new/", {"all_matching": "1", "filter": ""})
    assert BatchItem.objects.count() == 2


def test_ticked_it_is_sent_before_its_time(office, email_setup, two_and_one_for_tomorrow):
    assert choose(office, two_and_one_for_tomorrow[2]).status_code == 302
    assert BatchItem.objects.get().message == two_and_one_for_tomorrow[2]


def test_where_all_wait_for_their_own_time_there_is_no_all(office, email_setup):
    make_message("t@example.com", due=False, not_before=timezone.now() + TOMORROW)
    assert "all_matching" not in source(office.get("/batches/new/"))
    answer = office.post("/batches/new/", {"all_matching": "1", "filter": ""}, follow=True)
    assert "No message was chosen." in source(answer)


def test_retry_batch_older_than_the_days_in_the_queue_is_cancelled_and_its_messages_stay(server, operator, clock):
    options.save({"record_mail": True, "hold_mail": True, "expire_days": 2}, by=None)
    batch = confirmed_batch(operator, "a@example.com")
    server.at("RCPT", [REFUSED])
    run_lane()
    clock.goes_on(days=30)
    retry = batches.retry_failed(batch, by=operator)
    batches.confirm(retry, by=operator)
    batches.cancel(retry, by=operator)
    message = Message.objects.get()
    housekeeping.sweep(clock.now)
    assert status(message) == "queued"
    housekeeping.sweep(clock.goes_on(days=3))
    assert status(message) == "failed"


@pytest.mark.parametrize("comes_back_late", [True, False])
def test_message_that_comes_back_to_a_cancelled_batch_waits_as_long_as_any(server, operator, clock, comes_back_late):
    """It was being sent while the batch was cancelled, and was put off by the server."""
    options.save({"record_mail": True, "hold_mail": True, "expire_days": 2}, by=None)
    batch = confirmed_batch(operator, "a@example.com")
    clock.goes_on(days=30)

    def cancels(*_):
        elsewhere(lambda: batches.cancel(batch, by=operator))()
        return "451 4.3.0 later"

    put(Message.objects.get(), not_before=clock.now)
    server.at("END", [cancels] if comes_back_late else ["451 4.3.0 later"])
    run_lane()
    if not comes_back_late:
        batches.cancel(batch, by=operator)
    message = Message.objects.get()
    assert (message.status, message.batch, message.not_before) == ("queued", None, None)
    assert message.events.filter(kind=MessageEvent.Kind.OUT_OF_BATCH).count() == 1
    housekeeping.sweep(clock.now)
    assert status(message) == "queued"


def test_rest_of_a_message_marked_as_sent_in_a_cancelled_batch_waits_for_another(office, server, operator):
    message = make_message("a@example.com", "b@example.com", due=False)
    other = make_message("c@example.com", due=False)
    batch = draft_batch(message, other, by=operator)
    batches.confirm(batch, by=operator)
    put(other, not_before=timezone.now() + TOMORROW)
    server.at("RCPT", ["451 4.2.1 try later"])
    server.at("END", [(ACCEPT, CLOSE)])
    run_lane(operator.pk)
    assert status(message) == "unknown"
    batches.cancel(batch, by=operator)
    assert results(batch) == {"cancelled": 1, "unknown": 1}
    act(office, message, "mark-as-sent")
    message.refresh_from_db()
    assert (message.status, message.batch, message.not_before) == ("queued", None, None)
    assert results(batch) == {"cancelled": 2}


def test_orders_on_many_leave_an_event_on_each(operator, email_setup, holding):
    messages = make_messages(3, due=False)
    batch = draft_batch(*messages, by=operator)
    batches.confirm(batch, by=operator)
    batches.cancel(batch, by=operator)
    for message in messages:
        assert list(message.events.values_list("kind", "by__username"))[1:] == [
            ("in-batch", "anna"),
            ("out-of-batch", "anna"),
        ]


@pytest.mark.parametrize("order", [batches.cancel, lambda batch, by: actions.carry_out_for_all(
    actions.to_hold("Wait"), batch.messages.all(), by=by)], ids=["cancel the batch", "hold all"])  # fmt: skip
def test_leaving_a_batch_is_written_down_without_a_join(operator, email_setup, order):
    """PostgreSQL plans a join by statistics that know none of the new rows yet: of 20,000 it took three minutes."""
    batch = confirmed_batch(operator, "a@example.com", "b@example.com")
    with CaptureQueriesContext(connection) as queries:
        order(batch, by=operator)
    [statement] = [each["sql"] for each in queries if each["sql"].startswith('UPDATE "messaging_batchitem"')]
    assert "JOIN" not in statement
    assert [item.outcome for item in batch.items.all()] in (["cancelled"] * 2, ["held"] * 2)


@pytest.mark.parametrize("hold", [True, False])
def test_options_page_counts_what_stays(admin, email_setup, hold):
    hold_mail(hold=hold)
    make_message("a@example.com", due=False)
    make_message("t@example.com", due=False, not_before=timezone.now() + TOMORROW)
    assert ("1 message waits in the queue" in source(admin.get("/setup/options/"))) == (not hold)
