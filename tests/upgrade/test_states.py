"""Rows whose columns do not fit their state are repaired before the database refuses such rows."""

from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from messaging.models import Message
from tests.factories import confirmed_batch, make_message

# As the columns were called when the constraints were made: today's name, and that one.
BEFORE = {"may_be_accepted": "in_data", "attempt_snapshot": "handover"}
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NOW = timezone.now()
FREE = {"lease_owner": "", "lease_expires_at": None, "may_be_accepted": False, "attempt_snapshot": None}
# What a row has that it cannot have, and what it is after.
BROKEN = [
    (
        {
            "status": "queued",
            "lease_owner": "a",
            "lease_expires_at": NOW,
            "may_be_accepted": True,
            "attempt_snapshot": {},
        },
        FREE,
    ),
    ({"status": "sending", "lease_owner": "a", "lease_expires_at": None}, {"status": "sending", "lease_owner": "a"}),
    ({"status": "sending", "lease_expires_at": NOW}, {"status": "sending", "lease_owner": "unknown"}),
    ({"status": "held"}, {"status": "held", "hold_kind": "hold"}),
    ({"status": "queued", "hold_kind": "hold", "held_until": NOW}, {"hold_kind": "", "held_until": None}),
    ({"status": "held", "hold_kind": "mail-program"}, {"status_before": "queued"}),
    ({"status": "held", "hold_kind": "hold", "status_before": "queued"}, {"status_before": ""}),
    ({"status": "failed", "sent_at": NOW}, {"sent_at": None}),
]


@pytest.fixture
def constraints():
    """Takes them away, and puts them back as the upgrade does. What makes rows needs the columns of today."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes("messaging")
    [states] = [key for key in executor.loader.graph.nodes if key[0] == "messaging" and key[1].endswith("_states")]
    parents = [parent for parent in executor.loader.graph.node_map[states].parents if parent.key[0] == "messaging"]

    def take_away():
        return executor.migrate(parents).apps.get_model("messaging", "Message")

    yield SimpleNamespace(take_away=take_away, put_back=lambda: MigrationExecutor(connection).migrate(newest))
    MigrationExecutor(connection).migrate(newest)


def test_rows_that_break_a_constraint_are_repaired(operator, email_setup, constraints):
    batch = confirmed_batch(operator, "b@example.com")
    in_batch = batch.messages.get()
    rows = [make_message(f"c{number}@example.com", due=False) for number in range(len(BROKEN))]
    old = constraints.take_away()
    old.objects.filter(pk=in_batch.pk).update(status="cancelled")
    for message, (values, _) in zip(rows, BROKEN, strict=True):
        old.objects.filter(pk=message.pk).update(**{BEFORE.get(name, name): each for name, each in values.items()})
    constraints.put_back()
    for message, (values, wanted) in zip(rows, BROKEN, strict=True):
        message.refresh_from_db()
        for name, value in wanted.items():
            assert getattr(message, name) == value, values
    in_batch.refresh_from_db()
    assert in_batch.batch is None
    assert batch.items.get().outcome == "cancelled"


@pytest.mark.parametrize("values", [values for values, _ in BROKEN])
def test_database_refuses_such_a_row(email_setup, values):
    message = make_message("a@example.com", due=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        Message.objects.filter(pk=message.pk).update(**values)
