from django.db import migrations, models


def drop_times_that_nothing_has(apps, schema_editor):
    """Until now times of beat stayed behind when a schedule got others, and two of a kind kept it from being saved."""
    for name in ("CrontabSchedule", "IntervalSchedule"):
        apps.get_model("django_celery_beat", name).objects.filter(periodictask=None).delete()


class Migration(migrations.Migration):
    dependencies = [
        ("django_celery_beat", "0019_alter_periodictasks_options"),
        ("messaging", "0010_limits"),
    ]

    operations = [
        migrations.AlterField(
            model_name="schedule",
            name="times",
            field=models.CharField(blank=True, help_text="Such as 07:30, 17:00", max_length=10080),
        ),
        migrations.RunPython(drop_times_that_nothing_has, migrations.RunPython.noop),
    ]
