"""An SMTP server on loopback that takes everything and counts it, lean enough to be no one's limit.

    python -m benchmarks.sink [--port N] [--control-port N] [--latency MILLISECONDS] [--ledger]

Prints {"port", "control_port"} as one line of JSON. The control port answers each line with one of JSON: `read` (the
counters), `reset` (the counters, then from zero), `ledger` ([[Message-ID, recipient, times], ...]) and
`latency MILLISECONDS`. Only the standard library.

Latency is a network's: what answers a command leaves that long after the command came in. Commands that come in
together (RFC 2920) are answered together, that much later.
"""

import argparse
import asyncio
import contextlib
import json
import re
import socket
import sys
import time
from collections import Counter, deque
from dataclasses import asdict, dataclass, field
from typing import Any

EXTENSIONS = b"250-sink.invalid\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
END = b"\r\n.\r\n"
STUFFED = b"\r\n.."
HEADER_LIMIT = 65_536
LINE_LIMIT = 65_536
_ADDRESS = re.compile(rb"<([^>]*)>")
_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)


@dataclass
class Counters:
    """What came in since the last reset; times are time.monotonic(), which all processes of a machine share.

    `accepted` messages whose end of data came in, `octets` of their content without the stuffed dots, `transactions`
    MAIL commands.
    """

    connections: int = 0
    open_now: int = 0
    open_at_most: int = 0
    transactions: int = 0
    recipients: int = 0
    accepted: int = 0
    octets: int = 0
    first_data: float | None = None
    first_accept: float | None = None
    last_accept: float | None = None


@dataclass
class Sink:
    """The state that all connections share. `ledger` counts (Message-ID, recipient), or is None: not kept."""

    latency: float = 0.0
    counters: Counters = field(default_factory=Counters)
    ledger: Counter[tuple[str, str]] | None = None

    def reset(self) -> None:
        open_now = self.counters.open_now
        self.counters = Counters(open_now=open_now, open_at_most=open_now)
        if self.ledger is not None:
            self.ledger.clear()

    def answer(self, line: str) -> Any:
        """What the control port says to a command."""
        command, _, argument = line.partition(" ")
        if command == "read":
            return asdict(self.counters)
        if command == "reset":
            before = asdict(self.counters)
            self.reset()
            return before
        if command == "ledger":
            return [[*key, times] for key, times in (self.ledger or {}).items()]
        if command == "latency":
            self.latency = float(argument) / 1000
            return self.latency
        return {"error": f"unknown command {command!r}"}


class Conversation(asyncio.Protocol):
    """One SMTP connection."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.loop = asyncio.get_running_loop()
        self.unread = b""
        self.replies: deque[bytes] = deque()
        self.closing = False
        self._forget()

    def _forget(self) -> None:
        """The state between two transactions."""
        self.sender: bytes | None = None
        self.recipients: list[bytes] = []
        self.in_content = False
        self.header = b""
        self.tail = b""
        self.octets = 0

    # --- The transport ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        counters = self.sink.counters
        counters.connections += 1
        counters.open_now += 1
        counters.open_at_most = max(counters.open_at_most, counters.open_now)
        self._reply(b"220 sink.invalid ESMTP\r\n")

    def connection_lost(self, error: Exception | None) -> None:
        self.sink.counters.open_now -= 1

    def data_received(self, data: bytes) -> None:
        """Everything that came in together is answered together."""
        answer = b""
        data, self.unread = self.unread + data, b""
        while data and not self.closing:
            if self.in_content:
                reply, data = self._content(data)
            else:
                line, found, rest = data.partition(b"\n")
                if not found:
                    self.unread = data
                    if len(data) > LINE_LIMIT:
                        self.closing, reply = True, b"500 line too long\r\n"
                    break
                reply, data = self._command(line.rstrip(b"\r")), rest
            answer += reply
        if answer:
            self._reply(answer)

    def _reply(self, answer: bytes) -> None:
        self.replies.append(answer)
        if self.sink.latency:
            self.loop.call_later(self.sink.latency, self._say_next)
        else:
            self._say_next()

    def _say_next(self) -> None:
        """The oldest one: timers that end at the same moment may be called in any order."""
        reply = self.replies.popleft()
        if self.transport.is_closing():
            return
        self.transport.write(reply)
        if self.closing and not self.replies:
            self.transport.close()

    # --- The dialogue ----------------------------------------------------------------------------

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"MAIL":
            if self.sender is not None:
                return b"503 5.5.1 one at a time\r\n"
            self.sink.counters.transactions += 1
            self.sender = line
            return b"250 2.1.0 OK\r\n"
        if verb == b"RCPT":
            found = _ADDRESS.search(line)
            if self.sender is None or found is None:
                return b"503 5.5.1 MAIL first\r\n"
            self.recipients.append(found[1])
            return b"250 2.1.5 OK\r\n"
        if verb == b"DATA":
            return self._data()
        if verb == b"RSET":
            self._forget()
            return b"250 2.0.0 OK\r\n"
        if verb == b"EHLO":
            self._forget()
            return EXTENSIONS
        if verb == b"QUIT":
            self.closing = True
            return b"221 2.0.0 Bye\r\n"
        return b"250 OK\r\n" if verb in (b"HELO", b"NOOP") else b"502 5.5.2 what?\r\n"

    def _data(self) -> bytes:
        if not self.recipients:
            return b"503 5.5.1 RCPT first\r\n"
        if self.sink.counters.first_data is None:
            self.sink.counters.first_data = time.monotonic()
        self.in_content = True
        self.tail = b"\r\n"  # not counted: it says that the content starts at a line start
        return b"354 Go ahead\r\n"

    def _content(self, data: bytes) -> tuple[bytes, bytes]:
        """Take content; the reply to its end (or nothing yet) and what came in after it."""
        window = self.tail + data
        end = window.find(END)
        taken = window if end < 0 else window[: end + 2]
        # A dot is stuffed where a line starts with two; two that are the whole tail were counted with the last piece.
        stuffed = taken.count(STUFFED) - (self.tail == STUFFED)
        self.octets += len(taken) - len(self.tail) - stuffed
        if self.sink.ledger is not None and len(self.header) < HEADER_LIMIT:
            self.header += taken[len(self.tail) :][:HEADER_LIMIT]
        if end < 0:
            self.tail = window[-4:]
            return b"", b""
        self._accept()
        return b"250 2.0.0 taken\r\n", window[end + len(END) :]

    def _accept(self) -> None:
        counters = self.sink.counters
        now = time.monotonic()
        counters.accepted += 1
        counters.octets += self.octets
        counters.recipients += len(self.recipients)
        counters.last_accept = now
        if counters.first_accept is None:
            counters.first_accept = now
        if self.sink.ledger is not None:
            found = _MESSAGE_ID.search(self.header.partition(b"\r\n\r\n")[0])
            name = found[1].decode("utf-8", "replace") if found else ""
            for recipient in self.recipients:
                self.sink.ledger[name, recipient.decode("utf-8", "replace")] += 1
        self._forget()


class Control(asyncio.Protocol):
    """One connection to the control port."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            answer = self.sink.answer(line.decode("utf-8", "replace").strip())
            self.transport.write(json.dumps(answer).encode() + b"\n")


async def listen(sink: Sink, port: int = 0, control_port: int = 0) -> tuple[asyncio.Server, asyncio.Server]:
    """Open both ports on loopback; 0 takes a free one."""
    loop = asyncio.get_running_loop()
    return (
        await loop.create_server(lambda: Conversation(sink), "127.0.0.1", port, backlog=512),
        await loop.create_server(lambda: Control(sink), "127.0.0.1", control_port),
    )


async def main() -> None:
    parser = argparse.ArgumentParser(description="An SMTP server on loopback that takes everything and counts it.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds from each command to its reply")
    parser.add_argument("--ledger", action="store_true", help="keep how often each recipient got each Message-ID")
    options = parser.parse_args()
    sink = Sink(options.latency / 1000, ledger=Counter() if options.ledger else None)
    smtp, control = await listen(sink, options.port, options.control_port)
    ports = {"port": smtp.sockets[0].getsockname()[1], "control_port": control.sockets[0].getsockname()[1]}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.gather(smtp.serve_forever(), control.serve_forever())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
