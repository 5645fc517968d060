import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models


def vacuum_often(apps, schema_editor):
    """A queue's rows change three times in a second of their lives: PostgreSQL clears up sooner, and leaves room beside."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "ALTER TABLE messaging_message SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, "
            "autovacuum_analyze_scale_factor = 0.02)"
        )


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='accountpause',
            options={'ordering': ['id']},
        ),
        migrations.RemoveConstraint(
            model_name='accountpause',
            name='one_pause_per_account',
        ),
        migrations.RemoveIndex(
            model_name='message',
            name='message_due',
        ),
        migrations.RenameField(
            model_name='accountpause',
            old_name='next_probe_at',
            new_name='until',
        ),
        migrations.AddField(
            model_name='accountpause',
            name='by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='accountpause',
            name='ended_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='accountpause',
            name='ended_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='accountpause',
            name='kind',
            field=models.CharField(choices=[('fault', 'Set-up at fault'), ('busy', 'Slowed down by the mail server'), ('limit', 'Limit reached'), ('window', 'Outside the sending window'), ('person', 'Paused by a person'), ('all', 'All sending paused by a person')], db_default='fault', default='fault', max_length=8),
        ),
        migrations.AlterField(
            model_name='accountpause',
            name='until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='max_connections',
            field=models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100)], verbose_name='connections at once'),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='messages_per_connection',
            field=models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(100000)]),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='per_hour',
            field=models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(10000000)], verbose_name='messages per hour'),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='per_minute',
            field=models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(1000000)], verbose_name='messages per minute'),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='sending_window',
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name='emailsettings',
            name='time_zone',
            field=models.CharField(blank=True, max_length=60),
        ),
        migrations.AddField(
            model_name='message',
            name='give_up_at',
            field=models.DateTimeField(blank=True, help_text='Set by the first try: no try after that.', null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='handover',
            field=models.JSONField(blank=True, help_text='With in_data: the attempt so far, for when its worker dies.', null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='max_tries',
            field=models.PositiveSmallIntegerField(blank=True, help_text='How many tries it has at most, after what was heard last.', null=True),
        ),
        migrations.AddField(
            model_name='message',
            name='urgent',
            field=models.BooleanField(db_default=False, default=False, help_text='Goes first, and although a person paused sending.'),
        ),
        migrations.AlterField(
            model_name='accountpause',
            name='account',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='accountpause',
            name='failures',
            field=models.PositiveIntegerField(default=1, help_text='Of FAULT or BUSY, in a row.'),
        ),
        migrations.AlterField(
            model_name='sendattempt',
            name='outcome',
            field=models.CharField(choices=[('accepted', 'Accepted'), ('transient', 'Will be tried again'), ('permanent', 'Refused'), ('setup', 'Set-up at fault'), ('unknown', 'Unknown')], max_length=12),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['account', 'urgent', 'not_before', 'id'], name='message_due'),
        ),
        migrations.AddIndex(
            model_name='sendattempt',
            index=models.Index(fields=['account', 'started_at'], name='attempt_pace'),
        ),
        migrations.AddConstraint(
            model_name='accountpause',
            constraint=models.UniqueConstraint(django.db.models.functions.comparison.Coalesce('account', 0), models.F('kind'), condition=models.Q(('ended_at', None)), name='one_pause_per_account_and_kind'),
        ),
        migrations.CreateModel(
            name='ActiveLane',
            fields=[
                ('owner', models.CharField(help_text='As in Message.lease_owner.', max_length=80, primary_key=True, serialize=False)),
                ('expires_at', models.DateTimeField(help_text='Put off by its worker while that lives.')),
            ],
        ),
        migrations.AlterModelManagers(
            name='accountpause',
            managers=[
                ('history', django.db.models.manager.Manager()),
            ],
        ),
        migrations.RemoveIndex(
            model_name='message',
            name='message_lease',
        ),
        migrations.AlterField(
            model_name='message',
            name='batch',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='messages', to='messaging.batch'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('status', 'sending')), fields=['lease_owner'], name='message_lease'),
        ),
        migrations.AddField(
            model_name='activelane',
            name='account',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.RunPython(vacuum_often, migrations.RunPython.noop),
    ]
