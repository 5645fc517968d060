"""What promises another try is told only while one is planned."""

import re

import pytest

from messaging.delivery.outcomes import meanings
from messaging.models import Phrase
from messaging.wording import advice

PROMISE = re.compile(r"automatically|nothing to do|tried again|resumes", re.IGNORECASE)
MEANINGS = meanings.MEANINGS


@pytest.mark.parametrize("key", MEANINGS)
def test_no_try_is_promised_where_none_is_planned(key):
    told = advice(Phrase(key), is_over=True)
    assert not PROMISE.search(told), "wording/afterwards.py has to say what a person does"
    assert bool(told) == bool(MEANINGS[key].advice)
    assert "cancel the message" not in told  # which has failed already


@pytest.mark.parametrize("key", MEANINGS)
def test_what_it_is_promises_nothing(key):
    assert not PROMISE.search(MEANINGS[key].explanation)


def test_while_a_try_is_planned_it_is_told():
    assert advice(Phrase("greylisted")) == meanings.WAIT
    assert advice(Phrase("greylisted"), is_over=True) == "Retry it in a quarter of an hour."
    assert advice(Phrase("wrong-password")) == advice(Phrase("wrong-password"), is_over=True)


def test_advice_that_version_0_1_0_kept_in_words():
    wait = "Nothing to do: it is tried again by itself."
    told = Phrase("told", words="It broke.", advice=wait)
    assert advice(told) == wait
    assert advice(told, is_over=True) == "Retry it in a while."
    assert advice(Phrase("told", words="It broke.", advice="Ask Ann."), is_over=True) == "Ask Ann."
