"""Every way of a message through its states, and every order that is refused, against a model of its own.

`tests/integration/states` has the model (a table), the office (people, mail server, comparison) and the moves. The
suite tries some walks; the drill goes on until each transition and each refusal was seen LEAST times, and prints them.
"""

import random
from functools import partial

import pytest

from messaging import outgoing
from messaging.delivery import lane
from tests.sizes import several

from .states.model import REFUSALS, WAYS
from .states.moves import possible, towards
from .states.office import STEPS, MailServer, Office
from .states.stories import rarest

LEAST = 100
OF_BATCHES = ("confirm", "cancel a batch", "retry draft", "answer")
AT_MOST = 30_000

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def office(monkeypatch, clock):
    server = MailServer()
    monkeypatch.setattr(lane, "Connection", server.connection)
    monkeypatch.setattr(outgoing, "Lane", partial(lane.Lane, clock=clock))
    return Office(monkeypatch, server, clock)


def walk(office, chance):
    """From an empty queue, STEPS moves that favour what was rare; after each the rows are what the model says."""
    office.begin()
    done = []
    try:
        for _ in range(STEPS):
            if office.restored is None and chance.random() < 0.2:
                way, story = rarest(_seen(office))
                moves = [(("story", *way), move) for move in story]
            else:
                found = possible(office)
                found = towards(office, found) if chance.random() < 0.5 else found
                key, move = chance.choices(found, [1 / (1 + office.moves[key]) for key, _ in found])[0]
                moves = [(key, partial(move, choose=chance.choice))]
            for key, move in moves:
                done.append(" ".join(map(str, [*key, _told(move)])))
                office.moves[key] += 1
                office.clock.goes_on(seconds=1)
                move(office)
                office.check()
    except BaseException as error:
        error.add_note("\n".join(["after", *done]))
        raise


def _told(move):
    return {name: value for name, value in getattr(move, "keywords", {}).items() if name in ("pk", "account")}


@pytest.mark.sized
def test_rows_are_what_the_model_says(office):
    for seed in range(several(6, 600)):
        walk(office, random.Random(seed))


def _seen(office):
    """How often what has to be seen was: each transition, each order where it is refused, and the other refusals."""
    found = {way: office.seen[way] for way in WAYS}
    found |= {way: office.seen["refused", *way] for way in REFUSALS}
    for start in [("404",), ("edited meanwhile",), *(("refused", what) for what in OF_BATCHES)]:
        found[start] = sum(number for way, number in office.seen.items() if way[: len(start)] == start)
    return found


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_each_transition_and_each_refusal_is_seen_often(office, capsys):
    chance = random.Random(12)
    steps = 0
    while steps < AT_MOST and min(_seen(office).values()) < LEAST:
        walk(office, chance)
        steps += STEPS
    found = _seen(office)
    with capsys.disabled():
        print(f"\n{steps} steps")
        for way, number in sorted(office.seen.items(), key=lambda row: (str(row[0][0] == "refused"), row[0])):
            print(f"{number:7} {' | '.join(way)}")
    assert not {way: number for way, number in found.items() if number < LEAST}
