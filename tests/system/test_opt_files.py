"""A `.opt` file that turns bad under a real worker."""

import pytest

from tests.factories import write_opt_files
from tests.installation import BEAT, WORKER, Installation, wait_for
from tests.servers import MailServer

QUEUE_ONE = """
from django.utils import timezone
from messaging.intake.gate import Submission, accept
EmailSettings.objects.create(send_type=2, host="127.0.0.1", port=9, ehlo_name="t.example")
raw = b"From: a@b.example\\r\\nTo: ann@example.com\\r\\n\\r\\nhello"
message = accept(Submission(raw, "a@b.example", ["ann@example.com"], via="test"))
Message.objects.filter(pk=message.pk).update(not_before=timezone.now())
answer = None
"""

NOTED = """
from messaging.delivery import opt_file_block
from messaging.wording import in_words
answer = [in_words(error) for note in Heartbeat.objects.exclude(note=None) for error in opt_file_block.errors_of(note)]
"""
BAD = "email.smtp_port.opt: “abc” is not a port. Write a number from 1 to 65535."


@pytest.mark.process
def test_real_worker_waits_while_a_file_is_bad_and_goes_on_when_it_is_mended(tmp_path):
    option = tmp_path / "option"
    option.mkdir()
    write_opt_files(option, port="abc")
    with MailServer() as server, Installation(tmp_path, EMAIL_OPT_DIR=str(option)) as installation:
        installation.ask(QUEUE_ONE)
        installation.start(WORKER)
        installation.start(BEAT)
        assert wait_for(lambda: installation.ask(NOTED) == [BAD])
        assert installation.ask("answer = list(Message.objects.values_list('status', 'tries'))") == [["queued", 0]]
        write_opt_files(option, port=str(server.port))
        assert wait_for(lambda: server.received)
        assert wait_for(lambda: installation.ask(NOTED) == [])
        worker_log = (tmp_path / "0-worker.log").read_text()
    assert worker_log.count("nothing is sent by") == 1
    assert worker_log.count("are fixed; it sends again") == 1
