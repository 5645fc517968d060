"""How a line of the log is written: whatever strangers said, it looks like nothing but what it is."""

import logging
import re
from copy import copy
from types import TracebackType
from typing import TypeAlias

# Control characters but the tab, those that reorder what a person reads, and what is no text.
_DECEPTIVE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
INDENT = "  "  # before what follows the line: a traceback, in which an error has a stranger's words, begins no record

ErrorInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Line(logging.Formatter):
    """A record in one line, with the lines of its traceback indented below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        if record.exc_info:
            record = copy(record)
            record.exc_text = None  # as another handler wrote it
            if _is_a_strangers(record):  # whom a line does justice
                record.exc_info = None
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return _escaped(super().formatMessage(record))

    def formatException(self, ei: ErrorInfo) -> str:
        return _below(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return _below(super().formatStack(stack_info))


def _is_a_strangers(record: logging.LogRecord) -> bool:
    """Whether what went wrong is the fault of who asked: Django warns of those, and tells errors of ours as errors."""
    is_refused = record.name == "django.request" and record.levelno < logging.ERROR
    return is_refused or record.name.startswith("django.security.")


def _below(text: str) -> str:
    return "\n".join(INDENT + _escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return _DECEPTIVE.sub(lambda found: ascii(found[0])[1:-1], text)
