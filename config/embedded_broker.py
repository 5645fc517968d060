"""The broker that needs no server: kombu's transport of small files in a folder, with two mends.

kombu shows a file before it is written, and whoever takes it then reads nothing and ends; here it is written first and
shown afterwards. A file that cannot be read all the same (a power cut) is dropped: tasks are only wake-ups.
"""

import fcntl
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: dict[str, Any], **options: Any) -> None:  # type: ignore[override]
        name = f"{time_ns() // 1_000_000}_{uuid.uuid4()}"
        folder = Path(self.data_folder_out)
        hidden = folder / f".{name}"
        hidden.write_text(dumps(payload))
        hidden.replace(folder / f"{name}.{queue}.msg")

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        try:
            return super()._get(queue)
        except ValueError:
            log.warning("a wake-up in %s cannot be read, and is left out", self.data_folder_in)
            raise Empty from None

    def _queue_bind(self, *args: Any) -> None:
        with self._one_at_a_time():
            super()._queue_bind(*args)

    def get_table(self, exchange: str) -> Any:
        with self._one_at_a_time():
            return super().get_table(exchange)

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed
            yield


class Transport(filesystem.Transport):
    Channel = Channel


def use() -> None:
    """Let `filesystem://` mean this transport in this process."""
    TRANSPORT_ALIASES["filesystem"] = f"{__name__}:Transport"
