"""Whatever is refused, accepted and answered in whatever order: the account pauses when, and only when, it should."""

import datetime as dt
from unittest.mock import patch

import pytest
from django.utils import timezone
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra.django import TransactionTestCase
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from messaging.company import options
from messaging.delivery.lane import Lane
from messaging.delivery.outcomes.verdict import Reply, Stage
from messaging.delivery.smtp.transaction import Result
from messaging.models import AccountPause, EmailSettings, Message, RefusalStreak
from messaging.queue import refusal_answers
from tests.factories import fitting, make_message, make_user
from tests.rows import status
from tests.sizes import several

MOST = 3
WORDS = ("Zugriff verweigert {}", "Nein danke {}")
DAY = dt.timedelta(days=1, seconds=1)


class Streaks(RuleBasedStateMachine):
    """One account, two wordings, a handful of domains; what a server says is made up, the rest is real."""

    def __init__(self):
        super().__init__()
        for model in (Message, RefusalStreak):
            model.objects.all().delete()
        AccountPause.history.all().delete()
        EmailSettings.objects.update_or_create(account=None, defaults={"send_type": 2, "host": "127.0.0.1"})
        options.save({"same_refusals": MOST}, by=None)
        self.boss = refusal_answers.User.objects.filter(username="boss").first() or make_user("boss")
        self.now, self.number = timezone.now(), 0
        self.domains = {word: set() for word in WORDS}
        self.answers = {}  # wording -> the answer, and when it was given
        self.asked = None

    def deliver(self, domain, reply, **values):
        """What becomes of one more message, by the reply to it."""
        message = make_message(f"kunde@domain{domain}.example", **values)
        self.number += 1
        self.now += dt.timedelta(seconds=1)
        with patch.object(Lane, "_transact", lambda *args: Result(reply, {message.recipients_text: reply})):
            Lane(None, clock=lambda: self.now).run()
        return status(message)

    def answer_of(self, word):
        answer, at = self.answers.get(word, (None, None))
        return answer if at is not None and at > self.now - DAY else None

    @rule(word=st.sampled_from(WORDS), domain=st.integers(0, 4))
    @precondition(lambda self: self.asked is None)
    def refuse(self, word, domain):
        found = self.deliver(domain, Reply(Stage.RCPT, 550, word.format(self.number)))
        answer = self.answer_of(word)
        if answer == "us":
            self.asked = word
        elif answer is None:
            if self.answers.pop(word, None):
                self.domains[word] = set()
            self.domains[word].add(domain)
            if len(self.domains[word]) == MOST:
                self.asked = word
        assert found == ("queued" if answer == "us" else "failed")

    @rule(domain=st.integers(0, 4))
    @precondition(lambda self: self.asked is None)
    def accept(self, domain):
        assert self.deliver(domain, Reply(Stage.END, 250, "ok")) == "sent"
        for word in WORDS:
            if word not in self.answers:
                self.domains[word] = set()

    @rule(domain=st.integers(0, 4))
    @precondition(lambda self: self.asked is not None)
    def refuse_urgent_mail_meanwhile(self, domain):
        reply = Reply(Stage.RCPT, 550, self.asked.format(self.number))
        assert self.deliver(domain, reply, urgent=True) == "queued"
        assert not Message.objects.filter(status="queued", tries__gt=0).exists()

    @rule(domain=st.integers(0, 4))
    @precondition(lambda self: self.asked is not None)
    def wait_meanwhile(self, domain):
        assert self.deliver(domain, Reply(Stage.END, 250, "ok")) == "queued"

    @rule(answer=st.sampled_from([refusal_answers.it_was_us, refusal_answers.go_on]))
    @precondition(lambda self: self.asked is not None)
    def reply(self, answer):
        failed = Message.objects.filter(status="failed", recipients__streak__asked_at__isnull=False)
        failed = set(failed.filter(recipients__streak__answer="").values_list("pk", flat=True))
        streak = refusal_answers.open_questions().get()
        assert answer(streak, by=self.boss) == len(failed)
        is_us = answer is refusal_answers.it_was_us
        assert Message.objects.filter(pk__in=failed, status="queued" if is_us else "failed").count() == len(failed)
        Message.objects.filter(status="queued").update(**fitting(status="cancelled"))
        RefusalStreak.objects.filter(pk=streak.pk).update(answered_at=self.now)
        self.answers[self.asked] = ("us" if is_us else "go-on", self.now)
        self.asked = None

    @rule()
    def a_day_passes(self):
        self.now += DAY

    @invariant()
    def it_pauses_just_when_a_person_is_asked(self):
        assert AccountPause.objects.filter(kind="doubt").count() == refusal_answers.open_questions().count()
        assert refusal_answers.open_questions().exists() == (self.asked is not None)
        assert not Message.objects.filter(status="sending").exists()


@pytest.mark.sized
class TestStreaks(TransactionTestCase):
    @pytest.mark.slow
    def test_whatever_the_order(self):
        run_state_machine_as_test(Streaks, settings=settings(max_examples=several(6, 1000), stateful_step_count=25))
