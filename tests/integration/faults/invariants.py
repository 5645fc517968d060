"""What must be true after every fault, whatever it was.

I1  Nothing accepted into the queue is lost.
I2  No recipient is sent the same message twice without a person's recorded order.
I3  Every message has a true status and a reason.
I4  What may have been accepted is shown as unknown, at most one message per connection.
I5  One bad message, recipient or account never stops the others.
"""

import re
from collections import Counter

from messaging.models import AccountPause, BatchItem, Message
from messaging.wording import in_words

NOT_PLAIN = re.compile(r"\b[245]\d\d\b|Errno|Error\b|Exception|Traceback|<class|None\b")


def check_invariants(*servers, queued, beside=(), sending=()):
    """Compare the database with the ledgers of the servers.

    Args:
        servers: each FaultServer that could have been given a message.
        queued: the messages accepted into the queue before.
        beside: those of them that the fault should not concern.
        sending: those that a worker (perhaps a dead one) still has.
    """
    ledger = sum((server.ledger for server in servers), Counter())
    rows = {row.pk: row for row in Message.objects.filter(pk__in=[message.pk for message in queued])}
    for message in queued:
        assert message.pk in rows, f"I1: {message.recipients_text} is lost"
    for row in rows.values():
        _is_whole(row)
        _is_sent_once(row, ledger)
        _says_why(row, is_sending=row.pk in {message.pk for message in sending})
        _says_what_the_server_knows(row, ledger)
    _batches_know_their_messages()
    _is_unknown_once_per_connection(servers, rows.values())
    for message in beside:
        _is_served(rows[message.pk])
    for server in servers:
        _arrived_whole(server)
        assert not server.violations, f"RFC 2920: {server.violations}"


def _is_whole(row):
    assert row.status in Message.Status.values, f"I1: {row} is {row.status!r}"
    assert row.recipients.count() == row.recipient_count, f"I1: {row} lost a recipient"
    assert row.content.skeleton, f"I1: {row} lost its content"


def _batches_know_their_messages():
    """An item is without an outcome of its own just as long as its message is in the batch: both are counted apart."""
    items = BatchItem.objects.filter(state="released", outcome="")
    in_batch = Message.objects.exclude(batch=None)
    assert set(items.values_list("batch", "message")) == set(in_batch.values_list("batch", "pk")), (
        "I3: a batch is wrong"
    )


def _orders_again(row):
    return row.events.filter(kind="send-again", by__isnull=False).count()


def _is_sent_once(row, ledger):
    for recipient in row.recipients.all():
        times = ledger[row.message_id, recipient.address]
        assert times <= 1 + _orders_again(row), f"I2: {recipient.address} was sent {row} {times} times"


def _says_why(row, *, is_sending):
    assert (row.status == "sending") == is_sending, f"I3: {row} is {row.status}"
    attempts = list(row.attempts.all())
    if row.status in ("sent", "unknown") or row.tries:
        assert attempts, f"I3: no attempt tells why {row} is {row.status}"
    for attempt in attempts[: -1 if is_sending else None]:
        assert attempt.finished_at, f"I3: an attempt of {row} never ended"
        assert attempt.outcome != "in_progress", f"I3: an attempt of {row} has no outcome"
        assert attempt.stage, f"I3: an attempt of {row} has no stage"
        _is_plain(in_words(attempt.reason))
    if row.status in ("failed", "unknown") or (row.status == "queued" and row.tries):
        assert row.reason_category, f"I3: {row} is {row.status} without a category"
        _is_plain(in_words(row.reason))
    if row.status == "queued" and row.tries:
        assert row.not_before or row.batch_id is None, f"I3: {row} has no next time"
    if row.status == "queued" and attempts and not row.tries and row.reason:
        _is_plain(in_words(row.reason))
    for pause in AccountPause.objects.filter(account=row.account):
        _is_plain(in_words(pause.reason))


def _is_plain(words):
    assert words, "I3: no reason"
    assert words.endswith((".", "”")), f"I3: not a sentence: {words!r}"
    assert not NOT_PLAIN.search(words), f"I3: not in plain words: {words!r}"


def _says_what_the_server_knows(row, ledger):
    everybody = list(row.recipients.all())
    for recipient in everybody:
        times = ledger[row.message_id, recipient.address]
        told_by_a_person = recipient.said is not None and recipient.said.key == "marked-as-sent-by"
        if recipient.status == "accepted":
            assert times or told_by_a_person, f"I3: {recipient.address} never accepted {row}"
        elif recipient.status in ("pending", "failed") and row.status != "sending":
            assert times <= _orders_again(row), f"I4: {recipient.address} accepted {row} and is {recipient.status}"
    if row.status == "sent":
        assert {recipient.status for recipient in everybody} == {"accepted"}, f"I3: not everybody was sent {row}"
        assert row.sent_at, f"I3: {row} has no date and time"
    if row.status == "failed":
        assert "failed" in {recipient.status for recipient in everybody} or not everybody, f"I3: no one refused {row}"
    if row.status == "unknown":
        assert "unknown" in {recipient.status for recipient in everybody}, f"I3: of {row} all is known"


def _arrived_whole(server):
    sizes = dict(Message.objects.values_list("message_id", "size"))
    for transaction in server.accepted:
        assert transaction.message_id, "I3: an empty message was sent"
        assert transaction.octets >= sizes.get(transaction.message_id, 0), "I3: a message was sent in part"


def _is_unknown_once_per_connection(servers, rows):
    unknown = {row.message_id for row in rows if row.status == "unknown"}
    connections = sum(server.connections for server in servers)
    assert len(unknown) <= connections, f"I4: {len(unknown)} unknown of {connections} connections"
    for server in servers:
        last = {}
        for transaction in server.transactions:
            last[transaction.message_id] = transaction.connection
        per_connection = Counter(number for message_id, number in last.items() if message_id in unknown)
        assert all(count == 1 for count in per_connection.values()), f"I4: {per_connection} unknown per connection"


def _is_served(row):
    paused = AccountPause.objects.filter(account=row.account).exists()
    if paused and row.status == "queued":
        assert row.tries == 0, f"I5: {row} paid for the fault of another"
    else:
        assert row.status == "sent", f"I5: {row} is {row.status}: {in_words(row.reason)}"
