"""What is encrypted, and the keys for it."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from messaging.setup.secrets import LostKey, decrypt, encrypt

OLD, NEW, OTHER = ("O" * 43 + "=", "N" * 43 + "=", "X" * 43 + "=")


@given(st.text(max_size=1000))
def test_whatever_is_encrypted_comes_back(plain):
    stored = encrypt(plain)
    assert decrypt(stored) == plain
    assert stored.isascii()
    assert not plain or len(plain) < 4 or plain not in stored


def test_a_thousand_characters_of_four_octets_each(settings):
    assert decrypt(encrypt("🔑" * 1000)) == "🔑" * 1000


def test_every_character_there_is():
    everything = "".join(chr(number) for number in range(0x110000) if not 0xD800 <= number < 0xE000)
    for start in range(0, len(everything), 100_000):
        assert decrypt(encrypt(everything[start : start + 100_000])) == everything[start : start + 100_000]


def test_a_secret_is_shown_by_no_repr():
    assert "s3cret" not in repr(decrypt(encrypt("s3cret"))) + repr({"password": [decrypt(encrypt("s3cret"))]})


@pytest.mark.parametrize("stored", ["x", "gAAAAA", "päss", "\x00", "gAAAAABn" + "A" * 200])
def test_what_no_key_opens_is_a_lost_key(stored):
    with pytest.raises(LostKey):
        decrypt(stored)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([], "FIELD_ENCRYPTION_KEYS is empty. Set it to the output of: python3"),
        (["hunter2"], "Number 1 of FIELD_ENCRYPTION_KEYS is not a Fernet key"),
        ([OLD, "hunter2"], "Number 2 of FIELD_ENCRYPTION_KEYS is not a Fernet key"),
        (["schlüssel"], "Number 1"), ([""], "Number 1"), ([OLD[:-2]], "Number 1"),
    ],
)  # fmt: skip
def test_keys_that_are_none_are_told_by_their_number_and_not_shown(settings, keys, words):
    settings.FIELD_ENCRYPTION_KEYS = keys
    with pytest.raises(ImproperlyConfigured) as raised:
        encrypt("x")
    assert words in str(raised.value)
    assert "hunter2" not in str(raised.value)
    with pytest.raises(CommandError, match="FIELD_ENCRYPTION_KEYS"):
        call_command("reencrypt_secrets")


def test_check_tells_of_garbage_among_the_keys(settings, capsys):
    settings.FIELD_ENCRYPTION_KEYS = [OLD, "hunter2"]
    call_command("check")
    said = capsys.readouterr().err
    assert "(messaging.W003) Number 2 of FIELD_ENCRYPTION_KEYS is not a Fernet key" in said
    assert "hunter2" not in said
