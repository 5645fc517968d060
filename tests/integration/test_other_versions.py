"""Rows of a later version, which this one does not know, or of a program of an office\'s own: they stop nothing."""

import json

import pytest
from django.db import connection
from django.utils import timezone

from messaging.delivery import opt_file_block
from messaging.models import Heartbeat, Phrase
from tests.factories import make_message, put
from tests.pages import words
from tests.rows import statuses
from tests.sizes import matrix
from tests.steps import run_lane

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = ("/messages/", "/messages/?status=all", "/sending/", "/batches/new/", "/notices/")
ROWS = [
    {"key": "later"}, {"key": "later", "by": {"name": "x"}}, {"key": "given-up", "counts": {"a": 1}}, {"words": "x"},
    {"key": None}, {"key": "all"}, [{"key": "later"}], "later", 7,
]  # fmt: skip


def write(column, row, *messages):
    """As another program does it."""
    with connection.cursor() as cursor:
        for message in messages:
            statement = f"UPDATE messaging_message SET {column} = %s WHERE id = %s"
            cursor.execute(statement, [json.dumps(row), message.pk])


@pytest.mark.parametrize(("column", "row"), matrix(["reason", "doubt", "reason_before"], ROWS))
def test_message_is_shown_and_sent(admin, server, column, row):
    message, other = make_message("a@example.com"), make_message("b@example.com")
    put(message, tries=1)
    write(column, row, message)
    for page in (*PAGES, f"/messages/{message.pk}/"):
        assert admin.get(page).status_code == 200, page
    run_lane()
    assert statuses(message, other) == ["sent", "sent"]


@pytest.mark.parametrize("note", [Phrase("opt errors of later", files=["a"]), Phrase("opt errors", errors={"a": 1})])
def test_note_of_another_server_is_told(admin, email_setup, note):
    Heartbeat.objects.create(name=f"{opt_file_block.PREFIX}mail2", at=timezone.now(), note=note)
    for page in PAGES:
        response = admin.get(page)
        assert response.status_code == 200
        assert f"mail2 sends nothing: {note.key}" in words(response)
