"""Clients that take their time: the attack on the web server, as a script for the tests and for people.

    python -m tests.system.slow_clients http://127.0.0.1:8000 --idle 200 --header 20 --body 20 --reader 10

holds these connections open for `--seconds`, asks for /healthz meanwhile, and prints how long the slowest answer took.
"""

import argparse
import contextlib
import socket
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import urlsplit

HEADER = b"GET /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 3000
POST = (
    b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 5000\r\n\r\n"
)
READ = b"GET /static/vendor/bootstrap/bootstrap.min.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3
# kind: what is sent at once, and what is sent a byte at a time after it
KINDS = {
    "idle": (b"", b""),
    "header": (b"", HEADER),
    "body": (POST, b"x" * 4999),
    "stalled": (POST + b"username=", b""),
    "reader": (READ, b""),
}


class SlowClients:
    """Connections of these kinds, so many of each, for as long as the `with` lasts; `open` are those not closed yet."""

    def __init__(self, site, **numbers):
        parts = urlsplit(site)
        self.address = parts.hostname, parts.port
        self.numbers = numbers
        self.sockets = {}
        self.ended = threading.Event()

    def __enter__(self):
        for kind, number in self.numbers.items():
            for _ in range(number):
                client = socket.socket()
                if kind == "reader":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                client.settimeout(10)
                client.connect(self.address)
                client.sendall(KINDS[kind][0])
                client.setblocking(False)
                self.sockets[client] = (kind, iter(KINDS[kind][1]))
        self.thread = threading.Thread(target=self._drip)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.ended.set()
        self.thread.join()
        for client in self.sockets:
            client.close()

    def left(self, kind):
        """How many of a kind the server has not closed."""
        return sum(1 for each, _ in list(self.sockets.values()) if each == kind)

    def _drip(self):
        while not self.ended.wait(1):
            for client, (_kind, rest) in list(self.sockets.items()):
                try:
                    for byte in rest:
                        client.send(bytes([byte]))
                        break
                    if client.recv(1) == b"":
                        raise ConnectionResetError
                except BlockingIOError:
                    continue
                except OSError:
                    del self.sockets[client]
                    client.close()


def seconds_to_answer(site, path="/healthz", timeout=60.0, **header):
    """How long a page takes on a connection of its own; `timeout` when it does not come."""
    begun = time.monotonic()
    with contextlib.suppress(OSError):
        try:
            with urllib.request.urlopen(urllib.request.Request(site + path, headers=header), timeout=timeout) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            error.close()
        return time.monotonic() - begun
    return timeout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site")
    parser.add_argument("--seconds", type=float, default=10)
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int, default=0)
    options = parser.parse_args()
    with SlowClients(options.site, **{kind: getattr(options, kind) for kind in KINDS}) as clients:
        end, took = time.monotonic() + options.seconds, []
        while time.monotonic() < end:
            took.append(seconds_to_answer(options.site, timeout=30))
            time.sleep(0.2)
        print(f"/healthz: {len(took)} asked, slowest {max(took):.3f} s, median {sorted(took)[len(took) // 2]:.3f} s; "
              f"left open {len(clients.sockets)}")  # fmt: skip


if __name__ == "__main__":
    main()
