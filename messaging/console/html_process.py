"""The process in which HTML is read (html_reader.py starts it): it knows no secret, and the system ends it when one
document takes too much processor time or memory, in whatever code. Loads neither Django nor its settings.

On standard input and output: eight octets of length, then JSON of that length; one answer to each request.
"""

import json
import resource
import signal
import sys
from typing import IO, Any

from messaging.console import html_body, html_weight

SECONDS = 2.0  # of processor time for one document
MEMORY = 512 * 1024 * 1024  # octets of address space


def write(pipe: IO[bytes], value: Any) -> None:
    """One message, with its length before it."""
    octets = json.dumps(value).encode()
    pipe.write(len(octets).to_bytes(8, "big") + octets)
    pipe.flush()


def read(pipe: IO[bytes]) -> Any:
    """The next message. Raises EOFError when there is none, or not all of it."""
    length = pipe.read(8)
    octets = pipe.read(int.from_bytes(length, "big"))
    if len(length) < 8 or len(octets) < int.from_bytes(length, "big"):
        raise EOFError
    return json.loads(octets)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What is asked for: {"clean": html} gives the fields of Clean or nothing, {"texts": [html]} their texts."""
    if "texts" in request:
        return {"texts": list(map(html_weight.text_of, request["texts"]))}
    try:
        return vars(html_body.clean(request["clean"]))
    except html_body.NotShown:
        return {}


def main() -> None:
    """Answers until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    while True:
        try:
            request = read(sys.stdin.buffer)
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        found = answer(request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        write(sys.stdout.buffer, found)


if __name__ == "__main__":
    main()
