"""With every fault, messages change as the table of transitions says."""

import pytest

from tests.watching import only_known_transitions


@pytest.fixture(autouse=True)
def watched(db):
    with only_known_transitions():
        yield
