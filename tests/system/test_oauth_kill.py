"""A worker is killed while it asks a provider for an access token."""

import json
import signal

import pytest

from tests import services
from tests.certificates import Authority
from tests.fault_server import FaultServer
from tests.identity import CLIENT, TENANT, Identity
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.sizes import STACKS

pytestmark = [pytest.mark.process, pytest.mark.slow]

QUEUE = """
import json
from django.utils import timezone
from messaging.intake.gate import Submission, accept
from messaging.setup import changes
changes.save(None, json.loads({values!r}), by=None)
raw = b"From: office@brightwater.example\\r\\nTo: ann@example.com\\r\\nSubject: Invoice\\r\\n\\r\\nHello\\r\\n"
message = accept(Submission(raw, "office@brightwater.example", ["ann@example.com"], via="test"))
Message.objects.filter(pk=message.pk).update(not_before=timezone.now())
answer = message.pk
"""
SENT = "answer = Message.objects.get().status == 'sent'"
PAUSES = "answer = [[pause.kind, pause.reason.key] for pause in AccountPause.history.all()]"


@pytest.mark.parametrize("stack", STACKS)
def test_worker_killed_while_it_renews_a_token_pauses_nothing(stack, tmp_path):
    urls = services.urls() if stack == "services" else {}
    ca = Authority(tmp_path)
    with (
        Identity(ca.server_context()) as identity,
        FaultServer(auth=["XOAUTH2"], tls=ca.server_context(), takes_token=identity.takes_token) as server,
        Installation(tmp_path, **urls) as installation,
    ):
        identity.gate.clear()
        values = {
            "send_type": 3, "auth_type": "tls-explicit", "host": "127.0.0.1", "port": server.port,
            "username": "office@brightwater.example", "ehlo_name": "t.example", "sign_in": "microsoft-app",
            "ca_bundle": (tmp_path / "ca.pem").read_text(), "token_url": identity.url, "tenant": TENANT,
            "client_id": CLIENT, "client_secret": identity.client_secret,
        }  # fmt: skip
        installation.ask(QUEUE.format(values=json.dumps(values)))
        worker = installation.start(WORKER)
        installation.start(BEAT)
        assert wait_for(lambda: identity.asked), "the provider was not asked"
        installation.stop(worker, signal.SIGKILL)
        assert installation.ask("answer = AccessToken.objects.exclude(renewing_until=None).exists()")
        identity.gate.set()
        installation.start(WORKER)
        assert wait_for(lambda: installation.ask(SENT)), installation.ask(PAUSES)
        assert installation.ask(PAUSES) == []
