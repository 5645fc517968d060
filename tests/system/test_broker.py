"""A broker that is there and takes no wake-ups: worker and beat say why, wait, and resume by themselves."""

import contextlib
import shutil
import socket

import pytest
import redis

from tests import services
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.system.chaos.services import Redis, programs
from tests.unit.config.test_private import AS_A_USER, needs_setpriv

pytestmark = [pytest.mark.process, pytest.mark.slow]

SWEPT = "answer = Heartbeat.objects.filter(name='sweep').exists()"


def start_and_read(installation):
    """Start worker and beat; what each of them has said so far, by its name."""
    for command in (WORKER, BEAT):
        installation.start([*AS_A_USER, *command])

    def said():
        return {log.stem.partition("-")[2]: log.read_text() for log in installation.folder.glob("[0-9]*-*.log")}

    return said


@contextlib.contextmanager
def redis_server():
    program, _ = programs()
    if program is None:
        pytest.skip(services.NO_PROGRAMS)
    with Redis(program) as server:
        yield server, redis.Redis(port=server.port)


def refuse_for_memory(client, url):
    client.config_set("maxmemory", 1)
    return url, lambda: client.config_set("maxmemory", 0)


def refuse_as_a_replica(client, url):
    client.replicaof("127.0.0.1", "1")
    return url, lambda: client.replicaof("NO", "ONE")


def refuse_the_password(client, url):
    client.config_set("requirepass", "another")
    return url, lambda: redis.Redis(port=client.get_connection_kwargs()["port"], password="another").config_set(
        "requirepass", ""
    )


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        (refuse_for_memory, "Redis has reached its maxmemory"),
        (refuse_as_a_replica, "This Redis is a read-only replica. CELERY_BROKER_URL has to name the primary."),
        (refuse_the_password, "Redis refuses the user name or password in CELERY_BROKER_URL."),
    ],
)
def test_redis_that_refuses_at_the_start_is_waited_for(tmp_path, refuse, words):
    with redis_server() as (server, client):
        url, allow = refuse(client, server.url)
        with Installation(tmp_path, broker_url=url) as installation:
            said = start_and_read(installation)
            assert wait_for(lambda: all(words in text for text in said().values())), said()
            assert not installation.ask(SWEPT)
            allow()
            assert wait_for(lambda: installation.ask(SWEPT), seconds=45), said()
            assert all(process.poll() is None for process in installation.processes)
            assert all("Traceback" not in text for text in said().values()), said()


ORDER = """
from django.contrib.auth.models import User
from django.test import Client
from messaging.intake.gate import Submission, accept_many
EmailSettings.objects.update_or_create(account=None, defaults={"send_type": 2, "host": "127.0.0.1", "port": 9})
anna, _ = User.objects.get_or_create(username="anna", is_superuser=True)
raw = b"From: office@example.com\\nTo: a@example.com\\nSubject: x\\n\\nHello\\n"
accept_many([Submission(raw, "office@example.com", ["a@example.com"], author=anna, via="test") for _ in range(60)])
browser = Client(HTTP_HOST="localhost")
browser.force_login(anna)
chosen = {"message": list(Message.objects.filter(status="queued", batch=None).values_list("pk", flat=True))}
review = browser.post("/batches/new/", chosen).url
answer = browser.post(review + "confirm/").status_code
"""


def test_redis_that_says_nothing_holds_no_order_up(tmp_path):
    """As one that is frozen, or behind a network that drops all."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        with Installation(tmp_path, broker_url=url) as installation:
            answers = [installation.ask(ORDER) for _ in range(3)]
            assert answers == [302] * 3
            said = (tmp_path / "inside.log").read_text()
            assert "It does not answer (CELERY_BROKER_URL): timed out." in said
            assert "Traceback" not in said
            silent.setblocking(False)
            assert len(list(accepted(silent))) < 12, "it was waited for again for each lane of each order"


def accepted(server):
    with contextlib.suppress(BlockingIOError):
        while True:
            yield server.accept()[0]


@needs_setpriv
def test_folder_of_the_embedded_broker_that_cannot_be_used_is_waited_for(tmp_path):
    with Installation(tmp_path) as installation:
        broker = tmp_path / "var" / "broker"
        broker.mkdir(mode=0o500)
        said = start_and_read(installation)
        words = "The folder of the embedded broker, broker in VAR_DIR, cannot be used: Permission denied."
        assert wait_for(lambda: all(words in text for text in said().values())), said()
        assert not installation.ask(SWEPT)
        broker.chmod(0o700)
        assert wait_for(lambda: installation.ask(SWEPT), seconds=45), said()
        assert all("Traceback" not in text for text in said().values()), said()


def test_folder_of_the_embedded_broker_that_is_gone_is_made_again(tmp_path):
    with Installation(tmp_path) as installation:
        said = start_and_read(installation)
        assert wait_for(lambda: installation.ask(SWEPT), seconds=45), said()
        shutil.rmtree(tmp_path / "var" / "broker")
        installation.ask("Heartbeat.objects.all().delete()\nanswer = None")
        assert wait_for(lambda: installation.ask(SWEPT), seconds=45), said()
        assert all("Traceback" not in text for text in said().values()), said()
