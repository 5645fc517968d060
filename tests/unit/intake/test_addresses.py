"""What is an address for the envelope."""

from hypothesis import given
from hypothesis import strategies as st

from messaging.intake.addresses import envelope_address
from messaging.intake.gate import BadAddress


@given(st.text(max_size=20) | st.builds("{}@{}".format, st.text(max_size=8), st.text(max_size=8)))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = envelope_address(text)
    except BadAddress:
        return
    assert envelope_address(address) == address
    assert not set(address) & set("\r\n\0")
