"""Who is told about failures, and when (S2 and S15).

Failures are noted as items (collect.py). When the oldest of a kind has waited for as long as its rule says, all that
wait and are still so (relevance.py) are told together (dispatch.py), in the console and by mail (mail.py).
Idempotent, as the sweep is.
"""

from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from messaging.access import roles
from messaging.models import Notice, NoticeItem, NoticesSeen

from . import dispatch, mail
from .collect import collect, note_unrecorded, unnoted

__all__ = ["forget", "look_after", "mark_seen", "meant_for", "note_unrecorded", "unseen", "visible_to"]

KEPT = timedelta(days=90)
# Written out, constants and all, for partial indexes.
_ANYTHING = """SELECT
    EXISTS (SELECT 1 FROM {unnoted})
    OR EXISTS (SELECT 1 FROM messaging_accountpause WHERE ended_at IS NULL AND kind IN ('fault', 'doubt', 'unanswered')
              AND notified_at IS NULL),
    EXISTS (SELECT 1 FROM messaging_noticeitem WHERE told_at IS NULL),
    EXISTS (SELECT 1 FROM messaging_notice WHERE mail_due AND at > %s),
    EXISTS (SELECT 1 FROM messaging_accountpause WHERE ended_at IS NULL AND kind IN ('fault', 'doubt', 'unanswered'))
    OR EXISTS (SELECT 1 FROM messaging_notice AS told JOIN messaging_message AS mail ON mail.id = told.mail_id
               WHERE told.at > %s AND mail.status = 'queued' AND mail.tries > 0)"""


def look_after(now: datetime) -> None:
    """Note what failed, tell what is due, and see to the mails; one statement while nothing is wrong."""
    with connection.cursor() as cursor:
        since = connection.ops.adapt_datetimefield_value(now - mail.TRIED_FOR)
        cursor.execute(_ANYTHING.format(unnoted=unnoted()), [since, since])
        has_news, is_waiting, has_mail, has_to_move = cursor.fetchone()
    if has_news:
        collect(now)
    if has_news or is_waiting:
        has_mail = dispatch.make_notices(now) or has_mail
    if has_mail:
        mail.send_due(now)
    if has_to_move:
        mail.move_waiting(now)


def forget(now: datetime) -> None:
    """Drop what was told long ago."""
    Notice.objects.filter(at__lt=now - KEPT).delete()
    NoticeItem.objects.filter(told_at__lt=now - KEPT).delete()


def visible_to(person: User) -> QuerySet[Notice]:
    """The notices that a person may read."""
    if roles.sees_all(person):
        return Notice.objects.all()
    return Notice.objects.filter(author=person)


def meant_for(person: User) -> QuerySet[Notice]:
    """The notices that are told to a person: counted in their menu until they have seen them."""
    whose = Q(author=person)
    if roles.is_admin(person):
        whose |= Q(author=None)
    return Notice.objects.filter(whose, at__gte=person.date_joined)


def unseen(person: User) -> QuerySet[Notice]:
    """Of those meant for a person, the ones that came after what they have seen."""
    seen = NoticesSeen.objects.filter(user=person).values("up_to")
    return meant_for(person).filter(pk__gt=Coalesce(Subquery(seen), 0))


def mark_seen(person: User) -> None:
    """A person has seen all there are now."""
    latest = Notice.objects.order_by("-pk").values_list("pk", flat=True).first()
    if latest is not None:
        NoticesSeen.objects.update_or_create(user=person, defaults={"up_to": latest})
