from django.db import migrations

# Vacuumed once a fiftieth of the rows is dead, not a fifth, and once a fiftieth is new: then counts read indexes alone.
SOONER = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_insert_scale_factor": 0.02,
    "autovacuum_analyze_scale_factor": 0.02,
}
# messaging_message has the others since 0002. A recipient's row grows when it is answered, and stays on its page where
# that has room: then no index is written (HOT).
TABLES = {
    "messaging_message": {"autovacuum_vacuum_insert_scale_factor": 0.02},
    "messaging_recipient": SOONER | {"fillfactor": 80},
    "messaging_batchitem": SOONER,
}


def set_options(apps, schema_editor):
    """Rows that are there stay where they are; the options count from now on."""
    for table, options in TABLES.items():
        values = ", ".join(f"{name} = {value}" for name, value in options.items())
        _alter(schema_editor, f"ALTER TABLE {table} SET ({values})")


def reset_options(apps, schema_editor):
    for table, options in TABLES.items():
        _alter(schema_editor, f"ALTER TABLE {table} RESET ({', '.join(options)})")


def _alter(schema_editor, statement):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0020_counts"),
    ]

    operations = [
        migrations.RunPython(set_options, reset_options),
    ]
