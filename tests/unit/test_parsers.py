"""What people send costs time by its length, at worst: each parser, for text that is made to cost it more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parsers import REPEATED, cost, parsers, repeated
from tests import reading
from tests.corpus import CORPUS, cases
from tests.sizes import sampled

SIZE = 20_000  # characters; twice and half as many are tried; what took 30 seconds and more took seconds at this length
MOST_SECONDS = 1.0  # of processor time, for a machine that is several times slower than most
WORST_GROWTH = 8  # for four times the length: in proportion it is 4, by the square 16
MEASURABLE = 0.1  # seconds: below that the figures are noise
SOUP = st.lists(
    st.sampled_from([each for parts in REPEATED.values() for each in parts] + ["\n", " ", "x"]), max_size=40
)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(list(parsers())))
def test_time_grows_with_the_length_and_not_with_its_square(name):
    parser = parsers()[name]
    for kind in REPEATED:
        whole = cost(parser, repeated(kind, 2 * SIZE))
        assert whole < MOST_SECONDS, kind
        if whole > MEASURABLE:  # the least of three: what else the machine does is no part of the parser's time
            whole = min(whole, *(cost(parser, repeated(kind, 2 * SIZE)) for _ in range(2)))
        if whole > MEASURABLE:
            quarter = max(cost(parser, repeated(kind, SIZE // 2)) for _ in range(3))
            assert whole < WORST_GROWTH * quarter, kind


@pytest.mark.parametrize("octets", cases("mime"), ids=lambda octets: octets.name)
def test_kept_messages_are_read(octets):
    reading.message(octets.read_bytes())


@pytest.mark.parametrize("octets", cases("html"), ids=lambda octets: octets.name)
def test_kept_html_is_clean(octets):
    reading.html(octets.read_text())


@pytest.mark.parametrize("octets", cases("addresses"), ids=lambda octets: octets.name)
def test_kept_addresses_are_read(octets):
    reading.addresses_in(octets.read_text())


@pytest.mark.parametrize("octets", cases("opt"), ids=lambda octets: octets.name)
def test_kept_opt_files_are_read(octets, tmp_path):
    reading.opt(tmp_path, octets.read_bytes())


def test_the_corpus_is_there():
    assert {path.name for path in CORPUS.iterdir()} >= {"mime", "html", "addresses", "opt"}


@given(SOUP.map("".join))
def test_any_message_is_read(text):
    reading.message(text.encode())


@given(SOUP.map("".join))
def test_any_html_is_clean(text):
    reading.html(text)


@given(SOUP.map("".join))
def test_any_addresses_are_read(text):
    reading.addresses_in(text)


@given(st.one_of(st.binary(max_size=200), SOUP.map(lambda parts: "".join(parts).encode())))
def test_any_opt_file_is_read(tmp_path_factory, octets):
    reading.opt(tmp_path_factory.getbasetemp(), octets)
