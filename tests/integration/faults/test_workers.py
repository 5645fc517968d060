"""Workers, people and clocks that get into each other's way (46 to 55, 62): each message goes out once."""

import contextlib
import datetime as dt
import threading
import time

import pytest
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from messaging import housekeeping
from messaging.delivery.store import claims
from messaging.delivery.store.rescue import rescue
from messaging.models import AccountPause, Message, MessageEvent
from messaging.queue import actions, batches
from messaging.tasks import deliver
from messaging.wording import in_words
from tests.factories import confirmed_batch, make_message, make_user, set_up
from tests.fault_server import OK, FaultServer
from tests.integration.faults.invariants import check_invariants
from tests.rows import status, statuses
from tests.steps import AN_HOUR, elsewhere, fault, in_threads, run_lane

pytestmark = pytest.mark.django_db(transaction=True)

A_DAY = dt.timedelta(days=1)


@contextlib.contextmanager
def worker_waiting(server, stage, **options):
    """A lane at work in a thread of its own, whose server takes its time at `stage` until the block ends."""
    reached, release = threading.Event(), threading.Event()

    def wait():
        reached.set()
        release.wait(30)

    server.at(stage, [wait])
    worker = threading.Thread(target=elsewhere(lambda: run_lane(**options)))
    worker.start()
    try:
        assert reached.wait(10)
        yield
    finally:
        release.set()
        worker.join()


def lease(count=1):
    """A time when so many leases, begun now, have ended."""
    return timezone.now() + count * dt.timedelta(seconds=31)


# --- Two at once -----------------------------------------------------------------------------------


@pytest.mark.slow
@fault(46)
def test_two_workers_never_claim_the_same_message(server, settings):
    messages = [make_message(f"c{number}@example.com") for number in range(30)]
    claimed = []
    owners = iter("abcd")
    assert not in_threads(4, lambda: claimed.extend(claims.take(None, next(owners), 6, timezone.now())))
    assert len({message.pk for message in claimed}) == len(claimed) == 24
    assert {message.fence for message in claimed} == {1}
    for owner in "abcd":
        claims.give_back(owner)
    settings.CLAIM_SIZE = 3
    assert not in_threads(4, run_lane)
    assert set(statuses(*messages)) == {"sent"}
    assert server.connections > 1, "several were at work"
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@fault(47)
def test_lease_is_kept_while_a_slow_server_thinks(server, settings):
    settings.LEASE_SECONDS = 1
    rescued = []

    def think():
        time.sleep(1.6)
        rescued.append(rescue(timezone.now()))

    server.at("END", [elsewhere(think)])
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    run_lane()
    assert rescued == [(0, 0)]
    assert statuses(*messages) == ["sent", "sent"]
    check_invariants(server, queued=messages, beside=messages)


@fault(47)
def test_lease_that_ended_while_the_server_had_the_content_leaves_it_unknown(server, operator):
    """The worker was cut off, others declared the message unknown, and then the server says 250."""
    message, good = make_message("a@example.com"), make_message("good@example.com")
    with worker_waiting(server, "END"):
        housekeeping.sweep(lease(1))
        assert status(message) == "sending", "the outcome may still be on its way"
        housekeeping.sweep(lease(2))
        assert status(message) == "sending", "no one swept for so long: who lived through an outage writes first"
        for number in range(3, 8):
            housekeeping.sweep(lease(2 + number / 2))
        assert status(message) == "unknown"
    run_lane(after=AN_HOUR)
    assert statuses(message, good) == ["unknown", "sent"]
    assert server.ledger[message.message_id, "a@example.com"] == 1
    check_invariants(server, queued=[message, good], beside=[good])
    actions.mark_as_sent(message, by=operator)
    assert status(message) == "sent"
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(47)
@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
def test_lease_that_ended_before_the_content_lets_another_worker_send_it(server, stage):
    message, good = make_message("a@example.com"), make_message("good@example.com")
    with worker_waiting(server, stage):
        housekeeping.sweep(lease(1))
        assert status(message) == "queued"
        run_lane()
        assert statuses(message, good) == ["sent", "sent"]
    assert statuses(message, good) == ["sent", "sent"], "the late worker changed nothing"
    assert [attempt.outcome for attempt in message.attempts.all()] == ["accepted"]
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(48)
def test_task_delivered_three_times_sends_once(server, settings):
    settings.CLAIM_SIZE = 2
    messages = [make_message(f"c{number}@example.com") for number in range(12)]
    assert not in_threads(3, lambda: deliver(None))
    for _ in range(3):
        assert deliver(None) == 0
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


@fault(49)
def test_confirm_posted_twice_releases_once(server, operator, woken):
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(4)]
    batch = batches.choose(Message.objects.all(), by=operator, account=None)

    def press():
        client = Client()
        client.force_login(operator)
        assert client.post(f"/batches/{batch.pk}/confirm/").status_code == 302

    assert not in_threads(2, press)
    press()
    assert MessageEvent.objects.exclude(kind="queued").count() in (0, len(messages))
    assert batches.report(batch).counts["waiting"] == len(messages)
    assert woken == [None], "one lane for a handful of messages, once"
    run_lane()
    press()
    run_lane()
    assert set(statuses(*messages)) == {"sent"}
    assert batches.report(batch).counts["sent"] == len(messages)
    check_invariants(server, queued=messages, beside=messages)


@fault(50)
def test_overlapping_selections_of_two_people_send_once(server, operator, django_user_model):
    other = make_user("ben", "ben@office.example", "pw", first_name="Ben")
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(9)]
    drafts = [
        (batches.choose(Message.objects.filter(pk__in=[message.pk for message in chosen]), by=by, account=by), by)
        for chosen, by in ((messages[:6], operator), (messages[3:], other))
    ]
    presses = iter(drafts)

    def press():
        batch, by = next(presses)
        batches.confirm(batch, by=by)
        run_lane(by.pk)

    assert not in_threads(2, press)
    for _, by in drafts:
        run_lane(by.pk)
    assert set(statuses(*messages)) == {"sent"}
    reports = [batches.report(batch).counts for batch, _ in drafts]
    assert [report["sent"] + report["skipped"] for report in reports] == [6, 6]
    assert sum(report["skipped"] for report in reports) == 3
    for batch, _ in drafts:
        for item in batch.items.filter(state="skipped"):
            assert in_words(item.reason).startswith(("Already being processed in batch", "Already sent", "Being sent"))
    check_invariants(server, queued=messages, beside=messages)


@pytest.mark.slow
@fault(50)
def test_retry_drafts_confirmed_together_address_nobody_twice(server, operator):
    for number in range(12):
        server.at("RCPT", ["550 5.1.1 no"], recipient=f"c{number}@example.com")
    messages = [make_message(f"c{number}@example.com", f"ok{number}@example.com", due=False) for number in range(12)]
    batch = batches.choose(Message.objects.all(), by=operator, account=None)
    batches.confirm(batch, by=operator)
    run_lane()
    check_invariants(server, queued=messages)
    drafts = [batches.retry_failed(batch, by=operator) for _ in range(3)]

    def press():
        batches.confirm(drafts.pop(), by=operator)
        run_lane(operator.pk)

    assert not in_threads(3, press)
    run_lane(operator.pk)
    assert len(server.ledger) == 24
    check_invariants(server, queued=messages, beside=messages)


# --- People and a message that is claimed ----------------------------------------------------------


@fault(51)
@pytest.mark.parametrize("stage", ["RCPT", "DATA", "END"])
@pytest.mark.parametrize(
    "action",
    [actions.cancel, lambda message, *, by: actions.hold(message, by=by, why="Wait for Monday"), actions.try_now],
    ids=["cancel", "hold", "try now"],
)
def test_claimed_message_is_sent_and_the_person_is_told(server, operator, action, stage):
    message, good = make_message("a@example.com"), make_message("good@example.com")
    with worker_waiting(server, stage):
        for one in (message, good):
            with pytest.raises(actions.NotPossible, match="Sending"):
                action(one, by=operator)
    assert statuses(message, good) == ["sent", "sent"]
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(51)
@pytest.mark.parametrize(("stage", "is_sent"), [("RCPT", False), ("END", True)])
def test_message_deleted_while_claimed_stops_nobody(server, stage, is_sent):
    message, good = make_message("a@example.com"), make_message("good@example.com")
    with worker_waiting(server, stage):
        Message.objects.filter(pk=message.pk).delete()
    assert status(good) == "sent"
    assert server.ledger[message.message_id, "a@example.com"] == is_sent
    check_invariants(server, queued=[good], beside=[good])


@fault(51)
def test_cancelled_batch_takes_back_what_was_claimed_but_not_begun(server, operator):
    batch = confirmed_batch(operator, *[f"c{number}@example.com" for number in range(20)])
    messages = list(Message.objects.all())
    with worker_waiting(server, "END"):
        assert batches.cancel(batch, by=operator) == 19
    assert len(server.accepted) == 1, "the one being sent is finished, no other goes out"
    assert batches.report(batch).counts["cancelled"] == 19
    assert Message.objects.filter(status="queued", not_before=None, batch=None).count() == 19
    run_lane(after=AN_HOUR)
    assert len(server.accepted) == 1
    check_invariants(server, queued=messages)


@fault(51)
def test_message_that_comes_back_after_its_batch_was_cancelled_is_not_tried_again(server, operator):
    batch = confirmed_batch(operator, "a@example.com")

    def cancel():
        batches.cancel(batch, by=operator)
        return "451 4.3.0 try later"

    heard = []
    server.at("END", [lambda: heard.append(cancel()) or connection.close() or heard[0]])
    run_lane()
    message = Message.objects.get()
    assert (message.status, message.not_before, message.batch) == ("queued", None, None)
    assert batches.report(batch).counts["cancelled"] == 1
    check_invariants(server, queued=[message])


@fault(51)
def test_account_deleted_while_its_message_is_sent_does_not_cost_the_outcome(server, operator):
    message, good = make_message("a@example.com"), make_message("good@example.com")
    Message.objects.filter(pk=message.pk).update(account=operator)
    server.at("END", [elsewhere(operator.delete)])
    run_lane(operator.pk)
    run_lane()
    assert statuses(message, good) == ["sent", "sent"]
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(51)
def test_account_deleted_while_more_of_its_messages_are_claimed_stops_no_lane(server, operator):
    messages = [make_message(f"c{number}@example.com") for number in range(3)]
    Message.objects.update(account=operator)
    server.at("END", [elsewhere(operator.delete)])
    run_lane(operator.pk)
    run_lane()
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


@fault(51)
def test_mark_as_sent_does_not_forget_who_was_asked_to_come_back(server, operator):
    server.at("RCPT", ["451 4.7.1 greylisted"], recipient="later@example.com")
    message, good = make_message("a@example.com", "later@example.com"), make_message("good@example.com")
    with worker_waiting(server, "END"):
        housekeeping.sweep(lease(2))
    assert status(message) == "unknown"
    check_invariants(server, queued=[message, good], beside=[good])
    actions.mark_as_sent(message, by=operator)
    assert status(message) == "queued"
    run_lane()
    assert status(message) == "sent"
    assert server.accepted[-1].recipients == ["later@example.com"]
    check_invariants(server, queued=[message, good], beside=[message, good])


@fault(52)
def test_settings_changed_in_mid_batch_hold_from_the_next_connection(server, settings):
    settings.MESSAGES_PER_CONNECTION = 2
    messages = [make_message(f"c{number}@example.com") for number in range(5)]
    with FaultServer() as other:
        server.at("END", [elsewhere(lambda: set_up(other))])
        run_lane()
        assert statuses(*messages) == ["sent"] * 5
        assert (len(server.accepted), len(other.accepted)) == (2, 3)
        for message in messages:
            true_server = server if (message.message_id, message.recipients_text) in server.ledger else other
            assert message.attempts.get().server == f"127.0.0.1:{true_server.port}"
        check_invariants(server, other, queued=messages, beside=messages)


@fault(52)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": ""}, "No SMTP server is set. Enter one in Email Setup."),
        ({"send_type": 1}, "Choose send type 2 or 3 (SMTP) in Email Setup."),
        ({"send_type": 3}, "user name and password are not set"),
        ({"auth_type": "ssl"}, "Choose tls-implicit in Email Setup."),
    ],
)
def test_settings_made_wrong_in_mid_batch_cost_no_try(server, settings, wrong, words):
    settings.MESSAGES_PER_CONNECTION = 2
    messages = [make_message(f"c{number}@example.com") for number in range(5)]
    server.at("END", [elsewhere(lambda: set_up(server, **wrong))])
    run_lane()
    assert statuses(*messages) == ["sent", "sent", "queued", "queued", "queued"]
    assert {message.tries for message in messages[2:]} == {0}
    assert words in in_words(AccountPause.objects.get().reason)
    check_invariants(server, queued=messages, beside=messages)
    set_up(server, auth_type="")
    run_lane(after=AN_HOUR)
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


# --- Clocks ----------------------------------------------------------------------------------------


@pytest.mark.slow
@fault(53)
def test_two_beats_do_no_more_than_one(server, operator):
    in_data, held = make_message("a@example.com"), make_message("held@example.com", due=False)
    claimed = [make_message(f"c{number}@example.com") for number in range(5)]
    actions.hold(held, by=operator, why="until later", until=timezone.now())
    with worker_waiting(server, "END"):
        assert not in_threads(3, lambda: housekeeping.sweep(lease(2)))
        assert (status(in_data), status(held)) == ("unknown", "queued")
        assert set(statuses(*claimed)) == {"queued"}
        assert in_data.tries == 1
        for message in (*claimed, held):
            assert message.events.filter(kind="rescued").count() <= 1
        check_invariants(server, queued=[in_data, held, *claimed])
    run_lane()
    assert set(statuses(*claimed)) == {"sent"}
    check_invariants(server, queued=[in_data, held, *claimed], beside=claimed)


@fault(53)
def test_two_schedules_process_the_queue_once(server):
    messages = [make_message(f"c{number}@example.com", due=False) for number in range(6)]
    assert not in_threads(2, lambda: (batches.process_all(by=None, account=None, source="schedule"), run_lane()))
    run_lane()
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


@fault(54)
def test_clock_set_back_an_hour_delays_and_loses_nothing(server, settings):
    settings.CLAIM_SIZE = 2
    messages = [make_message(f"c{number}@example.com") for number in range(6)]
    back = []
    server.at("END", [OK, lambda: back.append(AN_HOUR) and OK])
    run_lane(clock=lambda: timezone.now() - sum(back, dt.timedelta()))
    assert statuses(*messages) == ["sent", "sent", "queued", "queued", "queued", "queued"]
    housekeeping.sweep(timezone.now() - AN_HOUR)
    check_invariants(server, queued=messages, beside=messages[:2])
    run_lane()
    assert set(statuses(*messages)) == {"sent"}
    check_invariants(server, queued=messages, beside=messages)


@fault(54)
def test_clock_set_back_ends_no_lease_early_and_none_never(server):
    message = make_message("a@example.com")
    claims.take(None, "dead worker", 1, timezone.now())
    housekeeping.sweep(timezone.now() - AN_HOUR)
    assert status(message) == "sending"
    housekeeping.sweep(lease(1))
    assert status(message) == "queued"
    run_lane()
    assert status(message) == "sent"
    check_invariants(server, queued=[message], beside=[message])


@fault(54)
def test_clock_set_back_in_mid_attempt_gives_no_negative_duration(server):
    message = make_message("a@example.com")
    back = []
    server.at("END", [lambda: back.append(AN_HOUR) and OK])
    run_lane(clock=lambda: timezone.now() - sum(back, dt.timedelta()))
    assert status(message) == "sent"
    check_invariants(server, queued=[message], beside=[message])
    assert message.attempts.get().duration_ms >= 0


@fault(55)
@pytest.mark.parametrize(("stage", "expected"), [("RCPT", "sent"), ("END", "unknown")])
def test_clock_set_forward_a_day_sends_nothing_twice(server, stage, expected):
    """Every lease seems to have ended: what was not begun goes to others, what may be accepted is unknown."""
    message, good = make_message("a@example.com"), make_message("good@example.com")
    with worker_waiting(server, stage):
        housekeeping.sweep(timezone.now() + A_DAY)
        run_lane(after=A_DAY)
    run_lane()
    assert statuses(message, good) == [expected, "sent"]
    check_invariants(server, queued=[message, good], beside=[good])


@fault(55)
def test_clock_set_forward_and_right_again_forgets_no_message(server):
    server.at("RCPT", ["451 4.3.0 try later"], recipient="a@example.com")
    message, good = make_message("a@example.com"), make_message("good@example.com")
    run_lane(after=A_DAY)
    assert statuses(message, good) == ["queued", "sent"]
    assert message.not_before > timezone.now(), "the time is shown; Try now does not wait for it"
    check_invariants(server, queued=[message, good], beside=[good])
    run_lane(after=A_DAY + AN_HOUR)
    assert status(message) == "sent"
    check_invariants(server, queued=[message, good], beside=[message, good])


# --- A migration while workers run -----------------------------------------------------------------


def in_sql(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.mark.slow
@fault(62)
def test_column_added_while_a_worker_sends(server):
    """A worker of the old release goes on with tables of the new one, and waits while they are locked."""
    messages = [make_message(f"c{number}@example.com") for number in range(6)]
    begun = threading.Event()

    def migrate():
        with transaction.atomic():
            in_sql(
                "ALTER TABLE messaging_message ADD COLUMN of_the_new_release integer NULL",
                "ALTER TABLE messaging_sendattempt ADD COLUMN of_the_new_release integer DEFAULT 1 NOT NULL",
            )
            begun.set()
            time.sleep(0.3)

    migration = threading.Thread(target=elsewhere(migrate))
    server.at("END", [OK, lambda: (migration.start(), begun.wait(10), None)[2]])
    try:
        run_lane()
        migration.join()
        assert set(statuses(*messages)) == {"sent"}
        assert {message.tries for message in messages} == {1}
        check_invariants(server, queued=messages, beside=messages)
    finally:
        for table in ("message", "sendattempt"):
            in_sql(f"ALTER TABLE messaging_{table} DROP COLUMN of_the_new_release")


def messaging_migrations():
    graph = MigrationExecutor(connection).loader.graph
    (newest,) = graph.leaf_nodes("messaging")
    return [key for key in graph.forwards_plan(newest) if key[0] == "messaging"]


@pytest.mark.slow
@fault(62)
def test_rows_written_before_the_newest_migration_are_delivered(server):
    *_, before, newest = [None, *messaging_migrations()]
    if before is None:
        pytest.skip("there is no earlier migration yet")
    executor = MigrationExecutor(connection)
    old = executor.migrate([before]).apps
    try:
        now = timezone.now()
        for address, values in {
            "waiting@example.com": {},
            "claimed@example.com": {
                "status": "sending", "lease_owner": "old worker", "fence": 1, "lease_expires_at": now,
            },
        }.items():  # fmt: skip
            row = old.get_model("messaging", "Message").objects.create(
                message_id=f"<{address}>", reverse_path="office@brightwater.example", recipients_text=address,
                recipient_count=1, size=60, created_at=now, not_before=now, **values,
            )  # fmt: skip
            old.get_model("messaging", "Recipient").objects.create(message=row, address=address)
            skeleton = f"From: office@brightwater.example\r\nMessage-ID: <{address}>\r\n\r\nhello\r\n".encode()
            old.get_model("messaging", "MessageContent").objects.create(message=row, skeleton=skeleton)
        set_up_old = old.get_model("messaging", "EmailSettings").objects
        set_up_old.all().delete()
        set_up_old.create(send_type=2, host="127.0.0.1", port=server.port, ehlo_name="t.example")
    finally:
        MigrationExecutor(connection).migrate([newest])
    messages = list(Message.objects.all())
    housekeeping.sweep(lease(1))
    run_lane()
    assert statuses(*messages) == ["sent", "sent"]
    check_invariants(server, queued=messages, beside=messages)
