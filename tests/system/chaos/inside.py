"""What the harness has done inside an installation: see Installation.call."""

import email.message
import email.policy
import hashlib
import random
from datetime import timedelta

from django.contrib.auth.models import User
from django.utils import timezone

from messaging import housekeeping
from messaging.content import assembly
from messaging.intake.gate import Submission, accept_many
from messaging.models import Batch, EmailSettings, Message, Reason, Recipient, Restore, Schedule
from messaging.queue import actions, batches, restores, wake
from messaging.scheduling import schedules
from messaging.wording import in_words

KINDS = ["ok"] * 16 + ["later", "never", "busy", "bad"]
SMALL, REPORT, LARGE = 0, 20_000, 900_000  # octets attached


def set_up(port, accounts):
    """The company's Email Setup, and accounts: the first with settings of its own."""
    values = {"send_type": 2, "host": "127.0.0.1", "port": port, "ehlo_name": "chaos.example"}
    EmailSettings.objects.update_or_create(account=None, defaults=values)
    users = [User.objects.get_or_create(username=f"account{number}")[0] for number in range(accounts)]
    for user in users[:1]:
        EmailSettings.objects.update_or_create(account=user, defaults=values)


def fill(count, seed, let_go=True):
    """Queue messages and, with `let_go`, let them go: a part as batches of several accounts, a part due at once.

    Returns:
        by Message-ID: the recipients, and the SHA-256 of the content as it was accepted.
    """
    chance = random.Random(seed)
    accounts = [None, *User.objects.filter(username__startswith="account").order_by("pk")]
    accepted = {}
    for number, account in enumerate(accounts):
        share = range(number, count, len(accounts))
        messages = accept_many([_submission(f"{seed}-{index}", chance) for index in share]) if share else []
        accepted |= _told(messages)
        if messages and let_go:
            _let_go(messages, account, as_batch=chance.random() < 0.7)
    return accepted


def fill_one(reverse_path, account, recipients, attached=0):
    """Queue one message, due at once."""
    user = User.objects.get(username=account)
    mail = _mail(f"For {recipients[0]}", attached, random.Random(recipients[0]))
    messages = accept_many([Submission(mail, reverse_path, recipients, via="chaos")])
    _let_go(messages, user, as_batch=False)
    return _told(messages)


def _submission(name, chance):
    kinds = [chance.choice(KINDS)] + ["ok"] * chance.choice([0, 0, 0, 1, 4])
    recipients = [f"{kind}-{name}-{place}@example.com" for place, kind in enumerate(kinds)]
    attached = chance.choices([SMALL, REPORT, LARGE], [80, 12, 8])[0]
    return Submission(_mail(name, attached, chance), "office@brightwater.example", recipients, via="chaos")


def _mail(name, attached, chance):
    mail = email.message.EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = "office@brightwater.example", "c@example.com", f"Invoice {name}"
    mail.set_content(f"Invoice {name}\n.\n..\nis due.\n" * chance.randrange(1, 40))
    if attached:
        body = f"%PDF {chance.randrange(5)}".encode() * (attached // 6)
        mail.add_attachment(body, maintype="application", subtype="pdf", filename="invoice.pdf")
    return mail.as_bytes()


def _let_go(messages, account, as_batch):
    chosen = Message.objects.filter(pk__in=[message.pk for message in messages])
    if as_batch:
        batches.confirm(batches.choose(chosen, by=account, account=account), by=account)
    else:
        chosen.update(account=account, not_before=timezone.now())
        wake.wake(account and account.pk)


def _told(messages):
    recipients = {message.pk: [] for message in messages}
    for pk, address in Recipient.objects.filter(message__in=messages).values_list("message_id", "address"):
        recipients[pk].append(address)
    return {
        message.message_id: {
            "recipients": recipients[message.pk],
            "digest": hashlib.sha256(b"".join(assembly.assemble(message))).hexdigest(),
        }
        for message in messages
    }


def counts():
    """How many messages are in which status; "moving" are those something is still to happen to by itself."""
    moving = Message.objects.filter(status="queued", not_before__isnull=False) | Message.objects.filter(
        status="sending"
    )
    found = dict.fromkeys(Message.Status.values, 0)
    for status in Message.objects.order_by().values_list("status", flat=True):
        found[status] += 1
    return found | {"moving": moving.count()}


def decide(seed, share):
    """A person decides about a share of what is unknown or failed; every order given."""
    chance = random.Random(seed)
    person, orders = User.objects.get_or_create(username="person")[0], []
    for message in Message.objects.filter(status__in=["unknown", "failed"]).order_by("pk"):
        if chance.random() > share:
            continue
        verb = (
            actions.retry if message.status == "failed" else chance.choice([actions.send_again, actions.mark_as_sent])
        )
        concerned = message.recipients.filter(status=message.status)
        order = {"verb": verb.__name__, "message_id": message.message_id}
        order["recipients"] = list(concerned.values_list("address", flat=True))
        verb(message, by=person)
        orders.append(order)
    return orders


def sweep():
    """What beat has done every few seconds."""
    housekeeping.sweep(timezone.now())


def snapshot():
    """Every message with its recipients and attempts."""
    rows = []
    for message in Message.objects.prefetch_related("recipients", "attempts", "events").order_by("pk"):
        attempts = [
            {
                "started": attempt.started_at.timestamp(),
                "outcome": attempt.outcome,
                "explained": bool(in_words(attempt.reason)),
                "recipients": {reply["address"]: reply["outcome"] for reply in attempt.recipients},
            }
            for attempt in message.attempts.all()
        ]
        recipients = {recipient.address: recipient.status for recipient in message.recipients.all()}
        rows.append(
            {
                "message_id": message.message_id,
                "status": message.status,
                "reason": in_words(message.reason),
                "sent_at": message.sent_at is not None,
                "since_backup": any(event.kind == Reason.SINCE_BACKUP for event in message.events.all()),
                "recipients": recipients,
                "attempts": attempts,
            }
        )
    return rows


def restores_noticed():
    """How each was noticed."""
    return [restore.evidence.key for restore in Restore.objects.order_by("pk")]


def answer(what):
    """An administrator says what became of the mail since the backup."""
    restores.answer(restores.unanswered(), Restore.Answer(what), by=User.objects.get_or_create(username="person")[0])


def schedule():
    """Have the queue processed every minute; one run is due already."""
    values = {"name": "Every minute", "kind": "every", "minutes": 1, "time_zone": "UTC", "is_on": True}
    schedules.save(None, values, by=User.objects.get_or_create(username="person")[0])
    Schedule.objects.update(since=timezone.now() - timedelta(minutes=2))


def batches_made():
    """Source and number of items of every batch."""
    return [[batch.source, batch.items.count()] for batch in Batch.objects.order_by("pk")]
