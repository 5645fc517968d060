import django.core.validators
import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("messaging", "0006_audit"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="companyoptions",
            name="same_refusals",
            field=models.PositiveSmallIntegerField(
                db_default=5,
                default=5,
                help_text="In a row, for as many recipient domains, in words that are not known; 0: sending never pauses.",
                validators=[django.core.validators.MaxValueValidator(100)],
                verbose_name="refusals in the same words",
            ),
        ),
        migrations.CreateModel(
            name="RefusalStreak",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("stage", models.CharField(max_length=12)),
                ("wording", models.CharField(max_length=64)),
                ("last_at", models.DateTimeField()),
                ("domains", models.JSONField(default=list, help_text="Each was refused by a reply of its own.")),
                ("refusals", models.PositiveIntegerField(default=0, help_text="Messages.")),
                ("asked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "answer",
                    models.CharField(blank=True, choices=[("us", "It was us"), ("go-on", "Go on")], max_length=8),
                ),
                ("answered_at", models.DateTimeField(blank=True, null=True)),
                ("server", models.CharField(blank=True, max_length=300)),
                ("reply_text", models.TextField(blank=True, help_text="The last one's own words, after the code.")),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                (
                    "account",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "answered_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "pause",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="streaks",
                        to="messaging.accountpause",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="recipient",
            name="streak",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="Of refusals in the same words, the last that it was in.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="recipients",
                to="messaging.refusalstreak",
            ),
        ),
        migrations.AddIndex(
            model_name="recipient",
            index=models.Index(
                condition=models.Q(("streak__isnull", False)), fields=["streak"], name="recipient_streak"
            ),
        ),
        migrations.AddConstraint(
            model_name="refusalstreak",
            constraint=models.UniqueConstraint(
                django.db.models.functions.comparison.Coalesce("account", 0),
                models.F("stage"),
                models.F("wording"),
                condition=models.Q(("ended_at", None)),
                name="one_streak_per_account_stage_and_wording",
            ),
        ),
    ]
