"""The broker that needs no server: kombu's transport of small files in a folder, with five fixes.

kombu shows a file before it is written, and a process that takes it then reads nothing and ends; here it is written
first and shown afterwards. A file that cannot be read all the same (a power cut) is dropped: tasks are only wake-ups.
kombu lists and sorts the whole folder for each wake-up that it takes; here that is done once for all that it shows. And
kombu keeps what no one takes; here what has expired is dropped, by the time in its name, or unread by those who take. A
full disk, or a power cut, leaves kombu's table of queues empty, and nothing starts any more; here it is written whole
or not at all, and one that cannot be read is made again.
"""

import errno
import fcntl
import logging
import os
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty
from time import monotonic, time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

log = logging.getLogger(__name__)

TIDIED_AFTER = 60.0  # seconds


class Channel(filesystem.Channel):
    _exchange_file: Any  # a method of kombu's

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._listed: dict[str, deque[Path]] = {}
        self._tidied_at = monotonic()

    def _put(self, queue: str, payload: dict[str, Any], **options: Any) -> None:  # type: ignore[override]
        expires = _expires(payload)
        name = f"{_now_ms()}_{int(expires.timestamp() * 1000) if expires else 0}_{uuid.uuid4()}"
        folder = Path(self.data_folder_out)
        if monotonic() - self._tidied_at > TIDIED_AFTER:
            self._tidied_at = monotonic()
            _drop_expired(folder)
        _write_whole(dumps(payload), folder / f".{name}", folder / f"{name}.{queue}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        listed = self._listed.get(queue)
        if not listed:
            folder = Path(self.data_folder_in)
            names = sorted(file for file in folder.iterdir() if file.name.partition(".")[2] == f"{queue}.msg")
            listed = self._listed[queue] = deque(names)
        while listed:
            payload = self._taken(listed.popleft())
            if payload is not None:
                return payload
        raise Empty

    def _taken(self, file: Path) -> Any:
        """What a file says, which no one else takes then; None when another was first, and for what is of no use."""
        mine = file.with_name(f".{file.name}")
        try:
            file.rename(mine)
        except FileNotFoundError:
            return None
        text = mine.read_bytes()
        mine.unlink()
        try:
            payload = loads(text)
            expires = _expires(payload)
            self.Message(payload, channel=self)
        except (ValueError, TypeError, AttributeError, LookupError):
            log.warning("a wake-up in %s cannot be read, and is left out", file.parent)
            return None
        return payload if expires is None or expires > datetime.now(UTC) else None

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._one_at_a_time():
            table = self._table(exchange)
            if row not in table:
                file = self._exchange_file(exchange)
                _write_whole(dumps([row, *table]), file.with_name(f".{file.name}"), file)

    def get_table(self, exchange: str) -> Any:
        with self._one_at_a_time():
            return self._table(exchange)

    def _table(self, exchange: str) -> list[Any]:
        """Where an exchange leads to; a file that cannot be understood counts as none, and is written anew."""
        try:
            text = self._exchange_file(exchange).read_bytes()
        except FileNotFoundError:
            return []
        try:
            return [filesystem.exchange_queue_t(*row) for row in loads(text)]
        except (ValueError, TypeError):
            return []

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield


def _write_whole(text: str, hidden: Path, file: Path) -> None:
    """Show a file once it is written. Raises OSError (disk full), and then leaves nothing."""
    try:
        hidden.write_text(text)
        hidden.replace(file)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise


def _now_ms() -> int:
    return time_ns() // 1_000_000


def _expires(payload: dict[str, Any]) -> datetime | None:
    """When a wake-up is of no use any more, as Celery writes it; None: never."""
    text = payload.get("headers", {}).get("expires")
    found = datetime.fromisoformat(text) if text else None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def _drop_expired(folder: Path) -> None:
    """Remove what no one took in time, known by its name, and what a crash left half written or half taken."""
    now = _now_ms()
    for file in folder.iterdir():
        made, _, rest = file.name.lstrip(".").partition("_")
        expires = rest.partition("_")[0]
        is_left = file.name.startswith(".") and made.isdigit() and int(made) < now - 1000 * TIDIED_AFTER
        if is_left or (expires.isdigit() and 0 < int(expires) < now):
            file.unlink(missing_ok=True)


class Transport(filesystem.Transport):
    Channel = Channel
    # A folder that cannot be used is a broker that is away: it is tried again.
    connection_errors = (*filesystem.Transport.connection_errors, OSError)

    def establish_connection(self) -> Any:
        options: Any = self.client.transport_options  # type: ignore[union-attr]
        for name in ("data_folder_in", "data_folder_out", "control_folder"):
            folder = Path(options[name])
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().establish_connection()


def use() -> None:
    """Let `filesystem://` mean this transport in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
