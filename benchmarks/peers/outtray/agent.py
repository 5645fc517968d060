"""A program that queues with Django's own functions, and a person who presses Batch Message Processing."""

import time

import django

django.setup()

from django.core.mail import get_connection  # noqa: E402

from benchmarks.agent import seconds, serve  # noqa: E402
from benchmarks.corpus import email_messages  # noqa: E402
from messaging.company import options  # noqa: E402
from messaging.models import EmailSettings, Heartbeat, Message  # noqa: E402
from messaging.queue import batches  # noqa: E402

Status = Message.Status


def set_up(port: int) -> None:
    values = {"send_type": 2, "host": "127.0.0.1", "port": port, "ehlo_name": "bench.example"}
    EmailSettings.objects.update_or_create(account=None, defaults=values)
    options.save({"record_mail": True, "hold_mail": True}, by=None)


def is_ready() -> bool:
    return Heartbeat.objects.exists()


def enqueue_each(kind: str, run: str, count: int, first: int) -> float:
    messages = email_messages(kind, run, count, first)
    return seconds(lambda: [message.send() for message in messages])


def enqueue_at_once(kind: str, run: str, count: int, first: int) -> float:
    messages = email_messages(kind, run, count, first)
    return seconds(lambda: get_connection().send_messages(messages))


def release() -> float:
    """Choose all that wait and confirm; the moment of the click."""
    batch = batches.choose(Message.objects.filter(status=Status.QUEUED, batch=None), by=None, account=None)
    clicked = time.monotonic()
    batches.confirm(batch, by=None)
    return clicked


def unsettled() -> int:
    return Message.objects.exclude(status=Status.SENT).count()


serve(
    set_up=set_up,
    is_ready=is_ready,
    enqueue_each=enqueue_each,
    enqueue_at_once=enqueue_at_once,
    release=release,
    unsettled=unsettled,
)
