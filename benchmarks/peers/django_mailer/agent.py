"""A program that queues with Django's own functions, by way of django-mailer's backend."""

import django

django.setup()

from django.core.mail import get_connection  # noqa: E402
from mailer.models import Message  # noqa: E402

from benchmarks.agent import seconds, serve  # noqa: E402
from benchmarks.corpus import email_messages  # noqa: E402


def enqueue_each(kind: str, run: str, count: int, first: int) -> float:
    messages = email_messages(kind, run, count, first)
    return seconds(lambda: [message.send() for message in messages])


def enqueue_at_once(kind: str, run: str, count: int, first: int) -> float:
    messages = email_messages(kind, run, count, first)
    return seconds(lambda: get_connection().send_messages(messages))


def unsettled() -> int:
    return Message.objects.count()


serve(enqueue_each=enqueue_each, enqueue_at_once=enqueue_at_once, unsettled=unsettled)
