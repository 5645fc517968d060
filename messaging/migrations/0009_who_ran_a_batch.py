import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0008_restores"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="confirmed_by",
            field=models.ForeignKey(
                blank=True,
                help_text="Who ran it; empty: a command, a schedule's own run, or not recorded (version 0.1.0).",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="days",
            field=models.CharField(
                blank=True,
                help_text="0 is Sunday; such as 1,2,3,4,5. L: the last day of the month; LW: its last working day.",
                max_length=20,
            ),
        ),
        migrations.AlterField(
            model_name="accountpause",
            name="kind",
            field=models.CharField(
                choices=[
                    ("fault", "Set-up at fault"),
                    ("doubt", "Refused in the same words"),
                    ("busy", "Slowed down by the mail server"),
                    ("limit", "Limit reached"),
                    ("window", "Outside the sending window"),
                    ("person", "Paused by a person"),
                    ("all", "All sending paused by a person"),
                    ("restored", "All sending paused after a restore"),
                ],
                db_default="fault",
                default="fault",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="messageevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("queued", "Accepted into the queue"),
                    ("taken-at-once", "Taken to be sent at once"),
                    ("ended-early", "Not sent at once, before a server was asked"),
                    ("held", "Held"),
                    ("hold-ended", "Hold ended by itself"),
                    ("released", "Released"),
                    ("cancelled", "Cancelled"),
                    ("in-batch", "Released in a batch"),
                    ("out-of-batch", "Taken out of a batch"),
                    ("expired", "Waited too long"),
                    ("retry", "Retry ordered"),
                    ("try-now", "Try now ordered"),
                    ("marked-as-sent", "Marked as sent"),
                    ("send-again", "Send again ordered"),
                    ("edited", "Edited"),
                    ("written-again", "Written again"),
                    ("not-written-again", "Not written again"),
                    ("handed-over", "Handed over to a mail program"),
                    ("sent-from-mail-program", "Sent from a mail program"),
                    ("put-back", "Put back, not sent from a mail program"),
                    ("rescued", "Back in the queue after its worker stopped"),
                    ("stopped", "Not sent at once, because its process stopped"),
                    ("rerouted", "Given to an account that works"),
                    ("dkim-taken-out", "DKIM signature taken out"),
                    ("it-was-us", "Queued again: our set-up was at fault"),
                    ("go-on", "Left failed: the message was at fault"),
                    ("since-backup", "May have gone out since the backup"),
                    ("not-since-backup", "Did not go out since the backup"),
                    ("told", "Told by a version that kept sentences"),
                ],
                max_length=24,
            ),
        ),
    ]
