"""What names lead to in a test, and addresses where no one answers."""

import contextlib
import socket


class Names:
    """The addresses that `found` gives for a name, and which names were asked for."""

    def __init__(self, monkeypatch):
        self.found = {}
        self.asked = []
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host, port, *args, **options):
        if host not in self.found:
            return self.real(host, port, *args, **options)
        self.asked.append(host)
        if not self.found[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = []
        for address in self.found[host]:
            is_v6 = ":" in address
            family = socket.AF_INET6 if is_v6 else socket.AF_INET
            found.append((family, socket.SOCK_STREAM, 6, "", (address, port, 0, 0) if is_v6 else (address, port)))
        return found


@contextlib.contextmanager
def black_hole(address, port):
    """At this address a connection neither comes about nor is refused: the queue of the listener is full."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.ExitStack() as opened:
        listener = opened.enter_context(socket.socket(family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(0)
        for _ in range(4):
            filler = opened.enter_context(socket.socket(family))
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filler.connect((address, port))
        yield


def has_ipv6():
    """Whether this machine has an IPv6 loopback."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True
