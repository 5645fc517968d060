"""What comes of asking a provider for an access token. Apart from providers.py, which not every process can afford."""

from dataclasses import dataclass
from enum import StrEnum

from .secrets import Secret


class Trouble(StrEnum):
    """Why there is no token, by the words of the outcome table."""

    UNREACHABLE = "sign-in unreachable"
    CERTIFICATE = "sign-in certificate"
    SERVER = "sign-in server"
    SECRET = "client secret refused"  # noqa: S105
    ENDED = "sign-in ended"
    UNKNOWN = "application unknown"
    CONSENT = "consent missing"
    KEY = "service account refused"
    REFUSED = "sign-in refused"


class SignInFailed(Exception):
    """There is no access token: `word` is one of Trouble, `words` tell more, often the provider's own."""

    def __init__(self, word: Trouble, words: str) -> None:
        super().__init__(f"{word}: {words}")
        self.word = word
        self.words = words


@dataclass(frozen=True)
class Grant:
    """A new access token, how many seconds it lasts, and the refresh token to use from now on ("" for the same)."""

    token: Secret
    seconds: float
    refresh_token: Secret
