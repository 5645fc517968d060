"""The database keeps the columns of one state from any other; rows that break this are repaired first."""

from django.db import migrations, models
from django.db.models import Case, Exists, F, OuterRef, Q, Value, When
from django.utils import timezone


def repair(apps, schema_editor):
    """Give each row what its state says: nothing that the state cannot have was ever acted on."""
    messages = apps.get_model("messaging", "Message").objects
    items = apps.get_model("messaging", "BatchItem").objects
    recipients = apps.get_model("messaging", "Recipient").objects
    others = messages.exclude(status="sending")
    free = {"lease_owner": "", "lease_expires_at": None, "in_data": False, "handover": None}
    others.filter(
        ~Q(lease_owner="") | Q(lease_expires_at__isnull=False) | Q(in_data=True) | Q(handover__isnull=False)
    ).update(**free)
    # Nobody renews the lease of these: it ends, and the sweep decides about them.
    now = timezone.now()
    messages.filter(status="sending", lease_owner="").update(lease_owner="unknown")
    messages.filter(status="sending", lease_expires_at=None).update(lease_expires_at=now)

    messages.filter(status="held", hold_kind="").update(hold_kind="hold")
    not_held = messages.exclude(status="held")
    not_held.filter(~Q(hold_kind="") | Q(held_until__isnull=False)).update(hold_kind="", held_until=None)
    left = Exists(recipients.filter(message=OuterRef("pk"), status="pending"))
    messages.filter(hold_kind="mail-program", status_before="").update(
        status_before=Case(When(left, then=Value("queued")), default=Value("failed"))
    )
    no_drafts = messages.exclude(hold_kind="mail-program").filter(~Q(status_before="") | Q(handed_to__isnull=False))
    no_drafts.update(status_before="", handed_to=None, reason_before=None)

    stray = messages.filter(status__in=["held", "cancelled"], batch__isnull=False)
    for status in ("held", "cancelled"):
        own = items.filter(message__in=stray.filter(status=status), batch=F("message__batch"), outcome="")
        own.update(outcome=status)
    stray.update(batch=None)

    messages.exclude(status="sent").filter(sent_at__isnull=False).update(sent_at=None)
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else the table cannot be altered in this transaction


class Migration(migrations.Migration):
    dependencies = [("messaging", "0012_notices")]

    operations = [
        migrations.RunPython(repair, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("lease_expires_at__isnull", False),
                        ("status", "sending"),
                        models.Q(("lease_owner", ""), _negated=True),
                    ),
                    models.Q(
                        models.Q(("status", "sending"), _negated=True),
                        ("handover__isnull", True),
                        ("in_data", False),
                        ("lease_expires_at", None),
                        ("lease_owner", ""),
                    ),
                    _connector="OR",
                ),
                name="message_claim_fits_its_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "held"), models.Q(("hold_kind", ""), _negated=True)),
                    models.Q(models.Q(("status", "held"), _negated=True), ("held_until", None), ("hold_kind", "")),
                    _connector="OR",
                ),
                name="message_hold_fits_its_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("hold_kind", "mail-program"), models.Q(("status_before", ""), _negated=True)),
                    models.Q(
                        models.Q(("hold_kind", "mail-program"), _negated=True),
                        ("handed_to", None),
                        ("status_before", ""),
                    ),
                    _connector="OR",
                ),
                name="message_draft_fits_its_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("batch", None), ("status__in", ["queued", "sending", "sent", "failed", "unknown"]), _connector="OR"
                ),
                name="message_batch_fits_its_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="message",
            constraint=models.CheckConstraint(
                condition=models.Q(("status", "sent"), ("sent_at", None), _connector="OR"),
                name="message_time_fits_its_state",
            ),
        ),
        migrations.AlterField(
            model_name='messageevent',
            name='kind',
            field=models.CharField(choices=[('queued', 'Accepted into the queue'), ('taken-at-once', 'Taken to be sent at once'), ('ended-early', 'Not sent at once, before a server was asked'), ('held', 'Held'), ('hold-ended', 'Hold ended by itself'), ('released', 'Released'), ('cancelled', 'Cancelled'), ('in-batch', 'Released in a batch'), ('out-of-batch', 'Taken out of a batch'), ('expired', 'Waited too long'), ('retry', 'Retry ordered'), ('try-now', 'Try now ordered'), ('marked-as-sent', 'Marked as sent'), ('send-again', 'Send again ordered'), ('edited', 'Edited'), ('written-again', 'Written again'), ('not-written-again', 'Not written again'), ('handed-over', 'Handed over to a mail program'), ('sent-from-mail-program', 'Sent from a mail program'), ('put-back', 'Put back, not sent from a mail program'), ('rescued', 'Back in the queue after its worker stopped'), ('stopped', 'Not sent at once, because its process stopped'), ('rerouted', 'Given to an account that works'), ('passed-on', 'Passed on to another account'), ('dkim-taken-out', 'DKIM signature taken out'), ('it-was-us', 'Queued again: our set-up was at fault'), ('go-on', 'Left failed: the message was at fault'), ('since-backup', 'May have gone out since the backup'), ('not-since-backup', 'Did not go out since the backup'), ('told', 'Told by a version that kept sentences')], max_length=24),
        ),
    ]
