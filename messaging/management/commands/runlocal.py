"""`make run`: everything on one machine. Prepares what is missing, then runs web, worker, beat and mail catcher."""

import errno
import hashlib
import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

from celery import current_app
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from config import processes
from config.environment import make_folder
from messaging import demo, users
from messaging.access import roles
from messaging.broker.failures import known_reason
from messaging.company import options
from messaging.housekeeping import SWEEP
from messaging.local.supervisor import Ended, Supervisor
from messaging.models import EmailSettings, Heartbeat, Message
from messaging.setup import changes
from messaging.system_errors import words_of

HOST = "127.0.0.1"
FIRST_OPERATOR = "admin"
COMMAND = "runlocal"  # in the audit log
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SECONDS_TO_ANSWER = 60
SECONDS_TO_REPORT = 15


class Command(BaseCommand):
    help = "Run Outtray on this machine: web, worker, beat and a local mail catcher. Ctrl-C stops them."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        password, is_demo = _prepare()
        lock = threading.Lock()

        def say(line: str) -> None:
            try:
                with lock:
                    sys.stdout.write(line + "\n")
                    sys.stdout.flush()
            except OSError as error:
                if error.errno not in NO_ROOM:  # else the line is lost, and nothing more
                    raise

        for words in settings.NOT_PRIVATE:
            say(f"Note: {words}")
        # The catcher first: it is what the others send to.
        commands = {name: processes.command_line(name, HOST) for name in ("catcher", "web", "worker", "beat")}
        supervisor = Supervisor(commands, outlives="catcher", say=say)
        begin = timezone.now()
        ended = supervisor.run(lambda: say(_block(password, is_demo) if _answers() and _works(begin) else _no_answer()))
        if ended:
            raise CommandError(_explained(ended))


# --- Before anything is started --------------------------------------------------------------------


def _prepare() -> tuple[str, bool]:
    """Make whatever is missing; the password of an operator who was made, and whether the demo was. Raises
    CommandError.
    """
    if settings.PORT == settings.CATCHER_PORT:
        raise CommandError(f"PORT and CATCHER_PORT are both {settings.PORT}. Choose another: make run PORT=8000")
    _check_port("PORT", settings.PORT)
    _check_port("CATCHER_PORT", settings.CATCHER_PORT)
    for name in ("MEDIA_ROOT", "CAUGHT_DIR"):
        make_folder(getattr(settings, name), name)
    make_folder(settings.STATIC_ROOT, "VAR_DIR")
    _check_services()
    call_command("migrate", verbosity=0, interactive=False)
    _collect_static()
    password = _first_operator()
    is_demo = _first_mail()
    connection.close()
    return password, is_demo


def _check_port(variable: str, port: int) -> None:
    """Raises CommandError unless `port` of this machine is free."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            probe.listen()
    except OSError as error:
        another = f"choose another: make run {variable}={port + 1 if port >= 1024 else 8000}"
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} is in use ({variable}). Is Outtray running already? Stop it, or {another}"
            ) from error
        raise CommandError(f"Port {port} cannot be used ({variable}): {error.strerror}. Instead, {another}") from error


def _check_services() -> None:
    """Raises CommandError when the database or the broker does not answer."""
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        asks = "Is it running, and does the database exist?" if connection.vendor == "postgresql" else "Its file says:"
        words = " ".join(str(error).split())
        raise CommandError(f"The database does not answer (DATABASE_URL, {_database()}). {asks} {words}") from error
    try:
        with current_app.connection() as broker:
            broker.ensure_connection(max_retries=1, interval_start=0, timeout=5)
    except Exception as error:  # each transport has errors of its own
        why = known_reason(error)
        does_not = "The broker cannot be used" if why else "The broker does not answer"
        words = why or f"Is it running? {words_of(error.__cause__ or error)}"
        raise CommandError(f"{does_not} (CELERY_BROKER_URL, {_broker()}). {words}") from error


def _collect_static() -> None:
    """collectstatic takes seconds, so it runs only when a file of it, or a library, was changed."""
    stamp = settings.STATIC_ROOT / ".collected"
    found = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            found.update(f"{path} {storage.get_modified_time(path)} {storage.size(path)}\n".encode())
    if stamp.exists() and stamp.read_text() == found.hexdigest():
        return
    call_command("collectstatic", verbosity=0, interactive=False)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(found.hexdigest())


def _first_operator() -> str:
    """The password of the first operator, made now; "" when there is an administrator already."""
    if roles.admins().exists() or User.objects.filter(username=FIRST_OPERATOR).exists():
        return ""
    password = users.readable_password()
    users.create(FIRST_OPERATOR, password, role=roles.ADMIN, via=COMMAND)
    return password


def _first_mail() -> bool:
    """On the very first start: Email Setup points at the mail catcher, and the demo's messages wait in the queue.

    They wait because recording and holding is switched on for them, which it is not on a real installation.
    """
    if EmailSettings.objects.filter(account=None).exists() or Message.objects.exists():
        return False
    with transaction.atomic():
        changes.save(
            None,
            {
                "send_type": EmailSettings.SendType.SMTP,
                "host": HOST,
                "port": settings.CATCHER_PORT,
                "from_address": demo.OFFICE_ADDRESS,
                "ehlo_name": f"[{HOST}]",
            },
            by=None,
            via=COMMAND,
        )
        options.save(
            {
                "record_mail": True,
                "hold_mail": True,
                "company_name": demo.COMPANY_NAME,
                "company_address": demo.OFFICE_ADDRESS,
                "console_url": f"http://localhost:{settings.PORT}",
            },
            by=None,
            via=COMMAND,
        )
        demo.first_run()
    return True


# --- What is printed -------------------------------------------------------------------------------


def _answers() -> bool:
    """Whether the web process answered within SECONDS_TO_ANSWER."""
    end = time.monotonic() + SECONDS_TO_ANSWER
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://{HOST}:{settings.PORT}/healthz", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            time.sleep(0.1)
            continue
        return True
    return False


def _works(begin: datetime) -> bool:
    """Wait until worker and beat have reported, so that the first page does not warn that nothing is sent.

    Always true: without them the page says what is wrong better than we could here.
    """
    end = time.monotonic() + SECONDS_TO_REPORT
    while time.monotonic() < end and not Heartbeat.objects.filter(name=SWEEP, at__gte=begin).exists():
        time.sleep(0.1)
    connection.close()
    return True


def _block(password: str, is_demo: bool) -> str:
    if password:
        sign_in = f"{FIRST_OPERATOR}, password {password} (shown only this once)"
    else:
        sign_in = "with your password (forgotten? make password)"
    rows = {
        "Open": f"http://localhost:{settings.PORT}/",
        "Sign in": sign_in,
        "Caught mail": f"{settings.CAUGHT_DIR}/*.eml (SMTP {HOST}:{settings.CATCHER_PORT})",
        "Kept in": f"{_database()}; broker {_broker()}",
        "Stop": "Ctrl-C",
    }
    if is_demo:
        rows = {"Demo": "recording and holding of email are switched on (Company options)"} | rows
    lines = "\n".join(f"  {name:12} {text}" for name, text in rows.items())
    return f"\nOuttray is running.\n\n{lines}\n"


def _no_answer() -> str:
    return f"The web process has not answered for {SECONDS_TO_ANSWER} seconds; see its lines above. Ctrl-C stops."


def _explained(ended: Ended) -> str:
    how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"ended with exit code {ended.code}"
    return (
        f"The {ended.name} process {how}; its last lines are above. Everything else was stopped too. "
        "Nothing is lost: start again with make run"
    )


def _database() -> str:
    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return str(database["NAME"])
    return f"PostgreSQL {database['HOST'] or 'localhost'}:{database['PORT'] or 5432}/{database['NAME']}"


def _broker() -> str:
    """The broker's address without its password."""
    if settings.CELERY_BROKER_URL.startswith("filesystem"):
        return str(settings.VAR_DIR / "broker")
    return re.sub(r"//[^@/]*@", "//", settings.CELERY_BROKER_URL)
