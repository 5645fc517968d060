"""Where this server may connect to: a name is resolved once, and only the addresses that were checked are used.

Whoever may name a server must not reach what only this machine can: metadata services of clouds hand out its keys to
whoever asks from here (server-side request forgery).
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Checked = tuple[socket.AddressFamily, Any]  # a family, and an address as its sockets take it: host first, then port

# Metadata services outside link-local: Alibaba, Azure's wire server, Oracle, AWS and Google over IPv6.
METADATA = [
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
]
# A name with any number of addresses must not keep anybody waiting for any time.
MOST_ADDRESSES = 8
# IPv6 prefixes before an IPv4 address: RFC 6052, RFC 8215 (the last 32 bits of its usual /96), RFC 4291, RFC 2765.
BEFORE_IPV4 = [ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/96", "::/96", "::ffff:0:0:0/96")]


class RefusedAddress(OSError):
    """A name leads to addresses that nobody may connect to, such as `address`."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} leads to {address}, which is never connected to")
        self.host = host
        self.address = address


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to the first address of `host` that answers, each given `seconds`.

    Raises:
        RefusedAddress: it has none that may be connected to.
        OSError: none answers (the last one's error), or the name is not known (socket.gaierror).
    """
    return connect_to(checked_addresses(host, port), seconds)


def connect_to(addresses: Iterable[Checked], seconds: float) -> socket.socket:
    """Connect to the first of some checked addresses that answers, each given `seconds`.

    Raises:
        OSError: none answers; the last one's error.
    """
    last: OSError | None = None
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(seconds)
            sock.connect(address)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    raise last or OSError("no address to connect to")


def checked_addresses(host: str, port: int) -> list[Checked]:
    """The first few addresses of `host` that may be connected to, as (family, socket address), in the system's order.

    Raises:
        RefusedAddress: there are none but forbidden ones.
        OSError: the name is not known (socket.gaierror).
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    checked: list[Checked] = [(family, address) for family, _, _, _, address in found if not forbidden(str(address[0]))]
    if not checked:
        raise RefusedAddress(host, str(found[0][4][0]))
    return checked[:MOST_ADDRESSES]


def forbidden(address: str) -> bool:
    """Whether an IP address is link-local, a metadata service, or none that a server can have."""
    ip = _plain(ipaddress.ip_address(address))
    return ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip in METADATA or ip == _BROADCAST


_BROADCAST = ipaddress.ip_address("255.255.255.255")
_LOOPBACK = ipaddress.IPv6Address("::1")


def _plain(ip: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if any(ip in prefix for prefix in BEFORE_IPV4) and ip > _LOOPBACK:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
