"""Batch Message Processing (S7): nothing chosen twice is sent twice; the report says what became of each."""

import datetime as dt
import threading
from time import sleep

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from messaging.management.commands import process_queue
from messaging.models import EmailSettings, Message
from messaging.queue import actions, batches
from messaging.queue.actions import NotPossible
from messaging.wording import in_words
from tests.factories import draft_batch, fitting, make_message, make_messages, make_user, set_up
from tests.fault_server import OK
from tests.steps import elsewhere, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)


def results(batch):
    return [(item.message_id, item.result, in_words(item.reason)) for item in batches.items(batch)]


def test_confirmed_batch_is_sent_and_reported(mail_server, email_setup, operator, woken):
    messages = make_messages(3, due=False)
    untouched = make_message("other@example.com", due=False)
    batch = draft_batch(*messages, by=operator)
    assert batches.report(batch).counts["total"] == 3
    assert batches.confirm(batch, by=operator)
    assert woken == [operator.pk]
    assert batches.report(batch).counts["waiting"] == 3
    run_lane(operator.pk)
    report = batches.report(batch)
    assert report.is_finished
    assert (report.counts["sent"], report.counts["percent"]) == (3, 100)
    untouched.refresh_from_db()
    assert (untouched.status, untouched.not_before) == ("queued", None)


def test_nothing_chosen_makes_no_batch(operator):
    with pytest.raises(NotPossible, match="No message was chosen"):
        batches.choose(Message.objects.none(), by=operator, account=operator)


def test_second_click_on_confirm_releases_nothing(mail_server, email_setup, operator):
    batch = draft_batch(*make_messages(3, due=False), by=operator)
    assert batches.confirm(batch, by=operator) is True
    assert batches.confirm(batch, by=operator) is False
    run_lane(operator.pk)
    assert batches.confirm(batch, by=operator) is False
    run_lane(operator.pk)
    assert len(mail_server.received) == 3


def test_overlapping_batches_skip_what_the_first_has(mail_server, email_setup, operator, django_user_model):
    ben = make_user("ben", first_name="Ben", last_name="Okoro")
    one, two, three = make_messages(3, due=False)
    first, second = draft_batch(one, two, by=operator), draft_batch(two, three, by=ben)
    batches.confirm(first, by=operator)
    assert [in_words(reason) for _, reason in batches.skip_reasons(batches.to_skip(second))] == [
        f"Already being processed in batch {first.pk} by Anna"
    ]
    batches.confirm(second, by=ben)
    assert [result for _, result, _ in results(second)] == ["skipped", "waiting"]
    run_lane(operator.pk)
    run_lane(ben.pk)
    assert len(mail_server.received) == 3
    assert batches.report(second).counts["skipped"] == 1
    assert [result for _, result, _ in results(first)] == ["sent", "sent"]


@pytest.mark.slow
def test_confirmed_at_the_same_instant_by_many_each_message_goes_once(mail_server, email_setup, operator):
    messages = make_messages(20, due=False)
    drafts = [draft_batch(*messages, by=operator) for _ in range(4)]
    turn = iter(drafts)
    assert not in_threads(4, lambda: batches.confirm(next(turn), by=operator))
    assert not in_threads(4, lambda: run_lane(operator.pk))
    assert sorted(item.recipients[0] for item in mail_server.received) == sorted(f"c{n}@example.com" for n in range(20))
    counts = [batches.report(batch).counts for batch in drafts]
    assert sum(count["sent"] for count in counts) == 20
    assert sum(count["skipped"] for count in counts) == 60


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("sent", "Already sent"),
        ("held", "Held"),
        ("unknown", "decide first"),
        ("cancelled", "Cancelled"),
        ("sending", "Being sent right now"),
        ("failed", "Failed before"),
    ],
)
def test_what_does_not_wait_is_skipped_and_says_why(mail_server, email_setup, operator, status, why):
    message = make_message("a@example.com", due=False)
    Message.objects.filter(pk=message.pk).update(**fitting(status=status))
    batch = draft_batch(message, by=operator)
    batches.confirm(batch, by=operator)
    ((_, result, reason),) = results(batch)
    assert result == "skipped"
    assert why in reason
    assert Message.objects.get().status == status


def test_retry_takes_only_the_failed_and_addresses_only_who_refused(mail_server, email_setup, operator):
    mail_server.replies["bad@example.com"] = ["550 5.1.1 no such user"]
    fine, bad = make_message("a@example.com", due=False), make_message("ok@example.com", "bad@example.com", due=False)
    batch = draft_batch(fine, bad, by=operator)
    batches.confirm(batch, by=operator)
    run_lane(operator.pk)
    assert batches.report(batch).counts["failed"] == 1
    assert batches.report(batch).reasons == [("failed", "The mailbox does not exist.", 1)]
    again = batches.retry_failed(batch, by=operator)
    assert again.retry_of == batch
    assert [item.message for item in again.items.all()] == [bad]
    batches.confirm(again, by=operator)
    run_lane(operator.pk)
    assert batches.report(again).counts["sent"] == 1
    assert [item.recipients for item in mail_server.received][-1] == ["bad@example.com"]
    assert [result for _, result, _ in results(batch)] == ["sent", "failed"], "the first report stays as it was"
    with pytest.raises(NotPossible):
        batches.retry_failed(batch, by=operator)


def test_cancel_puts_the_rest_back_where_another_batch_can_take_it(mail_server, email_setup, operator):
    messages = make_messages(4, due=False)
    batch = draft_batch(*messages, by=operator)
    batches.confirm(batch, by=operator)
    run_lane(operator.pk, stop=lambda: len(mail_server.received) >= 1)
    assert batches.cancel(batch, by=operator) == 3
    run_lane(operator.pk)
    assert len(mail_server.received) == 1
    assert batches.report(batch).counts["cancelled"] == 3
    second = draft_batch(*messages, by=operator)
    batches.confirm(second, by=operator)
    assert [result for _, result, _ in results(second)] == ["skipped", "waiting", "waiting", "waiting"]
    assert [result for _, result, _ in results(batch)] == ["sent", "cancelled", "cancelled", "cancelled"]


def test_finished_batch_cannot_be_cancelled(mail_server, email_setup, operator):
    make_messages(1, due=False)
    batch = draft_batch(*Message.objects.all(), by=operator)
    batches.confirm(batch, by=operator)
    run_lane(operator.pk)
    assert batches.cancel(batch, by=operator) == 0
    assert batch.status == "confirmed"


def test_cancelled_draft_can_no_longer_be_confirmed(email_setup, operator):
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    batches.cancel(batch, by=operator)
    assert batches.confirm(batch, by=operator) is False
    assert Message.objects.get().not_before is None


@pytest.mark.parametrize("send_type", [0, 1])
def test_batch_under_outlook_is_refused_before_it_starts(mail_server, operator, send_type):
    set_up(mail_server, send_type=send_type)
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    with pytest.raises(NotPossible, match="Choose send type 2 or 3"):
        batches.confirm(batch, by=operator)
    assert Message.objects.get().not_before is None


def test_company_on_outlook_but_the_sending_account_on_smtp_sends(mail_server, operator):
    set_up(mail_server, send_type=1)
    EmailSettings.objects.create(account=operator, send_type=2)
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    assert batches.confirm(batch, by=operator)
    run_lane(operator.pk)
    assert len(mail_server.received) == 1


def test_without_a_server_nothing_starts(operator):
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    with pytest.raises(NotPossible, match="No SMTP server is set"):
        batches.confirm(batch, by=operator)


# --- A person's actions ----------------------------------------------------------------------------


def test_unknown_message_marked_as_sent(operator):
    message = make_message("a@example.com", due=False)
    Message.objects.update(**fitting(status="unknown"))
    message.recipients.update(status="unknown")
    message.refresh_from_db()
    assert actions.possible_actions(message) == ["mark_as_sent", "send_again"]
    actions.mark_as_sent(message, by=operator)
    assert message.status == "sent"
    assert message.recipients.get().status == "accepted"
    assert in_words(message.events.last().what) == "Marked as sent"
    assert message.events.last().by == operator
    with pytest.raises(NotPossible, match="is now “Sent”"):
        actions.send_again(message, by=operator)


def test_unknown_message_sent_again_keeps_its_message_id(mail_server, email_setup, operator):
    mail_server.replies["END"] = ["CLOSE"]
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    batches.confirm(batch, by=operator)
    run_lane(operator.pk)
    message = Message.objects.get()
    assert message.status == "unknown"
    actions.send_again(message, by=operator)
    run_lane(operator.pk)
    message.refresh_from_db()
    assert message.status == "sent"
    first, second = mail_server.handed_over
    assert first.content == second.content
    assert message.message_id.encode() in second.content
    assert [result for _, result, _ in results(batch)] == ["unknown"], "the batch's report stays as it was"


def test_failed_message_retried(mail_server, email_setup, operator):
    mail_server.replies["a@example.com"] = ["550 5.1.1 no"]
    message = make_message("a@example.com")
    run_lane()
    message.refresh_from_db()
    actions.retry(message, by=operator)
    run_lane(operator.pk)
    message.refresh_from_db()
    assert (message.status, message.tries) == ("sent", 1)


def test_held_message_stays_until_released(mail_server, email_setup, operator):
    message = make_message("a@example.com", due=False)
    actions.hold(message, by=operator, why="Price to be checked")
    assert (message.status, in_words(message.reason)) == ("held", "Price to be checked")
    batches.process_all(by=operator, account=None, source="test")
    run_lane()
    assert mail_server.received == []
    actions.release(message, by=operator)
    batches.process_all(by=operator, account=None, source="test")
    run_lane()
    assert len(mail_server.received) == 1


def test_time_a_program_asked_for_outlives_a_hold(operator):
    tomorrow = timezone.now() + dt.timedelta(days=1)
    message = make_message("a@example.com", not_before=tomorrow, due=False)
    actions.hold(message, by=operator, why="Wait")
    actions.release(message, by=operator)
    assert message.not_before == tomorrow


def test_hold_takes_a_message_out_of_its_batch(mail_server, email_setup, operator):
    batch = draft_batch(*make_messages(1, due=False), by=operator)
    batches.confirm(batch, by=operator)
    message = Message.objects.get()
    actions.hold(message, by=operator, why="Wait")
    actions.release(message, by=operator)
    run_lane(operator.pk)
    assert mail_server.received == []
    assert [result for _, result, _ in results(batch)] == ["held"]


def test_cancelled_message_never_leaves(mail_server, email_setup, operator):
    message = make_message("a@example.com")
    actions.cancel(message, by=operator, why="wrong customer")
    run_lane()
    assert mail_server.received == []
    assert actions.possible_actions(message) == []


def test_message_being_sent_cannot_be_changed(operator):
    message = make_message("a@example.com")
    Message.objects.update(**fitting(status="sending"))
    for action in (actions.cancel, actions.retry, actions.try_now, actions.release):
        with pytest.raises(NotPossible, match="is now “Sending”"):
            action(message, by=operator)


# --- process_queue ---------------------------------------------------------------------------------


def test_process_queue_sends_all_and_ends_with_0(mail_server, email_setup, operator, capsys):
    make_messages(3, due=False)
    call_command("process_queue", account="anna")
    assert "3 sent" in capsys.readouterr().out
    assert {message.account for message in Message.objects.all()} == {operator}
    call_command("process_queue")
    assert "Nothing waits" in capsys.readouterr().out


def test_process_queue_beside_a_worker_waits_for_it_and_tells_what_became_of_each(
    server, operator, capsys, monkeypatch
):
    make_messages(5, due=False)
    server.at("RCPT", "550 5.1.1 no such user", recipient="c3@example.com")
    # The command has nothing left to claim, and waits, when the server answers the worker.
    begun, waits, worker = threading.Event(), threading.Event(), []
    server.at("END", [lambda: (begun.set(), waits.wait(20), OK)[-1]])
    monkeypatch.setattr(process_queue, "sleep", lambda seconds: waits.set() or sleep(0.01))

    def confirm_and_work(*given, **named):
        found = confirm(*given, **named)
        worker.append(threading.Thread(target=elsewhere(lambda: run_lane(operator.pk))))
        worker[0].start()
        assert begun.wait(20)
        return found

    confirm = batches.confirm
    monkeypatch.setattr(batches, "confirm", confirm_and_work)
    with pytest.raises(SystemExit) as end:
        call_command("process_queue", account="anna")
    worker[0].join()
    assert end.value.code == 1
    assert "5 messages: 4 sent, 1 failed\n" in capsys.readouterr().out


def test_process_queue_waits_for_nobody_whose_lease_is_of_a_wrong_clock(server, operator, capsys, monkeypatch):
    make_messages(1, due=False)
    in_ten_years = timezone.now() + dt.timedelta(days=3653)

    def lose():
        Message.objects.update(lease_owner="killed", lease_expires_at=in_ten_years)

    def wait(seconds):
        raise AssertionError("it waits")

    server.at("END", [lambda: (elsewhere(lose)(), OK)[-1]])
    monkeypatch.setattr(process_queue, "sleep", wait)
    with pytest.raises(SystemExit):
        call_command("process_queue", account="anna")
    assert Message.objects.get().status == "sending"


def test_process_queue_with_a_deactivated_account_is_refused(email_setup, operator):
    make_messages(1, due=False)
    User.objects.update(is_active=False)
    with pytest.raises(CommandError, match="“anna” is deactivated"):
        call_command("process_queue", account="anna")


def test_process_queue_ends_with_1_when_something_failed(mail_server, email_setup, capsys):
    mail_server.replies["bad@example.com"] = "550 5.1.1 no"
    make_message("bad@example.com", due=False)
    with pytest.raises(SystemExit) as end:
        call_command("process_queue")
    assert end.value.code == 1
    assert "1 failed: The mailbox does not exist." in capsys.readouterr().out


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_large_batch_is_planned_by_what_is_there_now(email_setup, operator, monkeypatch):
    """PostgreSQL's own look at the tables comes once a minute, and sees nothing of what a transaction has written."""
    monkeypatch.setattr(batches, "PART", 10)
    make_messages(batches.PART + 1, due=False)
    batch = batches.choose(Message.objects.all(), by=operator, account=operator)
    with connection.cursor() as cursor:
        cursor.execute("SELECT reltuples FROM pg_class WHERE relname = 'messaging_batchitem'")
        assert cursor.fetchone()[0] > batches.PART
    with CaptureQueriesContext(connection) as queries:
        assert batches.confirm(batch, by=operator)
    released = [query["sql"] for query in queries if "SET \"state\" = 'released'" in query["sql"]]
    assert released
    assert not [sql for sql in released if "SELECT" in sql]
    assert batch.items.filter(state="released").count() == batches.PART + 1
