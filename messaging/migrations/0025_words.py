"""Words of choices and help texts. Nothing in the tables changes."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0024_role_taken_away'),
    ]

    operations = [
        migrations.AlterField(
            model_name='message',
            name='category',
            field=models.CharField(blank=True, db_default='', help_text='What kind of mail it is, as the sender said.', max_length=40),
        ),
        migrations.AlterField(
            model_name='message',
            name='is_immediate',
            field=models.BooleanField(db_default=False, default=False, help_text='Sent at once, with one try: the sender is told the outcome.'),
        ),
        migrations.AlterField(
            model_name='messageevent',
            name='kind',
            field=models.CharField(choices=[('queued', 'Accepted into the queue'), ('taken-at-once', 'Taken to be sent at once'), ('ended-early', 'Not sent at once, before a server was asked'), ('held', 'Held'), ('hold-ended', 'Hold ended automatically'), ('released', 'Released'), ('cancelled', 'Cancelled'), ('in-batch', 'Released in a batch'), ('out-of-batch', 'Taken out of a batch'), ('expired', 'Waited too long'), ('retry', 'Retry ordered'), ('try-now', 'Try now ordered'), ('marked-as-sent', 'Marked as sent'), ('send-again', 'Send again ordered'), ('edited', 'Edited'), ('written-again', 'Written again'), ('not-written-again', 'Not written again'), ('handed-over', 'Handed over to a mail program'), ('sent-from-mail-program', 'Sent from a mail program'), ('put-back', 'Put back, not sent from a mail program'), ('rescued', 'Back in the queue after its worker stopped'), ('stopped', 'Not sent at once, because its process stopped'), ('rerouted', 'Given to an account that works'), ('passed-on', 'Passed on to another account'), ('dkim-taken-out', 'DKIM signature taken out'), ('it-was-us', 'Queued again: our set-up was at fault'), ('go-on', 'Left failed: the message was at fault'), ('since-backup', 'May have gone out since the backup'), ('not-since-backup', 'Did not go out since the backup'), ('told', 'Told by a version that kept sentences')], max_length=24),
        ),
        migrations.AlterField(
            model_name='refusalstreak',
            name='answer',
            field=models.CharField(blank=True, choices=[('us', 'It was us'), ('go-on', 'It was not us')], max_length=8),
        ),
        migrations.AlterField(
            model_name='restore',
            name='last_alive_at',
            field=models.DateTimeField(help_text='When a worker last reported, as recorded in the backup.', null=True),
        ),
        migrations.AlterField(
            model_name='usersession',
            name='expires_at',
            field=models.DateTimeField(db_index=True, help_text='When it ends at the latest.'),
        ),
    ]
