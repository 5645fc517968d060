"""People whose role was taken away may not send; a program's account, which needs no role, goes on as before.

Until now both had no role. A person is who has signed in, and in whose name nothing came in since the role was taken
away: without a role nobody writes a message, but a program hands mail in. Where that is not certain, the account stays
as it is.
"""

from django.conf import settings
from django.db import migrations

LEFT = "Role taken away"  # as in roles.py
ROLES = ("Viewer", "Operator", "Administrator")


def mark(apps, schema_editor):
    user, message = apps.get_model(settings.AUTH_USER_MODEL), apps.get_model("messaging", "Message")
    found = apps.get_model("messaging", "AuditEntry").objects.filter(area="users", field="role")
    last = {entry.object_key: entry for entry in found.order_by("pk")}
    taken = {int(key): entry for key, entry in last.items() if entry.after == "" and entry.before and key.isdigit()}
    for each in user.objects.filter(pk__in=list(taken), last_login__isnull=False).exclude(groups__name__in=ROLES):
        if not message.objects.filter(author=each, created_at__gt=taken[each.pk].at).exists():
            group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=LEFT)
            each.groups.add(group)


class Migration(migrations.Migration):

    dependencies = [
        ("messaging", "0023_names"),
        ("auth", "0012_alter_user_first_name_max_length"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
