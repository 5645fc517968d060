"""Names of mail servers: what one may look like, and which of them people who are no administrators may name."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from messaging.models import Phrase, Words

from .network import forbidden

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST, LONGEST_URL = 300, 500  # characters; a name with letters beyond ASCII takes time by the square of its length
USUAL_PORTS = (25, 465, 587)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)


class Fault(StrEnum):
    """Why a text is not the name of a server."""

    NOT_ALONE = "server not alone"
    BLANKS = "server with blanks"
    PORT_OR_USER = "server with port or user"
    NO_NAME = "not a server name"
    FORBIDDEN = "server never connected to"


WORDS: dict[str, Words] = {
    Fault.NOT_ALONE: "Enter the server name alone, without http:// or smtp:// and without a path.",
    Fault.BLANKS: "A server name cannot contain spaces or line breaks.",
    Fault.PORT_OR_USER: "Enter the server name alone: the port and the user name have fields of their own.",
    Fault.NO_NAME: "This is not a valid server name.",
    Fault.FORBIDDEN: "Outtray never connects to this address: it is link-local, or a cloud’s metadata service.",
}


class BadServer(ValueError):
    """What was entered names no server, or one that is not allowed: why, in plain words; `fault` says it of a name."""

    def __init__(self, words: str, fault: Fault | None = None) -> None:
        super().__init__(words)
        self.fault = fault

    @classmethod
    def because(cls, fault: Fault) -> "BadServer":
        return cls(Phrase(fault).render(WORDS), fault)


def server_name(name: str) -> str:
    """A host name or IP address as it goes into the settings; "" stays "".

    Raises:
        BadServer: a scheme, a path, a port, blanks, no name at all, or an address that no one may connect to.
    """
    name = name.strip()
    if not name:
        return ""
    if len(name) > LONGEST:
        raise BadServer.because(Fault.NO_NAME)
    if "://" in name or "/" in name:
        raise BadServer.because(Fault.NOT_ALONE)
    if CONTROL.search(name) or " " in name:
        raise BadServer.because(Fault.BLANKS)
    if is_address(name.strip("[]")):
        return _checked(name.strip("[]"))
    if ":" in name or "@" in name:
        raise BadServer.because(Fault.PORT_OR_USER)
    try:
        name = name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError as error:
        raise BadServer.because(Fault.NO_NAME) from error
    labels = name.rstrip(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise BadServer.because(Fault.NO_NAME)
    return name


def _checked(address: str) -> str:
    if forbidden(address):
        raise BadServer.because(Fault.FORBIDDEN)
    return address


def is_address(text: str) -> bool:
    """Whether `text` is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine, without asking DNS."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Pattern:
    """A server that users may name: a host, or all below one (`*.example.com`); a port, or the usual ones."""

    host: str
    port: int | None = None

    def fits(self, host: str, port: int) -> bool:
        name, below = host.lower().rstrip("."), self.host.removeprefix("*")
        is_named = name.endswith(below) if below != self.host else name == self.host
        return is_named and (port == self.port if self.port else port in USUAL_PORTS)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def parse_patterns(text: str) -> list[Pattern]:
    """One pattern per line; empty lines are left out.

    Raises:
        BadServer: a line is none; it says which.
    """
    return [_pattern(line.strip().lower()) for line in text.splitlines() if line.strip()]


def _pattern(line: str) -> Pattern:
    found = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", line)
    host, port = (found[1], found[2]) if found else (line, None)
    if is_address(line.strip("[]")):  # an IPv6 address without brackets
        host, port = line, None
    wildcard = "*." if host.startswith("*.") else ""
    try:
        name = server_name(host.removeprefix("*."))
    except BadServer as bad:
        raise BadServer(f"“{line}”: {bad}") from bad
    if wildcard and (is_address(name) or "." not in name):
        raise BadServer(f"“{line}”: after “*.” comes a domain, such as *.example.com.")
    if port is not None and not 1 <= int(port) <= 65535:
        raise BadServer(f"“{line}”: a port is a number from 1 to 65535.")
    return Pattern(wildcard + name.lower().rstrip("."), int(port) if port else None)


def is_listed(host: str, port: int, patterns: Iterable[Pattern]) -> bool:
    """Whether one of the patterns allows a server."""
    return any(pattern.fits(host, port) for pattern in patterns)


def sign_in_url(url: str) -> str:
    """The address of a sign-in server as it goes into the settings; "" stays "".

    Raises:
        BadServer: not https (http is for this machine alone), or a host that is none or is never connected to.
    """
    url = url.strip()
    if not url:
        return ""
    if len(url) > LONGEST_URL:
        raise BadServer(f"This address is longer than {LONGEST_URL} characters.")
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as error:
        raise BadServer("This is not an address such as https://login.example.com/oauth2/token.") from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not is_safe or not host or parts.username or CONTROL.search(url) or " " in url:
        raise BadServer("Enter an address that begins with https://, such as https://login.example.com/oauth2/token.")
    server_name(host)
    return url
