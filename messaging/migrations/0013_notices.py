"""A notice that was not mailed because all of it had been dealt with says so."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("messaging", "0009_who_ran_a_batch")]

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
    ]
