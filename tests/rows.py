"""What the rows of messages say, and the octets they stand for."""

import email
import email.policy

from django.db import connection

from messaging.console.presentation.reply import said
from messaging.content import assembly
from messaging.models import Message


def heard(row):
    """What an attempt, a recipient or a pause was told: a server's words, or what this machine has to say."""
    return said(row)


def status(message):
    message.refresh_from_db()
    return message.status


def statuses(*messages):
    return [status(message) for message in messages]


def states():
    """The statuses of all messages, the oldest first."""
    return list(Message.objects.order_by("pk").values_list("status", flat=True))


def wire(message):
    """What is stored of a message, as it goes out."""
    return b"".join(assembly.assemble(Message.objects.get(pk=message.pk)))


def parsed(raw):
    """As a mail program of our days reads it."""
    return email.message_from_bytes(raw, policy=email.policy.default)


def received(message):
    """What a mail program will read of a stored message."""
    return parsed(wire(message))


def text_of(message):
    """The texts that its page shows."""
    return "\n".join(each.text for each in assembly.bodies(message).parts if each.text)


def html_of(message):
    """The HTML that its page shows."""
    return "\n".join(assembly.bodies(message).documents)


def dump():
    """Every row of every table, as text."""
    rows = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            rows += [f"{table}: {row}" for row in cursor.fetchall()]
    return rows
