"""Works inside an installation, as a process that answers calls: so a test need not start one for each question.

A call is a line of JSON on standard input, {"module": ..., "name": ..., "arguments": {...}}; the answer is one on
standard output.
"""

import importlib
import json
import os
import sys
import traceback

import django

HEAD = "from messaging.models import *\n"


def run(code):
    """Run a piece of Python; the answer is what it leaves in that name."""
    names = {}
    exec(HEAD + code, names)
    return names["answer"]


def main():
    from django.db import close_old_connections, connections

    for line in sys.stdin:
        call = json.loads(line)
        close_old_connections()
        try:
            function = getattr(importlib.import_module(call["module"]), call["name"])
            answer = json.dumps({"answer": function(**call["arguments"])})
        except Exception:
            connections.close_all()
            answer = json.dumps({"error": traceback.format_exc()})
        print(answer, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    main()
