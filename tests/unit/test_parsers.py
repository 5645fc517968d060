"""What people send costs time by its length, at worst: each parser, for text that is made to cost it more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parsers import REPEATED, cost, parsers, repeated
from messaging import content, mime
from messaging.console import html_body
from messaging.intake import addresses, typed
from messaging.intake.errors import BadAddress
from messaging.setup import opt_files
from tests.corpus import CORPUS, cases
from tests.sizes import sampled

SIZE = 20_000  # characters; what took 30 seconds and more took seconds at this length
MOST_SECONDS = 1.0  # of processor time, for a machine that is several times slower than most
WORST_GROWTH = 2.5 * 2  # twice as much for twice the length, with room for a busy machine
MEASURABLE = 0.1  # seconds: below that the figures are noise
SOUP = st.lists(
    st.sampled_from([each for parts in REPEATED.values() for each in parts] + ["\n", " ", "x"]), max_size=40
)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(list(parsers())))
def test_twice_the_length_costs_no_more_than_twice_the_time(name):
    parser = parsers()[name]
    for kind in REPEATED:
        twice = cost(parser, repeated(kind, 2 * SIZE))
        assert twice < MOST_SECONDS, kind
        if twice > MEASURABLE:
            once = cost(parser, repeated(kind, SIZE))
            assert twice < WORST_GROWTH * once, kind


@pytest.mark.parametrize("octets", cases("mime"), ids=lambda octets: octets.name)
def test_kept_messages_are_read(octets):
    _read_message(octets.read_bytes())


@pytest.mark.parametrize("octets", cases("html"), ids=lambda octets: octets.name)
def test_kept_html_is_clean(octets):
    _read_html(octets.read_text())


@pytest.mark.parametrize("octets", cases("addresses"), ids=lambda octets: octets.name)
def test_kept_addresses_are_read(octets):
    _read_addresses(octets.read_text())


@pytest.mark.parametrize("octets", cases("opt"), ids=lambda octets: octets.name)
def test_kept_opt_files_are_read(octets, tmp_path):
    _read_opt(tmp_path, octets.read_bytes())


def test_the_corpus_is_there():
    assert {path.name for path in CORPUS.iterdir()} >= {"mime", "html", "addresses", "opt"}


@given(SOUP.map("".join))
def test_any_message_is_read(text):
    _read_message(text.encode())


@given(SOUP.map("".join))
def test_any_html_is_clean(text):
    _read_html(text)


@given(SOUP.map("".join))
def test_any_addresses_are_read(text):
    _read_addresses(text)


@given(st.one_of(st.binary(max_size=200), SOUP.map(lambda parts: "".join(parts).encode())))
def test_any_opt_file_is_read(tmp_path_factory, octets):
    _read_opt(tmp_path_factory.getbasetemp(), octets)


def _read_message(raw):
    skeleton, cuts = content.split(raw)
    assert len(skeleton) + sum(len(cut.body) for cut in cuts) == len(raw)
    content.bodies_of(raw)
    mime.decoded_words(raw.decode("utf-8", "replace"))


def _read_html(html):
    try:
        kept = html_body.framed(html, lambda _: "")
    except html_body.NotShown:
        return
    assert len(kept) <= html_body.MOST_GROWTH * len(html) + html_body.ROOM
    body = kept.partition("</head>")[2].lower()
    for bad in ("<script", "<link", "<meta", "<base", "<style", "<svg", "<iframe", "<form"):
        assert bad not in body
    assert kept.lower().count("<meta") == 2
    assert kept.lower().count("<base") == 1


def _read_addresses(text):
    addresses.mailboxes(text)
    for read in (addresses.envelope_mailboxes, addresses.envelope_address, typed.read):
        try:
            read(text)
        except BadAddress as refusal:
            assert str(refusal)
    assert not set(addresses.header_value(text).replace("\r\n ", "")) & {"\r", "\n"}


def _read_opt(folder, octets):
    for name in opt_files.FILES:
        (folder / name).write_bytes(octets)
    found = opt_files.read(folder)
    assert len(found.values) + len(found.errors) >= len(set(opt_files.FILES.values()))
