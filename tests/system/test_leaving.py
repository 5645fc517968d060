"""Users are deactivated while real workers send their messages to a server that wants them again later."""

import threading

import pytest

from tests import services
from tests.fault_server import FaultServer
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.sizes import STACKS

pytestmark = [pytest.mark.process, pytest.mark.slow]

CHOICES = ("hold", "cancel", "pass-on", "let-go")
QUEUE = """
from django.contrib.auth.models import User
from django.utils import timezone
from messaging.access import roles
from messaging import users
from messaging.intake.gate import Submission, accept
EmailSettings.objects.update_or_create(
    account=None, defaults={{"send_type": 2, "host": "127.0.0.1", "port": {port}, "ehlo_name": "t.example"}})
users.create("boss", None, role=roles.ADMIN)
for choice in {choices!r}:
    raw = f"From: {{choice}}@brightwater.example\\r\\nTo: c@example.com\\r\\nSubject: {{choice}}\\r\\n\\r\\nHello\\r\\n"
    author = users.create(choice, None)
    accept(Submission(raw.encode(), f"{{choice}}@brightwater.example", ["c@example.com"], author, timezone.now()))
answer = None
"""
DEACTIVATE = """
from django.contrib.auth.models import User
from messaging import users
from messaging.queue.offboarding import Decision
from messaging.models import Recall
boss = User.objects.get(username="boss")
answer = {{}}
for choice in {choices!r}:
    left = users.change(User.objects.get(username=choice), {{"is_active": False}}, by=boss,
                        decision=Decision(Recall.Choice(choice))).left
    answer[choice] = [left.done, left.sending]
"""
STATES = "answer = dict(Message.objects.values_list('subject', 'status'))"
SETTLED = "from messaging.models import Recall; answer = not Recall.objects.exists()"
TRY_AGAIN = """
from django.utils import timezone
answer = Message.objects.filter(status="queued", not_before__isnull=False).update(not_before=timezone.now())
"""
TOLD = """
from messaging.wording.sentences import event
answer = {m.subject: [m.account and m.account.username, *(event(row) for row in m.events.order_by("pk"))]
          for m in Message.objects.all()}
"""


@pytest.mark.parametrize("stack", STACKS)
def test_users_who_leave_while_their_messages_are_greylisted(stack, tmp_path):
    urls = services.urls() if stack == "services" else {}
    decided = threading.Event()

    def greylist():
        decided.wait(60)
        return "450 4.2.0 greylisted, come back later"

    with FaultServer() as server, Installation(tmp_path, **urls) as installation:
        server.at("END", [greylist] * len(CHOICES))
        installation.ask(QUEUE.format(port=server.port, choices=CHOICES))
        installation.start(WORKER)
        installation.start(BEAT)
        assert wait_for(lambda: len([each for each in server.transactions if each.ended]) == len(CHOICES))
        left = installation.ask(DEACTIVATE.format(choices=CHOICES))
        assert left == {"hold": [0, 1], "cancel": [0, 1], "pass-on": [0, 1], "let-go": [0, 0]}
        decided.set()
        assert wait_for(lambda: installation.ask(SETTLED))
        expected = {"hold": "held", "cancel": "cancelled", "pass-on": "queued", "let-go": "queued"}
        assert wait_for(lambda: installation.ask(STATES) == expected), installation.ask(STATES)
        installation.ask(TRY_AGAIN)
        expected |= {"pass-on": "sent", "let-go": "sent"}
        assert wait_for(lambda: installation.ask(STATES) == expected), installation.ask(STATES)
        told = installation.ask(TOLD)
    accounts = {choice: choice for choice in CHOICES} | {"pass-on": None}
    assert {choice: words[0] for choice, words in told.items()} == accounts
    assert told["hold"][-1] == "Held: hold was deactivated."
    assert told["cancel"][-1] == "Cancelled: cancel was deactivated."
    assert told["pass-on"][-1] == "Passed on to the company’s account: pass-on was deactivated."
    assert len(told["let-go"]) == 2
