"""An SMTP server on loopback that does wrong what a test tells it to, and keeps a ledger of what it accepted.

A test reads like the fault:

    with FaultServer(pipelining=True) as server:
        server.at("RCPT", "550 5.1.1 no such user", recipient="b@example.com")  # each time
        server.at("END", ["451 4.3.0 try later"])                               # once, then as usual
        server.at("END", (ACCEPT, CLOSE))                                       # takes it, hangs up without a word
        server.at("GREETING", Drip("220 hello", seconds=0.05))

Stages, in their order: GREETING, EHLO, HELO, STARTTLS, HANDSHAKE, AUTH, MAIL, RCPT, DATA, CONTENT (the first octets of
it have come), END (the lone dot), BETWEEN (unasked, after the reply to the dot), RSET, QUIT.

A behaviour is OK (as usual), a reply (lines parted by "\\n"), bytes sent as they are, one of ACCEPT, CLOSE, RESET and
SILENCE, a Drip, a Pause, a function that is called in a thread of its own and returns a behaviour, or a tuple of these
done one after another. A list is used up one by one, then all is as usual.

The server is strict where RFC 2920 is: what a client may not pipeline, and what it pipelines unasked, is written to
`violations`.
"""

import asyncio
import base64
import email
import json
import socket
import ssl
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field


class Step:
    """Something a server does instead of replying, or beside it."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


OK = None
ACCEPT = Step("ACCEPT")  # at END: decide to accept, say nothing
CLOSE = Step("CLOSE")
RESET = Step("RESET")  # the connection, with RST
SILENCE = Step("SILENCE")  # until the client hangs up


@dataclass(frozen=True)
class Drip:
    """A reply of a byte every so many seconds."""

    reply: str
    seconds: float = 0.02


@dataclass(frozen=True)
class Pause:
    """Nothing for so many seconds, then the next step."""

    seconds: float


@dataclass
class Transaction:
    """One message of which some content came, or all of it (`ended`); `wire` is it, after a CRLF."""

    connection: int
    reverse_path: str
    parameters: str
    recipients: list[str] = field(default_factory=list)
    wire: bytearray = field(default_factory=bytearray)
    octets: int = 0
    ended: bool = False
    accepted: bool = False

    @property
    def content(self):
        """Without the stuffed dots (RFC 5321 4.5.2)."""
        return bytes(self.wire).replace(b"\r\n.", b"\r\n")[2:]

    @property
    def message_id(self):
        return email.message_from_bytes(self.content.partition(b"\r\n\r\n")[0])["Message-ID"]


class Ended(Exception):
    """The connection is over."""


class FaultServer:
    """Serves on a free port of 127.0.0.1, or where it is told, in a thread of its own.

    Args:
        pipelining, smtputf8, eightbit, auth, size: what EHLO advertises; `size` is enforced, too.
        esmtp: False knows HELO only.
        tls: a context to offer STARTTLS with; with `implicit`, TLS from the first byte.
        connections: at once; one more is greeted with 421.
        messages: per connection; at one more MAIL there is a 421.
        recipients: per message; one more is answered with 452.
        takes_token: asked (user, token) at AUTH XOAUTH2 and OAUTHBEARER; without it any token is good.
        data_without_recipients: the reply to DATA when no recipient was accepted. RFC 2920 3.1 allows 354, too; the
            lone dot is then answered with 554.
        keep: octets of each content that are kept.
        refuses: the port is closed until `listen`.
        address, port: where it serves; port 0 is a free one.
    """

    def __init__(
        self, *, pipelining=True, smtputf8=True, eightbit=True, auth=(), size=None, esmtp=True, tls=None,
        implicit=False, connections=None, messages=None, recipients=None, takes_token=lambda user, token: True,
        data_without_recipients="554 5.5.1 no valid recipients", keep=1 << 24, refuses=False,
        address="127.0.0.1", port=0,
    ):  # fmt: skip
        self.pipelining, self.smtputf8, self.eightbit = pipelining, smtputf8, eightbit
        self.auth, self.size, self.esmtp = auth, size, esmtp
        self.tls, self.implicit = tls, implicit
        self.most_connections, self.most_messages, self.most_recipients = connections, messages, recipients
        self.data_without_recipients = data_without_recipients
        self.keep, self.refuses = keep, refuses
        self.takes_token = takes_token
        self.address, self.port = address, port
        self.script = {}
        self.transactions = []
        self.commands = []  # (number of the connection, line)
        self.violations = []
        self.connections = self.live = self.most_at_once = 0

    # --- What a test says and asks -------------------------------------------------------------

    def at(self, stage, behaviour, recipient=""):
        """At this stage (and for this recipient) do that."""
        self.script[stage, recipient] = list(behaviour) if isinstance(behaviour, list) else behaviour

    def mend(self):
        """From now on all is as usual, for what is to come."""
        self.script.clear()

    def listen(self):
        """Come back after `refuses`."""
        self.socket.listen()
        self.loop.call_soon_threadsafe(lambda: self.tasks.append(self.loop.create_task(self._serve())))

    @property
    def ledger(self):
        """How often each (Message-ID, recipient) was accepted; a 250 that was never delivered counts."""
        taken = (message for message in self.transactions if message.accepted)
        return Counter((message.message_id, recipient) for message in taken for recipient in message.recipients)

    @property
    def accepted(self):
        return [message for message in self.transactions if message.accepted]

    def heard(self, word):
        """The lines that began with this command word."""
        return [line for _, line in self.commands if line.upper().startswith(word)]

    # --- Life ----------------------------------------------------------------------------------

    def __enter__(self):
        self.socket = socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # a client soon notices that no one reads
        self.socket.bind((self.address, self.port))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.tasks = []
        self.thread = threading.Thread(target=self.loop.run_forever, name="fault server", daemon=True)
        self.thread.start()
        if not self.refuses:
            self.listen()
        return self

    def __exit__(self, *error):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
        self.socket.close()

    async def _stop(self):
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _serve(self):
        while True:
            accepted, _ = await self.loop.sock_accept(self.socket)
            self.connections += 1
            self.tasks.append(self.loop.create_task(self._converse(accepted, self.connections)))

    async def _converse(self, accepted, number):
        self.live += 1
        self.most_at_once = max(self.most_at_once, self.live)
        session = Session(self, number)
        try:
            await session.open(accepted)
            await session.converse()
        except (Ended, OSError, ssl.SSLError):
            pass
        finally:
            self.live -= 1
            session.close()

    def planned(self, stage, recipient):
        """The behaviour for this time."""
        for key in ((stage, recipient), (stage, "")):
            if key in self.script:
                behaviour = self.script[key]
                if not isinstance(behaviour, list):
                    return behaviour
                if behaviour:
                    return behaviour.pop(0)
        return OK


class Session:
    """One connection."""

    def __init__(self, server, number):
        self.server = server
        self.number = number
        self.loop = server.loop
        self.unread = b""
        self.transaction = None
        self.messages = 0
        self.is_secure = False
        self.transport = None

    async def open(self, accepted):
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = asyncio.StreamReader()
        self.protocol = asyncio.StreamReaderProtocol(self.reader)
        implicit = self.server.implicit and ("HANDSHAKE", "") not in self.server.script
        self.transport, _ = await self.loop.connect_accepted_socket(
            lambda: self.protocol, accepted, ssl=self.server.tls if implicit else None
        )
        self.is_secure = implicit
        if self.server.implicit and not implicit:
            await self._break_handshake()

    def close(self):
        if self.transport is not None:
            self.transport.close()

    # --- The dialogue --------------------------------------------------------------------------

    async def converse(self):
        most = self.server.most_connections
        if most and self.server.live > most:
            self._write(b"421 4.7.0 too many connections at once\r\n")
            raise Ended
        await self._do("GREETING", "220 fault.example ESMTP")
        while True:
            line = await self._line()
            self.server.commands.append((self.number, line))
            word = line[:4].upper()
            self._note_pipelining(word)
            await getattr(self, f"_{word.lower()}", self._unheard_of)(line)

    def _note_pipelining(self, word):
        if self.unread and not (self.server.pipelining and word in ("MAIL", "RCPT", "RSET")):
            self.server.violations.append(f"more was sent before the reply to {word}")

    async def _unheard_of(self, line):
        self._write(b"500 5.5.2 what?\r\n")

    async def _ehlo(self, line):
        self.transaction = None
        if not self.server.esmtp:
            await self._do("EHLO", "502 5.5.1 HELO only")
            return
        server = self.server
        offered = {
            "PIPELINING": server.pipelining,
            "8BITMIME": server.eightbit,
            "SMTPUTF8": server.smtputf8,
            f"SIZE {server.size}": server.size,
            "STARTTLS": server.tls and not self.is_secure,
            f"AUTH {' '.join(server.auth)}": server.auth,
        }
        words = ["fault.example", *(name for name, is_offered in offered.items() if is_offered)]
        await self._do("EHLO", "\n".join([*(f"250-{name}" for name in words[:-1]), f"250 {words[-1]}"]))

    async def _helo(self, line):
        await self._do("HELO", "250 fault.example")

    async def _star(self, line):
        if not await self._do("STARTTLS", "220 2.0.0 go"):
            return
        if ("HANDSHAKE", "") in self.server.script:
            await self._break_handshake()
        self.unread = b""
        self.transport = await self.loop.start_tls(self.transport, self.protocol, self.server.tls, server_side=True)
        self.is_secure = True

    async def _break_handshake(self):
        await self._some()
        await self._do("HANDSHAKE", "")
        raise Ended

    async def _auth(self, line):
        """Takes any user name and password; what is wrong with them is for the test to say."""
        mechanism = line.split()[1].upper()
        if mechanism in ("XOAUTH2", "OAUTHBEARER"):
            await self._token(mechanism, line)
            return
        challenges = {"LOGIN": ["VXNlcm5hbWU6", "UGFzc3dvcmQ6"], "CRAM-MD5": ["PDFAZmF1bHQ+"]}.get(mechanism, [])
        for challenge in challenges:
            if await self._do("AUTH", f"334 {challenge}") != "3":
                return
            await self._line()
        while await self._do("AUTH", "235 2.7.0 welcome") == "3":
            if await self._line() == "*":
                self._write(b"501 5.7.0 cancelled\r\n")
                return

    async def _token(self, mechanism, line):
        """Google's XOAUTH2 and RFC 7628: what is wrong is told in JSON, and the client owes an answer to that."""
        words = dict(part.partition("=")[::2] for part in base64.b64decode(line.split()[2]).decode().split("\1"))
        user = words.get("user") or words["n,a"].rstrip(",")
        kind, _, token = words["auth"].partition(" ")
        if kind == "Bearer" and self.server.takes_token(user, token):
            await self._do("AUTH", "235 2.7.0 welcome")
            return
        reason = json.dumps({"status": "400", "schemes": "Bearer", "scope": "https://mail.google.com/"})
        if await self._do("AUTH", f"334 {base64.b64encode(reason.encode()).decode()}") == "3":
            answer = await self._line()
            is_owed = answer == ("" if mechanism == "XOAUTH2" else "AQ==")
            self._write(b"535 5.7.8 not accepted\r\n" if is_owed else b"501 5.5.2 cannot decode\r\n")

    async def _mail(self, line):
        path, _, parameters = line.partition(":")[2].strip().partition(" ")
        most = self.server.most_messages
        if most and self.messages >= most:
            self._write(b"421 4.7.0 enough messages on this connection\r\n")
            raise Ended
        declared = [word[5:] for word in parameters.split() if word.upper().startswith("SIZE=")]
        too_big = self.server.size and declared and int(declared[0]) > self.server.size
        usual = "552 5.3.4 too big" if too_big else "250 2.1.0 ok"
        is_ok = await self._do("MAIL", usual) == "2"
        self.transaction = Transaction(self.number, path.strip("<>"), parameters) if is_ok else None

    async def _rcpt(self, line):
        address = line.partition("<")[2].rpartition(">")[0]
        most = self.server.most_recipients
        if self.transaction is None:
            self._write(b"503 5.5.1 MAIL first\r\n")
        elif most and len(self.transaction.recipients) >= most:
            self._write(b"452 4.5.3 too many recipients\r\n")
        elif await self._do("RCPT", "250 2.1.5 ok", address) == "2":
            self.transaction.recipients.append(address)

    async def _data(self, line):
        if self.transaction is None:
            self._write(b"503 5.5.1 MAIL first\r\n")
            return
        usual = "354 go" if self.transaction.recipients else self.server.data_without_recipients
        if await self._do("DATA", usual) != "3":
            return
        transaction, self.transaction = self.transaction, None
        self.server.transactions.append(transaction)
        await self._content(transaction)
        self.messages += 1
        if not transaction.recipients:
            self._write(b"554 5.5.1 no valid recipients\r\n")
            return
        too_big = self.server.size and transaction.octets > self.server.size
        await self._do("END", "552 5.3.4 too big" if too_big else "250 2.0.0 taken", transaction=transaction)
        await self._do("BETWEEN", "")

    async def _content(self, transaction):
        window = b"\r\n"  # the lone dot may be the first line
        if not self.unread:
            self.unread = await self._some()
        await self._do("CONTENT", "")
        while (end := (window := window + self.unread).find(b"\r\n.\r\n")) < 0:
            self._keep(transaction, window[:-4])
            window, self.unread = window[-4:], await self._some()
        self._keep(transaction, window[: end + 2])
        transaction.octets -= 2
        transaction.ended = True
        self.unread = window[end + 5 :]

    def _keep(self, transaction, octets):
        transaction.octets += len(octets)
        transaction.wire += octets[: max(0, self.server.keep - len(transaction.wire))]

    async def _rset(self, line):
        self.transaction = None
        await self._do("RSET", "250 2.0.0 ok")

    async def _noop(self, line):
        self._write(b"250 2.0.0 ok\r\n")

    async def _quit(self, line):
        await self._do("QUIT", "221 2.0.0 bye")
        raise Ended

    # --- Behaviours ----------------------------------------------------------------------------

    async def _do(self, stage, usual, recipient="", transaction=None):
        """Do what is planned, or what is usual; the first digit of the reply, "" when there was none.

        What a message becomes is decided before anything of it is said.
        """
        behaviour = self.server.planned(stage, recipient)
        if callable(behaviour):
            behaviour = await self.loop.run_in_executor(None, behaviour)
        steps = behaviour if isinstance(behaviour, tuple) else (behaviour,)
        steps = [usual if step is OK else step for step in steps]
        digit = next((text[0] for text in map(_text, steps) if text), "")
        if transaction is not None:
            transaction.accepted = ACCEPT in steps or digit == "2"
        for step in steps:
            await self._step(step)
        return digit

    async def _step(self, step):
        if step is CLOSE:
            raise Ended
        if step is RESET:
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            self.transport.abort()
            raise Ended
        if step is SILENCE:
            while await self._some():
                pass
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
        elif isinstance(step, Drip):
            for byte in _octets(step.reply):
                self._write(bytes([byte]))
                await asyncio.sleep(step.seconds)
        elif isinstance(step, str | bytes) and step:
            self._write(_octets(step))

    # --- Octets --------------------------------------------------------------------------------

    def _write(self, octets):
        if self.transport.is_closing():
            raise Ended
        self.transport.write(octets)

    async def _some(self):
        octets = await self.reader.read(65536)
        if not octets:
            raise Ended
        return octets

    async def _line(self):
        while b"\r\n" not in self.unread:
            self.unread += await self._some()
        line, _, self.unread = self.unread.partition(b"\r\n")
        return line.decode("utf-8", "backslashreplace")


def _text(step):
    reply = step.reply if isinstance(step, Drip) else step
    return reply.decode("latin-1") if isinstance(reply, bytes) else reply if isinstance(reply, str) else ""


def _octets(reply):
    return reply if isinstance(reply, bytes) else reply.replace("\n", "\r\n").encode() + b"\r\n"
