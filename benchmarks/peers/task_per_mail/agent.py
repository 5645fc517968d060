"""A program that queues a task for each mail; attachments wait in files."""

import os
from pathlib import Path

import django

django.setup()

from benchmarks.agent import seconds, serve  # noqa: E402
from benchmarks.corpus import SENDER, Mail, mails  # noqa: E402
from benchmarks.peers.task_per_mail.celery import send  # noqa: E402


def _keep(mail: Mail) -> str:
    if mail.attachment is None:
        return ""
    path = Path(os.environ["VAR_DIR"], mail.name, "report.pdf")
    path.parent.mkdir(parents=True)
    path.write_bytes(mail.attachment)
    return str(path)


def _queue(mail: Mail) -> None:
    send.delay(mail.subject, mail.body, SENDER, mail.recipient, mail.headers, _keep(mail))


def enqueue_each(kind: str, run: str, count: int, first: int) -> float:
    ready = mails(kind, run, count, first)
    return seconds(lambda: [_queue(mail) for mail in ready])


serve(enqueue_each=enqueue_each, enqueue_at_once=enqueue_each)
