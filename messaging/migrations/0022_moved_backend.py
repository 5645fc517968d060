"""Users stay signed in: their sessions name the class that let them in by its path, which has changed."""

from django.contrib.sessions.backends.db import SessionStore
from django.db import migrations

BEFORE, NOW = "messaging.roles.RoleBackend", "messaging.access.roles.RoleBackend"


def rename(apps, before, now):
    for row in apps.get_model("messaging", "UserSession").objects.exclude(user=None).iterator(chunk_size=500):
        data = SessionStore().decode(row.data)
        if data.get("_auth_user_backend") == before:
            row.data = SessionStore().encode(data | {"_auth_user_backend": now})
            row.save(update_fields=["data"])


class Migration(migrations.Migration):

    dependencies = [("messaging", "0021_autovacuum")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: rename(apps, BEFORE, NOW),
            lambda apps, schema_editor: rename(apps, NOW, BEFORE),
        )
    ]
