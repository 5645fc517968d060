"""What a page showed of a message, as its forms name it. The order compares it (queue.actions.Shown)."""

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from messaging.compose import versions
from messaging.console.filters import ids_in
from messaging.models import MessageEvent, SendAttempt
from messaging.queue.actions import Shown


def columns() -> dict[str, Coalesce]:
    """What templates/messages/_shown.html names."""
    return {
        "version": versions.number(),
        "attempt_count": attempt_count(),
        "event_count": _number_of(MessageEvent.objects.all()),
    }


def attempt_count() -> Coalesce:
    """How often each message was tried, whether that cost a try or not."""
    return _number_of(SendAttempt.objects.all())


def _number_of(rows: QuerySet[SendAttempt] | QuerySet[MessageEvent]) -> Coalesce:
    """How many of some rows each message has."""
    own = rows.filter(message=OuterRef("pk")).order_by().values("message")
    return Coalesce(Subquery(own.annotate(number=Count("pk")).values("number")), 0)


def of(request: HttpRequest) -> Shown:
    """What the person was shown of the message; where the form does not say, as no one had edited it."""
    found = ids_in(request.POST.get("shown", "").split("-"))
    return Shown(*found) if len(found) == len(Shown._fields) else Shown()


def named(shown: Shown) -> str:
    """As a form names it; the reverse of `of`."""
    return "-".join(map(str, shown))
