"""The database itself refuses a change of state that the table of transitions does not have."""

from contextlib import contextmanager

from django.db import connection

from messaging.lifecycle.transitions import TABLE

KNOWN = sorted({pair for row in TABLE for pair in row.pairs})
CHANGED = "OLD.status <> NEW.status AND NOT ({known})"
SQLITE = """CREATE TRIGGER known_transitions BEFORE UPDATE OF status ON messaging_message WHEN {changed}
    BEGIN SELECT RAISE(ABORT, 'this transition is in no table'); END"""
POSTGRESQL = """CREATE OR REPLACE FUNCTION unknown_transition() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'from % to % is in no table', OLD.status, NEW.status; END $$;
    CREATE TRIGGER known_transitions BEFORE UPDATE OF status ON messaging_message
    FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION unknown_transition()"""


@contextmanager
def only_known_transitions():
    """Whatever changes the state of a message in here does so as the table says, or fails."""
    pairs = " OR ".join(f"(OLD.status = '{source}' AND NEW.status = '{target}')" for source, target in KNOWN)
    postgresql = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute((POSTGRESQL if postgresql else SQLITE).format(changed=CHANGED.format(known=pairs)))
    yield
    with connection.cursor() as cursor:  # gone already where a migration made the table anew on SQLite
        cursor.execute(f"DROP TRIGGER IF EXISTS known_transitions{' ON messaging_message' if postgresql else ''}")
