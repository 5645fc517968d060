"""The web server as strangers, slow lines and bad pages meet it: real processes on a port of loopback."""

import contextlib
import hashlib
import html
import http.client
import http.cookiejar
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from urllib3 import encode_multipart_formdata

from config import processes
from tests.fault_server import ACCEPT, SILENCE, Drip, FaultServer, Pause
from tests.installation import Installation, free_ports, wait_for
from tests.sizes import also_in_drills
from tests.system.slow_clients import SlowClients, seconds_to_answer

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.attack]


class Web:
    """The web processes of an installation, with the pages of tests/web_pages.py beside the console."""

    def __init__(self, folder, files=None, **variables):
        """`files` is how many files a process may have open, where that is fewer than usual."""
        [self.port] = free_ports(1)
        self.prefix = ["/bin/sh", "-c", f'ulimit -n {files}; exec "$0" "$@"'] if files else []
        self.site = f"http://127.0.0.1:{self.port}"
        self.log = folder / "0-web.log"
        self.installation = Installation(folder, PORT=str(self.port), **variables)
        self.installation.env |= {"DJANGO_SETTINGS_MODULE": "config.settings", "OPENSSL_CONF": os.devnull}

    def __enter__(self):
        self.installation.__enter__()
        self.installation.manage("collectstatic", "--no-input", "--verbosity", "0")
        command = processes.command_line("web")
        of_the_test = {"config.wsgi": "tests.web_pages", "127.0.0.1:8000": f"127.0.0.1:{self.port}", "30": "3"}
        command = [of_the_test.get(each, each) for each in command]
        self.process = subprocess.Popen(
            [*self.prefix, *command], cwd=processes_folder(), env=self.installation.env, stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.installation.processes.append(self.process)
        assert wait_for(lambda: len(self.workers()) == 2 and self.get("/healthz")[0] == 200, seconds=60), self.said()
        return self

    def __exit__(self, *error):
        self.installation.stop(self.process)
        self.installation.__exit__()

    def said(self):
        return self.log.read_text()

    def workers(self):
        """The pids of the processes that serve."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return []

    def processor_seconds(self):
        """Of the processes that serve, until now."""
        times = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13] for pid in self.workers()]
        return sum(int(each) for pair in times for each in pair) / os.sysconf("SC_CLK_TCK")

    def get(self, path, body=None, **headers):
        """Status and text; (0, "") when the connection ends without an answer."""
        request = urllib.request.Request(self.site + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=50) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def sign_in(self):
        """The admin's cookies, their token for forms, and the sender that a new message offers."""
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar()))
        page = browser.open(self.site + "/", timeout=30).read().decode()
        form = {"csrfmiddlewaretoken": _token(page), "username": "admin", "password": "Kofi-writes-4-letters"}
        browser.open(self.site + "/accounts/login/", urllib.parse.urlencode(form).encode(), timeout=30).close()
        page = browser.open(self.site + "/messages/new/", timeout=30).read().decode()
        cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
        sender = html.unescape(re.search(r'<option value="([^"]+)"|name="sender" value="([^"]+)"', page).group(1, 2)[0])
        return cookie, _token(page), sender

    def raw(self, request):
        """The first line of the answer to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as client:
            client.sendall(request)
            return client.makefile("rb").readline().decode().strip()


def answer_on(client):
    """Status and text of the next answer."""
    answer = http.client.HTTPResponse(client)
    answer.begin()
    return answer.status, answer.read().decode()


def processes_folder():
    return Path(processes.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    with Web(tmp_path_factory.mktemp("web")) as web:
        yield web


@pytest.mark.parametrize(
    "clients",
    [
        {"idle": 40, "header": 5, "body": 5, "stalled": 20, "reader": 2},
        *also_in_drills({"idle": 200, "header": 20, "body": 20, "reader": 10}, {"stalled": 60}, {"idle": 900}),
    ],
    ids=str,
)
def test_slow_clients_hold_nobody_up_and_are_sent_away(web, clients):
    with SlowClients(web.site, **clients) as slow:
        took = [seconds_to_answer(web.site, path) for path in ("/healthz", "/accounts/login/") * 10]
        assert sorted(took)[10] < 1, took
        assert max(took) < 3, took  # their deadline: no one waited until they were gone
        for kind in {"idle", "header", "body", "stalled"} & clients.keys():
            assert wait_for(lambda kind=kind: slow.left(kind) == 0, seconds=30), kind


@pytest.mark.parametrize("files", [64, *also_in_drills(256)])
def test_where_few_files_may_be_open_idle_connections_keep_nobody_out(tmp_path, files):
    with Web(tmp_path, files=files) as web, SlowClients(web.site, idle=3 * files):
        took = [seconds_to_answer(web.site, path) for path in ("/healthz", "/accounts/login/") * 10]
        assert max(took) < 3, took  # as above


def test_large_answers_that_nobody_reads_hold_no_threads(web):
    clients = [socket.create_connection(("127.0.0.1", web.port), 20) for _ in range(20)]  # more than threads
    for each in clients:
        each.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert web.get("/process")[0] == 200
    for each in clients:
        each.close()


def test_slow_upload_gets_the_time_it_needs(web):
    """Slower than any deadline for a header, faster than the least rate."""
    text = os.urandom(300_000)
    head = f"POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text)}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        client.sendall(head)
        for begin in range(0, len(text), 30_000):
            client.sendall(text[begin : begin + 30_000])
            time.sleep(0.5)
        assert hashlib.sha256(text).hexdigest() in answer_on(client)[1]


@pytest.mark.parametrize("size", [0, 1, 600_000, 50 * 1024 * 1024])
def test_body_arrives_as_it_was_sent(web, size):
    body = os.urandom(size)
    assert web.get("/taken", body) == (200, f"{size} {hashlib.sha256(body).hexdigest()}")


def test_body_beyond_any_message_is_refused(web):
    head = b"POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000000\r\n\r\n"
    assert "413" in web.raw(head)


def test_monitors_are_answered_while_every_thread_waits(web):
    with ThreadPoolExecutor(32) as pool:
        waiting = [pool.submit(web.get, "/wait") for _ in range(32)]
        time.sleep(0.5)
        took = [seconds_to_answer(web.site) for _ in range(5)]
        assert not any(each.done() for each in waiting)
        assert sorted(took)[2] < 1
        assert {each.result()[0] for each in waiting} == {200}


def test_strangers_who_sign_in_without_a_pause_hold_no_page_up(web):
    """Each try costs a processor a fifth of a second, and anyone may ask for it: few at a time are checked."""
    cookies = urllib.request.HTTPCookieProcessor(jar := http.cookiejar.CookieJar())
    page = urllib.request.build_opener(cookies).open(web.site + "/accounts/login/", timeout=30).read().decode()
    form = {"csrfmiddlewaretoken": _token(page), "password": "Kofi-writes-4-letters"}
    cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
    is_over = threading.Event()

    def sign_in(stranger):
        found = set()
        while not is_over.is_set():
            body = urllib.parse.urlencode(form | {"username": f"{stranger}-{uuid.uuid4()}"}).encode()
            found.add(web.get("/accounts/login/", body, Cookie=cookie)[0])
        return found

    with ThreadPoolExecutor(16) as pool:
        strangers = [pool.submit(sign_in, number) for number in range(16)]
        time.sleep(0.5)
        took = [seconds_to_answer(web.site, path) for path in ("/healthz", "/accounts/login/") * 10]
        is_over.set()
        answers = set().union(*(each.result() for each in strangers))
    assert sorted(took)[10] < 1 and max(took) < 3, took
    assert {200, 503} <= answers <= {200, 429, 503}, "the others are asked to try again"


def test_page_that_computes_for_ever_is_ended_and_takes_none_along(web):
    before = set(web.workers())
    with ThreadPoolExecutor(12) as pool:
        computing = [pool.submit(web.get, "/compute") for _ in range(4)]
        waiting = [pool.submit(web.get, "/wait") for _ in range(8)]
        for each in computing:
            status, page = each.result()
            assert status == 503
            assert "This page took too long" in page
        assert {each.result()[0] for each in waiting} == {200}
    assert "/compute was ended: it had computed for 1 seconds" in web.said()
    assert set(web.workers()) == before


def test_clock_that_is_put_back_or_forward_takes_no_limit_away_and_ends_no_transfer(tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("0")
    with Web(tmp_path, TEST_CLOCK=str(clock)) as web, socket.create_connection(("127.0.0.1", web.port), 20) as upload:
        upload.sendall(b"POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n" + b"a" * 200_000)
        time.sleep(0.5)
        clock.write_text("3600")
        time.sleep(2.5)
        upload.sendall(b"a" * 200_000)
        assert answer_on(upload)[0] == 200
        clock.write_text("-3600")
        with ThreadPoolExecutor(1) as pool, socket.create_connection(("127.0.0.1", web.port), 20) as half:
            computing = pool.submit(web.get, "/compute")
            half.sendall(b"GET / HT")
            half.recv(1000)  # until it is closed
            assert computing.result()[0] == 503


def test_statement_that_takes_for_ever_is_ended_and_its_thread_serves_again(web):
    with ThreadPoolExecutor(16) as pool:  # as many as threads of both processes
        for status, page in pool.map(web.get, ["/query"] * 16):
            assert status == 503
            assert "This page took too long" in page
    assert "/query was ended: it had computed for 1 seconds" in web.said()
    assert web.get("/accounts/login/")[0] == 200


@pytest.fixture(scope="module")
def cookie(web):
    web.installation.ask(MAIL)
    return web.sign_in()[0]


def test_user_with_many_slow_pages_leaves_threads_to_others(web, cookie):
    with ThreadPoolExecutor(40) as pool:
        # Each process has seen whose session it is.
        assert {status for status, _ in pool.map(lambda _: web.get("/messages/", Cookie=cookie), range(40))} <= {
            200,
            503,
        }
        slow = [pool.submit(web.get, "/wait", Cookie=cookie) for _ in range(24)]
        time.sleep(0.5)
        took = [seconds_to_answer(web.site, "/accounts/login/") for _ in range(10)]
        assert max(took) < 2, took
        assert {each.result()[0] for each in slow} == {200}


def test_address_with_many_slow_pages_leaves_threads_to_others(web):
    with ThreadPoolExecutor(40) as pool:
        slow = [pool.submit(_status_from, "127.0.0.2", web, "/wait") for _ in range(40)]
        time.sleep(0.5)
        took = [seconds_to_answer(web.site, "/accounts/login/") for _ in range(10)]
        assert max(took) < 2, took
        assert {each.result() for each in slow} == {200}


def _status_from(address, web, path):
    client = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60, source_address=(address, 0))
    with contextlib.closing(client):
        client.request("GET", path)
        return client.getresponse().status


def test_pages_of_clients_who_have_gone_are_not_made(web):
    request = b"GET /wait HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", web.port), 20, source_address=("127.0.0.4", 0)) as client:
            client.sendall(request)
    begun = time.monotonic()
    assert _status_from("127.0.0.4", web, "/process") == 200
    assert time.monotonic() - begun < 8, "60 pages of 3 seconds each take 15"


NAMELESS = b'Content-Disposition: form-data; filename="b"' + b";" * 960
SEMICOLONS = b'Content-Disposition: form-data; name="a"' + b";" * 960
PLAIN = b'Content-Disposition: form-data; filename="b"'


@pytest.mark.parametrize("head", [NAMELESS, SEMICOLONS, PLAIN], ids=["nameless", "semicolons", "many"])
def test_form_of_costly_parts_is_refused_at_once(web, head):
    part = b"--b\r\n" + head + b"\r\n\r\nx\r\n"
    body = part * (2_000_000 // len(part)) + b"--b--\r\n"
    stranger = {"Content-Type": "multipart/form-data; boundary=b", "Cookie": f"csrftoken={'a' * 32}"}
    before = web.processor_seconds()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(web.get, "/accounts/login/", body, **stranger) for _ in range(8)]
        assert seconds_to_answer(web.site, "/accounts/login/") < 5
        assert {each.result()[0] for each in answers} == {400}
    assert web.processor_seconds() - before < 8


def test_frozen_process_is_killed_while_the_other_serves(tmp_path):
    with Web(tmp_path) as web:
        before = set(web.workers())
        with ThreadPoolExecutor(1) as pool:
            frozen = pool.submit(web.get, "/freeze")
            time.sleep(0.5)
            served = {web.get("/process")[1] for _ in range(20)}
            assert not frozen.done()
            assert frozen.result()[0] == 0
        assert len(served) == 1 and served < before
        assert wait_for(lambda: len(web.workers()) == 2 and set(web.workers()) != before, seconds=30)
        assert len(before & set(web.workers())) == 1
        assert "tests/web_pages.py" in web.said(), "the log says where it was"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4, 4",
        "Content-Length: +4",
        "Content-Length: 0x4",
        "Content-Length : 4",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding:\x0bchunked",
        "Transfer-Encoding : chunked",
        "X: a\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked,",
        "Content-Length:\r\n 4",
        "X: a\r\n\tb",
    ],
)
def test_request_that_a_proxy_may_read_otherwise_is_refused(web, head):
    request = f"POST /taken HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n0\r\n\r\nGET /process HTTP/1.1\r\n\r\n"
    assert web.raw(request.encode()).split()[1] in ("400", "501")


@pytest.mark.parametrize("version", ["HTTP/1.2", "HTTP/9.9", "HTTP/2.0"])
def test_version_that_is_not_known_is_refused(web, version):
    assert "400" in web.raw(f"GET /process {version}\r\nHost: localhost\r\n\r\n".encode())


@pytest.mark.parametrize("body", ["", "Content-Length: 0\r\n"])
def test_expectation_without_a_body_leaves_the_next_request_alone(web, body):
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        for _ in range(2):
            head = f"GET /process HTTP/1.1\r\nHost: localhost\r\n{body}Expect: 100-continue\r\n\r\n"
            client.sendall(head.encode())
            assert answer_on(client)[0] == 200


def test_body_is_asked_for(web):
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        client.sendall(b"POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"ab")
        assert answer_on(client)[1].startswith("2 ")


@pytest.mark.parametrize("head", ["Content-Length: 99999999999", "Content-Length: abc"])
def test_body_that_would_be_refused_is_not_asked_for(web, head):
    answer = web.raw(f"POST /taken HTTP/1.1\r\nHost: localhost\r\n{head}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert answer.split()[1] in ("400", "413")


@pytest.mark.parametrize(
    "path", ["/accounts/login/", "/large", "/healthz", "/static/vendor/bootstrap/bootstrap.min.css", "/compute"]
)
def test_head_is_answered_without_a_body(web, path):
    """One would be taken for the answer to the next request on the connection, perhaps another user's."""
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        client.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = client.recv(65536)
        client.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while piece := client.recv(65536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503" if path == "/compute" else b"HTTP/1.1 200")
        # Without a length it ends the connection, and says so; waitress ends the content that it does not have.
        assert body == (b"0\r\n\r\n" if b"Connection: close" in head else b"")


def test_blank_lines_before_a_request_are_few(web):
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        for blank in (b"", b"\r\n", b"\r\n\r\n"):
            client.sendall(blank + b"GET /process HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert answer_on(client)[0] == 200
    assert "400" in web.raw(b"\r\n" * 9)


@pytest.mark.parametrize("unit", [b"x\r\n\r\n", b"GET /process HTTP/1.1\r\n\r\n", b"\r\n"])
def test_of_what_comes_at_once_one_request_is_looked_at(web, unit):
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        client.sendall((unit * 8000)[:8000])
        with contextlib.suppress(ConnectionResetError):
            answers = client.makefile("rb").read()
            assert answers.count(b"HTTP/1.1 ") + answers.count(b"HTTP/1.0 ") == 1
            assert b"Connection: close" in answers


def test_chunks_of_any_sensible_size_arrive(web):
    body, chunks = os.urandom(200_000), b""
    for begin in range(0, len(body), 100):
        chunks += b"64;note=x\r\n" + body[begin : begin + 100] + b"\r\n"
    head = b"POST /taken HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", web.port), 20) as client:
        client.sendall(head + chunks + b"0\r\nDigest: none\r\n\r\n")
        assert hashlib.sha256(body).hexdigest() in answer_on(client)[1]


ENDLESS = {
    "chunk line": (b"1;note=", b"x" * 65536),
    "trailer": (b"0\r\nNote: ", b"x" * 65536),
    "tiny chunks": (b"", b"1\r\na\r\n" * 10922),
    "long lines": (b"", (b"1;note=" + b"x" * 4000 + b"\r\na\r\n") * 16),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_chunks_that_are_mostly_frame_are_refused(web, kind):
    begin, unit = ENDLESS[kind]
    head = b"POST /taken HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert "400 Bad Request" in web.raw(head + begin + unit[:12_100])


def test_cookie_of_backslashes_is_refused_and_one_as_programs_write_it_is_not(web):
    ask = "GET /process HTTP/1.1\r\nHost: localhost\r\nCookie: a=1\r\nCookie: b=%s\r\n\r\n"
    assert "400" in web.raw((ask % ('"' + "\\" * 30_000 + '"')).encode())
    assert "200 OK" in web.raw((ask % '"a\\054b\\073"').encode())


# Each makes waitress's patterns, which hold the interpreter's lock, take minutes (the digits) or many seconds.
@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET a://%s x\r\nHost: localhost" % ("1" * 8000), "400"),
        ("GET a://%s HTTP/1.1 \r\nHost: localhost" % ("1" * 8000), "400"),
        ("GET /process?%s HTTP/1.1\r\nHost: localhost" % ("1" * 8000), "200"),
        ("GET /process?%s HTTP/1.1\r\nHost: localhost" % ("1" * 8200), "414"),
        ("GET /process HTTP/1.1\r\nHost: localhost\r\nX:%s\0" % (" " * 60_000), "400"),
        ("GET /process HTTP/1.1\r\nHost: localhost\r\nX:%sa" % (" " * 60_000), "200"),
        ("GET /process HTTP/1.1\r\nHost: localhost\r\nX:%s" % (" a" * 30_000), "200"),
        ("GET /process HTTP/1.1\r\nHost: localhost\r\nX%s" % ("x" * 60_000), "400"),
    ],
    ids=["address", "blank after it", "query", "too long a query", "blanks, NUL", "blanks", "words", "name"],
)
def test_head_that_is_long_costs_the_loop_no_more_than_its_length(web, head, status):
    before = web.workers()
    assert web.raw(f"{head}\r\n\r\n".encode()).split()[1] == status
    assert web.workers() == before


# 15,000 fields of one name cost the loop 0.08 seconds, so 32 such connections everyone more than two.
@pytest.mark.parametrize(
    ("field", "number", "status"), [("a:", 99, "200"), ("a:", 15_000, "431"), ("_:", 15_000, "431"), ("a", 101, "431")]
)
def test_header_fields_are_few(web, field, number, status):
    head = "GET /process HTTP/1.1\r\nHost: localhost\r\n" + f"{field}\r\n" * number
    assert web.raw(f"{head}\r\n".encode()).split()[1] == status


@pytest.mark.parametrize(
    "head",
    [
        "GET http://[::1 HTTP/1.1\r\nHost: localhost",
        "POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + "1" * 5000,
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Type: a; b*=rot99''x",
        'GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Type: a; b="' + ";" * 60_000,
    ],
    ids=["address", "length", "parameter", "parameters"],
)
def test_head_that_makes_no_sense_is_refused_and_is_no_error_of_ours(web, head):
    before = len(web.said())
    assert web.raw(f"{head}\r\n\r\n".encode()).split()[1] == "400"
    assert web.said()[before:] == ""


@pytest.mark.parametrize("charset", ["punycode", "rot13", "undefined", "utf-16", "no-such"])
def test_forms_and_addresses_are_utf_8_whatever_character_set_is_named(web, charset):
    """Python's time for "punycode" grows with the square of the length; others are no codecs for text."""
    body, kind = encode_multipart_formdata({"username": "b" * 400_000})
    form = {"Content-Type": f"{kind}; charset={charset}"}
    assert web.get("/accounts/login/", body, **form)[0] == 403, "no token"
    status, page = web.get(
        "/accounts/login/?next=/messages/%3Fq=m%C3%A4rz", **{"Content-Type": f"text/plain; charset={charset}"}
    )
    assert (status, "/messages/?q=märz" in page) == (200, True)
    assert web.get(f"/accounts/login/?{'a&' * 1001}", **{"Content-Type": "text/plain; charset=utf-8"})[0] == 400


def test_requests_that_do_not_wait_for_answers_keep_no_files_open(web):
    """300 clients ask for a file 90 times each and read nothing."""
    ask = b"GET /static/vendor/bootstrap/bootstrap.min.css HTTP/1.1\r\nHost: localhost\r\n\r\n" * 90
    with contextlib.ExitStack() as sockets:
        for _ in range(300):
            client = sockets.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", web.port))
            client.sendall(ask)
        time.sleep(3)
        assert seconds_to_answer(web.site) < 1
        assert all(len(list(Path(f"/proc/{pid}/fd").iterdir())) < 700 for pid in web.workers())
    assert "Too many open files" not in web.said()


def test_chunks_have_no_place_in_http_1_0(web):
    assert "400" in web.raw(b"POST /taken HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")


def test_claimed_addresses_count_only_behind_a_proxy(web, tmp_path):
    claimed = {"X-Forwarded-For": "192.0.2.7"}
    assert web.get("/forwarded", **claimed) == (200, "-")
    with Web(tmp_path, BEHIND_PROXY="on") as behind:
        assert behind.get("/forwarded", **claimed) == (200, "192.0.2.7")


def test_request_at_work_is_finished_when_the_server_is_told_to_end(tmp_path):
    with Web(tmp_path) as web, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(web.get, "/wait")
        hanging = pool.submit(web.get, "/hang")
        time.sleep(1)
        begun = time.monotonic()
        web.process.send_signal(signal.SIGTERM)
        assert waiting.result()[0] == 200
        assert web.process.wait(30) == 0
        assert time.monotonic() - begun < 20
        assert hanging.result()[0] == 0


def test_processes_end_when_their_parent_is_killed_also_with_a_request_at_work(tmp_path):
    with Web(tmp_path) as web, ThreadPoolExecutor() as pool:
        [first, second] = [Path("/proc") / pid for pid in web.workers()]
        at_work = pool.submit(web.get, "/hang")
        time.sleep(1)
        web.process.kill()
        web.process.wait()
        assert wait_for(lambda: not is_alive(first) and not is_alive(second), seconds=20), web.said()
        assert at_work.result() == (0, "")


def is_alive(process):
    with contextlib.suppress(OSError):
        return process.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_requests_of_others_do_not_wait_for_all_of_one_address(web):
    """Two hundred at once from one address would have the threads of both processes for 38 seconds."""
    with contextlib.ExitStack() as sockets, ThreadPoolExecutor(8) as others:
        for _ in range(200):
            stranger = sockets.enter_context(socket.create_connection(("127.0.0.1", web.port), 60, ("127.0.0.2", 0)))
            stranger.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        begun = time.monotonic()
        assert {status for status, _ in others.map(web.get, ["/process"] * 8)} == {200}
        assert time.monotonic() - begun < 8  # until some of them are done: three seconds


def test_behind_a_proxy_the_addresses_are_those_that_it_names(tmp_path):
    with Web(tmp_path, BEHIND_PROXY="on") as web, ThreadPoolExecutor(100) as pool:
        for _ in range(100):
            pool.submit(web.get, "/wait", **{"X-Forwarded-For": "192.0.2.7"})
        time.sleep(1)
        begun = time.monotonic()
        assert web.get("/process", **{"X-Forwarded-For": "192.0.2.7, 192.0.2.8"})[0] == 200
        assert time.monotonic() - begun < 8
        pool.shutdown(cancel_futures=True)


def begun(length, whose=""):
    """The head of an upload; behind a proxy, it says whose it is."""
    of = f"X-Forwarded-For: {whose}\r\n" if whose else ""
    return f"POST /taken HTTP/1.1\r\nHost: localhost\r\n{of}Content-Length: {length}\r\n\r\n".encode()


# A stranger and a user, by their own addresses, or by those that a proxy names.
WHOSE = [
    pytest.param({}, ("127.0.0.2", ""), ("127.0.0.1", ""), id="direct"),
    pytest.param({"BEHIND_PROXY": "on"}, ("127.0.0.1", "192.0.2.7"), ("127.0.0.1", "192.0.2.8"), id="proxy"),
]


@pytest.mark.parametrize(("variables", "stranger", "user"), WHOSE)
def test_connections_of_one_address_close_none_of_another(tmp_path, variables, stranger, user):
    """A stranger opens 600, where a process has 100; a user of another address uploads meanwhile."""
    with Web(tmp_path, TEST_CONNECTIONS="100", **variables) as web, contextlib.ExitStack() as sockets:
        address = "127.0.0.1", web.port
        uploads = [sockets.enter_context(socket.create_connection(address, 20, (user[0], 0))) for _ in range(4)]
        for each in uploads:
            each.sendall(begun(100, user[1]) + b"x")
        for _ in range(600):
            other = sockets.enter_context(socket.create_connection(address, 20, (stranger[0], 0)))
            if stranger[1]:
                other.sendall(begun(100, stranger[1]))
        for each in uploads:
            each.sendall(b"x" * 99)
            assert answer_on(each)[1].startswith("100 ")


# As many as a large provider of such proxies names.
NETWORKS = ",".join(f"198.18.{number}.0/24" for number in range(22))


@pytest.mark.parametrize(
    "variables", [{}, {"BEHIND_PROXY": "on", "TRUSTED_PROXIES": NETWORKS}], ids=["direct", "proxy"]
)
def test_connections_beyond_the_limit_cost_little(tmp_path, variables):
    """Each makes room for itself among 100, whose clients the server knows by now."""
    with Web(tmp_path, TEST_CONNECTIONS="100", **variables) as web, contextlib.ExitStack() as sockets:

        def upload(number):
            client = sockets.enter_context(socket.create_connection(("127.0.0.1", web.port), 20))
            client.sendall(begun(100, f"192.0.2.{number % 250}" if variables else ""))

        for number in range(250):
            upload(number)
        before = web.processor_seconds()
        for number in range(200):
            upload(number)
        assert web.get("/healthz")[0] == 200
        assert web.processor_seconds() - before < 200 * 0.003


def test_bodies_of_many_wait_on_the_disk_and_not_in_memory(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Web(tmp_path, TMPDIR=str(folder)) as web, contextlib.ExitStack() as sockets:
        for _ in range(20):
            client = sockets.enter_context(socket.create_connection(("127.0.0.1", web.port), 20))
            client.sendall(
                b"POST /taken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n" + b"x" * 490_000
            )
        assert wait_for(lambda: _spooled(web) > 20 * 400_000, seconds=2)


def test_killed_uploads_leave_no_files(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Web(tmp_path, TMPDIR=str(folder)) as web:
        head = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", web.port), 20) as client:
            client.sendall(head + b"x" * 3_000_000)
            assert wait_for(lambda: _spooled(web) > 1_000_000)
            for pid in web.workers():
                os.kill(int(pid), signal.SIGKILL)
            assert wait_for(lambda: not _is_open(client))
    assert [each for each in folder.rglob("*") if each.stat().st_size] == []


@pytest.mark.parametrize(("variables", "stranger", "user"), WHOSE)
def test_unfinished_uploads_leave_room_on_the_disk(tmp_path, variables, stranger, user):
    """Ten of 60 MB, of which 150 MB fit in a process, beside a small one from another address."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Web(tmp_path, TMPDIR=str(folder), **variables) as web, contextlib.ExitStack() as sockets:
        address = "127.0.0.1", web.port
        other = sockets.enter_context(socket.create_connection(address, 20, (user[0], 0)))
        other.sendall(begun(1_000_000, user[1]) + b"y" * 900_000)
        for _ in range(10):
            each = sockets.enter_context(socket.create_connection(address, 20, (stranger[0], 0)))
            with contextlib.suppress(OSError):  # closed meanwhile
                each.sendall(begun(99_000_000, stranger[1]) + b"x" * 60_000_000)
        assert wait_for(lambda: _spooled(web) < 310_000_000, seconds=10)
        other.sendall(b"y" * 100_000)
        assert answer_on(other)[1].startswith("1000000 ")
        assert f"A transfer with {stranger[1] or stranger[0]} was ended" in web.said()
        assert f"with {user[1] or user[0]} was" not in web.said()


def test_downloads_that_nobody_reads_leave_room_on_the_disk(tmp_path):
    """Thirty of 20 MB, of which 150 MB fit in a process."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Web(tmp_path, TMPDIR=str(folder)) as web, contextlib.ExitStack() as sockets:
        for _ in range(30):
            client = sockets.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", web.port))
            client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert wait_for(lambda: "A transfer with 127.0.0.1 was ended" in web.said(), seconds=20), _spooled(web)
        assert wait_for(lambda: _spooled(web) < 400_000_000, seconds=20)  # of 629 MB; some of each was sent
        assert web.get("/process")[0] == 200


def _spooled(web):
    """How many bytes the processes hold in files without a name."""
    found = 0
    for pid in web.workers():
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                name = str(each.readlink())
                found += each.stat().st_size if "temporary" in name and "deleted" in name else 0
    return found


def _is_open(client):
    client.settimeout(0.1)
    try:
        return client.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


MAIL = """
from messaging import users
from messaging.models import EmailSettings
from messaging.setup import changes
from messaging.company import options
users.create("admin", "Kofi-writes-4-letters", role="Administrator", email="anna@office.example", via="test")
server = {"send_type": EmailSettings.SendType.SMTP, "host": "127.0.0.1", "port": 9}
changes.save(None, server | {"from_address": "office@office.example"}, by=None, via="test")
options.save({"record_mail": True, "hold_mail": True}, by=None, via="test")
answer = 1
"""


def test_large_attachments_from_many_at_once_all_arrive(tmp_path):
    """Two processes that write to one SQLite file, each message with an attachment that is spooled."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    with Web(tmp_path, TMPDIR=str(folder)) as web:
        web.installation.ask(MAIL)
        cookie, token, sender = web.sign_in()

        def write(number):
            values = {
                "csrfmiddlewaretoken": token, "key": uuid.uuid4().hex, "sender": sender, "do": "queue",
                "promised": "queue:waits",
                "to": f"b{number}@example.com", "subject": "Plans", "text": "See the file.",
            }  # fmt: skip
            body, kind = encode_multipart_formdata(values | {"files": ("a;b;c;d.pdf", os.urandom(5_000_000))})
            return web.get("/messages/new/", body, **{"Content-Type": kind, "Cookie": cookie})

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(write, range(12)))
        assert {status for status, _ in answers} == {200}, answers[0][1][-3000:]
        count = "from messaging.models import Message\nanswer = Message.objects.count()"
        assert web.installation.ask(count) == 12, answers[0][1]
        assert list(folder.iterdir()) == []


def _token(page):
    return re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]


SLOW = """
from messaging.models import EmailSettings
from messaging.setup import changes
from messaging.company import options
changes.save(None, {"host": "127.0.0.1", "port": PORT, "max_connections": 8}, by=None, via="test")
options.save({"record_mail": True, "hold_mail": False}, by=None, via="test")
answer = 1
"""
STATES = """
from collections import Counter
from messaging.models import Message
answer = dict(Counter(Message.objects.values_list("status", flat=True)))
"""
STALLS = [("GREETING", SILENCE), ("END", SILENCE)]
MORE_STALLS = [
    ("GREETING", Drip("220 fault.example", seconds=2)), ("EHLO", SILENCE), ("EHLO", Drip("250 fault", seconds=2)),
    ("MAIL", SILENCE), ("RCPT", SILENCE), ("RCPT", Drip("250 ok", seconds=2)), ("DATA", SILENCE),
    ("DATA", Drip("354 go", seconds=2)), ("END", Drip("250 taken", seconds=2)), ("END", (ACCEPT, SILENCE)),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "stall"), [*STALLS, *also_in_drills(*MORE_STALLS)], ids=str)
def test_users_who_press_send_at_a_slow_mail_server_hold_no_page_up(tmp_path, stage, stall):
    with Web(tmp_path) as web, FaultServer() as server:
        server.at(stage, stall)
        web.installation.ask(MAIL + SLOW.replace("PORT", str(server.port)))
        cookie, token, sender = web.sign_in()

        def press_send(number):
            values = {
                "csrfmiddlewaretoken": token, "key": uuid.uuid4().hex, "sender": sender, "do": "send",
                "promised": "send:at-once",
                "to": f"b{number}@example.com", "subject": "Plans", "text": "Hello.",
            }  # fmt: skip
            return web.get("/messages/new/", urllib.parse.urlencode(values).encode(), Cookie=cookie)

        with ThreadPoolExecutor(8) as pool:
            pressed = [pool.submit(press_send, number) for number in range(8)]
            time.sleep(0.5)
            took = {path: [] for path in ("/healthz", "/accounts/login/", "/messages/")}
            while not all(each.done() for each in pressed):
                for path, times in took.items():
                    times.append(seconds_to_answer(web.site, path, Cookie=cookie))
            answers = [each.result() for each in pressed]
        for path, times in took.items():
            assert sorted(times)[len(times) // 2] < 1 and max(times) < 3, (path, times)
        assert {status for status, _ in answers} <= {200, 422}, [page[-2000:] for _, page in answers]
        refused = [page for status, page in answers if status == 422]
        assert all("Put in the queue instead" in page for page in refused)
        assert all("It is being sent." in page for status, page in answers if status == 200)
        sending, found = 8 - len(refused), web.installation.ask(STATES)
        assert found == {"failed": len(refused)} | ({"sending": sending} if sending else {})
        assert sending == len(server.transactions) if stage == "END" else not sending
        assert sending <= 4, "two in each process"


NOTHING_KEPT = """
from messaging.company import options
options.save({"record_mail": False}, by=None, via="test")
answer = 1
"""
TOLD = """
from django.utils import timezone
from messaging import housekeeping
from messaging.models import Message, NoticeItem
housekeeping.sweep(timezone.now())
answer = [list(Message.objects.values_list("status", flat=True)), NoticeItem.objects.count()]
"""


@pytest.mark.parametrize("stays", [True, False], ids=["stays", "closes the tab"])
def test_a_user_who_closes_the_tab_is_told_of_a_failure_like_any_other(tmp_path, stays):
    """Nothing is recorded, so a failure that no one saw would leave no trace."""
    with Web(tmp_path) as web, FaultServer() as server:
        server.at("RCPT", (Pause(1), "550 5.1.1 no such user"))
        web.installation.ask(MAIL + SLOW.replace("PORT", str(server.port)) + NOTHING_KEPT)
        cookie, token, sender = web.sign_in()
        values = {
            "csrfmiddlewaretoken": token, "key": uuid.uuid4().hex, "sender": sender, "do": "send",
            "promised": "send:at-once",
            "to": "b@example.com", "subject": "Plans", "text": "Hello.",
        }  # fmt: skip
        body = urllib.parse.urlencode(values)
        head = f"POST /messages/new/ HTTP/1.1\r\nHost: 127.0.0.1:{web.port}\r\nCookie: {cookie}\r\n"
        kind = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", web.port), 20) as client:
            client.sendall((head + kind + body).encode())
            assert wait_for(lambda: server.heard("RCPT"))
            if stays:
                status, page = answer_on(client)
                assert status == 422 and "It was not sent." in page
        assert wait_for(lambda: server.heard("QUIT"))
        expected = [[], 0] if stays else [["failed"], 1]
        assert wait_for(lambda: web.installation.ask(TOLD) == expected), web.installation.ask(TOLD)


@pytest.mark.drill
def test_a_message_that_waits_for_its_answer_is_finished_when_the_server_is_told_to_end(tmp_path):
    with Web(tmp_path) as web, FaultServer() as server:
        server.at("END", [(Pause(9), "250 2.0.0 taken")])
        web.installation.ask(MAIL + SLOW.replace("PORT", str(server.port)))
        cookie, token, sender = web.sign_in()
        values = {
            "csrfmiddlewaretoken": token, "key": uuid.uuid4().hex, "sender": sender, "do": "send",
            "promised": "send:at-once",
            "to": "b@example.com", "subject": "Plans", "text": "Hello.",
        }  # fmt: skip
        _, page = web.get("/messages/new/", urllib.parse.urlencode(values).encode(), Cookie=cookie)
        assert "It is being sent." in page
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(30) == 0
        assert web.installation.ask(STATES) == {"sent": 1}


def test_processes_begin_without_a_thread_or_connection_of_their_parent(web):
    parent = Path(f"/proc/{web.process.pid}")
    assert len(list((parent / "task").iterdir())) == 1
    sockets = [each for each in (parent / "fd").iterdir() if str(each.readlink()).startswith("socket:")]
    assert len(sockets) == 1, "the one that listens"


def test_web_runs_in_two_processes_at_least():
    command = processes.command_line("web")
    assert int(command[command.index("--workers") + 1]) >= 2
    assert command[0] == sys.executable
