"""No sentence of a page ends in the air: what is not known, or gone, leaves no “by .” and no “changed .” behind."""

import re
from collections import deque

import pytest
from django.utils import timezone

from messaging.models import (
    AccountPause,
    AuditEntry,
    Batch,
    BatchItem,
    CompanyOptions,
    EmailSettings,
    Message,
    MessageEvent,
    MessageVersion,
    Notice,
    NoticeItem,
    Phrase,
    Schedule,
    ScheduleRun,
    SendAttempt,
)
from tests.factories import make_message, put
from tests.upgrade.pages import Page

pytestmark = pytest.mark.django_db
# A word that wants another one behind it, and a full stop, a comma or a bracket instead; nothing in quotes or brackets.
IN_THE_AIR = re.compile(
    r"\b(?:by|since|until|from|at|as|and|or|noted|changed|confirmed|prepared|next (?:try|retry))\s+[.,;:)](?:\s|$)"
    r"|“”|\(\s*\)|\bNone\b(?! of)|: \.(?:\s|$)|,\s*[.,](?:\s|$)"
)
NO_PAGES = re.compile(r"/static/|/newer/|/older/|/eml/|/draft/|/html/|logout|\?.*page=|/check/|/test/")
QUERY = re.compile(r"(/messages/\d+/.*)\?.*")  # where one came from
ALIKE = re.compile(r"\d+")
PER_KIND = 7  # as many as there are states of a message


@pytest.fixture
def bare(db):
    """Of everything a row with nothing in it that may be empty: people were deleted, and times not recorded."""
    now = timezone.now()
    batches = [Batch.objects.create(created_at=now, status=status) for status in Batch.Status.values]
    batches.append(Batch.objects.create(created_at=now, confirmed_at=now, status="confirmed", source="schedule"))
    batches.append(Batch.objects.create(created_at=now, confirmed_at=now, cancelled_at=now, status="cancelled"))
    for status in Message.Status.values:
        message = put(make_message("c@example.com"), status=status, subject="", from_header="", not_before=None)
        SendAttempt.objects.create(message=message, fence=1, started_at=now, outcome="transient")
        for kind in MessageEvent.Kind.values:
            MessageEvent.objects.create(message=message, at=now, kind=kind)
        for batch in batches:
            BatchItem.objects.create(batch=batch, message=message, state="skipped")
        NoticeItem.objects.create(kind="failed", at=now, message=message, told_at=now)
    MessageVersion.objects.create(
        message=message, number=1, at=now, fields={}, skeleton=b"", recipients=[], attachments=[]
    )
    for kind in AccountPause.Kind.values:
        AccountPause.objects.create(kind=kind, since=now)
    for kind in ("failed", "unknown", "paused", "no-address"):
        notice = Notice.objects.create(kind=kind, at=now)
        notice.items.set([NoticeItem.objects.create(kind=kind, at=now, told_at=now), *NoticeItem.objects.all()[:2]])
    schedule = Schedule.objects.create(name="x", time_zone="UTC", since=now)
    ScheduleRun.objects.create(schedule=schedule, due_at=now, started_at=now, remarks=Phrase("all-paused", kind="all"))
    CompanyOptions.objects.create()
    EmailSettings.objects.create()
    AuditEntry.objects.create(at=now, area="options", field="company_name", action="changed", before=None, after=None)


@pytest.mark.slow
def test_no_sentence_ends_in_the_air(admin, bare):
    queue, opened, kinds, found = deque(["/messages/?status=all", "/setup/options/"]), set(), {}, []
    while queue:
        url = queue.popleft()
        kind = ALIKE.sub("1", url)
        if url in opened or kinds.get(kind, 0) >= PER_KIND or NO_PAGES.search(url):
            continue
        opened.add(url)
        kinds[kind] = kinds.get(kind, 0) + 1
        response = admin.get(url)
        if response.status_code != 200 or not response["Content-Type"].startswith("text/html"):
            continue
        page = Page(response.content.decode())
        found += [f"{url}: {line}" for line in page.lines if IN_THE_AIR.search(line)]
        queue.extend(QUERY.sub(r"\1", link) for link in page.links if link.startswith("/"))
    assert not found, "\n".join(found)
    assert len(opened) > 40
