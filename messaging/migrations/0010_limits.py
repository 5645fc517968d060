import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import messaging.models.attempt


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0009_who_ran_a_batch"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="sendattempt",
            name="account_is_gone",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name="sendattempt",
            name="account",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=messaging.models.attempt.leave_the_company_alone,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.CreateModel(
            name="PastTry",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [models.Index(fields=["account", "at"], name="past_try_pace")],
            },
        ),
    ]
