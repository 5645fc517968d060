"""What newer rows become where an administrator goes back to a version that does not know them."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from messaging.models import AccountPause, NoticeItem, Phrase, Reason

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def go_back():
    """Goes back to before the migration whose name ends so; afterwards all is as new again."""
    executor = MigrationExecutor(connection)
    graph = executor.loader.graph

    def go(name):
        [key] = [key for key in graph.nodes if key[0] == "messaging" and key[1].endswith(name)]
        executor.migrate([parent.key for parent in graph.node_map[key].parents if parent.key[0] == "messaging"])

    yield go
    MigrationExecutor(connection).migrate(graph.leaf_nodes("messaging"))


def kinds():
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind FROM messaging_accountpause ORDER BY id")
        return [kind for (kind,) in cursor.fetchall()]


def test_a_pause_of_a_kind_that_is_not_known_then_is_over_and_forgotten(operator, go_back):
    now = timezone.now()
    row = {"since": now, "until": now, "reason": Phrase(Reason.UNANSWERED, number=3)}
    AccountPause.objects.create(kind="fault", **row)
    pause = AccountPause.objects.create(kind="unanswered", **row)
    AccountPause.objects.create(account=operator, kind="unanswered", ended_at=now, **row)
    item = NoticeItem.objects.create(kind="paused", at=now, pause=pause, reason=pause.reason)
    go_back("_unanswered")
    assert kinds() == ["fault"]
    item.refresh_from_db()
    assert item.pause is None
