"""One more kind of event: a DKIM signature was taken out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0008_restores"),
    ]

    operations = [
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
                    ("told", "Told by a version that kept sentences"),
                ],
                max_length=24,
            ),
        ),
    ]
