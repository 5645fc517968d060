"""The console, and beside it pages that misbehave; for the tests of the web server. Short limits."""

import hashlib
import os
import re
import time
from pathlib import Path

from config import server
from config.wsgi import application as console
from messaging import send_at_once

server.COMPUTING_SECONDS = 1.0
server.HEADER_SECONDS = 3.0
server.BODY_SECONDS = 3.0
server.BYTES_PER_SECOND = 20_000
server.SPOOLED = 150 * 1024 * 1024
server.CONNECTIONS = int(os.environ.get("TEST_CONNECTIONS", server.CONNECTIONS))
send_at_once.BEFORE_DATA = 4.0
send_at_once.LOOKS_ON = 6.0
if CLOCK := os.environ.get("TEST_CLOCK"):  # a file with the seconds by which the clock on the wall is put forward
    right = time.time
    time.time = lambda: right() + float(Path(CLOCK).read_text())


def compute():
    """For ever, in Python, and as stubborn as code gets that catches every Exception."""
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def query():
    """For ever, in the library of SQLite."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT MAX(i) FROM n")


def application(environ, start_response):
    match environ["PATH_INFO"]:
        case "/compute":
            compute()
        case "/query":
            query()
        case "/freeze":  # the interpreter's lock is held until the pattern is done
            re.match(r"(a+)+$", "a" * 60 + "b")
        case "/wait":
            time.sleep(3)
        case "/hang":
            time.sleep(60)
        case "/taken":
            digest, size = hashlib.sha256(), 0
            while piece := environ["wsgi.input"].read(65536):
                digest.update(piece)
                size += len(piece)
            return _answer(start_response, f"{size} {digest.hexdigest()}")
        case "/forwarded":
            return _answer(start_response, environ.get("HTTP_X_FORWARDED_FOR", "-"))
        case "/large":
            start_response("200 OK", [])
            return (b"x" * 65536 for _ in range(320))
        case "/process":
            pass
        case _:
            return console(environ, start_response)
    return _answer(start_response, str(os.getpid()))


def _answer(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]
