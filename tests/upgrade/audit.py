"""Makes a database of version 0.1.0 with rows of SettingChange (JSON on standard input), upgrades it, and prints what
the pages say and the rows hold. A process of its own: `python -m tests.upgrade.audit`, see test_audit.py.
"""

import datetime as dt
import json
import sys

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.migrations.executor import MigrationExecutor  # noqa: E402
from django.test import Client  # noqa: E402

BEFORE = ("messaging", "0004_company_options")
FIRST = dt.datetime(2026, 11, 24, 8, 0, tzinfo=dt.UTC)
PAGES = ("/setup/email/", "/setup/email/users/ben/", "/setup/options/", "/setup/users/", "/setup/users/2/",
         "/setup/schedules/", "/setup/schedules/1/")  # fmt: skip


def make_old(rows):
    """Anna (1) and Ben (2), “Evening batch” (1), and these rows, a minute apart."""
    call_command("migrate", *BEFORE, verbosity=0)
    apps = MigrationExecutor(connection).loader.project_state([BEFORE]).apps
    user, schedule = apps.get_model("auth", "User"), apps.get_model("messaging", "Schedule")
    for name in ("anna", "ben", "vic"):
        user.objects.create(username=name, first_name=name.capitalize())
    schedule.objects.create(name="Evening batch", times="07:30", days="1", time_zone="UTC", since=FIRST)
    change = apps.get_model("messaging", "SettingChange")
    change.objects.bulk_create(
        change(**{"by_id": 1, "version": 1, "at": FIRST + dt.timedelta(minutes=number)} | row)
        for number, row in enumerate(rows)
    )


def pages():
    """What each of PAGES says was changed."""
    from django.contrib.auth.models import User

    from messaging.access import roles
    from messaging.console.views import options, schedules, setup, users
    from tests.audit import told

    for view in (options, schedules, setup, users):
        view.CHANGES_SHOWN = 10_000
    anna = User.objects.get(username="anna")
    roles.give(anna, roles.ADMIN)
    client = Client(SERVER_NAME="localhost")
    client.force_login(anna)
    return {path: told(client, path) for path in PAGES}


def main():
    make_old(json.load(sys.stdin))
    call_command("migrate", verbosity=0)
    from messaging.models import AuditEntry

    entries = list(AuditEntry.objects.order_by("pk").values())
    tables = connection.introspection.table_names()
    json.dump({"pages": pages(), "entries": entries, "tables": tables}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
