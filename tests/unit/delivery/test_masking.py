"""Which replies are the same words, and that finding out costs no more than reading them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.delivery.outcomes.masking import LONGEST_WORD, MASK, MOST_WORDS, masked
from tests.sizes import several


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Zugriff verweigert (ref 8841-2)", "Zugriff verweigert (ref 17-93)"),
        ("<a@one.example>: no", "<b.c@two.example>: no"),
        ("we take no mail for one.example.", "we take no mail for zwei.beispiel.example."),
        ("5.7.1 denied [192.0.2.1]:50000", "5.7.1 denied [2001:db8::7]:50001"),
        ("denied id=4bCqZx1mN2z", "denied id=4bCrAa9kLp0"),
        ("denied deadbeefcafe", "denied 0123456789ab"),
        ("denied QxYzAbCd", "denied RpLmNoQr"),
        ("Sat, 28 Nov 2026 20:41:07 +0000 denied", "Sun, 6 Dec 2026 9:00:00 +0100 denied"),
        ("denied on Saturday, 28 November 2026", "denied on Tuesday, 1 December 2026"),
        ("abgelehnt, 28. November 2026", "abgelehnt, 1. Dezember 2026"),
        ("refusé le mardi 1er mars 2026", "refusé le lundi 31 août 2026"),
        ("denied <20261128.7@mail.example> by us", "denied <CA+xyz=abc@mail.example> by us"),
        ("denied, see https://a.example/r?x=1", "denied, see https://a.example/r?x=27&y"),
        ("<anna>: denied 'to' you", "<Ben>: denied 'for' you"),
        ("Access is\nnot for you", "access is not FOR you"),
        ("Zugriff für 3 Empfänger verweigert", "ZUGRIFF FÜR 12 EMPFÄNGER VERWEIGERT"),
    ],
)
def test_what_differs_from_message_to_message_does_not_count(one, other):
    assert masked(one) == masked(other)
    assert masked(one) != masked(f"{other} today")


def test_who_is_named_without_the_domain_does_not_count():
    assert masked("Anna: Zugriff verweigert", {"anna"}) == masked("ben.huber: Zugriff verweigert", {"ben.huber"})


@pytest.mark.parametrize("other", ["Zugang verweigert", "Zugriff", "Zugriff nicht verweigert", ""])
def test_other_words_count(other):
    assert masked("Zugriff verweigert") != masked(other)


WORD = st.from_regex(r"\A[a-zäöüß]{3,12}\Z").filter(lambda word: masked(word) == word)
DIFFERING = st.one_of(
    st.integers(0, 10**12).map(str),
    st.from_regex(r"\A[a-z0-9.]{1,12}@[a-z0-9-]{1,12}\.[a-z]{2,6}\Z"),
    st.from_regex(r"\A[a-z]{2,12}\.[a-z]{2,6}\Z"),
    st.ip_addresses().map(lambda address: f"[{address}]:25"),
    st.datetimes().map(lambda when: when.strftime("%d-%m-%Y")),
    st.uuids().map(str),
)


@settings(max_examples=several(30, 5000))
@given(st.lists(st.tuples(WORD, DIFFERING, DIFFERING), min_size=1, max_size=8))
def test_numbers_and_addresses_may_change(parts):
    one, other = (" ".join(f"{part[0]} {part[number]}" for part in parts) for number in (1, 2))
    assert masked(one) == masked(other)
    assert masked(one).split() == [word for part in parts for word in (part[0], MASK)]


@settings(max_examples=several(100, 5000))
@given(st.text(max_size=400))
def test_masking_once_more_changes_nothing(text):
    assert masked(masked(text)) == masked(text)


@settings(max_examples=several(100, 5000))
@given(st.text(alphabet="aA1@.#-_ \n(\u00e4\ufffd", max_size=200))
def test_whatever_a_server_says_is_masked_into_something_short(text):
    found = masked(text * 50)
    assert len(found) <= MOST_WORDS * (LONGEST_WORD + 1)


@pytest.mark.parametrize("piece", ["a", "1", ".", "@", "(", "<", "'", "'a", "aB", " ", "a.", "#", "ä", "<a@"])
def test_endless_text_is_cut(piece):
    assert len(masked(piece * 10_000_000)) <= MOST_WORDS * (LONGEST_WORD + 1)
