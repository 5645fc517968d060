"""The processes of an installation."""

import sys

from config import processes


def test_every_process_has_a_command_line():
    for name in processes.NAMES:
        assert processes.command_line(name)[0] == sys.executable
    assert "127.0.0.1:8000" in processes.command_line("web")
    assert "0.0.0.0:8000" in processes.command_line("web", "0.0.0.0")
