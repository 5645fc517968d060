"""What people were told about failures (S2 and S15)."""

from typing import NamedTuple

from django.db.models import Count, Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from messaging import notices
from messaging.access import roles
from messaging.console.paging import page_of
from messaging.models import Message, Notice, NoticeItem
from messaging.notices import relevance
from messaging.notices.mail import TRIED_FOR
from messaging.notices.text import NAMED, next_step, shared_reason, subject_of
from messaging.wording import in_words, person

from .guard import who

PER_PAGE = 25


class Listed(NamedTuple):
    """A notice as the page shows it; `reason` is the one that the named items share."""

    notice: Notice
    subject: str
    is_unread: bool
    mailed: str
    advice: str
    named: list[NoticeItem]
    reason: str


@require_safe
def notice_list(request: HttpRequest) -> HttpResponse:
    """The notices, the newest first; a user who opens it has seen them."""
    reader = who(request)
    found = notices.visible_to(reader)
    named = NoticeItem.objects.select_related("author", "message__author", "pause__account").order_by("pk")[:NAMED]
    rows = (
        Notice.objects.select_related("author", "mail")
        .annotate(number=Count("items"))
        .order_by("-pk")
        .prefetch_related(Prefetch("items", named, to_attr="named"))
    )
    page = page_of(found, rows, request.GET.get("page"), total=found.count(), size=PER_PAGE)
    unseen = set(notices.unseen(reader).filter(pk__in=[row.pk for row in page.rows]).values_list("pk", flat=True))
    listed = [_listed(row, row.pk in unseen) for row in page.rows]
    if request.method == "GET":
        notices.mark_seen(reader)
    return render(request, "notices/list.html", {"page": page, "notices": listed})


def _listed(notice: Notice, is_unread: bool) -> Listed:
    named: list[NoticeItem] = notice.named  # type: ignore[attr-defined]  # prefetched
    subject = subject_of(notice, named, notice.number)  # type: ignore[attr-defined]  # annotated
    is_all = notice.number == len(named)  # type: ignore[attr-defined]
    todo = next_step(named) if is_all or any(map(relevance.now, named)) else ""
    return Listed(notice, subject, is_unread, _mailed(notice), todo, named, shared_reason(named))


def _mailed(notice: Notice) -> str:
    """What became of the mail."""
    whom = ", ".join(notice.mail_to.splitlines())
    if not whom:
        return "Not mailed: no one who should be told has an email address."
    if notice.is_moot and notice.author is not None and not roles.may_get_notices(notice.author):
        what = "look at messages" if notice.author.is_active else "sign in"
        return f"Not mailed: {person(notice.author)} may no longer {what}."
    if notice.is_moot:
        return "Not mailed: everything in it had already been dealt with."
    if notice.mail_due and notice.at > timezone.now() - TRIED_FOR:
        return f"Mailed to {whom} as soon as an account can send."
    if notice.mail is None:
        return f"It could not be mailed to {whom}."
    match notice.mail.status:
        case Message.Status.SENT:
            return f"Mailed to {whom}."
        case Message.Status.FAILED | Message.Status.CANCELLED:
            return f"It could not be mailed to {whom}: {in_words(notice.mail.reason)}"
        case Message.Status.UNKNOWN:
            return f"Mailed to {whom}; whether it arrived is not known."
    return f"On its way by mail to {whom}."
