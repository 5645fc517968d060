"""WSGI entry point for gunicorn, which loads it before it starts its processes: no threads, no connections."""

import gc
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.core.exceptions import TooManyFieldsSent
from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import multipartparser
from django.urls import get_resolver
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

PATIENCE_SECONDS = 15.0
MOST_PARTS = 1_110  # of a form: Django takes 1,000 fields and 100 files
MOST_PARAMETERS = 50  # of a part's header field; a browser writes two, and there may be semicolons in a file's name


class Request(WSGIRequest):
    """Reads addresses and forms as UTF-8, which is what browsers send, whatever Content-Type names.

    Django would take any codec of Python's that a stranger names. The time of some grows with the square of the length
    ("punycode": 400 KB cost 14 seconds), and others raise errors.
    """

    def _set_content_type_params(self, meta: dict[str, Any]) -> None:
        self.content_type, self.content_params = parse_header_parameters(meta.get("CONTENT_TYPE", ""))


class Parts(multipartparser.Parser):
    """The parts of a form, of which Django counts those alone that have a name."""

    def __iter__(self) -> Iterator[Any]:
        for number, part in enumerate(super().__iter__()):
            if number >= MOST_PARTS:
                raise TooManyFieldsSent(f"The form has more than {MOST_PARTS} parts.")
            yield part


def _part_parameters(line: str) -> tuple[str, dict[str, str]]:
    """Django's time for them grows with the square of their number."""
    if line.count(";") > MOST_PARAMETERS:
        raise multipartparser.MultiPartParserError(f"A part has more than {MOST_PARAMETERS} parameters.")
    return parse_header_parameters(line)


multipartparser.Parser = Parts  # type: ignore[misc]
multipartparser.parse_header_parameters = _part_parameters  # type: ignore[attr-defined]

try:
    application = get_wsgi_application()
    application.request_class = Request
    assert get_resolver().url_patterns  # loads every page now, once for all processes
    gc.collect()
    gc.freeze()
except SystemExit as stop:  # a variable makes no sense: environment.py
    sys.stderr.write(f"{stop}\n")
    raise SystemExit(3) from stop  # gunicorn's code of a worker that cannot begin; with others it tries for good


def look_at_the_database() -> None:
    """So that pages tell of a restore also while no worker runs; in a thread, because many messages take their time."""
    from django.db import DatabaseError, connection
    from django.utils import timezone

    from messaging.delivery.store import restore_detection

    while True:
        try:
            restore_detection.check(timezone.now())
            break
        except DatabaseError:  # it is away, locked, or not migrated yet
            time.sleep(PATIENCE_SECONDS)
        finally:
            connection.close()
