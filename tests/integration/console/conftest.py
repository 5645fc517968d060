"""Fixtures of the console's tests."""

import pytest

from messaging.access import roles
from tests.audit import authority_in
from tests.factories import make_messages


@pytest.fixture
def waiting(db):
    """Four messages that wait for a batch."""
    return make_messages(4, due=False)


@pytest.fixture
def second_admin(ben, bens_browser):
    """The browser of Ben, who is an administrator, too."""
    roles.give(ben, roles.ADMIN)
    return bens_browser


@pytest.fixture
def private_authority(tmp_path):
    """A certificate as PEM, and what pages say of it."""
    return authority_in(tmp_path)
