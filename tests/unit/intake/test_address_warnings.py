"""What an address is warned about, and how it may have been meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.intake.address_warnings import warning
from messaging.wording import in_words


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("anna@gmial.com", "did you mean gmail.com?"),
        ("anna@gmal.com", "did you mean gmail.com?"),
        ("anna@hotmial.com", "did you mean hotmail.com?"),
        ("anna@Yaho.com", "did you mean yahoo.com?"),
        ("anna@outlok.com", "did you mean outlook.com?"),
        ("anna@gmail.con", "did you mean gmail.com?"),
        ("anna@gmal.con", "did you mean gmail.com?"),
        ("anna@brightwater.cmo", "did you mean brightwater.com?"),
        ("anna@gmail.com.com", "did you mean gmail.com?"),
        ("anna@gmail.comgmail.com", "did you mean gmail.com?"),
        ("anna@office.example.office.example", "did you mean office.example?"),
        ("anna@www.brightwater.com", "did you mean brightwater.com?"),
        ("anna@nowhere.invalid", "“.invalid” is reserved"),
        ("anna@mail.test", "“.test” is reserved"),
        ("anna@pc7.localhost", "“.localhost” is reserved"),
        ("anna@192.168.0.7", "ends with a number"),
        ("anna@brightwater.c", "ends with “.c”"),
        ("anna@[192.168.0.7]", "private network"),
        ("anna@[IPv6:fd00::1]", "private network"),
        ("anna@[127.0.0.1]", "private network"),
        ("anna@mailhost", "without a dot, which only a mail server of your own organisation can know"),
    ],
)
def test_says_why_an_address_cannot_be_right(address, words):
    assert words in in_words(warning(address))
    assert address in in_words(warning(address))


@pytest.mark.parametrize(
    "address",
    ["anna@gmail.com", "anna@office.example", "anna@office.local", "o'brien+x@mail.co.uk", '"a@b"@example.com',
     "anna@[8.8.8.8]", "anna@xn--bcher-kva.example", "anna@bücher.de", "jörg@example.com", "a@mail.com", "a@ymail.com",
     "a@www.de", "a@tata.tata", "a@baba.com", "anna@t.co"],
)  # fmt: skip
def test_has_no_warning_for_what_may_well_be_right(address):
    assert warning(address) is None


@given(st.one_of(st.text(), st.tuples(st.text(), st.text(".[]:0123456789abcm-", max_size=400)).map("@".join)))
def test_never_fails_whatever_it_is_asked(text):
    found = warning(text)
    assert found is None or in_words(found) != found.key
