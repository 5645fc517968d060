"""A program that queues with django-post_office's own functions."""

from typing import Any

import django

django.setup()

from django.core.files.base import ContentFile  # noqa: E402
from post_office import mail  # noqa: E402
from post_office.models import STATUS, Email  # noqa: E402

from benchmarks.agent import seconds, serve  # noqa: E402
from benchmarks.corpus import SENDER, Mail, mails  # noqa: E402


def _arguments(each: Mail) -> dict[str, Any]:
    files = {name: {"file": ContentFile(data), "mimetype": kind} for name, data, kind in each.attachments}
    return {
        "recipients": [each.recipient],
        "sender": SENDER,
        "subject": each.subject,
        "message": each.body,
        "headers": each.headers,
    } | ({"attachments": files} if files else {})


def enqueue_each(kind: str, run: str, count: int, first: int) -> float:
    ready = [_arguments(each) for each in mails(kind, run, count, first)]
    return seconds(lambda: [mail.send(**arguments) for arguments in ready])


def enqueue_at_once(kind: str, run: str, count: int, first: int) -> float:
    """In one call; with attachments it has none for that."""
    if kind != "small":
        return enqueue_each(kind, run, count, first)
    ready = [_arguments(each) for each in mails(kind, run, count, first)]
    return seconds(lambda: mail.send_many(ready))


def unsettled() -> int:
    return Email.objects.exclude(status=STATUS.sent).count()


serve(enqueue_each=enqueue_each, enqueue_at_once=enqueue_at_once, unsettled=unsettled)
