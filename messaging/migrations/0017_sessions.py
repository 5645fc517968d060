import hashlib

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations, models
from django.utils import timezone

CHUNK = 500


def take_over(apps, schema_editor):
    """Users stay signed in: what Django's own store kept is kept under a digest of the cookie, and counts as begun and
    active from now on. The cookies themselves go.
    """
    Old, New = apps.get_model("sessions", "Session"), apps.get_model("messaging", "UserSession")
    active = set(apps.get_model("auth", "User").objects.filter(is_active=True).values_list("pk", flat=True))
    now, rows = timezone.now(), []
    for old in Old.objects.filter(expire_date__gt=now).iterator():
        user = SessionStore().decode(old.session_data).get("_auth_user_id", "")
        if not user.isdigit() or int(user) not in active:
            continue
        digest = hashlib.sha256(old.session_key.encode()).hexdigest()
        rows.append(New(
            digest=digest, data=old.session_data, user_id=int(user), started_at=now, active_at=now,
            expires_at=old.expire_date,
        ))
    New.objects.bulk_create(rows, batch_size=CHUNK)
    Old.objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('messaging', '0016_ways_in'),
        ('sessions', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='companyoptions',
            name='idle_minutes',
            field=models.PositiveIntegerField(db_default=60, default=60, validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(20160)], verbose_name='minutes idle before sign-out'),
        ),
        migrations.AddField(
            model_name='companyoptions',
            name='session_hours',
            field=models.PositiveIntegerField(db_default=24, default=24, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(336)], verbose_name='hours signed in at most'),
        ),
        migrations.CreateModel(
            name='UserSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('data', models.TextField()),
                ('started_at', models.DateTimeField(help_text='When the user signed in.')),
                ('active_at', models.DateTimeField(help_text='When the user last did something, to half a minute.')),
                ('expires_at', models.DateTimeField(db_index=True, help_text='When it ends whatever Company options say.')),
                ('address', models.CharField(blank=True, help_text='From where the user last did something.', max_length=64)),
                ('browser', models.CharField(blank=True, help_text='What it calls itself (User-Agent).', max_length=300)),
                ('user', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-active_at', '-id'],
            },
        ),
        migrations.RunPython(take_over, migrations.RunPython.noop),
        migrations.CreateModel(
            name='KeptForm',
            fields=[
                ('key', models.UUIDField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('path', models.CharField(help_text='Where the form was sent to.', max_length=500)),
                ('fields', models.JSONField(help_text='{name: [value, ...]}, without passwords.')),
                ('had_secret', models.BooleanField(default=False)),
                ('files', models.JSONField(default=list, help_text='Names of the files that were picked; they are not kept.')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['user', 'at'], name='keptform_of_user')],
            },
        ),
    ]
