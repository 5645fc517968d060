"""What is an address for the envelope."""

import re

import pytest
from email_validator import EmailNotValidError
from email_validator.syntax import validate_email_domain_name
from hypothesis import example, given
from hypothesis import strategies as st

from messaging.intake.addresses import (
    _valid,
    _validated,
    ascii_domain,
    envelope_address,
    envelope_mailboxes,
    header_value,
)
from messaging.intake.gate import BadAddress


@given(st.text(max_size=20) | st.builds("{}@{}".format, st.text(max_size=8), st.text(max_size=8)))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = envelope_address(text)
    except BadAddress:
        return
    assert envelope_address(address) == address
    assert not set(address) & set("\r\n\0")


@pytest.mark.parametrize(
    "address",
    [
        "a@xn--i-7iq.example", "user@ab--cd.example", "a@xn--a.example", "a@r3---sn-x.example", "a@3com.example",
        "a@xn--ls8h.la", "a@x", "a@" + "b" * 63 + ".example", "a@" + "b." * 100 + "example",
    ],
)  # fmt: skip
def test_a_domain_of_letters_digits_and_hyphens_is_one(address):
    assert envelope_address(address) == address
    assert envelope_address(address.replace("@", "@BÜCHER.")) == address.replace("@", "@xn--bcher-kva.")
    assert header_value(f"Ada <{address}>") == f"Ada <{address}>"


@pytest.mark.parametrize(
    "address", ["a@-b.example", "a@b-.example", "a@b..example", "a@b_c.example", "a@" + "b" * 64 + ".example", "a@",
                "a@" + "b." * 130 + "example", "a@.example", "a@b.example.", "a@exa mple.com"],
)  # fmt: skip
def test_what_is_no_domain_is_refused(address):
    with pytest.raises(BadAddress):
        envelope_address(address)


def test_a_long_list_of_quoted_names_is_read_whole():
    value = ", ".join(f'"Doe, {number}" <d{number}@example.com>, e{number}@example.com' for number in range(2500))
    found = envelope_mailboxes(value)
    assert found[-2:] == [("Doe, 2499", "d2499@example.com"), ("", "e2499@example.com")]
    assert len(found) == 5000


def test_a_large_group_is_read_whole():
    value = (
        "Team: " + ", ".join(f'"Doe, {number}" <d{number}@example.com>' for number in range(1000)) + ";, x@b.example"
    )
    assert len(envelope_mailboxes(value)) == 1001
    assert header_value(value).startswith("Team:")


@pytest.mark.parametrize("value", ['"' * 20_001, '"a" ' * 5000, '"\\' * 10_000])
def test_a_list_of_quotation_marks_is_refused_like_anything(value):
    with pytest.raises(BadAddress):
        envelope_mailboxes(value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"info@s.example <info@s.example>"', "Remove the quotation marks"),
        ('"info@s.example"', "Remove the quotation marks"),
        ("Doe, John <j@s.example>", "a name that has a comma itself needs quotation marks"),
        ("a@s.example; b@s.example", "separated by a comma"),
        (r"a\b", r"“a\b”"),
    ],
)
def test_a_header_field_that_is_no_list_of_addresses_is_refused_in_words_that_help(value, words):
    with pytest.raises(BadAddress) as refusal:
        envelope_mailboxes(value)
    assert words in str(refusal.value)


LABELS = st.text(
    st.sampled_from("aZ9-_ßéжあ한أ１。．.\u00ad\u200d\ufe0f\u0301ｘｎ－㎏․⒈") | st.characters(), max_size=8
)


@given(st.lists(LABELS, min_size=1, max_size=4).map(".".join))
def test_a_domain_that_is_not_ascii_is_one_where_the_library_says_so(domain):
    if domain.isascii() or any(label.isascii() for label in re.split("[.\u3002\uff0e\uff61]", domain)):
        return
    try:
        expected = validate_email_domain_name(domain, globally_deliverable=False)["ascii_domain"]
    except EmailNotValidError:
        expected = ""
    assert ascii_domain(domain) == expected


@given(st.text(st.sampled_from("aZ09!#$%&'*+-/=?^_`{|}~.\"\\ ()<>,;:[]é\x7f\t") | st.characters(), max_size=70))
@example("a" * 64)
@example("a" * 65)
@example("a.b")
@example("a..b")
@example(".a")
@example("a.")
def test_a_local_part_is_one_where_the_library_says_so(local):
    text = f"{local}@example.com"
    try:
        expected = f"{_validated(text).local_part}@example.com"
    except EmailNotValidError:
        with pytest.raises(EmailNotValidError):
            _valid(text)
    else:
        assert _valid(text) == expected
