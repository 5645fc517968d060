"""Becomes another program, which is told to end when the process that started this one does, in whatever way.

    python die_with_parent.py PARENT program argument ...

PARENT is the id of that process: it may have ended before this one could ask to be told (prctl(2), PR_SET_PDEATHSIG).
On systems other than Linux the program is only started.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
