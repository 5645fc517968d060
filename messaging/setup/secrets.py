"""Passwords and other secrets at rest: encrypted with FIELD_ENCRYPTION_KEYS, the first key encrypts, all decrypt."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class LostKey(Exception):
    """What was stored cannot be read with any key at hand; it must be entered again."""


class Secret(str):
    """A password or token: usable as text, never shown by repr, a log line or an error page."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


def encrypt(text: str) -> str:
    """Return `text` encrypted for a text column; "" stays "".

    Raises:
        ImproperlyConfigured: no usable key is set.
    """
    return _cipher().encrypt(text.encode()).decode() if text else ""


def decrypt(stored: str) -> Secret:
    """Return the text that `encrypt` was given.

    Raises:
        LostKey: no key at hand fits.
    """
    if not stored:
        return Secret()
    try:
        return Secret(_cipher().decrypt(stored.encode()).decode())
    except (InvalidToken, ImproperlyConfigured) as error:
        raise LostKey("no key at hand fits") from error


def _cipher() -> MultiFernet:
    try:
        keys = [Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS]
    except ValueError as error:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS holds something that is not a Fernet key.") from error
    if not keys:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS is empty. Set it to the output of: "
            'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
        )
    return MultiFernet(keys)
