"""`make run` as a person meets it: real processes, a folder and ports of its own."""

import contextlib
import http.cookiejar
import os
import pty
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests import database, services
from tests.installation import ROOT, Installation, free_ports, wait_for
from tests.sizes import also_in_drills

pytestmark = pytest.mark.process

BLOCK_END = "Stop "
FULL = Path("/dev/full")


def _as_in_a_terminal():
    """Tests that run in the background of a shell ignore Ctrl-C, and so would whatever they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Local:
    """An own `.env`, data folder and ports; `start` does what the Makefile's `run` does."""

    def __init__(self, folder, **variables):
        self.folder = folder
        self.port, self.catcher_port = free_ports(2)
        own = {"ENV_FILE": str(folder / ".env"), "PORT": str(self.port), "CATCHER_PORT": str(self.catcher_port)}
        self.env = Installation(folder).env | own | variables
        for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "HTTPS"):
            del self.env[name]
        self.runs = 0

    def start(self, output=None):
        """Start it; its output is read from a file, as a terminal would show it. `output` is another file."""
        self.runs += 1
        self.began = time.monotonic()
        self.log = output or self.folder / f"run-{self.runs}.log"
        python = shlex.quote(sys.executable)
        command = f"{python} config/local_env.py && exec {python} manage.py runlocal"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", command],
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=_as_in_a_terminal,
            )
        return self

    @property
    def output(self):
        return self.log.read_text()

    def ready(self):
        assert wait_for(lambda: BLOCK_END in self.output or self.process.poll() is not None, seconds=60), self.output
        assert BLOCK_END in self.output, self.output
        self.took = time.monotonic() - self.began
        return self.output

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        return self.process.wait(40)

    def is_up(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5).status == 200
        return False

    def kill(self):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def processes(self):
        """Command lines, by pid, of the processes that have our folder in their environment."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"VAR_DIR={self.env['VAR_DIR']}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def ask(self, code):
        command = [
            sys.executable,
            "manage.py",
            "shell",
            "--no-imports",
            "-c",
            f"from messaging.models import *\n{code}",
        ]
        return subprocess.check_output(command, cwd=ROOT, env=self.env, timeout=60, text=True).strip()

    def sign_in(self, password):
        """Sign in as a browser would; the address and the text of the page that follows."""
        jar = http.cookiejar.CookieJar()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        page = browser.open(f"http://127.0.0.1:{self.port}/", timeout=20)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.read().decode())[1]
        form = {"csrfmiddlewaretoken": token, "username": "admin", "password": password}
        after = browser.open(page.url, urllib.parse.urlencode(form).encode(), timeout=20)
        return urllib.parse.urlsplit(after.url).path, after.read().decode()


@pytest.fixture
def local(tmp_path):
    local = Local(tmp_path)
    yield local
    local.kill()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """One folder for several tests: only the first of them waits for the demo, and none for the migrations."""
    local = Local(tmp_path_factory.mktemp("lasting"))
    database.copy_sqlite(local.folder / "var" / "outtray.sqlite3")
    yield local
    local.kill()


def password_in(output):
    return re.search(r"password (\S+) \(shown only this once\)", output)[1]


KEPT = """
print(Message.objects.count())
print(EmailSettings.objects.get().port)
row = CompanyOptions.objects.get()
print(row.record_mail, row.hold_mail, row.company_address, row.console_url)
"""


@pytest.mark.alone  # all migrations within what a user would wait
def test_first_start_second_start_and_ctrl_c(local):
    first, takes_first = local.start().ready(), local.took
    assert f"http://localhost:{local.port}/" in first
    assert str(local.folder / "var" / "caught") in first
    assert len(re.findall(r"^Outtray is running\.$", first, re.MULTILINE)) == 1
    for name, mode in {".env": 0o600, "var": 0o700, "var/outtray.sqlite3": 0o600, "var/media": 0o700}.items():
        assert stat.S_IMODE((local.folder / name).stat().st_mode) == mode, name
    address, page = local.sign_in(password_in(first))
    assert address == "/messages/"
    assert "brightwater.example" in page or "Invoice" in page
    with socket.create_connection(("127.0.0.1", local.catcher_port), 5) as catcher:
        assert catcher.recv(100).startswith(b"220 ")
    kept = local.ask(KEPT).splitlines()
    assert int(kept[0]) > 50
    url = f"http://localhost:{local.port}"
    assert kept[1:] == [str(local.catcher_port), f"True True office@brightwater.example {url}"]
    assert "Demo         recording and holding of email are switched on (Company options)" in first

    assert local.stop(signal.SIGINT) == 0
    assert wait_for(lambda: not local.processes(), seconds=2), local.processes()
    assert "Traceback" not in local.output

    keys = (local.folder / ".env").read_text()
    second = local.start().ready()
    assert local.took < takes_first
    assert "shown only this once" not in second
    assert "make password" in second
    assert "Demo  " not in second
    assert local.ask(KEPT).splitlines() == kept
    assert (local.folder / ".env").read_text() == keys
    assert local.sign_in(password_in(first))[0] == "/messages/"
    assert local.stop(signal.SIGTERM) == 0
    assert wait_for(lambda: not local.processes(), seconds=2), local.processes()


@pytest.mark.drill
def test_output_stays_calm(lasting):
    lasting.start().ready()
    time.sleep(3)  # longer than from one sweep to the next
    noise = [line for line in lasting.output.splitlines() if " | " in line and "Catching mail" not in line]
    assert noise == []
    lasting.stop()


@pytest.mark.parametrize("moment", [1.7, *also_in_drills(0.2, 0.7, 1.2, 2.2)])
def test_ctrl_c_at_any_moment_leaves_nothing(local, moment):
    local.start()
    time.sleep(moment)
    local.stop(signal.SIGINT)
    assert wait_for(lambda: not local.processes(), seconds=2), local.processes()


@pytest.mark.parametrize("name", ["worker", *also_in_drills("web", "catcher")])
def test_when_one_process_dies_everything_stops_and_says_which(lasting, name):
    lasting.start().ready()
    part = {"web": "gunicorn", "worker": " worker ", "catcher": "catchmail"}[name]
    os.kill(min(pid for pid, command in lasting.processes().items() if part in command), signal.SIGKILL)
    assert lasting.process.wait(40) == 1
    assert f"The {name} process was killed by signal 9" in lasting.output
    assert wait_for(lambda: not lasting.processes(), seconds=2), lasting.processes()


def test_supervisor_that_is_killed_leaves_nothing_and_can_be_started_again(lasting):
    lasting.start().ready()
    lasting.process.kill()
    lasting.process.wait()
    assert wait_for(lambda: not lasting.processes(), seconds=15), lasting.processes()
    lasting.start().ready()
    assert lasting.stop() == 0


@pytest.mark.skipif(not FULL.exists(), reason="this system has no device that is full")
def test_full_disk_under_the_output_stops_nothing(lasting):
    lasting.start(output=FULL)
    assert wait_for(lambda: lasting.is_up() or lasting.process.poll() is not None, seconds=60)
    assert lasting.process.poll() is None
    lasting.stop()
    assert not lasting.processes()


def test_closed_terminal_with_make_as_its_first_process_stops_everything_in_good_order(lasting):
    """As in `ssh -t host make run`, or a terminal window that was opened with the command."""
    makefile = lasting.folder / "Makefile"
    makefile.write_text(f"run:\n\t@exec {sys.executable} manage.py runlocal >{lasting.folder}/terminal.log\n")
    subprocess.run([sys.executable, "config/local_env.py"], cwd=ROOT, env=lasting.env, check=True)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execvpe("make", ["make", "-f", str(makefile), "run"], lasting.env)
    lasting.log = lasting.folder / "terminal.log"
    assert wait_for(lambda: lasting.log.exists() and BLOCK_END in lasting.output, seconds=60)
    os.close(terminal)
    assert wait_for(lambda: os.waitpid(pid, os.WNOHANG)[0], seconds=30), lasting.processes()
    assert wait_for(lambda: not lasting.processes(), seconds=2), lasting.processes()
    assert "warm shutdown" in lasting.output.lower()


@pytest.mark.parametrize("variable", ["PORT", *also_in_drills("CATCHER_PORT")])
def test_port_in_use_is_named_before_anything_is_made(local, variable):
    port = int(local.env[variable])
    with socket.create_server(("127.0.0.1", port)):
        assert local.start().process.wait(30) == 1
    assert local.output == (
        f"CommandError: Port {port} is in use ({variable}). Is Outtray running already? Stop it, or choose another: "
        f"make run {variable}={port + 1}\n"
    )
    assert not (local.folder / "var" / "outtray.sqlite3").exists()


@pytest.mark.parametrize("port", ["70000", *also_in_drills("0")])
def test_port_that_is_none(tmp_path, port):
    local = Local(tmp_path, PORT=port).start()
    assert local.process.wait(30) == 1
    assert f"PORT is {port}, and a port is a number from 1 to 65535." in local.output


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgres://me:s3cret@127.0.0.1:{port}/outtray"),
        ("CELERY_BROKER_URL", "redis://:s3cret@127.0.0.1:{port}/0"),
    ],
)
def test_service_that_is_away_is_named_without_its_password(tmp_path, variable, value):
    local = Local(tmp_path, **{variable: value.format(port=free_ports(1)[0])}).start()
    assert local.process.wait(60) == 1
    assert f"does not answer ({variable}, " in local.output
    assert "s3cret" not in local.output
    assert "Traceback" not in local.output


@pytest.mark.drill
@pytest.mark.services
def test_with_postgresql_and_redis(tmp_path):
    with Installation(tmp_path, **services.urls()) as installation:
        urls = {name: installation.env[name] for name in ("DATABASE_URL", "CELERY_BROKER_URL")}
        local = Local(tmp_path, **urls)
        output = local.start().ready()
        assert f"PostgreSQL 127.0.0.1:5432/{installation.database}" in output
        assert "broker redis://" in output
        assert local.sign_in(password_in(output))[0] == "/messages/"
        assert int(local.ask("print(Message.objects.filter(status='queued').count())")) > 35
        assert local.stop() == 0
        assert not (tmp_path / "var" / "outtray.sqlite3").exists()
        assert wait_for(lambda: not local.processes(), seconds=2)
