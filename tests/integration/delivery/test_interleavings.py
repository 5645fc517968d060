"""Whatever the order of claims, deaths, late writers and people's actions: nothing is lost or goes out twice."""

import datetime as dt

import pytest
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from messaging import housekeeping
from messaging.delivery.store import claims, ledger
from messaging.delivery.store.rescue import rescue
from messaging.models import EmailSettings, Message, Recipient, SendAttempt
from messaging.queue import actions
from tests.factories import make_message
from tests.sizes import several

TERMINAL = {"sent", "failed", "unknown", "cancelled"}


class Claims(RuleBasedStateMachine):
    """Two owners claim, hand over, record, die or write late, while a person cancels and retries, holds and releases,
    and another opens a message in a mail program, and sends it from there or not."""

    held_claims = Bundle("held_claims")

    def __init__(self):
        super().__init__()
        Message.objects.all().delete()
        self.user, _ = actions.User.objects.get_or_create(username="anna")
        self.mapi_user, _ = actions.User.objects.get_or_create(username="ben")
        for account, values in ((None, {"send_type": 2, "host": "127.0.0.1"}), (self.mapi_user, {"send_type": 1})):
            EmailSettings.objects.update_or_create(account=account, defaults=values)
        self.now = timezone.now() + dt.timedelta(seconds=1)
        self.messages = [make_message("c0@example.com").pk, make_message("c1@example.com", urgent=True).pk]
        self.accepted = dict.fromkeys(self.messages, 0)  # by the server, as the server knows it
        self.orders = dict.fromkeys(self.messages, 1)  # to send it: the first, and each by a person since
        self.last = {}
        self.by_person = set()

    @rule(target=held_claims, owner=st.sampled_from(["a", "a", "b"]), limit=st.integers(1, 2))
    def claim(self, owner, limit):
        return multiple(*claims.take(None, owner, limit, self.now))

    @rule(claim=consumes(held_claims), outcome=st.sampled_from(["sent", "failed", "queued", "unknown"]))
    def deliver_and_record(self, claim, outcome):
        attempt = SendAttempt(message=claim, fence=claim.fence, started_at=self.now, stage="data")
        try:
            ledger.start_data(claim, attempt, self.now)
        except ledger.LeaseLost:
            return
        if outcome in ("sent", "unknown"):
            self.accepted[claim.pk] += 1
        attempt.finished_at = self.now
        recipients = list(claim.recipients.all())
        for recipient in recipients:
            recipient.status = {"sent": "accepted", "failed": "failed", "unknown": "unknown"}.get(outcome, "pending")
        not_before = self.now if outcome == "queued" else None
        ledger.record(claim, attempt, recipients, ledger.Decision(outcome, claim.tries + 1, not_before))

    @rule(claim=consumes(held_claims))
    def hand_over_and_die(self, claim):
        attempt = SendAttempt(message=claim, fence=claim.fence, started_at=self.now, stage="data")
        try:
            ledger.start_data(claim, attempt, self.now)
        except ledger.LeaseLost:
            return
        self.accepted[claim.pk] += 1

    @rule(claim=consumes(held_claims))
    def late_writer_is_refused_or_owns_it(self, claim):
        row = Message.objects.get(pk=claim.pk)
        owns = (row.status, row.fence, row.lease_owner) == ("sending", claim.fence, claim.lease_owner)
        attempt = SendAttempt(message=claim, fence=claim.fence, started_at=self.now, finished_at=self.now, stage="rcpt")
        try:
            ledger.record(claim, attempt, [], ledger.Decision("queued", claim.tries, self.now))
        except ledger.LeaseLost:
            assert not owns
        else:
            assert owns

    @rule(owner=st.sampled_from(["a", "b"]))
    def give_back(self, owner):
        claims.give_back(owner)

    @rule(owner=st.sampled_from(["a", "b"]))
    def renew(self, owner):
        claims.renew(owner, self.now)

    @rule(all_accounts=st.booleans())
    def person_pauses_sending(self, all_accounts):
        claims.take_back(None, all_accounts=all_accounts)

    @rule()
    def clock_is_put_back_or_forward(self):
        claims.renew_all(self.now)

    @rule(seconds=st.sampled_from([1, 31, 61]), after_an_outage=st.booleans())
    def time_passes_and_the_sweep_runs(self, seconds, after_an_outage):
        self.now += dt.timedelta(seconds=seconds)
        rescue(self.now, lambda: after_an_outage)
        handed_over = set(Message.objects.exclude(handed_to=None).values_list("pk", flat=True))
        housekeeping.sweep(self.now)
        assert set(Message.objects.exclude(handed_to=None).values_list("pk", flat=True)) == handed_over

    @rule(
        number=st.integers(0, 1),
        action=st.sampled_from(
            [actions.cancel, actions.retry, actions.send_again, actions.mark_as_sent, actions.release]
        ),
    )
    def person_acts(self, number, action):
        if self.act(number, action, self.user) and action in (actions.retry, actions.send_again):
            self.orders[self.messages[number]] += 1

    @rule(number=st.integers(0, 1), seconds=st.sampled_from([None, 30]))
    def person_holds(self, number, seconds):
        until = self.now + dt.timedelta(seconds=seconds) if seconds else None
        self.act(number, actions.hold, self.user, why="Wait", until=until)

    @rule(number=st.integers(0, 1), then=st.sampled_from(["puts it back", "sends it", "waits"]))
    def person_opens_it_in_a_mail_program(self, number, then):
        self.act(number, actions.open_in_mail_program, self.mapi_user)
        if then == "puts it back":
            self.act(number, actions.put_back, self.user)
        elif then == "sends it" and self.act(number, actions.sent_from_mail_program, self.user):
            self.accepted[self.messages[number]] += 1

    def act(self, number, action, person, **values):
        """Whether it was possible."""
        pk = self.messages[number]
        try:
            action(Message.objects.get(pk=pk), by=person, **values)
        except actions.NotPossible:
            return False
        Message.objects.filter(pk=pk).update(account=None)
        self.by_person.add(pk)
        return True

    @invariant()
    def nothing_is_lost_and_no_terminal_state_changes_by_itself(self):
        rows = dict(Message.objects.values_list("pk", "status"))
        assert set(rows) == set(self.messages)
        for pk, status in rows.items():
            if self.last.get(pk) in TERMINAL and pk not in self.by_person:
                assert status == self.last[pk]
        self.last, self.by_person = rows, set()

    @invariant()
    def nothing_is_accepted_more_often_than_ordered(self):
        for pk in self.messages:
            assert self.accepted[pk] <= self.orders[pk]

    @invariant()
    def what_was_accepted_is_never_shown_as_waiting(self):
        for message in Message.objects.filter(status="queued"):
            pending = message.recipients.filter(status=Recipient.Status.PENDING).exists()
            assert pending
            assert self.accepted[message.pk] < self.orders[message.pk]

    @invariant()
    def only_a_held_message_is_in_a_mail_program(self):
        assert not Message.objects.exclude(handed_to=None).exclude(status="held").exists()

    @invariant()
    def a_lease_belongs_to_sending_and_only_to_it(self):
        for message in Message.objects.all():
            assert (message.status == "sending") == bool(message.lease_owner)
            assert message.may_be_accepted <= (message.status == "sending")


@pytest.mark.sized
class TestClaims(TransactionTestCase):
    @pytest.mark.slow
    def test_every_interleaving(self):
        run_state_machine_as_test(Claims, settings=settings(max_examples=several(15, 1000), stateful_step_count=30))
