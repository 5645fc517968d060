"""What is true of every message that the demo makes."""

from messaging.content import assembly
from messaging.models import Message, Recipient, SendAttempt
from tests.rows import wire

STATUS_OF_RECIPIENTS = {
    Message.Status.SENT: {Recipient.Status.ACCEPTED},
    Message.Status.FAILED: {Recipient.Status.FAILED, Recipient.Status.ACCEPTED},
    Message.Status.UNKNOWN: {Recipient.Status.UNKNOWN},
}


def data(attachment):
    return b"".join(assembly.open_attachment(attachment))


def snapshot():
    """All that a seed decides; attempts and replies included."""
    messages = [
        (m.message_id, m.status, m.reason, m.created_at, m.sent_at, m.recipients_text, wire(m))
        for m in Message.objects.order_by("id")
    ]
    return messages, list(SendAttempt.objects.order_by("id").values_list("started_at", "reply_text", "outcome"))


def assert_consistent(now):
    """Every message that has ended looks as if delivery had ended it, before `now`."""
    for message in Message.objects.prefetch_related("attempts", "recipients", "events"):
        attempts, recipients = list(message.attempts.all()), list(message.recipients.all())
        assert message.events.first().at == message.created_at <= now
        assert message.tries == message.fence == len(attempts)
        assert [attempt.fence for attempt in attempts] == list(range(1, len(attempts) + 1))
        assert bool(message.sent_at) == (message.status == Message.Status.SENT)
        if not attempts:
            continue
        assert {row.status for row in recipients} <= STATUS_OF_RECIPIENTS[Message.Status(message.status)]
        times = [moment for attempt in attempts for moment in (attempt.started_at, attempt.finished_at)]
        assert message.created_at < times[0]
        assert times == sorted(times)
        assert times[-1] <= now
        assert message.batch.confirmed_at < times[0]
        assert message.batch.items.filter(message=message, state="released").exists()
        assert message.sent_at in (None, times[-1])
        assert (message.reason is not None) == (message.status != Message.Status.SENT)
        for attempt in attempts:
            assert {reply["address"] for reply in attempt.recipients} == {row.address for row in recipients}
            assert "{" not in attempt.reply_text
        last = {reply["address"]: reply["reply_text"] for reply in attempts[-1].recipients}
        assert {row.address: row.reply_text for row in recipients} == last
