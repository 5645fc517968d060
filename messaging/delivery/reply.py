"""What was heard from a mail server, or from this machine in its place, and where in the dialogue."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

# Not the start of an IP address, and with the "#" or in the brackets of qmail and IronPort.
_ENHANCED = re.compile(r"#?([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)|.*\(#([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)", re.DOTALL)
_ENHANCED_AT_LINE_START = re.compile(r"^#?[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)\s*", re.MULTILINE)
_ADDRESS = re.compile(r"[^\s<>()\[\]:;,]+@[^\s<>()\[\]:;,]+")


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


@dataclass(frozen=True)
class Reply:
    """What was heard at a stage: a reply code of the server, or none and the words of this machine's error.

    An `error` beside a code says what the code alone does not: that it was a token that was refused.
    """

    stage: Stage
    code: int | None
    text: str = ""
    error: str = ""

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463) at the start of the text or in "(#5.1.1)", or ""."""
        found = _ENHANCED.match(self.text)
        return (found[1] or found[2]) if found else ""

    @cached_property
    def words(self) -> str:
        """What the server says, on one line: without addresses, whose words are not the server's, and without the
        enhanced status codes that a multi-line reply repeats in mid-sentence."""
        return " ".join(_ADDRESS.sub("(address)", _ENHANCED_AT_LINE_START.sub("", self.text)).split())

    @property
    def ok(self) -> bool:
        return self.code is not None and 200 <= self.code < 300 and not self.error
