"""A web process whose database accepts connections and says nothing, as a server does that is frozen."""

import json
import socket
import sys
import urllib.error
import urllib.request

import pytest

from tests.installation import Installation, free_ports, wait_for

pytestmark = [pytest.mark.process, pytest.mark.slow]


def answer(url, **headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return None


def test_monitors_are_answered_while_the_database_hangs(tmp_path):
    [port] = free_ports(1)
    token = "a-token-of-more-than-16"
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        url = f"postgres://outtray:s3cret@127.0.0.1:{frozen.getsockname()[1]}/outtray"
        installation = Installation(tmp_path, PORT=str(port), DATABASE_URL=url, HEALTH_TOKEN=token)
        web = installation.start([sys.executable, "-m", "config.processes", "web"])
        try:
            site = f"http://127.0.0.1:{port}"
            assert wait_for(lambda: answer(f"{site}/healthz"), seconds=60) == (200, b"ok\n")
            cookie = {"Cookie": "sessionid=0123456789abcdef0123456789abcdef"}
            for _ in range(2):
                assert answer(f"{site}/readyz", **cookie)[0] == 503
            status, body = answer(f"{site}/health/", Authorization=f"Bearer {token}", **cookie)
            assert (status, json.loads(body)["details"]["database"]) == (503, "No answer within 3 seconds.")
            assert b"s3cret" not in body
            assert answer(f"{site}/health/", **cookie) == (503, b'{"healthy": false}')
            assert answer(f"{site}/healthz", **cookie)[0] == 200
        finally:
            installation.stop(web)
