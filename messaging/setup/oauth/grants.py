"""What comes of asking a provider for an access token. Apart from providers.py, which not every process can afford."""

from dataclasses import dataclass
from enum import StrEnum

from messaging.models import Phrase, PhraseError, Words
from messaging.setup.secrets import Secret


class Trouble(StrEnum):
    """Why there is no token; each is a LocalError of delivery as well."""

    UNREACHABLE = "sign-in unreachable"
    CERTIFICATE = "sign-in certificate"
    SERVER = "sign-in server"
    SECRET = "client secret refused"  # noqa: S105
    ENDED = "sign-in ended"
    RULE = "sign-in rule"
    LOCKED = "account locked"
    UNKNOWN = "application unknown"
    CONSENT = "consent missing"
    KEY = "service account refused"
    REFUSED = "sign-in refused"


# What this machine says where a provider has no words of its own.
WORDS: dict[str, Words] = {
    "sign-in server status": "The sign-in server answers with status {status}.",
    "sign-in server busy": "The sign-in server cannot answer at the moment.",
    "sign-in server error": "The sign-in server answers: {words}.",
    "sign-in server not oauth": "The sign-in server’s answer is not OAuth 2.0.",
    "sign-in says nothing": "The sign-in server gave neither a token nor a reason.",
    "sign-in waits": "Another process is still waiting for the sign-in server.",
    "no refresh token": "Microsoft gave no refresh token.",
    "service account key": "The service account key cannot be read. It is a JSON file with client_email and "
    "private_key.",
    "sign-in url not whole": "The sign-in server must be a whole address, such as https://login.example.com/token.",
    "sign-in url not https": "The sign-in server’s address must begin with https://.",
    "sign-in url forbidden": "The sign-in server’s address is not allowed: {host} points to {address}, which Outtray "
    "never connects to.",
    "sign-in redirects": "The sign-in server redirects to another address, which Outtray does not follow.",
    "sign-in too long": "The sign-in server’s answer is too long.",
    "sign-in too slow": "The sign-in server takes too long to answer.",
    "sign-in page not https": "The sign-in server names an address that is not secure.",
    "sign-in no token": "The sign-in server answers with status {status}, and not with a token.",
    "sign-in bad token": "The sign-in server’s token has characters that no token may have.",
    "sign-in bad code": "The sign-in server’s answer has no code that can be shown.",
}


class RefusedUrl(PhraseError):
    """This is no sign-in server that may be asked, and why."""

    words = WORDS


class BadAnswer(PhraseError):
    """What answered is no sign-in server, and why."""

    words = WORDS


class SignInFailed(Exception):
    """There is no access token: why, the provider's own words if it had any, and what this machine says otherwise."""

    def __init__(self, trouble: Trouble, words: str = "", detail: Phrase | None = None) -> None:
        super().__init__(f"{trouble}: {words or (detail.render(WORDS) if detail is not None else '')}")
        self.trouble = trouble
        self.words = words
        self.detail = detail


@dataclass(frozen=True)
class Grant:
    """A new access token, how many seconds it lasts, and the refresh token to use from now on ("" for the same)."""

    token: Secret
    seconds: float
    refresh_token: Secret
