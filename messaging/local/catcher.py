"""The local mail catcher: a real SMTP server that delivers nothing and keeps what it accepts as files.

What it answers depends on the first word of a recipient's local part (`reject@`, `reject+anything@`, `reject.x@`):

| word | answer |
|---|---|
| reject | 550 5.1.1 at RCPT |
| full | 452 4.2.2 at RCPT, every time |
| greylist | 451 4.7.1 at RCPT the first time for this sender and recipient, then accepted |
| spam | 550 5.7.1 at the end of data |
| slow | accepted, after a wait of SLOW_SECONDS before the final reply |
| drop | the connection is closed at the end of data, without a reply; nothing is kept |

Each accepted message is two files: the .eml file, byte for byte what was received (dot-stuffing undone), and a .json
file of the same name with its envelope. Both are complete before the .eml file appears under its name.
"""

import asyncio
import hashlib
import itertools
import json
import logging
import os
import re
import signal
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

log = logging.getLogger(__name__)

SIZE_LIMIT = 50 * 1024 * 1024
SLOW_SECONDS = 4.0
OK = "250 2.1.5 OK"
AT_RCPT = {
    "reject": "550 5.1.1 <{address}>: Recipient address rejected: User unknown in local recipient table",
    "full": "452 4.2.2 <{address}>: The recipient's mailbox is over quota",
}
GREYLISTED = "451 4.7.1 <{address}>: Greylisted, please try again in 5 seconds"
SPAM = "550 5.7.1 Message content rejected: it looks like spam"

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]*>)", re.IGNORECASE | re.MULTILINE)
_UNSAFE = re.compile(r"[^A-Za-z0-9@.-]+")


class Catcher:
    """The handler aiosmtpd calls, one for all connections.

    Args:
        folder: where the files go; it must exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.greylisted: set[tuple[str, str]] = set()
        self.sequence = itertools.count(1)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        word = _word(address)
        pair = (envelope.mail_from or "", address)
        reply = AT_RCPT.get(word, OK)
        if word == "greylist" and pair not in self.greylisted:
            self.greylisted.add(pair)
            reply = GREYLISTED
        if reply == OK:
            envelope.rcpt_tos.append(address)
        return reply.format(address=address)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        words = {_word(address) for address in envelope.rcpt_tos}
        if "drop" in words:
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
            await asyncio.get_running_loop().create_future()  # aiosmtpd cancels this when the connection is gone
        if "spam" in words:
            return SPAM
        try:
            name = await asyncio.to_thread(self.keep, envelope)
        except OSError as error:
            log.error("not kept: %s", error)
            return "452 4.3.1 The catcher cannot write the message to its folder"
        if "slow" in words:
            await asyncio.sleep(SLOW_SECONDS)
        return f"250 2.0.0 Kept as {name}"

    def keep(self, envelope: Envelope) -> str:
        """Write both files; the name of the .eml file. Names sort by time. Raises OSError."""
        content = envelope.original_content or b""
        found = _MESSAGE_ID.search(content.partition(b"\r\n\r\n")[0])
        message_id = found[1].decode("utf-8", "replace") if found else ""
        received_at = datetime.now(UTC)
        readable = _UNSAFE.sub("_", message_id.strip("<>"))[:60] or "no-message-id"
        name = f"{received_at:%Y%m%dT%H%M%S.%f}-{next(self.sequence):06d}-{readable}"
        facts = {
            "mail_from": envelope.mail_from or "",
            "rcpt_tos": envelope.rcpt_tos,
            "options": envelope.mail_options,
            "message_id": message_id,
            "sha256": hashlib.sha256(content).hexdigest(),
            "received_at": received_at.isoformat(),
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False) + "\n"
        self._write(f"{name}.json", text.encode("utf-8", "backslashreplace"))
        self._write(f"{name}.eml", content)
        return f"{name}.eml"

    def _write(self, name: str, data: bytes) -> None:
        handle, temporary = tempfile.mkstemp(dir=self.folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(temporary).replace(self.folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


async def serve(host: str, port: int, folder: Path, started: Callable[[int], None] = lambda port: None) -> None:
    """Catch mail until SIGINT or SIGTERM. `started` is told the port, which is chosen when `port` is 0.

    Raises:
        OSError: the folder cannot be made, or no one may listen there (port in use, not allowed).
    """
    folder.mkdir(parents=True, exist_ok=True)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    catcher = Catcher(folder)
    server = await loop.create_server(lambda: _protocol(catcher, loop), host, port)
    started(server.sockets[0].getsockname()[1])
    await stop.wait()
    server.close()


def _protocol(catcher: Catcher, loop: asyncio.AbstractEventLoop) -> SMTP:
    options: dict[str, Any] = {
        "hostname": "catcher.localhost",
        "ident": "Outtray mail catcher",
        "data_size_limit": SIZE_LIMIT,
        "enable_SMTPUTF8": True,
        "loop": loop,
    }
    return SMTP(catcher, **options)


def _word(address: str) -> str:
    local_part = address.rpartition("@")[0].strip('"').lower()
    return re.split(r"[+.]", local_part, maxsplit=1)[0]
