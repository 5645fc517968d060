"""An installation as strangers reach it: several web processes, asked over HTTP, also at once."""

import http.client
import random
import sys
import threading
import time
import urllib.parse

from tests.installation import free_ports, wait_for

CSRF = "c" * 32
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
        """Status, header and cookies of the answer."""
        response, _ = self.read(port, method, path, body, **header)
        return response.status, dict(response.getheaders()), response.headers.get_all("Set-Cookie") or []

    def read(self, port, method, path, body=None, **header):
        """The answer and its body."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, body, header)
            response = connection.getresponse()
            return response, response.read().decode()
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
        found = together(
            lambda number, *arguments: until_not_busy(lambda: self.sign_in(*arguments, port=number % 2)), tries
        )
        return [status for status, _, _ in found]


def until_not_busy(ask):
    """The answer of `ask`, a tuple that begins with its status, at the first time that is not "too busy"."""
    while (answer := ask())[0] == BUSY:
        time.sleep(random.uniform(0.2, 1))
    return answer


def together(work, cases):
    """What `work(number, *case)` answers for each case, all in threads that begin together."""
    found = []
    threads = [
        threading.Thread(target=lambda number, case: found.append(work(number, *case)), args=each)
        for each in enumerate(cases)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
