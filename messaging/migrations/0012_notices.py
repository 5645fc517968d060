"""A notice that was not mailed because all of it had been dealt with says so; what was being sent when a person left."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("messaging", "0011_schedules"),
    ]

    operations = [
        migrations.AddField(
            "notice",
            "is_moot",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="Not mailed: all of it was dealt with by then, or its reader left.",
            ),
        ),
        migrations.CreateModel(
            "Recall",
            [
                (
                    "message",
                    models.OneToOneField(
                        "messaging.Message",
                        models.CASCADE,
                        primary_key=True,
                        related_name="recall",
                        serialize=False,
                    ),
                ),
                (
                    "choice",
                    models.CharField(
                        choices=[
                            ("hold", "Hold it"),
                            ("pass-on", "Pass it on"),
                            ("cancel", "Cancel what has not gone out"),
                            ("let-go", "Let it go"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "is_inactive",
                    models.BooleanField(help_text="Deactivated; otherwise only the right to send was taken away."),
                ),
                (
                    "account",
                    models.ForeignKey(
                        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", help_text="Who left."
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", help_text="Who decided."
                    ),
                ),
                (
                    "successor",
                    models.ForeignKey(
                        settings.AUTH_USER_MODEL,
                        models.CASCADE,
                        null=True,
                        blank=True,
                        related_name="+",
                        help_text="With pass-on: the account it goes out with then; empty: the company's.",
                    ),
                ),
            ],
        ),
    ]
