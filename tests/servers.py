"""An independent SMTP server (aiosmtpd) on loopback, told what to answer. fault_server.py does what it never would."""

import asyncio
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session


@dataclass
class Received:
    mail_from: str
    recipients: list[str]
    content: bytes
    options: list[str]


@dataclass
class MailServer:
    """aiosmtpd on a free loopback port.

    `replies` maps "MAIL", a recipient address, "DATA" or "END" to the reply line given there; a list is used up one
    by one and then gives way to 250. "CLOSE" instead of a reply closes the connection. "HANG" answers nothing.
    """

    replies: dict[str, Any] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    tls_from_the_start: bool = False
    address: str = "127.0.0.1"
    size: int = 33_554_432
    smtputf8: bool = True
    at_end: Callable[[Received], None] = lambda message: None
    received: list[Received] = field(default_factory=list)
    handed_over: list[Received] = field(default_factory=list)
    connections: int = 0
    commands: list[str] = field(default_factory=list)

    def __enter__(self) -> "MailServer":
        self.loop = asyncio.new_event_loop()
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self.thread.start()
        assert started.wait(10)
        return self

    def _run(self, started: threading.Event) -> None:
        """In a thread of its own from the start: a browser test may have a loop in the main one."""
        implicit = self.tls if self.tls_from_the_start else None
        listening = self.loop.create_server(self._session, self.address, 0, ssl=implicit)
        self.listener = self.loop.run_until_complete(listening)
        self.port = self.listener.sockets[0].getsockname()[1]
        started.set()
        self.loop.run_forever()

    def __exit__(self, *error: object) -> None:
        self.loop.call_soon_threadsafe(self._stop)
        self.thread.join()
        self.loop.close()

    def _stop(self) -> None:
        self.listener.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.call_soon(self.loop.stop)

    def _session(self) -> SMTP:
        self.connections += 1
        return SMTP(
            self,
            hostname="test.invalid",
            data_size_limit=self.size,
            enable_SMTPUTF8=self.smtputf8,
            tls_context=None if self.tls_from_the_start else self.tls,
            authenticator=self.authenticate if self.users else None,
            auth_require_tls=not self.users,
            loop=self.loop,
        )

    def reply(self, key: str, default: str) -> str:
        planned = self.replies.get(key, default)
        if isinstance(planned, list):
            return planned.pop(0) if planned else default
        return planned

    # --- aiosmtpd's hooks ------------------------------------------------------------------------

    async def handle_EHLO(self, server, session: Session, envelope: Envelope, hostname: str, responses: list[str]):
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        line = await self._answer(server, "MAIL", "250 OK")
        if line.startswith("250"):
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return line

    async def handle_RCPT(self, server, session, envelope, address, options):
        line = await self._answer(server, address, "250 OK")
        if line.startswith("250"):
            envelope.rcpt_tos.append(address)
        return line

    async def handle_DATA(self, server, session, envelope):
        message = Received(
            envelope.mail_from, list(envelope.rcpt_tos), envelope.original_content, list(envelope.mail_options)
        )
        self.handed_over.append(message)
        await asyncio.get_running_loop().run_in_executor(None, self.at_end, message)
        line = await self._answer(server, "END", "250 2.0.0 taken")
        if line.startswith("250"):
            self.received.append(message)
        return line

    async def _answer(self, server, key: str, default: str) -> str:
        line = self.reply(key, default)
        if line == "CLOSE":
            server.transport.abort()
            await asyncio.sleep(3600)
        if line == "HANG":
            await asyncio.sleep(3600)
        return line

    def authenticate(self, server, session, envelope, mechanism, data) -> AuthResult:
        good = self.users.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=good, auth_data=data.login)
