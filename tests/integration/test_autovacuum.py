"""On PostgreSQL the tables whose rows change most are vacuumed early, and their rows have room to change in place."""

from importlib import import_module

import pytest
from django.db import connection

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

SOONER = {
    "autovacuum_vacuum_scale_factor=0.02",
    "autovacuum_vacuum_insert_scale_factor=0.02",
    "autovacuum_analyze_scale_factor=0.02",
}
EXPECTED = {
    "messaging_message": SOONER | {"fillfactor=80"},
    "messaging_recipient": SOONER | {"fillfactor=80"},
    "messaging_batchitem": SOONER,
}


def storage_options():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, reloptions FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL")
        return {table: set(options) for table, options in cursor.fetchall()}


def test_hot_tables_have_their_options():
    assert storage_options() == EXPECTED


def test_way_back_leaves_what_an_earlier_migration_set():
    migration = import_module("messaging.migrations.0021_autovacuum")
    with connection.schema_editor() as editor:
        migration.reset_options(None, editor)
        assert storage_options() == {
            "messaging_message": {
                "fillfactor=80", "autovacuum_vacuum_scale_factor=0.02", "autovacuum_analyze_scale_factor=0.02"
            }
        }  # fmt: skip
        migration.set_options(None, editor)
    assert storage_options() == EXPECTED
