"""Columns and a table get the names of the glossary."""

from django.db import migrations, models

CLAIM_FITS = models.Q(status="sending", lease_expires_at__isnull=False) & ~models.Q(lease_owner="") | ~models.Q(
    status="sending"
) & models.Q(lease_owner="", lease_expires_at=None, may_be_accepted=False, attempt_snapshot__isnull=True)


class Migration(migrations.Migration):
    dependencies = [("messaging", "0022_moved_backend")]

    operations = [
        # Its condition names the columns.
        migrations.RemoveConstraint("message", "message_claim_fits_its_state"),
        migrations.RenameField("message", "once", "is_immediate"),
        migrations.RenameField("message", "in_data", "may_be_accepted"),
        migrations.RenameField("message", "handover", "attempt_snapshot"),
        migrations.RenameField("setaside", "in_data", "may_be_accepted"),
        migrations.RenameField("setaside", "handover", "attempt_snapshot"),
        migrations.AlterField(
            "message",
            "attempt_snapshot",
            models.JSONField(
                null=True,
                blank=True,
                help_text="With may_be_accepted: the attempt so far, for when its worker dies.",
            ),
        ),
        migrations.AddConstraint(
            "message", models.CheckConstraint(name="message_claim_fits_its_state", condition=CLAIM_FITS)
        ),
        migrations.RenameModel("Submitted", "FormSubmission"),
    ]
