"""Every way of a message through its states, and every order that is refused, against a model of its own.

`tests/integration/states` has the model (a table), the office (people, mail server, comparison), the moves and the
stories: short ways to each transition and each refusal. What was seen least is told next, after some moves by chance.
"""

import random
from collections import Counter
from functools import partial

import pytest

from messaging import submit
from messaging.delivery import lane
from tests.sizes import several

from .states.changes import answer_restore
from .states.moves import possible
from .states.offboarding import come_back
from .states.office import FULL, Office
from .states.server import MailServer
from .states.stories import STORIES, often

PARTS = 4  # of the drill, for as many processes
LEAST, TOGETHER = 100, 10  # how often each is seen in the drill; the messages of a story there

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def office(monkeypatch, clock):
    server = MailServer()
    monkeypatch.setattr(lane, "Connection", server.connection)
    monkeypatch.setattr(submit, "Lane", partial(lane.Lane, clock=clock))
    return Office(monkeypatch, server, clock)


def walk(office, chance, least, *, number, by_chance, part=0, parts=1):
    """Stories of what was seen least, each of `number` messages and after up to `by_chance` other moves, until each was
    seen `least` times; after each move the rows are what the model says. `part` of `parts`: only those stories.
    """
    told = Counter()
    while min((found := often(office.seen, part, parts)).values()) < least:
        if len(office.messages) > FULL or office.restored is not None:
            office.begin()
        office.done.clear()
        try:
            for _ in range(chance.randint(0, by_chance)):
                _move(office, chance)
            if office.restored is not None:
                _tell(office, ("answer",), partial(answer_restore, choose=chance.choice, what="moved"))
            if office.has_left:
                _tell(office, ("come back",), partial(come_back, choose=chance.choice))
            way = min(found, key=found.get)
            told[way] += 1
            assert told[way] < 10 * least, f"{way}: its story does not lead there"
            _story(office, chance, way, number)
        except BaseException as error:
            error.add_note("\n".join(["after", *office.done]))
            raise


def _move(office, chance):
    key, move = chance.choice(possible(office))
    _tell(office, key, partial(move, choose=chance.choice))


def _story(office, chance, way, number):
    office.crowd.clear()
    steps = STORIES[way]
    for place, step in enumerate(steps, 1):
        move = partial(step, choose=chance.choice, number=number)
        _tell(office, ("story", *way, place), move, is_last=place == len(steps))


def _tell(office, key, move, *, is_last=True):
    """Make a move and compare."""
    given = {name: value for name, value in getattr(move, "keywords", {}).items() if name in ("pk", "account")}
    office.done.append(" ".join(map(str, [*key, given])))
    office.clock.goes_on(seconds=1)
    move(office)
    office.check(whole=is_last)


def table(seen):
    """What was seen, as lines of a table: transitions from and to where, then refusals by order and state."""
    rows = sorted(seen.items(), key=lambda row: (str(row[0][0] == "refused"), row[0]))
    return "".join(f"{number:7} {' | '.join(way)}\n" for way, number in rows)


@pytest.mark.sized
def test_rows_are_what_the_model_says(office):
    walk(office, random.Random(7), several(1, 300), number=1, by_chance=several(0, 6))


@pytest.mark.drill
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_each_transition_and_each_refusal_is_seen_often(office, capsys, part):
    try:
        walk(office, random.Random(part), LEAST, number=TOGETHER, by_chance=1, part=part, parts=PARTS)
    finally:
        with capsys.disabled():
            found = often(office.seen, part, PARTS)
            print(
                f"\npart {part + 1} of {PARTS}, {len(found)} ways: {min(found.values())} times at least\n{table(found)}"
            )
