"""Whether a certificate is for a host, as OpenSSL decides it: words must not say otherwise than the handshake did.

What counts is X509_check_host and X509_check_ip of OpenSSL 3 as Python's ssl calls them: wildcards only as a whole
first label, and the common name only where no alternative name is a host name (RFC 6125 6.4 with what OpenSSL adds).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from messaging.content import mime

from .servers import LONGEST

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
# At least two labels behind the star; a longer pattern than any host name is none.
_WILDCARD = re.compile(rf"\*(?P<rest>(?:\.{_LABEL}){{2,}})")
_STANDS_FOR = re.compile(r"[A-Za-z0-9-]+|\*")


@dataclass(frozen=True)
class CertifiedNames:
    """The names in a certificate: host names and addresses of its alternative names, and its common names."""

    hosts: tuple[str, ...] = ()
    addresses: tuple[Address, ...] = ()
    common: tuple[str, ...] = ()

    @property
    def counting(self) -> tuple[str, ...]:
        """The host names that count: a common name only where there is no other."""
        return self.hosts or self.common

    @property
    def readable(self) -> tuple[str, ...]:
        """All that counts, in words that deceive no one; a common name that is no name of a host is left out."""
        names = self.hosts or [name for name in self.common if not re.search(r"\s", name)]
        return tuple(dict.fromkeys([*map(mime.undeceptive, names), *map(str, self.addresses)]))

    def fit(self, host: str) -> bool:
        """Whether they are for a host, which is a name (IDN as it is or as A-labels) or an address."""
        address = as_address(host)
        if address is not None:
            return address in self.addresses
        if len(host) > LONGEST:
            return False
        try:
            ascii_host = host.rstrip(".").encode("idna").decode("ascii")
        except UnicodeError:
            return False
        return any(_fits(pattern, ascii_host) for pattern in self.counting)


def as_address(host: str) -> Address | None:
    """The address that a host is; None where it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]").rstrip("."))
    except ValueError:
        return None


def is_wildcard(name: str) -> bool:
    """Whether a name with a star stands for others, and not only for itself."""
    return _WILDCARD.fullmatch(name) is not None


def usable(names: Sequence[str]) -> list[str]:
    """Those of some names that can be entered as a server: their certificate is for them."""
    return [name for name in names if "*" not in name and as_address(name) is None and name.strip(".") == name != ""]


def _fits(pattern: str, host: str) -> bool:
    wildcard = _WILDCARD.fullmatch(pattern)
    if wildcard is None:
        return _lower(pattern) == _lower(host) and "\0" not in pattern
    rest = wildcard["rest"]
    label, tail = host[: -len(rest)], host[-len(rest) :]
    return _lower(tail) == _lower(rest) and _STANDS_FOR.fullmatch(label) is not None


def _lower(text: str) -> str:
    """In lower case as far as it is ASCII: nothing else is folded."""
    return re.sub("[A-Z]+", lambda found: found[0].lower(), text)
