"""The loop of a web process, in this one."""

import contextlib
import errno
import select
import socket
import threading

import pytest
from waitress import wasyncore

from config import server

MOST = 20


@pytest.fixture
def port():
    """Of a server with room for MOST connections; /slow is answered when the test is over."""
    over, connections = threading.Event(), {}

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            over.wait(20)
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.setblocking(False)
        threads = server._threads(8, server.Queue(6, 4))
        server.Server(
            application, connections, True, listening, threads, server._adjustments(8), bind_socket=False,
            watch=server.Watch(20), most=MOST,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
        )  # fmt: skip

        def run():
            while not over.is_set():
                wasyncore.loop(0.05, use_poll=True, map=connections, count=1)

        loop = threading.Thread(target=run)
        loop.start()
        yield listening.getsockname()[1]
        over.set()
        loop.join()
        threads.shutdown()
        wasyncore.close_all(connections)


def ask(sockets, port, address, path):
    client = sockets.enter_context(socket.create_connection(("127.0.0.1", port), 10, (address, 0)))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return client


def test_where_all_connections_have_a_request_a_new_one_is_served(port):
    with contextlib.ExitStack() as sockets:
        for _ in range(MOST):
            ask(sockets, port, "127.0.0.9", "/slow")
        threading.Event().wait(0.5)
        for _ in range(5):
            assert ask(sockets, port, "127.0.0.2", "/").recv(100).startswith(b"HTTP/1.1 200")


def test_where_no_file_is_left_for_a_new_connection_one_without_a_request_goes(port, monkeypatch):
    def accept(listening):
        raise OSError(errno.EMFILE, "Too many open files")

    with contextlib.ExitStack() as sockets:
        idle = [sockets.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(MOST)]
        threading.Event().wait(0.3)
        monkeypatch.setattr(server.Server, "accept", accept)
        sockets.enter_context(socket.create_connection(("127.0.0.1", port), 10))
        readable, _, _ = select.select(idle, [], [], 5)
        assert [each.recv(1) for each in readable] == [b""]
