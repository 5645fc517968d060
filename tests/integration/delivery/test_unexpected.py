"""Errors that nothing expects: each is recorded or pauses the account; no lane ends over a message without a word."""

import contextlib

import pytest
from django.db import DataError

from messaging.delivery import lane
from messaging.delivery.outcomes import meanings
from messaging.delivery.smtp import password_sign_in
from messaging.delivery.store import ledger
from messaging.delivery.store.group_commit import GroupCommit
from messaging.models import AccountPause
from messaging.wording import in_words
from tests.factories import make_message, set_up, signing_in
from tests.fault_server import FaultServer
from tests.pages import source
from tests.rows import heard, statuses
from tests.steps import AN_HOUR, run_lane
from tests.watching import only_known_transitions

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "Tr0ub4dor"


@pytest.fixture(autouse=True)
def watched(db):
    with only_known_transitions():
        yield


@contextlib.contextmanager
def broken(monkeypatch, holder, name, error, when=lambda *arguments: True):
    """Within, a function raises an error that its caller cannot know of."""
    really = getattr(holder, name)

    def fail(*arguments, **options):
        if when(*arguments):
            raise error
        return really(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, fail)
        yield


def test_error_while_a_connection_is_opened_pauses_the_account_and_costs_no_try(admin, monkeypatch):
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    with FaultServer(auth=["PLAIN"]) as server:
        set_up(server, **signing_in(password=SECRET))
        with broken(monkeypatch, password_sign_in, "_base64", LookupError(SECRET)):
            run_lane()
            check = source(admin.post("/setup/email/check/"))
            test = source(admin.post("/setup/email/test/", {"recipient": "ann@example.com"}))
        assert statuses(*messages) == ["queued", "queued"]
        assert {message.tries for message in messages} == {0}
        pause = AccountPause.objects.get()
        assert in_words(pause.reason) == meanings.UNEXPECTED.explanation
        assert heard(pause) == heard(messages[0].attempts.get()) == "LookupError; the log says more"
        for page in (check, test):
            assert meanings.UNEXPECTED.explanation in page
            assert SECRET not in page
        run_lane(after=AN_HOUR)
    assert statuses(*messages) == ["sent", "sent"]
    assert not AccountPause.objects.exists()


@pytest.mark.parametrize("error", [LookupError("what?"), DataError("unfit")])
def test_outcome_that_cannot_be_judged_is_told_as_this_servers_error(server, monkeypatch, error):
    server.at("RCPT", ["550 5.1.1 no such user"])
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    with broken(
        monkeypatch, lane, "rest_at_once", error, lambda pending, judged, result, number: not result.final.error
    ):
        run_lane()
    assert statuses(*messages) == ["queued", "queued"]
    assert messages[0].attempts.get().said.key == "unexpected error"
    assert AccountPause.objects.get().reason.key == "unexpected"
    run_lane(after=AN_HOUR)
    assert statuses(*messages) == ["sent", "sent"]


def test_outcome_after_the_content_that_cannot_be_judged_is_unknown(server, monkeypatch):
    message = make_message("a@example.com")
    with broken(
        monkeypatch, lane, "rest_at_once", LookupError(), lambda pending, judged, result, number: result.final.ok
    ):
        run_lane()
    assert statuses(message) == ["unknown"]
    assert heard(message.attempts.get()) == "LookupError; the log says more"


@pytest.mark.parametrize("error", [UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), DataError()])
def test_outcome_whose_words_the_database_does_not_take_is_kept_without_them(server, monkeypatch, error):
    def is_unfit(changes):
        return any(change.attempt and "unfit" in change.attempt.reply_text for change in changes)

    server.at("END", ["250 2.0.0 unfit"])
    messages = [make_message("a@example.com"), make_message("b@example.com")]
    with broken(monkeypatch, ledger._together, "_write", error, is_unfit):
        run_lane()
    assert statuses(*messages) == ["sent", "sent"]
    attempt = messages[0].attempts.get()
    assert (attempt.outcome, attempt.reply_code, attempt.reply_text) == ("accepted", 250, "")
    assert [row["reply_text"] for row in attempt.recipients] == [""]
    assert messages[0].recipients.get().reply_text == ""


def test_start_of_the_content_that_the_database_does_not_take_costs_the_message_a_try(server, monkeypatch):
    def is_unfit(changes):
        return any(change.message == messages[0] and not change.attempt for change in changes)

    messages = [make_message("a@example.com"), make_message("b@example.com")]
    with broken(monkeypatch, ledger._together, "_write", DataError("unfit"), is_unfit):
        run_lane()
    assert statuses(*messages) == ["queued", "sent"]
    assert messages[0].tries == 1
    assert in_words(messages[0].reason) == meanings.NOT_PREPARED.explanation


def test_what_one_lane_cannot_write_costs_the_others_nothing():
    def write(items):
        "".join(items).encode()
        return [True for _ in items]

    commit = GroupCommit(write, 1.0)
    with commit._turn:  # so that all are written together
        futures = [commit.submit(item) for item in ("a", "\ud800", "b")]
    assert [futures[0].result(10), futures[2].result(10)] == [True, True]
    with pytest.raises(UnicodeEncodeError):
        futures[1].result(10)
