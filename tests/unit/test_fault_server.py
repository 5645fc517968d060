"""The fault server itself: what tests of faults rely on."""

import socket
import time

import pytest

from tests.fault_server import ACCEPT, CLOSE, OK, RESET, SILENCE, Drip, FaultServer, Pause

MESSAGE = b"Message-ID: <1@t>\r\n\r\n..dot\r\n.\r\n"
ENVELOPE = b"MAIL FROM:<o@t> SIZE=9\r\nRCPT TO:<a@t>\r\nRCPT TO:<b@t>\r\nDATA\r\n"


class Wire:
    """A client that says octets as they are."""

    def __init__(self, server):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        self.replies = self.socket.makefile("rb")
        self.hear()

    def say(self, octets, *, one_by_one=False):
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(octets), 1 if one_by_one else len(octets)):
            self.socket.sendall(octets[start : start + 1] if one_by_one else octets)

    def hear(self, replies=1):
        """The codes of so many replies; "" for the end."""
        codes = []
        while len(codes) < replies:
            line = self.replies.readline()
            if line[3:4] != b"-":
                codes.append(line[:3].decode())
        return codes


@pytest.mark.parametrize("one_by_one", [False, True], ids=["one segment", "byte by byte"])
def test_group_of_commands_is_answered_in_order_however_it_arrives(one_by_one):
    with FaultServer() as server:
        server.at("RCPT", "550 5.1.1 no such user", recipient="b@t")
        wire = Wire(server)
        for _ in range(2):
            wire.say(ENVELOPE, one_by_one=one_by_one)
            assert wire.hear(4) == ["250", "250", "550", "354"]
            wire.say(MESSAGE, one_by_one=one_by_one)
            assert wire.hear() == ["250"]
        assert server.ledger == {("<1@t>", "a@t"): 2}
        assert [message.content for message in server.accepted] == [b"Message-ID: <1@t>\r\n\r\n.dot\r\n"] * 2
        assert server.violations == []


@pytest.mark.parametrize("one_by_one", [False, True], ids=["one segment", "byte by byte"])
@pytest.mark.parametrize("at_data", ["554 5.5.1 no valid recipients", "503 5.5.1 RCPT first", "354 go"])
def test_without_an_accepted_recipient_nothing_is_taken(at_data, one_by_one):
    with FaultServer(data_without_recipients=at_data) as server:
        server.at("RCPT", "550 5.1.1 no such user")
        wire = Wire(server)
        wire.say(ENVELOPE, one_by_one=one_by_one)
        assert wire.hear(4) == ["250", "550", "550", at_data[:3]]
        if at_data.startswith("354"):
            wire.say(b".\r\n", one_by_one=one_by_one)
            assert wire.hear() == ["554"]
            assert server.transactions[0].content == b""
        assert not server.ledger


@pytest.mark.parametrize("pipelining", [True, False])
def test_refused_mail_is_followed_by_refusals(pipelining):
    with FaultServer(pipelining=pipelining) as server:
        server.at("MAIL", ["550 5.7.1 no"])
        wire = Wire(server)
        for line, code in zip(ENVELOPE.splitlines(keepends=True), ["550", "503", "503", "503"], strict=True):
            wire.say(line)
            assert wire.hear() == [code]


def test_pipelining_that_was_not_offered_is_a_violation():
    with FaultServer(pipelining=False) as server:
        wire = Wire(server)
        wire.say(ENVELOPE)
        assert wire.hear(4) == ["250", "250", "250", "354"]
        assert server.violations


@pytest.mark.parametrize("too_early", [ENVELOPE + MESSAGE, b"EHLO t\r\nMAIL FROM:<o@t>\r\n", b"QUIT\r\nNOOP\r\n"])
def test_what_must_be_last_in_a_group_is_a_violation_elsewhere(too_early):
    with FaultServer() as server:
        wire = Wire(server)
        wire.say(too_early)
        wire.hear()
        while not server.violations:
            wire.hear()


@pytest.mark.parametrize(
    ("behaviour", "accepted", "heard"),
    [
        (OK, True, "250"),
        ("451 4.3.0 later", False, "451"),
        ("250-a\n250 b", True, "250"),
        (b"250 \xff\r\n", True, "250"),
        (CLOSE, False, ""),
        ((ACCEPT, CLOSE), True, ""),
        ((ACCEPT, "421 4.3.0 bye", CLOSE), True, "421"),
        (Drip("250 ok", seconds=0.001), True, "250"),
        ((Pause(0.01), OK, CLOSE), True, "250"),
        (lambda: "554 no", False, "554"),
        (lambda: None, True, "250"),
    ],
)
def test_ledger_holds_what_was_decided_not_what_was_said(behaviour, accepted, heard):
    with FaultServer() as server:
        server.at("END", behaviour)
        wire = Wire(server)
        wire.say(ENVELOPE)
        wire.hear(4)
        wire.say(MESSAGE)
        assert wire.hear() == [heard]
        assert sum(server.ledger.values()) == (2 if accepted else 0)


def test_silence_lasts_until_the_client_leaves():
    with FaultServer() as server:
        server.at("END", (ACCEPT, SILENCE))
        wire = Wire(server)
        wire.say(ENVELOPE)
        wire.hear(4)
        wire.say(MESSAGE)
        wire.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            wire.hear()
        assert (len(server.accepted), server.live) == (1, 1)
        wire.socket.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + 5
        while server.live and time.monotonic() < end:
            time.sleep(0.01)
        assert server.live == 0


def test_reset_is_an_rst():
    with FaultServer() as server:
        server.at("MAIL", RESET)
        wire = Wire(server)
        wire.say(b"MAIL FROM:<o@t>\r\n")
        with pytest.raises(ConnectionResetError):
            wire.hear()


def test_behaviours_of_a_list_are_used_up():
    with FaultServer() as server:
        server.at("MAIL", ["451 later", OK, "550 no"])
        wire = Wire(server)
        heard = []
        for _ in range(4):
            wire.say(b"MAIL FROM:<o@t>\r\nRSET\r\n")
            heard.append(wire.hear(2)[0])
        assert heard == ["451", "250", "550", "250"]


def test_limits():
    with FaultServer(connections=1, messages=1, recipients=1, size=100) as server:
        wire = Wire(server)
        wire.say(b"MAIL FROM:<o@t> SIZE=101\r\n")
        assert wire.hear() == ["552"]
        wire.say(ENVELOPE)
        assert wire.hear(4) == ["250", "250", "452", "354"]
        wire.say(b"Message-ID: <1@t>\r\n\r\n" + b"x" * 100 + b"\r\n.\r\n")
        assert wire.hear() == ["552"]
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as second:
            assert second.recv(3) == b"421"
        wire.say(b"MAIL FROM:<o@t>\r\n")
        assert wire.hear(2) == ["421", ""]
        assert not server.ledger
        assert server.most_at_once == 2


def test_refused_port_comes_back():
    with FaultServer(refuses=True) as server:
        with pytest.raises(ConnectionRefusedError):
            Wire(server)
        server.listen()
        Wire(server)
