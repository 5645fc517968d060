"""How the benchmark talks to a contestant: calls as lines of JSON to the standard input of the contestant's process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any


def serve(**functions: Callable[..., Any]) -> None:
    """In the contestant's process: answer calls until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print is no answer
    for line in sys.stdin:
        name, arguments = json.loads(line)
        answers.write(json.dumps(functions[name](**arguments)) + "\n")
        answers.flush()


def seconds(call: Callable[[], Any]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


class Agent:
    """The benchmark's side: `agent.call(name, **arguments)` runs a function in the contestant's process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def call(self, name: str, **arguments: Any) -> Any:
        """Raises RuntimeError when the contestant ended instead of answering."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([name, arguments]).encode() + b"\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the contestant ended in {name}{arguments}")
        return json.loads(line)
