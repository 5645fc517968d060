"""Guessing passwords over HTTP, with two web processes and real password hashes. `make drills` replays it."""

import http.client
import random
import sys
import threading
import time
import urllib.parse

import pytest

from tests import services
from tests.installation import Installation, free_ports, wait_for
from tests.sizes import STACKS

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.drill, pytest.mark.timeout(300)]
RIGHT, WRONG, CSRF = "correct horse battery", "wrong", "c" * 32
BUSY = 503
WEB = [sys.executable, "-m", "config.processes", "web"]


class Site:
    """Two processes behind a proxy, which says who asks; and one that strangers reach themselves."""

    def __init__(self, installation):
        self.installation, self.ports = installation, free_ports(3)
        for port, is_behind in zip(self.ports, ("on", "on", "off"), strict=True):
            installation.env |= {"PORT": str(port), "BEHIND_PROXY": is_behind}
            installation.start(WEB)
        for port in self.ports:
            assert wait_for(lambda port=port: self.is_up(port), seconds=90)

    def is_up(self, port):
        try:
            return self.ask(port, "GET", "/healthz")[0] == 200
        except OSError:
            return False

    def ask(self, port, method, path, body=None, **header):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, header)
            response = connection.getresponse()
            response.read()
            return response.status, dict(response.getheaders()), response.headers.get_all("Set-Cookie") or []
        finally:
            connection.close()

    def sign_in(self, name, password, at, port=0, device=""):
        form = urllib.parse.urlencode({"username": name, "password": password, "csrfmiddlewaretoken": CSRF})
        header = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"csrftoken={CSRF}; device={device}",
            "X-Forwarded-For": at,
        }
        return self.ask(self.ports[port], "POST", "/accounts/login/", form, **header)

    def at_once(self, tries):
        """The statuses of tries that begin together, by turns at the two processes.

        A process checks only so many passwords at a time. What it says it is too busy for was no try, and comes again.
        """
        found = []

        def one(number, arguments):
            while (status := self.sign_in(*arguments, port=number % 2)[0]) == BUSY:
                time.sleep(random.uniform(0.2, 1))
            found.append(status)

        threads = [threading.Thread(target=one, args=each) for each in enumerate(tries)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


@pytest.fixture(scope="module", params=STACKS)
def site(request, tmp_path_factory):
    urls = services.urls() if request.param == "services" else {}
    with Installation(tmp_path_factory.mktemp("attacked"), **urls) as installation:
        installation.manage("collectstatic", "--noinput")
        for name in ("ben", "vera", "lea", "kim", "max", "ida"):
            installation.manage("createoperator", name, "--password-stdin", input=RIGHT.encode())
        yield Site(installation)


def test_sixty_wrong_passwords_and_the_right_one_elsewhere(site):
    found = [site.sign_in("ben", WRONG, "203.0.113.1", port=number % 2) for number in range(60)]
    statuses = [status for status, _, _ in found]
    assert statuses[:5] == [200] * 5 and statuses.count(200) < 10, statuses
    assert 1 <= int(found[-1][1]["Retry-After"]) <= 40 or found[-1][0] == 200
    assert site.sign_in("ben", RIGHT, "203.0.113.2")[0] == 302


def test_fifty_at_once_in_two_processes_are_five_tries(site):
    found = site.at_once([("vera", WRONG, "203.0.113.10")] * 50)
    assert found.count(200) == 5 and found.count(429) == 45
    assert site.at_once([("vera", WRONG, "203.0.113.10")] * 20) == [429] * 20
    assert site.sign_in("vera", RIGHT, "203.0.113.11")[0] == 302


def test_spraying_a_password_over_many_names(site):
    found = site.at_once([(f"name{each}", WRONG, "203.0.113.20") for each in range(130)])
    assert found.count(200) == 100 and found.count(429) == 30
    assert site.sign_in("lea", RIGHT, "203.0.113.21")[0] == 302


def test_known_device_is_spared_when_many_addresses_guess(site):
    _, _, cookies = site.sign_in("kim", RIGHT, "203.0.113.30")
    [device] = [each.split(";")[0].removeprefix("device=") for each in cookies if each.startswith("device=")]
    tries = [("kim", WRONG, f"2001:db8:0:{number:x}::1") for number in range(40) for _ in range(2)]
    found = site.at_once(tries)
    assert found.count(200) == 50 and found.count(429) == 30
    assert site.sign_in("kim", RIGHT, "2001:db8:0:fff::1")[0] == 429, "a device that nobody knows"
    assert site.sign_in("kim", RIGHT, "2001:db8:0:fff::1", device=device)[0] == 302


def test_forwarded_address_is_no_way_around(site):
    found = [site.sign_in("max", WRONG, f"192.0.2.{each}", port=2)[0] for each in range(20)]
    assert found[:5] == [200] * 5 and found.count(429) >= 10
    found = [site.sign_in("ida", WRONG, f"192.0.2.{each}, 203.0.113.40")[0] for each in range(20)]
    assert found[:5] == [200] * 5 and found.count(429) >= 10


def test_new_password_at_the_command_line_ends_the_delay(site):
    site.at_once([("ida", WRONG, "203.0.113.50")] * 10)
    assert site.sign_in("ida", RIGHT, "203.0.113.50")[0] == 429
    said = site.installation.manage("createoperator", "ida", "--new-password", "--generate").stdout.decode()
    assert site.sign_in("ida", said.split()[-1], "203.0.113.50")[0] == 302
