"""Where this server may connect to: a name is resolved once, and only the addresses that were checked are used.

A person who may name a server must not reach what only this machine can: metadata services of clouds hand out its keys
to anyone who asks from here (server-side request forgery).

Of several addresses the next one is tried as soon as one keeps us waiting (RFC 8305), and what did not work is tried
last for a while.
"""

import errno
import ipaddress
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from itertools import zip_longest
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Checked = tuple[socket.AddressFamily, Any]  # a family, and an address as its sockets take it: host first, then port
Passed = Callable[[Checked, OSError], None]

# Metadata services outside link-local: Alibaba, Azure's wire server, Oracle, AWS and Google over IPv6.
METADATA = [
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
]
# A name with any number of addresses must not keep anyone waiting for any time.
MOST_ADDRESSES = 8
# How long one address is waited for before the next one is tried beside it (RFC 8305 5 and 8).
HEAD_START = 0.25
UNWELL_SECONDS = 600.0
MOST_UNWELL = 1000
# IPv6 prefixes before an IPv4 address: RFC 6052, RFC 8215 (the last 32 bits of its usual /96), RFC 4291, RFC 2765.
BEFORE_IPV4 = [ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/96", "::/96", "::ffff:0:0:0/96")]


class RefusedAddress(OSError):
    """A name leads to addresses that no one may connect to, such as `address`."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} points to {address}, which Outtray never connects to")
        self.host = host
        self.address = address


class Remembered:
    """What was met lately, each thing for `seconds` and at most so many; for all threads of this process."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds = seconds
        self.most = most
        self._until: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    def note(self, thing: Hashable) -> None:
        """Remember it from now on; the oldest thing goes where there are too many."""
        with self._lock:
            self._until.pop(thing, None)
            self._until[thing] = time.monotonic() + self.seconds
            while len(self._until) > self.most:
                del self._until[next(iter(self._until))]

    def forget(self, thing: Hashable) -> None:
        """It is as if it had never been met."""
        with self._lock:
            self._until.pop(thing, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._until.clear()

    def __contains__(self, thing: Hashable) -> bool:
        return self._until.get(thing, 0.0) > time.monotonic()


# Addresses that did not answer in time, refused, or did not get as far as serving us.
unwell = Remembered(UNWELL_SECONDS, MOST_UNWELL)


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """Connect to the first address of `host` that answers (see connect_to).

    Raises:
        RefusedAddress: it has none that may be connected to.
        OSError: none answers, or the name is not known (socket.gaierror).
    """
    addresses = well_first(checked_addresses(host, port))
    return connect_to(addresses, seconds, lambda address, error: unwell.note(address))


def well_first(addresses: Iterable[Checked]) -> list[Checked]:
    """The addresses in their order, but those last that did not work lately."""
    return sorted(addresses, key=unwell.__contains__)


def connect_to(
    addresses: Iterable[Checked], seconds: float, passed: Passed = lambda address, error: None
) -> socket.socket:
    """Connect to the first of some checked addresses that answers, as `connect_to_one_of` does."""
    return connect_to_one_of(addresses, seconds, passed)[1]


def connect_to_one_of(
    addresses: Iterable[Checked], seconds: float, passed: Passed = lambda address, error: None
) -> tuple[Checked, socket.socket]:
    """Connect to the first of some checked addresses that answers, each given `seconds`; which one, and the connection.

    They are begun in their order: the next one when the one before failed, or has not answered within HEAD_START.
    `passed` is told which ones failed, and which were slower than one that was begun later.

    Raises:
        OSError: none answers; the error that says most.
    """
    return _Race(addresses, seconds, passed).run()


class Slower(TimeoutError):
    """An address had not answered when another one, which was begun later, did."""


class _Race:
    """Connections that are begun one after the other; the first that comes about wins, and the others are closed."""

    def __init__(self, addresses: Iterable[Checked], seconds: float, passed: Passed) -> None:
        self.waiting = list(addresses)
        self.seconds = seconds
        self.passed = passed
        self.begun: dict[socket.socket, tuple[Checked, float]] = {}  # in their order, and when each is given up
        self.next_at = 0.0
        self.errors: list[OSError] = []

    def run(self) -> tuple[Checked, socket.socket]:
        try:
            with selectors.DefaultSelector() as self.selector:
                while self.waiting or self.begun:
                    is_turn = self.waiting and (not self.begun or time.monotonic() >= self.next_at)
                    winner = self._begin(self.waiting.pop(0)) if is_turn else self._wait()
                    if winner is not None:
                        return winner
        finally:
            for sock in self.begun:
                sock.close()
        raise max(self.errors, key=_telling, default=OSError("no address to connect to"))

    def _begin(self, address: Checked) -> tuple[Checked, socket.socket] | None:
        try:
            sock = socket.socket(address[0], socket.SOCK_STREAM)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:  # this machine can open no socket at all
                raise
            self._fail(address, error)
            return None
        self.begun[sock] = address, time.monotonic() + self.seconds
        self.next_at = time.monotonic() + HEAD_START
        sock.setblocking(False)
        try:
            sock.connect(address[1])
        except BlockingIOError:
            self.selector.register(sock, selectors.EVENT_WRITE)
            return None
        except OSError as error:
            self._drop(sock, error)
            return None
        return self._won(sock)

    def _wait(self) -> tuple[Checked, socket.socket] | None:
        """Until one of them comes about or fails, is given up, or it is the next one's turn."""
        until = min(given_up for _, given_up in self.begun.values())
        if self.waiting:
            until = min(until, self.next_at)
        ready = self.selector.select(max(until - time.monotonic(), 0.0))
        for sock in [key.fileobj for key, _ in ready]:
            assert isinstance(sock, socket.socket)
            self.selector.unregister(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return self._won(sock)
            self._drop(sock, OSError(code, os.strerror(code)))
        late = [sock for sock, (_, given_up) in self.begun.items() if given_up <= time.monotonic()]
        for sock in late:
            self.selector.unregister(sock)
            self._drop(sock, TimeoutError("no answer in time"))
        return None

    def _won(self, winner: socket.socket) -> tuple[Checked, socket.socket]:
        earlier = list(self.begun)[: list(self.begun).index(winner)]
        for sock in earlier:
            self.passed(self.begun[sock][0], Slower("no answer so far"))
        address, _ = self.begun.pop(winner)
        winner.settimeout(self.seconds)
        return address, winner

    def _drop(self, sock: socket.socket, error: OSError) -> None:
        address, _ = self.begun.pop(sock)
        sock.close()
        self._fail(address, error)

    def _fail(self, address: Checked, error: OSError) -> None:
        self.errors.append(error)
        self.passed(address, error)


def _telling(error: OSError) -> int:
    """How much an error says: a server that refuses is there; one that is silent may be."""
    return 2 if isinstance(error, ConnectionRefusedError) else 1 if isinstance(error, TimeoutError) else 0


def checked_addresses(host: str, port: int) -> list[Checked]:
    """The first few addresses of `host` that may be connected to, as (family, socket address).

    They are in the system's order, but one family after the other in turn (RFC 8305 4).

    Raises:
        RefusedAddress: there are none but forbidden ones.
        OSError: the name is not known (socket.gaierror).
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    checked: list[Checked] = [(family, address) for family, _, _, _, address in found if not forbidden(str(address[0]))]
    if not checked:
        raise RefusedAddress(host, str(found[0][4][0]))
    first = [each for each in checked if each[0] == checked[0][0]]
    other = [each for each in checked if each[0] != checked[0][0]]
    in_turn = [each for pair in zip_longest(first, other) for each in pair if each is not None]
    return list(dict.fromkeys(in_turn))[:MOST_ADDRESSES]


def address_literal(sock: socket.socket) -> str:
    """This machine's own address on a connection, as EHLO gives it in the place of a name (RFC 5321 4.1.3, 4.1.4)."""
    own = ipaddress.ip_address(str(sock.getsockname()[0]).partition("%")[0])
    ip = own.ipv4_mapped or own if isinstance(own, ipaddress.IPv6Address) else own
    return f"[IPv6:{ip}]" if isinstance(ip, ipaddress.IPv6Address) else f"[{ip}]"


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
