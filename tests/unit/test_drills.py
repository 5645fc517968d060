"""`make drills` replays the attacks, whole: docs/security.md and SECURITY.md say so."""

import pytest

from tests.integration import test_edited_meanwhile, test_lock_order
from tests.integration.attacks import test_uploads
from tests.integration.console import test_roles, test_visibility
from tests.sizes import MARKS
from tests.system import test_session_attack, test_sign_in_attack, test_web_server

ATTACKS = {
    "sign-in": test_sign_in_attack, "sessions": test_session_attack, "viewer": test_roles, "guessed": test_visibility,
    "uploads": test_uploads, "slow clients": test_web_server, "races": test_lock_order,
    "two users": test_edited_meanwhile,
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_is_replayed(name):
    marks = {mark.name for mark in ATTACKS[name].pytestmark}
    assert marks & MARKS["drills"], "not only the cases that the suite leaves out"
