"""Passwords and other secrets at rest: encrypted with FIELD_ENCRYPTION_KEYS, the first key encrypts, all decrypt."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

MAKE_ONE = (
    'Set it to the output of: python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
)


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


def renewed(stored: str) -> str | None:
    """The same encrypted with the first key; None when it is already.

    Raises:
        LostKey: no key at hand fits.
        ImproperlyConfigured: no usable key is set.
    """
    keys = check_keys()
    try:
        keys[0].decrypt(stored.encode())
    except InvalidToken:
        try:
            return MultiFernet(keys).rotate(stored.encode()).decode()
        except InvalidToken as error:
            raise LostKey("no key at hand fits") from error
    return None


def check_keys() -> list[Fernet]:
    """The keys of FIELD_ENCRYPTION_KEYS.

    Raises:
        ImproperlyConfigured: there is none, or one is no key; it says which, and how to make one.
    """
    keys = []
    for number, key in enumerate(settings.FIELD_ENCRYPTION_KEYS, start=1):
        try:
            keys.append(Fernet(key))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"Number {number} of FIELD_ENCRYPTION_KEYS is not a Fernet key (32 octets in URL-safe base64). "
                f"{MAKE_ONE}"
            ) from error
    if not keys:
        raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS is empty. {MAKE_ONE}")
    return keys


def _cipher() -> MultiFernet:
    return MultiFernet(check_keys())
