"""What was heard from a mail server, or from this machine in its place, and where in the dialogue."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from messaging.content import mime
from messaging.content.assembly import MISSING
from messaging.delivery.outcomes import echoed_words
from messaging.models import Phrase, Words
from messaging.setup import problems
from messaging.setup.oauth import grants
from messaging.setup.oauth.grants import SignInFailed, Trouble

# Not the start of an IP address, and with the "#" or in the brackets of qmail and IronPort.
_ENHANCED = re.compile(r"#?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)|.*\(#([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)", re.DOTALL)
_ENHANCED_AT_LINE_START = re.compile(r"^#?[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)\s*", re.MULTILINE)


class Stage(StrEnum):
    """Where in the dialogue something happened, in its order."""

    PREPARE = "prepare"
    CONNECT = "connect"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END = "end of data"


# What happens here comes before any message is mentioned, so it cannot be about one.
OPENING_STAGES = (Stage.CONNECT, Stage.GREETING, Stage.EHLO, Stage.STARTTLS, Stage.AUTH)


class LocalError(StrEnum):
    """What went wrong on this machine or on the way, in the place of a server's reply or beside it."""

    NAME_NOT_FOUND = "name not found"
    REFUSED_ADDRESS = "refused address"
    CONNECTION_REFUSED = "connection refused"
    CONNECTION_LOST = "connection lost"
    TIMEOUT = "timeout"
    NOT_SMTP = "not SMTP"
    OUT_OF_FILES = "out of files"
    CERTIFICATE = "certificate"
    CERTIFICATE_EXPIRED = "certificate expired"
    CERTIFICATE_EARLY = "certificate not yet valid"
    CERTIFICATE_OTHER_NAME = "certificate for another name"
    CERTIFICATE_STRANGER = "certificate of a stranger"
    CERTIFICATE_WEAK = "weak certificate"
    NO_TLS = "no tls"
    OLD_TLS = "old tls"
    WEAK_KEY_EXCHANGE = "weak key exchange"
    WEAK_SIGNATURE = "weak signature"
    NO_COMMON_TLS = "no common tls"
    WANTS_CERTIFICATE = "wants certificate"
    NAME_NOT_SERVED = "name not served"
    TLS_FAULT_THERE = "tls fault there"
    TLS = "tls"
    NO_STARTTLS = "no starttls"
    NO_AUTH = "no auth"
    SETUP = "setup"
    SIGN_IN_UNREACHABLE = Trouble.UNREACHABLE.value
    SIGN_IN_CERTIFICATE = Trouble.CERTIFICATE.value
    SIGN_IN_SERVER = Trouble.SERVER.value
    CLIENT_SECRET = Trouble.SECRET.value
    SIGN_IN_ENDED = Trouble.ENDED.value
    SIGN_IN_RULE = Trouble.RULE.value
    ACCOUNT_LOCKED = Trouble.LOCKED.value
    APPLICATION_UNKNOWN = Trouble.UNKNOWN.value
    CONSENT_MISSING = Trouble.CONSENT.value
    SERVICE_ACCOUNT = Trouble.KEY.value
    SIGN_IN_REFUSED = Trouble.REFUSED.value
    NO_TOKEN_SIGN_IN = "no token sign-in"  # noqa: S105
    TOKEN_REFUSED = "token refused"  # noqa: S105
    CONTENT_MISSING = "content missing"
    STORE_AWAY = "store away"
    BARE_LINE_END = "bare line end"
    NOT_PREPARED = "not prepared"
    TOO_BIG = "too big"
    NO_SMTPUTF8 = "no smtputf8"
    NO_8BITMIME = "no 8bitmime"
    HEADER_NEEDS_SMTPUTF8 = "header needs smtputf8"
    MORE_RECIPIENTS = "more recipients"
    UNEXPECTED = "unexpected error"


CERTIFICATE_ERRORS = (
    LocalError.CERTIFICATE,
    LocalError.CERTIFICATE_EXPIRED,
    LocalError.CERTIFICATE_EARLY,
    LocalError.CERTIFICATE_OTHER_NAME,
    LocalError.CERTIFICATE_STRANGER,
    LocalError.CERTIFICATE_WEAK,
)
ENDLESS_WORDS = {
    "line": "(a line of more than 8192 octets)",
    "reply": "a reply of more lines than any server sends",
}


def _offered(offered: Sequence[str]) -> str:
    return f"sign-in mechanisms offered: {' '.join(offered) or 'none'}"


# What this machine says where the system, a library or a provider has no words of its own.
WORDS: dict[str, Words] = {
    **dict.fromkeys(LocalError, ""),
    **dict.fromkeys(Trouble, lambda said="": said),
    **grants.WORDS,
    **problems.WORDS,
    LocalError.NAME_NOT_FOUND: "it is not a name that can be looked up",
    LocalError.REFUSED_ADDRESS: "{host} points to {address}, which Outtray never connects to",
    LocalError.CONNECTION_LOST: "the server closed the connection",
    LocalError.TIMEOUT: "no answer in time",
    LocalError.NOT_SMTP: lambda endless="": ENDLESS_WORDS.get(endless, ""),
    LocalError.NO_STARTTLS: "STARTTLS is not offered",
    **dict.fromkeys((LocalError.NO_AUTH, LocalError.NO_TOKEN_SIGN_IN), _offered),
    LocalError.SETUP: lambda problems: " ".join(problems),
    LocalError.CONTENT_MISSING: MISSING,
    LocalError.STORE_AWAY: "none of the attachment files is in MEDIA_ROOT ({attachment} is not, nor are others)",
    LocalError.BARE_LINE_END: "bare CR or LF in the content",
    LocalError.TOO_BIG: "{size} octets, the server takes {limit}",
    LocalError.NO_8BITMIME: "8BITMIME is not offered",
    **dict.fromkeys((LocalError.NO_SMTPUTF8, LocalError.HEADER_NEEDS_SMTPUTF8), "SMTPUTF8 is not offered"),
    LocalError.UNEXPECTED: "{error}; the log says more",
    LocalError.MORE_RECIPIENTS: "not tried: the server has taken as many recipients as it takes at a time",
}


def _undeceptive(value: Any) -> Any:
    if isinstance(value, Phrase):
        return Phrase(value.key, **{name: _undeceptive(each) for name, each in value.params.items()})
    if isinstance(value, list | tuple):
        return [_undeceptive(each) for each in value]
    return mime.undeceptive(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Reply:
    """What was heard at a stage: the server's code and words, or an error of this machine.

    `text` are words of others: the server's, the operating system's, a provider's. Where the error has none, `params`
    is what our own need (see WORDS). An `error` beside a code says what the code alone does not: that it was a token
    that was refused. `after_accepted`: at RCPT, when the server had accepted others of the same transaction.
    `known_to_server` are the addresses and names that the server has from us, and may repeat.

    However one is made: every database takes its words and params, and on a page they deceive no one.
    """

    stage: Stage
    code: int | None
    text: str = ""
    error: LocalError | None = None
    params: Mapping[str, Any] = field(default_factory=dict, compare=False)
    after_accepted: bool = False
    known_to_server: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", mime.undeceptive(self.text))
        if self.params:
            object.__setattr__(self, "params", {name: _undeceptive(value) for name, value in self.params.items()})

    @classmethod
    def recorded(cls, stage: str, code: int | None, text: str, said: Phrase | None, *known: str) -> "Reply":
        """The reply that an attempt keeps."""
        if said is None:
            return cls(Stage(stage), code, text, known_to_server=known)
        return cls(Stage(stage), code, text, LocalError(said.key), said.params)

    @property
    def detail(self) -> Phrase | None:
        """The error of this machine as rows keep it."""
        return Phrase(self.error, **self.params) if self.error is not None else None

    @property
    def said(self) -> str:
        """The server's words, or what this machine has to say in their place."""
        return self.text or (self.detail.render(WORDS) if self.detail is not None else "")

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) at the start of the text or in "(#5.1.1)", or ""; none in an address."""
        found = _ENHANCED.match(self.text if self.ok else self.bare.text)
        return (found[1] or found[2]) if found else ""

    @cached_property
    def words(self) -> str:
        """What the server says, on one line and plain: without addresses, whose words are not the server's, and
        without the enhanced status codes that a multi-line reply repeats in mid-sentence."""
        return " ".join(_ENHANCED_AT_LINE_START.sub("", self.bare.text).split())

    @cached_property
    def bare(self) -> "Reply":
        """The same without addresses: what a server says of many recipients is then the same."""
        return self._with(echoed_words.without_addresses(self.text, self.known_to_server))

    @cached_property
    def own(self) -> "Reply":
        """The same without what may be the words of others; no server asks another before it knows a recipient."""
        of_content = self.stage in (Stage.DATA, Stage.END)
        words = echoed_words.without_quotations(self.text, self.known_to_server, of_content=of_content)
        return self._with(words if self.stage == Stage.MAIL else echoed_words.without_other_servers(words))

    @cached_property
    def nameless(self) -> "Reply":
        """The same also without plain words that the server was told, which it may as well say itself."""
        return self._with(echoed_words.without_plain_words(self.own.text, self.known_to_server))

    @property
    def plain_words(self) -> list[str]:
        """Those plain words."""
        return echoed_words.plain_words(self.own.text, self.known_to_server)

    def _with(self, text: str) -> "Reply":
        return self if text == self.text and not self.known_to_server else replace(self, text=text, known_to_server=())

    @property
    def ok(self) -> bool:
        return self.code is not None and 200 <= self.code < 300 and self.error is None


def sign_in_failed(failed: SignInFailed) -> Reply:
    """The reply in the place of a mail server's, where a provider gave no access token to sign in with."""
    params = {"said": failed.detail} if failed.detail is not None else {}
    return Reply(Stage.AUTH, None, failed.words, LocalError(failed.trouble), params)
