"""An SMTP server whose ledger outlives every worker: what it accepted, whether or not the reply got through."""

import asyncio
import hashlib
import random
import re
import socket
import threading
import time
from dataclasses import dataclass, field

# What a conversation has come to, in its order. "dot": the content is complete and the server thinks about it;
# "accepted": it has decided and has not said so yet; "reply": it has said so and heard nothing since.
STAGES = ("connected", "EHLO", "MAIL", "RCPT", "DATA", "content", "dot", "accepted", "reply")

# How a recipient behaves, by the start of its local part; the temporary ones only the first time.
AT_RCPT = {"later": "450 4.3.0 temporary local problem", "never": "550 5.1.1 no such user"}
AT_END = {"busy": "451 4.3.0 temporary local problem", "bad": "554 5.6.0 the content is refused"}
PASSING = ("later", "busy")


@dataclass(frozen=True)
class Acceptance:
    """One message the server decided to accept; `at` in seconds since 1970."""

    message_id: str
    recipients: tuple[str, ...]
    digest: str
    at: float


@dataclass
class Sink:
    """Listens on a free loopback port, in a thread of its own.

    Args:
        delay: each step of a conversation takes a random time up to this many seconds.
        seed: of the random times.
    """

    delay: float = 0.0
    seed: int = 0
    ledger: list[Acceptance] = field(default_factory=list)
    replied: dict[Acceptance, float] = field(default_factory=dict)  # when
    conversations: set["Conversation"] = field(default_factory=set)
    freezes: dict[str, str] = field(default_factory=dict)  # reverse-path: the stage where its message stops, once
    frozen: dict[str, asyncio.Event] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)  # recipients that were asked to come back

    def __enter__(self):
        self.random, self.aim = random.Random(self.seed), None
        self.listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that the content of a large message is still in the worker's hands while the server reads.
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self.port = self.listener.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.listener.close()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._converse, sock=self.listener, limit=16384))
        self.loop.run_forever()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))

    async def _converse(self, reader, writer):
        conversation = Conversation(self, reader, writer)
        self.conversations.add(conversation)
        try:
            await conversation.run()
        except (OSError, EOFError):
            pass
        finally:
            self.conversations.discard(conversation)
            writer.close()

    def stages(self):
        """Where each open conversation is."""
        return [conversation.stage for conversation in list(self.conversations)]

    def at(self, stage, count, delay, action):
        """Call `action` in the server's thread, `delay` seconds after a stage was reached for the count-th time."""
        self.aim = [stage, count, delay, action]

    def let_go(self, reverse_path):
        """Let a frozen message go on."""
        self.loop.call_soon_threadsafe(self.frozen[reverse_path].set)


class Conversation:
    """One connection. With PIPELINING, commands are answered one by one, however many came together."""

    def __init__(self, sink, reader, writer):
        self.sink, self.reader, self.writer = sink, reader, writer
        self.stage, self.reverse_path, self.unread = "connected", "", b""

    async def run(self):
        await self.reach("connected")
        self.say("220 sink ESMTP")
        while line := await self.line():
            word = line[:4].upper()
            if word == "EHLO":
                await self.reach("EHLO")
                self.say("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 50000000\r\n250 ENHANCEDSTATUSCODES")
            elif word == "MAIL":
                self.reverse_path, self.recipients = address_in(line), []
                await self.reach("MAIL")
                self.say("250 2.1.0 ok")
            elif word == "RCPT":
                await self.reach("RCPT")
                refusal = self.refusal(AT_RCPT, [address_in(line)])
                self.recipients += [] if refusal else [address_in(line)]
                self.say(refusal or "250 2.1.5 ok")
            elif word == "DATA":
                await self.reach("DATA")
                self.say("354 go on" if self.recipients else "554 5.5.1 no valid recipients")
                if self.recipients:
                    await self.take(await self.content())
            else:
                self.stage = word
                self.say("221 2.0.0 bye" if word == "QUIT" else "250 2.0.0 ok")

    async def take(self, content):
        await self.reach("dot")
        refusal = self.refusal(AT_END, self.recipients)
        if refusal:
            self.say(refusal)
            return
        message_id = re.search(rb"^Message-ID: *(<[^>]+>)", content, re.MULTILINE | re.IGNORECASE)[1].decode()
        taken = Acceptance(message_id, tuple(self.recipients), hashlib.sha256(content).hexdigest(), time.time())
        self.sink.ledger.append(taken)
        await self.reach("accepted")
        self.say(f"250 2.0.0 taken as {len(self.sink.ledger)}")
        self.sink.replied[taken] = time.time()
        await self.reach("reply", think=False)

    def refusal(self, refusals, addresses):
        for address in addresses:
            behaviour = address.partition("-")[0]
            if behaviour in refusals and address not in self.sink.seen:
                if behaviour in PASSING:
                    self.sink.seen.add(address)
                return refusals[behaviour]
        return None

    async def reach(self, stage, think=True):
        sink, self.stage = self.sink, stage
        if sink.aim and sink.aim[0] == stage:
            sink.aim[1] -= 1
            if sink.aim[1] <= 0:
                _, _, delay, action = sink.aim
                sink.aim = None
                sink.loop.call_later(delay, action)
        if think and sink.delay:
            await asyncio.sleep(sink.random.uniform(0, sink.delay))
        if sink.freezes.get(self.reverse_path) == stage:
            del sink.freezes[self.reverse_path]
            sink.frozen[self.reverse_path] = released = asyncio.Event()
            await released.wait()

    def say(self, line):
        if not self.writer.is_closing():
            self.writer.write(line.encode() + b"\r\n")

    async def line(self):
        while b"\r\n" not in self.unread:
            await self.more()
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line.decode()

    async def content(self):
        """Everything up to the final dot, without the dots that were doubled."""
        data, searched = bytearray(b"\r\n" + self.unread), 0
        while (end := data.find(b"\r\n.\r\n", searched)) < 0:
            await self.reach("content")
            searched, self.unread = max(len(data) - 4, 0), b""
            await self.more()
            data += self.unread
        self.unread = bytes(data[end + 5 :])
        return bytes(data[:end]).replace(b"\r\n.", b"\r\n")[2:] + b"\r\n"

    async def more(self):
        received = await self.reader.read(65536)
        if not received:
            raise EOFError
        self.unread += received


def address_in(line):
    return re.search("<(.*?)>", line)[1]
