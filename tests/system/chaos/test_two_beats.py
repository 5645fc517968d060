"""Two beats by mistake, as after a container was started twice: each schedule still runs once."""

import time

import pytest

from tests.installation import BEAT, WORKER, wait_for
from tests.system.chaos.harness import Office, installation_for, settle
from tests.system.chaos.sink import Sink
from tests.system.chaos.verdict import compare

pytestmark = [pytest.mark.process, pytest.mark.services, pytest.mark.drill]

WAITING = """SELECT count(*) FROM pg_locks JOIN pg_class ON pg_class.oid = relation
             WHERE relname = 'messaging_batch' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@pytest.fixture(scope="module")
def after_two_beats(tmp_path_factory):
    """Batches, verdict. The lock makes the first run slow, as it would be with a lot to choose from."""
    with Sink() as sink, installation_for("services", tmp_path_factory.mktemp("beats")) as installation:
        office = Office(installation)
        office.set_up(port=sink.port, accounts=0)
        accepted = office.fill(count=20, seed=1, let_go=False)
        installation.start(WORKER)
        with installation.connect() as connection:
            connection.execute("LOCK TABLE messaging_batch IN EXCLUSIVE MODE")
            office.schedule()
            for _ in range(2):
                installation.start(BEAT)
            assert wait_for(lambda: connection.execute(WAITING).fetchone()[0]), "no one runs the schedule"
            time.sleep(3)  # sweeps of both beats come by meanwhile
            assert connection.execute(WAITING).fetchone()[0] == 1, "a second run makes a batch, too"
        assert wait_for(lambda: office.counts()["queued"] == 0), "the schedule did not run"
        assert settle(office)
        yield office.batches_made(), compare(accepted, office.snapshot(), list(sink.ledger))


def test_every_message_is_sent_once(after_two_beats):
    assert after_two_beats[1].findings == []


def test_one_batch_is_made(after_two_beats):
    assert after_two_beats[0] == [["schedule", 20]]
